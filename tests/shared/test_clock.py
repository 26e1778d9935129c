"""Time that a test moves, and time as it is written."""

import asyncio
from datetime import UTC, datetime, timedelta, timezone

import pytest

from shared.clock import ManualClock, SystemClock, iso_millis

START = datetime(2026, 11, 21, 20, 49, tzinfo=UTC)


def test_the_system_clock_is_utc_and_cut_to_milliseconds() -> None:
    now = SystemClock().now()
    assert now.utcoffset() == timedelta(0)
    assert now.microsecond % 1000 == 0
    assert SystemClock().monotonic() <= SystemClock().monotonic()


def test_a_manual_clock_stands_still_until_it_is_moved() -> None:
    clock = ManualClock(START)
    assert clock.now() == clock.now() == START
    clock.advance(1.5)
    assert clock.now() == START + timedelta(seconds=1.5)
    assert clock.monotonic() == 1.5
    clock.advance(-60)
    assert clock.now() < START


async def test_sleepers_wake_when_their_time_has_come_and_not_before() -> None:
    clock = ManualClock(START)
    short, long = asyncio.create_task(clock.sleep(1)), asyncio.create_task(clock.sleep(10))
    await asyncio.sleep(0)
    clock.advance(0.999)
    await asyncio.sleep(0)
    assert not short.done()
    clock.advance(0.001)
    await short
    assert not long.done()
    clock.advance(100)
    await long


async def test_a_sleep_of_nothing_ends_at_once_and_a_cancelled_sleeper_is_left_alone() -> None:
    clock = ManualClock(START)
    await clock.sleep(0)
    sleeper = asyncio.create_task(clock.sleep(1))
    await asyncio.sleep(0)
    sleeper.cancel()
    with pytest.raises(asyncio.CancelledError):
        await sleeper
    clock.advance(2)


@pytest.mark.parametrize(
    ("moment", "text"),
    [
        (START, "2026-11-21T20:49:00.000Z"),
        (START.replace(microsecond=999_999), "2026-11-21T20:49:00.999Z"),
        (START.astimezone(timezone(timedelta(hours=14))), "2026-11-21T20:49:00.000Z"),
        (datetime(2026, 1, 1, 0, 30, tzinfo=timezone(timedelta(hours=1))), "2025-12-31T23:30:00.000Z"),
    ],
)
def test_times_are_written_in_utc_with_milliseconds(moment: datetime, text: str) -> None:
    assert iso_millis(moment) == text
