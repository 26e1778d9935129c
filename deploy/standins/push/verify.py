"""What a push service and a browser check of one push message."""

import base64
import json
import re
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

import http_ece
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.asymmetric.utils import encode_dss_signature
from cryptography.hazmat.primitives.hashes import SHA256

MAX_BODY = 4096
MAX_TTL = 4 * 7 * 24 * 3600
URGENCIES = ("very-low", "low", "normal", "high")
_TOPIC = re.compile(r"[A-Za-z0-9_-]{1,32}")
_VAPID = re.compile(r"vapid t=([A-Za-z0-9_-]+\.[A-Za-z0-9_-]+\.[A-Za-z0-9_-]+), ?k=([A-Za-z0-9_-]+)")


class PushRefused(Exception):
    """The status that the service answers, and why."""

    def __init__(self, status: int, reason: str) -> None:
        self.status = status
        super().__init__(f"{status} {reason}")


@dataclass(frozen=True, slots=True)
class Received:
    """A message that passed every check, as the browser's service worker gets it."""

    plaintext: bytes
    ttl: int
    urgency: str
    topic: str | None
    octets: int
    """Length of the encrypted body in octets."""
    subject: str
    """Whom the token names as contact."""


@dataclass(frozen=True, slots=True)
class Browser:
    """The browser's half of a subscription."""

    key: ec.EllipticCurvePrivateKey
    auth: bytes
    application_server_key: bytes
    """What it subscribed with: only that key may push (RFC 8292 section 4.1)."""


def verify_push(
    headers: Mapping[str, str], body: bytes, *, browser: Browser, origin: str, now: datetime
) -> Received:
    """Check all of it. `headers`: names case-insensitive. Raises PushRefused."""
    subject = _check_authorization(headers, browser, origin, now)
    ttl_text = headers.get("TTL", "")
    if not (ttl_text.isascii() and ttl_text.isdigit()) or int(ttl_text) > MAX_TTL:  # RFC 8030 section 5.2
        raise PushRefused(400, "TTL")
    urgency = headers.get("Urgency", "normal")
    if urgency not in URGENCIES:  # section 5.3
        raise PushRefused(400, "Urgency")
    topic = headers.get("Topic")
    if topic is not None and not _TOPIC.fullmatch(topic):  # section 5.4
        raise PushRefused(400, "Topic")
    if len(body) > MAX_BODY:  # section 7.2
        raise PushRefused(413, "too large")
    if headers.get("Content-Encoding") != "aes128gcm":  # RFC 8291 section 4
        raise PushRefused(415, "Content-Encoding")
    if "Crypto-Key" in headers or "Encryption" in headers:
        raise PushRefused(400, "headers of the draft")
    return Received(_decrypt(body, browser), int(ttl_text), urgency, topic, len(body), subject)


def _check_authorization(headers: Mapping[str, str], browser: Browser, origin: str, now: datetime) -> str:
    match = _VAPID.fullmatch(headers.get("Authorization", ""))
    if match is None:
        raise PushRefused(401, "no vapid authorization (RFC 8292 section 3)")
    token, key_text = match.groups()
    key = _octets(key_text)
    if key != browser.application_server_key:
        raise PushRefused(403, "another key than the subscription's (section 4.2)")
    signed, _, signature_text = token.rpartition(".")
    signature = _octets(signature_text)
    if len(signature) != 64:
        raise PushRefused(403, "signature")
    try:
        public = ec.EllipticCurvePublicKey.from_encoded_point(ec.SECP256R1(), key)
        r, s = int.from_bytes(signature[:32], "big"), int.from_bytes(signature[32:], "big")
        public.verify(encode_dss_signature(r, s), signed.encode(), ec.ECDSA(SHA256()))
    except (InvalidSignature, ValueError) as error:
        raise PushRefused(403, "signature") from error
    header, claims = (_object(part) for part in signed.split("."))
    if header.get("alg") != "ES256" or header.get("typ", "JWT") != "JWT":
        raise PushRefused(403, "alg")
    if claims.get("aud") != origin:
        raise PushRefused(403, "aud")
    expires = claims.get("exp")
    if not isinstance(expires, int) or isinstance(expires, bool):
        raise PushRefused(403, "exp")
    if expires <= now.timestamp() or expires > (now + timedelta(hours=24)).timestamp():  # section 2
        raise PushRefused(403, "exp is past, or more than 24 h ahead")
    subject = claims.get("sub")  # section 2.1; Apple's push service insists on it
    if not isinstance(subject, str) or not subject.startswith(("mailto:", "https://")):
        raise PushRefused(403, "sub")
    return subject


def _decrypt(body: bytes, browser: Browser) -> bytes:
    if len(body) < 21 or len(body) < 21 + body[20]:
        raise PushRefused(400, "no aes128gcm header (RFC 8188 section 2.1)")
    if body[20] != 65:
        raise PushRefused(400, "keyid is not the sender's key (RFC 8291 section 4)")
    if len(body) - 86 > int.from_bytes(body[16:20], "big"):
        raise PushRefused(400, "more than one record (RFC 8291 section 4)")
    try:
        plaintext: bytes = http_ece.decrypt(
            body, private_key=browser.key, auth_secret=browser.auth, version="aes128gcm"
        )
    except Exception as error:  # whatever it raises, the browser would drop the message
        raise PushRefused(400, f"the browser cannot decrypt it: {type(error).__name__}") from error
    return plaintext


def _octets(text: str) -> bytes:
    try:
        return base64.urlsafe_b64decode(text + "=" * (-len(text) % 4))
    except ValueError as error:
        raise PushRefused(403, "not base64url") from error


def _object(part: str) -> dict[str, Any]:
    try:
        found = json.loads(_octets(part))
    except ValueError as error:
        raise PushRefused(403, "token is not JSON") from error
    if not isinstance(found, dict):
        raise PushRefused(403, "token is not an object")
    return found
