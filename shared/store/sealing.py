"""Secrets at rest: AES-256-GCM under a key that is not in the database (a file, later a KMS).

A sealed value is bound to its row and field by AES-GCM's associated data: moved into another one it does not open.
"""

from pathlib import Path

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from shared.ids import Ids

_VERSION = b"\x01"
_NONCE = 12


class CannotUnseal(Exception):
    """Another key, other associated data, or altered octets."""


class SealingKey:
    """A 256-bit key-encryption key. NIST SP 800-38D; random 96-bit nonces, so at most 2^32 seals under one key."""

    def __init__(self, key: bytes, ids: Ids) -> None:
        if len(key) != 32:
            raise ValueError("a sealing key has 32 octets")
        self._aead = AESGCM(key)
        self._ids = ids

    @classmethod
    def from_file(cls, path: Path, ids: Ids) -> "SealingKey":
        """The key of a file with exactly 32 octets."""
        return cls(path.read_bytes(), ids)

    def seal(self, secret: bytes, associated_data: str) -> bytes:
        """`secret`, bound to `associated_data`: the path of its field, e.g. `signing_keys/contoso/2026a/private`."""
        nonce = self._ids.random_bytes(_NONCE)
        return _VERSION + nonce + self._aead.encrypt(nonce, secret, associated_data.encode())

    def unseal(self, sealed: bytes, associated_data: str) -> bytes:
        """The secret. Raises CannotUnseal."""
        if sealed[:1] != _VERSION:
            raise CannotUnseal("unknown version")
        try:
            return self._aead.decrypt(sealed[1 : 1 + _NONCE], sealed[1 + _NONCE :], associated_data.encode())
        except (InvalidTag, ValueError) as error:
            raise CannotUnseal(associated_data) from error


def make_sealing_key(path: Path, ids: Ids) -> None:
    """Write a new key file, mode 0600, unless there is one."""
    if not path.exists():
        path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
        path.touch(mode=0o600)
        path.write_bytes(ids.random_bytes(32))
