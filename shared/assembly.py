"""What every service is made of, so that its `app.py` names only what is its own.

`app.build(platform)` in each service is its only wiring: it takes a `Platform`, so that a test or the one-process
runner replaces any part, has it `assemble` what all services have, and returns a `Wired`. Nothing is made at
import. How services keep copies of each other's state is known here and nowhere else in the wiring.
"""

from collections.abc import Awaitable, Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import timedelta
from typing import TYPE_CHECKING, Generic, Protocol, TypeVar

from shared.addresses import ClientNetworks, networks
from shared.bus.port import Bus, Handlers
from shared.clock import Clock
from shared.contracts.envelope import MessageSigner
from shared.crypto.keys import TrustedKeys, load_service_key
from shared.errors import Unavailable
from shared.ids import Ids
from shared.replication import Lapsing, Source, StatePublisher, Subscriptions
from shared.services import SERVICES, Host, ServiceRow, Services
from shared.settings import Settings
from shared.store.outbox import Relay
from shared.store.port import Database

if TYPE_CHECKING:
    # At run time only a service with pages imports these, in `Assembly.web`: a command of the command line would wait
    # a third of its time for them.
    from aiohttp.web import Application, RouteDef

    from shared.web.frame import Pages
    from shared.web.headers import Coop
    from shared.web.problems import Link
    from shared.web.server import Ready

T = TypeVar("T")
Background = Callable[[], Awaitable[None]]


class OpenDatabase(Protocol):
    """Opens one service's database, whose writes tell `relay` about the messages they left."""

    def __call__(self, service: str, relay: Relay) -> Database: ...


@dataclass(frozen=True)
class Platform:
    """What a process gives to every service that runs in it."""

    clock: Clock
    ids: Ids
    bus: Bus
    trusted: TrustedKeys
    open_database: OpenDatabase
    settings: Settings
    table: Services = field(default_factory=lambda: SERVICES)

    def signer(self, service: str) -> MessageSigner:
        """Signs messages in the service's name, with its key file."""
        key = load_service_key(self.settings.keys / f"{service}.key")
        return MessageSigner(service, key, self.clock, self.ids)

    def assemble(self, name: str) -> "Assembly":
        """What that service needs by its row in the table. Opens its database and reads its keys."""
        return Assembly(self, self.table[name])


@dataclass(frozen=True)
class Service:
    """A service, wired, not yet running. `Assembly.service` makes it."""

    name: str
    database: Database
    relay: Relay
    handlers: Handlers
    ready: "Ready"
    """Says what must work before requests are useful, by name."""
    web: "Application | None" = None
    publisher: StatePublisher | None = None
    """Answers followers' pulls; None when the service owns no state."""
    subscriptions: Subscriptions | None = None
    """Pulls the state of the owners that the service follows; None when it follows none."""
    background: Sequence[Background] = ()
    """Loops that run until cancelled: sweepers and the like."""
    on_start: Sequence[Background] = ()
    """Awaited once, before messages and requests are taken."""
    on_stop: Sequence[Background] = ()
    """Awaited once, when requests and messages have ceased: flush what is buffered."""


@dataclass(frozen=True)
class Wired(Generic[T]):
    """A service, and what its handlers work with: for the command line and for tests, which call them too."""

    service: Service
    dependencies: T


