"""What only RabbitMQ has: an absent, restarted or killed broker, and consumers that die."""

import asyncio
import os
import signal
import sys
import textwrap
from collections.abc import AsyncIterator
from itertools import count
from pathlib import Path
from typing import Any

import pytest

from deploy.local.backing import Broker
from shared.bus.port import Reject, Retry
from shared.bus.rabbit import RabbitBus, publisher, queue_consumer
from shared.bus.rabbit import bus as rabbit_bus
from shared.bus.topology import DELIVERY_LIMIT
from shared.contracts.envelope import VerifiedMessage
from shared.errors import Unavailable
from shared.testing.waiting import eventually
from tests.conformance.bus_support import (
    CLOCK,
    TRUSTED,
    Inbox,
    Outbox,
    RabbitWorld,
    ended,
)
from tests.conftest import Vhost

pytestmark = pytest.mark.integration


@pytest.fixture
async def own_world(own_rabbit: Broker) -> AsyncIterator[RabbitWorld]:
    """On a broker that the test may kill."""
    world = RabbitWorld(own_rabbit.url)
    yield world
    await world.close()


# --- the broker is away, restarted, killed ------------------------------------------------------------------


async def _registered(broker: Broker) -> None:
    """Wait until a queue that was just declared survives a kill.

    RabbitMQ 3.10 keeps the names of quorum queues in a table that it writes with up to 3 s of delay; killed before
    that, the queue comes back without a leader for ever. Queues in production are older than that.
    """
    await asyncio.to_thread(broker.ctl, "eval", "[dets:sync(T) || T <- dets:all()].")


