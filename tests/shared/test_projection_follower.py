"""What a follower records, when it raises alarms and asks, with replicas, and with messages late, twice and in any
order."""

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from shared.bus.memory import MemoryBus
from shared.bus.port import Handlers, Reject, Retry
from shared.clock import ManualClock
from shared.contracts import Message
from shared.contracts.admin import (
    AccountChanged,
    AccountStatus,
    AdminResyncState,
    AdminStatePaged,
    AdminStreamAdvanced,
)
from shared.contracts.approval import ApprovalStreamAdvanced
from shared.contracts.envelope import Packet, PacketSigner, Received
from shared.contracts.state import StateItem
from shared.crypto.keys import key_from_seed
from shared.ids import SeededIds
from shared.projection import Follower, StateStream
from shared.store.memory import MemoryCollection, MemoryDatabase
from shared.store.outbox import Relay

START = datetime(2026, 3, 2, 8, 0, tzinfo=UTC)
KEYS = {name: key_from_seed(bytes([n]) * 32) for n, name in enumerate(("admin", "approval", "wsfed"), 1)}


def account(name: str, version: int = 1) -> AccountChanged:
    return AccountChanged(
        version=version,
        account=name,
        upn=f"{name}@contoso.example",
        display_name=name,
        immutable_id=name,
        status=AccountStatus.ACTIVE,
    )


def item(message: Message, tenant: str = "contoso") -> StateItem:
    return StateItem(type=message.TYPE, tenant=tenant, body=message.model_dump(mode="json"))


@dataclass
class Replica:
    """A process of wsfed."""

    follower: Follower
    relay: Relay
    database: MemoryDatabase


@dataclass
class Stage:
    """admin played by the test; one or more replicas of wsfed on one database."""

    clock: ManualClock = field(default_factory=lambda: ManualClock(START))
    ids: SeededIds = field(default_factory=lambda: SeededIds("stage"))
    seen: list[tuple[str, str, int]] = field(default_factory=list)
    fails: dict[str, Exception] = field(default_factory=dict)
    asked: list[tuple[AdminResyncState, str]] = field(default_factory=list)
    replicas: list[Replica] = field(default_factory=list)
    data: dict[str, dict[str, Any]] = field(default_factory=dict)

    def __post_init__(self) -> None:
        trusted = {name: (key.public_key(),) for name, key in KEYS.items()}
        self.bus = MemoryBus(trusted, self.clock)

    async def replica(self, owners: Sequence[str] = ("admin",), *, consumes: bool = True) -> Replica:
        relay = Relay(self.bus, self.clock)
        database = MemoryDatabase(clock=self.clock, listener=relay, data=self.data)
        follower = Follower(
            owners,
            database=database,
            signer=PacketSigner("wsfed", KEYS["wsfed"], self.clock, self.ids),
            clock=self.clock,
            ids=self.ids,
            max_age=timedelta(seconds=300),
        )
        table: Handlers = follower.tracked({AccountChanged: self._keep})
        if consumes:
            await self.bus.consume("wsfed", table)
            self.replicas.append(Replica(follower, relay, database))
        return Replica(follower, relay, database)

    async def _keep(self, received: Received[AccountChanged]) -> None:
        await asyncio.sleep(0)
        message = received.message
        if fault := self.fails.get(message.account):
            raise fault
        self.seen.append((received.tenant, message.account, message.version))

    async def listen(self) -> None:
        """admin takes questions, and leaves the answering to the test."""

        async def note(received: Received[AdminResyncState]) -> None:
            self.asked.append((received.message, received.envelope.sender))

        await self.bus.consume("admin", {AdminResyncState: note})

    def process(self) -> "Process":
        return Process(self, StateStream(self.clock, self.ids))

    async def publish(self, *packets: Packet) -> None:
        for packet in packets:
            task = asyncio.create_task(self.bus.publish([packet]))
            for _ in range(3):
                await asyncio.sleep(0)
            await self.bus.drain()
            task.cancel()
        await self.settle()

    async def settle(self) -> None:
        for replica in self.replicas:
            await replica.relay.settle(self.bus.drain)
        await self.bus.drain()

    async def page(
        self, *items: StateItem, after: str = "", further: str | None = None, **other: Any
    ) -> None:
        """The answer to the last question."""
        fields = {
            "resync": self.asked[-1][0].resync,
            "to": "wsfed",
            "after": after,
            "next": further,
            "items": items,
        }
        await self.publish(self.process().sign(AdminStatePaged(**{**fields, **other}), tenant="-"))

    async def look(self) -> None:
        for replica in self.replicas:
            await replica.follower.look()
        await self.settle()

    async def live(self, seconds: float, *speakers: "Process") -> None:
        while seconds > 0:
            self.clock.advance(min(seconds, 10))
            seconds -= 10
            for speaker in speakers:
                await speaker.beat()
            await self.look()

    def record(self, process: "Process") -> dict[str, Any]:
        document: dict[str, Any] = self.data["follows"][f"admin/{process.stream.id}"]
        return document

    def follower(self) -> Follower:
        return self.replicas[0].follower


