"""Secrets that travel in messages: sealed for one service, readable by nobody on the way.

HPKE (RFC 9180), base mode: DHKEM(X25519, HKDF-SHA256), HKDF-SHA256, AES-256-GCM. Anybody who has the public
half can seal, so a sealed secret says nothing of who sealed it: the message around it is signed. `associated_data`
binds a secret to the message it belongs to (HPKE's `info`): copied into another message it does not open.

Not given: forward secrecy. Whoever gets the service's key file reads what was recorded before, so what is
sealed should be worth little after a day. The ephemeral key comes from OpenSSL, not from `shared.ids`.
"""

import json
from collections.abc import Mapping, Sequence
from pathlib import Path

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PrivateKey, X25519PublicKey
from cryptography.hazmat.primitives.hpke import AEAD, KDF, KEM, Suite
from cryptography.hazmat.primitives.serialization import (
    Encoding,
    NoEncryption,
    PrivateFormat,
    PublicFormat,
    load_pem_private_key,
)

from shared.files import replace_file
from shared.ids import Ids, b64u, unb64u

_SUITE = Suite(KEM.X25519, KDF.HKDF_SHA256, AEAD.AES_256_GCM)
_PURPOSE = "blok365-sealed-box-v1/"


class CannotOpen(Exception):
    """Sealed for somebody else, with other associated data, or altered. The text holds nothing of the secret."""


class Sealer:
    """Seals for one service, with the public half of its box key."""

    def __init__(self, key: X25519PublicKey) -> None:
        self._key = key

    def seal(self, secret: bytes, associated_data: str) -> str:
        """`secret` for the service alone, base64url; it is 48 octets longer than the secret."""
        return b64u(_SUITE.encrypt(secret, self._key, info=_info(associated_data)))


class Opener:
    """Opens what was sealed for this service. More than one key while they are rolled over."""

    def __init__(self, keys: Sequence[X25519PrivateKey]) -> None:
        self._keys = tuple(keys)

    def open(self, sealed: str, associated_data: str) -> bytes:
        """The secret. Raises CannotOpen."""
        try:
            octets = unb64u(sealed)
        except ValueError as error:
            raise CannotOpen("not base64url") from error
        for key in self._keys:
            try:
                return _SUITE.decrypt(octets, key, info=_info(associated_data))
            except (InvalidTag, ValueError):
                continue
        raise CannotOpen("sealed for another key, with other associated data, or altered")


def _info(associated_data: str) -> bytes:
    return (_PURPOSE + associated_data).encode()


def make_box_keys(folder: Path, services: Sequence[str], ids: Ids) -> None:
    """Make what is missing: `<service>.box` (PKCS8 PEM, mode 0600) and `boxes.json` with the public halves."""
    folder.mkdir(parents=True, exist_ok=True, mode=0o700)
    public: dict[str, str] = {}
    for service in services:
        path = folder / f"{service}.box"
        if not path.exists():
            made = X25519PrivateKey.from_private_bytes(ids.random_bytes(32))
            replace_file(path, made.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()))
        raw = _load_private(path).public_key().public_bytes(Encoding.Raw, PublicFormat.Raw)
        public[service] = b64u(raw)
    (folder / "boxes.json").write_text(json.dumps(public, indent=2) + "\n")


def load_opener(folder: Path, service: str) -> Opener:
    """Read the key `<service>.box` and, while it is rolled over, `<service>.box.old`. Raises OSError, ValueError."""
    old = folder / f"{service}.box.old"
    paths = [folder / f"{service}.box", *([old] if old.exists() else [])]
    return Opener([_load_private(path) for path in paths])


def load_sealer(folder: Path, service: str) -> Sealer:
    """Read the service's public key from `boxes.json`. Raises OSError, KeyError, ValueError."""
    public: Mapping[str, str] = json.loads((folder / "boxes.json").read_text())
    return Sealer(X25519PublicKey.from_public_bytes(unb64u(public[service])))


def _load_private(path: Path) -> X25519PrivateKey:
    key = load_pem_private_key(path.read_bytes(), password=None)
    if not isinstance(key, X25519PrivateKey):
        raise ValueError(f"{path.name} is not an X25519 key")
    return key
