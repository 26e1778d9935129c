"""shared/store/aggregate.py on both databases: no change is lost, none is half written, none is written twice."""

import asyncio
import json
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any

import pytest

from shared.contracts.approval import ChallengeEnded
from shared.contracts.envelope import MessageSigner, OutgoingMessage
from shared.crypto.keys import key_from_seed
from shared.errors import Conflict, Forbidden, Unavailable
from shared.ids import SeededIds
from shared.store.aggregate import MAX_ATTEMPTS, Aggregate, Changed, NotUnique, Stored, difference
from shared.store.port import Collection, Document, Index
from tests.conformance.support import Store


@dataclass(frozen=True)
class Counter:
    """An aggregate whose revision is the store's alone."""

    id: str
    count: int = 0
    name: str | None = None
    entries: Mapping[str, Mapping[str, int]] = field(default_factory=dict)


@dataclass(frozen=True)
class Versioned:
    """An aggregate that raises its version itself."""

    id: str
    version: int = 1
    words: str = ""


def encode(counter: Counter) -> Document:
    document: Document = {"_id": counter.id, "count": counter.count, "entries": dict(counter.entries)}
    return document if counter.name is None else {**document, "name": counter.name}


def decode(document: Document) -> Counter:
    return Counter(document["_id"], document["count"], document.get("name"), document["entries"])


def open_things(store: Store, **kept: Any) -> Collection:
    index = Index((("name", 1),), unique=True, partial={"name": {"$exists": True}})
    return store.open(None).collection("things", indexes=[index], outbox=True, **kept)


def counters(store: Store) -> Aggregate[Counter]:
    signer = MessageSigner("approval", key_from_seed(bytes(32)), store.clock, SeededIds("aggregate"))
    return Aggregate(open_things(store), encode, decode, signer=signer)


def versions(store: Store) -> Aggregate[Versioned]:
    return Aggregate(
        store.open(None).collection("versions"),
        lambda v: {"_id": v.id, "version": v.version, "words": v.words},
        lambda d: Versioned(d["_id"], d["version"], d["words"]),
        revision="version",
    )


def counted(counter: Counter) -> Changed[Counter]:
    return Changed(replace(counter, count=counter.count + 1))


def said(what: str) -> OutgoingMessage:
    ended = ChallengeEnded(challenge=what, transaction="t", account="ada", outcome="denied")
    return OutgoingMessage(ended, "contoso", correlation_id=f"after {what}")


async def document(aggregate: Aggregate[Any], key: str = "a") -> Document:
    found = await aggregate.collection.find_one({"_id": key})
    assert found is not None
    return found


async def test_a_thousand_changes_at_once_are_a_thousand_changes(store: Store) -> None:
    """Of two replicas: a step that another one has overtaken is taken again."""
    one, other = counters(store), counters(store)
    assert await one.insert(Counter("a"))
    await asyncio.gather(*(each.change("a", counted) for _ in range(500) for each in (one, other)))
    stored = await one.load("a")
    assert stored == Stored(Counter("a", count=1000), 1001)


async def test_changes_of_other_aggregates_do_not_wait(store: Store) -> None:
    things = counters(store)
    for key in "ab":
        assert await things.insert(Counter(key))
    await asyncio.gather(*(things.change(key, counted) for _ in range(20) for key in "ab"))
    assert [found.value.count for found in await things.find({}, sort=[("_id", 1)])] == [20, 20]


async def test_a_change_of_value_announces_the_new_one_beside_the_one_before(store: Store) -> None:
    things = counters(store)
    assert await things.insert(Counter("a"))

    def announce(after: Counter, before: Counter) -> list[OutgoingMessage]:
        return [said(f"{before.count} to {after.count}")]

    assert await things.change_value("a", lambda c: replace(c, count=7), announce) == Counter("a", count=7)
    assert await things.change_value("a", lambda c: None, announce) is None
    assert await things.change_value("b", lambda c: replace(c, count=9), announce) is None
    found = await document(things)
    bodies = [json.loads(bytes(each["body"])) for each in found["outbox"]]
    assert (found["count"], [body["body"]["challenge"] for body in bodies]) == (7, ["0 to 7"])


async def test_what_a_change_says_leaves_with_its_write(store: Store) -> None:
    things = counters(store)
    assert await things.insert(Counter("a"), [said("one")])
    changed = await things.change("a", lambda c: Changed(replace(c, count=7), [said("two"), said("three")]))
    assert changed is not None
    assert changed.value.count == 7
    found = await document(things)
    bodies = [json.loads(bytes(each["body"])) for each in found["outbox"]]
    assert [body["body"]["challenge"] for body in bodies] == ["one", "two", "three"]
    assert {body["correlation_id"] for body in bodies} == {"after one", "after two", "after three"}


