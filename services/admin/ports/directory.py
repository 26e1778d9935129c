"""Who exists: tenants, accounts, invitations, decisions on authenticators, and what was asked of other services."""

from collections.abc import Callable, Sequence
from datetime import datetime
from typing import Protocol

from services.admin.domain.accounts import Account, AccountId
from services.admin.domain.authenticators import Authenticator
from services.admin.domain.devices import AdminCommand
from services.admin.domain.invitations import Invitation
from services.admin.domain.tenants import Tenant
from shared.contracts.admin import AccountStatus
from shared.contracts.envelope import Envelope, OutgoingMessage
from shared.errors import Conflict


class Tenants(Protocol):
    """Tenants by slug. Each write stores the announcement of the tenant's new state with it."""

    async def add(self, tenant: Tenant) -> bool:
        """Keep a new one. False when its slug, a domain or an issuer is taken."""
        ...

    async def get(self, slug: str) -> Tenant | None: ...

    async def change(
        self, slug: str, step: Callable[[Tenant], Tenant], *, busy: Conflict | None = None
    ) -> Tenant | None:
        """The tenant after `step`, which raises its version by one. None: there is no such tenant.

        `step` is called again when somebody else wrote first. Raises what `step` raises; NotUnique when a domain or
        an issuer is another tenant's; `busy` (by default Unavailable) when others were first each time.
        """
        ...

    async def page(self, after: str, limit: int) -> Sequence[Tenant]:
        """Tenants whose slug comes after `after`, in that order. For the operator, who sees them all."""
        ...


class Accounts(Protocol):
    """Accounts of a tenant. Each write stores the announcement of the account's new state with it."""

    async def add(self, account: Account) -> bool:
        """Keep a new one. False when its user name is taken."""
        ...

    async def add_many(self, accounts: Sequence[Account]) -> None:
        """Keep those whose user name is free. No event announces them: the other services pull them."""
        ...

    async def get(self, tenant: str, account: AccountId) -> Account | None: ...

    async def many(self, tenant: str, accounts: Sequence[AccountId]) -> Sequence[Account]:
        """Those of them that there are, in the order of their ids."""
        ...

    async def by_upn(self, tenant: str, upn: str) -> Account | None:
        """The account that holds this user name; one that was removed for good does not."""
        ...

    async def change(
        self,
        tenant: str,
        account: AccountId,
        step: Callable[[Account], Account | None],
        *,
        cause: Envelope | None = None,
        busy: Conflict | None = None,
    ) -> Account | None:
        """The account after `step`. None: `step` returned None, or there is no such account; nothing was written.

        `step` is called again when somebody else wrote first. Raises what `step` raises; `busy` (by default
        Unavailable) when others were first each time.
        """
        ...

    async def page(
        self,
        tenant: str,
        *,
        after: tuple[str, AccountId] | None,
        status: AccountStatus | None,
        limit: int,
        live: bool = False,
        beginnings: Sequence[str] = (),
    ) -> Sequence[Account]:
        """Accounts in the order of (user name, id) that come after `after`, without those that were removed for good.

        `live`: without removed ones altogether. `beginnings`: only those that have a word with each of them
        (`domain.search.indexed`).
        """
        ...

    async def removals_over(self, now: datetime, limit: int) -> Sequence[Account]:
        """At most `limit` accounts of all tenants whose removal is to be made final at that moment."""
        ...

    async def named_tombstones(self, limit: int) -> Sequence[Account]:
        """At most `limit` accounts of all tenants that were removed for good by a release that left their names. It
        looks through all accounts: for `blok365 migrate`.
        """
        ...

    async def index_words(self, limit: int) -> int:
        """Write what lists search by of at most `limit` accounts that have none yet; of how many it was done."""
        ...

    async def lacks_hosts(self, tenant: str) -> bool:
        """Whether the tenant has accounts for which `index_words` is still to be done."""
        ...

    async def count_signing_in(self, tenant: str, domain: str, *, but: Sequence[str], holds: bool) -> int:
        """How many people may sign in at the domain and its sub-domains, but for those at or under `but`, of whom it is
        known that they have an authenticator that counts, or that they have none.
        """
        ...

    async def maybe_without(
        self,
        tenant: str,
        domain: str,
        *,
        but: Sequence[str],
        after: tuple[str, AccountId] | None,
        limit: int,
        unknown: bool = False,
    ) -> Sequence[Account]:
        """Those of them, in the order of (user name, id) behind `after`, who may have no authenticator that counts.

        `unknown`: only those of whom nothing is known; `Authenticators.holders` knows.
        """
        ...


class Invitations(Protocol):
    """Invitations of a tenant's accounts. Each write stores the announcement of the invitation's new state with it."""

    async def add(self, invitation: Invitation, *messages: OutgoingMessage) -> bool:
        """Keep a new one, with those messages too. False when the account has an open one already."""
        ...

    async def get(self, tenant: str, invitation: str) -> Invitation | None: ...

    async def over(self, expired_before: datetime, limit: int) -> Sequence[Invitation]:
        """At most `limit` invitations of all tenants that are still `open` and ended before that moment."""
        ...

    async def used_without_key(self) -> bool:
        """Whether an invitation was used before invitations kept the key of the device that they vouched for."""
        ...

    async def open_of(self, tenant: str, account: AccountId) -> Invitation | None:
        """The account's invitation in state `open`, whether its time is over or not; None when it has none."""
        ...

    async def latest_of(self, tenant: str, account: AccountId) -> Invitation | None:
        """The account's open invitation; without one, the one that was made last. None when it never had one."""
        ...

    async def change(
        self,
        tenant: str,
        invitation: str,
        step: Callable[[Invitation], Invitation | None],
        *messages: OutgoingMessage,
        cause: Envelope | None = None,
    ) -> Invitation | None:
        """The invitation after `step`, written with those messages too.

        None: `step` returned None, or there is no such invitation; nothing was written. `step` is called again when
        somebody else wrote first. Raises what `step` raises; Unavailable when others were first each time.
        """
        ...


class Authenticators(Protocol):
    """Admin's decisions on devices' keys. Each write stores the announcement of the decision with it."""

    async def add(self, authenticator: Authenticator, *, cause: Envelope | None = None) -> bool:
        """Keep a decision. False when there is one on that id already, which stays as it is."""
        ...

    async def get(self, tenant: str, authenticator: str) -> Authenticator | None: ...

    async def of(self, tenant: str, account: AccountId) -> Sequence[Authenticator]:
        """All of that account, those that ended too."""
        ...

    async def holders(
        self, tenant: str, accounts: Sequence[AccountId], now: datetime
    ) -> frozenset[AccountId]:
        """Which of these accounts have one that counts at that moment."""
        ...

    async def settle(self, tenant: str, after: AccountId, limit: int) -> AccountId | None:
        """Find out whether accounts have one, where that is not known: of at most `limit`, in the order of their ids
        behind `after`. Returns the last one; None when there was none.
        """
        ...

    async def change(
        self,
        tenant: str,
        authenticator: str,
        step: Callable[[Authenticator], Authenticator | None],
        *,
        cause: Envelope | None = None,
    ) -> Authenticator | None:
        """The authenticator after `step`. None: `step` returned None, or there is no such authenticator.

        `step` is called again when somebody else wrote first. Raises what `step` raises; Unavailable when others
        were first each time.
        """
        ...


class AdminCommands(Protocol):
    """What administrators asked other services to do."""

    async def add(self, command: AdminCommand, message: OutgoingMessage) -> None:
        """Keep the record, and with it the message that carries the command, in one write. One whose id is taken was
        given already: nothing happens.
        """
        ...
