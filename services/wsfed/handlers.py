"""One function for each use case of wsfed. The numbers are the steps of docs/flows/sign-in.md and enrolment.md."""

from dataclasses import dataclass
from datetime import timedelta

import structlog

from services.wsfed.domain.authentication import AuthenticationPolicy
from services.wsfed.domain.context import SignInContext, digest
from services.wsfed.domain.proof import InvalidProof, verify_phone_proof
from services.wsfed.domain.request import SignInRequest
from services.wsfed.domain.token import (
    FederatedDomain,
    ReplyForm,
    TokenSubject,
    issue_token,
    issuer_for,
    new_assertion_id,
    reply_form,
)
from services.wsfed.domain.transaction import (
    CHALLENGE_LIFETIME,
    LIFETIME,
    MAX_CHALLENGES,
    Challenge,
    State,
    Transaction,
    browser_digest,
)
from services.wsfed.domain.trust import Invitation, TrustedDevice, Untrusted, trust_device
from services.wsfed.ports import (
    Account,
    Directory,
    Issuance,
    IssuanceLog,
    SigningKeys,
    Tenant,
    Transactions,
    Wake,
)
from shared.bus.port import Reject, Retry
from shared.clock import Clock
from shared.contracts.admin import AccountChanged, AccountStatus, InvitationChanged, TenantConfigured
from shared.contracts.approval import ChallengeAccepted, ChallengeEnded, DeviceChanged, OpenChallenge
from shared.contracts.envelope import PacketSigner, Received
from shared.crypto.enrolment import NewDeviceKey
from shared.errors import Conflict, Forbidden, Gone, NotFound
from shared.ids import Ids, b64u, new_code, new_id, new_secret, unb64u

log = structlog.get_logger(__name__)

TOKEN_LIFETIME = timedelta(minutes=10)


@dataclass(frozen=True, slots=True, kw_only=True)
class WsFed:
    """What the use cases work with."""

    transactions: Transactions
    directory: Directory
    keys: SigningKeys
    issuances: IssuanceLog
    wake: Wake
    signer: PacketSigner
    clock: Clock
    ids: Ids
    origin: str
    rp_id: str
    expected_origins: frozenset[str]


@dataclass(frozen=True, slots=True, kw_only=True)
class Browser:
    """The browser that asks, as far as it can be known. `secret`: its cookie."""

    secret: str
    address: str
    place: str
    agent: str


# --- sign-in ----------------------------------------------------------------------------------------------------


async def find_tenant(wsfed: WsFed, slug: str) -> Tenant:
    """The tenant. Raises NotFound."""
    tenant = await wsfed.directory.tenant(slug)
    if tenant is None or tenant.configured.removed:
        raise NotFound("No organisation signs in at this address.", remedy="Check the federation settings.")
    return tenant


async def begin(wsfed: WsFed, slug: str, request: SignInRequest, browser_secret: str) -> Transaction:
    """Step 1: keep Entra's request as a transaction of this browser. Raises NotFound."""
    tenant = await find_tenant(wsfed, slug)
    if not tenant.configured.applications:
        raise NotFound(
            "This organisation has no application yet.", remedy="Ask your administrator to add one."
        )
    now = wsfed.clock.now()
    transaction = Transaction(
        id=new_id(wsfed.ids),
        tenant=slug,
        application=tenant.configured.applications[0].id,
        request=request,
        hint=(request.hint or "").lower(),
        browser=browser_digest(browser_secret),
        created_at=now,
        expires_at=now + LIFETIME,
    )
    await wsfed.transactions.add(transaction)
    log.info("signin.begun", tenant=slug, transaction=transaction.id, client_request_id=request.correlation)
    return transaction


async def look(wsfed: WsFed, transaction_id: str, browser_secret: str | None) -> Transaction:
    """Step 2: the transaction, for its own browser only. Raises NotFound, Gone."""
    transaction = await wsfed.transactions.get(transaction_id)
    if transaction is None or not transaction.belongs_to(browser_secret):
        # One answer for both: a link to somebody else's sign-in tells nothing.
        raise NotFound(
            "This sign-in doesn't exist in this browser.", remedy="Start again from Microsoft 365."
        )
    if wsfed.clock.now() >= transaction.expires_at and transaction.state is not State.ISSUED:
        raise Gone("This sign-in took too long.", remedy="Start again from Microsoft 365.")
    return transaction


async def name_account(wsfed: WsFed, transaction_id: str, browser: Browser, upn: str) -> Transaction:
    """The person typed their user name, since Entra sent none (or another is wanted)."""
    await look(wsfed, transaction_id, browser.secret)
    named = await wsfed.transactions.name_account(transaction_id, upn.strip().lower())
    if named is None:
        raise Conflict("A request for this sign-in is already on its way.")
    return named


