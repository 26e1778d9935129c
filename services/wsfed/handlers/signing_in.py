"""Steps 1 to 4 of docs/flows/sign-in.md: from Entra's request to the question on the phone."""

import hashlib
from contextlib import suppress
from dataclasses import replace
from datetime import datetime
from typing import Literal

import structlog

from services.wsfed.domain.authentication import DeviceMethod
from services.wsfed.domain.context import SignInContext, digest
from services.wsfed.domain.options import SignInOptions, page_options, policy_allows
from services.wsfed.domain.request import SignInRequest
from services.wsfed.domain.sign_in_figures import COUNTED_AFTER, unanswered
from services.wsfed.domain.tabs import LastRequest, continued_elsewhere
from services.wsfed.domain.token import domain_for
from services.wsfed.domain.transaction import (
    CHALLENGE_LIFETIME,
    ENDED_CHALLENGE,
    HANDLE_LIFETIME,
    LIFETIME,
    MAX_CHALLENGES,
    UNBOUND,
    Challenge,
    Step,
    Transaction,
    TransactionState,
    browser_digest,
)
from services.wsfed.domain.trust import AddedDevice
from services.wsfed.handlers.added_devices import added_since
from services.wsfed.handlers.common import (
    Browser,
    PasskeyNeeded,
    Recognised,
    application_of,
    authorize_browser,
    federated_domains,
    find_tenant,
    is_enrolled,
    load_for_browser,
    method_allowed,
    recognise,
    require_fresh,
)
from services.wsfed.ports import Account, Dependencies, Tenant
from shared.contracts.admin import Application
from shared.contracts.approval import OpenChallenge
from shared.errors import Conflict, Forbidden, Gone, NotFound
from shared.ids import b64u, new_code, new_id, new_secret

log = structlog.get_logger(__name__)


async def begin(
    deps: Dependencies, slug: str, request: SignInRequest, browser_secret: str | None, *, from_entra: bool
) -> Transaction:
    """Step 1: keep Entra's request as a transaction of this browser. Raises NotFound.

    Without a secret (a POST from another site brings no cookies) it belongs to nobody until `open_page`. `from_entra`:
    a page of Entra's or our own led the browser here; that is known only now, before we redirect.
    """
    tenant = await find_tenant(deps, slug)
    if not tenant.configured.applications:
        raise NotFound("wsfed.application.none")
    now = deps.clock.now()
    transaction = Transaction(
        id=new_id(deps.ids),
        tenant=slug,
        application=tenant.configured.applications[0].id,
        request=request,
        username=request.user_name,
        browser=browser_digest(browser_secret) if browser_secret else UNBOUND,
        created_at=now,
        expires_at=now + LIFETIME,
        from_entra=from_entra,
    )
    await deps.transactions.add(transaction)
    _note_domain(deps, tenant, request.user_name, now)
    log.info("signin.begun", tenant=slug, transaction=transaction.id, client_request_id=request.correlation)
    return transaction


def _note_domain(deps: Dependencies, tenant: Tenant, username: str, now: datetime) -> None:
    """A request for somebody of one of our domains came: Entra sends that domain's people here."""
    with suppress(Forbidden):  # no name, or one that is not ours
        domain = domain_for(username, federated_domains(tenant))
        deps.first_uses.note(tenant.slug, domain.name, now, signed_in=False)


async def open_page(deps: Dependencies, transaction_id: str, browser_secret: str) -> Transaction:
    """Step 2: the transaction for the page in its browser, as `load_for_browser` gives it.

    A transaction that came by POST belongs, from then on, to the first browser that opens it.
    """
    transaction = await deps.transactions.get(transaction_id)
    if transaction is not None and transaction.browser == UNBOUND:
        await deps.transactions.bind(transaction_id, browser_digest(browser_secret))
        transaction = await deps.transactions.get(transaction_id)
    return authorize_browser(deps, transaction, browser_secret)


