"""The context: what a phone shows, and signs together with the code that the person typed.

RFC 8785 canonical JSON. wsfed makes it; approval carries it without the code; the phone puts the code in and
signs SHA-256 of the result. Every field is compared with the transaction before a token is made (step 8). A passkey
on the sign-in page signs one too, without a code.
"""

import hashlib
from dataclasses import dataclass, fields
from datetime import datetime
from typing import Literal

from shared.canonical import canonical
from shared.clock import iso_millis
from shared.crypto.statement import Purpose

VERSION = 2
"""Of the context. A phone shows only a context of a version and with fields that it knows
(`shared/web/phone/static/request.js`), so another field is another version.
"""


@dataclass(frozen=True, slots=True, kw_only=True)
class SignInContext:
    """Everything that an approval is about. Times are aware UTC; text is as shown to the person."""

    tenant: str
    organisation: str
    application: str
    application_name: str
    realm: str
    """The relying party's wtrealm, in full."""
    origin: str
    transaction: str
    challenge: str
    account: str
    upn: str
    method: Literal["push", "qr", "passkey"]
    address: str
    """The browser's network address as our trusted proxy saw it."""
    place: str
    """Where the browser seems to be, by the operator's file of places; approximate, and empty when unknown."""
    agent: str
    """The browser in words, e.g. `Firefox on Windows`; as it calls itself, so not proved."""
    known_browser: bool
    code_required: bool = True
    """False for a known browser's QR code: then the code that is signed is empty."""
    issued_at: datetime
    expires_at: datetime
    nonce: str
    """256 random bits, base64url, against replay."""

    @property
    def purpose(self) -> Purpose:
        """What it is signed for: a phone signs no context of the sign-in page, nor that page a phone's."""
        return Purpose.SIGN_IN if self.method == "passkey" else Purpose.APPROVE

    def without_code(self) -> str:
        """Canonical JSON as approval and the phone receive it, and as a passkey on the sign-in page signs it."""
        return canonical(self._fields()).decode()

    def with_code(self, code: str) -> str:
        """Canonical JSON as the phone signs it."""
        return canonical({**self._fields(), "code": code}).decode()

    def _fields(self) -> dict[str, str | bool | int]:
        times = {"issued_at": iso_millis(self.issued_at), "expires_at": iso_millis(self.expires_at)}
        return {
            **{name: getattr(self, name) for name in _NAMES},
            **times,
            "v": VERSION,
            "purpose": self.purpose.value,
        }


_NAMES = tuple(field.name for field in fields(SignInContext))


def digest(context: str) -> bytes:
    """SHA-256 of a context: the WebAuthn challenge."""
    return hashlib.sha256(context.encode()).digest()