async def test_a_step_that_raises_writes_and_says_nothing(store: Store) -> None:
    things = counters(store)
    assert await things.insert(Counter("a"))

    def refuse(_: Counter) -> Changed[Counter]:
        raise Forbidden("approval.device.removed")

    before = await document(things)
    with pytest.raises(Forbidden):
        await things.change("a", refuse)
    assert await document(things) == before


async def test_a_step_with_nothing_to_do_writes_nothing(store: Store) -> None:
    things = counters(store)
    assert await things.insert(Counter("a"))
    before = await document(things)

    def nothing(_: Counter) -> Changed[Counter] | None:
        return None

    assert await things.change("a", nothing) is None
    assert await document(things) == before


async def test_a_refusal_is_raised_after_its_write(store: Store) -> None:
    things = counters(store)
    assert await things.insert(Counter("a"))
    wrong = Forbidden("approval.device.removed")
    with pytest.raises(Forbidden):
        await things.change("a", lambda c: replace(counted(c), refusal=wrong, messages=[said("wrong")]))
    found = await document(things)
    assert (found["count"], len(found["outbox"])) == (1, 1)


async def test_what_is_missing_is_made_only_from_empty(store: Store) -> None:
    things = counters(store)
    assert await things.change("a", counted) is None
    assert await things.load("a") is None
    await asyncio.gather(*(things.change("a", counted, empty=Counter("a")) for _ in range(50)))
    assert await things.load("a") == Stored(Counter("a", count=50), 50)


async def test_two_replicas_that_make_it_at_once_make_one(store: Store) -> None:
    one, other = counters(store), counters(store)
    await asyncio.gather(*(each.change("a", counted, empty=Counter("a")) for each in (one, other)))
    assert await one.load("a") == Stored(Counter("a", count=2), 2)


async def test_what_was_read_long_ago_costs_a_second_look_and_no_wrong_step(store: Store) -> None:
    things = counters(store)
    assert await things.insert(Counter("a"))
    first = await things.load("a")
    await things.change("a", counted)
    await things.change("a", counted, first=first)
    assert (await document(things))["count"] == 2


async def test_a_value_that_another_document_has_is_refused(store: Store) -> None:
    """A copy of somebody's credential id, say: nothing is written, and it is not tried again and again."""
    database = store.open(None)
    index = Index((("name", 1),), unique=True, partial={"name": {"$exists": True}})
    things = Aggregate(database.collection("things", indexes=[index]), encode, decode)
    await database.migrate()
    assert await things.insert(Counter("a", name="taken"))
    assert await things.insert(Counter("b"))
    tries = 0

    def take(counter: Counter) -> Changed[Counter]:
        nonlocal tries
        tries += 1
        return Changed(replace(counter, name="taken"))

    with pytest.raises(NotUnique):
        await things.change("b", take)
    with pytest.raises(NotUnique):
        await things.change("c", take, empty=Counter("c"))
    assert not await things.insert(Counter("d", name="taken"))
    assert tries == 2
    assert await things.load("b") == Stored(Counter("b"), 1)
    assert await things.load("c") is None


class Overtaken:
    """A collection in which somebody else writes before each of our updates."""

    def __init__(self, inner: Collection, times: int) -> None:
        self.name, self.find_one = inner.name, inner.find_one
        self._inner, self._times = inner, times

    async def update(self, where: Any, change: Any, **options: Any) -> Document | None:
        if self._times:
            self._times -= 1
            await self._inner.update({"_id": where["_id"]}, {"$inc": {"revision": 1, "count": 10}})
        return await self._inner.update(where, change, **options)


def overtaken(collection: Collection, times: int) -> Aggregate[Counter]:
    return Aggregate(Overtaken(collection, times), encode, decode)  # type: ignore[arg-type]


async def test_the_last_attempt_may_succeed(store: Store) -> None:
    things = counters(store)
    assert await things.insert(Counter("a"))
    await overtaken(things.collection, MAX_ATTEMPTS - 1).change("a", counted)
    assert (await document(things))["count"] == 10 * (MAX_ATTEMPTS - 1) + 1


@pytest.mark.parametrize(
    ("busy", "raised"), [(None, Unavailable), (Conflict("admin.domain.taken"), Conflict)]
)
async def test_gives_up_when_others_are_always_faster(
    store: Store, busy: Conflict | None, raised: type[Exception]
) -> None:
    things = counters(store)
    assert await things.insert(Counter("a"))
    with pytest.raises(raised):
        await overtaken(things.collection, 1000).change("a", counted, busy=busy)
    assert (await document(things))["count"] == 10 * MAX_ATTEMPTS


