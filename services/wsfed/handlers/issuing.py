"""Steps 10 and 11 of docs/flows/sign-in.md: tokens, from a proof made now or from an SSO session that holds one."""

import asyncio
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime, timedelta

import structlog

from services.wsfed.domain.authentication import (
    AuthenticationPolicy,
    Method,
    Shortfall,
    VerifiedAuthentication,
    authentication_claims,
    shortfall,
)
from services.wsfed.domain.request import SignInRequest
from services.wsfed.domain.session import Session, session_id
from services.wsfed.domain.token import (
    FederatedDomain,
    ReplyForm,
    TokenSubject,
    issue_token,
    issuer_for,
    new_assertion_id,
    reply_form,
)
from services.wsfed.domain.transaction import PhoneProof, State, Transaction
from services.wsfed.handlers.common import PasskeyNeeded, WsFed, check_current, find_tenant, takes
from services.wsfed.ports import Account, Issuance, Tenant
from shared.errors import Conflict, Forbidden
from shared.ids import new_secret

log = structlog.get_logger(__name__)

TOKEN_LIFETIME = timedelta(minutes=10)

SecretOf = Callable[[str, str], str | None]
"""The session secret that this browser holds for a tenant's user name, if any."""


@dataclass(frozen=True, slots=True)
class Answer:
    """A token on its way, and the secret of the session that was made or used."""

    form: ReplyForm
    tenant: Tenant
    account: Account
    session_secret: str


class RedirectLoop(Conflict):
    """Entra sends the browser back for a fourth token within a minute: a page must say so instead."""

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


@dataclass(frozen=True, slots=True, kw_only=True)
class Question:
    """What a session may answer: a request just made, or a transaction in which nothing was asked yet."""

    tenant: str
    upn: str
    request: SignInRequest
    asked_at: datetime
    transaction: str | None = None


def question(transaction: Transaction) -> Question | None:
    """The transaction as a question to a session; None when it is past that."""
    if transaction.state is not State.STARTED or not transaction.hint:
        return None
    return Question(
        tenant=transaction.tenant,
        upn=transaction.hint,
        request=transaction.request,
        asked_at=transaction.created_at,
        transaction=transaction.id,
    )


async def answer_from_session(wsfed: WsFed, asked: Question, secret_of: SecretOf) -> Answer | None:
    """A token from this browser's session of the very account that was asked for; None when it must sign in.

    Raises NotFound (tenant), RedirectLoop, Forbidden, Unavailable.
    """
    secret = secret_of(asked.tenant, asked.upn)
    if secret is None:
        return None
    check_current(wsfed)
    # The session before the account: with an invented cookie every name costs the same, whether it exists or not.
    session = await wsfed.sessions.get(session_id(secret))
    if session is None or not session.live(wsfed.clock.now()):
        return None
    tenant = await find_tenant(wsfed, asked.tenant)
    account = await _still_good(wsfed, session, asked)
    if account is None:
        return None
    if not await takes(wsfed, tenant, session.authentication.method, session):
        return None  # the tenant asks for more since: this browser signs in anew
    now = wsfed.clock.now()
    if not _within_limits(session, tenant, now):
        return None
    missing = _shortfall(session.authentication, tenant, asked.request, asked.asked_at, now)
    if missing is not None:
        log.info("session.not_enough", tenant=tenant.slug, account=account.id, missing=missing.value)
        return None
    if session.looping(now):
        raise RedirectLoop(tenant, asked.request)
    prepared = await _prepare(wsfed, tenant, account)
    used = await wsfed.sessions.use(session, now, _idle_end(tenant, now))
    if used is None:
        return None
    assertion_id = new_assertion_id(wsfed.ids)
    if asked.transaction is not None and not await wsfed.transactions.answer(
        asked.transaction, assertion_id, now
    ):
        return None
    form = await _issue(
        wsfed,
        prepared,
        used.authentication,
        asked.request,
        requested_at=asked.asked_at,
        now=now,
        assertion_id=assertion_id,
        basis=_Basis(session=used.id, transaction=asked.transaction),
    )
    return Answer(form, tenant, account, secret)


