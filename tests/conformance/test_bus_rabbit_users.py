"""RabbitMQ: what each service's own user may do, and what a taken-over service may not."""

import asyncio
from collections.abc import AsyncIterator, Callable
from typing import Any

import aio_pika
import pytest
from aio_pika.exceptions import ChannelPreconditionFailed
from aiormq.exceptions import ChannelAccessRefused, ChannelLockedResource

from deploy.rabbitmq.definitions import definitions
from shared.bus.port import Reject, Retry
from shared.bus.rabbit import replay
from shared.bus.topology import EXCHANGE, Topology
from shared.contracts.envelope import VerifiedMessage
from shared.ids import SeededIds
from shared.services import SERVICES
from shared.testing.waiting import eventually
from tests.conformance.bus_support import (
    QUICK,
    Inbox,
    Outbox,
    RabbitWorld,
    ended,
    open_challenge,
    tenant,
)
from tests.conftest import Vhost

pytestmark = pytest.mark.integration


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
    wsfed, approval, signalled = Inbox(), Inbox(), asyncio.Event()
    challenge, denied, changed = open_challenge(), ended("c"), tenant()
    # Everything is declared by the definitions, so messages wait for services that have not started.
    assert await buses["admin"].publish([changed]) == {changed.id}
    assert await buses["wsfed"].publish([challenge]) == {challenge.id}
    await buses["wsfed"].consume("wsfed", wsfed.handlers("wsfed"))
    await buses["approval"].consume("approval", approval.handlers("approval"))
    assert await buses["approval"].publish([denied]) == {denied.id}
    await wsfed.until_done(2)
    await approval.until_done(2)
    await buses["wsfed"].on_signal("t", lambda _: signalled.set())
    await buses["wsfed"].signal("t", "key")
    async with asyncio.timeout(10):
        await signalled.wait()
    for world in worlds.values():
        await world.close()


async def test_services_retry_and_bury_with_their_own_users(users: Callable[[str], str]) -> None:
    async def mixed(received: VerifiedMessage[Any]) -> None:
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

    await eventually(dead, "it is a dead letter")
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


async def test_signal_queues_belong_to_one_connection(users: Callable[[str], str]) -> None:
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
        other = Topology(QUICK.readers, delays=(9, 9, 9))
        with pytest.raises(ChannelPreconditionFailed):
            await channel.declare_queue(
                "approval",
                durable=True,
                arguments={**other.queues("approval")[-1].arguments, "x-max-length": 1},
            )
