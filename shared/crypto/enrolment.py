"""The chain by which a new device key is trusted.

The invitation that admin signs on the bus carries a public key. Its secret is only in the #fragment of the
invitation link: it never reaches a server. With it the phone signs its new device key. So neither a writer on
the bus nor a taken-over approval service can make wsfed trust a key of its own.
"""

import hashlib
from dataclasses import dataclass

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey

from shared.canonical import canonical
from shared.ids import b64u

_PURPOSE = "blok365.device-enrolment"


@dataclass(frozen=True, slots=True)
class NewDeviceKey:
    """What the invitation's key vouches for: this key, of this credential, for this account."""

    tenant: str
    account: str
    invitation: str
    credential_id: str
    """The WebAuthn credential id, base64url."""
    public_key: bytes
    """The new public key as DER SubjectPublicKeyInfo."""

    def octets(self) -> bytes:
        """The octets that the invitation's key signs: canonical JSON (RFC 8785)."""
        return canonical(
            {
                "v": 1,
                "typ": _PURPOSE,
                "tenant": self.tenant,
                "account": self.account,
                "invitation": self.invitation,
                "credential_id": self.credential_id,
                "public_key_sha256": b64u(hashlib.sha256(self.public_key).digest()),
            }
        )


def endorse(key: Ed25519PrivateKey, device: NewDeviceKey) -> bytes:
    """The invitation key's signature over a new device key, 64 octets. Made on the phone."""
    return key.sign(device.octets())


def is_endorsed(public_key: bytes, device: NewDeviceKey, signature: bytes) -> bool:
    """Whether the invitation's key (32 octets) signed exactly this device key.

    Not verified here: that the invitation is admin's, open, in time and for this account.
    """
    try:
        Ed25519PublicKey.from_public_bytes(public_key).verify(signature, device.octets())
    except (InvalidSignature, ValueError):
        return False
    return True
