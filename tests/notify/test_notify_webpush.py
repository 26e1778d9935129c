"""Encryption and VAPID against RFC 8291's own example, an independent library and the strict stand-in."""

import base64
import json
from datetime import UTC, datetime, timedelta
from typing import Any

import http_ece
import pytest
from cryptography.hazmat.primitives.asymmetric import ec
from py_vapid import Vapid02

from deploy.standins.push.verify import Browser, PushRefused, verify_push
from services.notify.domain.webpush import MAX_PLAINTEXT, authorization, encrypt
from shared.crypto.vapid import public_point
from shared.ids import SeededIds, b64u, unb64u

NOW = datetime(2026, 3, 2, 8, 0, tzinfo=UTC)
ORIGIN = "https://push.example.net"
IDS = SeededIds("webpush")
VAPID = ec.generate_private_key(ec.SECP256R1())
UA = ec.generate_private_key(ec.SECP256R1())
AUTH = IDS.random_bytes(16)


def private(text: str) -> ec.EllipticCurvePrivateKey:
    return ec.derive_private_key(int.from_bytes(unb64u(text), "big"), ec.SECP256R1())


def test_encrypts_as_in_rfc_8291_section_5() -> None:
    body = encrypt(
        b"When I grow up, I want to be a watermelon",
        p256dh="BCVxsr7N_eNgVRqvHtD0zTZsEc6-VV-JvLexhqUzORcxaOzi6-AYWXvTBHm4bjyPjs7Vd8pZGH6SRpkNtoIAiw4",
        auth="BTBZMqHH6r4Tts7J_aSIgg",
        salt=unb64u("DGv6ra1nlYgDCS1FRnbzlw"),
        ephemeral=private("yfWPiYE-n46HLnH0KqZOF1fJJU3MYrct3AELtAQ-oRw"),
    )
    assert b64u(body) == (
        "DGv6ra1nlYgDCS1FRnbzlwAAEABBBP4z9KsN6nGRTbVYI_c7VJSPQTBtkgcy27ml"
        "mlMoZIIgDll6e3vCYLocInmYWAmS6TlzAC8wEqKK6PBru3jl7A_yl95bQpu6cVPT"
        "pK4Mqgkf1CXztLVBSt2Ks3oZwbuwXPXLWyouBWLVWGNWQexSgSxsj_Qulcy4a-fN"
    )


def test_an_independent_library_reads_what_we_encrypt() -> None:
    read = http_ece.decrypt(message(b"hello"), private_key=UA, auth_secret=AUTH, version="aes128gcm")
    assert read == b"hello"


def test_an_independent_library_accepts_our_token() -> None:
    header = authorization(VAPID, audience=ORIGIN, contact="mailto:ops@contoso.example", now=NOW)
    assert Vapid02.verify(auth=header)


def message(plaintext: bytes = b"hello") -> bytes:
    return encrypt(
        plaintext,
        p256dh=b64u(public_point(UA.public_key())),
        auth=b64u(AUTH),
        salt=IDS.random_bytes(16),
        ephemeral=ec.generate_private_key(ec.SECP256R1()),
    )


def headers(**changed: str | None) -> dict[str, str]:
    made: dict[str, Any] = {
        "Authorization": authorization(VAPID, audience=ORIGIN, contact="mailto:ops@contoso.example", now=NOW),
        "TTL": "120",
        "Urgency": "high",
        "Topic": "request",
        "Content-Encoding": "aes128gcm",
    }
    made |= {name.replace("_", "-"): value for name, value in changed.items()}
    return {name: value for name, value in made.items() if value is not None}


BROWSER = Browser(UA, AUTH, public_point(VAPID.public_key()))


def test_the_largest_message_fits_into_what_every_push_service_takes() -> None:
    body = message(b"x" * MAX_PLAINTEXT)
    assert len(body) == 4096
    verify_push(headers(), body, browser=BROWSER, origin=ORIGIN, now=NOW)
    with pytest.raises(ValueError, match="too long"):
        message(b"x" * (MAX_PLAINTEXT + 1))


def test_two_messages_share_neither_salt_nor_key() -> None:
    first, second = message(), message()
    assert first[:16] != second[:16]
    assert first[21:86] != second[21:86]


def token(claims: dict[str, Any], key: ec.EllipticCurvePrivateKey = VAPID, alg: str = "ES256") -> str:
    """A token with other claims, signed by the library."""
    vapid = Vapid02(key)
    header = vapid.sign({"aud": ORIGIN, "sub": "mailto:a@b.example", **claims})["Authorization"]
    signed = header.partition("t=")[2].partition(",")[0]
    if alg != "ES256":
        parts = signed.split(".")
        parts[0] = (
            base64.urlsafe_b64encode(json.dumps({"alg": alg, "typ": "JWT"}).encode()).decode().rstrip("=")
        )
        signed = ".".join(parts)
    return f"vapid t={signed}, k={b64u(public_point(key.public_key()))}"


IN_AN_HOUR = int((NOW + timedelta(hours=1)).timestamp())


@pytest.mark.parametrize(
    ("changed", "status"),
    [
        ({"Authorization": None}, 401),
        ({"Authorization": "WebPush abc"}, 401),
        ({"Authorization": token({"exp": IN_AN_HOUR}, key=UA)}, 403),
        ({"Authorization": token({"exp": IN_AN_HOUR, "aud": "https://other.example"})}, 403),
        ({"Authorization": token({"exp": int(NOW.timestamp()) - 1})}, 403),
        ({"Authorization": token({"exp": int((NOW + timedelta(hours=25)).timestamp())})}, 403),
        ({"Authorization": token({"exp": IN_AN_HOUR}, alg="none")}, 403),
        ({"TTL": None}, 400),
        ({"TTL": "-1"}, 400),
        ({"TTL": "soon"}, 400),
        ({"Urgency": "now"}, 400),
        ({"Topic": "x" * 33}, 400),
        ({"Content_Encoding": "aesgcm"}, 415),
    ],
)
def test_the_stand_in_refuses_what_a_push_service_refuses(
    changed: dict[str, str | None], status: int
) -> None:
    with pytest.raises(PushRefused) as refused:
        verify_push(headers(**changed), message(), browser=BROWSER, origin=ORIGIN, now=NOW)
    assert refused.value.status == status


@pytest.mark.parametrize(
    ("body", "status"),
    [
        (message(b"x" * MAX_PLAINTEXT) + b"x", 413),
        (b"", 400),
        (message()[:-1] + b"\x00", 400),
        (message()[:30], 400),
    ],
    ids=["too long", "empty", "damaged", "cut off"],
)
def test_the_stand_in_refuses_bodies_that_no_browser_could_read(body: bytes, status: int) -> None:
    with pytest.raises(PushRefused) as refused:
        verify_push(headers(), body, browser=BROWSER, origin=ORIGIN, now=NOW)
    assert refused.value.status == status


def test_what_the_stand_in_accepts_is_what_was_sent() -> None:
    got = verify_push(headers(), message(b"words"), browser=BROWSER, origin=ORIGIN, now=NOW)
    assert (got.plaintext, got.ttl, got.urgency, got.topic) == (b"words", 120, "high", "request")
