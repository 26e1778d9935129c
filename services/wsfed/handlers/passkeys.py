"""Steps 2 to 7 of docs/flows/passkey.md: a passkey used on the sign-in page itself."""

import structlog

from services.wsfed.domain.context import SignInContext
from services.wsfed.domain.proof import (
    NOBODYS_DEVICE,
    Assertion,
    InvalidProof,
    counter_rises,
    verify_passkey_proof,
)
from services.wsfed.domain.transaction import BEFORE_PROOF, MAX_PASSKEYS, Transaction
from services.wsfed.handlers.common import Browser, WsFed, check_current, find_tenant
from services.wsfed.handlers.signing_in import make_context, remembered
from shared.errors import Conflict, Forbidden, Gone

log = structlog.get_logger(__name__)


async def ask_passkey(wsfed: WsFed, transaction: Transaction, browser: Browser) -> SignInContext:
    """Steps 2 and 3: what a passkey is to sign. The same for every name, whether there is such an account or not.

    Raises Conflict (proved already, no user name), Gone (too many), Unavailable.
    """
    if transaction.state not in BEFORE_PROOF:
        raise Conflict("wsfed.transaction.approved", code="proved")
    if not transaction.hint:
        raise Conflict("wsfed.transaction.no_user_name")
    if transaction.passkeys >= MAX_PASSKEYS:
        raise Gone("wsfed.passkey.too_many_tries")
    check_current(wsfed)
    tenant = await find_tenant(wsfed, transaction.tenant)
    account = await wsfed.directory.account_by_upn(transaction.tenant, transaction.hint)
    known = await remembered(wsfed, browser, account) is not None
    context = make_context(wsfed, transaction, tenant, account, browser, method="passkey", known=known)
    if await wsfed.transactions.ask_passkey(transaction.id, transaction.hint, context) is None:
        raise Conflict("wsfed.transaction.changed", code="changed")
    return context


async def use_passkey(wsfed: WsFed, transaction: Transaction, assertion: Assertion) -> None:
    """Steps 6 and 7: from the assertion to `proved`, or the one refusal.

    Raises Forbidden (code `passkey_refused`, the same words and the same work whatever was wrong), Conflict (proved
    already), Unavailable.
    """
    # As it is now: another replica may have asked, and what is held here be older than the challenge.
    transaction = await wsfed.transactions.get(transaction.id) or transaction
    if transaction.state not in BEFORE_PROOF:
        raise Conflict("wsfed.transaction.approved", code="proved")
    check_current(wsfed)
    try:
        await _prove(wsfed, transaction, assertion)
    except InvalidProof as error:
        log.info("signin.passkey_refused", transaction=transaction.id, why=str(error))
        if transaction.passkey is not None:
            await wsfed.transactions.spend_passkey(transaction.id, transaction.passkey.challenge)
        raise Forbidden("wsfed.passkey.refused", code="passkey_refused") from error
    log.info("signin.proved", tenant=transaction.tenant, transaction=transaction.id, method="passkey")
    await wsfed.wake(transaction.id)


async def _prove(wsfed: WsFed, transaction: Transaction, assertion: Assertion) -> None:
    """Verify and write. Raises InvalidProof."""
    context = transaction.passkey
    if context is None:
        raise InvalidProof("no passkey was asked for")
    account = await wsfed.directory.account(transaction.tenant, context.account)
    device = await wsfed.directory.device_of_credential(
        transaction.tenant, context.account, assertion.credential_id
    )
    authentication, proof, sign_count = verify_passkey_proof(
        transaction=transaction,
        device=device or NOBODYS_DEVICE,
        assertion=assertion,
        own_origin=wsfed.origin,
        expected_rp_id=wsfed.rp_id,
        now=wsfed.clock.now(),
    )
    if account is None or not account.may_try or device is None:
        raise InvalidProof("the account can't sign in")
    if not counter_rises(device.sign_count, sign_count):
        raise InvalidProof("the signature counter did not rise")
    if sign_count and not await wsfed.directory.device_used(device, sign_count):
        raise InvalidProof("the signature counter did not rise, or the device was removed, meanwhile")
    if not await wsfed.transactions.prove_by_passkey(
        transaction.id, context.challenge, authentication, proof
    ):
        raise InvalidProof("the challenge was used or replaced meanwhile")
