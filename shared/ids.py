"""The only place where chance comes from: ids, nonces, codes and key seeds. RSA and P-256 keys OpenSSL draws itself.

Everything that needs one takes an `Ids`, so that a test can repeat a run exactly. `SeededIds` is for
tests only: whoever knows its seed knows every secret it will make.
"""

import base64
import hashlib
import secrets  # noqa: TID251 - the one allowed place
from typing import Protocol


class Ids(Protocol):
    """A source of unguessable values."""

    def random_bytes(self, count: int) -> bytes:
        """`count` random octets."""
        ...


class SystemIds:
    """The operating system's random source."""

    def random_bytes(self, count: int) -> bytes:
        return secrets.token_bytes(count)


class SeededIds:
    """The same values in the same order for the same seed. Tests only."""

    def __init__(self, seed: str) -> None:
        self._seed = seed.encode()
        self._counter = 0

    def random_bytes(self, count: int) -> bytes:
        out = b""
        while len(out) < count:
            self._counter += 1
            out += hashlib.sha512(self._seed + self._counter.to_bytes(8, "big")).digest()
        return out[:count]


def b64u(data: bytes) -> str:
    """Base64url without padding (RFC 4648 section 5): how every octet string travels in our JSON."""
    return base64.urlsafe_b64encode(data).rstrip(b"=").decode()


def unb64u(text: str) -> bytes:
    """The octets of strict base64url without padding. Raises ValueError on anything else."""
    if not all(c.isascii() and (c.isalnum() or c in "-_") for c in text) or len(text) % 4 == 1:
        raise ValueError("not base64url without padding")
    data = base64.b64decode(text + "=" * (-len(text) % 4), altchars=b"-_", validate=True)
    if b64u(data) != text:
        raise ValueError("base64url with stray bits")
    return data


def new_id(ids: Ids) -> str:
    """A 128-bit id: 22 characters, letters, digits, `-` and `_`."""
    return b64u(ids.random_bytes(16))


def new_secret(ids: Ids) -> str:
    """A 256-bit nonce or token as base64url, 43 characters."""
    return b64u(ids.random_bytes(32))


def new_code(ids: Ids, digits: int = 6) -> str:
    """A decimal code of that many digits, each value equally likely (rejection sampling)."""
    top = 10**digits
    limit = (1 << 64) // top * top
    while True:
        value = int.from_bytes(ids.random_bytes(8), "big")
        if value < limit:
            return f"{value % top:0{digits}d}"
