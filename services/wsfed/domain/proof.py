"""wsfed's own check of a phone's approval (docs/flows/sign-in.md, step 8). It believes no other service.

What it compares with is its own transaction and its own projection; the message brings only the assertion.
"""

from datetime import datetime

from services.wsfed.domain.authentication import Method, VerifiedAuthentication
from services.wsfed.domain.context import digest
from services.wsfed.domain.transaction import PhoneProof, State, Transaction
from services.wsfed.domain.trust import TrustedDevice
from shared.crypto.assertion import InvalidAssertion, verify_assertion


class InvalidProof(Exception):
    """The proof does not prove this sign-in. The text is for the log."""


_METHODS = {"push": Method.BLOKKEY_PUSH, "qr": Method.BLOKKEY_QR}


def verify_phone_proof(
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
) -> tuple[VerifiedAuthentication, PhoneProof]:
    """Verify an approval for `transaction`. `now`: aware UTC, becomes the moment of authentication.

    Raises InvalidProof. Not verified: that the account may sign in now (its status is read at step 10).
    """
    expected = transaction.challenge
    if transaction.state is not State.WAITING or expected is None or expected.id != challenge:
        raise InvalidProof("no such request is waiting")
    if expected.expired(now):
        raise InvalidProof("too late")
    if device.removed:
        raise InvalidProof("the device was removed")
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
        method=_METHODS[expected.context.method],
        user_verified=True,
        registered_kiosk=False,
        authenticated_at=now,
    )
    proof = PhoneProof(
        context=signed,
        authenticator_data=authenticator_data,
        client_data_json=client_data_json,
        signature=signature,
        public_key=device.public_key,
        device=device.id,
    )
    return verified, proof
