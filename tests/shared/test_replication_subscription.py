"""The follower's side: which question is asked when, and which page counts (docs/flows/replication.md)."""

import asyncio
import json
from collections.abc import Callable
from datetime import timedelta
from typing import Any

import pytest
from structlog.testing import capture_logs

from shared.bus.port import Reject, Retry
from shared.contracts.admin import AccountChanged, AccountStatus
from shared.contracts.approval import DeviceChanged
from shared.contracts.envelope import Origin, SignedMessage, VerifiedMessage
from shared.contracts.state import StateItem, pull_of, pulled_of
from shared.errors import Unavailable
from shared.replication import publisher
from shared.replication.records import MAX_WAITS
from tests.shared.replication_support import Replica, Stage, account, device, page_of, tenant

PULL, PULLED = pull_of("admin").TYPE, pulled_of("admin").TYPE


@pytest.fixture
async def stage() -> Stage:
    """One replica that has everything of both owners: an account and a device."""
    return await started(1)


async def started(replicas: int) -> Stage:
    made = Stage(replicas)
    await made.admin.say("contoso", tenant())
    await made.admin.say("ada", account("ada"), source=1)
    await made.approval.say("phone", device("phone"))
    await made.first()
    return made


async def many(stage: Stage, count: int, version: int = 1) -> None:
    for n in range(count):
        await stage.admin.say(f"a{n:04d}", account(f"a{n:04d}", version), source=1)


def loses(*types: str) -> Callable[[SignedMessage], bool]:
    return lambda signed: signed.type in types


# --- the first pull ----------------------------------------------------------------------------------------------


async def test_the_first_pull_brings_everything_one_owner_after_the_other() -> None:
    stage = Stage()
    await stage.admin.say("ada", account("ada"), source=1)
    await stage.approval.say("phone", device("phone"))
    assert dict(stage.follower.ready()) == {"admin": False, "approval": False}
    await stage.look()
    (question,) = await stage.questions()
    assert question.type == PULL  # devices refer to what admin owns, so approval waits
    await stage.look()
    assert await stage.questions() == []
    await stage.take(await stage.answer(question))
    assert dict(stage.follower.ready()) == {"admin": True, "approval": False}
    (question,) = await stage.questions()  # asked as soon as admin's last page was there
    assert question.type == pull_of("approval").TYPE
    await stage.take(await stage.answer(question))
    assert dict(stage.follower.ready()) == {"admin": True, "approval": True}
    assert set(stage.rows()) == {"ada"}
    assert set(stage.rows("devices")) == {"phone"}
    assert {each.origin for each in stage.handled} == {Origin.FULL_PULL}
    assert stage.follower.alarms() == {}


async def test_the_first_pull_asks_for_its_next_page_at_once() -> None:
    stage = Stage()
    await many(stage, 600)
    await stage.look()
    assert await stage.carry() == 4  # three pages of admin, then approval
    assert len(stage.rows()) == 600


async def test_a_second_owner_that_never_answers_keeps_the_first_one_s_from_nothing() -> None:
    stage = Stage()
    await stage.admin.say("ada", account("ada"), source=1)
    silent = loses(pull_of("approval").TYPE)
    await stage.look()
    await stage.carry(silent)
    await stage.live(60, silent)
    assert stage.follower.fresh("admin")
    assert not stage.follower.fresh("approval")
    assert dict(stage.follower.ready()) == {"admin": True, "approval": False}
    assert set(stage.follower.alarms()) == {"approval"}


async def test_an_owner_is_not_called_silent_while_the_one_before_it_is_still_asked() -> None:
    stage = Stage()
    await stage.look()
    await stage.live(120, loses(PULL))
    assert set(stage.follower.alarms()) == {"admin"}


# --- recent pulls ------------------------------------------------------------------------------------------------


async def test_what_no_event_brought_is_here_after_one_pull(stage: Stage) -> None:
    await stage.admin.say("ada", account("ada", 2, status=AccountStatus.SUSPENDED), source=1)
    await stage.live(8)
    assert stage.rows()["ada"]["status"] == "active"
    await stage.live(2)
    assert stage.rows()["ada"]["status"] == "suspended"
    assert {each.origin for each in stage.handled} == {Origin.RECENT_PULL}


