"""What projections need of a database, on both kinds: the hook for writes that did not happen, and the ledger."""

import asyncio
from collections.abc import AsyncIterator, Callable, Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime

import pytest

from shared.clock import ManualClock
from shared.contracts.envelope import Packet
from shared.contracts.state import StreamAdvanced
from shared.projection.ledger import Ledger
from shared.projection.records import Covered, OwnerRecord, Resync, StreamRecord
from shared.store.memory import MemoryDatabase
from shared.store.mongo import MongoDatabase
from shared.store.port import Collection, Database

START = datetime(2026, 3, 2, 8, 0, tzinfo=UTC)


@dataclass
class Heard:
    """A listener that writes down what it hears."""

    names: list[str] = field(default_factory=list)

    def written(self, collection: Collection, document_id: str, packets: Sequence[Packet]) -> None:
        self.names += [f"written {packet.id}" for packet in packets]

    def dropped(self, packets: Sequence[Packet]) -> None:
        self.names += [f"dropped {packet.id}" for packet in packets]

    def watch(self, collection: Collection) -> None:
        return None


Open = Callable[[Heard | None], Database]


@pytest.fixture(params=["memory", pytest.param("mongo", marks=pytest.mark.parts)])
async def database(request: pytest.FixtureRequest) -> AsyncIterator[Open]:
    """Opens the same empty database, again and again."""
    clock = ManualClock(START)
    opened: list[Database] = []
    data = MemoryDatabase(clock=clock).data
    mongo = request.param == "mongo"
    url = request.getfixturevalue("mongo_url") if mongo else ""
    name = request.getfixturevalue("mongo_database") if mongo else ""

    def open_database(listener: Heard | None) -> Database:
        if mongo:
            opened.append(MongoDatabase(url, name, clock=clock, listener=listener))
        else:
            opened.append(MemoryDatabase(clock=clock, listener=listener, data=data))
        return opened[-1]

    yield open_database
    for each in opened:
        await each.close()


def packet(name: str) -> Packet:
    return Packet(name, "admin.account.changed.v1", b"{}", b"s" * 64)


async def test_packets_of_a_write_whose_condition_did_not_hold_are_dropped(database: Open) -> None:
    heard = Heard()
    things = database(heard).collection("things", outbox=True)
    assert await things.insert({"_id": "a", "n": 1}, outbox=[packet("1")])
    assert not await things.insert({"_id": "a", "n": 2}, outbox=[packet("2")])
    assert await things.update({"_id": "a", "n": 1}, {"$set": {"n": 2}}, outbox=[packet("3")])
    assert not await things.update({"_id": "a", "n": 1}, {"$set": {"n": 3}}, outbox=[packet("4")])
    where = {"_id": "a", "n": {"$lt": 1}}
    assert not await things.update(where, {"$set": {"n": 0}}, outbox=[packet("5"), packet("6")], upsert=True)
    assert heard.names == ["written 1", "dropped 2", "written 3", "dropped 4", "dropped 5", "dropped 6"]


async def test_a_write_without_packets_says_nothing(database: Open) -> None:
    heard = Heard()
    things = database(heard).collection("things", outbox=True)
    await things.insert({"_id": "a"})
    await things.insert({"_id": "a"})
    await things.update({"_id": "b"}, {"$set": {"n": 1}})
    assert heard.names == []


async def test_records_come_back_as_they_were(database: Open) -> None:
    clock = ManualClock(START)
    opened = database(Heard())
    ledger = Ledger(opened, clock)
    await opened.migrate()
    said = StreamAdvanced(stream="s", number=9, voided=(4,))
    for number in (1, 2, 7):
        await ledger.received("admin", "s", number)
    kept = await ledger.change("admin", "s", lambda r: r.advance(said, START, START))
    assert kept.have == ((1, 2), (4, 4), (7, 7))
    resync = Resync("r", "1/x", START, (Covered("s", 9, ended=True), Covered("t", 0, ended=False)))
    owner = OwnerRecord("admin", synced_at=START, asked_at=START, wanted="operator", resync=resync)
    assert await ledger.change_owner("admin", lambda _: (owner, [packet("question")]))
    owners, streams = await Ledger(database(None), clock).live(["admin", "approval"])
    assert owners == {"admin": owner, "approval": OwnerRecord("approval")}
    assert streams == [kept]
    await ledger.change("admin", "s", lambda r: replace(r, live=False))
    assert (await Ledger(database(None), clock).live(["admin"]))[1] == []


async def test_replicas_that_write_at_once_lose_nothing(database: Open) -> None:
    clock = ManualClock(START)
    ledgers = [Ledger(database(None), clock) for _ in range(3)]
    said = StreamAdvanced(stream="s", number=60)
    beats = [
        ledger.change("admin", "s", lambda r: r.advance(said, START, START))
        for ledger in ledgers
        for _ in "12"
    ]
    events = [ledgers[n % 3].received("admin", "s", n) for n in range(1, 61)]
    await asyncio.gather(*events, *beats)
    _, (record,) = await Ledger(database(None), clock).live(["admin"])
    assert record.have == ((1, 60),)
    assert record.claimed == 60
    assert record.missing_since() is None


async def test_a_step_on_an_owner_that_says_none_writes_nothing(database: Open) -> None:
    ledger = Ledger(database(Heard()), ManualClock(START))
    assert not await ledger.change_owner("admin", lambda _: None)
    assert await ledger.owner("admin") == OwnerRecord("admin")
    assert StreamRecord("admin", "s").receive(frozenset(), START) == StreamRecord("admin", "s")
