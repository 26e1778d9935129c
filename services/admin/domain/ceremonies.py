"""The console's WebAuthn ceremonies: what a browser posts, verified. Pure.

Web Authentication Level 3, sections 7.1 (registration) and 7.2 (authentication). User verification is required in both.
"""

import json
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

from services.admin.domain.administrators import Passkey
from services.admin.domain.challenges import check_challenge
from shared.crypto.assertion import InvalidAssertion, verify_assertion
from shared.crypto.registration import InvalidRegistration, verify_registration
from shared.errors import BadInput, Forbidden
from shared.ids import b64u, unb64u

MAX_FIELD = 16 * 1024
"""Characters of one posted field."""


@dataclass(frozen=True, slots=True)
class Console:
    """Whom administrators' passkeys are for: the one origin, its RP ID, and the keys whose challenges are taken."""

    origin: str
    rp_id: str
    keys: Sequence[bytes]


@dataclass(frozen=True, slots=True)
class PostedKey:
    """A registration as it was posted: three fields in base64url."""

    credential_id: str
    attestation_object: str
    client_data_json: str


@dataclass(frozen=True, slots=True)
class PostedAssertion:
    """An assertion as it was posted: four fields in base64url."""

    credential_id: str
    authenticator_data: str
    client_data_json: str
    signature: str


@dataclass(frozen=True, slots=True)
class VerifiedUse:
    """A passkey's use that verified. Not verified: that the challenge was not used before, the signature counter."""

    passkey: Passkey
    challenge: bytes
    sign_count: int


@dataclass(frozen=True, slots=True)
class VerifiedPasskey:
    """A new passkey that verified. Not verified: that the challenge was not used before, who holds it."""

    passkey: Passkey
    challenge: bytes


def verify_new_passkey(
    posted: PostedKey, *, console: Console, purpose: str, name: str, now: datetime
) -> VerifiedPasskey:
    """Check a registration. Raises BadInput (malformed), Forbidden (anything that does not verify, or is over)."""
    challenge = _challenge(posted.client_data_json)
    check_challenge(console.keys, purpose, challenge, now)
    try:
        key = verify_registration(
            credential_id=_checked(posted.credential_id),
            attestation_object=_checked(posted.attestation_object),
            client_data_json=posted.client_data_json,
            expected_challenge=challenge,
            expected_origins=(console.origin,),
            expected_rp_id=console.rp_id,
        )
    except InvalidRegistration as error:
        raise Forbidden("admin.console.passkey_refused", code="passkey_refused") from error
    made = Passkey(
        credential_id=key.credential_id,
        public_key=b64u(key.public_key),
        name=name,
        added_at=now,
        sign_count=key.sign_count,
        backed_up=key.backed_up,
    )
    return VerifiedPasskey(made, challenge)


def verify_use(
    posted: PostedAssertion, passkey: Passkey, *, console: Console, purpose: str, now: datetime
) -> VerifiedUse:
    """Check an assertion by that passkey. Raises BadInput (malformed), Forbidden (it does not verify, or is over)."""
    challenge = _challenge(posted.client_data_json)
    check_challenge(console.keys, purpose, challenge, now)
    try:
        verified = verify_assertion(
            authenticator_data=unb64u(_checked(posted.authenticator_data)),
            client_data_json=unb64u(posted.client_data_json),
            signature=unb64u(_checked(posted.signature)),
            public_key=unb64u(passkey.public_key),
            expected_challenge=challenge,
            expected_origins=frozenset({console.origin}),
            expected_rp_id=console.rp_id,
        )
    except (InvalidAssertion, ValueError) as error:
        raise Forbidden("admin.console.passkey_refused", code="passkey_refused") from error
    return VerifiedUse(passkey, challenge, verified.sign_count)


def _challenge(client_data_json: str) -> bytes:
    """The challenge in client data, which nobody has verified yet. Raises BadInput, Forbidden (somebody's frame)."""
    try:
        fields = json.loads(unb64u(_checked(client_data_json)).decode("utf-8-sig"))
        challenge = unb64u(fields["challenge"])
    except (ValueError, RecursionError, TypeError, KeyError) as error:
        raise _malformed() from error
    # Section 7.1, step 10: never inside somebody's frame. py_webauthn does not look.
    if fields.get("crossOrigin", False) is not False or "topOrigin" in fields:
        raise Forbidden("admin.console.passkey_refused", code="passkey_refused")
    return challenge


def _checked(text: str) -> str:
    if not 0 < len(text) <= MAX_FIELD:
        raise _malformed()
    return text


def _malformed() -> BadInput:
    return BadInput("admin.console.malformed")
