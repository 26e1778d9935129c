"""Both databases: indexes, absence, and what a step costs."""

import asyncio
from typing import Any

import pytest

from deploy.local.backing import BackingService
from shared.clock import ManualClock
from shared.errors import Unavailable
from shared.store.memory import MemoryDatabase
from shared.store.mongo import MongoDatabase
from shared.store.port import Collection, Document, Index
from shared.testing.counting import CountingDatabase
from shared.testing.waiting import eventually
from tests.conformance.support import START, Store


async def test_migrate_and_check_agree(store: Store) -> None:
    database = store.open(FakeListener())
    database.collection(
        "things", indexes=[Index((("n", 1),)), Index((("at", 1),), expire_after=86400)], outbox=True
    )
    await database.migrate()
    await database.check()
    assert await database.migrate() == []


class FakeListener:
    def written(self, collection: Collection, document_id: str, messages: Any) -> None: ...

    def watch(self, collection: Collection) -> None: ...


@pytest.mark.integration
async def test_check_names_a_missing_index(mongo_url: str, mongo_database: str) -> None:
    database = MongoDatabase(mongo_url, mongo_database, clock=ManualClock(START), listener=FakeListener())
    database.collection("things", indexes=[Index((("n", 1), ("m", -1)))], outbox=True)
    with pytest.raises(Unavailable, match=rf"{mongo_database}.things lacks n_1_m_-1, outbox.at_1"):
        await database.check()
    assert await database.migrate() == [
        f"{mongo_database}.things.n_1_m_-1",
        f"{mongo_database}.things.outbox.at_1",
    ]
    await database.check()
    await database.close()


@pytest.mark.integration
async def test_says_unavailable_while_mongod_is_away_and_recovers(own_mongod: BackingService) -> None:
    database = MongoDatabase(own_mongod.url, "away", clock=ManualClock(START), timeout=0.5)
    things = database.collection("things")
    assert await things.insert({"_id": "a", "n": 1})
    await asyncio.to_thread(own_mongod.kill)
    for attempt in (
        things.find_one({}),
        things.find({}),
        things.insert({"_id": "b"}),
        things.insert_many([{"_id": "b"}]),
        things.update({"_id": "a"}, {"$set": {"n": 2}}),
        things.delete({"_id": "a"}),
        things.pull_outbox({"a": ["1"]}),
        things.stale_outbox(START, 1, skip=0),
        database.migrate(),
        database.check(),
    ):
        with pytest.raises(Unavailable):
            await attempt
    await asyncio.to_thread(own_mongod.start)

    async def found() -> Document | None:
        try:
            return await things.find_one({})
        except Unavailable:
            return None  # the driver looks for the server every half second, which is all the patience it has here

    assert await eventually(found, "the driver finds mongod again", within=10) == {"_id": "a", "n": 1, "v": 1}
    await database.close()


async def test_memory_counts_what_a_step_costs() -> None:
    database = CountingDatabase(clock=ManualClock(START))
    things = database.collection("things")
    await things.insert({"_id": "a"})
    await things.find_one({"_id": "a"})
    assert database.operations == [("things", "insert"), ("things", "find")]


@pytest.mark.parametrize(
    "where", [{"$and": [{"n": 1}]}, {"items": {"$elemMatch": {"k": 1}}}, {"n": {"$mod": [2, 0]}}]
)
async def test_memory_refuses_filters_that_no_store_uses(where: dict[str, Any]) -> None:
    things = MemoryDatabase(clock=ManualClock(START)).collection("things")
    await things.insert({"_id": "a", "n": 1, "items": [{"k": 1}]})
    with pytest.raises(NotImplementedError):
        await things.find(where)


@pytest.mark.parametrize("change", [{"$pull": {"tags": "x"}}, {"$mul": {"n": 2}}])
async def test_memory_refuses_changes_that_no_store_uses(change: dict[str, Any]) -> None:
    things = MemoryDatabase(clock=ManualClock(START)).collection("things")
    await things.insert({"_id": "a", "n": 1, "tags": ["x"]})
    with pytest.raises(NotImplementedError):
        await things.update({"_id": "a"}, change)