@dataclass
class Process:
    """A process of admin."""

    stage: Stage
    stream: StateStream

    def sign(self, message: Message, tenant: str = "contoso") -> Packet:
        signer = PacketSigner("admin", KEYS["admin"], self.stage.clock, self.stage.ids, self.stream)
        return signer.packet(message, tenant=tenant)

    def write(self, *names: str) -> list[Packet]:
        """Events, durable and not yet sent."""
        packets = [self.sign(account(name)) for name in names]
        self.stream.written(packets)
        return packets

    def heartbeat(self, *, closing: bool = False) -> Packet:
        advance = self.stream.end() if closing else self.stream.advance()
        said = AdminStreamAdvanced(
            stream=self.stream.id, number=advance.number, voided=advance.voided, closing=closing
        )
        return self.sign(said, tenant="-")

    async def beat(self) -> None:
        await self.stage.publish(self.heartbeat())


@pytest.fixture
async def stage() -> Stage:
    """One replica, one question answered: in step with admin."""
    made = Stage()
    await made.listen()
    await made.replica()
    process = made.process()
    await made.publish(process.heartbeat(), process.heartbeat(closing=True))
    await made.page()
    assert made.follower().fresh("admin")
    made.asked.clear()
    return made


# --- the first time ---------------------------------------------------------------------------------------------


async def test_an_empty_projection_is_neither_ready_nor_fresh_and_asks_when_it_hears_its_owner() -> None:
    stage = Stage()
    await stage.listen()
    await stage.replica()
    await stage.look()
    assert stage.asked == []  # nobody there who could answer
    await stage.process().beat()
    ((question, sender),) = stage.asked
    assert (question.after, sender) == ("", "wsfed")
    assert not stage.follower().fresh("admin")
    assert dict(stage.follower().ready()) == {"admin": False}
    await stage.page(item(account("ada"), "contoso"), item(account("eve"), "fabrikam"))
    assert stage.seen == [("contoso", "ada", 1), ("fabrikam", "eve", 1)]
    assert dict(stage.follower().ready()) == {"admin": True}
    assert stage.follower().fresh("admin")


async def test_the_second_owner_is_asked_when_the_first_is_complete() -> None:
    stage = Stage()
    await stage.listen()
    (await stage.replica(["admin", "approval"])).database.operations.clear()
    said = ApprovalStreamAdvanced(stream="other", number=0)
    signer = PacketSigner("approval", KEYS["approval"], stage.clock, stage.ids)
    await stage.publish(signer.packet(said, tenant="-"))
    await stage.process().beat()
    assert stage.data["follows"].keys() >= {"admin"}
    assert "approval" not in stage.data["follows"]
    await stage.page()
    assert stage.data["follows"]["approval"]["resync"]["after"] == ""
    assert dict(stage.follower().ready()) == {"admin": True, "approval": False}


async def test_a_restarted_replica_remembers_that_it_is_complete(stage: Stage) -> None:
    again = await stage.replica()
    await again.follower.look()
    assert dict(again.follower.ready()) == {"admin": True}
    assert again.follower.fresh("admin")
    assert stage.asked == []


# --- numbers ----------------------------------------------------------------------------------------------------


async def test_events_in_any_order_and_twice_leave_no_gap(stage: Stage) -> None:
    process = stage.process()
    packets = process.write("a", "b", "c", "d")
    late = process.heartbeat()
    await stage.publish(packets[3], packets[1], late, packets[1], packets[0], late, packets[2], packets[3])
    await stage.live(120, process)
    assert stage.record(process)["have"] == [1, 4]
    assert stage.follower().alarms() == {}
    assert stage.asked == []


