"""admin on its own, over the memory bus and, where a test asks for both stores, over a real MongoDB."""

from collections.abc import AsyncIterator
from dataclasses import dataclass
from pathlib import Path

import pytest
from aiohttp import web

from services.admin import handlers
from services.admin.app import build
from services.admin.domain.accounts import Account
from services.admin.handlers import NewAccount
from services.admin.ports import Dependencies
from shared.clock import SystemClock
from shared.store.mongo import MongoDatabase
from shared.store.outbox import Relay
from shared.store.port import Database
from tests.world import InMemorySystem, make_system

CONTOSO, FABRIKAM = "contoso", "fabrikam"


@dataclass
class AdminSystem:
    """admin wired in memory, with what a test needs to look into its store."""

    world: InMemorySystem
    deps: Dependencies
    database: Database
    web: web.Application

    async def account(self, name: str = "ada", tenant: str = CONTOSO) -> Account:
        new = NewAccount(f"{name}@{tenant}.example", name.title(), "Lovelace", f"{name}@home.example")
        return await handlers.create_account(self.deps, tenant, new)


async def open_system(world: InMemorySystem) -> AdminSystem:
    wired = build(world.platform)
    world.services["admin"] = wired.service
    await wired.service.database.migrate()
    await world.bus.consume("admin", wired.service.handlers)
    for tenant in (CONTOSO, FABRIKAM):
        await handlers.create_tenant(wired.dependencies, tenant, tenant.title())
        await handlers.add_domain(wired.dependencies, tenant, f"{tenant}.example")
    assert wired.service.web is not None
    return AdminSystem(world, wired.dependencies, wired.service.database, wired.service.web)


@pytest.fixture
async def system(tmp_path: Path) -> AdminSystem:
    """Two tenants, each with a domain, in memory."""
    return await open_system(make_system(tmp_path))


@pytest.fixture(params=["memory", pytest.param("mongo", marks=pytest.mark.integration)])
async def stored(request: pytest.FixtureRequest, tmp_path: Path) -> AsyncIterator[AdminSystem]:
    """The same, once on each kind of database."""
    world = make_system(tmp_path)
    if request.param == "memory":
        yield await open_system(world)
        return
    url, name = request.getfixturevalue("mongo_url"), request.getfixturevalue("mongo_database")
    # By the tests' own clock mongod would remove sessions and challenges as long over, whenever it looks.
    world.clock.advance((SystemClock().now() - world.clock.now()).total_seconds())

    def open_database(service: str, relay: Relay) -> Database:
        return MongoDatabase(url, name, clock=world.clock, listener=relay)

    object.__setattr__(world.platform, "open_database", open_database)
    made = await open_system(world)
    yield made
    await world.services["admin"].relay.flush()
    await made.database.close()
