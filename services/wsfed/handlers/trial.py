"""Try it (docs/flows/try-it.md): a whole sign-in whose token is read here and goes to nobody."""

import asyncio

import structlog

from services.wsfed.domain.token import new_assertion_id
from services.wsfed.domain.transaction import Transaction, TransactionState
from services.wsfed.domain.trial import Expected, TrialResult, examine, trial_address
from services.wsfed.handlers.common import begin_with_us, find_tenant
from services.wsfed.handlers.token_issuance import (
    AlreadyIssued,
    Evidence,
    NotApproved,
    check_token,
    record_and_sign,
    require_proved,
)
from services.wsfed.ports import Dependencies
from shared.errors import NotFound

log = structlog.get_logger(__name__)


async def begin_trial(
    deps: Dependencies, slug: str, browser_secret: str, name: str, username: str, *, from_entra: bool
) -> Transaction:
    """Step 1: a trial of the tenant's application in this browser. Raises NotFound (no tenant, no application).

    `name`: of a trial, in the person's language, as the phone will show it. `username`: the user name, or empty.
    """
    tenant = await find_tenant(deps, slug)
    if not tenant.configured.applications:
        raise NotFound("wsfed.application.none")
    transaction = await begin_with_us(
        deps,
        slug,
        trial_address(deps.origin, slug),
        username,
        browser_secret,
        from_entra=from_entra,
        application=tenant.configured.applications[0].id,
        trial=name,
    )
    log.info("trial.begun", tenant=slug, transaction=transaction.id)
    return transaction


async def finish_trial(deps: Dependencies, transaction: Transaction, session_secret: str | None) -> None:
    """Steps 3 and 4: make the token of a proved trial, read it, and keep what was read. The same twice is once.

    The token is in no value that leaves this function. `session_secret`: of the browser's cookie for the account, by
    which the tenant's policy may ask for a passkey. Raises NotApproved, NotFound, Gone, Forbidden, Unavailable.
    """
    try:
        proved = await require_proved(deps, transaction, trial=True)
    except AlreadyIssued:
        return
    checked = await check_token(deps, proved, session_secret)
    prepared, account, now = checked.prepared, checked.account, checked.now
    published = (await deps.keys.ring(checked.tenant.slug)).current
    assertion_id, trial = new_assertion_id(deps.ids), proved.transaction
    if await deps.transactions.issue(trial.id, assertion_id, now) is None:
        return
    wresult = await record_and_sign(
        deps,
        prepared,
        proved.authentication,
        trial.request,
        requested_at=trial.created_at,
        now=now,
        assertion_id=assertion_id,
        evidence=Evidence(transaction=trial.id, proved_by=trial.id, proof=proved.proof),
        trial=True,
    )
    expected = Expected(
        certificate=published,
        issuer=prepared.subject.issuer,
        audience=trial_address(deps.origin, trial.tenant),
        upn=account.upn,
        immutable_id=account.immutable_id,
    )
    # Reading and checking XML takes milliseconds: not on the event loop.
    result = await asyncio.to_thread(examine, wresult, expected, now)
    await deps.transactions.keep_result(trial.id, result)
    log.info("trial.finished", tenant=trial.tenant, transaction=trial.id, failed=len(result.failed))


async def trial_result(deps: Dependencies, transaction: Transaction) -> TrialResult | None:
    """Step 5: what was read, while it is shown; None after that, and where the trial was interrupted.

    Raises NotApproved for a trial that has not come so far, and for a sign-in that is none.
    """
    if not transaction.trial or transaction.state is not TransactionState.ISSUED:
        raise NotApproved
    result = transaction.result
    return result if result is not None and result.shown(deps.clock.now()) else None
