"""Our verifier of WebAuthn assertions, held against py_webauthn on what honest and hostile phones can send.

Where the two differ, ours is the stricter one, and the last tests say in what.
"""

import codecs
import hashlib
import json
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any

import cbor2
import pytest
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, padding, rsa
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat
from hypothesis import given, settings
from hypothesis import strategies as st
from webauthn import verify_authentication_response
from webauthn.helpers.exceptions import WebAuthnException

from shared.crypto.assertion import InvalidAssertion, VerifiedAssertion, verify_assertion
from shared.ids import b64u

RP_ID, ORIGIN, CHALLENGE = "id.localhost", "http://key.id.localhost:8365", bytes(range(32))
UP, UV, BE, BS, AT, ED = 0x01, 0x04, 0x08, 0x10, 0x40, 0x80


@dataclass(frozen=True)
class Phone:
    """A key pair in both public forms: DER, as we keep it, and COSE (RFC 9052), as py_webauthn takes it."""

    sign: Callable[[bytes], bytes]
    der: bytes
    cose: bytes


def es256(number: int = 0x5EED) -> Phone:
    key = ec.derive_private_key(number, ec.SECP256R1())
    point = key.public_key().public_numbers()
    cose = {1: 2, 3: -7, -1: 1, -2: point.x.to_bytes(32, "big"), -3: point.y.to_bytes(32, "big")}
    ecdsa = ec.ECDSA(SHA256(), deterministic_signing=True)  # so that hypothesis can repeat a run
    return Phone(lambda data: key.sign(data, ecdsa), der(key.public_key()), cbor2.dumps(cose))


def eddsa() -> Phone:
    key = ed25519.Ed25519PrivateKey.from_private_bytes(b"\x05" * 32)
    raw = key.public_key().public_bytes(Encoding.Raw, PublicFormat.Raw)
    return Phone(key.sign, der(key.public_key()), cbor2.dumps({1: 1, 3: -8, -1: 6, -2: raw}))


