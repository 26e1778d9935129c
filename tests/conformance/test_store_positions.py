"""Both databases: positions, which the store sets itself, and fences (docs/flows/replication.md)."""

import asyncio
from itertools import pairwise
from typing import Any, cast

import pytest
from bson import Timestamp

from shared.contracts import contracts
from shared.contracts.envelope import SignedMessage
from shared.store.memory import MemoryDatabase
from shared.store.mongo import MongoDatabase
from shared.store.port import Collection, Database, Document, Position
from shared.store.schema_version import WrongSchemaVersion
from tests.conformance.support import Store, signed

EARLIEST: Position = (0, 0)
LATEST: Position = (2**32 - 1, 2**32 - 1)
STATE = "admin.account.changed.v1"


def state(name: str = "s") -> SignedMessage:
    """A message with a state event in it, for all that the store can see."""
    assert contracts()[STATE].STATE
    return SignedMessage(name, STATE, b"{}", b"s" * 64)


def states(database: Database) -> Collection:
    return database.collection("things", outbox=True, state=True)


async def position_of(things: Collection, document_id: str) -> Position | None:
    found = await things.changed(EARLIEST, LATEST, after=None, limit=1000)
    return next((position for position, document in found if document["_id"] == document_id), None)


async def put_changed(database: Database, name: str, ids: list[str], position: Position) -> None:
    """Documents with that position, which no write of ours could give them."""
    rows: list[Document] = [{"_id": each, "v": 1, "changed": Timestamp(*position)} for each in ids]
    if isinstance(database, MongoDatabase):
        await database._database[name].insert_many(rows)
    else:
        cast(MemoryDatabase, database).data.setdefault(name, {}).update({row["_id"]: row for row in rows})


async def all_changed(things: Collection, since: Position, until: Position, limit: int) -> list[list[str]]:
    """The ids of every page, until one is not full."""
    pages: list[list[str]] = []
    after: tuple[Position, str] | None = None
    while True:
        found = await things.changed(since, until, after=after, limit=limit)
        pages.append([document["_id"] for _, document in found])
        if len(found) < limit:
            return pages
        after = (found[-1][0], found[-1][1]["_id"])


# --- what is stamped ---------------------------------------------------------------------------------------------


async def test_a_state_event_stamps_an_insert_an_update_and_an_upsert(store: Store) -> None:
    things = states(store.open(None))
    assert await things.insert({"_id": "a"}, outbox=[signed("p"), state()])
    inserted = await position_of(things, "a")
    assert inserted is not None
    assert await things.update({"_id": "a"}, {"$set": {"n": 1}}, outbox=[state()]) is not None
    updated = await position_of(things, "a")
    assert updated is not None
    assert updated > inserted
    assert await things.update({"_id": "b"}, {"$set": {"n": 1}}, outbox=[state()], upsert=True) is not None
    made = await position_of(things, "b")
    assert made is not None
    assert made > updated
    assert await things.update({"_id": "b"}, {"$set": {"n": 2}}, outbox=[state()], upsert=True) is not None
    again = await position_of(things, "b")
    assert again is not None
    assert again > made


async def test_what_update_returns_has_the_position_that_is_kept(store: Store) -> None:
    things = states(store.open(None))
    after = await things.update({"_id": "a"}, {"$set": {"n": 1}}, outbox=[state()], upsert=True)
    assert after is not None
    assert (after["changed"].time, after["changed"].inc) == await position_of(things, "a")


async def test_no_other_write_stamps(store: Store) -> None:
    """Not a command in the outbox, nor what the relay removes: a follower would be sent what it has."""
    things = states(store.open(None))
    assert await things.insert({"_id": "a"})
    assert await things.insert({"_id": "b"}, outbox=[signed("p")], confirm=True)
    await things.update({"_id": "c"}, {"$set": {"n": 1}}, outbox=[signed("q")], upsert=True)
    await things.update({"_id": "a"}, {}, confirm=True)
    assert await things.changed(EARLIEST, LATEST, after=None, limit=10) == []
    assert await things.insert({"_id": "d"}, outbox=[state("s")])
    before = await position_of(things, "d")
    await things.update({"_id": "d"}, {"$set": {"n": 1}})
    await things.update({"_id": "d"}, {"$inc": {"n": 1}}, outbox=[signed("r")])
    await things.update({"_id": "d"}, {}, confirm=True)
    await things.pull_outbox({"d": ["s"]})
    assert await position_of(things, "d") == before


async def test_a_write_that_matches_nothing_stamps_nothing(store: Store) -> None:
    things = states(store.open(None))
    assert await things.insert({"_id": "a", "n": 1}, outbox=[state()])
    before = await position_of(things, "a")
    assert await things.update({"_id": "a", "n": 2}, {"$set": {"n": 3}}, outbox=[state()]) is None
    assert not await things.insert({"_id": "a"}, outbox=[state()])
    assert await position_of(things, "a") == before


