"""wsfed's own check of a phone's approval (docs/flows/sign-in.md, step 8) and of a passkey on the sign-in page
(docs/flows/passkey.md, step 5). It believes no other service.

What it compares with is its own transaction and its own projection; the message brings only the assertion.
"""

from dataclasses import dataclass
from datetime import datetime

from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

from services.wsfed.domain.authentication import DeviceMethod, Method, VerifiedAuthentication
from services.wsfed.domain.context import digest
from services.wsfed.domain.transaction import DeviceProof, Step, Transaction
from services.wsfed.domain.trust import TrustedDevice
from shared.crypto.assertion import InvalidAssertion, verify_assertion


class InvalidProof(Exception):
    """The proof does not prove this sign-in. The text is for the log."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Assertion:
    """What a passkey gave the page, decoded. Nothing in it is verified."""

    credential_id: str
    authenticator_data: bytes
    client_data_json: bytes
    signature: bytes


NOBODYS_DEVICE = TrustedDevice(
    id="",
    tenant="",
    account="",
    public_key=ec.derive_private_key(1, ec.SECP256R1())
    .public_key()
    .public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo),
)
"""A device that stands in where none was found, so that the refusal costs the same work. Everybody has its private key;
it belongs to no tenant and no account, so it never proves anything.
"""


def verify_approval(
    *,
    transaction: Transaction,
    challenge: str,
    device: TrustedDevice,
    context: str,
    authenticator_data: bytes,
    client_data_json: bytes,
    signature: bytes,
    expected_origins: frozenset[str],
    expected_rp_id: str,
    now: datetime,
) -> tuple[VerifiedAuthentication, DeviceProof]:
    """Verify an approval for `transaction`. `now`: aware UTC, becomes the moment of authentication.

    Raises InvalidProof. Not verified: that the account may sign in now (its status and its session epoch are compared
    at step 10).
    """
    expected = transaction.challenge
    if expected is None or not transaction.waits_for(challenge):
        raise InvalidProof("no such request is waiting")
    if expected.expired(now):
        raise InvalidProof("too late")
    if (device.tenant, device.account) != (transaction.tenant, transaction.account):
        raise InvalidProof("the device is somebody else's")
    # Made from our own transaction, code included: every field that the person saw is compared at once.
    signed = expected.context.with_code(expected.code)
    if context != signed:
        raise InvalidProof("another context or code was signed")
    try:
        verify_assertion(
            authenticator_data=authenticator_data,
            client_data_json=client_data_json,
            signature=signature,
            public_key=device.public_key,
            expected_challenge=digest(signed),
            expected_origins=expected_origins,
            expected_rp_id=expected_rp_id,
        )
    except InvalidAssertion as error:
        raise InvalidProof(str(error)) from error
    verified = VerifiedAuthentication(
        tenant=device.tenant,
        account=device.account,
        method=DeviceMethod(expected.context.method).proves,
        user_verified=True,
        registered_kiosk=False,
        authenticated_at=now,
        session_epoch=expected.session_epoch,
    )
    proof = DeviceProof(
        context=signed,
        authenticator_data=authenticator_data,
        client_data_json=client_data_json,
        signature=signature,
        public_key=device.public_key,
        device=device.id,
    )
    return verified, proof


def verify_passkey(
    *,
    transaction: Transaction,
    device: TrustedDevice,
    assertion: Assertion,
    own_origin: str,
    expected_rp_id: str,
    now: datetime,
) -> tuple[VerifiedAuthentication, DeviceProof, int]:
    """Verify a passkey used on the sign-in page of `transaction`; also returns the signature counter.

    `device`: what the projection has under the assertion's credential id, or NOBODYS_DEVICE. `own_origin` alone is
    accepted: the browser put it there, and that is what stops a page in between. Raises InvalidProof. Not verified:
    the counter, that the challenge was not used meanwhile (both in conditional updates), that the account may sign in
    and has the same session epoch still.
    """
    context = transaction.passkey
    if context is None or not transaction.allows(Step.PROVE_BY_PASSKEY):
        raise InvalidProof("no passkey was asked for")
    if now >= context.expires_at:
        raise InvalidProof("too late")
    signed = context.without_code()
    # The signature first: whatever else is wrong, the answer took the same time.
    try:
        verified = verify_assertion(
            authenticator_data=assertion.authenticator_data,
            client_data_json=assertion.client_data_json,
            signature=assertion.signature,
            public_key=device.public_key,
            expected_challenge=digest(signed),
            expected_origins=frozenset({own_origin}),
            expected_rp_id=expected_rp_id,
        )
    except InvalidAssertion as error:
        raise InvalidProof(str(error)) from error
    if device is NOBODYS_DEVICE or (device.tenant, device.account) != (transaction.tenant, context.account):
        raise InvalidProof("no such device of that account, or it does not count")
    authentication = VerifiedAuthentication(
        tenant=device.tenant,
        account=device.account,
        method=Method.PASSKEY,
        user_verified=True,
        registered_kiosk=False,
        authenticated_at=now,
        session_epoch=transaction.passkey_epoch,
    )
    proof = DeviceProof(
        context=signed,
        authenticator_data=assertion.authenticator_data,
        client_data_json=assertion.client_data_json,
        signature=assertion.signature,
        public_key=device.public_key,
        device=device.id,
    )
    return authentication, proof, verified.sign_count


def counter_rises(known: int, new: int) -> bool:
    """Whether a signature counter may follow another (Web Authentication Level 3, section 7.2, step 22).

    It goes up, unless the authenticator has none; one that stands still is a replay or a copied key.
    """
    return new > known or (new, known) == (0, 0)
