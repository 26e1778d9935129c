"""The text that a phone signs: wsfed's context with the code that the person typed (RFC 8785 JSON)."""

import hashlib
import json
from dataclasses import dataclass
from typing import Any

from shared.canonical import canonical
from shared.crypto.statement import Purpose
from shared.errors import BadInput, Conflict

MAX_CONTEXT = 8 * 1024
MAX_CODE = 12


@dataclass(frozen=True, slots=True)
class Context:
    """wsfed's context, as far as approval looks into it."""

    text: str
    """Canonical JSON without a code."""
    browser_address: str
    """The browser's address as wsfed saw it and the phone shows it; empty when the context has none."""


def read_context(text: str) -> Context:
    """A context that a phone can answer: canonical JSON, an object, to approve, still without a code.

    Raises ValueError.
    """
    try:
        fields = _canonical(text.encode())
    except (BadInput, UnicodeEncodeError) as error:
        raise ValueError("not canonical JSON") from error
    if "code" in fields:
        raise ValueError("a context that has a code already")
    if fields.get("purpose") != Purpose.APPROVE:
        raise ValueError("a context that is not for a phone to approve")
    address = fields.get("address", "")
    return Context(text, address if isinstance(address, str) else "")


def answer_digest(answer: str, context: str) -> bytes:
    """SHA-256 of the answer's octets: what the assertion must have signed.

    The answer must be canonical and, without `code`, be the context octet for octet; otherwise the phone showed
    something else than it signed, or signed for another request. Where the context says that no code is asked
    for, `code` is empty. Not verified: that the code is right.
    Raises BadInput, Conflict (code `other_context`).
    """
    octets = answer.encode("utf-8", "surrogatepass")
    fields = _canonical(octets)
    code = fields.pop("code", None)
    if not _is_code(code, required=fields.get("code_required") is not False):
        raise BadInput("approval.context.no_code")
    if canonical(fields) != context.encode():
        raise Conflict("approval.context.other_request", code="other_context")
    return hashlib.sha256(octets).digest()


def _is_code(code: object, *, required: bool) -> bool:
    if not isinstance(code, str) or len(code) > MAX_CODE:
        return False
    return (code.isascii() and code.isdigit()) if required else code == ""


def _canonical(octets: bytes) -> dict[str, Any]:
    if len(octets) > MAX_CONTEXT:
        raise BadInput("approval.context.too_long")
    try:
        fields = json.loads(octets)
        if isinstance(fields, dict) and canonical(fields) == octets:  # also: no name twice
            return fields
    except (ValueError, RecursionError):
        pass
    raise BadInput("approval.context.not_canonical")
