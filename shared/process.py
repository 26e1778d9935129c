"""One service as a process of its own: `python -m services.<name>`."""

import asyncio
import os
import sys
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import Any

import structlog

from shared.assembly import Platform, Wired
from shared.bus.connect import connect
from shared.clock import SystemClock
from shared.crypto.keys import load_trusted_keys
from shared.errors import Unavailable
from shared.ids import SystemIds
from shared.log import configure
from shared.platform import open_platform
from shared.program import NotStopped, explained, run_program, stopping
from shared.run import Running
from shared.settings import Settings
from shared.web.frame import Pages
from shared.web.server import Runner, WebSettings, make_app, serve

log = structlog.get_logger(__name__)

PROBE = 1.0
"""Seconds in which a database that is there answers."""


def run(build: Callable[[Platform], Wired[Any]]) -> None:
    """Run one service until SIGTERM or SIGINT.

    The exit code is 1, after one clear line, when it cannot start or cannot stop in order.
    """
    process = _Process(build)
    configure(json=True)
    try:
        settings = Settings()
    except ValueError as error:
        process.failed(*explained(error))
        sys.exit(1)
    configure(json=settings.log_json)
    sys.exit(run_program(partial(process.serve, settings), process.failed))


@dataclass
class _Process:
    """One service from its start to its stop."""

    build: Callable[[Platform], Wired[Any]]
    started: bool = False

    def failed(self, reason: str, remedy: str) -> None:
        """Log why the process ends; the last line of its log."""
        log.critical("stop.failed" if self.started else "start.failed", reason=reason, remedy=remedy)

    async def serve(self, settings: Settings) -> None:
        """Run the service until cancelled."""
        clock = SystemClock()
        running: Running | None = None
        try:
            async with stopping() as stack:
                bus = await connect(
                    settings.bus_url, load_trusted_keys(settings.keys / "trusted.json"), clock
                )
                stack.push_async_callback(bus.close)
                platform = open_platform(settings, bus=bus, clock=clock, ids=SystemIds())
                running = Running(self.build(platform).service, bus, clock)
                stack.push_async_callback(running.stop)
                stack.push_async_callback(bus.stop)
                await running.start()
                runner, port = await _listen(running, platform)
                # Live streams are told to come back, requests finish.
                stack.push_async_callback(runner.cleanup)
                stack.callback(running.retire)
                self.started = True
                log.info("listening", service=running.service.name, port=port)
                await asyncio.Event().wait()
        except NotStopped:
            if running is None or await _database_answers(running):
                raise
            log.warning("stop.cut_short", service=running.service.name)
            sys.stderr.flush()
            # A part is away, and the driver's threads wait for it. What is unsent waits where it is.
            os._exit(0)


async def _listen(running: Running, platform: Platform) -> tuple[Runner, int]:
    """Its own pages, or `/healthz` and `/readyz` alone. Raises Unavailable."""
    service, settings = running.service, platform.settings
    app = service.web or make_app(
        Pages(service.name),
        WebSettings(origin=settings.origin),
        clock=platform.clock,
        ids=platform.ids,
        ready=running.readiness,
    )
    host, _, port = settings.listen.rpartition(":")
    return await serve(app, host or "127.0.0.1", int(port))


async def _database_answers(running: Running) -> bool:
    try:
        async with asyncio.timeout(PROBE):
            await running.service.database.check()
    except (Unavailable, TimeoutError):
        return False
    except Exception as error:  # closed already: it was there until then
        log.debug("stop.probe", reason=str(error))
    return True