async def test_heartbeats_out_of_order_take_nothing_back(stage: Stage) -> None:
    process = stage.process()
    early = process.heartbeat()
    packets = process.write("a")
    await stage.publish(process.heartbeat(), *packets, early)
    assert stage.record(process)["claimed"] == 1
    assert stage.record(process)["have"] == [1, 1]


async def test_void_numbers_raise_no_alarm(stage: Stage) -> None:
    process = stage.process()
    first = process.write("a")
    process.stream.dropped([process.sign(account("b"))])
    last = process.write("c")
    await stage.publish(*first, *last, process.heartbeat())
    await stage.live(600, process)
    assert stage.follower().alarms() == {}
    assert stage.asked == []
    assert stage.record(process)["have"] == [1, 3]


async def test_an_event_that_is_refused_for_good_is_decided(stage: Stage) -> None:
    stage.fails["bad"] = Reject("never")
    process = stage.process()
    await stage.publish(*process.write("bad"))
    await stage.live(60, process)
    assert len(stage.bus.dead_letters) == 1
    assert stage.follower().alarms() == {}


async def test_an_event_whose_handler_fails_is_a_gap(stage: Stage) -> None:
    stage.fails["bad"] = RuntimeError("a fault of ours")
    process = stage.process()
    (packet,) = process.write("bad")
    await stage.publish(packet)
    await stage.live(50, process)
    assert "missing" in stage.follower().alarms()["admin"]


async def test_many_events_at_once_share_writes_and_a_double_costs_none(
    stage: Stage, monkeypatch: pytest.MonkeyPatch
) -> None:
    update = MemoryCollection.update

    async def slow(*arguments: Any, **named: Any) -> Any:
        for _ in range(10):
            await asyncio.sleep(0)
        return await update(*arguments, **named)

    monkeypatch.setattr(MemoryCollection, "update", slow)
    process = stage.process()
    packets = process.write(*(f"p{n}" for n in range(200)))
    operations = stage.replicas[0].database.operations
    operations.clear()
    await stage.bus.publish(packets)
    assert stage.record(process)["have"] == [1, 200]
    assert len([o for o in operations if o[0] == "follows"]) < 20
    operations.clear()
    await stage.bus.publish(packets)
    assert operations == []


async def test_replicas_that_record_the_same_stream_at_once_lose_nothing(stage: Stage) -> None:
    await stage.replica()
    await stage.replica()
    process = stage.process()
    packets = process.write(*(f"p{n}" for n in range(90)))
    await asyncio.gather(*(stage.bus.publish([packet]) for packet in packets))
    assert stage.record(process)["have"] == [1, 90]


@pytest.mark.long
async def test_many_holes_are_bounded_and_never_taken_for_received(stage: Stage) -> None:
    process = stage.process()
    packets = process.write(*(f"p{n}" for n in range(4100)))
    await stage.bus.publish(packets[::2])
    await process.beat()
    have = stage.record(process)["have"]
    assert len(have) <= 2 * 2000
    await stage.live(30, process)
    assert len(stage.asked) == 1


# --- gaps and resync ---------------------------------------------------------------------------------------------


async def test_a_gap_is_asked_about_after_30_seconds_and_covered_by_the_answer(stage: Stage) -> None:
    process = stage.process()
    process.write("lost")
    await stage.live(10, process)
    await stage.live(29, process)
    assert stage.asked == []
    await stage.live(1, process)
    assert len(stage.asked) == 1
    assert "missing" in stage.follower().alarms()["admin"]
    await stage.page(item(account("lost")))
    assert stage.follower().alarms() == {}
    assert ("contoso", "lost", 1) in stage.seen
    await stage.live(300, process)
    assert len(stage.asked) == 1


async def test_what_was_claimed_after_the_question_is_not_covered_by_the_answer(stage: Stage) -> None:
    process = stage.process()
    await process.beat()
    await stage.follower().want()
    await stage.look()
    process.write("lost")
    await process.beat()
    await stage.page()
    assert stage.record(process)["have"] == []
    await stage.live(40, process)
    assert len(stage.asked) == 2


