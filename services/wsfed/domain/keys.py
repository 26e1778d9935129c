"""Token-signing keys: RSA of 2048 bits or more with its certificate, and never SHA-1.

Entra ID knows a domain's key only by its certificate (federation settings, metadata), so the two always
travel together here. Where the key is kept (sealed document, PKCS#11) is not known here.
"""

import base64
import hashlib
from datetime import datetime, timedelta
from functools import lru_cache
from typing import Protocol

from cryptography import x509
from cryptography.exceptions import InvalidSignature, UnsupportedAlgorithm
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import padding, rsa
from cryptography.x509.oid import NameOID

from shared.errors import BadInput

MINIMUM_BITS = 2048
MAXIMUM_YEARS = 10
_CERTIFICATE_HASHES = (hashes.SHA256, hashes.SHA384, hashes.SHA512)


class SigningKey(Protocol):
    """Something that signs tokens: a key in memory, or one in a PKCS#11 module."""

    @property
    def certificate(self) -> bytes:
        """The X.509 certificate as DER."""
        ...

    @property
    def key_id(self) -> str:
        """A stable name of the key: `thumbprint()` of its certificate."""
        ...

    def sign(self, data: bytes) -> bytes:
        """RSASSA-PKCS1-v1_5 with SHA-256 over `data` (RFC 8017 section 8.2). Blocks for a millisecond or two."""
        ...


@lru_cache(maxsize=256)  # asked for with every token, of a few certificates
def thumbprint(certificate: bytes) -> str:
    """SHA-256 of a DER certificate, 64 upper-case hex digits (Microsoft's own lists show SHA-1 instead)."""
    return hashlib.sha256(certificate).hexdigest().upper()


@lru_cache(maxsize=256)
def certificate_base64(certificate: bytes) -> str:
    """DER as base64 on one line without PEM armour: what `signingCertificate` in Graph and KeyInfo take."""
    return base64.b64encode(certificate).decode("ascii")


def certificate_validity(certificate: bytes) -> tuple[datetime, datetime]:
    """`not_before` and `not_after` of a DER certificate, aware, UTC."""
    parsed = x509.load_der_x509_certificate(certificate)
    return parsed.not_valid_before_utc, parsed.not_valid_after_utc


class SigningKeyRefused(BadInput):
    """A key or certificate that must not sign tokens. Every one of them has the same remedy."""

    kind = "wsfed.signing_key"
    code = "signing_key_refused"


def check_certificate(certificate: bytes) -> rsa.RSAPublicKey:
    """The public key of a DER certificate that may sign tokens.

    Raises SigningKeyRefused for anything but RSA of at least 2048 bits under a certificate
    signed with SHA-256 or better. Not verified: dates, chain, who issued it (Entra ID pins the certificate).
    """
    try:
        parsed = x509.load_der_x509_certificate(certificate)
        public = parsed.public_key()
        certificate_hash = parsed.signature_hash_algorithm
    except (ValueError, UnsupportedAlgorithm) as error:
        raise SigningKeyRefused("wsfed.signing_key.certificate_unreadable") from error
    if not isinstance(public, rsa.RSAPublicKey):
        raise SigningKeyRefused("wsfed.signing_key.not_rsa")
    if public.key_size < MINIMUM_BITS:
        raise SigningKeyRefused("wsfed.signing_key.too_short", bits=public.key_size, least=MINIMUM_BITS)
    if not isinstance(certificate_hash, _CERTIFICATE_HASHES):
        raise SigningKeyRefused("wsfed.signing_key.weak_certificate")
    return public


