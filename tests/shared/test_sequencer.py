"""shared/store/sequencer.py"""

import asyncio
from collections.abc import Sequence
from typing import Any

import pytest

from shared.clock import ManualClock
from shared.errors import Unavailable
from shared.store.memory import MemoryDatabase
from shared.store.port import Collection
from shared.store.sequencer import Sequencer
from tests.world import START

FAULTS = [Unavailable("away"), KeyError("a bug"), RuntimeError("Cannot use MongoClient after close")]


class Faulty:
    """A collection whose next writes raise `faults`, some after the write: their result is unknown."""

    def __init__(self, inner: Collection) -> None:
        self.inner = inner
        self.faults: list[tuple[bool, BaseException]] = []
        self.gate = asyncio.Event()
        self.gate.set()

    async def insert_many(self, documents: Sequence[dict[str, Any]]) -> None:
        await self.gate.wait()
        if self.faults:
            written, fault = self.faults.pop(0)
            if written:
                await self.inner.insert_many(documents)
            raise fault
        await self.inner.insert_many(documents)

    async def stored(self) -> list[tuple[int, str]]:
        return [(d["number"], d["what"]) for d in await self.inner.find({}, sort=[("_id", 1)])]


@pytest.fixture
def collection() -> Faulty:
    return Faulty(MemoryDatabase(clock=ManualClock(START)).collection("records"))


def sequencer(collection: Faulty) -> Sequencer:
    return Sequencer(collection, "s")  # type: ignore[arg-type]


@pytest.mark.parametrize("written", [False, True], ids=["not written", "written"])
@pytest.mark.parametrize("fault", FAULTS, ids=lambda fault: type(fault).__name__)
async def test_every_fault_reaches_all_who_wait_and_no_number_is_lost_or_used_twice(
    collection: Faulty, fault: Exception, written: bool
) -> None:
    made = sequencer(collection)
    collection.gate.clear()
    collection.faults = [(written, fault)]
    first = asyncio.create_task(made.append({"what": "first"}))
    await asyncio.sleep(0)  # the writer has taken the first record
    await asyncio.sleep(0)
    behind = [asyncio.create_task(made.append({"what": what})) for what in ("second", "third")]
    await asyncio.sleep(0)
    collection.gate.set()
    async with asyncio.timeout(5):
        assert await asyncio.gather(first, *behind, return_exceptions=True) == [fault] * 3
        assert await made.append({"what": "fourth"}) == 2
    assert await collection.stored() == [(1, "first"), (2, "fourth")]


@pytest.mark.parametrize("fault", FAULTS, ids=lambda fault: type(fault).__name__)
async def test_flush_says_what_is_not_written_and_writes_it_when_it_can(
    collection: Faulty, fault: Exception
) -> None:
    made = sequencer(collection)
    collection.faults = [(False, fault), (False, fault)]
    with pytest.raises(type(fault)):
        await made.append({"what": "first"})
    with pytest.raises(Unavailable, match="1 records of stream s are not written"):
        await made.flush()
    await made.flush()
    assert await collection.stored() == [(1, "first")]


async def test_who_waits_is_told_when_the_writer_is_cancelled(collection: Faulty) -> None:
    made = sequencer(collection)
    collection.gate.clear()
    waiting = asyncio.create_task(made.append({"what": "first"}))
    await asyncio.sleep(0)
    await asyncio.sleep(0)
    assert made._writer is not None
    made._writer.cancel()
    async with asyncio.timeout(5):
        with pytest.raises(Unavailable, match="not written any more"):
            await waiting
    collection.gate.set()
    assert await made.append({"what": "second"}) == 2
    assert await collection.stored() == [(1, "first"), (2, "second")]


async def test_a_cancelled_flush_leaves_the_writer_at_work(collection: Faulty) -> None:
    made = sequencer(collection)
    collection.gate.clear()
    waiting = asyncio.create_task(made.append({"what": "first"}))
    await asyncio.sleep(0)
    flushing = asyncio.create_task(made.flush())
    await asyncio.sleep(0)
    flushing.cancel()
    with pytest.raises(asyncio.CancelledError):
        await flushing
    collection.gate.set()
    assert await waiting == 1
