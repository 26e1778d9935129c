"""One suite for both databases: what holds in memory holds in MongoDB. Here: filters, changes, lists."""

import asyncio
from datetime import timedelta
from typing import Any

import pytest
from pymongo.errors import OperationFailure

from shared.store.port import Collection
from tests.conformance.support import START, signed

FORM = {
    "_id": "a",
    "n": 5,
    "s": "five",
    "nothing": None,
    "yes": True,
    "when": START,
    "raw": b"\x00\xff",
    "tags": ["x", "y"],
    "sub": {"n": 1, "s": "one"},
    "items": [{"k": 1, "w": "p"}, {"k": 2}],
}
MATCHING: list[dict[str, Any]] = [
    {},
    {"n": 5},
    {"n": 5.0},
    {"n": {"$lt": 6}},
    {"n": {"$lte": 5, "$gte": 5}},
    {"n": {"$gt": 4.5}},
    {"s": {"$gt": "fiv"}},
    {"when": {"$lte": START}},
    {"when": {"$gt": START - timedelta(milliseconds=1)}},
    {"raw": b"\x00\xff"},
    {"nothing": None},
    {"missing": None},
    {"missing": {"$exists": False}},
    {"nothing": {"$exists": True}},
    {"n": {"$ne": 6}},
    {"missing": {"$ne": 1}},
    {"n": {"$in": [4, 5]}},
    {"missing": {"$in": [None]}},
    {"missing": {"$nin": [1]}},
    {"tags": "x"},
    {"tags": ["x", "y"]},
    {"tags": {"$in": ["y", "z"]}},
    {"tags": {"$all": ["x", "y"]}},
    {"tags": {"$ne": "z"}},
    {"sub.n": 1},
    {"sub": {"n": 1, "s": "one"}},
    {"items.k": 2},
    {"items.k": {"$gt": 1}},
    {"$or": [{"n": 6}, {"s": "five"}]},
]
NOT_MATCHING: list[dict[str, Any]] = [
    {"n": "5"},
    {"n": True},
    {"yes": 1},
    {"n": {"$lt": 5}},
    {"n": {"$gt": "4"}},
    {"missing": {"$lt": 1}},
    {"nothing": {"$lt": 1}},
    {"n": {"$exists": False}},
    {"nothing": {"$ne": None}},
    {"tags": ["y", "x"]},
    {"tags": {"$ne": "x"}},
    {"tags": {"$nin": ["y"]}},
    {"tags": {"$all": []}},
    {"tags": {"$all": ["x", "z"]}},
    {"sub": {"s": "one", "n": 1}},
    {"$or": [{"n": 6}, {"s": "six"}]},
    {"when": {"$lt": 5}},
]
# Change, and what it makes of FORM: only the fields that differ; None for a field that is gone.
CHANGES: list[tuple[dict[str, Any], dict[str, Any]]] = [
    ({"$set": {"n": 6, "sub.s": "two"}}, {"n": 6, "sub": {"n": 1, "s": "two"}}),
    ({"$set": {"new.deep": 1}}, {"new": {"deep": 1}}),
    ({"$setOnInsert": {"n": 9}}, {}),
    ({"$unset": {"s": "", "missing": "", "n.deep": ""}}, {"s": None}),
    ({"$unset": {"sub.n": "", "missing.deep": ""}}, {"sub": {"s": "one"}}),
    ({"$inc": {"n": 2, "count": 1}}, {"n": 7, "count": 1}),
    ({"$max": {"n": 4, "high": 4}}, {"high": 4}),
    ({"$max": {"n": 8, "when": START + timedelta(1)}}, {"n": 8, "when": START + timedelta(1)}),
    ({"$min": {"n": 4, "low": 4}}, {"n": 4, "low": 4}),
    ({"$min": {"n": 8, "when": START - timedelta(1)}}, {"when": START - timedelta(1)}),
    ({"$push": {"tags": "z"}}, {"tags": ["x", "y", "z"]}),
    ({"$push": {"fresh": {"$each": [1, 2]}}}, {"fresh": [1, 2]}),
    ({"$push": {"tags": {"$each": ["z"], "$slice": -2}}}, {"tags": ["y", "z"]}),
]  # fmt: skip
FAILING: list[dict[str, Any]] = [
    {"$push": {"s": "z"}},
    {"$inc": {"s": 1}},
    {"$inc": {"nothing": 1}},
    {"$set": {"n.deep": 1}},
    {"$set": {"sub": 1, "sub.n": 2}},
    {"$set": {"n": 1}, "$inc": {"n": 1}},
]


@pytest.mark.parametrize("where", MATCHING, ids=str)
async def test_finds_what_matches(things: Collection, where: dict[str, Any]) -> None:
    await things.insert(FORM)
    assert await things.find_one(where) == {**FORM, "v": 1}