async def _still_good(wsfed: WsFed, session: Session, asked: Question) -> Account | None:
    """The session's account, if it is the one that was asked for, may sign in, and its phone is still trusted."""
    if session.tenant != asked.tenant:
        return None
    account = await wsfed.directory.account(session.tenant, session.account)
    if account is None or not account.may_try or account.upn.lower() != asked.upn:
        return None
    device = await wsfed.directory.device(account.tenant, session.device)
    return account if device is not None and not device.removed else None


async def take_token(wsfed: WsFed, transaction: Transaction, secret_of: SecretOf) -> Answer:
    """Exactly one token for a proved transaction, and the session that it opens.

    Account, phone and policy are read now: one that was suspended or removed since the approval gets none, nor one
    that the tenant no longer takes in this browser. Raises AlreadyIssued, NotApproved, NotFound, Gone,
    Forbidden, RedirectLoop, Unavailable.
    """
    if transaction.state is not State.PROVED:  # perhaps it is by now, on another replica
        transaction = await wsfed.transactions.get(transaction.id) or transaction
    if transaction.state is State.ISSUED:
        raise AlreadyIssued
    authentication, proof = transaction.authentication, transaction.proof
    if transaction.state is not State.PROVED or authentication is None or proof is None:
        raise NotApproved
    check_current(wsfed)
    tenant = await find_tenant(wsfed, transaction.tenant)
    account, device = await asyncio.gather(
        wsfed.directory.account(tenant.slug, authentication.account),
        wsfed.directory.device(tenant.slug, proof.device),
    )
    if account is None or not account.may_try:
        raise Forbidden("wsfed.account.not_active", code="account_not_active")
    if device is None or device.removed:  # lost, and taken out of use since it approved
        raise Forbidden("wsfed.device.removed", code="device_removed")
    application = tenant.application(transaction.application)
    prepared = await _prepare(wsfed, tenant, account)
    now = wsfed.clock.now()
    _check_enough(authentication, tenant, transaction, now)
    earlier = await _earlier(wsfed, secret_of(tenant.slug, account.upn), account)
    if not await takes(wsfed, tenant, authentication.method, earlier):
        raise PasskeyNeeded
    if earlier is not None and earlier.looping(now):
        raise RedirectLoop(tenant, transaction.request)
    assertion_id = new_assertion_id(wsfed.ids)
    if await wsfed.transactions.issue(transaction.id, assertion_id, now) is None:
        raise AlreadyIssued
    secret = new_secret(wsfed.ids)
    session = Session(
        id=session_id(secret),
        authentication=authentication,
        device=proof.device,
        ends_at=authentication.authenticated_at + timedelta(hours=application.session_hours),
        idle_ends_at=_idle_end(tenant, now),
        enrolled_by=_enrolled_by(authentication, proof, earlier),
        issued=(*(earlier.issued if earlier else ()), now),
    )
    issuing = _issue(
        wsfed,
        prepared,
        authentication,
        transaction.request,
        requested_at=transaction.created_at,
        now=now,
        assertion_id=assertion_id,
        basis=_Basis(transaction=transaction.id, proof=proof),
    )
    # At once: where no token comes of it, nobody ever gets the secret of that session.
    form, _ = await asyncio.gather(issuing, wsfed.sessions.add(session))
    if earlier is not None:
        await wsfed.sessions.forget(earlier.id)
    log.info("signin.issued", tenant=tenant.slug, transaction=transaction.id)
    return Answer(form, tenant, account, secret)


def _enrolled_by(
    authentication: VerifiedAuthentication, proof: PhoneProof, earlier: Session | None
) -> str | None:
    """A passkey vouches for its browser; what vouched before goes on when a phone approves here."""
    if authentication.method is Method.PASSKEY:
        return proof.device
    return None if earlier is None else earlier.enrolled_by


def _check_enough(
    authentication: VerifiedAuthentication, tenant: Tenant, transaction: Transaction, now: datetime
) -> None:
    """Refuse before anything is written: Entra would send a token without the claim straight back.

    A replica whose clock is behind the one that took the proof must not use the sign-in up either.
    """
    authentication_claims(
        authentication,
        _policy(tenant),
        now=now,
        mfa_max_age=transaction.request.mfa_max_age,
        requested_at=transaction.created_at,
    )
    missing = _shortfall(authentication, tenant, transaction.request, transaction.created_at, now)
    if missing is not None:
        raise Forbidden("wsfed.authentication.not_enough", code=f"{missing.value}_not_satisfied")