async def ask_phone(wsfed: WsFed, transaction_id: str, browser: Browser, method: str) -> Transaction:
    """Steps 3 and 4: draw code and nonce, and ask the account's phones, if there is such an account.

    Unknown, suspended and removed accounts take the same path with the same work: only the message is not kept.
    """
    transaction = await look(wsfed, transaction_id, browser.secret)
    if transaction.state in (State.PROVED, State.ISSUED):
        return transaction
    if not transaction.hint:
        raise Conflict("The user name is missing.", remedy="Type your user name first.")
    if transaction.challenges >= MAX_CHALLENGES:
        raise Gone("Too many requests were sent for this sign-in.", remedy="Start again from Microsoft 365.")
    tenant = await find_tenant(wsfed, transaction.tenant)
    account = await wsfed.directory.account_by_upn(transaction.tenant, transaction.hint)
    challenge = _challenge(wsfed, transaction, tenant, account, browser, method)
    packet = wsfed.signer.packet(_open_challenge(challenge, transaction), tenant=transaction.tenant)
    reachable = account is not None and account.may_try
    asked = await wsfed.transactions.open_challenge(
        transaction.id,
        account.id if account is not None and reachable else None,
        challenge,
        [packet] if reachable else [],
    )
    return asked or await look(wsfed, transaction_id, browser.secret)


def _challenge(
    wsfed: WsFed,
    transaction: Transaction,
    tenant: Tenant,
    account: Account | None,
    browser: Browser,
    method: str,
) -> Challenge:
    now = wsfed.clock.now()
    application = next(a for a in tenant.configured.applications if a.id == transaction.application)
    context = SignInContext(
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
        method="qr" if method == "qr" else "push",
        address=browser.address,
        place=browser.place,
        agent=browser.agent,
        known_browser=False,
        issued_at=now,
        expires_at=now + CHALLENGE_LIFETIME,
        nonce=new_secret(wsfed.ids),
    )
    handle = new_id(wsfed.ids) if method == "qr" else None
    return Challenge(context=context, code=new_code(wsfed.ids), handle=handle)


def _open_challenge(challenge: Challenge, transaction: Transaction) -> OpenChallenge:
    context = challenge.context
    return OpenChallenge(
        challenge=challenge.id,
        transaction=transaction.id,
        account=context.account,
        method=context.method,
        context=context.without_code(),
        expected_digest=b64u(digest(context.with_code(challenge.code))),
        browser=transaction.browser,
        browser_known=context.known_browser,
        lifetime=int(CHALLENGE_LIFETIME.total_seconds()),
        handle_digest=None if challenge.handle is None else b64u(digest(challenge.handle)),
    )


async def phone_accepted(wsfed: WsFed, received: Received[ChallengeAccepted]) -> None:
    """Step 8: verify the proof again. Raises Retry while the device key is not here yet, Reject otherwise."""
    message = received.message
    transaction = await wsfed.transactions.get(message.transaction)
    if transaction is None or transaction.tenant != received.tenant:
        raise Reject("no such transaction in this tenant")
    challenge = transaction.challenge
    if transaction.state is not State.WAITING or challenge is None or challenge.id != message.challenge:
        log.info("signin.late_approval", transaction=transaction.id, state=transaction.state)
        return  # already proved, or superseded: a duplicate is not an attack
    device = await wsfed.directory.device(received.tenant, message.device)
    if device is None:
        if challenge.expired(wsfed.clock.now()):
            raise Reject("no trusted device of that id")
        raise Retry("device key not here yet")
    try:
        authentication, proof = verify_phone_proof(
            transaction=transaction,
            challenge=message.challenge,
            device=device,
            context=message.proof.context,
            authenticator_data=unb64u(message.proof.authenticator_data),
            client_data_json=unb64u(message.proof.client_data_json),
            signature=unb64u(message.proof.signature),
            expected_origins=wsfed.expected_origins,
            expected_rp_id=wsfed.rp_id,
            now=wsfed.clock.now(),
        )
    except (InvalidProof, ValueError) as error:
        raise Reject(f"proof refused: {error}") from error
    if await wsfed.transactions.prove(transaction.id, message.challenge, authentication, proof) is not None:
        log.info("signin.proved", tenant=received.tenant, transaction=transaction.id)
        await wsfed.wake(transaction.id)


async def phone_ended(wsfed: WsFed, received: Received[ChallengeEnded]) -> None:
    """Step 7, without approval: the page offers a way on."""
    message = received.message
    transaction = await wsfed.transactions.get(message.transaction)
    if transaction is None or transaction.tenant != received.tenant:
        raise Reject("no such transaction in this tenant")
    state = State(message.outcome)
    known = transaction.challenge is not None and transaction.challenge.context.known_browser
    if state in (State.LIMITED, State.SUPERSEDED) and not known:
        # It happens to accounts that exist only: to a stranger's browser it must look like nobody answering.
        log.info("signin.silent_end", transaction=message.transaction, outcome=message.outcome)
        return
    if await wsfed.transactions.end_challenge(message.transaction, message.challenge, state) is not None:
        log.info("signin.ended", transaction=message.transaction, outcome=message.outcome)
        await wsfed.wake(message.transaction)


