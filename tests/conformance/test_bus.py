"""One suite for both buses: what holds in one process holds over RabbitMQ."""

import asyncio
from dataclasses import replace
from typing import Any

import pytest
import structlog

from shared.bus import memory
from shared.bus.delivery import MAX_FAULTS
from shared.bus.memory import MemoryBus
from shared.bus.port import Reject, Retry
from shared.bus.rabbit import bus as rabbit_bus
from shared.bus.topology import TOPOLOGY
from shared.clock import ManualClock
from shared.contracts.approval import ChallengeEnded, OpenChallenge
from shared.contracts.envelope import SignedMessage, VerifiedMessage
from shared.errors import Unavailable
from shared.store.memory import MemoryDatabase
from shared.testing.waiting import eventually
from tests.conformance.bus_support import (
    CLOCK,
    LONG_AGO,
    QUICK,
    TRUSTED,
    Inbox,
    Outbox,
    World,
    accepted,
    ended,
    forged,
    open_challenge,
    tenant,
)
from tests.conformance.support import START


async def _dead(world: World, service: str, count: int = 1) -> list[tuple[str, str]]:
    """Wait for that many dead letters."""

    async def there() -> bool:
        return len(await world.dead(service)) >= count

    await eventually(there, "the signal is there")
    return await world.dead(service)


async def test_event_reaches_every_consumer_and_a_command_its_owner(world: World) -> None:
    bus = await world.open()
    wsfed, approval = Inbox(), Inbox()
    await bus.consume("wsfed", wsfed.handlers("wsfed"))
    await bus.consume("approval", approval.handlers("approval"))
    event, command = tenant(), open_challenge()
    assert await bus.publish([event, command]) == {event.id, command.id}
    await wsfed.until_done(1)
    await approval.until_done(2)
    assert wsfed.ids == [event.id]
    assert sorted(approval.ids) == sorted([event.id, command.id])
    assert wsfed.done[0].message.name == "Contoso"
    assert wsfed.done[0].envelope.sender == "admin"


async def test_replicas_of_one_service_share_its_messages(world: World) -> None:
    first, second = Inbox(), Inbox()
    for inbox in (first, second):
        await (await world.open()).consume("wsfed", inbox.handlers("wsfed"))
    messages = [ended(str(n)) for n in range(40)]
    await Outbox(await world.open()).send(*messages)
    await first.until(lambda: len(first.done) > 0)
    await second.until(lambda: len(second.done) > 0)

    async def all_there() -> bool:
        return len(first.done) + len(second.done) >= len(messages)

    await eventually(all_there, "every signal is there")
    assert sorted(first.ids + second.ids) == sorted(signed.id for signed in messages)


async def test_message_comes_again_after_its_consumer_was_killed_in_the_middle(world: World) -> None:
    killed = Inbox(behaviour=_never)
    bus = await world.open()
    await bus.consume("wsfed", killed.handlers("wsfed"))
    signed = ended("c")
    publishing = asyncio.create_task(bus.publish([signed]))
    await killed.until(lambda: len(killed.begun) == 1)
    await world.kill(bus)
    confirmed = await publishing
    survivor = Inbox()
    bus = await world.open()
    await bus.consume("wsfed", survivor.handlers("wsfed"))
    if signed.id not in confirmed:  # then it is still in its outbox, and the sweep sends it
        await bus.publish([signed])
    await survivor.until_done(1)
    assert killed.done == []
    assert survivor.ids == [signed.id]


async def test_duplicates_are_delivered_and_a_version_guard_takes_one(world: World) -> None:
    things = MemoryDatabase(clock=ManualClock(START)).collection("tenants")
    changed: list[int] = []

    async def project(received: VerifiedMessage[Any]) -> None:
        version = received.message.version
        where = {"_id": received.tenant, "version": {"$lt": version}}
        if await things.update(where, {"$set": {"version": version}}, upsert=True):
            changed.append(version)

    inbox = Inbox(behaviour=project)
    bus = await world.open()
    await bus.consume("wsfed", inbox.handlers("wsfed"))
    await bus.consume("approval", Inbox().handlers("approval"))
    signed = tenant(version=3)
    assert await bus.publish([signed, signed]) == {signed.id}
    assert await bus.publish([signed]) == {signed.id}
    await inbox.until_done(3)
    assert changed == [3]


