"""What is recorded of pulls, and when which question is due. Pure (docs/flows/replication.md, steps 1, 7, 8)."""

from dataclasses import replace
from datetime import datetime, timedelta
from typing import Any

import pytest

from shared.contracts.admin import AdminStatePulled
from shared.contracts.envelope import Origin
from shared.replication.records import (
    FULL_PULL_EVERY,
    MAX_REFUSED,
    PULL_EVERY,
    Pull,
    Refused,
    Subscription,
)
from tests.world import START

SECOND = timedelta(seconds=1)
RECENT, FULL = Origin.RECENT_PULL, Origin.FULL_PULL
P0, P1, P2, P3 = (f"{n:010d}.0000000001" for n in range(4))


def a_pull(**changes: Any) -> Pull:
    made = Pull("request", since="", began_at=START, asked_at=START, fence=(1, 1))
    return replace(made, **changes)


def a_page(**changes: Any) -> AdminStatePulled:
    fields: dict[str, Any] = {
        "request": "request",
        "to": "wsfed",
        "after": "",
        "items": (),
        "next": None,
        "until": P2,
        "generation": 0,
    }
    return AdminStatePulled(**{**fields, **changes})


def at(seconds: float) -> datetime:
    return START + timedelta(seconds=seconds)


# --- one pull ----------------------------------------------------------------------------------------------------


def test_awaits_the_page_that_was_asked_for_and_no_other() -> None:
    first = a_pull()
    assert first.awaits(a_page())
    assert first.awaits(a_page(until=P3))  # of the first page nobody knows `until` before
    assert not first.awaits(a_page(request="another"))
    assert not first.awaits(a_page(after="0/b"))
    later = first.turned(a_page(next="0//b"), START)
    assert later.awaits(a_page(after="0//b"))
    assert not later.awaits(a_page(after="0//b", until=P3))  # another pull of the same name
    assert not later.awaits(a_page())  # the first one again
    assert not later.awaits(a_page(after="0//c"))
    assert not later.awaits(a_page(after="0//b", request="another"))


@pytest.mark.parametrize("way", [1, -1], ids=["forward", "back"])
def test_an_unanswered_question_is_asked_again_after_15_30_60_60_seconds(way: int) -> None:
    """Also when the clock was set back: a time in the future counts as long ago."""
    pull, now = a_pull(), START
    for seconds in (15, 30, 60, 60, 60):
        assert not pull.is_due(now)
        assert not pull.is_due(now + way * (seconds - 1) * SECOND)
        assert pull.is_due(now + way * seconds * SECOND)
        assert pull.is_due(now + way * 10_000 * SECOND)
        now += way * seconds * SECOND
        pull = pull.asked(now)
    assert pull.tries == 5


def test_patience_begins_anew_with_the_next_page() -> None:
    pull = a_pull().asked(at(15)).asked(at(45)).failed(at(46))
    assert (pull.tries, pull.waits) == (2, 1)
    turned = pull.turned(a_page(next="0//b"), at(50))
    assert (turned.tries, turned.waits, turned.after, turned.until) == (0, 0, "0//b", P2)
    assert turned.began_at == START  # the judgement counts from the beginning of the pull
    assert turned.fence == pull.fence
    assert not turned.is_due(at(64))
    assert turned.is_due(at(65))


def test_a_page_that_could_not_be_handled_is_asked_for_with_the_same_patience() -> None:
    pull, now = a_pull(), START
    for seconds in (30, 60, 60):
        pull = pull.failed(now)
        assert not pull.is_due(now + (seconds - 1) * SECOND)
        assert pull.is_due(now + seconds * SECOND)
        now += seconds * SECOND


def test_a_daily_pull_asks_for_its_next_page_at_the_next_look() -> None:
    calm = a_pull(hurried=False).turned(a_page(next="0//b"), at(1))
    assert calm.asked_at is None
    assert calm.is_due(at(1))
    asked = calm.asked(at(2))
    assert (asked.asked_at, asked.tries) == (at(2), 0)  # the first question for this page is no repetition
    assert not asked.is_due(at(16))
    assert asked.is_due(at(17))