async def take_token(wsfed: WsFed, transaction_id: str, browser_secret: str | None) -> ReplyForm:
    """Steps 10 and 11: exactly one token for a proved transaction.

    The account's status is read now: one that was suspended since the approval gets none. Raises NotFound,
    Gone, Conflict (`finished`: it was issued already; `not_proved`), Forbidden, Unavailable.
    """
    transaction = await look(wsfed, transaction_id, browser_secret)
    if transaction.state is State.ISSUED:
        raise Conflict("This sign-in is finished.", code="finished")
    authentication = transaction.authentication
    if transaction.state is not State.PROVED or authentication is None:
        raise Conflict("This sign-in is not approved yet.", code="not_proved")
    tenant = await find_tenant(wsfed, transaction.tenant)
    account = await wsfed.directory.account(transaction.tenant, authentication.account)
    if account is None or not account.may_try:
        raise Forbidden("This account can't sign in.", code="account_not_active")
    domains = [FederatedDomain(d.name, d.issuer) for d in tenant.configured.domains]
    subject = TokenSubject(
        tenant=account.tenant,
        account=account.id,
        issuer=issuer_for(account.upn, domains),
        upn=account.upn,
        immutable_id=account.immutable_id,
    )
    key = await wsfed.keys.current(transaction.tenant)
    now = wsfed.clock.now()
    assertion_id = new_assertion_id(wsfed.ids)
    issued = await wsfed.transactions.issue(transaction.id, assertion_id, now)
    if issued is None:
        raise Conflict("This sign-in is finished.", code="finished")
    await wsfed.issuances.append(
        Issuance(
            transaction=issued,
            account=account,
            assertion_id=assertion_id,
            issued_at=now,
            issuer=subject.issuer,
            key_id=key.key_id,
        )
    )
    token = issue_token(
        authentication,
        subject,
        key,
        policy=AuthenticationPolicy(badge_counts_as_mfa=tenant.configured.policy.badge_counts_as_mfa),
        now=now,
        assertion_id=assertion_id,
        lifetime=TOKEN_LIFETIME,
        mfa_wanted=transaction.request.mfa_wanted,
        mfa_max_age=transaction.request.mfa_max_age,
        requested_at=transaction.created_at,
    )
    log.info("signin.issued", tenant=transaction.tenant, transaction=transaction.id, mfa=token.mfa)
    return reply_form(token, wreply=transaction.request.wreply, wctx=transaction.request.wctx)


# --- projections of what admin and approval say (docs/flows/enrolment.md, steps 2 and 7) ------------------------


async def tenant_configured(wsfed: WsFed, received: Received[TenantConfigured]) -> None:
    """Keep the tenant, and have a signing key ready before its first sign-in."""
    await wsfed.directory.keep_tenant(received.tenant, received.message)
    if not received.message.removed:
        await wsfed.keys.current(received.tenant)


async def account_changed(wsfed: WsFed, received: Received[AccountChanged]) -> None:
    """Keep the account."""
    message = received.message
    account = Account(
        received.tenant, message.account, message.upn, message.immutable_id, AccountStatus(message.status)
    )
    await wsfed.directory.keep_account(account, message.version)


async def invitation_changed(wsfed: WsFed, received: Received[InvitationChanged]) -> None:
    """Keep the invitation's public key: the root of a new device's chain."""
    message = received.message
    invitation = Invitation(
        id=message.invitation,
        tenant=received.tenant,
        account=message.account,
        public_key=unb64u(message.public_key),
        issued_at=message.issued_at,
        expires_at=message.expires_at,
        status=message.status,
    )
    await wsfed.directory.keep_invitation(invitation, message.version)


async def device_changed(wsfed: WsFed, received: Received[DeviceChanged]) -> None:
    """Enrolment step 7: trust a device key only by its chain. A removal needs no chain.

    Raises Retry while the invitation is not here yet, Reject when the chain does not hold.
    """
    message = received.message
    tenant = received.tenant
    key = NewDeviceKey(
        tenant=tenant,
        account=message.account,
        invitation=message.endorsement.by,
        credential_id=message.credential_id,
        public_key=unb64u(message.public_key),
    )
    if message.status == "removed":
        removed = TrustedDevice(
            id=message.device, tenant=tenant, account=message.account, public_key=key.public_key, removed=True
        )
        await wsfed.directory.keep_device(removed, message.version)
        return
    invitation = await wsfed.directory.invitation(tenant, key.invitation)
    if invitation is None:
        raise Retry("invitation not here yet")
    try:
        device = trust_device(
            device=message.device,
            key=key,
            endorsement=unb64u(message.endorsement.signature),
            enrolled_at=message.enrolled_at,
            invitation=invitation,
            now=wsfed.clock.now(),
        )
    except (Untrusted, ValueError) as error:
        raise Reject(f"device not trusted: {error}") from error
    if not await wsfed.directory.vouch(tenant, invitation.id, device.id):
        raise Reject("the invitation has vouched for another device")
    await wsfed.directory.keep_device(device, message.version)
    log.info("device.trusted", tenant=tenant, account=message.account, device=message.device)