async def test_the_age_of_a_gap_is_that_of_its_oldest_number(stage: Stage) -> None:
    process = stage.process()
    first, _ = process.write("a", "b")
    await stage.live(10, process)
    await stage.live(200, process)
    process.write("c")
    await stage.live(10, process)
    await stage.publish(first)  # of the two that were missing for 210 s one has come
    await stage.live(90, process)
    assert stage.follower().fresh("admin")
    await stage.live(1, process)
    assert not stage.follower().fresh("admin")


async def test_pages_follow_each_other_and_doubles_and_late_ones_change_nothing(stage: Stage) -> None:
    process = stage.process()
    await process.beat()
    await stage.follower().want()
    await stage.look()
    await stage.page(item(account("a")), further="0/a")
    assert [question.after for question, _ in stage.asked] == ["", "0/a"]
    await stage.page(item(account("a")), further="0/a")  # twice
    await stage.page(item(account("z")), after="0/x")  # not what was asked for
    await stage.page(item(account("y")), after="0/a", resync="other")
    await stage.page(item(account("x")), after="0/a", to="approval")
    assert len(stage.asked) == 2
    assert stage.seen == [("contoso", "a", 1)]
    await stage.page(item(account("b")), after="0/a")
    assert stage.seen == [("contoso", "a", 1), ("contoso", "b", 1)]
    await stage.page(item(account("b")), after="0/a")
    assert len(stage.seen) == 2


async def test_a_page_with_an_item_that_must_wait_is_asked_for_again_and_the_rest_is_kept(
    stage: Stage,
) -> None:
    process = stage.process()
    await process.beat()
    await stage.follower().want()
    await stage.look()
    stage.fails["waits"] = Retry("what it needs is not here yet")
    await stage.page(item(account("waits")), item(account("goes")))
    assert stage.seen == [("contoso", "goes", 1)]
    await stage.live(10, process)
    assert len(stage.asked) == 1
    stage.fails.clear()
    await stage.live(10, process)
    assert [question.after for question, _ in stage.asked] == ["", ""]
    await stage.page(item(account("waits")), item(account("goes")))
    assert ("contoso", "waits", 1) in stage.seen
    await stage.live(60, process)
    assert len(stage.asked) == 2


async def test_an_item_that_is_refused_for_good_does_not_hold_up_the_rest(stage: Stage) -> None:
    process = stage.process()
    process.write("lost")
    await stage.live(40, process)
    stage.fails["bad"] = Reject("never")
    await stage.page(item(account("bad")), item(account("good")))
    assert stage.seen == [("contoso", "good", 1)]
    assert stage.follower().alarms() == {}


@pytest.mark.parametrize(
    "bad",
    [
        StateItem(type="approval.device.changed.v1", tenant="contoso", body={}),
        StateItem(type="admin.state.paged.v1", tenant="contoso", body={}),
        StateItem(type="admin.account.changed.v1", tenant="contoso", body={"version": "x"}),
    ],
    ids=["another owner's", "a page in a page", "no account"],
)
async def test_a_page_with_what_is_not_the_owners_state_is_refused_whole(
    stage: Stage, bad: StateItem
) -> None:
    process = stage.process()
    process.write("lost")
    await stage.live(40, process)
    await stage.page(item(account("good")), bad)
    assert stage.seen == []
    assert len(stage.bus.dead_letters) == 1
    assert "missing" in stage.follower().alarms()["admin"]


async def test_an_item_of_a_newer_release_is_passed_over(stage: Stage) -> None:
    process = stage.process()
    process.write("lost")
    await stage.live(40, process)
    await stage.page(StateItem(type="admin.licence.changed.v1", tenant="-", body={}))
    assert stage.follower().alarms() == {}


async def test_of_several_replicas_one_asks(stage: Stage) -> None:
    await stage.replica()
    await stage.replica()
    process = stage.process()
    await process.beat()
    await stage.follower().want()
    await asyncio.gather(*(replica.follower.look() for replica in stage.replicas))
    await stage.settle()
    assert len(stage.asked) == 1


async def test_an_operator_asks_with_nothing_but_the_database(stage: Stage) -> None:
    process = stage.process()
    await process.beat()
    beside = await stage.replica(consumes=False)
    await beside.follower.want()
    assert stage.asked == []
    await stage.look()
    assert len(stage.asked) == 1
    await stage.page()
    await stage.live(120, process)
    assert len(stage.asked) == 1