async def name_account(deps: Dependencies, transaction: Transaction, upn: str) -> Transaction:
    """The person typed their user name, since Entra sent none, or a wrong or an old one.

    What was asked under another name is over: an approval of it that still comes changes nothing. Raises Conflict when
    the sign-in is proved already.
    """
    named = await deps.transactions.name_account(transaction.id, upn.strip().lower())
    if named is None:
        raise Conflict("wsfed.transaction.approved", code="proved")
    return named


async def leave_to_other_tab(
    deps: Dependencies, transaction: Transaction, last: LastRequest | None
) -> Transaction:
    """The transaction as it is now, `superseded` if another tab of its browser has asked since. `last`: what this
    browser says that it asked for last.
    """
    challenge = transaction.challenge
    if challenge is None or not continued_elsewhere(transaction, last, deps.clock.now()):
        return transaction
    left = await deps.transactions.supersede(transaction.id, challenge.id)
    if left is None:  # an approval was faster
        return await deps.transactions.get(transaction.id) or transaction
    log.info("signin.continued_elsewhere", transaction=transaction.id)
    await deps.wake(transaction.id)
    return left


async def sign_in_options(
    deps: Dependencies, tenant: Tenant, application: Application, browser: Browser, transaction: Transaction
) -> tuple[SignInOptions, Recognised | None]:
    """Step 2: what the page may offer in this browser. The same for every browser without the account's cookie.

    With it what was read for that, for the rest of the request; None where nothing had to be.
    """
    recognised, added, unnotified = None, tuple[AddedDevice, ...](), False
    # Who is known matters for a push that starts by itself, for which method comes first in a browser that was known
    # before, and to a policy that asks for it: else nothing is read.
    challenge = transaction.challenge
    again = transaction.state in ENDED_CHALLENGE and challenge is not None and challenge.context.known_browser
    matters = transaction.state is TransactionState.STARTED or tenant.configured.policy.sign_in != "open"
    if browser.held.secret is not None and (matters or again):
        recognised = await recognise(deps, transaction, browser)
        account, session = recognised.account, recognised.session
        if account is not None and session is not None:
            added = tuple(await added_since(deps, account, session))
            unnotified = not await deps.directory.gets_notifications(account.tenant, account.id)
    first = DeviceMethod(application.first_method)
    in_order = (first, *(method for method in DeviceMethod if method is not first))
    known_by = None if recognised is None else recognised.session
    policy, enrolled = tenant.configured.policy.sign_in, await is_enrolled(deps, known_by)
    methods = tuple(each for each in in_order if policy_allows(policy, each.proves, enrolled=enrolled))
    options = page_options(
        transaction,
        deps.clock.now(),
        methods=methods,
        known=known_by is not None,
        unnotified=unnotified,
        added=added,
    )
    return options, recognised


