"""WebAuthn ceremonies, verified with py_webauthn (Web Authentication Level 3, sections 7.1 and 7.2).

Beyond the library: the two frames it leaves open (crossOrigin), sizes, and keys only of the kinds that wsfed and
the ledger verify again later (`shared/crypto/registration.py`).
"""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from webauthn import verify_authentication_response

from shared.contracts.approval import Proof
from shared.crypto.registration import InvalidRegistration
from shared.crypto.registration import VerifiedKey as VerifiedKey  # of the kind that enrolment keeps
from shared.crypto.registration import verify_registration as verify_new_key
from shared.crypto.statement import Purpose, Statement, read_statement
from shared.errors import BadInput, Forbidden
from shared.ids import b64u, unb64u

MAX_FIELD = 16 * 1024
"""Characters of one base64url field of a credential."""
MAX_CREDENTIAL_ID = 1023
"""Octets (section 7.1, step 25)."""


@dataclass(frozen=True, slots=True)
class RelyingParty:
    """Whom the credentials are for: RP ID, and the origins where a ceremony may take place."""

    id: str
    origins: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class VerifiedAnswer:
    """An assertion over `digest` that a device's key made, with user verification.

    Not verified: that the digest is the expected one, that the device is still active, the signature counter.
    """

    digest: bytes
    proof: Proof
    sign_count: int
    backed_up: bool


class Credential:
    """The JSON form of a PublicKeyCredential as it came in; only its outer shape is known to be right.

    Raises BadInput for anything that is not of that shape.
    """

    def __init__(self, raw: object, fields: tuple[str, ...]) -> None:
        if not isinstance(raw, Mapping) or not isinstance(raw.get("response"), Mapping):
            raise _malformed()
        response = raw["response"]
        texts = [raw.get("id"), raw.get("rawId"), *(response.get(name) for name in fields)]
        if not all(isinstance(text, str) and 0 < len(text) <= MAX_FIELD for text in texts):
            raise _malformed()
        try:
            self.response = {name: unb64u(response[name]) for name in fields}
            raw_id = unb64u(raw["rawId"])
        except ValueError as error:
            raise _malformed() from error
        if raw["id"] != raw["rawId"] or len(raw_id) > MAX_CREDENTIAL_ID or raw.get("type") != "public-key":
            raise _malformed()
        self.id: str = raw["id"]
        self.json: dict[str, Any] = {
            "id": self.id,
            "rawId": self.id,
            "type": "public-key",
            "response": {name: response[name] for name in fields},
        }
        try:
            client_data = json.loads(self.response["clientDataJSON"])
        except (ValueError, RecursionError) as error:
            raise _malformed() from error
        if not isinstance(client_data, dict):
            raise _malformed()
        # sections 7.1 step 10 and 7.2 step 14: never inside somebody else's frame; the library does not look
        if client_data.get("crossOrigin", False) is not False or "topOrigin" in client_data:
            raise Forbidden("approval.assertion.other_page", code="assertion")


def assertion(raw: object) -> Credential:
    """The credential of an authentication ceremony (AuthenticatorAssertionResponse)."""
    return Credential(raw, ("authenticatorData", "clientDataJSON", "signature"))


def registration(raw: object) -> Credential:
    """The credential of a registration ceremony (AuthenticatorAttestationResponse)."""
    return Credential(raw, ("attestationObject", "clientDataJSON"))


def verify_registration(credential: Credential, *, challenge: bytes, rp: RelyingParty) -> VerifiedKey:
    """Check a new credential. Raises Forbidden: not made here, now, with user verification, or a key we refuse.

    Not verified: what kind of device holds it, and that the person was invited.
    """
    try:
        return verify_new_key(
            credential_id=credential.id,
            attestation_object=credential.json["response"]["attestationObject"],
            client_data_json=credential.json["response"]["clientDataJSON"],
            expected_challenge=challenge,
            expected_origins=rp.origins,
            expected_rp_id=rp.id,
        )
    except InvalidRegistration as error:
        raise Forbidden("approval.registration.unverified", code="registration") from error


def verify_answer(
    credential: Credential, *, cose_key: bytes, challenge: bytes, context: str, rp: RelyingParty
) -> VerifiedAnswer:
    """Check an assertion over `challenge`. `context` is kept in the proof. Raises Forbidden (code `assertion`)."""
    try:
        verified = verify_authentication_response(
            credential=credential.json,
            expected_challenge=challenge,
            expected_rp_id=rp.id,
            expected_origin=list(rp.origins),
            credential_public_key=cose_key,
            credential_current_sign_count=0,  # checked in the same write that advances it
            require_user_verification=True,
        )
    except Exception as error:  # the library parses what a stranger sent: anything that it raises means no
        raise Forbidden("approval.assertion.unverified", code="assertion") from error
    return VerifiedAnswer(
        digest=challenge,
        proof=Proof(
            context=context,
            authenticator_data=b64u(credential.response["authenticatorData"]),
            client_data_json=b64u(credential.response["clientDataJSON"]),
            signature=b64u(credential.response["signature"]),
        ),
        sign_count=verified.new_sign_count,
        backed_up=verified.credential_backed_up,
    )


def stated(
    text: str,
    *,
    purpose: Purpose,
    server_nonce: str,
    rp: RelyingParty,
    device: str | None = None,
    new_key: str | None = None,
) -> Statement:
    """The phone's statement, if it is exactly what was asked for. Raises Forbidden (code `statement`).

    Not verified: that a device signed it. Its `digest()` is the challenge to verify, and its origin the only one: a
    native app cannot state the page's origin, nor the page an app's.
    """
    try:
        return read_statement(
            text,
            purpose=purpose,
            origins=rp.origins,
            rp_id=rp.id,
            server_nonce=server_nonce,
            device=device,
            new_key=new_key,
        )
    except ValueError as error:
        raise Forbidden("approval.statement.unexpected", code="statement") from error


def verify_stated(credential: Credential, statement: Statement, *, cose_key: bytes) -> VerifiedAnswer:
    """Check an assertion over the statement. Raises Forbidden (code `assertion`)."""
    return verify_answer(
        credential,
        cose_key=cose_key,
        challenge=statement.digest(),
        context=statement.text(),
        rp=RelyingParty(statement.rp_id, (statement.origin,)),
    )


def check_sign_count(known: int, new: int) -> None:
    """Section 7.2 step 22: the counter goes up, unless the authenticator has none. Raises Forbidden.

    A counter that stands still is a replay or a copied key.
    """
    if (known or new) and new <= known:
        raise Forbidden("approval.assertion.replayed", code="sign_count")


def _malformed() -> BadInput:
    return BadInput("approval.credential.malformed")
