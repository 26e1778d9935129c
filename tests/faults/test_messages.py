"""Fault: messages arrive twice, in the wrong order, a day late. Recorded from the broker and published again."""

import asyncio
from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from datetime import timedelta
from typing import Any

import aio_pika
import pytest
import pytest_asyncio
from aio_pika.abc import AbstractIncomingMessage

from shared.bus.rabbit import RabbitBus, codec, list_dead
from shared.bus.topology import EXCHANGE
from shared.clock import ManualClock
from shared.contracts import contracts
from shared.contracts.envelope import MessageSigner, SignedMessage, verify_message
from shared.crypto.keys import load_service_key, load_trusted_keys
from shared.services import SERVICES
from shared.testing.waiting import eventually
from tests.faults.breakable import Breakable
from tests.faults.support import IDS, FaultSystem, Person, SignIn

pytestmark = [
    pytest.mark.integration,
    pytest.mark.asyncio(loop_scope="session"),
    pytest.mark.xdist_group("faults"),
]
OF_SIGN_IN = ("approval.challenge.open.v1", "approval.challenge.accepted.v1")


@dataclass
class Tap:
    """Hears every message that services send, and says any of them again, octet for octet."""

    on: FaultSystem
    bus: RabbitBus
    heard: list[SignedMessage] = field(default_factory=list)
    doubling: bool = False
    _again: set[asyncio.Task[Any]] = field(default_factory=set)
    _seen: set[str] = field(default_factory=set)

    async def take(self, message: AbstractIncomingMessage) -> None:
        signed = codec.from_amqp(message)
        if signed.id in self._seen:
            return  # our own copy
        self._seen.add(signed.id)
        self.heard.append(signed)
        if self.doubling:
            task = asyncio.create_task(self.say([signed]))
            self._again.add(task)
            task.add_done_callback(self._again.discard)

    async def say(self, messages: list[SignedMessage]) -> None:
        """Publish as they are; confirmed."""
        assert await self.bus.publish(messages) == {signed.id for signed in messages}

    def of_type(self, *types: str) -> list[SignedMessage]:
        return [signed for signed in self.heard if signed.type in types]

    def older(self, signed: SignedMessage, age: timedelta) -> SignedMessage:
        """The same message, truly signed by its sender that long ago."""
        settings = self.on.running_system.settings
        now = self.on.running_system.clock.now()
        received = verify_message(signed, trusted=load_trusted_keys(settings.keys / "trusted.json"), now=now)
        sender = received.envelope.sender
        key = load_service_key(settings.keys / f"{sender}.key")
        signer = MessageSigner(sender, key, ManualClock(now - age), IDS)
        return signer.sign(received.message, tenant=received.tenant)

    async def dead(self, service: str) -> dict[str, str]:
        """Reasons of that service's dead letters, by message id."""
        letters = await list_dead(self.on.running_system.settings.bus_url, service, 1000)
        return {letter.message.id: letter.reason for letter in letters}


@pytest_asyncio.fixture(loop_scope="session")
async def tap(whole: Breakable) -> AsyncIterator[Tap]:
    on = whole.fault_system
    settings = on.running_system.settings
    trusted = load_trusted_keys(settings.keys / "trusted.json")
    bus = await RabbitBus.connect(settings.bus_url, trusted=trusted, clock=on.running_system.clock)
    connection = await aio_pika.connect(settings.bus_url)
    try:
        channel = await connection.channel()
        queue = await channel.declare_queue(exclusive=True)
        await queue.bind(EXCHANGE, "#")
        made = Tap(on, bus)
        await queue.consume(made.take, no_ack=True)
        yield made
    finally:
        await connection.close()
        await bus.close()


async def signed_in(on: FaultSystem, person: Person) -> SignIn:
    sign_in = await on.begin(person)
    await sign_in.finish()
    await sign_in.assert_signed_once()
    return sign_in


async def assert_unchanged(on: FaultSystem, person: Person, sign_in: SignIn) -> None:
    """One device, one approval, one token; and the next sign-in works as the first."""
    await signed_in(on, person)
    assert (await sign_in.stored())["state"] == "issued"
    assert await sign_in.issued() == 1
    assert len(await on.devices(person.account)) == 1
    states = [each["state"] for each in await on.challenges(person)]
    assert states.count("accepted") == 2


