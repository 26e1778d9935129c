"""A request as the API gives it, and what a phone makes sure of before it shows and signs one."""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import rfc8785

from shared.crypto.statement import Purpose

CONTEXT_VERSION = 2
CONTEXT_FIELDS: Mapping[str, type] = {
    "account": str,
    "address": str,
    "agent": str,
    "application": str,
    "application_name": str,
    "challenge": str,
    "code_required": bool,
    "expires_at": str,
    "issued_at": str,
    "known_browser": bool,
    "method": str,
    "nonce": str,
    "organisation": str,
    "origin": str,
    "place": str,
    "purpose": str,
    "realm": str,
    "tenant": str,
    "transaction": str,
    "upn": str,
    "v": int,
}
"""The fields of a context that a phone can show. One with any other is not signed: it might mean something else."""


class NotShown(ValueError):
    """What the server gave as a request is none that a phone shows, so nothing is signed."""


def origin_of_sign_in(phone_origin: str) -> str:
    """The sign-in page's origin, which every context must name: the phone's page is at `key.` before that host."""
    scheme, _, host = phone_origin.partition("://")
    return f"{scheme}://{host.removeprefix('key.')}"


@dataclass(frozen=True, slots=True)
class Request:
    """A request to approve. What it is about is in `context`, which is what will be signed."""

    id: str
    method: str
    context: str
    tries_left: int
    network_differs: bool
    """As the page says it loudly: phone and browser are not known to be on one network."""
    country_differs: Mapping[str, str] | None = None
    """Countries of `browser` and `phone` in words, when they are known and differ."""

    @property
    def facts(self) -> dict[str, Any]:
        """The fields of the signed context, decoded."""
        fields: dict[str, Any] = json.loads(self.context)
        return fields

    @property
    def code_required(self) -> bool:
        """False for a known browser's QR code: then the code is empty."""
        return self.facts.get("code_required") is not False

    def check(self, phone_origin: str) -> None:
        """Raises NotShown unless the page would show it (`readContext` in `shared/web/phone/static/request.js`)."""
        facts = self.facts
        known = facts.keys() == CONTEXT_FIELDS.keys()
        if not known or any(type(facts[name]) is not kind for name, kind in CONTEXT_FIELDS.items()):
            raise NotShown("a context with other fields")
        if facts["v"] != CONTEXT_VERSION or facts["purpose"] != Purpose.APPROVE:
            raise NotShown(f"a context of version {facts['v']} for {facts['purpose']}")
        if facts["origin"] != origin_of_sign_in(phone_origin):
            raise NotShown(f"a sign-in at {facts['origin']}")

    def with_code(self, code: str) -> str:
        """The context as it is signed (RFC 8785)."""
        return rfc8785.dumps({**self.facts, "code": code}).decode()


def read_request(raw: Mapping[str, Any]) -> Request:
    """The request of the API's answer. Nothing of it is checked; see `Request.check`."""
    return Request(
        id=raw["id"],
        method=raw["method"],
        context=raw["context"],
        tries_left=raw["tries_left"],
        network_differs=raw["network_differs"],
        country_differs=raw["country_differs"],
    )