async def test_each_change_is_sent_twice_and_then_no_more(stage: Stage) -> None:
    await stage.live(60)
    stage.handled.clear()
    await many(stage, 300)
    await stage.live(200)
    brought = [each.message.account for each in stage.handled]
    assert sorted(brought) == sorted([f"a{n:04d}" for n in range(300)] * 2)


async def test_one_question_for_each_owner_every_ten_seconds(stage: Stage) -> None:
    assert await stage.live(600) == 2 * 60


@pytest.mark.parametrize("step", [-300.0, 300.0])
async def test_a_clock_that_was_set_stops_no_questions(stage: Stage, step: float) -> None:
    await stage.live(20)
    stage.clock.advance(step)
    await stage.look()
    assert await stage.carry() >= 2
    assert all(stage.follower.fresh(owner) for owner in ("admin", "approval"))
    assert await stage.live(100) == 2 * 10


async def test_a_write_that_shows_only_after_its_fence_is_in_the_pull_after_the_next(stage: Stage) -> None:
    """It had its position before the fence, and was visible to a majority after the pages had been read."""
    await stage.live(20)
    late = await stage.admin.say("late", account("late"), source=1)
    assert late
    hidden = stage.admin.data["things1"].pop("late")
    stage.handled.clear()
    await stage.live(10)
    assert stage.handled == []
    stage.admin.data["things1"]["late"] = hidden
    await stage.live(10)
    assert [each.message.account for each in stage.handled] == ["late"]


# --- two replicas ------------------------------------------------------------------------------------------------


async def test_any_replica_goes_on_with_any_page() -> None:
    stage = Stage(2)
    await many(stage, 900)
    await stage.look()
    assert await stage.carry() == 5
    assert len(stage.rows()) == 900
    assert all(replica.subscriptions.fresh("admin") for replica in stage.replicas[:1])
    await stage.look()
    assert all(replica.subscriptions.fresh("admin") for replica in stage.replicas)


async def test_two_replicas_ask_one_question_for_each_due_time() -> None:
    stage = await started(2)
    assert await stage.live(600) == 2 * 60


async def test_replicas_that_look_at_once_ask_once() -> None:
    stage = await started(5)
    stage.clock.advance(10)
    await asyncio.gather(*(replica.subscriptions.look() for replica in stage.replicas))
    assert len(await stage.questions()) == 2


@pytest.mark.parametrize("owner", ["admin", "approval"])
async def test_a_replica_that_looked_before_a_pull_was_over_begins_no_second_one(owner: str) -> None:
    """It read that a pull is due, another one made it from beginning to end, and only then it would have asked."""
    stage = await started(2)
    await stage.follower.want_all()
    slow, quick = stage.replicas[0].subscriptions, stage.replicas[1].subscriptions
    seen = await stage.record(owner)
    await quick.look()
    await stage.carry()
    stage.clock.advance(1)
    await slow._ask_if_due(seen, Origin.FULL_PULL)
    await slow._ask_if_due(seen, Origin.RECENT_PULL)
    assert await stage.questions() == []


async def test_a_page_that_two_replicas_take_at_once_moves_the_pull_on_once() -> None:
    stage = Stage(2)
    await many(stage, 300)
    await stage.look(0)
    (question,) = await stage.questions()
    page = await stage.answer(question)
    await asyncio.gather(stage.take(page, 0), stage.take(page, 1))
    assert len(await stage.questions()) == 1


# --- pages that do not count -------------------------------------------------------------------------------------


async def asked(stage: Stage, size: int = 0) -> SignedMessage:
    """The next question to admin; with `size`, after so many changes."""
    await many(stage, size, version=2)
    stage.clock.advance(10)
    await stage.look(0)
    questions = await stage.questions()
    return next(question for question in questions if question.type == PULL)


async def test_a_doubled_page_counts_once(stage: Stage) -> None:
    question = await asked(stage, 300)
    page = await stage.answer(question)
    await stage.take(page)
    (second,) = await stage.questions()
    handled = len(stage.handled)
    await stage.take(page)
    assert len(stage.handled) == handled
    assert await stage.questions() == []
    await stage.take(await stage.answer(second))
    assert len(stage.rows()) == 301


