"""The databases and buses that one suite is run against."""

from collections.abc import AsyncIterator, Iterator

import pytest
from structlog.testing import capture_logs

from shared.clock import ManualClock
from shared.store.memory import MemoryDatabase
from shared.store.mongo import MongoDatabase
from shared.store.outbox import OutboxListener
from shared.store.port import Collection, Database
from tests.conformance.bus_support import MemoryWorld, RabbitWorld, World
from tests.conformance.support import START, Store
from tests.conftest import Vhost


@pytest.fixture(autouse=True)
def quiet() -> Iterator[None]:
    """Log lines are kept, not rendered: structlog's default draws a traceback with all locals, which takes seconds
    and holds up the event loop. Pytest shows them of a test that fails.
    """
    with capture_logs() as lines:
        yield
    print(*lines, sep="\n")


@pytest.fixture(params=["memory", pytest.param("mongo", marks=pytest.mark.integration)])
async def store(request: pytest.FixtureRequest) -> AsyncIterator[Store]:
    """An empty database of each kind."""
    clock = ManualClock(START)
    if request.param == "memory":
        data = MemoryDatabase(clock=clock).data
        yield Store(clock, lambda listener: MemoryDatabase(clock=clock, listener=listener, data=data))
        return
    url, name = request.getfixturevalue("mongo_url"), request.getfixturevalue("mongo_database")
    opened: list[MongoDatabase] = []

    def open_database(listener: OutboxListener | None) -> Database:
        opened.append(MongoDatabase(url, name, clock=clock, listener=listener))
        return opened[-1]

    yield Store(clock, open_database)
    for database in opened:
        await database.close()


@pytest.fixture
async def things(store: Store) -> Collection:
    """A collection in it."""
    return store.open(None).collection("things")


@pytest.fixture(params=["memory", pytest.param("rabbit", marks=pytest.mark.integration)])
async def world(request: pytest.FixtureRequest) -> AsyncIterator[World]:
    """A bus of each kind, without messages."""
    world: World
    world = MemoryWorld() if request.param == "memory" else RabbitWorld(request.getfixturevalue("rabbit").url)
    yield world
    await world.close()


@pytest.fixture
async def rabbit_world(rabbit: Vhost) -> AsyncIterator[RabbitWorld]:
    """RabbitMQ alone."""
    world = RabbitWorld(rabbit.url)
    yield world
    await world.close()
