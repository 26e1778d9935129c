"""One suite for both databases: what holds in memory holds in MongoDB."""

import asyncio
from datetime import timedelta
from itertools import pairwise
from typing import Any

import pytest
from pymongo.errors import OperationFailure

from deploy.local.parts import Part
from shared.clock import ManualClock
from shared.errors import Unavailable
from shared.store.memory import MemoryDatabase
from shared.store.mongo import MongoDatabase
from shared.store.outbox import STALE_AFTER, SWEEP_BATCH, Relay
from shared.store.port import Collection, Index
from shared.store.shape import WrongShape
from tests.conformance.support import START, FakePublisher, Store, packet, until

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
    {"tags": {"$ne": "z"}},
    {"sub.n": 1},
    {"sub": {"n": 1, "s": "one"}},
    {"items.k": 2},
    {"items.k": {"$gt": 1}},
    {"items": {"$elemMatch": {"k": 1, "w": "p"}}},
    {"$or": [{"n": 6}, {"s": "five"}]},
    {"$and": [{"n": 5}, {"s": "five"}]},
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
    {"sub": {"s": "one", "n": 1}},
    {"items": {"$elemMatch": {"k": 2, "w": "p"}}},
    {"items": {"$elemMatch": {"k": 3}}},
    {"tags": {"$elemMatch": {"k": None}}},
    {"$or": [{"n": 6}, {"s": "six"}]},
    {"$and": [{"n": 5}, {"s": "six"}]},
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
    ({"$push": {"tags": "z"}}, {"tags": ["x", "y", "z"]}),
    ({"$push": {"fresh": {"$each": [1, 2]}}}, {"fresh": [1, 2]}),
    ({"$push": {"tags": {"$each": ["z"], "$slice": -2}}}, {"tags": ["y", "z"]}),
    ({"$pull": {"tags": "x", "missing": "x"}}, {"tags": ["y"]}),
    ({"$pull": {"items": {"k": 1}}}, {"items": [{"k": 2}]}),
    ({"$pull": {"items": {"k": {"$in": [1, 2]}}}}, {"items": []}),
]  # fmt: skip
FAILING: list[dict[str, Any]] = [
    {"$push": {"s": "z"}},
    {"$pull": {"s": "z"}},
    {"$inc": {"s": 1}},
    {"$inc": {"nothing": 1}},
    {"$set": {"n.deep": 1}},
    {"$set": {"sub": 1, "sub.n": 2}},
    {"$set": {"n": 1}, "$inc": {"n": 1}},
]


@pytest.fixture
async def things(store: Store) -> Collection:
    return store.open(None).collection("things")


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


async def test_deletes_what_matches(things: Collection) -> None:
    await things.insert_many([{"_id": str(n), "n": n} for n in range(5)])
    assert await things.delete({"n": {"$lt": 3}}) == 3
    assert [d["_id"] for d in await things.find({}, sort=[("_id", 1)])] == ["3", "4"]


async def test_refuses_a_second_document_of_the_same_id(things: Collection) -> None:
    assert await things.insert({"_id": "a", "n": 1}, outbox=[packet("p")])
    assert not await things.insert({"_id": "a", "n": 2})
    assert (await things.find({}))[0]["n"] == 1


async def test_repeats_insert_many_without_harm(things: Collection) -> None:
    await things.insert_many([{"_id": "a", "n": 1}, {"_id": "c", "n": 1}])
    await things.insert_many([{"_id": "a", "n": 2}, {"_id": "b", "n": 2}, {"_id": "c", "n": 2}])
    assert [d["n"] for d in await things.find({}, sort=[("_id", 1)])] == [1, 2, 1]


# --- versions and uniqueness --------------------------------------------------------------------------------


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


async def test_reads_this_shape_and_the_one_before(store: Store) -> None:
    await store.open(None).collection("things", v=1).insert({"_id": "a"})
    second = store.open(None).collection("things", v=2)
    assert await second.find_one({}) == {"_id": "a", "v": 1}
    assert await second.insert({"_id": "b"})
    first = store.open(None).collection("things", v=1)
    with pytest.raises(WrongShape, match="things holds version 2, this release reads 0 and 1"):
        await first.find_one({"_id": "b"})
    fourth = store.open(None).collection("things", v=4)
    with pytest.raises(WrongShape):
        await fourth.find({})


async def test_change_of_an_old_document_leaves_its_shape_as_it_is(store: Store) -> None:
    """Only the step that rewrites a document knows that it has the new shape now, and says so."""
    await store.open(None).collection("things", v=1).insert({"_id": "a", "name": "x"})
    second = store.open(None).collection("things", v=2)
    changed = await second.update({"_id": "a"}, {"$set": {"n": 1}}, outbox=[packet("p")], upsert=True)
    assert changed is not None
    assert changed["v"] == 1
    rewritten = await second.update(
        {"_id": "a", "v": 1}, {"$set": {"names": ["x"], "v": 2}, "$unset": {"name": ""}}
    )
    assert rewritten is not None
    assert (rewritten["v"], rewritten["names"]) == (2, ["x"])


