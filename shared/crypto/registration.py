"""Verify the registration of a new WebAuthn credential, with py_webauthn (Web Authentication Level 3, section 7.1).

Beyond the library: keys only of the kinds that `shared.crypto.assertion` verifies later. Attestation is not asked for
and not believed: it proves no vendor here.
"""

from dataclasses import dataclass

from cryptography.hazmat.primitives.asymmetric import ec, ed25519, rsa
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

from shared.ids import b64u


class InvalidRegistration(Exception):
    """The registration does not prove what was expected. The text is for the log, not for a stranger."""


@dataclass(frozen=True, slots=True)
class VerifiedKey:
    """A new credential whose registration was verified, with user verification.

    Not verified: what kind of device holds it; whose it is.
    """

    credential_id: str
    """base64url."""
    cose_key: bytes
    public_key: bytes
    """DER SubjectPublicKeyInfo."""
    sign_count: int
    backup_eligible: bool
    backed_up: bool


def verify_registration(
    *,
    credential_id: str,
    attestation_object: str,
    client_data_json: str,
    expected_challenge: bytes,
    expected_origins: tuple[str, ...],
    expected_rp_id: str,
) -> VerifiedKey:
    """Check a registration whose fields came as base64url. Raises InvalidRegistration.

    Not verified: that it was made outside of other people's frames (`crossOrigin`), which the caller looks at, because
    the library does not.
    """
    # Imported here: the command line takes in admin's handlers without ever verifying a key, and would wait for these.
    from webauthn import verify_registration_response
    from webauthn.helpers.cose import COSEAlgorithmIdentifier
    from webauthn.helpers.structs import CredentialDeviceType

    algorithms = [
        COSEAlgorithmIdentifier.ECDSA_SHA_256,
        COSEAlgorithmIdentifier.EDDSA,
        COSEAlgorithmIdentifier.RSASSA_PKCS1_v1_5_SHA_256,
    ]
    credential = {
        "id": credential_id,
        "rawId": credential_id,
        "type": "public-key",
        "response": {"attestationObject": attestation_object, "clientDataJSON": client_data_json},
    }
    try:
        verified = verify_registration_response(
            credential=credential,
            expected_challenge=expected_challenge,
            expected_rp_id=expected_rp_id,
            expected_origin=list(expected_origins),
            require_user_verification=True,
            supported_pub_key_algs=algorithms,
        )
        public_key = _spki(verified.credential_public_key)
    except Exception as error:  # the library parses a stranger's CBOR: anything it raises means no
        raise InvalidRegistration(str(error)) from error
    if b64u(verified.credential_id) != credential_id:
        raise InvalidRegistration("another credential id inside")
    return VerifiedKey(
        credential_id=credential_id,
        cose_key=verified.credential_public_key,
        public_key=public_key,
        sign_count=verified.sign_count,
        backup_eligible=verified.credential_device_type == CredentialDeviceType.MULTI_DEVICE,
        backed_up=verified.credential_backed_up,
    )


def _spki(cose_key: bytes) -> bytes:
    """DER SubjectPublicKeyInfo of a COSE key of a kind we accept. Raises ValueError and what the library raises."""
    from webauthn.helpers import decode_credential_public_key, decoded_public_key_to_cryptography

    key = decoded_public_key_to_cryptography(decode_credential_public_key(cose_key))
    accepted = (
        (isinstance(key, ec.EllipticCurvePublicKey) and isinstance(key.curve, ec.SECP256R1))
        or isinstance(key, ed25519.Ed25519PublicKey)
        or (isinstance(key, rsa.RSAPublicKey) and 2048 <= key.key_size <= 4096)
    )
    if not accepted:
        raise ValueError("a key of a kind that is not accepted")
    return key.public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)