@pytest.mark.parametrize("messages", [[state()], [signed("p"), state()]])
async def test_refuses_a_state_event_of_a_collection_that_is_not_opened_for_state(
    store: Store, messages: list[SignedMessage]
) -> None:
    things = store.open(None).collection("things", outbox=True)
    with pytest.raises(ValueError, match="state=True"):
        await things.insert({"_id": "a"}, outbox=messages)
    with pytest.raises(ValueError, match="state=True"):
        await things.update({"_id": "a"}, {"$set": {"n": 1}}, outbox=messages, upsert=True)
    assert await things.find({}) == []


async def test_a_bulk_import_is_stamped_and_leaves_alone_what_is_there(store: Store) -> None:
    database = store.open(None)
    things = states(database)
    assert await things.insert({"_id": "a", "n": 1}, outbox=[state()])
    before = await position_of(things, "a")
    since, _ = await database.fence()
    await things.insert_many([{"_id": each, "n": 2} for each in ("a", "b", "c")])
    found = await things.changed(since, LATEST, after=None, limit=10)
    assert [document["_id"] for _, document in found] == ["b", "c"]
    assert await position_of(things, "a") == before
    plain = database.collection("plain")
    await plain.insert_many([{"_id": "x"}])
    assert "changed" not in (await plain.find({}))[0]


async def test_only_confirm_allows_an_empty_change(store: Store) -> None:
    things = states(store.open(None))
    await things.insert({"_id": "a"})
    with pytest.raises(ValueError, match="nothing"):
        await things.update({"_id": "a"}, {})
    assert await things.update({"_id": "a"}, {}, confirm=True) is not None
    assert await things.update({"_id": "gone"}, {}, confirm=True) is None


# --- their order -------------------------------------------------------------------------------------------------


async def test_positions_rise_strictly_whatever_a_clock_says(store: Store) -> None:
    database = store.open(None)
    things = states(database)
    await things.insert({"_id": "a"}, outbox=[state()])
    seen: list[Position | None] = [await position_of(things, "a")]
    for step in (0, -300, 0, 0.001, 299, -300, 601):
        store.clock.advance(step)
        await things.update({"_id": "a"}, {"$inc": {"n": 1}}, outbox=[state()])
        seen.append(await position_of(things, "a"))
        seen.append((await database.fence()).position)
    assert all(cast(Position, a) < cast(Position, b) for a, b in pairwise(seen)), seen


async def test_a_fence_is_later_than_every_earlier_write_and_earlier_than_every_later_one(
    store: Store,
) -> None:
    database, other = store.open(None), store.open(None)
    things, theirs = states(database), states(other)
    fences = []
    for n in range(6):
        store.clock.advance(-300 if n == 3 else 1)
        await asyncio.gather(
            *(things.insert({"_id": f"{n}-{each}"}, outbox=[state()]) for each in "ab"),
            theirs.insert({"_id": f"{n}-c"}, outbox=[state()]),
        )
        fences.append((await (database if n % 2 else other).fence()).position)
    assert fences == sorted(set(fences))
    for n, (since, until) in enumerate(pairwise([EARLIEST, *fences])):
        found = await things.changed(since, until, after=None, limit=10)
        assert sorted(document["_id"] for _, document in found) == [f"{n}-{each}" for each in "abc"]


async def test_twenty_fences_at_once_are_twenty_positions(store: Store) -> None:
    """Also the first of all, which makes the document."""
    databases = [store.open(None) for _ in range(2)]
    fences = await asyncio.gather(*(databases[n % 2].fence() for n in range(20)))
    assert len({fence.position for fence in fences}) == 20


async def test_a_process_that_starts_again_goes_on_from_the_last_position(store: Store) -> None:
    database = store.open(None)
    await states(database).insert({"_id": "a"}, outbox=[state()])
    last = (await database.fence()).position
    store.clock.advance(-300)
    again = store.open(None)
    things = states(again)
    await things.insert({"_id": "b"}, outbox=[state()])
    made = await position_of(things, "b")
    assert made is not None
    assert last < made < (await again.fence()).position


# --- what is read ------------------------------------------------------------------------------------------------


async def test_changed_is_behind_since_and_up_to_until_in_the_order_of_positions(store: Store) -> None:
    database = store.open(None)
    things = states(database)
    at = [(1000, 1), (1000, 2), (1001, 1), (1001, 1), (1002, 7)]
    for document_id, position in zip(["e", "d", "c", "b", "a"], at, strict=True):
        await put_changed(database, "things", [document_id], position)
    await things.insert({"_id": "without"})

    async def ids(since: Position, until: Position) -> list[str]:
        return [d["_id"] for _, d in await things.changed(since, until, after=None, limit=10)]

    assert await ids(EARLIEST, LATEST) == ["e", "d", "b", "c", "a"]
    assert await ids((1000, 1), (1001, 1)) == ["d", "b", "c"]
    assert await ids((1000, 2), (1002, 6)) == ["b", "c"]
    assert await ids((1001, 1), (1001, 1)) == []
    assert await ids((1002, 7), LATEST) == []
    found = await things.changed(EARLIEST, LATEST, after=((1001, 1), "b"), limit=10)
    assert [(position, document["_id"]) for position, document in found] == [
        ((1001, 1), "c"),
        ((1002, 7), "a"),
    ]


