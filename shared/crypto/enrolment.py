"""The chain by which a new device key is trusted.

The invitation that admin signs on the bus carries a public key. Its secret is only in the #fragment of the
invitation link: it never reaches a server. With it the phone signs its new device key. So neither a writer on
the bus nor a taken-over approval service can make wsfed trust a key of its own.

With the same secret the phone signs the session that it asks for together with the key: nobody who reads the request
on its way can send it first and name a session of his own.
"""

import hashlib
from dataclasses import dataclass

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey

from shared.canonical import canonical
from shared.ids import b64u

_NEW_KEY = "blok365.device-enrolment"
_FIRST_SESSION = "blok365.first-session"


@dataclass(frozen=True, slots=True)
class NewDeviceKey:
    """What the invitation's key vouches for: this key, of this credential, for this account."""

    tenant: str
    account: str
    invitation: str
    """The invitation's id; for a further phone, the offer's (docs/flows/further-phone.md)."""
    credential_id: str
    """The WebAuthn credential id, base64url."""
    public_key: bytes
    """The new public key as DER SubjectPublicKeyInfo."""

    def octets(self) -> bytes:
        """The octets that the invitation's key signs: canonical JSON (RFC 8785)."""
        return canonical(
            {
                "v": 1,
                "typ": _NEW_KEY,
                "tenant": self.tenant,
                "account": self.account,
                "invitation": self.invitation,
                "credential_id": self.credential_id,
                "public_key_sha256": b64u(hashlib.sha256(self.public_key).digest()),
            }
        )

    def digest(self) -> str:
        """SHA-256 of the octets, base64url: how a phone that endorses the key names it."""
        return b64u(hashlib.sha256(self.octets()).digest())

    def code(self) -> str:
        """Six digits by which a person sees on two phones that both speak of the same key."""
        return f"{int.from_bytes(hashlib.sha256(self.octets()).digest()[:6]) % 1_000_000:06}"


@dataclass(frozen=True, slots=True)
class FirstSession:
    """What the invitation's key vouches for besides: the session that is opened together with the new key."""

    tenant: str
    account: str
    invitation: str
    credential_id: str
    """The new key's WebAuthn credential id, base64url."""
    session_sha256: str
    """SHA-256 of the session's token, base64url. The phone draws the token and keeps it to itself."""

    def octets(self) -> bytes:
        """The octets that the invitation's key signs: canonical JSON (RFC 8785).

        `typ` differs from a new key's, so that neither signature can stand for the other.
        """
        return canonical(
            {
                "v": 1,
                "typ": _FIRST_SESSION,
                "tenant": self.tenant,
                "account": self.account,
                "invitation": self.invitation,
                "credential_id": self.credential_id,
                "session_sha256": self.session_sha256,
            }
        )


def endorse(key: Ed25519PrivateKey, subject: NewDeviceKey | FirstSession) -> bytes:
    """The invitation key's signature over a new device key or its first session, 64 octets. Made on the phone."""
    return key.sign(subject.octets())


def is_endorsed(public_key: bytes, subject: NewDeviceKey | FirstSession, signature: bytes) -> bool:
    """Whether the invitation's key (32 octets) signed exactly this device key, or exactly this first session.

    Not verified here: that the invitation is admin's, open, in time and for this account.
    """
    try:
        Ed25519PublicKey.from_public_bytes(public_key).verify(signature, subject.octets())
    except (InvalidSignature, ValueError):
        return False
    return True
