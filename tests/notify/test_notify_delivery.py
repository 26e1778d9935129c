"""The life of a delivery, as a pure function."""

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from services.notify.domain.delivery import (
    LEASE,
    PATIENCE,
    Delivery,
    Failed,
    Gone,
    Later,
    Sent,
    State,
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
        "place": "place",
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
    patience = PATIENCE[waiting.channel]
    middle = min(patience.first * 2 ** (attempts - 1), patience.longest)
    assert middle * 0.5 <= wait <= middle * 1.5


def test_the_other_sides_wish_is_respected_when_it_is_longer() -> None:
    tried = claim(delivery(), NOW)
    assert settle(tried, Later("429", timedelta(minutes=20)), NOW, 0.0).next_at == NOW + timedelta(minutes=20)
    assert settle(tried, Later("429", timedelta(0)), NOW, 0.0).next_at == NOW + timedelta(seconds=15)


def test_a_retry_that_would_come_too_late_is_not_waited_for() -> None:
    tried = claim(delivery(channel="push", expires_at=NOW + timedelta(seconds=30)), NOW)
    assert settle(tried, Later("429", timedelta(seconds=30)), NOW, 0.0).state is State.EXPIRED


def test_gives_up_after_the_last_attempt() -> None:
    last = replace(delivery(), attempts=PATIENCE["mail"].attempts)
    ended = settle(last, Later("busy"), NOW, 0.0)
    assert (ended.state, ended.reason) == (State.FAILED, "busy, 40 times")
