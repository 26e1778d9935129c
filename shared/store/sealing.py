"""Secrets at rest: AES-256-GCM under a key that is not in the database (a file, later a KMS).

A sealed value is bound to its row and field by AES-GCM's associated data: moved into another one it does not open.
"""

from collections.abc import Sequence
from pathlib import Path

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from shared.crypto.key_file import load_keys
from shared.ids import Ids

_VERSION = b"\x01"
_NONCE = 12


class CannotUnseal(Exception):
    """Another key, other associated data, or altered octets."""


class SealingKey:
    """A 256-bit key-encryption key. NIST SP 800-38D; random 96-bit nonces, so at most 2^32 seals under one key.

    `old`: keys that unseal and do not seal: not any more, or not yet.
    """

    def __init__(self, key: bytes, ids: Ids, *, old: Sequence[bytes] = ()) -> None:
        if any(len(each) != 32 for each in (key, *old)):
            raise ValueError("a sealing key has 32 octets")
        self._aead, *self._old = [AESGCM(each) for each in (key, *old)]
        self._ids = ids

    @classmethod
    def from_file(cls, path: Path, ids: Ids) -> "SealingKey":
        """The key of a file with exactly 32 octets; those of `<path>.next` and `<path>.old` unseal, too."""
        key, *old = load_keys(path)
        return cls(key, ids, old=old)

    def seal(self, secret: bytes, associated_data: str) -> bytes:
        """`secret`, bound to `associated_data`: the path of its field, e.g. `signing_keys/contoso/2026a/private`."""
        nonce = self._ids.random_bytes(_NONCE)
        return _VERSION + nonce + self._aead.encrypt(nonce, secret, associated_data.encode())

    def unseal(self, sealed: bytes, associated_data: str) -> bytes:
        """The secret. Raises CannotUnseal."""
        if sealed[:1] != _VERSION:
            raise CannotUnseal("unknown version")
        nonce, secret = sealed[1 : 1 + _NONCE], sealed[1 + _NONCE :]
        for aead in (self._aead, *self._old):
            try:
                return aead.decrypt(nonce, secret, associated_data.encode())
            except (InvalidTag, ValueError):
                continue
        raise CannotUnseal(associated_data)