async def test_retried_message_comes_after_a_later_one(world: World) -> None:
    """Retries reorder: projections must look at versions, not at the order of arrival."""
    tried: list[int] = []

    async def first_time_not(received: VerifiedMessage[Any]) -> None:
        tried.append(received.message.version)
        if tried.count(1) == 1 and received.message.version == 1:
            raise Retry("not yet")

    inbox = Inbox(behaviour=first_time_not)
    bus = await world.open()
    await bus.consume("wsfed", inbox.handlers("wsfed"))
    await bus.consume("approval", Inbox().handlers("approval"))
    first = asyncio.create_task(Outbox(bus).send(tenant(version=1)))
    await inbox.until(lambda: len(inbox.begun) == 1)
    await Outbox(bus).send(tenant(version=2))
    await inbox.until_done(2)
    await first
    assert [received.message.version for received in inbox.done] == [2, 1]


async def test_retry_comes_again_until_it_succeeds(world: World) -> None:
    async def fourth_time(_: VerifiedMessage[Any]) -> None:
        if len(inbox.begun) < 4:
            raise Retry("not yet")

    inbox = Inbox(behaviour=fourth_time)
    bus = await world.open()
    await bus.consume("wsfed", inbox.handlers("wsfed"))
    signed = ended("c")
    assert await bus.publish([signed]) == {signed.id}
    await inbox.until_done(1)
    assert len(inbox.begun) == 4
    assert await world.dead("wsfed") == []


@pytest.mark.parametrize(
    "fault",
    [Unavailable(), Retry("a person waits for it", soon=True)],
    ids=["database away", "retry soon"],
)
async def test_what_does_not_count_does_not_make_the_waiting_longer(world: World, fault: Exception) -> None:
    """Each time after the first delay, and the next real retry waits no longer for it."""
    world.topology = replace(QUICK, delays=(0.05, 3600.0))

    async def away_five_times_then_not_yet(_: VerifiedMessage[Any]) -> None:
        if len(inbox.begun) <= 5:
            raise fault
        if len(inbox.begun) == 6:
            raise Retry("not yet")

    inbox = Inbox(behaviour=away_five_times_then_not_yet)
    bus = await world.open()
    await bus.consume("wsfed", inbox.handlers("wsfed"))
    sending = asyncio.create_task(bus.publish([ended("c")]))
    await inbox.until_done(1, within=15)
    await sending
    assert len(inbox.begun) == 7
    assert await world.dead("wsfed") == []


async def test_database_that_stays_away_keeps_a_message_as_long_as_it_is_valid() -> None:
    clock = ManualClock(CLOCK.now())
    bus = MemoryBus(TRUSTED, clock, TOPOLOGY)

    async def away(_: VerifiedMessage[Any]) -> None:
        raise Unavailable()

    inbox = Inbox(behaviour=away)
    await bus.consume("wsfed", inbox.handlers("wsfed", TOPOLOGY))
    publishing = asyncio.create_task(bus.publish([ended("c")]))
    while not bus.dead_letters:
        await bus.drain()
        clock.advance(1)
        await asyncio.sleep(0)
        await bus.drain()
    await publishing
    assert ChallengeEnded.MAX_AGE is not None
    assert len(inbox.begun) >= ChallengeEnded.MAX_AGE.total_seconds() - 1  # every second
    assert "old" in bus.dead_letters[0].reason


