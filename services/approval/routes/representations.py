"""The JSON forms that the API answers with."""

from collections.abc import Mapping
from dataclasses import asdict
from datetime import timedelta
from typing import Any

from services.approval.domain.account import Device
from services.approval.domain.ceremony import ALGORITHMS
from services.approval.handlers.challenges import Request
from services.approval.handlers.enrolment import Begun
from services.approval.ports import Ceremony
from shared.clock import iso_millis
from shared.ids import b64u


def creation_options(begun: Begun, *, rp_id: str, timeout: timedelta) -> Mapping[str, Any]:
    """PublicKeyCredentialCreationOptionsJSON (Web Authentication Level 3, section 5.1.8)."""
    return {
        "rp": {"id": rp_id, "name": "Blok365"},
        "user": {
            "id": b64u(begun.user_handle),
            "name": begun.upn,
            "displayName": begun.display_name or begun.upn,
        },
        "challenge": b64u(begun.ceremony.challenge),
        "pubKeyCredParams": [{"type": "public-key", "alg": int(alg)} for alg in ALGORITHMS],
        "timeout": _milliseconds(timeout),
        "excludeCredentials": [{"type": "public-key", "id": known} for known in begun.exclude],
        "authenticatorSelection": {
            "authenticatorAttachment": "platform",
            "residentKey": "preferred",
            "requireResidentKey": False,
            "userVerification": "required",
        },
        "attestation": "none",
    }


def request_options(begun: Ceremony, *, rp_id: str, timeout: timedelta) -> Mapping[str, Any]:
    """PublicKeyCredentialRequestOptionsJSON (Web Authentication Level 3, section 5.1.9)."""
    return {
        "challenge": b64u(begun.challenge),
        "rpId": rp_id,
        "timeout": _milliseconds(timeout),
        "userVerification": "required",
    }


def request_json(request: Request) -> dict[str, Any]:
    """A request as the phone sees it; times in ISO 8601, UTC."""
    return {
        "id": request.id,
        "method": request.method,
        "context": request.context,
        "browser_known": request.browser_known,
        "opened_at": iso_millis(request.opened_at),
        "deadline": iso_millis(request.deadline),
        "tries_left": request.tries_left,
        "network_differs": request.network_differs,
        "country_differs": None if request.country_differs is None else asdict(request.country_differs),
    }


def device_json(device: Device) -> dict[str, Any]:
    """One of the account's own phones."""
    return {
        "id": device.id,
        "name": device.name,
        "credential_id": device.credential_id,
        "enrolled_at": iso_millis(device.enrolled_at),
        "backed_up": device.backed_up,
    }


def _milliseconds(duration: timedelta) -> int:
    return int(duration.total_seconds() * 1000)