# --- what is due -------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("way", [1, -1], ids=["forward", "back"])
def test_a_recent_pull_is_due_ten_seconds_after_the_last_one_began(way: int) -> None:
    known = Subscription("admin", position=P1, ahead=P1, complete_at=START, full_at=START)
    assert not known.recent_is_due(START)
    assert not known.recent_is_due(START + way * 9.9 * SECOND)
    assert known.recent_is_due(START + way * PULL_EVERY)
    assert known.recent_is_due(START + way * 3000 * SECOND)
    assert not replace(known, recent=a_pull()).recent_is_due(at(3000))
    assert replace(known, full=a_pull()).recent_is_due(at(3000))  # beside a full one, never instead


def test_no_recent_pull_before_the_first_full_one_is_complete() -> None:
    assert not Subscription("admin").recent_is_due(at(10**6))
    assert not Subscription("admin", full=a_pull()).recent_is_due(at(10**6))


@pytest.mark.parametrize("way", [1, -1], ids=["forward", "back"])
def test_a_full_pull_is_due_at_first_and_daily(way: int) -> None:
    assert Subscription("admin").full_is_due(START)
    known = Subscription("admin", full_at=START)
    assert not known.full_is_due(START + way * (FULL_PULL_EVERY - SECOND))
    assert known.full_is_due(START + way * FULL_PULL_EVERY)
    assert not replace(known, full=a_pull()).full_is_due(START + way * 2 * FULL_PULL_EVERY)


# --- how a pull ends ---------------------------------------------------------------------------------------------


def test_a_recent_pull_moves_on_to_where_the_one_before_it_had_reached() -> None:
    known = Subscription("admin", position=P0, ahead=P1, complete_at=START, full_at=START)
    known = known.begun(RECENT, a_pull(since=P0, began_at=at(10)))
    done = known.completed(RECENT, a_page(until=P2))
    assert (done.position, done.ahead, done.complete_at) == (P1, P2, at(10))
    assert done.recent is None
    assert done.full_at == START
    again = done.begun(RECENT, a_pull(since=P1, began_at=at(20))).completed(RECENT, a_page(until=P3))
    assert (again.position, again.ahead, again.complete_at) == (P2, P3, at(20))


def test_the_first_full_pull_sets_the_position_and_counts_as_complete() -> None:
    known = Subscription("admin").begun(FULL, a_pull())
    done = known.completed(FULL, a_page(until=P2))
    assert (done.position, done.ahead) == (P2, P2)
    assert (done.full_at, done.complete_at, done.full) == (START, START, None)


@pytest.mark.parametrize(
    ("position", "ahead", "until", "after"),
    [(P0, P1, P2, (P0, P1)), (P1, P3, P2, (P1, P2)), (P2, P3, P1, (P1, P1))],
    ids=["behind", "around", "in the future"],
)
def test_a_later_full_pull_that_was_asked_for_moves_the_position_back_and_never_on(
    position: str, ahead: str, until: str, after: tuple[str, str]
) -> None:
    """On would lose a write that had its position before the fence and was visible after its page; a position in
    the future is that of a database that was put back.
    """
    known = Subscription("admin", position=position, ahead=ahead, complete_at=at(500), full=a_pull())
    done = known.completed(FULL, a_page(until=until))
    assert (done.position, done.ahead) == after
    assert done.complete_at == at(500)


def test_a_daily_full_pull_leaves_position_and_judgement_to_the_recent_ones() -> None:
    """It takes minutes; counted from its beginning, nothing would be recent when it ends."""
    known = Subscription("admin", position=P2, ahead=P3, complete_at=at(90_000), full_at=START)
    known = known.begun(FULL, a_pull(hurried=False, began_at=at(86_400)))
    done = known.completed(FULL, a_page(until=P1))
    assert (done.position, done.ahead, done.complete_at) == (P2, P3, at(90_000))
    assert (done.full_at, done.full) == (at(86_400), None)


