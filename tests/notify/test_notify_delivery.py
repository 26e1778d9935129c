"""The life of a delivery, as a pure function."""

from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from itertools import product
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from services.notify.domain.delivery import (
    FINAL,
    LEASE,
    RETRY,
    TRANSITIONS,
    Delivery,
    Failed,
    Gone,
    IllegalStep,
    Later,
    Sent,
    State,
    Step,
    claim,
    settle,
)

NOW = datetime(2026, 3, 2, 8, 0, tzinfo=UTC)


def delivery(**fields: Any) -> Delivery:
    values: dict[str, Any] = {
        "id": "admin/contoso/1",
        "tenant": "contoso",
        "channel": "mail",
        "kind": "invitation",
        "destination": "example",
        "associated_data": "bound to",
        "sealed": "sealed",
        "correlation": "c",
        "created_at": NOW,
        "next_at": NOW,
        "expires_at": NOW + timedelta(days=1),
    }
    return Delivery(**(values | fields))


def test_an_attempt_is_recorded_before_it_is_made() -> None:
    claimed = claim(delivery(), NOW)
    assert (claimed.attempts, claimed.next_at, claimed.state) == (1, NOW + LEASE, State.WAITING)


def test_nothing_is_attempted_after_its_time() -> None:
    late = delivery(expires_at=NOW)
    ended = claim(late, NOW)
    assert (ended.state, ended.attempts, ended.sealed) == (State.EXPIRED, 0, "")


@pytest.mark.parametrize(
    ("outcome", "state"), [(Sent(), State.SENT), (Failed("550"), State.FAILED), (Gone("410"), State.GONE)]
)
def test_what_has_ended_keeps_nothing_sealed(outcome: Any, state: State) -> None:
    ended = settle(claim(delivery(), NOW), outcome, NOW, 0.5)
    assert (ended.state, ended.sealed, ended.ended_at) == (state, "", NOW)


@given(
    attempts=st.integers(1, 19),
    fraction=st.floats(0, 1, exclude_max=True),
    channel=st.sampled_from(["mail", "push"]),
)
def test_waits_longer_each_time_within_bounds_and_not_in_step(
    attempts: int, fraction: float, channel: Any
) -> None:
    waiting = delivery(channel=channel, attempts=attempts, expires_at=NOW + timedelta(days=9))
    wait = settle(waiting, Later("busy"), NOW, fraction).next_at - NOW
    retry = RETRY[waiting.channel]
    middle = min(retry.first * 2 ** (attempts - 1), retry.longest)
    assert middle * 0.5 <= wait <= middle * 1.5


def test_the_other_sides_wish_is_respected_when_it_is_longer() -> None:
    tried = claim(delivery(), NOW)
    assert settle(tried, Later("429", timedelta(minutes=20)), NOW, 0.0).next_at == NOW + timedelta(minutes=20)
    assert settle(tried, Later("429", timedelta(0)), NOW, 0.0).next_at == NOW + timedelta(seconds=15)


def test_a_retry_that_would_come_too_late_is_not_waited_for() -> None:
    tried = claim(delivery(channel="push", expires_at=NOW + timedelta(seconds=30)), NOW)
    assert settle(tried, Later("429", timedelta(seconds=30)), NOW, 0.0).state is State.EXPIRED


def test_gives_up_after_the_last_attempt() -> None:
    last = replace(delivery(), attempts=RETRY["mail"].attempts)
    ended = settle(last, Later("busy"), NOW, 0.0)
    assert (ended.state, ended.reason) == (State.FAILED, "busy, 40 times")


# The table of transitions

LATE = NOW + timedelta(days=1)
"""When `delivery()` has expired."""
TAKE: dict[Step, Callable[[Delivery], Delivery]] = {
    Step.CLAIM: lambda before: claim(before, NOW),
    Step.SUCCEED: lambda before: settle(before, Sent(), NOW, 0.5),
    Step.POSTPONE: lambda before: settle(before, Later("busy"), NOW, 0.5),
    Step.FAIL: lambda before: settle(before, Failed("550"), NOW, 0.5),
    Step.FORGET: lambda before: settle(before, Gone("410"), NOW, 0.5),
    Step.EXPIRE: lambda before: claim(before, LATE),
}
"""How each step is taken through the domain's two functions."""


@pytest.mark.parametrize(
    ("state", "step"), list(product(State, Step)), ids=lambda value: f"{type(value).__name__}-{value.value}"
)
def test_exactly_the_steps_of_the_table_can_be_taken(state: State, step: Step) -> None:
    before = delivery(state=state, attempts=1)
    expected = TRANSITIONS.get((state, step))
    if expected is None:
        with pytest.raises(IllegalStep):
            TAKE[step](before)
    else:
        assert TAKE[step](before).state is expected


@pytest.mark.parametrize("state", sorted(FINAL))
@pytest.mark.parametrize("outcome", [Sent(), Failed("550"), Gone("410"), Later("busy")])
def test_no_outcome_of_a_late_attempt_changes_what_has_ended(state: State, outcome: Any) -> None:
    """An attempt that outlived its lease comes back when the delivery has ended."""
    for attempts in (1, RETRY["mail"].attempts):
        with pytest.raises(IllegalStep):
            settle(delivery(state=state, attempts=attempts), outcome, NOW, 0.5)


def test_every_path_of_steps_ends_and_reaches_every_state() -> None:
    seen, todo = {State.WAITING}, [delivery()]
    while todo:
        before = todo.pop()
        for step, take in TAKE.items():
            if (before.state, step) in TRANSITIONS:
                after = take(before)
                if after.state not in seen:
                    seen.add(after.state)
                    todo.append(after)
    assert seen == set(State)
    assert FINAL == set(State) - {State.WAITING}
    assert {step for _, step in TRANSITIONS} == set(Step)