@pytest.mark.parametrize("patient", [True, False])
async def test_a_patient_follower_rests_between_two_pages(patient: bool) -> None:
    """Twice as long as the page took it, here 250 items of 4 ms."""
    stage = Stage(patient=patient)
    page = await stage.answer(await asked(stage, 300))
    stage.fault = lambda received: stage.clock.advance(0.004)
    await stage.take(page)
    assert len(await stage.questions()) == (0 if patient else 1)
    stage.clock.advance(1.9)
    assert await stage.questions() == []
    stage.clock.advance(0.2)
    assert len(await stage.questions()) == (1 if patient else 0)


async def test_a_late_page_of_a_pull_that_is_over_changes_nothing(stage: Stage) -> None:
    question = await asked(stage)
    await stage.admin.say("ada", account("ada", 2, status=AccountStatus.SUSPENDED), source=1)
    page, again = await stage.answer(question), await stage.answer(question)
    await stage.take(page)
    record = await stage.record("admin")
    handled = len(stage.handled)
    await stage.live(10)
    later = await stage.record("admin")
    assert later.position == record.ahead
    await stage.take(again)
    assert len(stage.handled) == handled + 1  # of the next pull; none of the late page
    assert await stage.record("admin") == later


async def test_two_answers_to_a_first_question_are_not_mixed(stage: Stage) -> None:
    """The question was asked again, and both answers come: pages of the second are behind another fence."""
    question = await asked(stage, 300)
    page, again = await stage.answer(question), await stage.answer(question)
    await stage.take(page)
    (second,) = await stage.questions()
    handled = len(stage.handled)
    await stage.take(again)
    assert len(stage.handled) == handled
    await stage.take(await stage.answer(second))
    assert (await stage.record("admin")).recent is None


def suspended(owner: str) -> StateItem:
    news = account("ada", 99, status=AccountStatus.SUSPENDED)
    return StateItem(type=AccountChanged.TYPE, tenant="contoso", body=news.model_dump(mode="json"))


async def test_a_page_that_nobody_asked_for_changes_nothing(stage: Stage) -> None:
    await asked(stage)
    for fields in ({"request": "forged"}, {"after": "0//x"}):
        forged = page_of("admin", **{"items": (suspended("admin"),), **fields})
        before = await stage.record("admin")
        await stage.take(stage.sign("admin", forged))
        assert stage.handled == []
        assert await stage.record("admin") == before
    assert stage.rejected == []


async def test_a_page_for_another_service_is_refused(stage: Stage) -> None:
    question = await asked(stage)
    request = await request_of(stage)
    assert question
    page = page_of("admin", request=request, to="approval", items=(suspended("admin"),))
    await stage.take(stage.sign("admin", page))
    assert stage.rejected == ["a page for approval"]
    assert stage.handled == []


async def request_of(stage: Stage, owner: str = "admin") -> str:
    pull = (await stage.record(owner)).recent
    assert pull is not None
    return pull.request


async def test_a_page_that_leads_to_itself_is_refused(stage: Stage) -> None:
    question = await asked(stage, 300)
    await stage.take(await stage.answer(question))
    pull = (await stage.record("admin")).recent
    assert pull is not None
    loop = page_of("admin", request=pull.request, after=pull.after, next=pull.after, until=pull.until)
    await stage.take(stage.sign("admin", loop))
    assert stage.rejected == ["a page that leads to itself"]
    assert (await stage.record("admin")).recent == pull


async def test_an_owner_cannot_speak_for_another_one(stage: Stage) -> None:
    """A taken-over approval puts an account into its own page: the whole page is refused, and nothing of it kept."""
    await asked(stage)
    request = await request_of(stage, "approval")
    new = StateItem(type=DeviceChanged.TYPE, tenant="contoso", body=device("evil").model_dump(mode="json"))
    page = page_of("approval", request=request, items=(new, suspended("approval")))
    await stage.take(stage.sign("approval", page))
    assert stage.rejected == ["a page of approval with admin.account.changed.v1"]
    assert stage.handled == []
    assert set(stage.rows("devices")) == {"phone"}
    assert stage.rows()["ada"]["status"] == "active"


