"""What a platform authenticator and the browser around it make: keys, attestation objects, assertions.

Web Authentication Level 3: authenticatorData section 6.1, attestation object 6.5.4, clientDataJSON 5.8.1.
"""

import codecs
import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any, Literal

import cbor2
from cryptography.hazmat.primitives.asymmetric import ec, ed25519
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.serialization import (
    Encoding,
    NoEncryption,
    PrivateFormat,
    PublicFormat,
    load_der_private_key,
)

from shared.ids import Ids, b64u, unb64u

UP, UV, BE, BS, AT = 0x01, 0x04, 0x08, 0x10, 0x40
_AAGUID = bytes(16)

PrivateKey = ec.EllipticCurvePrivateKey | ed25519.Ed25519PrivateKey
Algorithm = Literal["ES256", "EdDSA"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Tamper:
    """How to lie, for tests of attacks. Nothing is changed where a field is None."""

    flags: int | None = None
    """Flags of authenticatorData; `UP` alone: no user verification."""
    signing_key: PrivateKey | None = None
    """Sign with this key under the same credential id."""
    origin: str | None = None
    rp_id: str | None = None
    type: str | None = None
    """The value of `type` in clientDataJSON."""
    challenge: bytes | None = None
    cross_origin: bool | None = None
    byte_order_mark: bool = False
    """Before clientDataJSON: no lie, readers take it off (Web Authentication Level 3, section 7.2, step 9)."""
    sign_count: int | None = None
    credential_id: str | None = None
    context: str | None = None
    """Sign and send this context instead."""
    statement: Mapping[str, Any] | None = None
    """Fields of `Statement` in which the phone's own statement differs from an honest one."""
    endorsement: bytes | None = None
    """Send this instead of the invitation key's signature."""
    replay: dict[str, Any] | None = field(default=None)
    """Send this credential (from an earlier `last_credential`) instead of a new assertion."""


HONEST = Tamper()


@dataclass(frozen=True, slots=True)
class Key:
    """A credential: the key pair and where it belongs. `sign_count` 0 stays 0: many platforms keep none."""

    credential_id: str
    private_key: PrivateKey
    origin: str
    rp_id: str
    tenant: str
    account: str
    upn: str = ""
    device: str = ""
    sign_count: int = 0

    @property
    def spki(self) -> bytes:
        """The public key, DER SubjectPublicKeyInfo."""
        return self.private_key.public_key().public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)

    def used(self) -> "Key":
        """The key after one more use."""
        return replace(self, sign_count=self.sign_count + 1) if self.sign_count else self

    def to_json(self) -> dict[str, Any]:
        """The key for the phone's file. It holds the private key."""
        private = self.private_key.private_bytes(Encoding.DER, PrivateFormat.PKCS8, NoEncryption())
        return {
            "credential_id": self.credential_id,
            "private_key": b64u(private),
            "origin": self.origin,
            "rp_id": self.rp_id,
            "tenant": self.tenant,
            "account": self.account,
            "upn": self.upn,
            "device": self.device,
            "sign_count": self.sign_count,
        }

    @classmethod
    def from_json(cls, stored: dict[str, Any]) -> "Key":
        """The key of a `to_json`. Raises ValueError."""
        private = load_der_private_key(unb64u(stored["private_key"]), password=None)
        if not isinstance(private, ec.EllipticCurvePrivateKey | ed25519.Ed25519PrivateKey):
            raise ValueError("not a key that this phone makes")
        return cls(**{**stored, "private_key": private})


def make_private_key(algorithm: Algorithm, ids: Ids) -> PrivateKey:
    """A new key pair of that kind; with seeded ids the same each time."""
    if algorithm == "EdDSA":
        return ed25519.Ed25519PrivateKey.from_private_bytes(ids.random_bytes(32))
    order = 0xFFFFFFFF00000000FFFFFFFFFFFFFFFFBCE6FAADA7179E84F3B9CAC2FC632551
    return ec.derive_private_key(
        int.from_bytes(ids.random_bytes(40), "big") % (order - 1) + 1, ec.SECP256R1()
    )


def cose_key(key: PrivateKey) -> bytes:
    """COSE_Key of the public half (RFC 9053 sections 7.1, 7.2)."""
    public = key.public_key()
    if isinstance(public, ed25519.Ed25519PublicKey):
        raw = public.public_bytes(Encoding.Raw, PublicFormat.Raw)
        return cbor2.dumps({1: 1, 3: -8, -1: 6, -2: raw})
    numbers = public.public_numbers()
    x, y = (n.to_bytes(32, "big") for n in (numbers.x, numbers.y))
    return cbor2.dumps({1: 2, 3: -7, -1: 1, -2: x, -3: y})


def attestation(key: Key, challenge: bytes, tamper: Tamper = HONEST) -> dict[str, Any]:
    """RegistrationResponseJSON with attestation format `none`."""
    credential = unb64u(key.credential_id)
    flags = (UP | UV if tamper.flags is None else tamper.flags) | AT
    attested = _AAGUID + len(credential).to_bytes(2, "big") + credential + cose_key(key.private_key)
    auth_data = _auth_data(key, flags, tamper) + attested
    return {
        "id": key.credential_id,
        "rawId": key.credential_id,
        "type": "public-key",
        "clientExtensionResults": {},
        "authenticatorAttachment": "platform",
        "response": {
            "clientDataJSON": b64u(_client_data("webauthn.create", key, challenge, tamper)),
            "attestationObject": b64u(cbor2.dumps({"fmt": "none", "attStmt": {}, "authData": auth_data})),
            "transports": ["internal"],
        },
    }


def assertion(key: Key, challenge: bytes, tamper: Tamper = HONEST) -> dict[str, Any]:
    """AuthenticationResponseJSON. `key` must be the key as used (`Key.used`), for its counter."""
    flags = UP | UV if tamper.flags is None else tamper.flags
    auth_data = _auth_data(key, flags, tamper)
    client_data = _client_data("webauthn.get", key, challenge, tamper)
    signed = auth_data + hashlib.sha256(client_data).digest()
    credential_id = tamper.credential_id or key.credential_id
    return {
        "id": credential_id,
        "rawId": credential_id,
        "type": "public-key",
        "clientExtensionResults": {},
        "authenticatorAttachment": "platform",
        "response": {
            "clientDataJSON": b64u(client_data),
            "authenticatorData": b64u(auth_data),
            "signature": b64u(sign(tamper.signing_key or key.private_key, signed)),
            "userHandle": b64u(hashlib.sha256(f"{key.tenant}/{key.account}".encode()).digest()),
        },
    }


def sign(key: PrivateKey, data: bytes) -> bytes:
    """ES256 (DER) or EdDSA."""
    if isinstance(key, ed25519.Ed25519PrivateKey):
        return key.sign(data)
    return key.sign(data, ec.ECDSA(SHA256()))


def _auth_data(key: Key, flags: int, tamper: Tamper) -> bytes:
    rp_id = tamper.rp_id or key.rp_id
    count = key.sign_count if tamper.sign_count is None else tamper.sign_count
    return hashlib.sha256(rp_id.encode()).digest() + bytes([flags]) + count.to_bytes(4, "big")


def _client_data(kind: str, key: Key, challenge: bytes, tamper: Tamper) -> bytes:
    fields = {
        "type": tamper.type or kind,
        "challenge": b64u(tamper.challenge or challenge),
        "origin": tamper.origin or key.origin,
        "crossOrigin": bool(tamper.cross_origin),
    }
    mark = codecs.BOM_UTF8 if tamper.byte_order_mark else b""
    return mark + json.dumps(fields, separators=(",", ":")).encode()