class RsaSigningKey:
    """A signing key in this process's memory."""

    def __init__(self, private_key: rsa.RSAPrivateKey, certificate: bytes) -> None:
        """Raises SigningKeyRefused if the key is weak or is not the certificate's."""
        if check_certificate(certificate).public_numbers() != private_key.public_key().public_numbers():
            raise SigningKeyRefused("wsfed.signing_key.other_certificate")
        self._private_key = private_key
        self._certificate = certificate

    @classmethod
    def from_der(cls, private_key: bytes, certificate: bytes, *, authentic: bool = False) -> "RsaSigningKey":
        """From PKCS#8 (or PKCS#1) DER and certificate DER. Raises SigningKeyRefused.

        `authentic`: these are octets that we made and sealed ourselves, so their primes need no new proof (40 ms).
        """
        try:
            loaded = serialization.load_der_private_key(
                private_key, password=None, unsafe_skip_rsa_key_validation=authentic
            )
        except (ValueError, TypeError, UnsupportedAlgorithm) as error:
            raise SigningKeyRefused("wsfed.signing_key.unreadable") from error
        return cls(_rsa(loaded), certificate)

    @property
    def certificate(self) -> bytes:
        return self._certificate

    @property
    def key_id(self) -> str:
        """The certificate's SHA-256 thumbprint."""
        return thumbprint(self._certificate)

    def sign(self, data: bytes) -> bytes:
        return self._private_key.sign(data, padding.PKCS1v15(), hashes.SHA256())

    def private_der(self) -> bytes:
        """The key as unencrypted PKCS#8 DER, for sealing before it is stored; it must go nowhere else."""
        return self._private_key.private_bytes(
            serialization.Encoding.DER,
            serialization.PrivateFormat.PKCS8,
            serialization.NoEncryption(),
        )


def create_signing_key(
    common_name: str, not_before: datetime, years: int, *, bits: int = MINIMUM_BITS
) -> RsaSigningKey:
    """A new RSA key under a self-signed certificate, valid from `not_before` for `years` years (1 to 10).

    The key and the serial number come from the operating system's random source; they cannot be seeded. Takes up
    to a second: keep it off the event loop. Raises SigningKeyRefused.
    """
    if bits < MINIMUM_BITS:
        raise SigningKeyRefused("wsfed.signing_key.bits", least=MINIMUM_BITS)
    if not 1 <= years <= MAXIMUM_YEARS:
        raise SigningKeyRefused("wsfed.signing_key.years", most=MAXIMUM_YEARS)
    if not 1 <= len(common_name) <= 64:  # RFC 5280 appendix A.1, ub-common-name
        raise SigningKeyRefused("wsfed.signing_key.common_name")
    private_key = rsa.generate_private_key(public_exponent=65537, key_size=bits)
    public_key = private_key.public_key()
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, common_name)])
    key_identifier = x509.SubjectKeyIdentifier.from_public_key(public_key)
    certificate = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(public_key)
        .serial_number(x509.random_serial_number())
        .not_valid_before(not_before)
        .not_valid_after(_years_later(not_before, years))
        .add_extension(x509.BasicConstraints(ca=False, path_length=None), critical=True)
        .add_extension(_DIGITAL_SIGNATURE_ONLY, critical=True)
        .add_extension(key_identifier, critical=False)
        .sign(private_key, hashes.SHA256())
    )
    return RsaSigningKey(private_key, certificate.public_bytes(serialization.Encoding.DER))


def verify_signature(certificate: bytes, signature: bytes, data: bytes) -> bool:
    """Whether `signature` is the certificate key's RSASSA-PKCS1-v1_5 SHA-256 signature over `data`."""
    try:
        check_certificate(certificate).verify(signature, data, padding.PKCS1v15(), hashes.SHA256())
    except InvalidSignature:
        return False
    return True


_DIGITAL_SIGNATURE_ONLY = x509.KeyUsage(
    digital_signature=True,
    content_commitment=False,
    key_encipherment=False,
    data_encipherment=False,
    key_agreement=False,
    key_cert_sign=False,
    crl_sign=False,
    encipher_only=False,
    decipher_only=False,
)


def _years_later(moment: datetime, years: int) -> datetime:
    try:
        return moment.replace(year=moment.year + years)
    except ValueError:  # 29 February
        return moment.replace(year=moment.year + years, month=3, day=1) - timedelta(days=1)


def _rsa(key: object) -> rsa.RSAPrivateKey:
    if not isinstance(key, rsa.RSAPrivateKey):
        raise SigningKeyRefused("wsfed.signing_key.not_rsa")
    return key
