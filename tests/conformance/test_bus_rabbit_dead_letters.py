"""RabbitMQ: people look at dead letters and replay them."""

import asyncio
from typing import Any

import aio_pika
import pytest

from shared.bus.port import Reject
from shared.bus.rabbit import list_dead, replay
from shared.contracts.envelope import VerifiedMessage
from shared.errors import NotFound, Unavailable
from shared.testing.waiting import eventually
from tests.conformance.bus_support import (
    Inbox,
    Outbox,
    RabbitWorld,
    ended,
)

pytestmark = pytest.mark.integration


async def test_replays_chosen_dead_letters_and_then_all(rabbit_world: RabbitWorld) -> None:
    mended = asyncio.Event()

    async def broken(_: VerifiedMessage[Any]) -> None:
        if not mended.is_set():
            raise Reject("bug")

    inbox = Inbox(behaviour=broken)
    bus = await rabbit_world.open()
    await bus.consume("wsfed", inbox.handlers("wsfed"))
    messages = [ended(str(n)) for n in range(4)]
    await Outbox(bus).send(*messages)

    async def all_dead() -> bool:
        return len(await list_dead(rabbit_world.url, "wsfed")) == 4

    await eventually(all_dead, "all of them are dead letters")
    letters = await list_dead(rabbit_world.url, "wsfed")
    assert {letter.message for letter in letters} == set(messages)
    assert {(letter.reason, letter.attempts) for letter in letters} == {("rejected: bug", 1)}
    assert all(letter.died_at.endswith("Z") for letter in letters)
    assert len(await list_dead(rabbit_world.url, "wsfed", limit=3)) == 3
    mended.set()
    assert await replay(rabbit_world.url, "wsfed", {messages[2].id}) == 1
    await inbox.until_done(1)
    assert inbox.ids == [messages[2].id]
    assert await replay(rabbit_world.url, "wsfed") == 3
    await inbox.until_done(4)
    assert await list_dead(rabbit_world.url, "wsfed") == []


async def test_replay_of_what_is_still_broken_comes_back(rabbit_world: RabbitWorld) -> None:
    async def broken(_: VerifiedMessage[Any]) -> None:
        raise Reject("bug")

    bus = await rabbit_world.open()
    await bus.consume("wsfed", Inbox(behaviour=broken).handlers("wsfed"))
    await Outbox(bus).send(ended("c"))

    async def one_dead() -> bool:
        return len(await list_dead(rabbit_world.url, "wsfed")) == 1

    await eventually(one_dead, "one is a dead letter")
    assert await replay(rabbit_world.url, "wsfed") == 1
    await eventually(one_dead, "one is a dead letter")


async def test_dead_letters_of_an_unknown_service_are_not_found(rabbit_world: RabbitWorld) -> None:
    with pytest.raises(NotFound):
        await list_dead(rabbit_world.url, "nobody")
    with pytest.raises(Unavailable):
        await list_dead("amqp://127.0.0.1:1/", "wsfed")


async def test_message_without_our_headers_is_a_dead_letter(rabbit_world: RabbitWorld) -> None:
    bus = await rabbit_world.open()
    await bus.consume("wsfed", Inbox().handlers("wsfed"))
    async with await aio_pika.connect(rabbit_world.url) as connection, connection.channel() as channel:
        await channel.default_exchange.publish(aio_pika.Message(b"\xff"), "wsfed")

    async def dead() -> bool:
        return [reason.partition(":")[0] for _, reason in await rabbit_world.dead("wsfed")] == ["refused"]

    await eventually(dead, "it is a dead letter")