def rs256(size: int = 2048) -> Phone:
    key = rsa.generate_private_key(65537, size)
    public = key.public_key().public_numbers()
    cose = {1: 3, 3: -257, -1: public.n.to_bytes(size // 8, "big"), -2: public.e.to_bytes(3, "big")}
    return Phone(
        lambda data: key.sign(data, padding.PKCS1v15(), SHA256()), der(key.public_key()), cbor2.dumps(cose)
    )


def der(key: Any) -> bytes:
    return bytes(key.public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo))


PHONES = {"ES256": es256(), "EdDSA": eddsa(), "RS256": rs256()}
ES256 = PHONES["ES256"]


@dataclass(frozen=True)
class Assertion:
    """What a phone sends."""

    authenticator_data: bytes
    client_data_json: bytes
    signature: bytes
    phone: Phone


def authenticator_data(
    *, flags: int = UP | UV, count: int = 0, rp_id: str = RP_ID, tail: bytes = b""
) -> bytes:
    return hashlib.sha256(rp_id.encode()).digest() + bytes([flags]) + count.to_bytes(4, "big") + tail


def client_data(**changes: object) -> bytes:
    honest = {"type": "webauthn.get", "challenge": b64u(CHALLENGE), "origin": ORIGIN, "crossOrigin": False}
    return json.dumps({k: v for k, v in {**honest, **changes}.items() if v is not None}).encode()


def asserted(phone: Phone = ES256, *, data: bytes | None = None, client: bytes | None = None) -> Assertion:
    """Really signed by the phone's key, whatever is in it."""
    data = authenticator_data() if data is None else data
    client = client_data() if client is None else client
    return Assertion(data, client, phone.sign(data + hashlib.sha256(client).digest()), phone)


def ours(assertion: Assertion) -> VerifiedAssertion:
    return verify_assertion(
        authenticator_data=assertion.authenticator_data,
        client_data_json=assertion.client_data_json,
        signature=assertion.signature,
        public_key=assertion.phone.der,
        expected_challenge=CHALLENGE,
        expected_origins=frozenset({ORIGIN}),
        expected_rp_id=RP_ID,
    )


def we_accept(assertion: Assertion) -> bool:
    try:
        ours(assertion)
    except InvalidAssertion:
        return False
    return True


def py_webauthn_accepts(assertion: Assertion) -> bool:
    credential = {
        "id": "Y3JlZA",
        "rawId": "Y3JlZA",
        "type": "public-key",
        "response": {
            "authenticatorData": b64u(assertion.authenticator_data),
            "clientDataJSON": b64u(assertion.client_data_json),
            "signature": b64u(assertion.signature),
        },
    }
    try:
        verify_authentication_response(
            credential=credential,
            expected_challenge=CHALLENGE,
            expected_rp_id=RP_ID,
            expected_origin=ORIGIN,
            credential_public_key=assertion.phone.cose,
            credential_current_sign_count=0,
            require_user_verification=True,
        )
    except (WebAuthnException, ValueError, KeyError, TypeError, AttributeError, RecursionError):
        return False
    return True


@pytest.mark.parametrize("name", PHONES)
@given(count=st.integers(0, 2**32 - 1), backup=st.sampled_from([0, BE, BE | BS]))
def test_both_accept_what_an_honest_phone_sends(name: str, count: int, backup: int) -> None:
    assertion = asserted(PHONES[name], data=authenticator_data(flags=UP | UV | backup, count=count))
    assert py_webauthn_accepts(assertion)
    verified = ours(assertion)
    assert verified.sign_count == count
    assert (verified.backup_eligible, verified.backed_up) == (bool(backup & BE), bool(backup & BS))


@pytest.mark.parametrize("name", PHONES)
def test_both_take_a_byte_order_mark_off_what_is_signed_with_it(name: str) -> None:
    assertion = asserted(PHONES[name], client=codecs.BOM_UTF8 + client_data())
    assert py_webauthn_accepts(assertion)
    assert we_accept(assertion)
    assert not we_accept(replace(assertion, client_data_json=client_data()))  # the mark is signed, too


HOSTILE: dict[str, Assertion] = {
    "registration replayed as sign-in": asserted(client=client_data(type="webauthn.create")),
    "payment confirmation replayed": asserted(client=client_data(type="payment.get")),
    "no type": asserted(client=client_data(type=None)),
    "challenge of another sign-in": asserted(client=client_data(challenge=b64u(bytes(32)))),
    "empty challenge": asserted(client=client_data(challenge="")),
    "challenge with half a code point": asserted(client=client_data(challenge="\ud800")),
    "challenge as a number": asserted(client=client_data(challenge=7)),
    "no challenge": asserted(client=client_data(challenge=None)),
    "phishing origin": asserted(client=client_data(origin="http://localhost.evil.example:8365")),
    "origin that begins like ours": asserted(client=client_data(origin=ORIGIN + ".evil.example")),
    "origin on another port": asserted(client=client_data(origin="http://key.id.localhost:83650")),
    "origin with another scheme": asserted(client=client_data(origin="https://key.id.localhost:8365")),
    "origin as a list": asserted(client=client_data(origin=[ORIGIN])),
    "origin as an object": asserted(client=client_data(origin={})),
    "no origin": asserted(client=client_data(origin=None)),
    "another RP": asserted(data=authenticator_data(rp_id="evil.example")),
    "user not present": asserted(data=authenticator_data(flags=UV)),
    "user not verified": asserted(data=authenticator_data(flags=UP)),
    "no flags": asserted(data=authenticator_data(flags=0)),
    "backed up but not eligible": asserted(data=authenticator_data(flags=UP | UV | BS)),
    "authenticatorData cut short": asserted(data=authenticator_data()[:36]),
    "authenticatorData empty": asserted(data=b""),
    "tail without a flag for it": asserted(data=authenticator_data(tail=b"tail")),
    "attested data promised and missing": asserted(data=authenticator_data(flags=UP | UV | AT)),
    "extensions promised and missing": asserted(data=authenticator_data(flags=UP | UV | ED)),
    "clientDataJSON is a list": asserted(client=b"[]"),
    "clientDataJSON is a number": asserted(client=b"7"),
    "clientDataJSON is empty": asserted(client=b""),
    "clientDataJSON is not UTF-8": asserted(client=b"\xff" + client_data()),
    "two byte order marks": asserted(client=2 * codecs.BOM_UTF8 + client_data()),
    "clientDataJSON is deeply nested": asserted(client=b"[" * 4000),
    "signature of another key": replace(asserted(), phone=es256(0xBAD)),
    "signature empty": replace(asserted(), signature=b""),
    "signature zero": replace(asserted(), signature=bytes.fromhex("3006020100020100")),
    "signature over clientDataJSON unhashed": replace(
        asserted(), signature=ES256.sign(authenticator_data() + client_data())
    ),
    "signature of other client data": replace(asserted(), client_data_json=client_data(extra="x")),
    "signature of other authenticator data": replace(asserted(), authenticator_data=authenticator_data(count=1)),
}  # fmt: skip


@pytest.mark.parametrize("attack", HOSTILE)
def test_both_refuse(attack: str) -> None:
    assert not we_accept(HOSTILE[attack])
    assert not py_webauthn_accepts(HOSTILE[attack])


@settings(max_examples=300)
@given(data=st.data(), name=st.sampled_from(sorted(PHONES)))
def test_neither_accepts_an_honest_assertion_with_an_octet_changed(data: st.DataObject, name: str) -> None:
    honest = asserted(PHONES[name])
    part = data.draw(st.sampled_from(["authenticator_data", "client_data_json", "signature"]))
    octets = bytearray(getattr(honest, part))
    octets[data.draw(st.integers(0, len(octets) - 1))] ^= data.draw(st.integers(1, 255))
    changed = replace(honest, **{part: bytes(octets)})  # type: ignore[arg-type]
    assert not we_accept(changed)
    assert not py_webauthn_accepts(changed)


VALUES = st.one_of(
    st.none(),
    st.booleans(),
    st.integers(),
    st.text(max_size=20),
    st.lists(st.text(max_size=5), max_size=2),
    st.sampled_from(
        [b64u(CHALLENGE), b64u(CHALLENGE) + "=", ORIGIN, ORIGIN + "/", "webauthn.get", "webauthn.create"]
    ),
)


@settings(max_examples=400)
@given(
    flags=st.integers(0, 255),
    tail=st.one_of(st.just(b""), st.binary(max_size=8), st.just(cbor2.dumps({"uvm": [1]}))),
    changes=st.dictionaries(
        st.sampled_from(["type", "challenge", "origin", "crossOrigin", "other"]), VALUES, max_size=2
    ),
)
def test_whatever_a_phone_signs_we_accept_nothing_that_py_webauthn_refuses(
    flags: int, tail: bytes, changes: dict[str, object]
) -> None:
    assertion = asserted(data=authenticator_data(flags=flags, tail=tail), client=client_data(**changes))
    if we_accept(assertion):
        assert tail == b"" or flags & ED
        # Extensions are inside the signature and nothing of ours reads them: their encoding is not checked.
        assert py_webauthn_accepts(assertion) or tail


@given(client=st.binary(max_size=200), data=st.binary(max_size=200), key=st.binary(max_size=100))
def test_whatever_octets_arrive_the_answer_is_invalid_and_nothing_else(
    client: bytes, data: bytes, key: bytes
) -> None:
    assert not we_accept(Assertion(data, client, b"", replace(ES256, der=key)))
    assert not we_accept(Assertion(authenticator_data(), client_data(), data, replace(ES256, der=key)))


def test_we_refuse_an_assertion_made_inside_somebodys_frame() -> None:
    values: tuple[object, ...] = (True, "false", 0, 1, [])
    for value in values:
        assert not we_accept(asserted(client=client_data(crossOrigin=value)))
    assert we_accept(asserted(client=client_data(crossOrigin=None)))


def test_we_take_the_challenge_in_its_one_spelling_only() -> None:
    for spelling in ([b64u(CHALLENGE)], b64u(CHALLENGE) + "=", " " + b64u(CHALLENGE)):
        assert not we_accept(asserted(client=client_data(challenge=spelling)))


def test_we_refuse_client_data_over_the_limit() -> None:
    assert not we_accept(asserted(client=client_data(other="x" * 4096)))


def test_we_refuse_keys_of_kinds_that_are_not_accepted() -> None:
    p384 = ec.derive_private_key(7, ec.SECP384R1())
    weak = rs256(1024)
    for phone in (
        Phone(lambda data: p384.sign(data, ec.ECDSA(SHA256())), der(p384.public_key()), b""),
        weak,
    ):
        assert not we_accept(asserted(phone))