async def test_commands_and_pages_are_no_items(stage: Stage) -> None:
    for kind in ("approval.push.unfreeze.v1", "approval.state.pulled.v1"):
        stage.clock.advance(60)
        await stage.look()
        request = await request_of(stage, "approval")
        item = StateItem(type=kind, tenant="contoso", body={"account": "ada", "device": None})
        await stage.take(stage.sign("approval", page_of("approval", request=request, items=(item,))))
    assert len(stage.rejected) == 2
    assert stage.handled == []


async def test_an_item_of_a_newer_release_is_passed_over_without_alarm(stage: Stage) -> None:
    await asked(stage)
    item = StateItem(type="admin.badge.changed.v1", tenant="contoso", body={})
    page = page_of("admin", request=await request_of(stage), items=(item, suspended("admin")))
    await stage.take(stage.sign("admin", page))
    assert stage.rows()["ada"]["status"] == "suspended"
    assert stage.follower.alarms() == {}


# --- no answer ---------------------------------------------------------------------------------------------------


async def test_an_unanswered_question_is_repeated_word_for_word_after_15_30_60_60_seconds(
    stage: Stage,
) -> None:
    question = await asked(stage)
    first = stage.clock.now()
    said, times = [], []
    for _ in range(0, 240, 2):
        stage.clock.advance(2)
        await stage.look()
        for signed in await stage.questions():
            if signed.type == PULL:
                said.append(signed)
                times.append((stage.clock.now() - first).total_seconds())
    assert times == [16, 46, 106, 166, 226]  # looked at every two seconds
    for signed in said:
        assert body_of(signed) == body_of(question)


def body_of(signed: SignedMessage) -> object:
    return json.loads(signed.body)["body"]


@pytest.mark.parametrize("which", [1, 2, 3])
@pytest.mark.parametrize("lost", [PULL, PULLED])
async def test_a_lost_question_or_page_anywhere_in_a_pull_costs_15_seconds(
    stage: Stage, lost: str, which: int
) -> None:
    await many(stage, 700)
    seen = 0

    def lose(signed: SignedMessage) -> bool:
        nonlocal seen
        seen += signed.type == lost
        return signed.type == lost and seen == which

    await stage.live(10, lose)
    assert len(stage.rows()) < 701
    await stage.live(16, lose)
    assert len(stage.rows()) == 701


async def test_a_question_that_the_bus_does_not_take_is_sent_again_within_seconds(stage: Stage) -> None:
    post = stage.replicas[0].post
    post.down = True
    stage.clock.advance(10)
    await stage.look()
    assert await stage.questions() == []
    post.down = False
    stage.clock.advance(0.1)
    assert len(await stage.questions()) == 2


# --- judgement ---------------------------------------------------------------------------------------------------


async def test_silence_alarms_after_30_seconds_and_counts_after_300(stage: Stage) -> None:
    await stage.live(10)
    silent = loses(PULL)
    with capture_logs() as logs:
        await stage.live(28, silent)
        assert stage.follower.alarms() == {}
        await stage.live(4, silent)
        assert stage.follower.alarms() == {"admin": "silent since 08:00:10 UTC"}
        await stage.live(268, silent)
        assert stage.follower.fresh("admin")
        await stage.live(2, silent)
    assert not stage.follower.fresh("admin")
    assert stage.follower.fresh("approval")
    assert [log["alarm"] for log in logs if log["event"] == "state.alarm"] == ["silent since 08:00:10 UTC"]
    await stage.live(60)  # the longest patience
    assert stage.follower.fresh("admin")
    assert stage.follower.alarms() == {}


async def test_fresh_counts_from_the_beginning_of_the_pull_not_from_its_pages(
    stage: Stage, monkeypatch: pytest.MonkeyPatch
) -> None:
    """An owner that sends a page now and then is heard all the time, and nothing of it is recent."""
    monkeypatch.setattr(publisher, "MAX_PAGE_ITEMS", 1)
    await stage.live(10)
    await many(stage, 40)
    stage.clock.advance(10)
    await stage.look()
    for _ in range(22):
        (question,) = [q for q in await stage.questions() if q.type == PULL]
        stage.clock.advance(14)
        await stage.look()
        await stage.take(await stage.answer(question))
    assert "admin" not in stage.follower.alarms()
    assert not stage.follower.fresh("admin")