class Assembly:
    """The common parts of one service: its relay, database, signer, and copies of others' state."""

    def __init__(self, platform: Platform, row: ServiceRow) -> None:
        self._platform = platform
        self._row = row
        self.relay = Relay(platform.bus, platform.clock)
        self.database = platform.open_database(row.name, self.relay)
        self.signer = platform.signer(row.name)
        self._subscriptions = (
            Subscriptions(
                row.follows,
                database=self.database,
                bus=platform.bus,
                signer=self.signer,
                clock=platform.clock,
                ids=platform.ids,
                max_age=timedelta(seconds=platform.settings.projection_max_age),
                patient=not row.mounts,
            )
            if row.follows
            else None
        )

    @property
    def client_networks(self) -> ClientNetworks:
        """What the operator has said about networks from which requests come."""
        settings = self._platform.settings
        return ClientNetworks(proxies=networks(settings.trusted_proxies), own=networks(settings.own_networks))

    @property
    def origin(self) -> str:
        """The public origin of the host that the service is on; the sign-in host's for one that is on none."""
        origins = self._platform.settings.origins
        return origins.of(next((mount.host for mount in self._row.mounts), Host.SIGNIN))

    def fresh(self, owner: str) -> bool:
        """Whether what is known of that owner's state is recent and whole enough to act on. From memory.

        Raises KeyError for an owner that the service does not follow.
        """
        if self._subscriptions is None:
            raise KeyError(owner)
        return self._subscriptions.fresh(owner)

    async def ready(self) -> Mapping[str, bool | str]:
        """What must work before requests are useful, by name; what is text is an alarm and stops nothing."""
        checks: dict[str, bool | str] = {"database": True}
        try:
            await self.database.check()
        except Unavailable:
            checks["database"] = False
        if self._subscriptions is not None:
            for owner, known in self._subscriptions.ready().items():
                if self._platform.table[owner].essential:
                    checks[f"{owner}_known"] = known
                elif not known:  # only what this owner owns does not count yet
                    checks[f"{owner}_known"] = "not yet"
            checks |= {f"{owner}_alarm": alarm for owner, alarm in self._subscriptions.alarms().items()}
        return checks

    def web(
        self,
        pages: "Pages",
        routes: "Iterable[RouteDef]" = (),
        *,
        coop: "Coop" = "same-origin",
        features: tuple[str, ...] = (),
        way_on: "Link | None" = None,
    ) -> "Application":
        """The service's application with those routes.

        `coop`, `features`: see `headers.HeaderPolicy`. `way_on`: the link on problem pages, unless a route has set
        another.
        """
        from shared.web.problems import USUAL_WAY_ON
        from shared.web.server import WebSettings, make_app

        facing = WebSettings(
            origin=self.origin,
            client_networks=self.client_networks,
            requests_per_minute=self._platform.settings.requests_per_minute,
            coop=coop,
            features=features,
        )
        app = make_app(pages, facing, clock=self._platform.clock, ids=self._platform.ids, ready=self.ready)
        app.add_routes(routes)
        if way_on is not None:
            app[USUAL_WAY_ON] = way_on
        return app

    def service(
        self,
        consumers: Handlers,
        *,
        state: Sequence[Source] = (),
        projections: Mapping[str, Sequence[Lapsing]] | None = None,
        web: "Application | None" = None,
        background: Sequence[Background] = (),
        on_start: Sequence[Background] = (),
        on_stop: Sequence[Background] = (),
    ) -> Service:
        """Put the service together.

        `consumers`: its own table; `state`: everything that it owns, in the order in which followers want it;
        `projections`: what it keeps of each owner that it follows. Raises ValueError when the table of services
        says otherwise about these than they do.
        """
        if bool(state) is not self._row.owns_state:
            raise ValueError(f"{self._row.name}: owns_state in shared/services.py is {self._row.owns_state}")
        if set(projections or ()) != set(self._row.follows):
            raise ValueError(f"{self._row.name}: follows in shared/services.py is {self._row.follows}")
        handlers, loops, first = dict(consumers), [*background], [*on_start]
        if self._subscriptions is not None:
            handlers = dict(self._subscriptions.consumers(consumers, projections or {}))
            loops.append(self._subscriptions.run)
        publisher = None
        if state:
            publisher = StatePublisher(
                state, database=self.database, signer=self.signer, bus=self._platform.bus
            )
            handlers |= publisher.consumers()
            first.insert(0, publisher.load_generation)
        return Service(
            name=self._row.name,
            database=self.database,
            relay=self.relay,
            handlers=handlers,
            ready=self.ready,
            web=web,
            publisher=publisher,
            subscriptions=self._subscriptions,
            background=loops,
            on_start=first,
            on_stop=on_stop,
        )
