"""What the use cases share: who may see a transaction, what a browser is known for, and what it may do."""

from dataclasses import dataclass

from services.wsfed.domain.authentication import Method
from services.wsfed.domain.options import policy_allows
from services.wsfed.domain.own_page import APPLICATION
from services.wsfed.domain.request import SignInRequest
from services.wsfed.domain.session import Session, session_id
from services.wsfed.domain.token import FederatedDomain
from services.wsfed.domain.transaction import LIFETIME, Transaction, browser_digest
from services.wsfed.domain.trial import APPLICATION as TRIAL
from services.wsfed.ports import Account, Dependencies, Tenant
from shared.contracts.admin import Application
from shared.errors import Forbidden, Gone, NotFound, Unavailable
from shared.ids import new_id


class HeldSession:
    """The session that a browser's cookie for an account names. Read when it is first needed, once for each request."""

    def __init__(self, deps: Dependencies, secret: str | None) -> None:
        self.secret = secret
        self._sessions = deps.sessions
        self._read = False
        self._session: Session | None = None

    async def read(self) -> Session | None:
        """The session, live or not; None without a cookie. Raises Unavailable."""
        if self.secret is not None and not self._read:
            self._session = await self._sessions.get(session_id(self.secret))
            self._read = True
        return self._session


@dataclass(frozen=True, slots=True, kw_only=True)
class Browser:
    """The browser that asks, as far as it can be known. `secret`: the value of its own cookie."""

    secret: str
    address: str
    agent: str
    place: str = ""
    """Where the address seems to be, in words, when a request is made and the operator's file knows it."""
    held: HeldSession
    """Of its cookie for the account that the transaction names."""


async def find_tenant(deps: Dependencies, slug: str) -> Tenant:
    """The tenant. Raises NotFound."""
    tenant = await deps.directory.tenant(slug)
    if tenant is None or tenant.configured.removed:
        raise NotFound("wsfed.tenant.unknown")
    return tenant


async def begin_with_us(
    deps: Dependencies,
    slug: str,
    address: str,
    username: str,
    browser_secret: str,
    *,
    from_entra: bool,
    application: str = "",
    own_page: str = "",
    trial: str = "",
) -> Transaction:
    """A sign-in in this browser that ends at a page of our own, at `address`, and never at Entra. Raises Unavailable.

    `own_page` or `trial`: what the phone calls it, in the person's language. `username`: the user name, or empty.
    """
    now = deps.clock.now()
    transaction = Transaction(
        id=new_id(deps.ids),
        tenant=slug,
        application=application,
        request=SignInRequest(wreply=address, wtrealm=address, username=username or None),
        username=username,
        browser=browser_digest(browser_secret),
        created_at=now,
        expires_at=now + LIFETIME,
        from_entra=from_entra,
        own_page=own_page,
        trial=trial,
    )
    await deps.transactions.add(transaction)
    return transaction


def federated_domains(tenant: Tenant) -> list[FederatedDomain]:
    """The tenant's domains."""
    return [FederatedDomain(domain.name, domain.issuer) for domain in tenant.configured.domains]


def application_of(tenant: Tenant, transaction: Transaction) -> Application:
    """What the person signs in to: the tenant's application, a trial of it, or their own page. Raises Gone (removed
    meanwhile).
    """
    if transaction.trial:
        first = tenant.application(transaction.application).first_method
        return Application(id=TRIAL, name=transaction.trial, first_method=first)
    if not transaction.own_page:
        return tenant.application(transaction.application)
    first = tenant.configured.applications[0].first_method if tenant.configured.applications else "push"
    return Application(id=APPLICATION, name=transaction.own_page, first_method=first)


def require_fresh(deps: Dependencies) -> None:
    """Refuse while it is not certain that accounts and devices are known as they are now.

    Nothing is signed on old knowledge. Raises Unavailable.
    """
    if not (deps.fresh("admin") and deps.fresh("approval")):
        raise Unavailable("wsfed.projection.stale", code="stale")


async def load_for_browser(
    deps: Dependencies, transaction_id: str, browser_secret: str | None, *, recent: bool = False
) -> Transaction:
    """Step 2: the transaction, for its own browser only. Raises NotFound, Gone.

    `recent`: what this replica held a moment ago is enough, because a step follows whose conditional update decides. A
    page must not be drawn from it.
    """
    read = deps.transactions.recent if recent else deps.transactions.get
    return authorize_browser(deps, await read(transaction_id), browser_secret)


def authorize_browser(
    deps: Dependencies, transaction: Transaction | None, browser_secret: str | None
) -> Transaction:
    """The transaction, if that browser may see it now. Raises NotFound, Gone."""
    if transaction is None or not transaction.belongs_to(browser_secret):
        # One answer for both: a link to somebody else's sign-in tells nothing.
        raise NotFound("wsfed.transaction.unknown")
    if deps.clock.now() >= transaction.expires_at and not transaction.is_over:
        raise Gone("wsfed.transaction.expired")
    return transaction


async def known_session(deps: Dependencies, held: HeldSession, account: Account | None) -> Session | None:
    """The session, live or not, by which this browser is known for the account: it has signed in from here before.

    Only by a device that is still trusted: whoever signed in with one that was lost since is a stranger again. So is
    everybody after a suspension or a sign-out everywhere.
    """
    # Read also when there is no such account: with an invented cookie every name must cost the same.
    session = await held.read()
    if session is None or account is None or not session.belongs_to(account.tenant, account.id):
        return None
    if not session.begun_under(account.session_epoch) or not session.makes_known(deps.clock.now()):
        return None
    device = await deps.directory.trusted_device(account.tenant, account.id, session.device)
    return None if device is None else session


@dataclass(frozen=True, slots=True)
class Recognised:
    """Whom a sign-in names, None if there is no such account, and the session by which its browser is known for it."""

    account: Account | None
    session: Session | None


async def recognise(deps: Dependencies, transaction: Transaction, browser: Browser) -> Recognised:
    """Read whom the transaction names, and whether this browser is known for them: once for each request."""
    account = await deps.directory.account_by_upn(transaction.tenant, transaction.username)
    return Recognised(account, await known_session(deps, browser.held, account))


async def is_enrolled(deps: Dependencies, session: Session | None) -> bool:
    """Whether a passkey has vouched for the browser that holds this session, by a device that is still trusted."""
    if session is None or session.enrolled_by is None:
        return False
    device = await deps.directory.trusted_device(session.tenant, session.account, session.enrolled_by)
    return device is not None


async def method_allowed(deps: Dependencies, tenant: Tenant, method: Method, session: Session | None) -> bool:
    """Whether the tenant accepts this method, by its policy of now, in the browser that holds this session, or none."""
    policy = tenant.configured.policy.sign_in
    if policy_allows(policy, method, enrolled=False):
        return True
    # The device is read only where it makes a difference.
    return policy_allows(policy, method, enrolled=True) and await is_enrolled(deps, session)


class PasskeyNeeded(Forbidden):
    """The tenant takes only a passkey in this browser, whoever signs in: it says nothing of the account."""

    id = "wsfed.passkey.needed"
    code = "passkey_needed"
