"""`blok365 restore` (docs/flows/replication.md, "A backup that was put back") by an operator in a hurry."""

from datetime import timedelta

import pytest

from deploy.cli.operate import raise_generation
from shared.clock import ManualClock
from shared.errors import Conflict
from shared.store.memory import MemoryDatabase
from tests.world import START


async def test_a_restore_with_a_clock_ahead_of_the_database_is_refused() -> None:
    """Followers refuse a generation from the future, so until then nothing that the service says would count."""
    database = MemoryDatabase(clock=ManualClock(START))
    with pytest.raises(Conflict, match="clock"):
        await raise_generation(database, START + timedelta(days=3650))
    assert await database.generation() == 0
    assert await raise_generation(database, START) == int(START.timestamp())


async def test_each_restore_is_later_than_the_one_before_also_when_the_clock_was_set_back() -> None:
    database = MemoryDatabase(clock=ManualClock(START))
    first = await raise_generation(database, START)
    assert await raise_generation(database, START) == first + 1
    assert await raise_generation(database, START - timedelta(days=3650)) == first + 2
