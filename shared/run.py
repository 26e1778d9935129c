"""The life of a service in a process: start, be ready, stop."""

import asyncio
import contextlib
from collections.abc import Mapping
from dataclasses import dataclass, field

import structlog

from shared.assembly import Background, Service
from shared.bus.port import Bus
from shared.clock import Clock
from shared.errors import Unavailable

log = structlog.get_logger(__name__)


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
