"""Steps 10 and 11 of docs/flows/sign-in.md: the one token of a proved transaction, and how any token is issued.

The order is the same for every token. Whatever can be refused is refused first (`prepare`). Then the transaction or
the session is used up in one conditional update, the issuance record is made durable, and the token is signed
(`issue`).
"""

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta

import structlog

from services.wsfed.domain.authentication import (
    AuthenticationPolicy,
    Method,
    Shortfall,
    VerifiedAuthentication,
    shortfall,
)
from services.wsfed.domain.keys import SigningKey
from services.wsfed.domain.request import SignInRequest
from services.wsfed.domain.session import Session, session_id
from services.wsfed.domain.sign_in_figures import (
    MAX_AGENT,
    MAX_APPLICATION,
    MAX_REASON,
    Attempt,
    AttemptOutcome,
)
from services.wsfed.domain.token import (
    ReplyForm,
    TokenSubject,
    domain_for,
    issue_token,
    new_assertion_id,
    reply_form,
)
from services.wsfed.domain.transaction import DeviceProof, Step, Transaction, TransactionState
from services.wsfed.domain.trust import AddedDevice
from services.wsfed.handlers.added_devices import DevicesAdded, added_besides
from services.wsfed.handlers.browsers import keep_browser, replace_session
from services.wsfed.handlers.common import (
    PasskeyNeeded,
    federated_domains,
    find_tenant,
    method_allowed,
    require_fresh,
)
from services.wsfed.ports import Account, Dependencies, Issuance, Tenant
from shared.agent import UNKNOWN
from shared.contracts.admin import Application
from shared.errors import Conflict, Forbidden
from shared.ids import new_id, new_secret

log = structlog.get_logger(__name__)

TOKEN_LIFETIME = timedelta(minutes=10)


@dataclass(frozen=True, slots=True)
class Issued:
    """A token on its way, and the secret of the session that was made or used."""

    form: ReplyForm
    tenant: Tenant
    account: Account
    session_secret: str


class RedirectLoop(Conflict):
    """Entra sends the browser back for what a token has just answered, again and again: a page must say so instead."""

    id = "wsfed.session.redirect_loop"
    code = "redirect_loop"

    def __init__(self, tenant: Tenant, request: SignInRequest) -> None:
        super().__init__()
        self.tenant = tenant
        self.request = request


class AlreadyIssued(Conflict):
    """The one token of this sign-in was issued before."""

    id = "wsfed.transaction.finished"
    code = "finished"


class NotApproved(Conflict):
    """No proof has come yet for this sign-in."""

    id = "wsfed.transaction.not_approved"
    code = "not_proved"


@dataclass(frozen=True, slots=True)
class Proved:
    """A transaction in state `proved`, with what that state guarantees."""

    transaction: Transaction
    authentication: VerifiedAuthentication
    proof: DeviceProof


async def require_proved(deps: Dependencies, transaction: Transaction, *, trial: bool = False) -> Proved:
    """Step 10: the transaction with its proof, read again if that is not in what was held here.

    `trial`: whether it must be one. Raises AlreadyIssued, NotApproved (also for a sign-in to the own page, for which
    there is never a token, and for a trial where none is wanted, or the other way round).
    """
    if not transaction.allows(Step.ISSUE):  # another replica may have taken the proof
        transaction = await deps.transactions.get(transaction.id) or transaction
    wanted = bool(transaction.trial) if trial else transaction.to_entra
    if not wanted:
        raise NotApproved
    if transaction.state is TransactionState.ISSUED:
        raise AlreadyIssued
    authentication, proof = transaction.authentication, transaction.proof
    if not transaction.allows(Step.ISSUE) or authentication is None or proof is None:
        raise NotApproved
    return Proved(transaction, authentication, proof)


@dataclass(frozen=True, slots=True)
class Checked:
    """What a proved transaction's token needs; nothing of it is refused any more."""

    tenant: Tenant
    account: Account
    application: Application
    prepared: "Prepared"
    now: datetime
    earlier: Session | None
    """What this browser remembers of the account from before, live or not."""
    known: Session | None
    """The same, if it was begun under the account's session epoch."""


