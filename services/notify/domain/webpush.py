"""Web Push: message encryption (RFC 8291 with RFC 8188's aes128gcm) and VAPID (RFC 8292).

No I/O, no clock and no random values, so that a test can compare it with the RFC's own example. Why it is not a
library: docs/adr/0008.
"""

import hashlib
import json
from collections.abc import Mapping
from datetime import datetime, timedelta

from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.asymmetric.utils import decode_dss_signature
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.kdf.hkdf import HKDF

from services.notify.domain.delivery import Delivery
from shared.crypto.vapid import public_point
from shared.ids import b64u, unb64u

RECORD_SIZE = 4096
MAX_PLAINTEXT = 3993
"""Octets. Every push service accepts 4096 (RFC 8291 section 4): 86 are the header, 16 the tag, 1 the delimiter."""
TOKEN_LIFETIME = timedelta(hours=2)
"""At most 24 h (RFC 8292 section 2)."""
REQUEST = "request"
"""The topic of a push about a sign-in request. A newer push of a topic replaces one that is not delivered yet (RFC 8030
section 5.4); each kind of push is a topic, at most 32 characters of the base64url alphabet.
"""


def payload_of(delivery: Delivery) -> bytes:
    """What the phone gets: JSON `{v, kind, id}`. The phone has the words, by `kind`; nothing personal is in it.

    `id` tells a push that comes twice from a newer one of its kind. It is a digest, so that it says nothing of what it
    is about.
    """
    digest = hashlib.sha256(delivery.id.encode()).digest()
    return json.dumps({"v": 1, "kind": delivery.kind, "id": b64u(digest[:9])}).encode()


def encrypt(
    plaintext: bytes, *, p256dh: str, auth: str, salt: bytes, ephemeral: ec.EllipticCurvePrivateKey
) -> bytes:
    """The body of a push message. `salt` (16 octets) and `ephemeral` are fresh for every message.

    Raises ValueError when the plaintext is too long.
    """
    if len(plaintext) > MAX_PLAINTEXT:
        raise ValueError("too long for one record")
    receiver_point = unb64u(p256dh)
    receiver = ec.EllipticCurvePublicKey.from_encoded_point(ec.SECP256R1(), receiver_point)
    sender_point = public_point(ephemeral.public_key())
    shared = ephemeral.exchange(ec.ECDH(), receiver)
    info = b"WebPush: info\x00" + receiver_point + sender_point  # RFC 8291 section 3.4
    ikm = _hkdf(unb64u(auth), shared, info, 32)
    key = _hkdf(salt, ikm, b"Content-Encoding: aes128gcm\x00", 16)  # RFC 8188 section 2.2
    nonce = _hkdf(salt, ikm, b"Content-Encoding: nonce\x00", 12)  # section 2.3, for record 0
    header = salt + RECORD_SIZE.to_bytes(4, "big") + bytes([len(sender_point)]) + sender_point
    return header + AESGCM(key).encrypt(nonce, plaintext + b"\x02", None)  # 2 marks the last record


def _hkdf(salt: bytes, secret: bytes, info: bytes, length: int) -> bytes:
    return HKDF(SHA256(), length, salt, info).derive(secret)


def authorization(key: ec.EllipticCurvePrivateKey, *, audience: str, contact: str, now: datetime) -> str:
    """The Authorization header (RFC 8292 section 3). `audience`: origin of the endpoint; `contact`: mailto or https."""
    claims = {"aud": audience, "exp": int((now + TOKEN_LIFETIME).timestamp()), "sub": contact}
    signed = f"{_part({'typ': 'JWT', 'alg': 'ES256'})}.{_part(claims)}"
    r, s = decode_dss_signature(key.sign(signed.encode(), ec.ECDSA(SHA256())))
    signature = r.to_bytes(32, "big") + s.to_bytes(32, "big")  # RFC 7518 section 3.4
    return f"vapid t={signed}.{b64u(signature)},k={b64u(public_point(key.public_key()))}"


def _part(fields: Mapping[str, object]) -> str:
    return b64u(json.dumps(fields, separators=(",", ":")).encode())
