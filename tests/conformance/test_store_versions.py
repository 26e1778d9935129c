"""Both databases: conditional updates, versions, unique indexes."""

import asyncio
from typing import Any

import pytest

from shared.store.port import Collection, Index
from tests.conformance.support import Store


async def test_projection_takes_only_newer_versions(things: Collection) -> None:
    async def project(n: int) -> dict[str, Any] | None:
        return await things.update(
            {"_id": "a", "version": {"$lt": n}}, {"$set": {"version": n, "says": n}}, upsert=True
        )

    assert await project(2) == {"_id": "a", "v": 1, "version": 2, "says": 2}
    assert await project(1) is None
    assert await project(2) is None
    assert await project(3) == {"_id": "a", "v": 1, "version": 3, "says": 3}
    assert len(await things.find({})) == 1


async def test_of_many_versions_at_once_the_highest_stays(things: Collection) -> None:
    async def keep(n: int) -> None:
        await things.update({"_id": "a", "version": {"$lt": n}}, {"$set": {"version": n}}, upsert=True)

    for _ in range(10):
        await asyncio.gather(*(keep(n) for n in (3, 1, 8, 5, 2, 7, 4, 6)))
        kept = await things.find_one({"_id": "a"})
        assert kept is not None
        assert kept["version"] == 8
        await things.delete({})


async def test_upsert_starts_from_the_filters_values(things: Collection) -> None:
    made = await things.update(
        {"_id": "a", "tenant.name": "t", "n": {"$exists": False}},
        {"$setOnInsert": {"first": True}, "$inc": {"n": 1}},
        upsert=True,
    )
    assert made == {"_id": "a", "tenant": {"name": "t"}, "first": True, "n": 1, "v": 1}


@pytest.mark.parametrize(
    "where", [{"n": 1}, {"_id": {"$in": ["a"]}}, {"_id": "a", "$or": [{"n": 1}]}], ids=str
)
async def test_refuses_an_upsert_that_does_not_say_what_to_make(
    things: Collection, where: dict[str, Any]
) -> None:
    with pytest.raises(ValueError, match="upsert"):
        await things.update(where, {"$set": {"n": 2}}, upsert=True)


async def test_of_parallel_conditional_updates_exactly_one_wins(things: Collection) -> None:
    await things.insert({"_id": "a", "state": "open"})

    async def take(who: int) -> bool:
        where = {"_id": "a", "state": "open"}
        return await things.update(where, {"$set": {"state": "taken", "by": who}}) is not None

    won = await asyncio.gather(*(take(who) for who in range(20)))
    assert won.count(True) == 1
    assert (await things.find({}))[0]["by"] == won.index(True)


async def test_of_parallel_upserts_exactly_one_makes_it(things: Collection) -> None:
    async def make(who: int) -> bool:
        where = {"_id": "a", "version": {"$lt": 1}}
        return await things.update(where, {"$set": {"version": 1, "by": who}}, upsert=True) is not None

    assert (await asyncio.gather(*(make(who) for who in range(20)))).count(True) == 1


async def test_unique_index_holds_for_inserts_and_changes(store: Store) -> None:
    database = store.open(None)
    things = database.collection("things", indexes=[Index((("tenant", 1), ("name", 1)), unique=True)])
    await database.migrate()
    assert await things.insert({"_id": "a", "tenant": "t", "name": "n"})
    assert not await things.insert({"_id": "b", "tenant": "t", "name": "n"})
    assert await things.insert({"_id": "c", "tenant": "u", "name": "n"})
    assert await things.update({"_id": "c"}, {"$set": {"tenant": "t"}}) is None
    assert await things.update({"_id": "d", "tenant": "t"}, {"$set": {"name": "n"}}, upsert=True) is None
    await things.insert_many(
        [{"_id": "e", "tenant": "t", "name": "n"}, {"_id": "f", "tenant": "w", "name": "n"}]
    )
    assert [d["_id"] for d in await things.find({}, sort=[("_id", 1)])] == ["a", "c", "f"]
    assert await things.insert({"_id": "g", "tenant": "x"})
    assert not await things.insert({"_id": "h", "tenant": "x", "name": None})


async def test_unique_index_holds_for_each_element_of_an_array(store: Store) -> None:
    database = store.open(None)
    things = database.collection("things", indexes=[Index((("keys.id", 1),), unique=True)])
    await database.migrate()
    assert await things.insert({"_id": "a", "keys": [{"id": 1}, {"id": 2}]})
    assert not await things.insert({"_id": "b", "keys": [{"id": 3}, {"id": 2}]})
    assert await things.insert({"_id": "c", "keys": [{"id": 3}, {"id": 4}]})


async def test_partial_unique_index_holds_only_where_its_filter_does(store: Store) -> None:
    database = store.open(None)
    index = Index((("account", 1),), unique=True, partial={"state": "open"})
    things = database.collection("things", indexes=[index])
    await database.migrate()
    assert await things.insert({"_id": "a", "account": "x", "state": "open"})
    assert await things.insert({"_id": "b", "account": "x", "state": "closed"})
    assert not await things.insert({"_id": "c", "account": "x", "state": "open"})
    assert await things.update({"_id": "b"}, {"$set": {"state": "open"}}) is None
    assert await things.update({"_id": "a"}, {"$set": {"state": "closed"}}) is not None
    assert await things.update({"_id": "b"}, {"$set": {"state": "open"}}) is not None
