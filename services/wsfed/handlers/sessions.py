"""SSO sessions: a token from a proof made before (docs/flows/sign-in.md, steps 1 and 2), and their end."""

from dataclasses import dataclass
from datetime import datetime, timedelta

import structlog

from services.wsfed.domain.request import SignInRequest
from services.wsfed.domain.session import Session, session_id
from services.wsfed.domain.token import new_assertion_id
from services.wsfed.domain.transaction import Step, Transaction
from services.wsfed.handlers.browsers import note_seen
from services.wsfed.handlers.common import HeldSession, find_tenant, method_allowed, require_fresh
from services.wsfed.handlers.token_issuance import (
    Evidence,
    Issued,
    RedirectLoop,
    find_shortfall,
    idle_time,
    issue,
    prepare,
)
from services.wsfed.ports import Account, Dependencies, Tenant

log = structlog.get_logger(__name__)


@dataclass(frozen=True, slots=True, kw_only=True)
class SsoRequest:
    """What a session may answer: a request just made, or a transaction that nobody has answered or refused."""

    tenant: str
    upn: str
    request: SignInRequest
    requested_at: datetime
    transaction: str | None = None


def sso_request(transaction: Transaction) -> SsoRequest | None:
    """The transaction as a request to a session; None when it is past that, or to the own page, or a trial."""
    if not transaction.to_entra or not transaction.allows(Step.ANSWER) or not transaction.username:
        return None
    return SsoRequest(
        tenant=transaction.tenant,
        upn=transaction.username,
        request=transaction.request,
        requested_at=transaction.created_at,
        transaction=transaction.id,
    )


async def would_answer(deps: Dependencies, asked: SsoRequest, held: HeldSession) -> bool:
    """Whether `answer_from_session` has an answer, be it that the sign-in goes round in circles. Changes nothing.

    Raises NotFound (tenant), Unavailable.
    """
    return await _enough(deps, asked, held) is not None


async def answer_from_session(deps: Dependencies, asked: SsoRequest, held: HeldSession) -> Issued | None:
    """A token from this browser's session of the very account that was asked for; None when it must sign in.

    `held`: of the browser's cookie for that account. Raises NotFound (tenant), RedirectLoop, Forbidden, Unavailable.
    """
    enough = await _enough(deps, asked, held)
    if enough is None or held.secret is None:
        return None
    session, tenant, account = enough
    now = deps.clock.now()
    if session.looping(now, asked.request.wants):
        raise RedirectLoop(tenant, asked.request)
    prepared = await prepare(deps, tenant, account)
    noted = session.answered(now, asked.request.wants)
    used = await deps.sessions.use(noted, now, now + idle_time(tenant))
    if used is None:
        return None
    note_seen(deps, session, now)
    assertion_id = new_assertion_id(deps.ids)
    if asked.transaction is not None and not await deps.transactions.answer(
        asked.transaction, assertion_id, now
    ):
        return None
    form = await issue(
        deps,
        prepared,
        used.authentication,
        asked.request,
        requested_at=asked.requested_at,
        now=now,
        assertion_id=assertion_id,
        evidence=Evidence(session=used.id, proved_by=used.proved_by, transaction=asked.transaction),
    )
    return Issued(form, tenant, account, held.secret)


async def _enough(
    deps: Dependencies, asked: SsoRequest, held: HeldSession
) -> tuple[Session, Tenant, Account] | None:
    """The session, if it is enough for what was asked, with its tenant and account."""
    if held.secret is None:
        return None
    require_fresh(deps)
    # The session before the account: with an invented cookie every name costs the same, whether it exists or not.
    session = await held.read()
    if session is None or not session.live(deps.clock.now()):
        return None
    tenant = await find_tenant(deps, asked.tenant)
    account = await _account_of(deps, session, asked)
    if account is None:
        return None
    if not await method_allowed(deps, tenant, session.authentication.method, session):
        return None  # the tenant has become stricter since: this browser signs in anew
    now = deps.clock.now()
    if not _within_limits(session, tenant, now):
        return None
    missing = find_shortfall(session.authentication, tenant, asked.request, asked.requested_at, now)
    if missing is not None:
        log.info("session.not_enough", tenant=tenant.slug, account=account.id, missing=missing.value)
        return None
    return session, tenant, account


async def _account_of(deps: Dependencies, session: Session, asked: SsoRequest) -> Account | None:
    """The session's account, if it is the one that was asked for, can sign in and was not signed out everywhere since,
    and its device is still trusted.

    By the account's id: after a rename somebody else may have the name that the session was opened under.
    """
    if session.tenant != asked.tenant:
        return None
    account = await deps.directory.account(session.tenant, session.account)
    if account is None or not account.status.can_sign_in or account.upn.lower() != asked.upn:
        return None
    if not session.begun_under(account.session_epoch):
        return None
    device = await deps.directory.trusted_device(account.tenant, account.id, session.device)
    return None if device is None else account


def _within_limits(session: Session, tenant: Tenant, now: datetime) -> bool:
    """Whether the session is within the tenant's limits of now, so that a limit that was shortened counts at once.

    Every sign-in is one to the tenant's first application (`begin`), whose session length counts.
    """
    applications = tenant.configured.applications
    if not applications:
        return False
    length = timedelta(hours=applications[0].session_hours)
    return session.within(now, length=length, idle=idle_time(tenant))


async def sign_out(deps: Dependencies, session_secrets: list[str]) -> None:
    """End this browser's sessions, every one of them. It stays known for its accounts.

    Raises Unavailable: then some of them may go on, and nobody may be told that they have ended.
    """
    for secret in session_secrets:
        await deps.sessions.end(session_id(secret), deps.clock.now())
