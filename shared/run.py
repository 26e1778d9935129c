"""The life of a service in a process: start, be ready, stop.

`app.build(platform)` in each service is its only wiring: it takes a `Platform`, so that a test or the one-process
runner replaces any part, and returns a `Service`. Nothing is made at import.
"""

import asyncio
import contextlib
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import timedelta
from typing import Protocol

import structlog
from aiohttp.web import Application

from shared.bus.port import Bus, Handlers
from shared.clock import Clock
from shared.contracts.envelope import PacketSigner
from shared.crypto.keys import TrustedKeys, load_service_key
from shared.errors import Unavailable
from shared.ids import Ids
from shared.replication import StatePublisher, Subscriptions
from shared.settings import Settings
from shared.store.outbox import Relay
from shared.store.port import Database

log = structlog.get_logger(__name__)

Background = Callable[[], Awaitable[None]]


class OpenDatabase(Protocol):
    """Opens one service's database, whose writes tell `relay` about the packets they left."""

    def __call__(self, service: str, relay: Relay) -> Database: ...


@dataclass(frozen=True)
class Platform:
    """What a process gives to the services in it."""

    clock: Clock
    ids: Ids
    bus: Bus
    trusted: TrustedKeys
    open_database: OpenDatabase
    settings: Settings

    def signer(self, service: str) -> PacketSigner:
        """Signs messages in the service's name, with its key file."""
        key = load_service_key(self.settings.keys / f"{service}.key")
        return PacketSigner(service, key, self.clock, self.ids)

    def subscriptions(
        self, owners: Sequence[str], database: Database, signer: PacketSigner
    ) -> Subscriptions:
        """What keeps projections of those owners' state current, in the service's own database."""
        return Subscriptions(
            owners,
            database=database,
            bus=self.bus,
            signer=signer,
            clock=self.clock,
            ids=self.ids,
            max_age=timedelta(seconds=self.settings.projection_max_age),
        )


@dataclass(frozen=True)
class Service:
    """A service, wired, not yet running."""

    name: str
    database: Database
    relay: Relay
    handlers: Handlers
    web: Application | None = None
    publisher: StatePublisher | None = None
    """Of a service that owns state which others follow."""
    subscriptions: Subscriptions | None = None
    """Of a service that follows others."""
    background: Sequence[Background] = ()
    """Loops that run until cancelled: sweepers and the like."""
    on_start: Sequence[Background] = ()
    """Awaited once, before messages and requests are taken."""
    on_stop: Sequence[Background] = ()
    """Awaited once, when requests and messages have ceased: flush what is buffered."""


async def readiness(database: Database, subscriptions: Subscriptions | None = None) -> Mapping[str, bool | str]:
    """What must work before requests are useful, by name; what is text is an alarm and stops nothing."""
    checks: dict[str, bool | str] = {"database": True}
    try:
        await database.check()
    except Unavailable:
        checks["database"] = False
    if subscriptions is not None:
        checks |= {f"{owner}_known": known for owner, known in subscriptions.ready().items()}
        checks |= {f"{owner}_alarm": alarm for owner, alarm in subscriptions.alarms().items()}
    return checks


@dataclass
class Running:
    """A service at work. `start()` and `stop()` once each."""

    service: Service
    bus: Bus
    clock: Clock
    _tasks: list[asyncio.Task[None]] = field(default_factory=list)
    ready: bool = False

    async def start(self) -> None:
        """Check the database, start loops and deliveries. Raises Unavailable when a part is not there."""
        service = self.service
        await service.database.check()
        if service.publisher is not None:
            await service.publisher.load_generation()
        for step in service.on_start:
            await step()
        await self.bus.consume(service.name, service.handlers)
        loops: list[Background] = [service.relay.run, *service.background]
        if service.subscriptions is not None:
            loops.append(service.subscriptions.run)
        self._tasks = [asyncio.create_task(self._loop(loop)) for loop in loops]
        self.ready = True
        log.info("service.started", service=service.name)

    async def _loop(self, loop: Background) -> None:
        """Keep a background loop alive: a fault is logged and the loop starts again."""
        while True:
            try:
                await loop()
            except Unavailable as error:
                log.warning("background.unavailable", service=self.service.name, reason=str(error))
            except Exception:
                log.exception("background.fault", service=self.service.name)
            await self.clock.sleep(1)

    async def readiness(self) -> Mapping[str, bool | str]:
        """What must work before requests are useful."""
        checks = await readiness(self.service.database, self.service.subscriptions)
        return {**checks, "started": self.ready}

    async def stop(self) -> None:
        """Not ready at once; then loops end, buffers are flushed, the database is closed."""
        self.ready = False
        for task in self._tasks:
            task.cancel()
        for task in self._tasks:
            with contextlib.suppress(asyncio.CancelledError):
                await task
        for step in self.service.on_stop:
            try:
                await step()
            except Unavailable as error:  # the others still get their turn
                log.error("stop.unfinished", service=self.service.name, reason=str(error))  # noqa: TRY400
        await self.service.relay.flush()
        await self.service.database.close()
        log.info("service.stopped", service=self.service.name)