class Away:
    """A collection whose answers get lost: the write happens, and nobody hears of it."""

    def __init__(self, inner: Collection) -> None:
        self.name, self.find_one, self._inner = inner.name, inner.find_one, inner

    async def update(self, where: Any, change: Any, **options: Any) -> Document | None:
        await self._inner.update(where, change, **options)
        raise Unavailable("shared.store.unconfirmed")


async def test_an_unknown_result_is_unavailable_and_the_step_is_not_taken_again(store: Store) -> None:
    """Whoever asks again finds out by the state: here the step says that it was taken."""
    things = counters(store)
    assert await things.insert(Counter("a"))
    away: Aggregate[Counter] = Aggregate(Away(things.collection), encode, decode)  # type: ignore[arg-type]
    with pytest.raises(Unavailable):
        await away.change("a", counted)
    assert (await document(things))["count"] == 1
    assert await things.change("a", lambda c: counted(c) if c.count < 1 else None) is None


async def test_an_aggregate_may_keep_its_revision_itself(store: Store) -> None:
    one, other = versions(store), versions(store)
    assert await one.insert(Versioned("a"))

    def step(before: Versioned) -> Changed[Versioned]:
        return Changed(replace(before, version=before.version + 1, words="changed"))

    await asyncio.gather(*(each.change("a", step) for each in (one, other) for _ in range(10)))
    assert await one.load("a") == Stored(Versioned("a", 21, "changed"), 21)


@pytest.mark.parametrize("version", [0, 1, 3])
async def test_a_version_that_is_not_the_next_one_is_a_fault(store: Store, version: int) -> None:
    """State events with it would be taken for older news, or hide the ones between."""
    things = versions(store)
    assert await things.insert(Versioned("a"))
    with pytest.raises(ValueError, match="became"):
        await things.change("a", lambda v: Changed(replace(v, version=version, words="other")))
    assert await things.load("a") == Stored(Versioned("a"), 1)


async def test_a_change_may_not_move_to_another_document(store: Store) -> None:
    things = counters(store)
    assert await things.insert(Counter("a"))
    with pytest.raises(ValueError, match="became"):
        await things.change("a", lambda c: Changed(replace(c, id="b")))


async def test_only_entries_that_differ_are_written(store: Store) -> None:
    """What a newer release has put beside them stays."""
    things = counters(store)
    assert await things.insert(
        Counter("a", entries={"kept": {"n": 1}, "changed": {"n": 1}, "gone": {"n": 1}})
    )
    await things.collection.update({"_id": "a"}, {"$set": {"later": "kept", "entries.kept.later": 1}})

    def step(c: Counter) -> Changed[Counter]:
        return Changed(replace(c, entries={"kept": c.entries["kept"], "changed": {"n": 2}, "new": {"n": 3}}))

    await things.change("a", step)
    found = await document(things)
    assert found["later"] == "kept"
    assert found["entries"] == {"kept": {"n": 1, "later": 1}, "changed": {"n": 2}, "new": {"n": 3}}


async def test_optional_fields_come_and_go(store: Store) -> None:
    things = counters(store)
    assert await things.insert(Counter("a"))
    await things.change("a", lambda c: Changed(replace(c, name="here")))
    assert (await document(things))["name"] == "here"
    await things.change("a", lambda c: Changed(replace(c, name=None)))
    assert "name" not in await document(things)


async def test_a_collection_without_a_signer_says_nothing(store: Store) -> None:
    things = versions(store)
    with pytest.raises(ValueError, match="no signer"):
        await things.insert(Versioned("a"), [said("one")])
    assert await things.load("a") is None


def test_difference() -> None:
    old = {"same": 1, "gone": 2, "doc": {"a": 1, "b": 2}, "list": [1], "was": {"a": 1}, "dots": {"a": 1}}
    new = {
        "same": 1,
        "doc": {"b": 3, "c": 4},
        "list": [1, 2],
        "was": None,
        "dots": {"a.b": 1},
        "new": {"a": 1},
    }
    assert difference(old, new) == {
        "$set": {
            "doc.b": 3,
            "doc.c": 4,
            "list": [1, 2],
            "was": None,
            "dots": {"a.b": 1},
            "new": {"a": 1},
        },
        "$unset": {"gone": "", "doc.a": ""},
    }
    assert difference(old, old) == {}