async def test_says_unavailable_when_nobody_answers(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(rabbit_bus, "START_TIMEOUT", 0.3)
    with pytest.raises(Unavailable, match="RabbitMQ does not answer"):
        await RabbitBus.connect("amqp://127.0.0.1:1/", trusted=TRUSTED, clock=CLOCK)


@pytest.mark.slow
async def test_publish_answers_soon_while_the_broker_is_away_and_goes_on_afterwards(
    own_world: RabbitWorld, own_rabbit: Broker, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(publisher, "PATIENCE", 0.1)
    inbox, signals = Inbox(), asyncio.Event()
    bus = await own_world.open()
    await bus.consume("wsfed", inbox.handlers("wsfed"))
    await bus.on_signal("t", lambda _: signals.set())
    before, during, after = ended("before"), ended("during"), ended("after")
    await Outbox(bus).send(before)
    await _registered(own_rabbit)
    await asyncio.to_thread(own_rabbit.kill)
    async with asyncio.timeout(3):
        assert await bus.publish([during]) == frozenset()
        await bus.signal("t", "lost")
    await asyncio.to_thread(own_rabbit.start)
    await Outbox(bus).send(during, after)
    await inbox.until(lambda: {before.id, during.id, after.id} <= set(inbox.ids))

    async def signalled() -> bool:
        await bus.signal("t", "again")
        return signals.is_set()

    await eventually(signalled, "the signal arrives")


@pytest.mark.slow
async def test_loses_nothing_when_the_broker_restarts_under_publishing(
    own_world: RabbitWorld, own_rabbit: Broker
) -> None:
    inbox = Inbox()
    consuming, publishing = await own_world.open(), await own_world.open()
    await consuming.consume("wsfed", inbox.handlers("wsfed"))
    outbox, sent, numbers, over = Outbox(publishing), set[str](), count(), asyncio.Event()

    async def keep_publishing() -> None:
        while not over.is_set():
            signed = ended(str(next(numbers)))
            sent.add(signed.id)
            await outbox.send(signed, within=60)

    writers = [asyncio.create_task(keep_publishing()) for _ in range(8)]
    await inbox.until_done(200)
    await asyncio.to_thread(own_rabbit.stop)
    await asyncio.to_thread(own_rabbit.start)
    reached = len(inbox.done)
    await inbox.until_done(reached + 200, within=60)
    over.set()
    await asyncio.gather(*writers)
    assert outbox.confirmed == sent
    await inbox.until(lambda: set(inbox.ids) == sent)


@pytest.mark.slow
async def test_loses_nothing_when_the_broker_is_killed_in_the_middle_of_retries_and_dead_letters(
    own_world: RabbitWorld, own_rabbit: Broker
) -> None:
    """A third succeeds, a third comes again until the broker was killed, a third is poison."""
    killed = asyncio.Event()

    async def mixed(received: VerifiedMessage[Any]) -> None:
        kind = received.message.challenge.partition("-")[0]
        if kind == "poison":
            raise Reject("poison")
        if kind == "retry" and not killed.is_set():
            raise Retry("not yet")

    inbox = Inbox(behaviour=mixed)
    bus = await own_world.open()
    await bus.consume("wsfed", inbox.handlers("wsfed"))
    await _registered(own_rabbit)
    messages = {f"{kind}-{n}": ended(f"{kind}-{n}") for n in range(200) for kind in ("ok", "retry", "poison")}
    sending = asyncio.create_task(Outbox(bus).send(*messages.values(), within=60))
    await inbox.until(lambda: len(inbox.begun) >= 500)  # some on the way in, some between queues
    await asyncio.to_thread(own_rabbit.kill)
    await asyncio.to_thread(own_rabbit.start)
    killed.set()
    await sending
    good = {signed.id for name, signed in messages.items() if not name.startswith("poison")}
    poison = {signed.id for name, signed in messages.items() if name.startswith("poison")}
    await inbox.until(lambda: set(inbox.ids) == good, within=60)

    async def all_dead() -> bool:
        return {dead_id for dead_id, _ in await own_world.dead("wsfed")} == poison

    await eventually(all_dead, "all of them are dead letters")


async def test_full_queue_refuses_and_nothing_is_lost(rabbit_world: RabbitWorld, rabbit: Vhost) -> None:
    """The default overflow would drop the oldest messages without a word."""
    bus = await rabbit_world.open()
    await bus.consume("wsfed", Inbox().handlers("wsfed"))
    await bus.close()
    policy = {"pattern": "^wsfed$", "definition": {"max-length": 5}, "apply-to": "queues"}
    await asyncio.to_thread(rabbit.management.call, "PUT", f"/policies/{rabbit.name}/short", policy)
    bus = await rabbit_world.open()
    messages, confirmed = [ended(str(n)) for n in range(100)], set[str]()

    async def full() -> bool:
        for signed in messages:
            confirmed.update(await bus.publish([signed]))
        return len(confirmed) < len(messages)

    await eventually(full, "the queue is full")
    inbox = Inbox()
    await bus.consume("wsfed", inbox.handlers("wsfed"))
    await Outbox(bus).send(*(signed for signed in messages if signed.id not in confirmed))
    await inbox.until(lambda: set(inbox.ids) == {signed.id for signed in messages})


# --- consumers die ------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "total", [2_000, pytest.param(10_000, marks=[pytest.mark.slow, pytest.mark.timeout(300)])]
)
async def test_thousands_of_messages_through_a_consumer_that_dies_every_hundred(
    rabbit_world: RabbitWorld, total: int
) -> None:
    handled = set[str]()
    consumer = await rabbit_world.open()
    await consumer.consume("wsfed", Inbox().handlers("wsfed"))  # so that the queue is there
    await rabbit_world.kill_consumers(consumer)
    messages = [ended(str(n)) for n in range(total)]
    sending = asyncio.create_task(Outbox(await rabbit_world.open()).send(*messages, within=250))
    deaths = 0
    while len(handled) < total:
        inbox = Inbox()
        await consumer.consume("wsfed", inbox.handlers("wsfed"))
        await inbox.until_done(min(100, total - len(handled)))
        await rabbit_world.kill_consumers(consumer)
        deaths += 1
        handled |= set(inbox.ids)
    await sending
    assert handled == {signed.id for signed in messages}
    assert deaths >= total / 200
    assert await rabbit_world.dead("wsfed") == []


async def test_message_survives_kill_9_of_its_consumer(rabbit_world: RabbitWorld, tmp_path: Path) -> None:
    """A real process this time, killed while its handler runs."""
    program = textwrap.dedent(
        """
        import asyncio, sys
        from tests.conformance.bus_support import Inbox, RabbitWorld

        async def hang(received):
            print(received.envelope.id, flush=True)
            await asyncio.Event().wait()

        async def main():
            bus = await RabbitWorld(sys.argv[1]).open()
            await bus.consume("wsfed", Inbox(behaviour=hang).handlers("wsfed"))
            print("ready", file=sys.stderr, flush=True)
            await asyncio.Event().wait()

        asyncio.run(main())
        """
    )
    process = await asyncio.create_subprocess_exec(
        sys.executable,
        "-c",
        program,
        rabbit_world.url,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
        env={**os.environ, "PYTHONPATH": str(Path(__file__).parents[2])},
    )
    assert process.stdout is not None
    assert process.stderr is not None
    async with asyncio.timeout(30):
        while (line := await process.stderr.readline()).strip() != b"ready":
            assert line, "the consumer ended"
    signed = ended("c")
    bus = await rabbit_world.open()
    await Outbox(bus).send(signed)
    async with asyncio.timeout(30):
        while (said := (await process.stdout.readline()).decode().strip()) != signed.id:
            assert said, "the consumer ended"
    process.send_signal(signal.SIGKILL)
    await process.wait()
    inbox = Inbox()
    await bus.consume("wsfed", inbox.handlers("wsfed"))
    await inbox.until_done(1)
    assert inbox.ids == [signed.id]


async def test_message_that_kills_every_consumer_becomes_a_dead_letter(rabbit_world: RabbitWorld) -> None:
    """It never gets an answer, so the broker itself gives it up, and says so."""
    signed = ended("deadly")

    async def hang(_: VerifiedMessage[Any]) -> None:
        await asyncio.Event().wait()

    sender = await rabbit_world.open()
    for death in range(DELIVERY_LIMIT + 1):
        inbox = Inbox(behaviour=hang)
        bus = await rabbit_world.open()
        await bus.consume("wsfed", inbox.handlers("wsfed"))
        if death == 0:
            await Outbox(sender).send(signed)
        await inbox.until(lambda: len(inbox.begun) == 1)  # noqa: B023
        await rabbit_world.kill(bus)

    async def dead() -> bool:
        return await rabbit_world.dead("wsfed") == [(signed.id, "given up by the broker: delivery_limit")]

    await eventually(dead, "it is a dead letter")


async def test_consumes_again_after_its_queue_was_deleted(rabbit_world: RabbitWorld, rabbit: Vhost) -> None:
    inbox = Inbox()
    bus = await rabbit_world.open()
    await bus.consume("wsfed", inbox.handlers("wsfed"))
    await asyncio.to_thread(rabbit.management.call, "DELETE", f"/queues/{rabbit.name}/wsfed")
    signed = ended("c")
    try:
        await Outbox(bus).send(signed)
    except TimeoutError as error:  # seen on a busy machine, and not understood: so it says what RabbitMQ has
        queues = rabbit.management.call("GET", f"/queues/{rabbit.name}")
        consuming = bus._consumers[0].connection
        raise AssertionError(f"consuming: {consuming.is_up}, {consuming._fault}; queues: {queues}") from error
    await inbox.until_done(1)


@pytest.mark.parametrize("missing", ["the consumer", "the queue"])
async def test_consumes_again_when_the_broker_does_not_say_that_it_stopped(
    rabbit_world: RabbitWorld, rabbit: Vhost, monkeypatch: pytest.MonkeyPatch, missing: str
) -> None:
    monkeypatch.setattr(queue_consumer, "CHECK_EVERY", 0.1)
    inbox = Inbox()
    bus = await rabbit_world.open()
    await bus.consume("wsfed", inbox.handlers("wsfed"))
    consuming = bus._consumers[0]._consuming
    assert consuming is not None
    queue, tag = consuming
    await queue.cancel(tag)  # so that RabbitMQ tells nobody when the queue goes
    if missing == "the queue":
        await asyncio.to_thread(rabbit.management.call, "DELETE", f"/queues/{rabbit.name}/wsfed")
    await Outbox(bus).send(ended("c"))
    await inbox.until_done(1)
