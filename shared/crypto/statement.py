"""What a device's signature is for, and the texts that a phone makes up itself.

A WebAuthn assertion says which page asked for it and not what for. If a server could choose the octets, a taken-over
approval service would give the digest of a sign-in as the challenge that unlocks BlokKey. Therefore a phone never signs
octets that a server chose: what it signs is SHA-256 of canonical JSON (RFC 8785) that states its purpose and that the
phone puts together itself. An approval's text is wsfed's context (`services/wsfed/domain/context.py`); the others are
the statements of this module, with a nonce of the phone's own in each.
"""

import hashlib
import json
from collections.abc import Collection
from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import StrEnum

from shared.canonical import canonical
from shared.ids import unb64u

MAX_STATEMENT = 2048
"""Characters."""
NONCE_OCTETS = 32


class Purpose(StrEnum):
    """What a signature is for: the field `purpose` of every text that a device signs."""

    APPROVE = "approve"
    """A phone approves a sign-in that a push or a QR code brought. The text is wsfed's context with the code."""
    SIGN_IN = "sign-in"
    """A passkey is used on the sign-in page itself. The text is wsfed's context."""
    ENROL = "enrol"
    """A phone makes a new key. The text is a statement; the invitation's key signs the new key besides."""
    SESSION = "session"
    """A phone unlocks BlokKey. The text is a statement."""
    REMOVE = "remove"
    """A person removes one of their own phones. The text is a statement that names the device."""
    ENDORSE = "endorse"
    """A phone vouches for a further phone of its person. The text is a statement that names the new key and a time."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Statement:
    """What a phone states when it signs for anything but a sign-in."""

    purpose: Purpose
    origin: str
    """Where the phone signs: the phone's page, or a native app."""
    rp_id: str
    nonce: str
    """32 octets of the phone's own, base64url: no server can foresee what will be signed."""
    server_nonce: str
    """The API's nonce, base64url, good for one answer."""
    device: str | None = None
    """The device to remove; only with the purpose `remove`."""
    new_key: str | None = None
    """SHA-256 of `NewDeviceKey.octets`, base64url; only with the purpose `endorse`."""
    made_at: str | None = None
    """When the phone made it, by its own clock, as `iso_millis` writes it; only with the purpose `endorse`."""

    def text(self) -> str:
        """The canonical JSON; SHA-256 of it is the WebAuthn challenge."""
        fields: dict[str, str | int] = {
            "v": 1,
            "purpose": self.purpose.value,
            "origin": self.origin,
            "rp_id": self.rp_id,
            "nonce": self.nonce,
            "server_nonce": self.server_nonce,
        }
        if self.device is not None:
            fields["device"] = self.device
        if self.new_key is not None:
            fields["new_key"] = self.new_key
        if self.made_at is not None:
            fields["made_at"] = self.made_at
        return canonical(fields).decode()

    def digest(self) -> bytes:
        """The WebAuthn challenge, 32 octets."""
        return hashlib.sha256(self.text().encode()).digest()


def read_statement(
    text: str,
    *,
    purpose: Purpose,
    origins: Collection[str],
    rp_id: str,
    server_nonce: str,
    device: str | None = None,
    new_key: str | None = None,
) -> Statement:
    """The statement that `text` is, if it is exactly the expected one.

    Only the phone's nonce, its time where it endorses, and, among `origins`, its origin are taken from the text. How
    old that time may be, the caller decides (`made_within`). The statement is made anew from them and from what was
    expected, and must be the text octet for octet: so every field is compared, and there can be no further one. Raises
    ValueError. Not verified: that anybody signed it, that the nonces were not used before.
    """
    if len(text) > MAX_STATEMENT:
        raise ValueError("a statement that is too long")
    try:
        fields = json.loads(text)
    except RecursionError as error:
        raise ValueError("not JSON") from error
    if not isinstance(fields, dict):
        raise ValueError("not a JSON object")
    origin, nonce = fields.get("origin"), fields.get("nonce")
    if not isinstance(origin, str) or origin not in origins:
        raise ValueError("the origin is not one that may sign")
    if not isinstance(nonce, str) or len(unb64u(nonce)) != NONCE_OCTETS:
        raise ValueError("the phone's nonce is not 32 octets")
    made_at = fields.get("made_at") if purpose is Purpose.ENDORSE else None
    if purpose is Purpose.ENDORSE and not isinstance(made_at, str):
        raise ValueError("no time")
    expected = Statement(
        purpose=purpose,
        origin=origin,
        rp_id=rp_id,
        nonce=nonce,
        server_nonce=server_nonce,
        device=device,
        new_key=new_key,
        made_at=made_at,
    )
    if text != expected.text():
        raise ValueError("not the statement that was asked for")
    return expected


def made_within(statement: Statement, now: datetime, limit: timedelta) -> bool:
    """Whether the statement's time is no further from `now` than that, in either direction. Raises ValueError."""
    made_at = datetime.fromisoformat(statement.made_at or "")
    if made_at.tzinfo is None:
        raise ValueError("a time without a zone")
    return abs(now - made_at) <= limit
