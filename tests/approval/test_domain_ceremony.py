"""WebAuthn ceremonies: what py_webauthn refuses, and what it would not."""

import hashlib
from dataclasses import replace
from typing import Any

import cbor2
import pytest
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from cryptography.hazmat.primitives.asymmetric.padding import PKCS1v15
from cryptography.hazmat.primitives.hashes import SHA256
from hypothesis import given
from hypothesis import strategies as st

from deploy.standins.phone.authenticator import (
    AT,
    BE,
    BS,
    UP,
    UV,
    Algorithm,
    Key,
    Tamper,
    assertion,
    attestation,
    make_private_key,
)
from services.approval.domain import ceremony
from services.approval.domain.ceremony import RelyingParty, VerifiedKey
from shared.crypto.assertion import verify_assertion
from shared.errors import BadInput, Blok365Error, Forbidden
from shared.ids import SeededIds, b64u, unb64u

IDS = SeededIds("ceremony")
ORIGIN = "https://id.example"
RP = RelyingParty("id.example", (ORIGIN, "android:apk-key-hash:blokkey"))
CHALLENGE = hashlib.sha256(b"challenge").digest()


def key(algorithm: Algorithm = "ES256") -> Key:
    return Key(
        credential_id=b64u(IDS.random_bytes(32)),
        private_key=make_private_key(algorithm, IDS),
        origin=ORIGIN,
        rp_id="id.example",
        tenant="contoso",
        account="ada",
        sign_count=1,
    )


def register(credential: dict[str, Any]) -> VerifiedKey:
    return ceremony.verify_registration(ceremony.registration(credential), challenge=CHALLENGE, rp=RP)


def answer(credential: dict[str, Any], known: VerifiedKey) -> ceremony.VerifiedAnswer:
    return ceremony.verify_answer(
        ceremony.assertion(credential), cose_key=known.cose_key, challenge=CHALLENGE, context="{}", rp=RP
    )


@pytest.mark.parametrize("algorithm", ["ES256", "EdDSA"])
def test_registration_and_assertion_verify_here_and_by_the_independent_path(algorithm: Algorithm) -> None:
    made = key(algorithm)
    known = register(attestation(made, CHALLENGE))
    assert known.public_key == made.spki
    assert known.credential_id == made.credential_id
    verified = answer(assertion(made.used(), CHALLENGE), known)
    assert verified.sign_count == 2
    verify_assertion(
        authenticator_data=unb64u(verified.proof.authenticator_data),
        client_data_json=unb64u(verified.proof.client_data_json),
        signature=unb64u(verified.proof.signature),
        public_key=known.public_key,
        expected_challenge=CHALLENGE,
        expected_origins=frozenset(RP.origins),
        expected_rp_id=RP.id,
    )


def test_rsa_key_of_a_windows_phone_is_accepted() -> None:
    private = rsa.generate_private_key(public_exponent=65537, key_size=2048)
    numbers = private.public_key().public_numbers()
    cose = cbor2.dumps({1: 3, 3: -257, -1: numbers.n.to_bytes(256, "big"), -2: b"\x01\x00\x01"})
    known = register(with_cose(cose))
    made = assertion(replace(key(), credential_id=known.credential_id), CHALLENGE)
    signed = unb64u(made["response"]["authenticatorData"])
    signed += hashlib.sha256(unb64u(made["response"]["clientDataJSON"])).digest()
    made["response"]["signature"] = b64u(private.sign(signed, PKCS1v15(), SHA256()))
    assert answer(made, known).sign_count == 1


def with_cose(cose: bytes) -> dict[str, Any]:
    """A registration whose public key is that COSE key."""
    made = key()
    credential = attestation(made, CHALLENGE)
    stored = cbor2.loads(unb64u(credential["response"]["attestationObject"]))
    head = stored["authData"][: 37 + 16 + 2 + 32]
    stored["authData"] = head + cose
    credential["response"]["attestationObject"] = b64u(cbor2.dumps(stored))
    return credential


def _point(curve: ec.EllipticCurve, size: int) -> tuple[bytes, bytes]:
    numbers = ec.derive_private_key(7, curve).public_key().public_numbers()
    return numbers.x.to_bytes(size, "big"), numbers.y.to_bytes(size, "big")


_P256 = _point(ec.SECP256R1(), 32)
_P384 = _point(ec.SECP384R1(), 48)


@pytest.mark.parametrize(
    "cose",
    [
        cbor2.dumps({1: 2, 3: -7, -1: 2, -2: _P384[0], -3: _P384[1]}),
        cbor2.dumps({1: 2, 3: -35, -1: 2, -2: _P384[0], -3: _P384[1]}),
        cbor2.dumps({1: 3, 3: -257, -1: b"\xff" * 128, -2: b"\x01\x00\x01"}),
        cbor2.dumps({1: 2, 3: -7, -1: 1, -2: b"\x01" * 32, -3: b"\x01" * 32}),
        b"\x04" + _P256[0],
        cbor2.dumps({1: 2}),
        cbor2.dumps([]),
        b"\xff",
        b"",
    ],
    ids=["P-384 as ES256", "ES384", "RSA-1024", "not on the curve", "half a point", "no fields", "a list",
         "no CBOR", "nothing"],
)  # fmt: skip
def test_rejects_a_key_that_could_not_be_verified_later(cose: bytes) -> None:
    with pytest.raises(Forbidden) as refused:
        register(with_cose(cose))
    assert refused.value.code == "registration"


