"""When a follower asks its owner for everything, and what it makes of the answer."""

import asyncio

import pytest

from shared.bus.port import Reject, Retry
from shared.contracts.state import StateItem
from tests.shared.follower_support import Stage, account, item


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