async def check_token(deps: Dependencies, proved: Proved, session_secret: str | None) -> Checked:
    """Step 10: what is asked before the token, now and not when the person was asked. Nothing is written.

    Raises NotFound, Gone, Forbidden, Unavailable.
    """
    transaction, authentication, proof = proved.transaction, proved.authentication, proved.proof
    require_fresh(deps)
    tenant = await find_tenant(deps, transaction.tenant)
    account, device = await asyncio.gather(
        deps.directory.account(tenant.slug, authentication.account),
        deps.directory.trusted_device(tenant.slug, authentication.account, proof.device),
    )
    if account is None or not account.status.can_sign_in:
        raise Forbidden("wsfed.account.not_active", code="account_not_active")
    if authentication.session_epoch != account.session_epoch:
        raise Forbidden("wsfed.account.signed_out", code="signed_out")
    if device is None:  # lost, and taken out of use since it approved
        raise Forbidden("wsfed.device.removed", code="device_removed")
    application = tenant.application(transaction.application)
    prepared = await prepare(deps, tenant, account)
    now = deps.clock.now()
    # Before anything is written: Entra would send a token without the claim straight back.
    missing = find_shortfall(authentication, tenant, transaction.request, transaction.created_at, now)
    if missing is not None:
        raise Forbidden("wsfed.authentication.not_enough", code=f"{missing.value}_not_satisfied")
    earlier = await _earlier_session(deps, session_secret, account)
    known = earlier if earlier is not None and earlier.begun_under(account.session_epoch) else None
    if not await method_allowed(deps, tenant, authentication.method, known):
        raise PasskeyNeeded
    return Checked(tenant, account, application, prepared, now, earlier, known)


def _attempt(deps: Dependencies, proved: Proved, agent: str, application: str) -> Attempt:
    """What the figures say of this sign-in (docs/flows/sign-in-figures.md)."""
    authentication = proved.authentication
    return Attempt(
        id=proved.transaction.id,
        at=deps.clock.now(),
        tenant=authentication.tenant,
        account=authentication.account,
        method=authentication.method,
        outcome=AttemptOutcome.SIGNED_IN,
        agent=agent[:MAX_AGENT],
        application=application[:MAX_APPLICATION],
    )


async def take_token(
    deps: Dependencies,
    proved: Proved,
    session_secret: str | None,
    agent: str = UNKNOWN,
    *,
    told: bool = False,
) -> Issued:
    """Step 10: exactly one token for a proved transaction, and the session that it opens.

    Account, device and policy are read now: an account that was suspended, removed or signed out everywhere since the
    question to the person gets none, nor does one whose method the tenant no longer takes in this browser.
    `session_secret`: of the browser's cookie for the account; `agent`: the browser in words, for the list of known
    browsers. It is never taken for a loop, whatever came before: a person has just approved. `told`: the person has
    seen which devices were added. Raises AlreadyIssued, DevicesAdded (not told yet), NotFound, Gone, Forbidden,
    Unavailable.
    """
    transaction, authentication, proof = proved.transaction, proved.authentication, proved.proof
    try:
        checked = await check_token(deps, proved, session_secret)
    except Forbidden as refusal:
        attempt = replace(
            _attempt(deps, proved, agent, ""),
            id=f"{transaction.id}-refused",
            outcome=AttemptOutcome.REFUSED,
            reason=str(refusal.code or refusal.id)[:MAX_REASON],
        )
        await deps.transactions.note_refusal(transaction.id, attempt)
        raise
    tenant, account, now = checked.tenant, checked.account, checked.now
    earlier, known = checked.earlier, checked.known
    if not told and await added_besides(deps, account, proof.device, earlier, now):
        raise DevicesAdded
    assertion_id = new_assertion_id(deps.ids)
    attempt = _attempt(deps, proved, agent, checked.application.name)
    if await deps.transactions.issue(transaction.id, assertion_id, now, attempt) is None:
        raise AlreadyIssued
    secret = new_secret(deps.ids)
    session = Session(
        id=session_id(secret),
        authentication=authentication,
        device=proof.device,
        browser=known.browser if known is not None and known.browser else new_id(deps.ids),
        ends_at=authentication.authenticated_at + timedelta(hours=checked.application.session_hours),
        idle_ends_at=now + idle_time(tenant),
        enrolled_by=_enrolled_by(authentication, proof, known),
        proved_by=transaction.id,
    ).answered(now, transaction.request.wants)
    issuing = issue(
        deps,
        checked.prepared,
        authentication,
        transaction.request,
        requested_at=transaction.created_at,
        now=now,
        assertion_id=assertion_id,
        evidence=Evidence(transaction=transaction.id, proved_by=transaction.id, proof=proof),
    )
    # Both at once: if the token fails, nobody ever gets the secret of that session.
    form, *_ = await asyncio.gather(
        issuing, deps.sessions.add(session), keep_browser(deps, session, known, agent, now)
    )
    if earlier is not None:
        await replace_session(deps, earlier, session)
    log.info("signin.issued", tenant=tenant.slug, transaction=transaction.id)
    return Issued(form, tenant, account, secret)


async def devices_added(
    deps: Dependencies, proved: Proved, session_secret: str | None
) -> Sequence[AddedDevice]:
    """The devices of which the person is to be told before this token (docs/flows/notification.md, step 13)."""
    authentication = proved.authentication
    account = await deps.directory.account(authentication.tenant, authentication.account)
    if account is None:
        return ()
    earlier = await _earlier_session(deps, session_secret, account)
    return await added_besides(deps, account, proved.proof.device, earlier, deps.clock.now())


