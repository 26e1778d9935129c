"""Reads by `_id` that go together: every answer is as new as the question, one fault is everybody's, nobody hangs."""

import asyncio
from collections.abc import Sequence

import pytest

from shared.errors import Unavailable
from shared.store.batcher import AT_MOST, ReadBatcher
from shared.store.port import Document


class Slow:
    """A collection whose reads take as long as the test says; each takes its snapshot when it is sent."""

    def __init__(self, *ids: str) -> None:
        self.documents: dict[str, Document] = {i: {"_id": i, "n": 0, "list": []} for i in ids}
        self.reads: list[list[str]] = []
        self.gates: list[asyncio.Event] = []
        self.sent = asyncio.Condition()
        self.fault: Exception | None = None

    async def __call__(self, document_ids: Sequence[str]) -> Sequence[Document]:
        gate = asyncio.Event()
        self.reads.append(list(document_ids))
        self.gates.append(gate)
        found = [{**self.documents[i]} for i in document_ids if i in self.documents]
        fault = self.fault
        async with self.sent:
            self.sent.notify_all()
        await gate.wait()
        if fault is not None:
            raise fault
        return found

    async def let(self, number: int) -> None:
        """Until that read was sent; then answer it."""
        async with self.sent:
            await self.sent.wait_for(lambda: len(self.gates) > number)
        self.gates[number].set()


async def turns() -> None:
    """Let whatever can run, run."""
    for _ in range(5):
        await asyncio.sleep(0)


def ask(lookups: ReadBatcher, *ids: str) -> list[asyncio.Task[Document | None]]:
    return [asyncio.create_task(lookups.one(i)) for i in ids]


async def test_without_load_each_goes_at_once_and_alone() -> None:
    slow = Slow("a", "b")
    lookups = ReadBatcher(slow)
    for number, wanted in enumerate("ab"):
        (task,) = ask(lookups, wanted)
        await slow.let(number)
        found = await task
        assert found is not None
        assert found["_id"] == wanted
    assert slow.reads == [["a"], ["b"]]


async def test_those_that_come_meanwhile_go_together_each_with_its_own() -> None:
    slow = Slow("a", "b", "c")
    lookups = ReadBatcher(slow)
    first = ask(lookups, "a")
    await turns()
    others = ask(lookups, "b", "missing", "c", "b")
    await turns()
    assert slow.reads == [["a"]]
    await slow.let(0)
    await slow.let(1)
    assert [d and d["_id"] for d in await asyncio.gather(*first, *others)] == ["a", "b", None, "c", "b"]
    assert slow.reads == [["a"], ["b", "missing", "c"]]


async def test_no_answer_is_older_than_its_question() -> None:
    slow = Slow("a")
    lookups = ReadBatcher(slow)
    before = ask(lookups, "a")
    await turns()
    slow.documents["a"]["n"] = 1  # written while the first read is under way
    after = ask(lookups, "a")
    await turns()
    await slow.let(0)
    await slow.let(1)
    assert [d and d["n"] for d in await asyncio.gather(*before, *after)] == [0, 1]


async def test_two_who_asked_for_the_same_do_not_share_it() -> None:
    slow = Slow("a", "b")
    lookups = ReadBatcher(slow)
    ask(lookups, "b")
    await turns()
    pair = ask(lookups, "a", "a")
    await slow.let(0)
    await slow.let(1)
    one, other = await asyncio.gather(*pair)
    assert one is not None
    one["list"].append("mine")
    assert other is not None
    assert other["list"] == []


async def test_a_fault_is_told_to_all_that_went_with_it_and_to_nobody_else() -> None:
    slow = Slow("a", "b", "c")
    lookups = ReadBatcher(slow)
    first = ask(lookups, "a")
    await turns()
    together = ask(lookups, "b", "c")
    await turns()
    slow.fault = Unavailable()
    await slow.let(0)
    await turns()
    slow.fault = None
    await slow.let(1)
    for task in together:
        with pytest.raises(Unavailable):
            await task
    assert await first[0] is not None
    (again,) = ask(lookups, "b")
    await slow.let(2)
    assert await again is not None


async def test_nobody_waits_long_for_a_read_that_hangs() -> None:
    slow = Slow("a", "b")
    lookups = ReadBatcher(slow)
    hanging = ask(lookups, "a")
    await turns()
    (other,) = ask(lookups, "b")
    async with asyncio.timeout(5):
        await slow.let(1)
        found = await other
    assert found is not None
    assert not hanging[0].done()
    await slow.let(0)
    await hanging[0]


async def test_one_that_gave_up_takes_nothing_from_the_others() -> None:
    slow = Slow("a", "b")
    lookups = ReadBatcher(slow)
    first = ask(lookups, "a")
    await turns()
    gone, stays = ask(lookups, "b", "b")
    await turns()
    gone.cancel()
    first[0].cancel()
    await turns()
    await slow.let(1)
    found = await stays
    assert found is not None
    assert found["_id"] == "b"
    with pytest.raises(asyncio.CancelledError):
        await gone


async def test_a_read_has_a_greatest_size() -> None:
    slow = Slow(*(str(n) for n in range(2 * AT_MOST)))
    lookups = ReadBatcher(slow)
    ask(lookups, "0")
    await turns()
    tasks = ask(lookups, *(str(n) for n in range(2 * AT_MOST)))
    await turns()
    for number in range(3):
        await slow.let(number)
    assert all(await asyncio.gather(*tasks))
    assert max(len(read) for read in slow.reads) == AT_MOST
