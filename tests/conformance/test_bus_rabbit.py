"""What only RabbitMQ has: an absent, restarted or killed broker, users and permissions, people with dead letters."""

import asyncio
import os
import signal
import sys
import textwrap
from collections.abc import AsyncIterator, Callable
from itertools import count
from pathlib import Path
from typing import Any

import aio_pika
import pytest
from aio_pika.exceptions import ChannelPreconditionFailed
from aiormq.exceptions import ChannelAccessRefused, ChannelLockedResource

from deploy.local.parts import Broker
from deploy.rabbitmq.definitions import definitions
from shared.bus.port import Reject, Retry
from shared.bus.rabbit import RabbitBus, list_dead, outgoing, replay
from shared.bus.rabbit import bus as rabbit_bus
from shared.bus.topology import DELIVERY_LIMIT, EXCHANGE, Topology
from shared.contracts import SERVICES
from shared.contracts.envelope import Received
from shared.errors import NotFound, Unavailable
from shared.ids import SeededIds
from tests.conformance.bus_support import (
    CLOCK,
    QUICK,
    TRUSTED,
    Inbox,
    Outbox,
    RabbitWorld,
    ended,
    open_challenge,
    tenant,
)
from tests.conformance.support import until
from tests.conftest import Vhost

pytestmark = pytest.mark.parts


@pytest.fixture
async def world(rabbit: Vhost) -> AsyncIterator[RabbitWorld]:
    world = RabbitWorld(rabbit.url)
    yield world
    await world.close()


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


async def test_publish_answers_soon_while_the_broker_is_away_and_goes_on_afterwards(
    own_world: RabbitWorld, own_rabbit: Broker, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(outgoing, "PATIENCE", 0.1)
    inbox, hints = Inbox(), asyncio.Event()
    bus = await own_world.open()
    await bus.consume("wsfed", inbox.handlers("wsfed"))
    await bus.on_hint("t", lambda _: hints.set())
    before, during, after = ended("before"), ended("during"), ended("after")
    await Outbox(bus).send(before)
    await _registered(own_rabbit)
    await asyncio.to_thread(own_rabbit.kill)
    async with asyncio.timeout(3):
        assert await bus.publish([during]) == frozenset()
        await bus.hint("t", "lost")
    await asyncio.to_thread(own_rabbit.start)
    await Outbox(bus).send(during, after)
    await inbox.until(lambda: {before.id, during.id, after.id} <= set(inbox.ids))

    async def hinted() -> bool:
        await bus.hint("t", "again")
        return hints.is_set()

    await until(hinted)


async def test_loses_nothing_when_the_broker_restarts_under_publishing(
    own_world: RabbitWorld, own_rabbit: Broker
) -> None:
    inbox = Inbox()
    consuming, publishing = await own_world.open(), await own_world.open()
    await consuming.consume("wsfed", inbox.handlers("wsfed"))
    outbox, sent, numbers, over = Outbox(publishing), set[str](), count(), asyncio.Event()

    async def keep_publishing() -> None:
        while not over.is_set():
            packet = ended(str(next(numbers)))
            sent.add(packet.id)
            await outbox.send(packet, within=60)

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


async def test_loses_nothing_when_the_broker_is_killed_in_the_middle_of_retries_and_dead_letters(
    own_world: RabbitWorld, own_rabbit: Broker
) -> None:
    """A third succeeds, a third comes again until the broker was killed, a third is poison."""
    killed = asyncio.Event()

    async def mixed(received: Received[Any]) -> None:
        kind = received.message.challenge.partition("-")[0]
        if kind == "poison":
            raise Reject("poison")
        if kind == "retry" and not killed.is_set():
            raise Retry("not yet")

    inbox = Inbox(behaviour=mixed)
    bus = await own_world.open()
    await bus.consume("wsfed", inbox.handlers("wsfed"))
    await _registered(own_rabbit)
    packets = {f"{kind}-{n}": ended(f"{kind}-{n}") for n in range(200) for kind in ("ok", "retry", "poison")}
    sending = asyncio.create_task(Outbox(bus).send(*packets.values(), within=60))
    await inbox.until(lambda: len(inbox.begun) >= 500)  # some on the way in, some between queues
    await asyncio.to_thread(own_rabbit.kill)
    await asyncio.to_thread(own_rabbit.start)
    killed.set()
    await sending
    good = {packet.id for name, packet in packets.items() if not name.startswith("poison")}
    poison = {packet.id for name, packet in packets.items() if name.startswith("poison")}
    await inbox.until(lambda: set(inbox.ids) == good, within=60)

    async def all_dead() -> bool:
        return {dead_id for dead_id, _ in await own_world.dead("wsfed")} == poison

    await until(all_dead, within=60)


async def test_full_queue_refuses_and_nothing_is_lost(world: RabbitWorld, rabbit: Vhost) -> None:
    """The default overflow would drop the oldest messages without a word."""
    bus = await world.open()
    await bus.consume("wsfed", Inbox().handlers("wsfed"))
    await bus.close()
    policy = {"pattern": "^wsfed$", "definition": {"max-length": 5}, "apply-to": "queues"}
    await asyncio.to_thread(rabbit.management.call, "PUT", f"/policies/{rabbit.name}/short", policy)
    bus = await world.open()
    packets, confirmed = [ended(str(n)) for n in range(100)], set[str]()

    async def full() -> bool:
        for packet in packets:
            confirmed.update(await bus.publish([packet]))
        return len(confirmed) < len(packets)

    await until(full)
    inbox = Inbox()
    await bus.consume("wsfed", inbox.handlers("wsfed"))
    await Outbox(bus).send(*(packet for packet in packets if packet.id not in confirmed))
    await inbox.until(lambda: set(inbox.ids) == {packet.id for packet in packets})


# --- consumers die ------------------------------------------------------------------------------------------


@pytest.mark.timeout(300)  # a quarter of a minute on two idle cores
async def test_ten_thousand_messages_through_a_consumer_that_dies_every_hundred(world: RabbitWorld) -> None:
    total, handled = 10_000, set[str]()
    consumer = await world.open()
    await consumer.consume("wsfed", Inbox().handlers("wsfed"))  # so that the queue is there
    await world.kill_consumers(consumer)
    packets = [ended(str(n)) for n in range(total)]
    sending = asyncio.create_task(Outbox(await world.open()).send(*packets, within=250))
    deaths = 0
    while len(handled) < total:
        inbox = Inbox()
        await consumer.consume("wsfed", inbox.handlers("wsfed"))
        await inbox.until_done(min(100, total - len(handled)))
        await world.kill_consumers(consumer)
        deaths += 1
        handled |= set(inbox.ids)
    await sending
    assert handled == {packet.id for packet in packets}
    assert deaths >= 50
    assert await world.dead("wsfed") == []


async def test_message_survives_kill_9_of_its_consumer(world: RabbitWorld, tmp_path: Path) -> None:
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
        world.url,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
        env={**os.environ, "PYTHONPATH": str(Path(__file__).parents[2])},
    )
    assert process.stdout is not None
    assert process.stderr is not None
    async with asyncio.timeout(30):
        while (line := await process.stderr.readline()).strip() != b"ready":
            assert line, "the consumer ended"
    packet = ended("c")
    bus = await world.open()
    await Outbox(bus).send(packet)
    async with asyncio.timeout(30):
        while (said := (await process.stdout.readline()).decode().strip()) != packet.id:
            assert said, "the consumer ended"
    process.send_signal(signal.SIGKILL)
    await process.wait()
    inbox = Inbox()
    await bus.consume("wsfed", inbox.handlers("wsfed"))
    await inbox.until_done(1)
    assert inbox.ids == [packet.id]


