"""What provisioning's handlers need: `Dependencies`, and the narrow protocols in it."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Protocol

from services.provisioning.domain.connection import Connection
from services.provisioning.domain.person import Person
from services.provisioning.domain.progress import Counts
from services.provisioning.domain.requests import GraphAnswer, GraphRequest
from services.provisioning.domain.wanted import Account, Profile
from shared.clock import Clock
from shared.clouds import CloudName
from shared.contracts.admin import AccountChanged, ProfileChanged, TenantConfigured
from shared.contracts.envelope import VerifiedMessage
from shared.contracts.provisioning import ConnectionSecrets
from shared.ids import Ids
from shared.store.aggregate import Stored

StoredPerson = Stored[Person]


@dataclass(frozen=True, slots=True)
class Target:
    """Where a connection leads, and what it signs in with. In memory only."""

    tenant: str
    revision: int
    authority: str
    """Base URL of the token endpoints."""
    graph: str
    """Base URL of Graph, before `/v1.0`."""
    audience: str
    """What tokens are asked for: the Graph of the tenant's cloud, wherever the base URL leads."""
    secrets: ConnectionSecrets = field(repr=False)


class Directory(Protocol):
    """Microsoft Graph."""

    async def call(self, target: Target, request: GraphRequest) -> GraphAnswer:
        """One request, once. Whatever becomes of it is an answer. Raises SignInFailed when no token is given."""
        ...


class Connections(Protocol):
    """Tenants' connections. Each write stores the announcement with it, when there is something to announce."""

    async def get(self, tenant: str) -> Connection | None: ...

    async def enabled(self) -> Sequence[Connection]:
        """Those of all tenants that are switched on."""
        ...

    async def change(self, tenant: str, step: Callable[[Connection], Connection | None]) -> Connection | None:
        """The connection after `step`, to which a tenant without one has an empty one. None: nothing was written.

        `step` is called again when somebody else wrote first.
        """
        ...

    def seal(self, secret: bytes, tenant: str, revision: int) -> bytes:
        """A connection's secrets, sealed for this service's own key and bound to tenant and revision."""
        ...

    def unseal(self, connection: Connection) -> ConnectionSecrets | None:
        """Its secrets; None when they do not open: the sealing key was replaced."""
        ...


class People(Protocol):
    """The jobs. Each write stores the announcement with it, when there is something to announce."""

    async def get(self, tenant: str, account: str) -> Person | None: ...

    async def many(self, tenant: str, accounts: Sequence[str]) -> Sequence[Person]:
        """The jobs of those accounts, as far as there are any."""
        ...

    async def due(self, tenant: str, now: datetime, limit: int) -> Sequence[StoredPerson]:
        """Jobs whose time has come: urgent ones first, then the one that waits longest."""
        ...

    async def next_at(self, tenant: str) -> datetime | None:
        """When the tenant's next job is due; None when none is open."""
        ...

    async def counts(self, tenant: str) -> Counts:
        """How many of the tenant's jobs are in which state."""
        ...

    async def by_object(self, tenant: str, object_id: str) -> Person | None:
        """The job whose user has that object id."""
        ...

    async def touch(
        self, tenant: str, account: str, step: Callable[[Person], Person | None], now: datetime
    ) -> Person | None:
        """The job after `step`, to which an account without a job has an empty one. None: nothing was written."""
        ...

    async def claim(self, stored: StoredPerson, claimed: Person) -> StoredPerson | None:
        """The job with a claim that was written. None: somebody else has changed the job since it was read."""
        ...

    async def settle(self, claimed: StoredPerson, step: Callable[[Person], Person]) -> StoredPerson | None:
        """The job after `step`, given the job as it is now. None: another claim has come since.

        `claimed`: as it was written last under the claim. It is not read again unless somebody wrote meanwhile.
        """
        ...


class Accounts(Protocol):
    """What admin says of accounts and persons: projections, only higher versions."""

    async def get(self, tenant: str, account: str) -> Account | None: ...

    async def profile(self, tenant: str, account: str) -> Profile | None: ...

    async def page(
        self, tenant: str, after: str, limit: int
    ) -> tuple[Sequence[tuple[Account, Profile]], str | None]:
        """The next `limit` accounts behind that one, in the order of their ids, but only those whose profile is known
        too; and the last of them all, None at the end.
        """
        ...

    async def knows(
        self, received: VerifiedMessage[AccountChanged] | VerifiedMessage[ProfileChanged]
    ) -> bool:
        """Whether exactly this is kept already."""
        ...

    async def keep_account(self, received: VerifiedMessage[AccountChanged]) -> None: ...

    async def keep_profile(self, received: VerifiedMessage[ProfileChanged]) -> None: ...


class Tenants(Protocol):
    """What admin says of tenants: a projection."""

    async def cloud(self, tenant: str) -> CloudName | None:
        """In which of Microsoft's clouds its directory is; None while the tenant is not known."""
        ...

    async def keep(self, received: VerifiedMessage[TenantConfigured]) -> None: ...


class Opener(Protocol):
    """Opens what was sealed for provisioning."""

    def open(self, sealed: str, associated_data: str) -> bytes:
        """The secret. Raises shared.crypto.sealed_box.CannotOpen."""
        ...


class Queue(Protocol):
    """Works on jobs in the background."""

    def wake(self, tenant: str) -> None:
        """Something of that tenant is due now: look at once."""
        ...

    def heard(self, tenant: str, answer: GraphAnswer) -> None:
        """Take in what an answer says of how much the tenant's directory takes."""
        ...

    def hold(self, tenant: str) -> datetime:
        """Begin nothing for the tenant for a while, longer each time in a row; until when."""
        ...


@dataclass(frozen=True, slots=True)
class Dependencies:
    """Everything that provisioning's handlers work with."""

    connections: Connections
    people: People
    accounts: Accounts
    tenants: Tenants
    directory: Directory
    queue: Queue
    opener: Opener
    clock: Clock
    ids: Ids
    graph_url: str
    """Instead of the Graph of the tenant's cloud; empty: that."""
    authority_url: str
    people_at_once: int
    answer_within: timedelta
    """How long Microsoft has for one answer."""

    @property
    def lease(self) -> timedelta:
        """How long a process has for one step of a job before another may claim it: longer than a step can take."""
        return 3 * self.answer_within

    @property
    def step_time(self) -> timedelta:
        """What must be left of the lease when a step begins: a request for a token and one to Graph, and some more."""
        return 2.125 * self.answer_within

    def fraction(self) -> float:
        """A random number, 0 <= fraction < 1."""
        return int.from_bytes(self.ids.random_bytes(4), "big") / 2**32
