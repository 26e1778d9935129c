"""Both databases: writes that go together, each with its own outcome (`put`, `confirm`)."""

import asyncio

import pytest
from pymongo.errors import OperationFailure

from shared.store.mongo import MongoDatabase
from shared.store.port import Collection
from tests.conformance.support import Store

MANY = 300
"""More than go in one operation, and than are asked for one after the other."""


async def put(things: Collection, document_id: str, version: int, **fields: object) -> bool:
    where = {"_id": document_id, "version": {"$lt": version}}
    return await things.put(where, {"$set": {"version": version, **fields}})


async def test_a_new_document_is_made_and_only_a_newer_version_changes_it(things: Collection) -> None:
    outcomes = [await put(things, "a", version) for version in (2, 2, 1, 3)]
    assert outcomes == [True, False, False, True]
    found = await things.find_one({"_id": "a"})
    assert found is not None
    assert (found["version"], found["v"]) == (3, 1)


async def test_of_many_at_once_each_has_its_own_outcome(things: Collection) -> None:
    for number in range(0, MANY, 3):
        assert await put(things, str(number), 5)
    newer = {str(n) for n in range(MANY) if n % 2}
    outcomes = await asyncio.gather(*(put(things, str(n), 6 if str(n) in newer else 4) for n in range(MANY)))
    for number, written in enumerate(outcomes):
        found = await things.find_one({"_id": str(number)})
        assert found is not None
        was_there = number % 3 == 0
        assert written is (str(number) in newer or not was_there)
        assert found["version"] == (6 if str(number) in newer else 5 if was_there else 4)


async def test_of_many_versions_of_one_document_at_once_the_highest_stays(things: Collection) -> None:
    versions = [1 + 7 * n % MANY for n in range(MANY)]  # each of 1 to MANY once
    outcomes = await asyncio.gather(*(put(things, "a", version, says=version) for version in versions))
    found = await things.find_one({"_id": "a"})
    assert found is not None
    assert (found["version"], found["says"]) == (MANY, MANY)
    assert outcomes[versions.index(MANY)] is True


async def test_what_exists_must_have_the_fields_that_are_asked_for(things: Collection) -> None:
    for document_id, tenant in (("a", "one"), ("b", "two")):
        await things.insert({"_id": document_id, "tenant": tenant, "version": 1})
    outcomes = await asyncio.gather(
        *(
            things.put({"_id": each, "tenant": "one", "version": {"$lt": 2}}, {"$set": {"version": 2}})
            for each in ("a", "b", "new")
        )
    )
    assert outcomes == [True, False, True]
    made = await things.find_one({"_id": "new"})
    assert made is not None
    assert made["tenant"] == "one"


async def test_put_and_confirm_confirm_what_they_find(store: Store) -> None:
    database = store.open(None)
    things = database.collection("things")
    for number in range(20):
        await things.insert({"_id": f"{number:02}", "version": 1})
    fence, _ = await database.fence()
    await asyncio.gather(
        *(things.confirm({"_id": f"{number:02}", "version": 1}) for number in range(5)),
        *(put(things, f"{number:02}", 2) for number in range(5, 10)),
        *(put(things, f"{number:02}", 1) for number in range(10, 15)),
        things.confirm({"_id": "15", "version": 2}),
        things.confirm({"_id": "nobody"}),
    )
    unconfirmed = {found["_id"] for found in await things.unconfirmed(fence, {}, 200)}
    assert unconfirmed == {f"{number:02}" for number in range(10, 20)}
    assert await things.find_one({"_id": "nobody"}) is None


async def test_refuses_a_put_that_does_not_say_what_to_make(things: Collection) -> None:
    with pytest.raises(ValueError, match="upsert"):
        await things.put({"version": 1}, {"$set": {"n": 2}})


@pytest.mark.integration
async def test_a_fault_of_one_is_not_the_others(mongo_url: str, mongo_database: str, store: Store) -> None:
    database = MongoDatabase(mongo_url, mongo_database, clock=store.clock, listener=None)
    things = database.collection("things")
    await things.insert({"_id": "poison", "list": "no list", "version": 0})
    outcomes = await asyncio.gather(
        *(put(things, str(number), 1) for number in range(50)),
        things.put({"_id": "poison", "version": {"$lt": 1}}, {"$push": {"list": 1}, "$set": {"version": 1}}),
        return_exceptions=True,
    )
    assert outcomes[:-1] == [True] * 50
    assert isinstance(outcomes[-1], OperationFailure)
    await database.close()
