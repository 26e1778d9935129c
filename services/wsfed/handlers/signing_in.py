"""Steps 1 to 4 of docs/flows/sign-in.md: from Entra's request to the question on the phone."""

from dataclasses import dataclass
from typing import Literal

import structlog

from services.wsfed.domain.context import SignInContext, digest
from services.wsfed.domain.request import SignInRequest
from services.wsfed.domain.session import Session, session_id
from services.wsfed.domain.transaction import (
    CHALLENGE_LIFETIME,
    HANDLE_LIFETIME,
    LIFETIME,
    MAX_CHALLENGES,
    UNBOUND,
    Challenge,
    State,
    Transaction,
    browser_digest,
)
from services.wsfed.handlers.common import (
    Browser,
    PasskeyNeeded,
    WsFed,
    check_current,
    check_seen,
    find_tenant,
    look,
    phone_may_ask,
)
from services.wsfed.ports import Account, Tenant
from shared.contracts.approval import OpenChallenge
from shared.errors import Conflict, Gone, NotFound
from shared.ids import b64u, new_code, new_id, new_secret

log = structlog.get_logger(__name__)


async def begin(wsfed: WsFed, slug: str, request: SignInRequest, browser_secret: str | None) -> Transaction:
    """Step 1: keep Entra's request as a transaction of this browser. Raises NotFound.

    Without a secret (a POST from another site brings no cookies) it belongs to nobody until `open_page`.
    """
    tenant = await find_tenant(wsfed, slug)
    if not tenant.configured.applications:
        raise NotFound("wsfed.application.none")
    now = wsfed.clock.now()
    transaction = Transaction(
        id=new_id(wsfed.ids),
        tenant=slug,
        application=tenant.configured.applications[0].id,
        request=request,
        hint=(request.hint or "").lower(),
        browser=browser_digest(browser_secret) if browser_secret else UNBOUND,
        created_at=now,
        expires_at=now + LIFETIME,
    )
    await wsfed.transactions.add(transaction)
    log.info("signin.begun", tenant=slug, transaction=transaction.id, client_request_id=request.correlation)
    return transaction


async def open_page(wsfed: WsFed, transaction_id: str, browser_secret: str) -> Transaction:
    """Step 2: as `look`; a transaction that came by POST goes to the first browser that opens it, for good."""
    transaction = await wsfed.transactions.get(transaction_id)
    if transaction is not None and transaction.browser == UNBOUND:
        await wsfed.transactions.bind(transaction_id, browser_digest(browser_secret))
        transaction = await wsfed.transactions.get(transaction_id)
    return check_seen(wsfed, transaction, browser_secret)


async def name_account(wsfed: WsFed, transaction: Transaction, upn: str) -> Transaction:
    """The person typed their user name, since Entra sent none (or another is wanted)."""
    named = await wsfed.transactions.name_account(transaction.id, upn.strip().lower())
    if named is None:
        raise Conflict("wsfed.challenge.under_way")
    return named


async def ask_phone(
    wsfed: WsFed,
    transaction: Transaction,
    browser: Browser,
    method: Literal["push", "qr"],
    renews: str | None = None,
) -> Transaction:
    """Steps 3 and 4: draw code and nonce, and ask the account's phones, if there is such an account.

    Unknown, suspended and removed accounts take the same path with the same work: only the message is not kept.
    Raises PasskeyNeeded (the tenant takes no push and no QR in this browser, whoever it asks for).
    `renews`: the challenge whose QR code the page replaces by itself; nothing happens when it was scanned already.
    """
    if transaction.state in (State.PROVED, State.ISSUED):
        return transaction
    if not transaction.hint:
        raise Conflict("wsfed.transaction.no_user_name")
    if renews is not None and not (method == "qr" and transaction.renewable(renews)):
        return await look(wsfed, transaction.id, browser.secret)  # the page is drawn anew, so as it is now
    if renews is None and transaction.challenges >= MAX_CHALLENGES:
        raise Gone("wsfed.challenge.too_many")
    check_current(wsfed)
    tenant = await find_tenant(wsfed, transaction.tenant)
    account = await wsfed.directory.account_by_upn(transaction.tenant, transaction.hint)
    session = await remembered(wsfed, browser, account)
    if not await phone_may_ask(wsfed, tenant, session):
        raise PasskeyNeeded
    known = session is not None
    context = make_context(wsfed, transaction, tenant, account, browser, method=method, known=known)
    challenge = _challenge(wsfed, context)
    same_network = tenant.configured.policy.same_network_or_passkey
    command = _open_challenge(challenge, transaction, renews, same_network=same_network)
    signed = wsfed.signer.sign(command, tenant=transaction.tenant)
    reachable = account is not None and account.may_try
    asked_of = account.id if account is not None and reachable else None
    messages = [signed] if reachable else []
    if renews is None or transaction.challenge is None:
        asked = await wsfed.transactions.open_challenge(
            transaction.id, transaction.hint, asked_of, challenge, messages
        )
    else:
        asked = await wsfed.transactions.renew_challenge(
            transaction.id, asked_of, transaction.challenge, challenge, messages
        )
    return asked or await look(wsfed, transaction.id, browser.secret)


