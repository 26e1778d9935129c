"""Challenges of the console's passkey ceremonies, without a document for each page that a stranger opens. Pure.

A challenge is 16 random octets, the second in which it ends (8 octets, big endian), and an HMAC-SHA-256 over both and
over what it is for. So it cannot be used for another purpose, in another session or for another invitation. That it is
used once is the store's part: only a challenge over which a signature verified is written down.
"""

import hashlib
import hmac
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta

from shared.errors import Forbidden

LIFETIME = timedelta(minutes=5)
NONCE_OCTETS = 16
_HEAD = NONCE_OCTETS + 8
OCTETS = _HEAD + 32


def make_challenge(key: bytes, purpose: str, nonce: bytes, now: datetime) -> bytes:
    """A challenge for that purpose, good for `LIFETIME`. `nonce`: 16 random octets."""
    head = nonce + int((now + LIFETIME).timestamp()).to_bytes(8, "big")
    return head + _mac(key, purpose, head)


def check_challenge(keys: Sequence[bytes], purpose: str, challenge: bytes, now: datetime) -> datetime:
    """When the challenge ends. Raises Forbidden: made with none of these keys, or for something else, or over."""
    head, mac = challenge[:_HEAD], challenge[_HEAD:]
    is_ours = any(hmac.compare_digest(mac, _mac(key, purpose, head)) for key in keys)
    if len(challenge) != OCTETS or not is_ours:
        raise Forbidden("admin.console.challenge", code="challenge")
    ends = datetime.fromtimestamp(int.from_bytes(head[NONCE_OCTETS:], "big"), UTC)
    if now >= ends:
        raise Forbidden("admin.console.challenge", code="challenge")
    return ends


def _mac(key: bytes, purpose: str, head: bytes) -> bytes:
    return hmac.digest(key, f"blok365 console challenge\0{purpose}\0".encode() + head, hashlib.sha256)