async def test_neighbouring_releases_read_what_each_other_writes(store: Store) -> None:
    releases = [
        store.open(None).collection("things", v=1),
        store.open(None).collection("things", v=2, writes=1),  # reads the new shape before anybody writes it
        store.open(None).collection("things", v=2),
        store.open(None).collection("things", v=3, writes=2),
    ]
    for old, new in pairwise(releases):
        for writer, reader in ((old, new), (new, old)):
            assert await writer.insert({"_id": "a"})
            await writer.insert_many([{"_id": "b"}])
            assert await writer.update({"_id": "c"}, {"$set": {"n": 1}}, upsert=True)
            assert len(await reader.find({})) == 3
            assert await writer.delete({}) == 3


@pytest.mark.parametrize(("v", "writes"), [(2, 0), (2, 3), (1, 2)])
async def test_refuses_to_write_a_shape_that_it_cannot_read(store: Store, v: int, writes: int) -> None:
    with pytest.raises(ValueError, match="writes"):
        store.open(None).collection("things", v=v, writes=writes)


async def test_refuses_a_change_to_a_shape_that_it_does_not_write_yet(store: Store) -> None:
    things = store.open(None).collection("things", v=2, writes=1)
    await things.insert({"_id": "a"})
    for change in ({"$set": {"v": 2}}, {"$setOnInsert": {"v": 2}}, {"$inc": {"v": 1}}):
        with pytest.raises(ValueError, match="writes shape 1"):
            await things.update({"_id": "a"}, change)


async def test_refuses_a_change_that_changes_nothing(things: Collection) -> None:
    with pytest.raises(ValueError, match="nothing"):
        await things.update({"_id": "a"}, {})


# --- the outbox ---------------------------------------------------------------------------------------------


@pytest.fixture
def publisher() -> FakePublisher:
    return FakePublisher()


def _process(store: Store, publisher: FakePublisher) -> tuple[Relay, Collection]:
    relay = Relay(publisher, store.clock)
    return relay, store.open(relay).collection("things", outbox=True)


async def _waiting(things: Collection) -> list[str]:
    return [e["id"] for d in await things.find({}, sort=[("_id", 1)]) for e in d.get("outbox", [])]


async def test_outbox_is_published_at_once_and_pulled_together(
    store: Store, publisher: FakePublisher
) -> None:
    relay, things = _process(store, publisher)
    assert await things.insert({"_id": "a"}, outbox=[packet("1"), packet("2")])
    assert await things.update({"_id": "a"}, {"$set": {"n": 1}}, outbox=[packet("3")])
    made = await things.update({"_id": "b"}, {"$set": {"n": 1}}, outbox=[packet("4")], upsert=True)
    assert made is not None
    assert await _waiting(things) == ["1", "2", "3", "4"]
    await relay.flush()
    assert sorted(publisher.sent) == ["1", "2", "3", "4"]
    assert await _waiting(things) == []


async def test_outbox_of_a_write_that_failed_is_not_published(store: Store, publisher: FakePublisher) -> None:
    relay, things = _process(store, publisher)
    await things.insert({"_id": "a"})
    assert not await things.insert({"_id": "a"}, outbox=[packet("1")])
    assert await things.update({"_id": "a", "n": 9}, {"$set": {"n": 1}}, outbox=[packet("2")]) is None
    await relay.flush()
    assert publisher.sent == []


async def test_outbox_keeps_what_is_not_confirmed(store: Store, publisher: FakePublisher) -> None:
    relay, things = _process(store, publisher)
    publisher.refuses = {"2"}
    await things.insert({"_id": "a"}, outbox=[packet("1"), packet("2")])
    await relay.flush()
    assert await _waiting(things) == ["2"]


async def test_sweep_sends_again_after_two_seconds(store: Store, publisher: FakePublisher) -> None:
    relay, things = _process(store, publisher)
    publisher.down = True
    await things.insert({"_id": "a"}, outbox=[packet("1")])
    await relay.flush()
    publisher.down = False
    store.clock.advance(STALE_AFTER.total_seconds())
    assert await relay.sweep() == 0
    store.clock.advance(0.001)
    assert await relay.sweep() == 1
    await relay.flush()
    assert publisher.sent == ["1"]
    assert await _waiting(things) == []
    assert await relay.sweep() == 0


async def test_sweep_of_another_process_sends_what_a_killed_one_left(
    store: Store, publisher: FakePublisher
) -> None:
    lost = FakePublisher(down=True)  # killed between its write and its publish
    _, things = _process(store, lost)
    await things.insert({"_id": "a"}, outbox=[packet("1")])
    relay, same_things = _process(store, publisher)
    store.clock.advance(3)
    assert await relay.sweep() == 1
    await relay.flush()
    assert publisher.sent == ["1"]
    assert await _waiting(same_things) == []