async def test_memory_bus_keeps_so_many_dead_letters_and_logs_what_falls_out(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(memory, "MAX_DEAD_LETTERS", 2)
    log = structlog.testing.CapturingLogger()
    monkeypatch.setattr(memory, "log", log)
    bus = MemoryBus(TRUSTED, CLOCK, TOPOLOGY)
    sent = [ended(name) for name in "abc"]

    async def bad(_: VerifiedMessage[Any]) -> None:
        raise Reject("bad thing")

    await bus.consume("wsfed", Inbox(behaviour=bad).handlers("wsfed", TOPOLOGY))
    for signed_message in sent:
        await bus.publish([signed_message])
    assert [letter.message for letter in bus.dead_letters] == sent[1:]
    (dropped,) = log.calls
    assert dropped.args == ("bus.dead_letter_dropped",)
    assert (dropped.kwargs["id"], dropped.kwargs["reason"]) == (sent[0].id, "rejected: bad thing")


@pytest.mark.parametrize(
    ("error", "deliveries", "reason"),
    [(Reject("bad thing"), 1, "rejected: bad thing"), (KeyError("bug"), MAX_FAULTS, "KeyError: 'bug'")],
    ids=["rejected", "fault"],
)
async def test_poison_becomes_a_dead_letter_with_its_reason_and_others_go_on(
    world: World, error: Exception, deliveries: int, reason: str
) -> None:
    async def poison(received: VerifiedMessage[Any]) -> None:
        if received.message.challenge == "poison":
            raise error

    inbox = Inbox(behaviour=poison)
    bus = await world.open()
    await bus.consume("wsfed", inbox.handlers("wsfed"))
    bad, good = ended("poison"), [ended(str(n)) for n in range(5)]
    await Outbox(bus).send(bad, *good)
    await inbox.until_done(5)
    assert await _dead(world, "wsfed") == [(bad.id, reason)]
    assert sorted(inbox.ids) == sorted(signed.id for signed in good)
    assert [r.envelope.id for r in inbox.begun].count(bad.id) == deliveries


async def test_slow_handler_holds_up_nobody_else(world: World) -> None:
    release = asyncio.Event()

    async def slow(received: VerifiedMessage[Any]) -> None:
        if received.envelope.type == tenant().type:
            await release.wait()

    wsfed, approval = Inbox(behaviour=slow), Inbox()
    bus = await world.open()
    await bus.consume("wsfed", wsfed.handlers("wsfed"))
    await bus.consume("approval", approval.handlers("approval"))
    slow_one, quick = tenant(), [ended(str(n)) for n in range(10)]
    sending = asyncio.create_task(Outbox(bus).send(slow_one))
    await wsfed.until(lambda: len(wsfed.begun) == 1)
    await Outbox(bus).send(*quick)
    await wsfed.until_done(10)
    await approval.until_done(1)
    assert slow_one.id not in wsfed.ids
    release.set()
    await wsfed.until_done(11)
    await sending


async def test_unroutable_command_is_not_confirmed(world: World) -> None:
    bus = await world.open()
    command = open_challenge()
    assert await bus.publish([command]) == frozenset()
    inbox = Inbox()
    await bus.consume("approval", inbox.handlers("approval"))
    assert await bus.publish([command]) == {command.id}
    await inbox.until_done(1)


async def test_event_whose_consumer_never_started_is_not_confirmed(world: World) -> None:
    bus = await world.open()
    assert await bus.publish([ended("c")]) == frozenset()


async def test_event_that_nobody_consumes_is_confirmed(world: World) -> None:
    bus = await world.open()
    await bus.consume("wsfed", Inbox().handlers("wsfed"))
    signed = accepted()
    assert await bus.publish([signed]) == {signed.id}


async def test_same_unroutable_message_twice_at_once_is_not_confirmed(world: World) -> None:
    bus = await world.open()
    command = open_challenge()
    answers = await asyncio.gather(*(bus.publish([command]) for _ in range(5)))
    assert answers == [frozenset()] * 5


def _altered(signed: SignedMessage) -> SignedMessage:
    return SignedMessage(signed.id, signed.type, signed.body.replace(b"denied", b"not_me"), signed.signature)


def _other_id(signed: SignedMessage) -> SignedMessage:
    return SignedMessage("another", signed.type, signed.body, signed.signature)


def _old(signed: SignedMessage) -> SignedMessage:
    long_ago = (CLOCK.now() - LONG_AGO).isoformat()
    return forged(signed, signer="approval", occurred_at=long_ago)


@pytest.mark.parametrize(
    ("attack", "reason"),
    [
        (lambda p: forged(p, signer="admin", sender="admin"), "refused: 'admin' may not send"),
        (lambda p: forged(p, signer="admin"), "refused: signature is not approval's"),
        (_altered, "refused: signature is not approval's"),
        (_other_id, "refused: outside and inside of the message differ"),
        (_old, "refused: 8 days"),
        (lambda p: SignedMessage(p.id, p.type, p.body, b""), "refused: signature is not approval's"),
        (lambda p: SignedMessage(p.id, p.type, b"{", p.signature), "refused: not an envelope"),
    ],
    ids=["forbidden sender", "forged", "altered", "renamed", "replayed", "unsigned", "garbage"],
)
async def test_refuses_and_keeps_as_dead_letter(world: World, attack: Any, reason: str) -> None:
    inbox = Inbox()
    bus = await world.open()
    await bus.consume("wsfed", inbox.handlers("wsfed"))
    bad, good = attack(ended("bad")), ended("good")
    await Outbox(bus).send(bad)
    await Outbox(bus).send(good)
    await inbox.until_done(1)
    [(dead_id, said)] = await _dead(world, "wsfed")
    assert dead_id == bad.id
    assert said.startswith(reason)
    assert [r.envelope.id for r in inbox.begun] == [good.id]


async def test_stop_lets_running_handlers_finish(world: World) -> None:
    release = asyncio.Event()

    async def wait(_: VerifiedMessage[Any]) -> None:
        await release.wait()

    inbox = Inbox(behaviour=wait)
    bus = await world.open()
    await bus.consume("wsfed", inbox.handlers("wsfed"))
    signed = ended("c")
    publishing = asyncio.create_task(bus.publish([signed]))
    await inbox.until(lambda: len(inbox.begun) == 1)
    stopping = asyncio.create_task(bus.stop())
    await asyncio.sleep(0)
    release.set()
    await stopping
    assert inbox.ids == [signed.id]
    assert await publishing == {signed.id}


async def test_stop_gives_back_what_takes_too_long(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    for module in (memory, rabbit_bus):
        monkeypatch.setattr(module, "STOP_TIMEOUT", 0.1)
    stuck = Inbox(behaviour=_never)
    bus = await world.open()
    await bus.consume("wsfed", stuck.handlers("wsfed"))
    signed = ended("c")
    publishing = asyncio.create_task(bus.publish([signed]))
    await stuck.until(lambda: len(stuck.begun) == 1)
    await bus.stop()
    confirmed = await publishing
    await world.kill(bus)
    again = Inbox()
    bus = await world.open()
    await bus.consume("wsfed", again.handlers("wsfed"))
    if signed.id not in confirmed:
        await bus.publish([signed])
    await again.until_done(1)
    assert again.ids == [signed.id]


async def test_stop_does_not_wait_for_retries(world: World) -> None:
    async def not_yet(_: VerifiedMessage[Any]) -> None:
        raise Retry("not yet")

    inbox = Inbox(behaviour=not_yet)
    bus = await world.open()
    await bus.consume("wsfed", inbox.handlers("wsfed"))
    publishing = asyncio.create_task(bus.publish([ended("c")]))
    await inbox.until(lambda: len(inbox.begun) == 3)
    async with asyncio.timeout(5):
        await bus.stop()
        await publishing


async def test_signals_reach_every_replica_that_listens(world: World) -> None:
    woken: asyncio.Queue[tuple[int, str]] = asyncio.Queue()

    def waker(replica: int) -> Any:
        return lambda key: woken.put_nowait((replica, key))

    for replica in (1, 2):
        bus = await world.open()
        await bus.on_signal("transaction", waker(replica))
        await bus.on_signal("other", lambda key: woken.put_nowait((9, key)))
    await (await world.open()).signal("transaction", "t-1")
    async with asyncio.timeout(10):
        assert {await woken.get(), await woken.get()} == {(1, "t-1"), (2, "t-1")}
    assert woken.empty()


async def test_refuses_to_consume_what_the_topology_does_not_know(world: World) -> None:
    bus = await world.open()
    inbox = Inbox()
    with pytest.raises(ValueError, match=r"admin consumes .*READERS"):
        await bus.consume("admin", {**inbox.handlers("admin"), ChallengeEnded: inbox.handle})
    with pytest.raises(ValueError, match="approval's command"):
        await bus.consume("wsfed", {**inbox.handlers("wsfed"), OpenChallenge: inbox.handle})


async def _never(_: VerifiedMessage[Any]) -> None:
    await asyncio.Event().wait()
