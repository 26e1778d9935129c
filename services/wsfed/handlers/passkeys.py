"""Steps 1 to 6 of docs/flows/passkey.md: a passkey used on the sign-in page itself."""

import structlog

from services.wsfed.domain.context import SignInContext
from services.wsfed.domain.proof import (
    NOBODYS_DEVICE,
    Assertion,
    InvalidProof,
    counter_rises,
    verify_passkey,
)
from services.wsfed.domain.sign_in_figures import Attempt, AttemptOutcome, attempt_of
from services.wsfed.domain.transaction import MAX_PASSKEYS, Step, Transaction
from services.wsfed.handlers.common import Browser, Recognised, find_tenant, recognise, require_fresh
from services.wsfed.handlers.signing_in import make_context
from services.wsfed.ports import Dependencies
from shared.errors import Conflict, Forbidden

log = structlog.get_logger(__name__)


async def ask_passkey(
    deps: Dependencies, transaction: Transaction, browser: Browser, recognised: Recognised | None = None
) -> SignInContext | None:
    """Step 1: what a passkey is to sign, for the page that is about to be drawn; None where it can offer none.

    It is in the page beforehand, because Safari forgets the press on the button while a script waits for the network.
    It lives as long as the sign-in and serves every drawing of the page until it is spent. The same for every name,
    whether there is such an account or not; how recent what we know of accounts is matters when the answer comes.
    `recognised`: what this request has read of account and browser already; None when nobody has looked yet.
    Raises NotFound (tenant), Unavailable.
    """
    if not transaction.allows(Step.ASK_PASSKEY) or not transaction.username:
        return None
    if transaction.passkey is not None:
        return transaction.passkey
    if transaction.passkeys >= MAX_PASSKEYS:
        return None
    tenant = await find_tenant(deps, transaction.tenant)
    if recognised is None:
        recognised = await recognise(deps, transaction, browser)
    account = recognised.account
    context = make_context(
        deps,
        transaction,
        tenant,
        account,
        browser,
        method="passkey",
        known=recognised.session is not None,
        expires_at=transaction.expires_at,
    )
    epoch = 0 if account is None else account.session_epoch
    asked = await deps.transactions.ask_passkey(transaction.id, transaction.username, context, epoch)
    if asked is None:  # another drawing of the page was first, or the sign-in has gone on
        asked = await deps.transactions.get(transaction.id)
    return None if asked is None else asked.passkey


async def use_passkey(deps: Dependencies, transaction: Transaction, assertion: Assertion) -> None:
    """Steps 5 and 6: from the assertion to `proved`, or the one refusal.

    Raises Forbidden (code `passkey_refused`, the same words and the same work whatever was wrong), Conflict (proved
    already), Unavailable.
    """
    # As it is now: if another replica made the challenge, what is held here may be older than that.
    transaction = await deps.transactions.get(transaction.id) or transaction
    if not transaction.allows(Step.PROVE_BY_PASSKEY):
        raise Conflict("wsfed.transaction.approved", code="proved")
    require_fresh(deps)
    try:
        await _prove(deps, transaction, assertion)
    except InvalidProof as error:
        log.info("signin.passkey_refused", transaction=transaction.id, why=str(error))
        if transaction.passkey is not None:
            await deps.transactions.spend_passkey(
                transaction.id,
                transaction.passkey.challenge,
                await _refused(deps, transaction.passkey),
            )
        raise Forbidden("wsfed.passkey.refused", code="passkey_refused") from error
    log.info("signin.proved", tenant=transaction.tenant, transaction=transaction.id, method="passkey")
    await deps.wake(transaction.id)


async def _refused(deps: Dependencies, context: SignInContext) -> Attempt:
    """The refused use of a passkey, for the figures. The same work for every name, whether it has an account or not."""
    account = await deps.directory.account(context.tenant, context.account)
    known = None if account is None else account.id
    return attempt_of(context, known, AttemptOutcome.REFUSED, deps.clock.now(), reason="passkey_refused")


async def _prove(deps: Dependencies, transaction: Transaction, assertion: Assertion) -> None:
    """Verify the assertion and write `proved`. Raises InvalidProof."""
    context = transaction.passkey
    if context is None:
        raise InvalidProof("no passkey was asked for")
    account = await deps.directory.account(transaction.tenant, context.account)
    device = await deps.directory.device_of_credential(
        transaction.tenant, context.account, assertion.credential_id
    )
    authentication, proof, sign_count = verify_passkey(
        transaction=transaction,
        device=device or NOBODYS_DEVICE,
        assertion=assertion,
        own_origin=deps.origin,
        expected_rp_id=deps.rp_id,
        now=deps.clock.now(),
    )
    if account is None or not account.status.can_sign_in or device is None:
        raise InvalidProof("the account can't sign in")
    if authentication.session_epoch != account.session_epoch:
        raise InvalidProof("the person was signed out everywhere since the passkey was asked for")
    if not counter_rises(device.sign_count, sign_count):
        raise InvalidProof("the signature counter did not rise")
    if sign_count and not await deps.directory.device_used(device, sign_count):
        raise InvalidProof("the signature counter did not rise, or the device was removed, meanwhile")
    visit = None
    if transaction.own_page:
        visit = attempt_of(context, account.id, AttemptOutcome.SIGNED_IN, deps.clock.now())
    if not await deps.transactions.prove_by_passkey(
        transaction.id, context.challenge, authentication, proof, visit
    ):
        raise InvalidProof("the challenge was used or replaced meanwhile")
