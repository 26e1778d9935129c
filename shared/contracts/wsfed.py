"""Messages that wsfed owns: what it says of the keys that it takes."""

from datetime import datetime
from typing import ClassVar, Literal

from pydantic import Field

from shared.contracts import Event

MAX_ID = 64
"""Characters of an id."""


class AuthenticatorAccepted(Event):
    """From now on a proof by this key counts: said in the write by which wsfed comes to trust it, once for each key.

    It is wsfed's own knowledge. Whoever has taken over approval or admin cannot have a key count without it.
    """

    TYPE: ClassVar[str] = "wsfed.authenticator.accepted.v1"
    READERS: ClassVar[frozenset[str]] = frozenset({"notify"})
    authenticator: str = Field(max_length=MAX_ID)
    """A phone's is the device id that approval announced."""
    kind: Literal["phone", "passkey", "badge"] = "phone"
    account: str = Field(max_length=MAX_ID)
    key_sha256: str = Field(max_length=64)
    """SHA-256 of the public key (DER SubjectPublicKeyInfo), base64url."""
    name: str = Field(default="", max_length=200)
    """What the device calls itself. Not verified."""
    accepted_at: datetime
