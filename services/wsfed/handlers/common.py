"""What the use cases share: the parts they work with, and the two questions that most begin with."""

from dataclasses import dataclass

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
from shared.contracts.envelope import PacketSigner
from shared.errors import Gone, NotFound, Unavailable
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
    signer: PacketSigner
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
    place: str
    agent: str
    known: str | None = None
    """The account's own cookie of this browser, if it has one."""


async def find_tenant(wsfed: WsFed, slug: str) -> Tenant:
    """The tenant. Raises NotFound."""
    tenant = await wsfed.directory.tenant(slug)
    if tenant is None or tenant.configured.removed:
        raise NotFound("No organisation signs in at this address.", remedy="Check the federation settings.")
    return tenant


def check_current(wsfed: WsFed) -> None:
    """Whether accounts and phones are known as they are now. Raises Unavailable: nothing is signed on old knowledge."""
    if not (wsfed.fresh("admin") and wsfed.fresh("approval")):
        raise Unavailable(
            "We can't check who you are against current data.",
            remedy="Try again in a few minutes. If it goes on, tell your administrator.",
            code="stale",
        )


async def look(wsfed: WsFed, transaction_id: str, browser_secret: str | None) -> Transaction:
    """Step 2: the transaction, for its own browser only. Raises NotFound, Gone."""
    return check_seen(wsfed, await wsfed.transactions.recent(transaction_id), browser_secret)


def check_seen(wsfed: WsFed, transaction: Transaction | None, browser_secret: str | None) -> Transaction:
    """The transaction, if that browser may see it now. Raises NotFound, Gone."""
    if transaction is None or not transaction.belongs_to(browser_secret):
        # One answer for both: a link to somebody else's sign-in tells nothing.
        raise NotFound(
            "This sign-in doesn't exist in this browser.", remedy="Start again from Microsoft 365."
        )
    if wsfed.clock.now() >= transaction.expires_at and transaction.state is not State.ISSUED:
        raise Gone("This sign-in took too long.", remedy="Start again from Microsoft 365.")
    return transaction