def _shortfall(
    authentication: VerifiedAuthentication,
    tenant: Tenant,
    request: SignInRequest,
    asked_at: datetime,
    now: datetime,
) -> Shortfall | None:
    return shortfall(
        authentication,
        _policy(tenant),
        now=now,
        requested_at=asked_at,
        fresh_required=request.fresh_required,
        max_age=request.max_age,
        mfa_wanted=request.mfa_wanted,
        mfa_max_age=request.mfa_max_age,
    )


async def sign_out(wsfed: WsFed, secrets: list[str]) -> None:
    """End this browser's sessions. It stays known for its accounts."""
    for secret in secrets:
        await wsfed.sessions.end(session_id(secret), wsfed.clock.now())


@dataclass(frozen=True, slots=True)
class _Prepared:
    tenant: Tenant
    account: Account
    subject: TokenSubject


@dataclass(frozen=True, slots=True, kw_only=True)
class _Basis:
    """What a token stands on: a transaction with its proof, or a session that such a one opened."""

    transaction: str | None = None
    proof: PhoneProof | None = None
    session: str | None = None


async def _prepare(wsfed: WsFed, tenant: Tenant, account: Account) -> _Prepared:
    """Everything that can be refused, before anything is written."""
    await wsfed.keys.current(tenant.slug)
    domains = [FederatedDomain(d.name, d.issuer) for d in tenant.configured.domains]
    subject = TokenSubject(
        tenant=account.tenant,
        account=account.id,
        issuer=issuer_for(account.upn, domains),
        upn=account.upn,
        immutable_id=account.immutable_id,
    )
    return _Prepared(tenant, account, subject)


async def _issue(
    wsfed: WsFed,
    prepared: _Prepared,
    authentication: VerifiedAuthentication,
    request: SignInRequest,
    *,
    requested_at: datetime,
    now: datetime,
    assertion_id: str,
    basis: _Basis,
) -> ReplyForm:
    """The record, durable; then the signature."""
    key = await wsfed.keys.current(prepared.tenant.slug)
    await wsfed.issuances.append(
        Issuance(
            account=prepared.account,
            authentication=authentication,
            assertion_id=assertion_id,
            issued_at=now,
            issuer=prepared.subject.issuer,
            key_id=key.key_id,
            client_request_id=request.correlation,
            transaction=basis.transaction,
            proof=basis.proof,
            session=basis.session,
        )
    )
    wresult = issue_token(
        authentication,
        prepared.subject,
        key,
        policy=_policy(prepared.tenant),
        now=now,
        assertion_id=assertion_id,
        lifetime=TOKEN_LIFETIME,
        mfa_wanted=request.mfa_wanted,
        mfa_max_age=request.mfa_max_age,
        requested_at=requested_at,
    )
    return reply_form(wresult, wreply=request.wreply, wctx=request.wctx)


async def _earlier(wsfed: WsFed, secret: str | None, account: Account) -> Session | None:
    """What this browser remembers of the account from before, live or not."""
    session = None if secret is None else await wsfed.sessions.get(session_id(secret))
    if session is None or (session.tenant, session.account) != (account.tenant, account.id):
        return None
    return session


def _within_limits(session: Session, tenant: Tenant, now: datetime) -> bool:
    """By the tenant's limits of now: shorter ones count at once. The application is that of every sign-in (`begin`)."""
    applications = tenant.configured.applications
    if not applications:
        return False
    length = timedelta(hours=applications[0].session_hours)
    return session.within(now, length=length, idle=_idle(tenant))


def _policy(tenant: Tenant) -> AuthenticationPolicy:
    return AuthenticationPolicy(badge_counts_as_mfa=tenant.configured.policy.badge_counts_as_mfa)


def _idle_end(tenant: Tenant, now: datetime) -> datetime:
    return now + _idle(tenant)


def _idle(tenant: Tenant) -> timedelta:
    return timedelta(minutes=tenant.configured.policy.session_idle_minutes)