LIES = {
    "without user verification": (Tamper(flags=UP), "user was not verified"),
    "without user presence": (Tamper(flags=UV), "not present"),
    "backed up but not eligible": (Tamper(flags=UP | UV | BS), "backed up"),
    "other origin": (Tamper(origin="https://id.example.evil.example"), "client data origin"),
    "origin of another scheme": (Tamper(origin="http://id.example"), "client data origin"),
    "other RP ID": (Tamper(rp_id="evil.example"), "RP ID hash"),
    "other challenge": (Tamper(challenge=bytes(32)), "challenge was not expected"),
    "in a foreign frame": (Tamper(cross_origin=True), "other_page"),
}
"""And why each is refused: the error's id or what the library said, so that none passes by another's check."""
OF_ASSERTIONS = {
    "a registration": (Tamper(type="webauthn.create"), "client data type"),
    "foreign key": (Tamper(signing_key=make_private_key("ES256", IDS)), "verify authentication signature"),
}


def why(refused: Blok365Error) -> str:
    return f"{refused.id}: {refused.__cause__ or ''}"


@pytest.mark.parametrize(("tamper", "reason"), LIES.values(), ids=LIES)
def test_rejects_registration(tamper: Tamper, reason: str) -> None:
    with pytest.raises(Forbidden) as refused:
        register(attestation(key(), CHALLENGE, tamper))
    assert reason in why(refused.value)


@pytest.mark.parametrize(
    ("tamper", "reason"), [*LIES.values(), *OF_ASSERTIONS.values()], ids=[*LIES, *OF_ASSERTIONS]
)
def test_rejects_assertion(tamper: Tamper, reason: str) -> None:
    made = key()
    known = register(attestation(made, CHALLENGE))
    with pytest.raises(Forbidden) as refused:
        answer(assertion(made.used(), CHALLENGE, tamper), known)
    assert refused.value.code == "assertion"
    assert reason in why(refused.value)


def test_native_app_origin_on_the_list_is_accepted() -> None:
    made = key()
    known = register(attestation(made, CHALLENGE, Tamper(origin="android:apk-key-hash:blokkey")))
    answer(assertion(made, CHALLENGE, Tamper(origin="android:apk-key-hash:blokkey")), known)


def test_flags_of_a_synced_key_are_kept() -> None:
    known = register(attestation(key(), CHALLENGE, Tamper(flags=UP | UV | AT | BE | BS)))
    assert known.backup_eligible
    assert known.backed_up


@pytest.mark.parametrize(
    ("known", "new", "good"), [(0, 0, True), (1, 2, True), (0, 5, True), (2, 2, False), (5, 0, False)]
)
def test_counter_goes_up_unless_there_is_none(known: int, new: int, good: bool) -> None:
    if good:
        ceremony.check_sign_count(known, new)
    else:
        with pytest.raises(Forbidden):
            ceremony.check_sign_count(known, new)


def _changed(path: str, value: object) -> dict[str, Any]:
    credential = assertion(key(), CHALLENGE)
    at = credential
    *parents, last = path.split(".")
    for name in parents:
        at = at[name]
    at[last] = value
    return credential


@pytest.mark.parametrize(
    "raw",
    [
        None,
        "text",
        [],
        {},
        {"response": {}},
        _changed("response", None),
        _changed("response.signature", None),
        _changed("response.signature", ""),
        _changed("response.signature", "=="),
        _changed("response.signature", "x" * 20_000),
        _changed("response.authenticatorData", 7),
        _changed("response.clientDataJSON", b64u(b"[]")),
        _changed("response.clientDataJSON", b64u(b"\xff\xfe")),
        _changed("response.clientDataJSON", b64u(b"[" * 4000)),
        _changed("id", "other"),
        _changed("rawId", b64u(bytes(1024))),
        _changed("type", "password"),
    ],
)
def test_malformed_credential_is_bad_input(raw: object) -> None:
    with pytest.raises(BadInput):
        ceremony.assertion(raw)


@given(st.binary(max_size=200), st.binary(max_size=200))
def test_any_octets_as_an_authenticator_are_refused_cleanly(first: bytes, second: bytes) -> None:
    made = assertion(key(), CHALLENGE)
    made["response"]["authenticatorData"] = b64u(first) or "AA"
    made["response"]["signature"] = b64u(second) or "AA"
    registered = attestation(key(), CHALLENGE)
    registered["response"]["attestationObject"] = b64u(first) or "AA"
    with pytest.raises(Blok365Error):
        ceremony.verify_answer(
            ceremony.assertion(made), cose_key=second, challenge=CHALLENGE, context="", rp=RP
        )
    with pytest.raises(Blok365Error):
        register(registered)