async def test_message_that_kills_every_consumer_becomes_a_dead_letter(world: RabbitWorld) -> None:
    """It never gets an answer, so the broker itself gives it up, and says so."""
    packet = ended("deadly")

    async def hang(_: Received[Any]) -> None:
        await asyncio.Event().wait()

    sender = await world.open()
    for death in range(DELIVERY_LIMIT + 1):
        inbox = Inbox(behaviour=hang)
        bus = await world.open()
        await bus.consume("wsfed", inbox.handlers("wsfed"))
        if death == 0:
            await Outbox(sender).send(packet)
        await inbox.until(lambda: len(inbox.begun) == 1)  # noqa: B023
        await world.kill(bus)

    async def dead() -> bool:
        return await world.dead("wsfed") == [(packet.id, "given up by the broker: delivery_limit")]

    await until(dead)


async def test_consumes_again_after_its_queue_was_deleted(world: RabbitWorld, rabbit: Vhost) -> None:
    inbox = Inbox()
    bus = await world.open()
    await bus.consume("wsfed", inbox.handlers("wsfed"))
    await asyncio.to_thread(rabbit.management.call, "DELETE", f"/queues/{rabbit.name}/wsfed")
    packet = ended("c")
    await Outbox(bus).send(packet)
    await inbox.until_done(1)


# --- dead letters and people --------------------------------------------------------------------------------


