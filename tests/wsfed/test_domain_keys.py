"""Signing keys: what is made, what is refused."""

import re
from datetime import UTC, datetime, timedelta

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, rsa
from cryptography.x509.oid import NameOID

from services.wsfed.domain.keys import (
    RsaSigningKey,
    certificate_base64,
    certificate_validity,
    check_certificate,
    create_signing_key,
    thumbprint,
    verify_signature,
)
from shared.errors import BadInput
from tests.wsfed.domain_samples import NOW, signing_key

PrivateKey = rsa.RSAPrivateKey | ec.EllipticCurvePrivateKey | ed25519.Ed25519PrivateKey


def self_signed(key: PrivateKey, algorithm: hashes.SHA256 | hashes.SHA512 | None) -> bytes:
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "test")])
    builder = x509.CertificateBuilder().subject_name(name).issuer_name(name).public_key(key.public_key())
    builder = builder.serial_number(7).not_valid_before(NOW).not_valid_after(NOW + timedelta(days=9))
    return builder.sign(key, algorithm).public_bytes(serialization.Encoding.DER)


def refused(caught: pytest.ExceptionInfo[BadInput]) -> bool:
    return caught.value.code == "signing_key_refused" and bool(caught.value.detail and caught.value.remedy)


def test_created_key_signs_and_its_certificate_verifies() -> None:
    key = signing_key()
    signature = key.sign(b"octets")
    assert verify_signature(key.certificate, signature, b"octets")
    assert not verify_signature(key.certificate, signature, b"Octets")
    assert not verify_signature(signing_key(1).certificate, signature, b"octets")


def test_created_certificate_is_for_signing_only_and_names_itself() -> None:
    certificate = x509.load_der_x509_certificate(signing_key().certificate)
    assert certificate.subject == certificate.issuer
    assert certificate.subject.rfc4514_string() == "CN=Blok365 test 0"
    assert isinstance(certificate.signature_hash_algorithm, hashes.SHA256)
    public = certificate.public_key()
    assert isinstance(public, rsa.RSAPublicKey)
    assert (public.key_size, public.public_numbers().e) == (2048, 65537)
    usage = certificate.extensions.get_extension_for_class(x509.KeyUsage).value
    assert usage.digital_signature
    assert not usage.key_cert_sign
    assert not certificate.extensions.get_extension_for_class(x509.BasicConstraints).value.ca
    assert 0 < certificate.serial_number < 2**159


def test_certificate_is_valid_for_whole_years() -> None:
    start = NOW - timedelta(days=1)
    assert certificate_validity(signing_key().certificate) == (
        start.replace(microsecond=0),
        start.replace(year=start.year + 3, microsecond=0),
    )


def test_certificate_from_a_leap_day_ends_on_28_february() -> None:
    key = create_signing_key("leap", datetime(2028, 2, 29, 12, tzinfo=UTC), 1)
    assert certificate_validity(key.certificate)[1] == datetime(2029, 2, 28, 12, tzinfo=UTC)


def test_two_keys_differ_in_every_name() -> None:
    one, two = signing_key(), signing_key(1)
    serials = {x509.load_der_x509_certificate(k.certificate).serial_number for k in (one, two)}
    assert len(serials) == 2
    assert one.key_id != two.key_id


def test_names_of_a_certificate() -> None:
    key = signing_key()
    fingerprint = x509.load_der_x509_certificate(key.certificate).fingerprint(hashes.SHA256())
    assert key.key_id == thumbprint(key.certificate) == fingerprint.hex().upper()
    assert re.fullmatch(r"[A-Za-z0-9+/]+=*", certificate_base64(key.certificate))


def test_key_comes_back_from_der() -> None:
    key = signing_key()
    again = RsaSigningKey.from_der(key.private_der(), key.certificate)
    assert again.certificate == key.certificate
    assert again.sign(b"x") == key.sign(b"x")


def test_refuses_a_key_that_is_not_the_certificates() -> None:
    with pytest.raises(BadInput) as caught:
        RsaSigningKey.from_der(signing_key().private_der(), signing_key(1).certificate)
    assert refused(caught)


def test_refuses_a_short_rsa_key() -> None:
    short = rsa.generate_private_key(public_exponent=65537, key_size=1024)
    with pytest.raises(BadInput, match="1024") as caught:
        RsaSigningKey(short, self_signed(short, hashes.SHA256()))
    assert refused(caught)
    with pytest.raises(BadInput):
        create_signing_key("short", NOW, 1, bits=1024)


@pytest.mark.parametrize(
    ("key", "algorithm"),
    [
        (ec.generate_private_key(ec.SECP256R1()), hashes.SHA256()),
        (ed25519.Ed25519PrivateKey.generate(), None),
    ],
    ids=["P-256", "Ed25519"],
)
def test_refuses_keys_that_are_not_rsa(key: PrivateKey, algorithm: hashes.SHA256 | None) -> None:
    certificate = self_signed(key, algorithm)
    with pytest.raises(BadInput) as caught:
        check_certificate(certificate)
    assert refused(caught)
    der = key.private_bytes(
        serialization.Encoding.DER, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )
    with pytest.raises(BadInput):
        RsaSigningKey.from_der(der, certificate)


def test_refuses_a_certificate_signed_with_sha1() -> None:
    # The library makes no SHA-1 certificate any more, so the algorithm names in a good one are replaced:
    # sha256WithRSAEncryption (1.2.840.113549.1.1.11) by sha1WithRSAEncryption (1.1.5).
    good = signing_key().certificate
    weak = good.replace(bytes.fromhex("2a864886f70d01010b"), bytes.fromhex("2a864886f70d010105"))
    assert weak != good
    check_certificate(good)
    with pytest.raises(BadInput, match="SHA-256") as caught:
        check_certificate(weak)
    assert refused(caught)


def test_accepts_a_stronger_certificate() -> None:
    key = serialization.load_der_private_key(signing_key().private_der(), password=None)
    assert isinstance(key, rsa.RSAPrivateKey)
    check_certificate(self_signed(key, hashes.SHA512()))


@pytest.mark.parametrize("junk", [b"", b"junk", b"0" * 500])
def test_refuses_what_cannot_be_read(junk: bytes) -> None:
    good = signing_key()
    for attempt in (
        lambda: check_certificate(junk),
        lambda: RsaSigningKey.from_der(junk, good.certificate),
        lambda: RsaSigningKey.from_der(good.private_der(), junk),
    ):
        with pytest.raises(BadInput) as caught:
            attempt()
        assert refused(caught)


@pytest.mark.parametrize("years", [0, -1, 11])
def test_refuses_odd_lifetimes(years: int) -> None:
    with pytest.raises(BadInput):
        create_signing_key("x", NOW, years)


@pytest.mark.parametrize("name", ["", "x" * 65])
def test_refuses_common_names_that_do_not_fit(name: str) -> None:
    with pytest.raises(BadInput):
        create_signing_key(name, NOW, 1)