@pytest.mark.parametrize("where", NOT_MATCHING, ids=str)
async def test_leaves_what_does_not_match(things: Collection, where: dict[str, Any]) -> None:
    await things.insert(FORM)
    assert await things.find(where) == []


@pytest.mark.parametrize(("change", "differs"), CHANGES, ids=str)
async def test_changes(things: Collection, change: dict[str, Any], differs: dict[str, Any]) -> None:
    await things.insert(FORM)
    wanted = {k: v for k, v in {**FORM, "v": 1, **differs}.items() if v is not None or k == "nothing"}
    assert await things.update({"_id": "a"}, change) == wanted
    assert await things.find_one({"_id": "a"}) == wanted


@pytest.mark.parametrize("change", FAILING, ids=str)
async def test_changes_nothing_when_a_change_is_impossible(
    things: Collection, change: dict[str, Any]
) -> None:
    await things.insert(FORM)
    with pytest.raises((ValueError, OperationFailure)):
        await things.update({"_id": "a"}, change)
    assert await things.find_one({}) == {**FORM, "v": 1}


async def test_keeps_what_bson_keeps(things: Collection) -> None:
    await things.insert({"_id": "a", "when": START.replace(microsecond=1999), "pair": (1, 2)})
    assert await things.find_one({}) == {
        "_id": "a",
        "v": 1,
        "when": START.replace(microsecond=1000),
        "pair": [1, 2],
    }


async def test_gives_copies_that_the_caller_may_change(things: Collection) -> None:
    given: dict[str, Any] = {"_id": "a", "list": [1]}
    await things.insert(given)
    given["list"].append(2)
    found = await things.find_one({})
    assert found is not None
    found["list"].append(3)
    assert await things.find_one({}) == {"_id": "a", "v": 1, "list": [1]}


async def test_sorts_and_limits(things: Collection) -> None:
    await things.insert_many([{"_id": i, "n": n} for i, n in (("a", 2), ("b", 1), ("c", 2), ("d", None))])
    await things.insert({"_id": "e"})
    found = await things.find({}, sort=[("n", -1), ("_id", 1)])
    assert [d["_id"] for d in found] == ["a", "c", "b", "d", "e"]
    found = await things.find({}, sort=[("n", 1), ("_id", -1)], limit=3)
    assert [d["_id"] for d in found] == ["e", "d", "b"]
    with pytest.raises(ValueError, match="limit"):
        await things.find({}, limit=0)
    assert [await things.count(where) for where in ({}, {"n": 1}, {"n": 9})] == [
        len(await things.find(where)) for where in ({}, {"n": 1}, {"n": 9})
    ]


async def test_counts_what_matches(things: Collection) -> None:
    await things.insert_many([{"_id": str(n), "n": n} for n in range(5)])
    assert await things.count({"n": {"$lt": 3}}) == 3
    assert await things.count({}) == 5
    assert await things.count({"n": 7}) == 0


async def test_deletes_what_matches(things: Collection) -> None:
    await things.insert_many([{"_id": str(n), "n": n} for n in range(5)])
    assert await things.delete({"n": {"$lt": 3}}) == 3
    assert [d["_id"] for d in await things.find({}, sort=[("_id", 1)])] == ["3", "4"]


async def test_refuses_a_second_document_of_the_same_id(things: Collection) -> None:
    assert await things.insert({"_id": "a", "n": 1}, outbox=[signed("p")])
    assert not await things.insert({"_id": "a", "n": 2})
    assert (await things.find({}))[0]["n"] == 1


async def test_repeats_insert_many_without_harm(things: Collection) -> None:
    await things.insert_many([{"_id": "a", "n": 1}, {"_id": "c", "n": 1}])
    await things.insert_many([{"_id": "a", "n": 2}, {"_id": "b", "n": 2}, {"_id": "c", "n": 2}])
    assert [d["n"] for d in await things.find({}, sort=[("_id", 1)])] == [1, 2, 1]


@pytest.mark.parametrize("id_of_a_stranger", ["\ud800", "x" * 9_000_000], ids=["half a code point", "huge"])
async def test_an_id_that_cannot_be_asked_for_spoils_no_other_read(
    things: Collection, id_of_a_stranger: str
) -> None:
    """Reads by `_id` travel together. What one client made up must not fail the others' (CWE-400)."""
    await things.insert({"_id": "a"})
    asked = ["a", id_of_a_stranger, "a", f"{id_of_a_stranger}2", "a", "none"]
    found = await asyncio.gather(*(things.find_one({"_id": each}) for each in asked), return_exceptions=True)
    assert [isinstance(found[n], dict) for n in (0, 2, 4)] == [True] * 3
    assert found[5] is None
