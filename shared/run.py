"""The life of a service in a process: start, be ready, stop. How it is wired is in `shared/assembly.py`."""

import asyncio
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import structlog

from shared.assembly import Background, Service
from shared.bus.port import Bus
from shared.clock import Clock
from shared.errors import Blok365Error, Unavailable
from shared.program import explained

log = structlog.get_logger(__name__)


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
        return {**await self.service.ready(), "started": self.ready}

    def retire(self) -> None:
        """Say from now on that the service is not ready, so that no new requests are sent here."""
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
        return [*steps, service.relay.flush, service.database.close]

    def _failed(self, what: str, error: Exception) -> Blok365Error:
        reason, remedy = explained(error)
        return Blok365Error(
            "shared.service.failed", service=self.service.name, what=what, reason=reason, remedy=remedy
        )
