"""One service as a process of its own: `python -m services.<name>`."""

import asyncio
import os
import signal
import sys
from collections.abc import Callable
from typing import Any

import structlog
import uvloop

from shared.assembly import Platform, Wired
from shared.bus.connect import connect
from shared.bus.rabbit import RabbitBus
from shared.clock import SystemClock
from shared.crypto.keys import load_trusted_keys
from shared.errors import Blok365Error, Unavailable
from shared.ids import SystemIds
from shared.log import configure
from shared.platform import open_platform
from shared.run import Running
from shared.settings import Settings
from shared.web.frame import Pages
from shared.web.server import Runner, WebSettings, make_app, serve

log = structlog.get_logger(__name__)

STOP_WITHIN = 8.0
"""Seconds from SIGTERM; whoever stops us allows ten."""


def run(build: Callable[[Platform], Wired[Any]]) -> None:
    """Until SIGTERM or SIGINT. Exit code 1 with one clear line when a part is missing at the start."""
    settings = Settings()
    configure(json=settings.log_json)
    try:
        uvloop.run(_serve(build, settings))
    except Blok365Error as error:
        log.critical("start.failed", reason=str(error), remedy=error.remedy)
        sys.exit(1)


async def _serve(build: Callable[[Platform], Wired[Any]], settings: Settings) -> None:
    stop = asyncio.Event()
    for number in (signal.SIGINT, signal.SIGTERM):
        asyncio.get_running_loop().add_signal_handler(number, stop.set)
    clock = SystemClock()
    bus = await connect(settings.bus_url, load_trusted_keys(settings.keys / "trusted.json"), clock)
    platform = open_platform(settings, bus=bus, clock=clock, ids=SystemIds())
    service = build(platform).service
    running = Running(service, bus, clock)
    app = service.web or make_app(
        Pages(service.name),
        WebSettings(origin=settings.origin),
        clock=clock,
        ids=platform.ids,
        ready=running.readiness,
    )
    await running.start()
    host, _, port = settings.listen.rpartition(":")
    try:
        runner, bound = await serve(app, host or "127.0.0.1", int(port))
    except OSError as error:
        raise Unavailable(
            "shared.process.listen", address=settings.listen, fault=error.strerror or error
        ) from error
    log.info("listening", service=service.name, port=bound)
    await stop.wait()
    log.info("stopping", service=service.name)
    running.ready = False
    ending = asyncio.create_task(_end(runner, bus, running))
    done, _ = await asyncio.wait([ending], timeout=STOP_WITHIN)
    if not done:
        log.warning("stop.cut_short", service=service.name, after=STOP_WITHIN)
        sys.stdout.flush()
        os._exit(0)  # a part is away, and the driver's threads wait for it; what is unsent waits where it is
    await ending


async def _end(runner: Runner, bus: RabbitBus, running: Running) -> None:
    await runner.cleanup()  # live streams are told to come back, requests finish
    await bus.stop()
    await running.stop()
    await bus.close()