async def test_a_complete_pull_in_the_future_is_not_recent(stage: Stage) -> None:
    stage.clock.advance(-301)
    assert not stage.follower.fresh("admin")
    stage.clock.advance(1)
    assert stage.follower.fresh("admin")


async def test_a_replica_that_starts_judges_by_what_the_others_have_recorded(stage: Stage) -> None:
    again = Stage()
    again.clock, again.data = stage.clock, stage.data
    replica = Replica(again, 7)
    assert not replica.subscriptions.fresh("admin")  # nothing is known before its first look
    await replica.subscriptions.look()
    assert replica.subscriptions.fresh("admin")
    assert replica.subscriptions.alarms() == {}


# --- items that cannot be handled --------------------------------------------------------------------------------


def only(name: str, fault: Exception) -> Callable[[VerifiedMessage[Any]], Exception | None]:
    return lambda received: fault if getattr(received.message, "account", "") == name else None


async def test_a_refused_item_is_recorded_alarmed_and_passed_over() -> None:
    stage = Stage()
    for name in ("ada", "bob", "eve"):
        await stage.admin.say(name, account(name), source=1)
    stage.fault = only("bob", Reject("bob's key is no key"))
    await stage.look()
    await stage.carry()
    assert set(stage.rows()) == {"ada", "eve"}
    assert stage.follower.ready()["admin"]
    assert stage.follower.fresh("admin")
    assert stage.follower.alarms() == {"admin": "1 items refused, the last because: bob's key is no key"}
    (refused,) = (await stage.record("admin")).refused
    assert (refused.type, refused.tenant) == (AccountChanged.TYPE, "contoso")
    # the alarm is over with the next full pull that brings it
    stage.fault = lambda received: None
    await stage.follower.want_all(["admin"])
    await stage.look()
    await stage.carry()
    assert stage.follower.alarms() == {}
    assert set(stage.rows()) == {"ada", "bob", "eve"}


@pytest.mark.parametrize("fault", [ValueError("a bug"), Retry("not yet"), TimeoutError()])
async def test_an_item_that_goes_on_failing_is_passed_over_after_a_few_pages(fault: Exception) -> None:
    """A poison item must not keep a new service from being ready."""
    stage = Stage()
    for name in ("ada", "bob"):
        await stage.admin.say(name, account(name), source=1)
    stage.fault = only("bob", fault)
    await stage.look()
    await stage.carry()
    assert set(stage.rows()) == {"ada"}  # the others count already
    assert not stage.follower.ready()["admin"]
    assert (await stage.record("admin")).refused == ()
    await stage.live(30 + 60 + 60 + 6)
    tried = [each for each in stage.handled if getattr(each.message, "account", "") == "bob"]
    assert len(tried) == MAX_WAITS + 1
    assert stage.follower.ready()["admin"]
    assert "1 items refused" in stage.follower.alarms()["admin"]


async def test_an_item_that_fails_once_comes_again_with_its_page(stage: Stage) -> None:
    await stage.live(10)
    await stage.admin.say("bob", account("bob"), source=1)
    faults = [ValueError("a bug")]
    stage.fault = lambda received: faults.pop() if faults else None
    await stage.live(10)
    assert set(stage.rows()) == {"ada"}
    await stage.live(30)
    assert set(stage.rows()) == {"ada", "bob"}
    assert stage.follower.alarms() == {}


async def test_a_body_that_is_not_of_its_contract_is_refused_alone(stage: Stage) -> None:
    await asked(stage)
    bad = StateItem(type=AccountChanged.TYPE, tenant="contoso", body={"account": "bob"})
    page = page_of("admin", request=await request_of(stage), items=(bad, suspended("admin")))
    await stage.take(stage.sign("admin", page))
    assert stage.rejected == []
    assert stage.rows()["ada"]["status"] == "suspended"
    assert "not a admin.account.changed.v1" in stage.follower.alarms()["admin"]


async def test_while_a_database_is_away_the_page_comes_again_and_nothing_is_passed_over(stage: Stage) -> None:
    await stage.admin.say("bob", account("bob"), source=1)
    stage.fault = only("bob", Unavailable("away"))
    await stage.live(600)
    assert set(stage.rows()) == {"ada"}
    assert (await stage.record("admin")).refused == ()
    assert not stage.follower.fresh("admin")
    stage.fault = lambda received: None
    await stage.live(60)
    assert set(stage.rows()) == {"ada", "bob"}
    assert stage.follower.fresh("admin")


