"""Verify a WebAuthn assertion against a DER public key: the form in which proofs are kept and checked offline.

Web Authentication Level 3, section 7.2 "Verifying an Authentication Assertion"; the step numbers below are its.
approval verifies with py_webauthn before it accepts; wsfed and the ledger verify again with this, so that a fault
in one is not a fault in both. `tests/shared/test_assertion.py` holds the two against each other.
"""

import hashlib
import hmac
import json
from dataclasses import dataclass

from cryptography.exceptions import InvalidSignature, UnsupportedAlgorithm
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, padding, rsa
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.serialization import load_der_public_key

from shared.ids import b64u

_UP, _UV, _BE, _BS, _AT, _ED = 0x01, 0x04, 0x08, 0x10, 0x40, 0x80
MAX_CLIENT_DATA = 4096


class InvalidAssertion(Exception):
    """The assertion does not prove what was expected. The text is for the log, not for a stranger."""


@dataclass(frozen=True, slots=True)
class VerifiedAssertion:
    """An assertion that was verified, with user presence and user verification.

    Not verified: that the key is the account's, that the challenge was not used before, the signature counter.
    """

    sign_count: int
    backup_eligible: bool
    backed_up: bool


def verify_assertion(
    *,
    authenticator_data: bytes,
    client_data_json: bytes,
    signature: bytes,
    public_key: bytes,
    expected_challenge: bytes,
    expected_origins: frozenset[str],
    expected_rp_id: str,
) -> VerifiedAssertion:
    """Check every field, then the signature. `public_key` is DER SubjectPublicKeyInfo (ES256, EdDSA or RS256).

    Raises InvalidAssertion with the first thing that is wrong.
    """
    if len(client_data_json) > MAX_CLIENT_DATA or len(authenticator_data) > MAX_CLIENT_DATA:
        raise InvalidAssertion("too large")
    try:
        # Steps 9 and 10. "UTF-8 decode" takes a byte order mark off; the signature below is over the octets with it.
        client_data = json.loads(client_data_json.decode("utf-8-sig"))
    except (ValueError, RecursionError) as error:
        raise InvalidAssertion("clientDataJSON is not JSON") from error
    if not isinstance(client_data, dict):
        raise InvalidAssertion("clientDataJSON is not an object")
    if client_data.get("type") != "webauthn.get":  # step 11
        raise InvalidAssertion("type is not webauthn.get")
    challenge = client_data.get("challenge")  # step 12
    if not isinstance(challenge, str) or not hmac.compare_digest(
        challenge.encode(errors="replace"), b64u(expected_challenge).encode()
    ):
        raise InvalidAssertion("challenge differs")
    origin = client_data.get("origin")
    if not isinstance(origin, str) or origin not in expected_origins:  # step 13
        raise InvalidAssertion("origin is not ours")
    if client_data.get("crossOrigin", False) is not False:  # step 14: never inside somebody's frame
        raise InvalidAssertion("made in a cross-origin frame")
    if len(authenticator_data) < 37:
        raise InvalidAssertion("authenticatorData is too short")
    if authenticator_data[:32] != hashlib.sha256(expected_rp_id.encode()).digest():  # step 15
        raise InvalidAssertion("RP ID differs")
    flags = authenticator_data[32]
    if not flags & _UP:  # step 16
        raise InvalidAssertion("user not present")
    if not flags & _UV:  # step 17
        raise InvalidAssertion("user not verified")
    if flags & _BS and not flags & _BE:  # step 18
        raise InvalidAssertion("backed up but not eligible")
    if flags & _AT or (len(authenticator_data) > 37) != bool(flags & _ED):  # section 6.1
        raise InvalidAssertion("authenticatorData has parts that its flags do not allow")
    signed = authenticator_data + hashlib.sha256(client_data_json).digest()  # steps 20, 21
    _verify_signature(public_key, signature, signed)
    return VerifiedAssertion(
        sign_count=int.from_bytes(authenticator_data[33:37], "big"),
        backup_eligible=bool(flags & _BE),
        backed_up=bool(flags & _BS),
    )


def _verify_signature(public_key: bytes, signature: bytes, signed: bytes) -> None:
    try:
        key = load_der_public_key(public_key)
        if isinstance(key, ec.EllipticCurvePublicKey) and isinstance(key.curve, ec.SECP256R1):
            key.verify(signature, signed, ec.ECDSA(SHA256()))
        elif isinstance(key, ed25519.Ed25519PublicKey):
            key.verify(signature, signed)
        elif isinstance(key, rsa.RSAPublicKey) and key.key_size >= 2048:
            key.verify(signature, signed, padding.PKCS1v15(), SHA256())
        else:
            raise InvalidAssertion("key of a kind that is not accepted")
    except (ValueError, UnsupportedAlgorithm) as error:
        raise InvalidAssertion("not a public key") from error
    except InvalidSignature as error:
        raise InvalidAssertion("signature is wrong") from error
