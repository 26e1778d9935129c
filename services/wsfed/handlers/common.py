"""What the use cases share: the parts they work with, and the two questions that most begin with."""

from dataclasses import dataclass

from services.wsfed.domain.authentication import Method
from services.wsfed.domain.policy import phone_may
from services.wsfed.domain.session import Session
from services.wsfed.domain.transaction import State, Transaction
from services.wsfed.ports import (
    Directory,
    Freshness,
    IssuanceLog,
    Sessions,
    SigningKeys,
    Tenant,
    Transactions,
    Wake,
)
from shared.clock import Clock
from shared.contracts.envelope import MessageSigner
from shared.errors import Forbidden, Gone, NotFound, Unavailable
from shared.ids import Ids


@dataclass(frozen=True, slots=True, kw_only=True)
class WsFed:
    """What the use cases work with."""

    transactions: Transactions
    sessions: Sessions
    directory: Directory
    keys: SigningKeys
    issuances: IssuanceLog
    wake: Wake
    fresh: Freshness
    signer: MessageSigner
    clock: Clock
    ids: Ids
    origin: str
    rp_id: str
    expected_origins: frozenset[str]


@dataclass(frozen=True, slots=True, kw_only=True)
class Browser:
    """The browser that asks, as far as it can be known. `secret`: its cookie; `known`: it signed in before."""

    secret: str
    address: str
    agent: str
    place: str = ""
    """In words, when a request is made and the operator's file knows it."""
    known: str | None = None
    """The account's own cookie of this browser, if it has one."""


async def find_tenant(wsfed: WsFed, slug: str) -> Tenant:
    """The tenant. Raises NotFound."""
    tenant = await wsfed.directory.tenant(slug)
    if tenant is None or tenant.configured.removed:
        raise NotFound("wsfed.tenant.unknown")
    return tenant


def check_current(wsfed: WsFed) -> None:
    """Whether accounts and phones are known as they are now. Raises Unavailable: nothing is signed on old knowledge."""
    if not (wsfed.fresh("admin") and wsfed.fresh("approval")):
        raise Unavailable("wsfed.projection.stale", code="stale")


async def is_enrolled(wsfed: WsFed, session: Session | None) -> bool:
    """Whether a passkey has vouched for the browser that holds this session, by a device that is not removed since."""
    if session is None or session.enrolled_by is None:
        return False
    device = await wsfed.directory.device(session.tenant, session.enrolled_by)
    return device is not None and not device.removed


async def phone_may_ask(wsfed: WsFed, tenant: Tenant, session: Session | None) -> bool:
    """Whether the tenant takes push and QR in the browser that holds this session of the account, or none."""
    policy = tenant.configured.policy.sign_in
    enrolled = policy == "known_browsers" and await is_enrolled(wsfed, session)
    return phone_may(policy, enrolled=enrolled)


async def takes(wsfed: WsFed, tenant: Tenant, method: Method, session: Session | None) -> bool:
    """Whether the tenant takes this method, by its policy of now, in the browser that holds this session, or none."""
    return method is Method.PASSKEY or await phone_may_ask(wsfed, tenant, session)


class PasskeyNeeded(Forbidden):
    """The tenant takes only a passkey in this browser, whoever signs in: it says nothing of the account."""

    id = "wsfed.passkey.needed"
    code = "passkey_needed"


async def look(
    wsfed: WsFed, transaction_id: str, browser_secret: str | None, *, recent: bool = False
) -> Transaction:
    """Step 2: the transaction, for its own browser only. Raises NotFound, Gone.

    `recent`: as it was a moment ago will do, because a step follows whose condition decides. Never for a page.
    """
    read = wsfed.transactions.recent if recent else wsfed.transactions.get
    return check_seen(wsfed, await read(transaction_id), browser_secret)


def check_seen(wsfed: WsFed, transaction: Transaction | None, browser_secret: str | None) -> Transaction:
    """The transaction, if that browser may see it now. Raises NotFound, Gone."""
    if transaction is None or not transaction.belongs_to(browser_secret):
        # One answer for both: a link to somebody else's sign-in tells nothing.
        raise NotFound("wsfed.transaction.unknown")
    if wsfed.clock.now() >= transaction.expires_at and transaction.state is not State.ISSUED:
        raise Gone("wsfed.transaction.expired")
    return transaction