# --- full pulls --------------------------------------------------------------------------------------------------


async def test_a_daily_full_pull_takes_its_time_beside_recent_ones() -> None:
    stage = Stage()
    await many(stage, 900)
    await stage.first()
    stage.clock.advance(24 * 3600 - 30)
    await stage.live(26)
    assert stage.handled == []
    recent = (await stage.record("admin")).complete_at
    full: list[int] = []
    for _ in range(20):
        await stage.live(2)
        full.append(sum(each.origin is Origin.FULL_PULL for each in stage.handled))
    assert full[-1] == 900
    # one page of 250 for each look, and none of them faster
    assert [b - a for a, b in zip([0, *full], full, strict=False) if b != a] == [250, 250, 250, 150]
    record = await stage.record("admin")
    assert record.complete_at is not None
    assert recent is not None
    assert record.complete_at > recent
    assert record.full_at is not None
    assert stage.clock.now() - record.full_at < timedelta(seconds=44)


async def test_recent_pulls_go_on_while_a_full_one_finds_no_answer(stage: Stage) -> None:
    """Never one instead of the other: a full pull that hangs would let everything get old."""
    await stage.follower.want_all(["admin"])
    lost = 0

    def lose_full(signed: SignedMessage) -> bool:
        nonlocal lost
        full = signed.type == PULL and b'"since":""' in signed.body
        lost += full
        return full

    await stage.live(400, lose_full)
    assert lost > 5
    assert stage.follower.fresh("admin")
    await stage.admin.say("bob", account("bob"), source=1)
    await stage.live(10, lose_full)
    assert "bob" in stage.rows()


async def test_rows_that_the_owner_no_longer_has_lapse_and_alarm(stage: Stage) -> None:
    await many(stage, 3)
    await stage.live(10)
    del stage.admin.data["things1"]["a0001"]
    with capture_logs() as logs:
        await stage.live(100)
        assert "a0001" in stage.rows()  # a recent pull says nothing of what is not there
        await stage.follower.want_all()
        await stage.live(20)
    assert set(stage.rows()) == {"ada", "a0000", "a0002"}
    assert [log["rows"] for log in logs if log["event"] == "state.lapsed"] == [1]
    # until its owner says it again
    await stage.admin.say("a0001", account("a0001"), source=1)
    await stage.live(10)
    assert set(stage.rows()) == {"ada", "a0000", "a0001", "a0002"}


async def test_what_an_event_brought_while_a_full_pull_was_under_way_does_not_lapse(stage: Stage) -> None:
    """Its id is before the page that is read, so the pull never meets it."""
    await many(stage, 300)
    await stage.live(20)
    await stage.follower.want_all(["admin"])
    await stage.look()
    (question,) = [q for q in await stage.questions() if q.type == PULL]
    await stage.take(await stage.answer(question))
    (event,) = await stage.admin.say("a", account("a"), source=1)
    await stage.take(event)
    await stage.carry()
    await stage.live(4)
    assert (await stage.record("admin")).full is None
    assert "a" in stage.rows()
    assert len(stage.rows()) == 302


async def test_nothing_lapses_before_the_last_page_is_there(stage: Stage) -> None:
    await many(stage, 300)
    await stage.live(20)
    await stage.follower.want_all(["admin"])

    def lose_second(signed: SignedMessage) -> bool:
        return signed.type == PULL and b'"since":""' in signed.body and b'"after":""' not in signed.body

    await stage.live(300, lose_second)
    assert len(stage.rows()) == 301
    await stage.live(60)
    assert len(stage.rows()) == 301


async def test_equal_version_with_other_content_is_overwritten_in_a_full_pull_only(stage: Stage) -> None:
    await stage.live(30)
    stage.data["accounts"]["ada"]["status"] = "suspended"  # something went wrong here
    (event,) = await stage.admin.say("ada", account("ada"), source=1)  # the same version
    await stage.take(event)
    await stage.live(20)
    assert stage.rows()["ada"]["status"] == "suspended"
    with capture_logs() as logs:
        await stage.follower.want_all(["admin"])
        await stage.live(10)
    assert stage.rows()["ada"]["status"] == "active"
    assert "projection.overwritten" in {log["event"] for log in logs}