async def _earlier_session(deps: Dependencies, secret: str | None, account: Account) -> Session | None:
    """What this browser remembers of the account from before, live or not, whatever became of its device.

    It is replaced. What it makes known of the browser is asked elsewhere.
    """
    session = None if secret is None else await deps.sessions.get(session_id(secret))
    return session if session is not None and session.belongs_to(account.tenant, account.id) else None


def _enrolled_by(
    authentication: VerifiedAuthentication, proof: DeviceProof, known: Session | None
) -> str | None:
    """A passkey vouches for its browser; what vouched before goes on when a device approves here."""
    if authentication.method is Method.PASSKEY:
        return proof.device
    return None if known is None else known.enrolled_by


def find_shortfall(
    authentication: VerifiedAuthentication,
    tenant: Tenant,
    request: SignInRequest,
    requested_at: datetime,
    now: datetime,
) -> Shortfall | None:
    """What the authentication lacks for that request, by the tenant's policy.

    Raises Forbidden when the authentication lies in the future: a replica whose clock is behind the one that took
    the proof must not use the sign-in up.
    """
    return shortfall(
        authentication,
        _policy(tenant),
        now=now,
        requested_at=requested_at,
        fresh_required=request.fresh_required,
        max_age=request.max_age,
        mfa_wanted=request.mfa_wanted,
        mfa_max_age=request.mfa_max_age,
    )


@dataclass(frozen=True, slots=True)
class Prepared:
    """All that a token needs beside the authentication: nothing of it can be refused any more."""

    tenant: Tenant
    account: Account
    domain: str
    """The federated domain whose issuer speaks for the account."""
    subject: TokenSubject
    key: SigningKey


@dataclass(frozen=True, slots=True, kw_only=True)
class Evidence:
    """What a token stands on: a transaction with its proof, or a session that such a one opened.

    `transaction`: the one that is answered, if the request became one. `proved_by`: the one with the proof.
    """

    proved_by: str | None
    transaction: str | None = None
    proof: DeviceProof | None = None
    session: str | None = None


async def prepare(deps: Dependencies, tenant: Tenant, account: Account) -> Prepared:
    """Key and subject, before anything is written. Raises Unavailable, and Forbidden (no federated domain)."""
    key = await deps.keys.current(tenant.slug)
    domain = domain_for(account.upn, federated_domains(tenant))
    subject = TokenSubject(
        tenant=account.tenant,
        account=account.id,
        issuer=domain.issuer,
        upn=account.upn,
        immutable_id=account.immutable_id,
    )
    return Prepared(tenant, account, domain.name, subject, key)


async def issue(
    deps: Dependencies,
    prepared: Prepared,
    authentication: VerifiedAuthentication,
    request: SignInRequest,
    *,
    requested_at: datetime,
    now: datetime,
    assertion_id: str,
    evidence: Evidence,
) -> ReplyForm:
    """Make the issuance record durable, and only then sign the token, which goes to where the request came from."""
    wresult = await record_and_sign(
        deps,
        prepared,
        authentication,
        request,
        requested_at=requested_at,
        now=now,
        assertion_id=assertion_id,
        evidence=evidence,
    )
    deps.first_uses.note(prepared.account.tenant, prepared.domain, now, signed_in=True)
    return reply_form(wresult, wreply=request.wreply, wctx=request.wctx)


async def record_and_sign(
    deps: Dependencies,
    prepared: Prepared,
    authentication: VerifiedAuthentication,
    request: SignInRequest,
    *,
    requested_at: datetime,
    now: datetime,
    assertion_id: str,
    evidence: Evidence,
    trial: bool = False,
) -> str:
    """The token (`wresult`), once its record is durable. Its audience is the request's. Raises Unavailable."""
    await deps.issuances.append(
        Issuance(
            account=prepared.account,
            authentication=authentication,
            assertion_id=assertion_id,
            issued_at=now,
            issuer=prepared.subject.issuer,
            key_id=prepared.key.key_id,
            client_request_id=request.correlation,
            transaction=evidence.transaction,
            proved_by=evidence.proved_by,
            proof=evidence.proof,
            session=evidence.session,
            trial=trial,
        )
    )
    return issue_token(
        authentication,
        prepared.subject,
        prepared.key,
        policy=_policy(prepared.tenant),
        audience=request.wtrealm,
        now=now,
        assertion_id=assertion_id,
        lifetime=TOKEN_LIFETIME,
        mfa_wanted=request.mfa_wanted,
        mfa_max_age=request.mfa_max_age,
        requested_at=requested_at,
    )


def idle_time(tenant: Tenant) -> timedelta:
    """How long a session of this tenant may be unused before it ends."""
    return timedelta(minutes=tenant.configured.policy.session_idle_minutes)


def _policy(tenant: Tenant) -> AuthenticationPolicy:
    return AuthenticationPolicy(badge_counts_as_mfa=tenant.configured.policy.badge_counts_as_mfa)
