"""How far a tenant's people are, and when nothing will wait any more, by how it went in the last minutes."""

import math
from dataclasses import dataclass
from datetime import datetime, timedelta

from shared.contracts.provisioning import Progress

EVERY = timedelta(seconds=10)
"""Time between two counts of a tenant's people, at least: what is told of them is bounded by it."""
WINDOW = timedelta(minutes=5)
"""How far back the pace is measured. Longer than Microsoft's window of 150 s, in which it comes in bursts."""
SHORTEST = timedelta(seconds=20)
"""An estimate needs to have seen at least so much."""


@dataclass(frozen=True, slots=True)
class Counts:
    """A tenant's jobs by their state."""

    waiting: int
    done: int
    failed: int

    @property
    def ended(self) -> int:
        return self.done + self.failed


@dataclass(frozen=True, slots=True)
class Seen:
    """One earlier count: how many jobs had ended then."""

    at: datetime
    ended: int


History = tuple[Seen, ...]
"""The counts of the last minutes, oldest first. Kept in memory: a process that starts anew has to see again."""


def remembered(history: History, counts: Counts, now: datetime) -> History:
    """The history with this count; empty when nothing waits, so that the next work is measured from its beginning.

    Where fewer have ended than before, work came in: jobs that were done are due again, and what was seen says nothing
    of how they go.
    """
    if not counts.waiting:
        return ()
    if history and counts.ended < history[-1].ended:
        history = ()
    recent = tuple(seen for seen in history if now - seen.at <= WINDOW)
    return (*recent, Seen(now, counts.ended))


def progress(history: History, counts: Counts, now: datetime) -> Progress:
    """What is told of the count that was remembered last."""
    return Progress(
        waiting=counts.waiting,
        done=counts.done,
        failed=counts.failed,
        at=now,
        seconds_left=_seconds_left(history, counts, now),
    )


def _seconds_left(history: History, counts: Counts, now: datetime) -> int | None:
    if not history or not counts.waiting:
        return None
    first = history[0]
    ended, passed = counts.ended - first.ended, now - first.at
    if passed < SHORTEST or ended <= 0:
        return None
    return math.ceil(counts.waiting * passed.total_seconds() / ended)


def is_news(told: Progress | None, said: Progress) -> bool:
    """Whether a count says something else than the one that was told last."""
    return told is None or (told.waiting, told.done, told.failed) != (said.waiting, said.done, said.failed)
