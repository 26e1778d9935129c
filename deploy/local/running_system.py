"""A system to walk through, in one process or in many, with admin's handlers at hand: for demo, tests, benchmark."""

import json
from collections.abc import AsyncIterator, Awaitable, Callable, Iterable, Mapping, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from pathlib import Path

from aiohttp.web import RouteDef

from deploy import wiring
from deploy.local.cluster import DEFAULT_REPLICAS, Cluster, OfReplica, cluster
from deploy.local.settings import notify_settings, service_settings, wsfed_settings
from deploy.local.system import System, running
from services.admin import app as admin_app
from services.admin.ports import Dependencies
from shared.bus.connect import connect
from shared.clock import Clock, SystemClock
from shared.crypto.keys import load_trusted_keys
from shared.platform import open_platform
from shared.settings import Settings


@dataclass(frozen=True)
class RunningSystem:
    """What a walk needs. `flush`: send what admin's handlers have left in outboxes here."""

    settings: Settings
    clock: Clock
    admin: Dependencies
    flush: Callable[[], Awaitable[None]]
    system: System | None = None
    cluster: Cluster | None = None


@asynccontextmanager
async def one_process(
    settings: Settings,
    *,
    port: int,
    entra_port: int,
    graph: str = "",
    push_local: Sequence[str] = (),
    front_routes: Iterable[RouteDef] = (),
) -> AsyncIterator[RunningSystem]:
    """A running system of all services in this process, on the bus that the settings name. `graph`, `push_local`: see
    `service_settings`.
    """
    own = service_settings(settings, entra_port, graph, push_local)
    start_url = wsfed_settings(entra_port).start_url
    async with AsyncExitStack() as stack:
        bus = None
        if settings.bus_url != "memory:":
            trusted = load_trusted_keys(settings.keys / "trusted.json")
            bus = await connect(settings.bus_url, trusted, SystemClock())
            stack.push_async_callback(bus.close)
        platform = open_platform(settings, bus=bus)
        system = await stack.enter_async_context(
            running(platform, port=port, settings=own, start_url=start_url, front_routes=front_routes)
        )
        relay = system.wired["admin"].service.relay
        yield RunningSystem(settings, platform.clock, system.admin, relay.flush, system=system)


@asynccontextmanager
async def many_processes(
    settings: Settings,
    *,
    port: int,
    entra_port: int,
    logs: Path,
    graph: str = "",
    push_local: Sequence[str] = (),
    replicas: Mapping[str, int] = DEFAULT_REPLICAS,
    of_replica: OfReplica | None = None,
) -> AsyncIterator[RunningSystem]:
    """Processes over RabbitMQ behind a router, and admin's handlers here, as the command line has them."""
    clock = SystemClock()
    async with AsyncExitStack() as stack:
        bus = await connect(settings.bus_url, load_trusted_keys(settings.keys / "trusted.json"), clock)
        stack.push_async_callback(bus.close)
        platform = open_platform(settings, bus=bus, clock=clock)
        await wiring.migrate(platform)
        wired = admin_app.build(platform, pages=False)
        stack.push_async_callback(wired.service.database.close)
        local = wsfed_settings(entra_port)
        environment = {
            "BLOK365_WSFED_REPLY_URLS": json.dumps(local.reply_urls),
            "BLOK365_WSFED_START_URL": local.start_url,
            "BLOK365_NOTIFY_PUSH_LOCAL": json.dumps(notify_settings(settings, push_local).push_local),
        }
        if graph:
            environment |= {
                "BLOK365_PROVISIONING_GRAPH_URL": graph,
                "BLOK365_PROVISIONING_AUTHORITY_URL": graph,
            }
        whole = await stack.enter_async_context(
            cluster(
                settings,
                port=port,
                logs=logs,
                replicas=replicas,
                environment=environment,
                of_replica=of_replica,
            )
        )
        yield RunningSystem(settings, clock, wired.dependencies, wired.service.relay.flush, cluster=whole)