async def test_resync_asks_for_everything_again(stage: Stage) -> None:
    await many(stage, 3)
    await stage.live(30)
    stage.handled.clear()
    stage.data["accounts"].clear()  # nobody knows how
    await stage.live(100)
    assert stage.rows() == {}
    await stage.follower.want_all(["admin"])
    await stage.live(4)
    assert set(stage.rows()) == {"ada", "a0000", "a0001", "a0002"}
    assert {each.envelope.sender for each in stage.handled} == {"admin"}


async def test_resync_in_the_middle_of_a_full_pull_begins_it_again(stage: Stage) -> None:
    await many(stage, 300)
    await stage.follower.want_all(["admin"])
    await stage.look()
    (question,) = [q for q in await stage.questions() if q.type == PULL]
    await stage.follower.want_all(["admin"])
    await stage.take(await stage.answer(question))
    record = await stage.record("admin")
    assert record.full is None
    assert record.full_at is None
    await stage.live(4)
    assert len(stage.rows()) == 301


# --- generations -------------------------------------------------------------------------------------------------


async def test_a_new_generation_brings_everything_as_the_restored_database_has_it(stage: Stage) -> None:
    backup = {name: {i: dict(d) for i, d in docs.items()} for name, docs in stage.admin.data.items()}
    await stage.live(30)
    await stage.admin.say("ada", account("ada", 5, status=AccountStatus.SUSPENDED), source=1)
    await stage.admin.say("bob", account("bob"), source=1)
    await stage.live(10)
    assert stage.rows()["ada"]["status"] == "suspended"
    for name, documents in backup.items():
        if name.startswith("things"):
            stage.admin.data[name].clear()
            stage.admin.data[name].update(documents)
    await stage.admin.database.raise_generation(0)
    await stage.live(20)
    assert stage.rows()["ada"]["status"] == "active"
    assert set(stage.rows()) == {"ada"}  # bob was made after the backup
    # and what is said now, from version 2 on again, counts
    await stage.admin.say("ada", account("ada", 2, status=AccountStatus.REMOVED), source=1)
    await stage.live(10)
    assert stage.rows()["ada"]["status"] == "removed"


async def test_a_pull_that_a_restore_cuts_in_two_makes_nothing_lapse(stage: Stage) -> None:
    """Its first page is of the database before, which lacked the row; the restored one has it."""
    await many(stage, 300)
    await stage.live(30)
    row = stage.admin.data["things1"].pop("a0001")
    await stage.follower.want_all(["admin"])
    await stage.look()
    (question,) = [q for q in await stage.questions() if q.type == PULL]
    await stage.take(await stage.answer(question))
    stage.admin.data["things1"]["a0001"] = row
    await stage.admin.database.raise_generation(0)
    with capture_logs() as logs:
        (last,) = [q for q in await stage.questions() if q.type == PULL]
        await stage.take(await stage.answer(last))
        assert "a0001" in stage.rows()
        await stage.live(60)
    assert "a0001" in stage.rows()
    assert "state.lapsed" not in {log["event"] for log in logs}


async def test_pages_of_an_older_generation_are_not_taken(stage: Stage) -> None:
    """A backup was put back and the command forgotten: everything gets old, aloud."""
    await stage.admin.database.raise_generation(0)
    await stage.live(20)
    stage.admin.data["fences"]["fence"]["generation"] = 0
    await stage.admin.say("ada", account("ada", 9, status=AccountStatus.REMOVED), source=1)
    with capture_logs() as logs:
        await stage.live(310)
    assert stage.rows()["ada"]["status"] == "active"
    assert not stage.follower.fresh("admin")
    assert "admin" in stage.follower.alarms()
    (remedy,) = {log["remedy"] for log in logs if log["event"] == "state.older_generation"}
    assert remedy == "run `blok365 restore admin`"
    await stage.admin.database.raise_generation(0)
    await stage.admin.database.raise_generation(0)
    await stage.live(90)
    assert stage.follower.fresh("admin")
    assert stage.rows()["ada"]["status"] == "removed"
