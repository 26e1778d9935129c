"""The services of the table, wired by their packages."""

import importlib
import importlib.util
from collections.abc import AsyncIterator, Iterable, Iterator, Mapping
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import replace
from typing import Any

from pydantic_settings import BaseSettings

from shared.assembly import Platform, Wired
from shared.services import SERVICES, Services
from shared.store.outbox import Relay
from shared.store.port import Database


def names(file: str, table: Services = SERVICES) -> list[str]:
    """Services that have this file, e.g. `config`, in the order of the table."""
    return [name for name in table if importlib.util.find_spec(f"services.{name}.{file}")]


def build(
    platform: Platform, only: Iterable[str] = (), settings: Mapping[str, BaseSettings] | None = None
) -> Iterator[Wired[Any]]:
    """Every service of the platform's table, wired and not running; or only those. Each needs its own keys.

    `settings`: by service, where they do not come from the environment.
    """
    for name in only or platform.table:
        app = importlib.import_module(f"services.{name}.app")
        yield app.build(platform, (settings or {}).get(name))


@asynccontextmanager
async def closing_databases(platform: Platform) -> AsyncIterator[Platform]:
    """The platform, but every database that a service opens is closed at the end, however its wiring went."""
    async with AsyncExitStack() as stack:

        def open_database(service: str, relay: Relay) -> Database:
            database = platform.open_database(service, relay)
            stack.push_async_callback(database.close)
            return database

        yield replace(platform, open_database=open_database)


async def migrate(platform: Platform, only: Iterable[str] = ()) -> list[str]:
    """Build the indexes that are missing in the databases of all services, or of those; their names."""
    async with closing_databases(platform) as closing:
        return [name for wired in build(closing, only) for name in await wired.service.database.migrate()]
