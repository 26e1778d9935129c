"""`make run`: the whole system in one process, with its own mongod and the demo tenant."""

import asyncio
import logging
import os
import signal
import sys
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from contextlib import ExitStack, asynccontextmanager, suppress
from datetime import timedelta
from functools import partial
from pathlib import Path
from typing import Any

import structlog

from deploy.local import example, run_folder, tenant
from deploy.local.backing import mongod, rabbitmq
from deploy.local.entra import answering, entra_standin
from deploy.local.graph import address, graph_standin, keep_users, kept_users, write_set_up
from deploy.local.platform import make_keys
from deploy.local.running_system import one_process
from deploy.local.settings import (
    ENTRA_PORT_OFFSET,
    GRAPH_PORT_OFFSET,
    check_ports,
    local_settings,
    port_of,
)
from deploy.local.status import summary
from deploy.local.system import System
from deploy.local.walk import Walk
from services.provisioning.config import ProvisioningSettings
from shared.errors import Unavailable
from shared.ids import SystemIds
from shared.log import configure
from shared.program import explained, run_program, stopping
from shared.settings import Settings

log = structlog.get_logger(__name__)


def serve(var: Path, port: str, *, bus: str | None, verbose: bool, with_example: bool) -> int:
    """Find MongoDB, run until a signal; the exit code. The caller holds the folder `var/run`.

    `with_example`: whether the example organisation is made behind it.
    """
    # The default action of the signal would end the process when somebody pokes it too early or too late.
    signal.signal(run_folder.POKE, signal.SIG_IGN)
    try:
        chosen = port_of(port)
        check_ports(chosen)
        if bus == "memory":
            os.environ.pop("BLOK365_BUS_URL", None)
        with ExitStack() as stack:
            log_file = stack.enter_context(run_folder.log_file(var).open("w", buffering=1))
            configure(json=not verbose, file=None if verbose else log_file)
            _take_in_other_logs()
            _progress("Starting MongoDB")
            mongo = stack.enter_context(mongod(var / "mongo"))
            bus_url = "memory:"
            if bus == "rabbit" or "BLOK365_BUS_URL" in os.environ:
                _progress("Starting RabbitMQ")
                bus_url = stack.enter_context(rabbitmq(var / "rabbit")).url
            code = run_program(partial(_run, var, chosen, mongo.url, bus_url, with_example), _failed)
            signal.signal(run_folder.POKE, signal.SIG_IGN)
            return code
    except Exception as error:
        _failed(*explained(error))
        return 1


async def _run(var: Path, port: int, mongo_url: str, bus_url: str, with_example: bool) -> None:
    """Run the whole system until cancelled."""
    settings = local_settings(var, port, mongo_url, bus_url=bus_url)
    entra_port = port + ENTRA_PORT_OFFSET
    # Whoever names a Graph in the environment, be it Microsoft's, gets that.
    graph = "" if ProvisioningSettings().graph_url else address(port + GRAPH_PORT_OFFSET)
    make_keys(settings, SystemIds())
    async with stopping() as stack:
        _progress("Starting the services")
        walk = Walk(var)
        running_system = await stack.enter_async_context(
            one_process(settings, port=port, entra_port=entra_port, graph=graph, front_routes=walk.routes())
        )
        await tenant.seed(running_system)
        await tenant.seed_managed_domain(running_system)
        told = await tenant.settled_federation(running_system)
        _progress("Starting the stand-ins of Entra and Microsoft Graph")
        if graph:
            await stack.enter_async_context(_graph(var, port, told))
        answers = await stack.enter_async_context(answering(partial(tenant.federation, running_system)))
        # The domain's issuer follows our port, so what was federated under another one is federated no longer.
        scripted = var / f"entra-{port}.json"
        entra = await stack.enter_async_context(entra_standin(entra_port, answers, scripted=scripted))
        stack.callback(print, "\nStopping.", flush=True)
        walk.begin(running_system, entra, graph)
        assert running_system.system is not None
        relaying = asyncio.create_task(_send_when_poked(running_system.system))
        stack.callback(relaying.cancel)
        run_folder.announce(var, _told(settings), front=settings.origins.front, entra=entra, graph=graph)
        stack.callback(run_folder.withdraw, var)
        found = run_folder.find(var)
        assert found is not None, "this process holds the folder"
        link = await tenant.console_link(running_system)
        example_line = example.LINE if with_example else ""
        print(
            await summary(running_system.admin, var, found, link=link, example_line=example_line), flush=True
        )
        if with_example:
            making = asyncio.create_task(example.make(running_system))
            stack.callback(making.cancel)
        await asyncio.Event().wait()


@asynccontextmanager
async def _graph(
    var: Path, port: int, told: Mapping[str, Sequence[Mapping[str, Any]]]
) -> AsyncIterator[None]:
    """The stand-in of Microsoft's login and Graph, with the demo tenant and whom it had at the last stop."""
    folder = var / "graph"
    users = folder / "users.json"
    set_up = folder / "set-up.json"
    demo = {
        kind: [each for each in told.get(kind, ()) if each["tenant"] == tenant.TENANT]
        for kind in ("domains", "managedDomains")
    }
    write_set_up(set_up, "Contoso", demo, tenant.REGISTRATION, tenant.UNITS, kept_users(users))
    async with graph_standin(port + GRAPH_PORT_OFFSET, set_up, folder / "requests.jsonl") as graph:
        try:
            yield
        finally:
            await keep_users(graph, tenant.DOMAIN, users)


def _told(settings: Settings) -> dict[str, str]:
    """What the command line must know to work on the same system."""
    return {
        "origin": settings.origin,
        "console_origin": settings.console_origin,
        "kiosk_origin": settings.kiosk_origin,
        "mongo_url": settings.mongo_url,
        "bus_url": settings.bus_url,
        "database_prefix": settings.database_prefix,
        "keys": str(settings.keys.resolve()),
    }


async def _send_when_poked(system: System) -> None:
    """Until cancelled: send at once what the command line has left in the outboxes."""
    poked = asyncio.Event()
    asyncio.get_running_loop().add_signal_handler(run_folder.POKE, poked.set)
    while True:
        await poked.wait()
        poked.clear()
        for each in system.wired.values():
            with suppress(Unavailable):  # the regular sweep finds it when the database is back
                await each.service.relay.sweep(timedelta(0))


class _ToOurLog(logging.Handler):
    """What libraries log goes where our own lines go, in the same form."""

    def emit(self, record: logging.LogRecord) -> None:
        log.warning("library.log", logger=record.name, text=record.getMessage(), exc_info=record.exc_info)


def _take_in_other_logs() -> None:
    logging.basicConfig(handlers=[_ToOurLog()], level=logging.WARNING, force=True)


_progress: Callable[[str], None] = partial(print, flush=True)


def _failed(reason: str, remedy: str) -> None:
    print(f"{reason} {remedy}", file=sys.stderr, flush=True)