@pytest.mark.parametrize("limit", [100, 99, 700, 1000])
async def test_seven_hundred_equal_positions_over_the_ends_of_pages_come_once_each(
    store: Store, limit: int
) -> None:
    """A bulk write gives many documents the same second, and a page may end anywhere among them."""
    database = store.open(None)
    things = states(database)
    same = [f"same-{n:03d}" for n in range(700)]
    await put_changed(database, "things", ["zz-first"], (999, 9))
    await put_changed(database, "things", same, (1000, 5))
    await put_changed(database, "things", ["aa-last"], (1000, 6))
    pages = await all_changed(things, EARLIEST, LATEST, limit)
    assert [each for page in pages for each in page] == ["zz-first", *same, "aa-last"]
    pages = await all_changed(things, (999, 9), (1000, 5), limit)
    assert [each for page in pages for each in page] == same


async def test_all_after_brings_everything_by_id_stamped_or_not(store: Store) -> None:
    database = store.open(None)
    things = states(database)
    await things.insert({"_id": "b"})
    await things.insert({"_id": "a"}, outbox=[state()])
    await put_changed(database, "things", ["B", "é"], (1, 1))
    assert [document["_id"] for document in await things.all_after("", 10)] == ["B", "a", "b", "é"]
    assert [document["_id"] for document in await things.all_after("a", 10)] == ["b", "é"]
    assert [document["_id"] for document in await things.all_after("", 2)] == ["B", "a"]
    assert await things.all_after("é", 2) == []


@pytest.mark.parametrize("limit", [0, -1])
async def test_lists_have_a_limit(store: Store, limit: int) -> None:
    things = states(store.open(None))
    with pytest.raises(ValueError, match="limit"):
        await things.changed(EARLIEST, LATEST, after=None, limit=limit)
    with pytest.raises(ValueError, match="limit"):
        await things.all_after("", limit)
    with pytest.raises(ValueError, match="limit"):
        await things.unconfirmed(LATEST, {}, limit)


async def test_unconfirmed_is_what_was_not_confirmed_since_that_position(store: Store) -> None:
    database = store.open(None)
    things = database.collection("things")
    for document_id in ("never", "before", "since", "written", "upserted", "other"):
        await things.insert({"_id": document_id, "kind": "o" if document_id == "other" else "k"})
    await things.update({"_id": "before"}, {}, confirm=True)
    fence, _ = await database.fence()
    await things.update({"_id": "since"}, {}, confirm=True)
    await things.update({"_id": "written"}, {"$set": {"n": 1}}, confirm=True)
    await things.update({"_id": "upserted"}, {"$set": {"n": 1}}, upsert=True, confirm=True)
    await things.insert({"_id": "inserted"}, confirm=True)
    await things.update({"_id": "never"}, {"$set": {"n": 1}})  # a write that confirms nothing
    where = {"kind": {"$ne": "o"}}
    assert {d["_id"] for d in await things.unconfirmed(fence, where, 10)} == {"never", "before"}
    assert len(await things.unconfirmed(fence, where, 1)) == 1
    assert {d["_id"] for d in await things.unconfirmed(fence, {}, 10)} == {"never", "before", "other"}


async def test_what_is_read_has_its_shape_checked(store: Store) -> None:
    database = store.open(None)
    await database.collection("things", v=3, state=True).insert({"_id": "a"}, outbox=[state()])
    things = store.open(None).collection("things", v=1, state=True)
    reads: list[Any] = [
        lambda: things.changed(EARLIEST, LATEST, after=None, limit=1),
        lambda: things.all_after("", 1),
        lambda: things.unconfirmed(LATEST, {}, 1),
    ]
    for read in reads:
        with pytest.raises(WrongSchemaVersion):
            await read()


# --- generations -------------------------------------------------------------------------------------------------


async def test_the_generation_only_rises_and_stands_in_every_fence(store: Store) -> None:
    database = store.open(None)
    assert await database.generation() == 0
    assert (await database.fence()).generation == 0
    assert await database.raise_generation(0) == 1
    assert await database.raise_generation(0) == 2
    assert await database.raise_generation(7) == 7
    assert await database.raise_generation(3) == 8
    before = (await database.fence()).position
    again = store.open(None)
    assert await again.generation() == 8
    fence = await again.fence()
    assert fence.generation == 8
    assert fence.position > before


async def test_raised_by_several_at_once_it_is_higher_than_before(store: Store) -> None:
    database = store.open(None)
    raised = await asyncio.gather(*(database.raise_generation(0) for _ in range(5)))
    assert min(raised) >= 1
    assert await database.generation() == max(raised)
