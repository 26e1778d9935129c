"""The life of a service in a process: start, be ready, stop.

`app.build(platform)` in each service is its only wiring: it takes a `Platform`, so that a test or the one-process
runner replaces any part, and returns a `Service`. Nothing is made at import.
"""

import asyncio
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import timedelta
from typing import Protocol

import structlog
from aiohttp.web import Application

from shared.bus.port import Bus, Handlers
from shared.clock import Clock
from shared.contracts.envelope import Numbering, PacketSigner
from shared.crypto.keys import TrustedKeys, load_service_key
from shared.errors import Blok365Error, Unavailable
from shared.ids import Ids
from shared.program import explained
from shared.projection import Follower, StateOwner
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

    def signer(self, service: str, stream: Numbering | None = None) -> PacketSigner:
        """Signs messages in the service's name, with its key file; state events get numbers of `stream`."""
        key = load_service_key(self.settings.keys / f"{service}.key")
        return PacketSigner(service, key, self.clock, self.ids, stream)

    def follower(self, owners: Sequence[str], database: Database, signer: PacketSigner) -> Follower:
        """What keeps a projection of those owners' state current, in the service's own database."""
        return Follower(
            owners,
            database=database,
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
    owner: StateOwner | None = None
    """Of a service that others follow."""
    follower: Follower | None = None
    """Of a service that follows others."""
    background: Sequence[Background] = ()
    """Loops that run until cancelled: sweepers and the like."""
    on_start: Sequence[Background] = ()
    """Awaited once, before messages and requests are taken."""
    on_stop: Sequence[Background] = ()
    """Awaited once, when requests and messages have ceased: flush what is buffered."""


async def readiness(database: Database, follower: Follower | None = None) -> Mapping[str, bool | str]:
    """What must work before requests are useful, by name; what is text is an alarm and stops nothing."""
    checks: dict[str, bool | str] = {"database": True}
    try:
        await database.check()
    except Unavailable:
        checks["database"] = False
    if follower is not None:
        checks |= {f"{owner}_known": known for owner, known in follower.ready().items()}
        checks |= {f"{owner}_alarm": alarm for owner, alarm in follower.alarms().items()}
    return checks


@dataclass
class Running:
    """A service at work. `start()` and `stop()` once each; `stop()` also after a start that failed or never was."""

    service: Service
    bus: Bus
    clock: Clock
    _tasks: list[asyncio.Task[None]] = field(default_factory=list)
    _begun: bool = False
    ready: bool = False

    async def start(self) -> None:
        """Check the database, start loops and deliveries.

        Raises Unavailable when a part is not there, Blok365Error that names the service for any other fault.
        """
        try:
            await self._start()
        except Blok365Error:
            raise
        except Exception as error:
            raise self._failed("start", error) from error

    async def _start(self) -> None:
        service = self.service
        await service.database.check()
        self._begun = True
        for step in service.on_start:
            await step()
        await self.bus.consume(service.name, service.handlers)
        loops: list[Background] = [service.relay.run, *service.background]
        loops += [part.run for part in (service.owner, service.follower) if part is not None]
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
        checks = await readiness(self.service.database, self.service.follower)
        return {**checks, "started": self.ready}

    def retire(self) -> None:
        """Not ready from now on, so that nobody new is sent here."""
        self.ready = False
        log.info("stopping", service=self.service.name)

    async def stop(self) -> None:
        """Not ready at once; then loops end, buffers are flushed, the database is closed.

        Each step gets its turn, also after one that failed. A part that is away is no fault: what was not written
        or sent is taken up at the next start or by another replica. Raises Blok365Error for any other fault.
        """
        self.ready = False
        for task in self._tasks:
            task.cancel()
        if self._tasks:
            await asyncio.wait(self._tasks)
        fault: Exception | None = None
        for step in self._last_steps():
            try:
                await step()
            except Unavailable as error:
                log.error("stop.unfinished", service=self.service.name, reason=str(error))  # noqa: TRY400
            except Exception as error:
                fault = fault or error
        if fault is not None:
            raise self._failed("stop in order", fault) from fault
        log.info("service.stopped", service=self.service.name)

    def _last_steps(self) -> Sequence[Background]:
        service = self.service
        steps = list(service.on_stop) if self._begun else []
        if service.owner is not None and self._begun:
            steps.append(
                service.owner.close
            )  # without it this looks like a crash, and followers ask for everything
        return [*steps, service.relay.flush, service.database.close]

    def _failed(self, what: str, error: Exception) -> Blok365Error:
        reason, remedy = explained(error)
        return Blok365Error(f"{self.service.name} did not {what}: {reason}", remedy=remedy)