async def open_challenge(
    deps: Dependencies,
    transaction: Transaction,
    browser: Browser,
    method: DeviceMethod,
    renews: str | None = None,
) -> Transaction:
    """Steps 3 and 4: draw code and nonce, and ask the account's devices, if there is such an account.

    Unknown, suspended and removed accounts take the same path with the same work, here and in approval: what
    is sent for them is a decoy, which reaches no phone.
    `renews`: the challenge whose QR code the page replaces by itself; nothing happens when it was scanned already.
    Raises PasskeyNeeded (the tenant takes no push and no QR in this browser, whoever it asks for), Conflict, Gone,
    Unavailable.
    """
    if not transaction.allows(Step.OPEN_CHALLENGE):
        return transaction
    if not transaction.username:
        raise Conflict("wsfed.transaction.no_user_name")
    if renews is not None and not (method is DeviceMethod.QR and transaction.renewable(renews)):
        # The page is drawn anew, so the transaction is read as it is now.
        return await load_for_browser(deps, transaction.id, browser.secret)
    if renews is None and transaction.challenges >= MAX_CHALLENGES:
        raise Gone("wsfed.challenge.too_many")
    require_fresh(deps)
    tenant = await find_tenant(deps, transaction.tenant)
    recognised = await recognise(deps, transaction, browser)
    account, session = recognised.account, recognised.session
    if not await method_allowed(deps, tenant, method.proves, session):
        raise PasskeyNeeded
    known = session is not None
    asked_of = account if account is not None and account.status.can_sign_in else None
    context = make_context(
        deps,
        transaction,
        tenant,
        asked_of,
        browser,
        method=method.value,
        known=known,
        expires_at=deps.clock.now() + CHALLENGE_LIFETIME,
    )
    challenge = _challenge(deps, context, 0 if account is None else account.session_epoch)
    if method is DeviceMethod.PUSH and session is not None:
        notified = await deps.directory.gets_notifications(session.tenant, session.account)
        challenge = replace(challenge, unnotified=not notified)
    same_network = tenant.configured.policy.same_network_or_passkey
    command = _open_challenge(
        challenge,
        transaction,
        renews,
        known_as="" if session is None else session.browser,
        same_network=same_network,
        decoy=asked_of is None,
    )
    messages = [deps.signer.sign(command, tenant=transaction.tenant)]
    account_id = None if asked_of is None else asked_of.id
    if renews is None or transaction.challenge is None:
        asked = await deps.transactions.open_challenge(
            transaction.id,
            transaction.username,
            account_id,
            challenge,
            messages,
            left=unanswered(transaction, deps.clock.now()),
            count_at=transaction.expires_at + COUNTED_AFTER,
        )
    else:
        asked = await deps.transactions.renew_challenge(
            transaction.id, account_id, transaction.challenge, challenge, messages
        )
    return asked or await load_for_browser(deps, transaction.id, browser.secret)


def make_context(
    deps: Dependencies,
    transaction: Transaction,
    tenant: Tenant,
    account: Account | None,
    browser: Browser,
    *,
    method: Literal["push", "qr", "passkey"],
    known: bool,
    expires_at: datetime,
) -> SignInContext:
    """What is to be signed, until then. Without an account it is made all the same, for somebody who does not exist."""
    application = application_of(tenant, transaction)
    return SignInContext(
        tenant=tenant.slug,
        organisation=tenant.configured.name,
        application=application.id,
        application_name=application.name,
        realm=transaction.request.wtrealm,
        origin=deps.origin,
        transaction=transaction.id,
        challenge=new_id(deps.ids),
        account=account.id if account else nobodys_id(tenant.slug, transaction.username),
        upn=account.upn if account else transaction.username,
        method=method,
        address=browser.address,
        place=browser.place,
        agent=browser.agent,
        known_browser=known,
        code_required=method == "push" or (method == "qr" and not known),
        issued_at=deps.clock.now(),
        expires_at=expires_at,
        nonce=new_secret(deps.ids),
    )


def nobodys_id(tenant: str, username: str) -> str:
    """The account id that stands for a user name without an account, the same each time and no account's.

    By it approval treats requests for one such name as requests for one account: the later ones of a browser supersede
    its earlier ones, and many at once limit each other, as they would if the account existed.
    """
    return b64u(hashlib.sha256(f"nobody\0{tenant}\0{username}".encode()).digest()[:16])


def _challenge(deps: Dependencies, context: SignInContext, session_epoch: int) -> Challenge:
    handle = new_id(deps.ids) if context.method == "qr" else None
    code = new_code(deps.ids) if context.code_required else ""
    return Challenge(context=context, code=code, handle=handle, session_epoch=session_epoch)


def _open_challenge(
    challenge: Challenge,
    transaction: Transaction,
    renews: str | None,
    *,
    known_as: str,
    same_network: bool,
    decoy: bool,
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
        known_as=known_as,
        lifetime=int(CHALLENGE_LIFETIME.total_seconds()),
        handle_digest=None if challenge.handle is None else b64u(digest(challenge.handle)),
        handle_lifetime=None if challenge.handle is None else int(HANDLE_LIFETIME.total_seconds()),
        same_network=same_network,
        renews=renews,
        decoy=decoy,
        expects_push=not challenge.unnotified,
    )
