"""What a follower records: the first time, and numbers late, twice and in any order."""

import asyncio
from typing import Any

import pytest

from shared.bus.port import Reject
from shared.contracts.approval import ApprovalStreamAdvanced
from shared.contracts.envelope import PacketSigner
from shared.store.memory import MemoryCollection
from tests.shared.follower_support import KEYS, Stage, account, item

# --- the first time -------------------------------------------------------------------------------------------


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


# --- numbers --------------------------------------------------------------------------------------------------


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