async def test_every_message_delivered_twice_at_once(whole: Breakable, tap: Tap) -> None:
    on = whole.fault_system
    tap.doubling = True
    person = await on.person()
    sign_in = await signed_in(on, person)
    tap.doubling = False
    assert {signed.type for signed in tap.heard} >= set(OF_SIGN_IN)
    await assert_unchanged(on, person, sign_in)


@pytest.mark.parametrize("order", [1, -1], ids=["in order", "reversed"])
async def test_everything_delivered_again_later(whole: Breakable, tap: Tap, order: int) -> None:
    on = whole.fault_system
    person = await on.person()
    sign_in = await signed_in(on, person)
    before = {service: await tap.dead(service) for service in SERVICES}
    await tap.say(list(tap.heard)[::order])
    await assert_unchanged(on, person, sign_in)
    for service, letters in before.items():
        assert await tap.dead(service) == letters  # a copy is not an error


async def test_enrolment_whose_messages_arrive_backwards(whole: Breakable, tap: Tap) -> None:
    """wsfed is away while a person is invited and enrols; then it hears of the phone first, the account last."""
    on = whole.fault_system
    await asyncio.gather(*(replica.stop() for replica in on.cluster.replicas["wsfed"]))
    account = await on.account()
    phone = await on.enrolled(await on.phone(), await on.invite(account))
    connection = await aio_pika.connect(on.running_system.settings.bus_url)
    async with connection:
        channel = await connection.channel()
        queue = await channel.get_queue("wsfed", ensure=False)
        found: list[SignedMessage] = []

        async def complete() -> bool | None:
            while (message := await queue.get(fail=False, no_ack=True)) is not None:
                found.append(codec.from_amqp(message))
            return "approval.device.changed.v1" in {signed.type for signed in found} or None

        await eventually(complete, "all that is for wsfed is in its queue")
        exchange = await channel.get_exchange("wsfed", ensure=False)
        for signed in reversed(found):
            await exchange.publish(codec.to_amqp(signed), "again")
    await on.whole()
    await eventually(lambda: on.trusted(phone), "wsfed trusts the phone")
    await signed_in(on, Person(account, phone))


@pytest.mark.parametrize("kind", OF_SIGN_IN)
async def test_step_a_day_late_is_a_dead_letter(whole: Breakable, tap: Tap, kind: str) -> None:
    """Truly signed and never delivered before: too old is too old."""
    on = whole.fault_system
    person = await on.person()
    await signed_in(on, person)

    async def heard() -> SignedMessage | None:
        return next(iter(tap.of_type(kind)), None)

    late = tap.older(await eventually(heard, f"{kind} is heard"), timedelta(days=1))
    open_before = len(await on.challenges(person))
    await tap.say([late])
    consumer = "approval" if kind.endswith("open.v1") else "wsfed"

    async def died() -> str | None:
        return (await tap.dead(consumer)).get(late.id)

    assert "old" in await eventually(died, "it is a dead letter")
    assert len(await on.challenges(person)) == open_before
    await signed_in(on, person)


async def test_state_a_day_late_changes_nothing_that_is_newer(whole: Breakable, tap: Tap) -> None:
    """State is good for a week, but only a higher version counts."""
    on = whole.fault_system
    person = await on.person()
    states = [signed for signed in tap.heard if contracts()[signed.type].STATE]
    mine = [signed for signed in states if person.account.id.encode() in signed.body]
    assert {signed.type for signed in mine} >= {"admin.account.changed.v1", "approval.device.changed.v1"}
    account = {"_id": f"contoso/{person.account.id}"}
    before = await on.database("wsfed").accounts.find_one(account)
    await tap.say([tap.older(signed, timedelta(days=1)) for signed in mine])
    await signed_in(on, person)
    after = await on.database("wsfed").accounts.find_one(account)
    assert before is not None
    assert after is not None
    assert after["version"] >= before["version"]
    assert after["status"] == "active"
