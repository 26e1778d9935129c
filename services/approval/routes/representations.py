"""The JSON forms that the API answers with."""

from collections.abc import Sequence
from dataclasses import asdict
from datetime import datetime
from typing import Any

from services.approval.domain import history
from services.approval.domain.account import Device, PastRequest
from services.approval.domain.further import Offer
from services.approval.handlers.challenges import Request
from services.approval.handlers.enrolment import Begun
from services.approval.ports import Ceremony
from shared.clock import iso_millis
from shared.ids import b64u


def ceremony_json(begun: Ceremony) -> dict[str, Any]:
    """A nonce to state, and the id under which the statement is to be sent."""
    return {"id": begun.id, "server_nonce": begun.server_nonce}


def enrolment_json(begun: Begun) -> dict[str, Any]:
    """What a phone makes a key for. Which kind of key, and how it asks its user, is the phone's own business."""
    return {
        **ceremony_json(begun.ceremony),
        "tenant": begun.ceremony.tenant,
        "account": begun.ceremony.account,
        "upn": begun.upn,
        "display_name": begun.display_name or begun.upn,
        "organisation": begun.organisation,
        "user_handle": b64u(begun.user_handle),
        "exclude": list(begun.exclude),
    }


def request_json(request: Request) -> dict[str, Any]:
    """A request as the phone sees it; times in ISO 8601, UTC."""
    return {
        "id": request.id,
        "method": request.method,
        "context": request.context,
        "opened_at": iso_millis(request.opened_at),
        "deadline": iso_millis(request.deadline),
        "age": request.age,
        "expires_in": request.expires_in,
        "tries_left": request.tries_left,
        "network_differs": request.network_differs,
        "country_differs": None if request.country_differs is None else asdict(request.country_differs),
    }


def past_json(past: PastRequest) -> dict[str, Any]:
    """How a request ended, and what the phone showed of it."""
    return {
        "id": past.id,
        "state": past.state.value,
        "method": past.method,
        "application_name": past.application_name,
        "agent": past.agent,
        "place": past.place,
        "address": past.address,
        "known_browser": past.known_browser,
        "opened_at": iso_millis(past.opened_at),
        "ended_at": iso_millis(past.ended_at),
    }


def history_json(found: Sequence[PastRequest]) -> dict[str, Any]:
    """The past requests, and how many are kept, so that a page can say what it does not show."""
    kept = {"answered": history.MAX_ANSWERED, "unanswered": history.MAX_UNANSWERED, "days": history.KEPT.days}
    return {"history": [past_json(each) for each in found], "kept": kept}


def device_json(device: Device) -> dict[str, Any]:
    """One of the account's own phones."""
    return {
        "id": device.id,
        "name": device.shown_name,
        "credential_id": device.credential_id,
        "enrolled_at": iso_millis(device.enrolled_at),
        "backed_up": device.backed_up,
    }


def offer_json(offer: Offer, now: datetime) -> dict[str, Any]:
    """An offer, for the phone that made it. What it says of the new key that phone verifies itself."""
    answer: dict[str, Any] = {
        "id": offer.id,
        "state": offer.state(now).value,
        "tenant": offer.tenant,
        "account": offer.account,
        "server_nonce": offer.server_nonce,
        "expires_in": max(0, int((offer.expires_at - now).total_seconds())),
    }
    if offer.key is not None:
        answer |= {
            "name": offer.name,
            "credential_id": offer.key.credential_id,
            "public_key": b64u(offer.key.public_key),
            "endorsement": offer.vouched,
        }
    return answer
