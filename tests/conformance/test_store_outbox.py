"""Both databases: what is written with a document is sent, at least once, whoever is killed."""

import asyncio
from typing import Any

import pytest

from shared.store.outbox import STALE_AFTER, SWEEP_BATCH, Relay
from shared.store.port import Collection
from shared.testing.waiting import eventually
from tests.conformance.support import FakePublisher, Store, signed


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
    assert await things.insert({"_id": "a"}, outbox=[signed("1"), signed("2")])
    assert await things.update({"_id": "a"}, {"$set": {"n": 1}}, outbox=[signed("3")])
    made = await things.update({"_id": "b"}, {"$set": {"n": 1}}, outbox=[signed("4")], upsert=True)
    assert made is not None
    assert await _waiting(things) == ["1", "2", "3", "4"]
    await relay.flush()
    assert sorted(publisher.sent) == ["1", "2", "3", "4"]
    assert await _waiting(things) == []


async def test_outbox_of_a_write_that_failed_is_not_published(store: Store, publisher: FakePublisher) -> None:
    relay, things = _process(store, publisher)
    await things.insert({"_id": "a"})
    assert not await things.insert({"_id": "a"}, outbox=[signed("1")])
    assert await things.update({"_id": "a", "n": 9}, {"$set": {"n": 1}}, outbox=[signed("2")]) is None
    await relay.flush()
    assert publisher.sent == []


async def test_outbox_keeps_what_is_not_confirmed(store: Store, publisher: FakePublisher) -> None:
    relay, things = _process(store, publisher)
    publisher.refuses = {"2"}
    await things.insert({"_id": "a"}, outbox=[signed("1"), signed("2")])
    await relay.flush()
    assert await _waiting(things) == ["2"]


async def test_sweep_sends_again_after_two_seconds(store: Store, publisher: FakePublisher) -> None:
    relay, things = _process(store, publisher)
    publisher.down = True
    await things.insert({"_id": "a"}, outbox=[signed("1")])
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
    await things.insert({"_id": "a"}, outbox=[signed("1")])
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
        await things.insert({"_id": name}, outbox=[signed(name)])
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


async def test_confirmed_messages_are_not_sent_again_before_they_are_pulled(
    store: Store, publisher: FakePublisher
) -> None:
    relay, things = _process(store, publisher)
    await things.insert({"_id": "a"}, outbox=[signed("1")])
    await relay.published()
    store.clock.advance(3)
    assert await relay.sweep() == 0
    await relay.pull()
    assert publisher.sent == ["1"]
    assert await _waiting(things) == []


async def test_sweep_leaves_alone_what_is_being_published(store: Store) -> None:
    release = asyncio.Event()

    class Slow(FakePublisher):
        async def publish(self, messages: Any) -> frozenset[str]:
            self.sent += [p.id for p in messages]
            await release.wait()
            return frozenset(p.id for p in messages)

    slow = Slow()
    relay, things = _process(store, slow)
    await things.insert({"_id": "a"}, outbox=[signed("1")])
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
        await things.insert({"_id": name}, outbox=[signed(name)])
    await relay.flush()
    never = asyncio.Event()

    class Partly(FakePublisher):
        async def publish(self, messages: Any) -> frozenset[str]:
            if messages[0].id == "1":
                await never.wait()
            return await super().publish(messages)

    partly = Partly()
    second, _ = _process(store, partly)
    store.clock.advance(3)
    assert await second.sweep() == 2

    async def only_the_slow_one_waits() -> bool:
        await second.pull()
        return await _waiting(things) == ["1"]

    await eventually(only_the_slow_one_waits, "only the slow one waits")
    assert partly.sent == ["2"]
    never.set()
    await second.flush()


async def test_run_pulls_and_sweeps(store: Store, publisher: FakePublisher) -> None:
    publisher.down = True
    relay, things = _process(store, publisher)
    await things.insert({"_id": "a"}, outbox=[signed("1")])
    await relay.flush()
    publisher.down = False
    running = asyncio.create_task(relay.run())

    async def nothing_waits() -> bool:
        store.clock.advance(0.2)
        return await _waiting(things) == []

    await eventually(nothing_waits, "nothing waits any more")
    running.cancel()
    assert publisher.sent == ["1"]