async def test_replays_chosen_dead_letters_and_then_all(world: RabbitWorld) -> None:
    mended = asyncio.Event()

    async def broken(_: Received[Any]) -> None:
        if not mended.is_set():
            raise Reject("bug")

    inbox = Inbox(behaviour=broken)
    bus = await world.open()
    await bus.consume("wsfed", inbox.handlers("wsfed"))
    packets = [ended(str(n)) for n in range(4)]
    await Outbox(bus).send(*packets)

    async def all_dead() -> bool:
        return len(await list_dead(world.url, "wsfed")) == 4

    await until(all_dead)
    letters = await list_dead(world.url, "wsfed")
    assert {letter.packet for letter in letters} == set(packets)
    assert {(letter.reason, letter.attempts) for letter in letters} == {("rejected: bug", 1)}
    assert all(letter.died_at.endswith("Z") for letter in letters)
    assert len(await list_dead(world.url, "wsfed", limit=3)) == 3
    mended.set()
    assert await replay(world.url, "wsfed", {packets[2].id}) == 1
    await inbox.until_done(1)
    assert inbox.ids == [packets[2].id]
    assert await replay(world.url, "wsfed") == 3
    await inbox.until_done(4)
    assert await list_dead(world.url, "wsfed") == []


async def test_replay_of_what_is_still_broken_comes_back(world: RabbitWorld) -> None:
    async def broken(_: Received[Any]) -> None:
        raise Reject("bug")

    bus = await world.open()
    await bus.consume("wsfed", Inbox(behaviour=broken).handlers("wsfed"))
    await Outbox(bus).send(ended("c"))

    async def one_dead() -> bool:
        return len(await list_dead(world.url, "wsfed")) == 1

    await until(one_dead)
    assert await replay(world.url, "wsfed") == 1
    await until(one_dead)


async def test_dead_letters_of_an_unknown_service_are_not_found(world: RabbitWorld) -> None:
    with pytest.raises(NotFound):
        await list_dead(world.url, "nobody")
    with pytest.raises(Unavailable):
        await list_dead("amqp://127.0.0.1:1/", "wsfed")


async def test_message_without_our_headers_is_a_dead_letter(world: RabbitWorld) -> None:
    bus = await world.open()
    await bus.consume("wsfed", Inbox().handlers("wsfed"))
    async with await aio_pika.connect(world.url) as connection, connection.channel() as channel:
        await channel.default_exchange.publish(aio_pika.Message(b"\xff"), "wsfed")

    async def dead() -> bool:
        return [reason.partition(":")[0] for _, reason in await world.dead("wsfed")] == ["refused"]

    await until(dead)


# --- users and permissions ----------------------------------------------------------------------------------


@pytest.fixture
async def users(rabbit: Vhost) -> AsyncIterator[Callable[[str], str]]:
    """The production definitions in this vhost; gives a service's URL."""
    prefix = f"{rabbit.name}-"
    passwords = {service: f"{service}-password" for service in SERVICES}
    made = definitions(passwords, SeededIds("salt"), vhost=rabbit.name, topology=QUICK, user_prefix=prefix)
    await asyncio.to_thread(rabbit.management.call, "POST", "/definitions", made)
    server = rabbit.url.rpartition("@")[2]
    yield lambda service: f"amqp://{prefix}{service}:{passwords[service]}@{server}"
    for service in SERVICES:
        await asyncio.to_thread(rabbit.management.call, "DELETE", f"/users/{prefix}{service}")


async def test_services_work_with_their_own_users(users: Callable[[str], str]) -> None:
    worlds = {service: RabbitWorld(users(service)) for service in ("admin", "approval", "wsfed")}
    buses = {service: await world.open() for service, world in worlds.items()}
    wsfed, approval, hinted = Inbox(), Inbox(), asyncio.Event()
    challenge, denied, changed = open_challenge(), ended("c"), tenant()
    # Everything is declared by the definitions, so messages wait for services that have not started.
    assert await buses["admin"].publish([changed]) == {changed.id}
    assert await buses["wsfed"].publish([challenge]) == {challenge.id}
    await buses["wsfed"].consume("wsfed", wsfed.handlers("wsfed"))
    await buses["approval"].consume("approval", approval.handlers("approval"))
    assert await buses["approval"].publish([denied]) == {denied.id}
    await wsfed.until_done(2)
    await approval.until_done(2)
    await buses["wsfed"].on_hint("t", lambda _: hinted.set())
    await buses["wsfed"].hint("t", "key")
    async with asyncio.timeout(10):
        await hinted.wait()
    for world in worlds.values():
        await world.close()