async def remembered(wsfed: WsFed, browser: Browser, account: Account | None) -> Session | None:
    """What this browser's cookie remembers of the account, live or not: it has signed in from here before.

    By a phone that is trusted still: whoever signed in with one that was lost since is a stranger again.
    """
    if browser.known is None:
        return None
    # Read also when there is no such account: with an invented cookie every name must cost the same.
    session = await wsfed.sessions.get(session_id(browser.known))
    if session is None or account is None:
        return None
    if (session.tenant, session.account) != (account.tenant, account.id):
        return None
    device = await wsfed.directory.device(session.tenant, session.device)
    return session if device is not None and not device.removed else None


@dataclass(frozen=True, slots=True)
class Standing:
    """What this browser may do for the account that the transaction names. The same for every stranger's."""

    known: bool
    """Told before anything was asked; nobody needs it later."""
    phone: bool
    """Push and QR are offered."""


async def standing(wsfed: WsFed, tenant: Tenant, browser: Browser, transaction: Transaction) -> Standing:
    """A stranger's browser has no cookie: nothing is looked up for it."""
    session = None
    asked_already = transaction.state is not State.STARTED and tenant.configured.policy.sign_in == "open"
    if browser.known is not None and not asked_already:
        account = await wsfed.directory.account_by_upn(transaction.tenant, transaction.hint)
        session = await remembered(wsfed, browser, account)
    return Standing(session is not None, await phone_may_ask(wsfed, tenant, session))


def make_context(
    wsfed: WsFed,
    transaction: Transaction,
    tenant: Tenant,
    account: Account | None,
    browser: Browser,
    *,
    method: Literal["push", "qr", "passkey"],
    known: bool,
) -> SignInContext:
    """What is to be signed. Without an account it is made all the same, for somebody who does not exist."""
    now = wsfed.clock.now()
    application = tenant.application(transaction.application)
    return SignInContext(
        tenant=tenant.slug,
        organisation=tenant.configured.name,
        application=application.id,
        application_name=application.name,
        realm=transaction.request.wtrealm,
        origin=wsfed.origin,
        transaction=transaction.id,
        challenge=new_id(wsfed.ids),
        account=account.id if account else new_id(wsfed.ids),
        upn=account.upn if account else transaction.hint,
        method=method,
        address=browser.address,
        place=browser.place,
        agent=browser.agent,
        known_browser=known,
        code_required=method == "push" or (method == "qr" and not known),
        issued_at=now,
        expires_at=now + CHALLENGE_LIFETIME,
        nonce=new_secret(wsfed.ids),
    )


def _challenge(wsfed: WsFed, context: SignInContext) -> Challenge:
    handle = new_id(wsfed.ids) if context.method == "qr" else None
    code = new_code(wsfed.ids) if context.code_required else ""
    return Challenge(context=context, code=code, handle=handle)


def _open_challenge(
    challenge: Challenge, transaction: Transaction, renews: str | None, *, same_network: bool
) -> OpenChallenge:
    context = challenge.context
    return OpenChallenge(
        challenge=challenge.id,
        transaction=transaction.id,
        account=context.account,
        method="qr" if context.method == "qr" else "push",
        context=context.without_code(),
        expected_digest=b64u(digest(context.with_code(challenge.code))),
        browser=transaction.browser,
        browser_known=context.known_browser,
        lifetime=int(CHALLENGE_LIFETIME.total_seconds()),
        handle_digest=None if challenge.handle is None else b64u(digest(challenge.handle)),
        handle_lifetime=None if challenge.handle is None else int(HANDLE_LIFETIME.total_seconds()),
        same_network=same_network,
        renews=renews,
    )
