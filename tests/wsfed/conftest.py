"""The whole system behind its routes, for the tests of wsfed's HTTP side; and a database, for those of its stores."""

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from shared.clock import ManualClock
from shared.store.memory import MemoryDatabase
from shared.store.mongo import MongoDatabase
from shared.store.port import Database
from tests.flows.support import Flow, start_flow
from tests.world import START


@pytest.fixture
async def flow(tmp_path: Path) -> AsyncIterator[Flow]:
    """admin, approval and wsfed at work; Ada is invited."""
    async with start_flow(tmp_path) as started:
        yield started


@pytest.fixture(params=["memory", pytest.param("mongo", marks=pytest.mark.integration)])
async def database(request: pytest.FixtureRequest) -> AsyncIterator[Database]:
    """An empty one, on memory and on MongoDB."""
    clock = ManualClock(START)
    if request.param == "memory":
        yield MemoryDatabase(clock=clock)
        return
    url, name = request.getfixturevalue("mongo_url"), request.getfixturevalue("mongo_database")
    opened = MongoDatabase(url, name, clock=clock)
    yield opened
    await opened.close()