async def test_services_retry_and_bury_with_their_own_users(users: Callable[[str], str]) -> None:
    async def mixed(received: Received[Any]) -> None:
        if received.message.challenge == "poison":
            raise Reject("poison")
        if len(inbox.begun) < 3:
            raise Retry("not yet")

    inbox = Inbox(behaviour=mixed)
    wsfed, approval = RabbitWorld(users("wsfed")), RabbitWorld(users("approval"))
    await (await wsfed.open()).consume("wsfed", inbox.handlers("wsfed"))
    await Outbox(await approval.open()).send(ended("retry"), ended("poison"))
    await inbox.until_done(1)

    async def dead() -> bool:
        return [reason for _, reason in await wsfed.dead("wsfed")] == ["rejected: poison"]

    await until(dead)
    assert await replay(users("wsfed"), "wsfed") == 1
    await wsfed.close()
    await approval.close()


async def test_approvals_user_cannot_publish_admins_events(
    users: Callable[[str], str], rabbit: Vhost
) -> None:
    world = RabbitWorld(users("approval"))
    bus = await world.open()
    forbidden, allowed = tenant(), ended("c")
    assert await bus.publish([forbidden]) == frozenset()
    await Outbox(bus).send(allowed)  # and it does not break its own messages for long
    listing = await asyncio.to_thread(rabbit.management.call, "GET", f"/queues/{rabbit.name}/wsfed")
    assert listing["name"] == "wsfed"
    inbox = Inbox()
    wsfed = RabbitWorld(users("wsfed"))
    await (await wsfed.open()).consume("wsfed", inbox.handlers("wsfed"))
    await inbox.until_done(1)
    assert inbox.ids == [allowed.id]
    await world.close()
    await wsfed.close()


Attempt = Callable[[aio_pika.abc.AbstractChannel], Any]


async def _publish(channel: aio_pika.abc.AbstractChannel, exchange: str, key: str) -> None:
    where = await channel.get_exchange(exchange, ensure=False)
    await where.publish(aio_pika.Message(b"x"), key)


async def _read(channel: aio_pika.abc.AbstractChannel, queue: str) -> None:
    await (await channel.get_queue(queue, ensure=False)).get(fail=False)


async def _bind(channel: aio_pika.abc.AbstractChannel, queue: str, key: str) -> None:
    await (await channel.get_queue(queue, ensure=False)).bind(EXCHANGE, key)


@pytest.mark.parametrize(
    "attempt",
    [
        lambda c: _publish(c, EXCHANGE, tenant().type),
        lambda c: _publish(c, EXCHANGE, open_challenge().type),
        lambda c: _publish(c, "", "wsfed"),
        lambda c: _publish(c, "wsfed", "again"),
        lambda c: _publish(c, "wsfed", "dead"),
        lambda c: _read(c, "wsfed"),
        lambda c: _read(c, "wsfed.dead"),
        lambda c: _bind(c, "approval", ended("c").type),
        lambda c: _bind(c, "approval", "#"),
        lambda c: _bind(c, "wsfed", tenant().type),
        lambda c: c.queue_delete("wsfed"),
        lambda c: c.exchange_delete(EXCHANGE),
        lambda c: c.declare_exchange("mine", "fanout"),
        lambda c: c.declare_queue("mine"),
    ],
    ids=[
        "publish admin's event",
        "publish wsfed's command",
        "straight into wsfed's queue",
        "into wsfed's retries",
        "into wsfed's dead letters",
        "read wsfed's queue",
        "read wsfed's dead letters",
        "listen to what it does not consume",
        "listen to everything",
        "bind wsfed's queue",
        "delete wsfed's queue",
        "delete the exchange",
        "make an exchange",
        "make a queue",
    ],
)
async def test_taken_over_approval_is_refused(users: Callable[[str], str], attempt: Attempt) -> None:
    async with await aio_pika.connect(users("approval")) as connection:
        channel = await connection.channel()
        with pytest.raises(ChannelAccessRefused):
            await attempt(channel)


async def test_hint_queues_belong_to_one_connection(users: Callable[[str], str]) -> None:
    async with (
        await aio_pika.connect(users("wsfed")) as mine,
        await aio_pika.connect(users("approval")) as other,
    ):
        queue = await (await mine.channel()).declare_queue(exclusive=True, auto_delete=True)
        with pytest.raises(ChannelLockedResource):
            await _read(await other.channel(), queue.name)


async def test_declares_the_same_as_the_definitions(users: Callable[[str], str]) -> None:
    """Otherwise a service would not start: RabbitMQ refuses other arguments for a queue that exists."""
    async with await aio_pika.connect(users("approval")) as connection:
        channel = await connection.channel()
        for queue in QUICK.queues("approval"):
            await channel.declare_queue(queue.name, durable=True, arguments=dict(queue.arguments))
        other = Topology(QUICK.events, delays=(9, 9, 9))
        with pytest.raises(ChannelPreconditionFailed):
            await channel.declare_queue(
                "approval",
                durable=True,
                arguments={**other.queues("approval")[-1].arguments, "x-max-length": 1},
            )
