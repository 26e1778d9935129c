"""The only place where time comes from.

Everything that needs the time takes a `Clock`, so that a test can hold it still and an
attack that depends on time can be written down. Times are aware datetimes in UTC.
"""

import asyncio
import time
from datetime import UTC, datetime, timedelta
from typing import Protocol


class Clock(Protocol):
    """A source of wall time and of waiting."""

    def now(self) -> datetime:
        """The time now, aware, in UTC, cut to milliseconds (what MongoDB and SAML keep)."""
        ...

    def monotonic(self) -> float:
        """Seconds on a clock that never goes back; for measuring only."""
        ...

    async def sleep(self, seconds: float) -> None:
        """Wait for that many seconds of this clock."""
        ...


class SystemClock:
    """The machine's own clock."""

    def now(self) -> datetime:
        now = datetime.now(UTC)  # noqa: TID251 - the one allowed place
        return now.replace(microsecond=now.microsecond // 1000 * 1000)

    def monotonic(self) -> float:
        return time.monotonic()

    async def sleep(self, seconds: float) -> None:
        await asyncio.sleep(seconds)


class ManualClock:
    """A clock that moves only when it is told to: `advance()` wakes who waited long enough."""

    def __init__(self, start: datetime) -> None:
        self._start = self._now = start
        self._sleepers: list[tuple[datetime, asyncio.Future[None]]] = []

    def now(self) -> datetime:
        return self._now

    def monotonic(self) -> float:
        return (self._now - self._start).total_seconds()

    async def sleep(self, seconds: float) -> None:
        if seconds <= 0:
            await asyncio.sleep(0)
            return
        future: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._sleepers.append((self._now + timedelta(seconds=seconds), future))
        await future

    def advance(self, seconds: float) -> None:
        """Move forward (or, negative, back: a clock that was set wrong)."""
        self._now += timedelta(seconds=seconds)
        due = [s for s in self._sleepers if s[0] <= self._now]
        self._sleepers = [s for s in self._sleepers if s[0] > self._now]
        for _, future in due:
            if not future.done():
                future.set_result(None)


def iso_millis(moment: datetime) -> str:
    """UTC with milliseconds and `Z`, e.g. `2026-11-21T20:49:00.000Z` (the form SAML and our messages use)."""
    return moment.astimezone(UTC).isoformat(timespec="milliseconds").removesuffix("+00:00") + "Z"