def test_the_owner_was_asked_for_the_first_time_once() -> None:
    known = Subscription("admin").begun(FULL, a_pull())
    assert known.asked_at == START
    later = known.completed(FULL, a_page()).begun(RECENT, a_pull(began_at=at(10)))
    assert later.asked_at == START


def test_pulls_of_both_kinds_go_on_beside_each_other() -> None:
    known = Subscription("admin", position=P1, ahead=P1, complete_at=START, full_at=START)
    both = known.begun(FULL, a_pull(request="f", hurried=False)).begun(RECENT, a_pull(request="r", since=P1))
    assert both.pull(FULL) == a_pull(request="f", hurried=False)
    done = both.completed(RECENT, a_page(request="r"))
    assert done.recent is None
    assert done.full == a_pull(request="f", hurried=False)
    done = both.completed(FULL, a_page(request="f"))
    assert done.full is None
    assert done.recent == a_pull(request="r", since=P1)


# --- generations -------------------------------------------------------------------------------------------------


def test_a_page_of_the_same_generation_changes_only_when_it_was_heard() -> None:
    known = Subscription("admin", generation=3, full_at=START, full=a_pull(after="0//b", until=P2))
    heard = known.heard(FULL, a_page(after="0//b", generation=3), at(5))
    assert heard == replace(known, heard_at=at(5))


def test_a_new_generation_in_a_recent_pull_wants_everything_anew() -> None:
    known = Subscription("admin", generation=3, full_at=START, full=a_pull(), recent=a_pull(since=P1))
    heard = known.heard(RECENT, a_page(generation=4), at(5))
    assert (heard.generation, heard.full_at, heard.full) == (4, None, None)
    assert heard.full_is_due(at(5))


def test_a_new_generation_in_the_middle_of_a_full_pull_begins_it_again() -> None:
    known = Subscription("admin", generation=3, full_at=START, full=a_pull(after="0//b", until=P2))
    heard = known.heard(FULL, a_page(after="0//b", generation=4), at(5))
    assert (heard.generation, heard.full_at, heard.full) == (4, None, None)


def test_a_new_generation_on_the_first_page_of_a_full_pull_lets_it_go_on_and_hurries_it() -> None:
    """A daily pull takes its time and leaves the position alone: that of the database before may lie in the future."""
    known = Subscription("admin", generation=3, full_at=START, full=a_pull(hurried=False))
    heard = known.heard(FULL, a_page(generation=4), at(5))
    assert heard.generation == 4
    assert heard.full == a_pull(hurried=True)


def test_the_very_first_page_of_all_may_have_any_generation() -> None:
    known = Subscription("admin").begun(FULL, a_pull())
    heard = known.heard(FULL, a_page(generation=7), at(1))
    assert heard.full == known.full
    assert heard.generation == 7


def test_an_older_generation_is_never_taken_on() -> None:
    known = Subscription("admin", generation=3)
    assert known.heard(RECENT, a_page(generation=2), at(1)).generation == 3


# --- refused items -----------------------------------------------------------------------------------------------


def a_refusal(n: int) -> Refused:
    return Refused("admin.account.changed.v1", "contoso", f"reason {n}", at(n))


def test_refused_items_are_counted_and_the_last_ones_kept_until_the_next_full_pull() -> None:
    known = Subscription("admin")
    for n in range(MAX_REFUSED + 5):
        known = known.with_refused((a_refusal(n),))
    assert known.refused_count == MAX_REFUSED + 5
    assert known.refused == tuple(a_refusal(n) for n in range(5, MAX_REFUSED + 5))
    assert known.with_refused(()) is known
    assert known.begun(RECENT, a_pull(since=P1)).refused_count == MAX_REFUSED + 5
    begun = known.begun(FULL, a_pull())
    assert (begun.refused, begun.refused_count) == ((), 0)