async def test_what_can_never_be_sent_starves_nothing(store: Store, publisher: FakePublisher) -> None:
    """A command without a queue waits for ever; the sweep goes past it, round and round."""
    _, things = _process(store, FakePublisher(down=True))
    hopeless = [f"{n:03}" for n in range(SWEEP_BATCH)]
    publisher.refuses = set(hopeless)
    for name in [*hopeless, "waiting"]:
        await things.insert({"_id": name}, outbox=[packet(name)])
    relay, _ = _process(store, publisher)
    store.clock.advance(3)
    swept = []
    for _ in range(3):
        swept.append(await relay.sweep())
        await relay.published()
    assert swept == [SWEEP_BATCH, 1, SWEEP_BATCH]
    assert publisher.sent.count("waiting") == 1
    await relay.pull()
    assert await things.find_one({"_id": "waiting"}) == {"_id": "waiting", "v": 1, "outbox": []}


async def test_confirmed_packets_are_not_sent_again_before_they_are_pulled(
    store: Store, publisher: FakePublisher
) -> None:
    relay, things = _process(store, publisher)
    await things.insert({"_id": "a"}, outbox=[packet("1")])
    await relay.published()
    store.clock.advance(3)
    assert await relay.sweep() == 0
    await relay.pull()
    assert publisher.sent == ["1"]
    assert await _waiting(things) == []


async def test_sweep_leaves_alone_what_is_being_published(store: Store) -> None:
    release = asyncio.Event()

    class Slow(FakePublisher):
        async def publish(self, packets: Any) -> frozenset[str]:
            self.sent += [p.id for p in packets]
            await release.wait()
            return frozenset(p.id for p in packets)

    slow = Slow()
    relay, things = _process(store, slow)
    await things.insert({"_id": "a"}, outbox=[packet("1")])
    store.clock.advance(3)
    assert await relay.sweep() == 0
    release.set()
    await relay.flush()
    assert slow.sent == ["1"]
    assert await _waiting(things) == []


async def test_one_message_that_takes_long_does_not_hold_up_the_sweep(
    store: Store, publisher: FakePublisher
) -> None:
    """The memory bus confirms only after the handler: a retry of minutes must not stop the others."""
    publisher.down = True
    relay, things = _process(store, publisher)
    for name in ("1", "2"):
        await things.insert({"_id": name}, outbox=[packet(name)])
    await relay.flush()
    never = asyncio.Event()

    class Partly(FakePublisher):
        async def publish(self, packets: Any) -> frozenset[str]:
            if packets[0].id == "1":
                await never.wait()
            return await super().publish(packets)

    partly = Partly()
    second, _ = _process(store, partly)
    store.clock.advance(3)
    assert await second.sweep() == 2

    async def only_the_slow_one_waits() -> bool:
        await second.pull()
        return await _waiting(things) == ["1"]

    await until(only_the_slow_one_waits)
    assert partly.sent == ["2"]
    never.set()
    await second.flush()


async def test_run_pulls_and_sweeps(store: Store, publisher: FakePublisher) -> None:
    publisher.down = True
    relay, things = _process(store, publisher)
    await things.insert({"_id": "a"}, outbox=[packet("1")])
    await relay.flush()
    publisher.down = False
    running = asyncio.create_task(relay.run())

    async def nothing_waits() -> bool:
        store.clock.advance(0.2)
        return await _waiting(things) == []

    await until(nothing_waits)
    running.cancel()
    assert publisher.sent == ["1"]


# --- indexes, absence ---------------------------------------------------------------------------------------


async def test_migrate_and_check_agree(store: Store) -> None:
    database = store.open(FakeListener())
    database.collection(
        "things", indexes=[Index((("n", 1),)), Index((("at", 1),), expire_after=86400)], outbox=True
    )
    await database.migrate()
    await database.check()
    assert await database.migrate() == []


class FakeListener:
    def written(self, collection: Collection, document_id: str, packets: Any) -> None: ...

    def dropped(self, packets: Any) -> None: ...

    def watch(self, collection: Collection) -> None: ...


@pytest.mark.parts
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


@pytest.mark.parts
async def test_says_unavailable_while_mongod_is_away_and_recovers(own_mongod: Part) -> None:
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
    assert await things.find_one({}) == {"_id": "a", "n": 1, "v": 1}
    await database.close()


async def test_memory_counts_what_a_step_costs() -> None:
    database = MemoryDatabase(clock=ManualClock(START))
    things = database.collection("things")
    await things.insert({"_id": "a"})
    await things.find_one({"_id": "a"})
    assert database.operations == [("things", "insert"), ("things", "find")]