# --- silence, lateness, crashes ----------------------------------------------------------------------------------


async def test_silence_alarms_at_30_seconds_and_counts_as_old_after_300(stage: Stage) -> None:
    process = stage.process()
    await process.beat()
    await stage.live(29)
    assert stage.follower().alarms() == {}
    await stage.live(1)
    assert "silent" in stage.follower().alarms()["admin"]
    await stage.live(270)
    assert stage.follower().fresh("admin")
    stage.clock.advance(0.001)
    assert not stage.follower().fresh("admin")
    await process.beat()
    assert stage.follower().fresh("admin")
    assert stage.follower().alarms() == {}
    assert stage.asked == []


async def test_nobody_is_asked_who_is_silent(stage: Stage) -> None:
    process = stage.process()
    process.write("lost")
    await process.beat()
    await stage.live(200)
    assert stage.asked == []
    await process.beat()
    await stage.look()
    assert len(stage.asked) == 1


async def test_a_heartbeat_that_comes_a_day_late_is_no_sign_of_life_but_what_it_claims_counts(
    stage: Stage,
) -> None:
    process = stage.process()
    process.write("lost")
    late = process.heartbeat()
    await stage.live(24 * 3600)
    await stage.publish(late)
    assert not stage.follower().fresh("admin")
    assert "silent" in stage.follower().alarms()["admin"]
    await process.beat()
    await stage.live(30, process)
    assert len(stage.asked) == 1


@pytest.mark.parametrize(("behind", "fresh"), [(299, True), (601, False)])
async def test_an_owner_whose_clock_is_five_minutes_off_is_heard(
    stage: Stage, behind: int, fresh: bool
) -> None:
    stage.clock.advance(2000)
    process = stage.process()
    heartbeat = process.heartbeat()
    stage.clock.advance(behind)
    await stage.publish(heartbeat)
    assert stage.follower().fresh("admin") is fresh


async def test_a_process_that_falls_silent_without_last_words_is_made_up_for(stage: Stage) -> None:
    crashed, other = stage.process(), stage.process()
    await crashed.beat()
    await stage.live(20, other)
    assert stage.asked == []
    await stage.live(10, other)
    assert len(stage.asked) == 1
    await stage.page()
    assert stage.record(crashed)["live"] is False
    await stage.live(300, other)
    assert len(stage.asked) == 1
    assert stage.follower().fresh("admin")


async def test_a_process_that_was_only_paused_is_followed_again(stage: Stage) -> None:
    paused, other = stage.process(), stage.process()
    await paused.beat()
    await stage.live(40, other)
    await stage.page()
    paused.write("lost")
    await stage.live(50, paused, other)
    assert stage.record(paused)["live"] is True
    assert len(stage.asked) == 2


async def test_a_process_that_said_farewell_is_not_missed_and_its_gap_still_is(stage: Stage) -> None:
    ended, lossy, other = stage.process(), stage.process(), stage.process()
    packets = ended.write("kept")
    lossy.write("lost")
    await stage.publish(ended.heartbeat(closing=True), lossy.heartbeat(closing=True), *packets)
    assert stage.record(ended)["live"] is False
    assert stage.record(lossy)["live"] is True
    await stage.live(40, other)
    assert len(stage.asked) == 1
    await stage.page()
    assert stage.record(lossy)["live"] is False


async def test_last_words_are_no_sign_of_life(stage: Stage) -> None:
    await stage.live(301)
    await stage.publish(stage.process().heartbeat(closing=True))
    assert not stage.follower().fresh("admin")


async def test_events_of_a_stream_that_never_claims_anything_are_forgotten_without_alarm(
    stage: Stage,
) -> None:
    program, process = stage.process(), stage.process()
    await stage.publish(*program.write("a"))
    await stage.live(3700, process)
    assert stage.record(program)["live"] is False
    assert stage.follower().alarms() == {}
    assert stage.asked == []


async def test_a_follower_that_starts_gives_everybody_time_to_speak(stage: Stage) -> None:
    before = stage.process()
    await before.beat()
    stage.clock.advance(7200)  # everything was down
    stage.replicas.clear()
    again = await stage.replica()
    stage.replicas[:] = [again]
    await stage.look()
    assert stage.follower().alarms() == {}
    assert not stage.follower().fresh("admin")
