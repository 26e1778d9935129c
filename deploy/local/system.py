"""All services in one process, on one port, told apart by host and path (shared/services.py)."""

from collections.abc import AsyncIterator, Iterable, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Any

from aiohttp.web import RouteDef
from pydantic_settings import BaseSettings

from deploy import wiring
from deploy.pages import built, front_pages_with_walk
from services.admin.ports import Dependencies
from shared.assembly import Platform, Wired
from shared.program import stopping
from shared.run import Running
from shared.web.server import combine, serve


@dataclass(frozen=True)
class System:
    """The running whole. `wired` and `services` by name; `port`: where it listens."""

    platform: Platform
    wired: Mapping[str, Wired[Any]]
    services: Mapping[str, Running]
    port: int

    @property
    def admin(self) -> Dependencies:
        """What admin's handlers work with; the command line calls them with the same."""
        found: Dependencies = self.wired["admin"].dependencies
        return found


@asynccontextmanager
async def running(
    platform: Platform,
    *,
    port: int,
    settings: Mapping[str, BaseSettings] | None = None,
    start_url: str = "",
    front_routes: Iterable[RouteDef] = (),
) -> AsyncIterator[System]:
    """Indexes built, services started, port open; all stopped in order at the end, also when a start failed.

    Every database is closed. `settings`: by service, where they do not come from the environment. `start_url`: where
    sign-ins begin, for the front page. `front_routes`: see `combine`; with them the front page begins with the
    first sign-in (`deploy.local.walk`).
    """
    async with stopping() as stack:
        platform = await stack.enter_async_context(wiring.closing_databases(platform))
        wired = {each.service.name: each for each in wiring.build(platform, settings=settings)}
        services = {name: Running(each.service, platform.bus, platform.clock) for name, each in wired.items()}
        for service in services.values():
            stack.push_async_callback(service.stop)
        # The bus stops before any service: until then it delivers, also to a service whose database is closed, and
        # every flush would wait for handlers that try again.
        stack.push_async_callback(platform.bus.stop)
        for each in wired.values():
            await each.service.database.migrate()
        for service in services.values():
            await service.start()
        apps = {name: each.service.web for name, each in wired.items() if each.service.web is not None}
        beside = tuple(front_routes)
        root = combine(
            apps,
            platform.settings.origins,
            tree={**built(), **front_pages_with_walk()} if beside else built(),
            clock=platform.clock,
            ids=platform.ids,
            ready={name: service.readiness for name, service in services.items()},
            table=platform.table,
            start_url=start_url,
            front_routes=beside,
        )
        runner, bound = await serve(root, "127.0.0.1", port)
        stack.push_async_callback(runner.cleanup)
        yield System(platform, wired, services, bound)
