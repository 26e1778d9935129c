"""What a follower knows of an owner and of each of its streams, and how that changes. Pure."""

from dataclasses import dataclass, replace
from datetime import datetime, timedelta

from shared.contracts.state import StreamAdvanced
from shared.projection.spans import Spans, holds, through, with_numbers, with_spans

ALARM_AFTER = timedelta(seconds=30)
"""Three heartbeats."""
CLOCK_TOLERANCE = timedelta(minutes=5)
"""An owner's clock may be behind ours by so much. A heartbeat older than that was not said just now: it waited
in a queue, and what it says is as old as it is."""
LOOKED_AT = timedelta(hours=1)
MAX_SPANS = 2000
MAX_MARKS = 32


@dataclass(frozen=True, slots=True)
class Mark:
    """When a number was first claimed."""

    number: int
    at: datetime


@dataclass(frozen=True, slots=True)
class StreamRecord:
    """One stream of an owner, as far as it is known here."""

    owner: str
    stream: str
    have: Spans = ()
    """Numbers received, void, or covered by a resync."""
    claimed: int = 0
    """All up to this one were sent or are void, the owner said."""
    marks: tuple[Mark, ...] = ()
    """For claims that are not met yet."""
    heard_at: datetime | None = None
    """The last heartbeat. None: only events so far, and perhaps last words."""
    closed: bool = False
    """The owner said that it is over."""
    live: bool = True
    """Still to be looked at."""
    touched_at: datetime | None = None

    def receive(self, numbers: frozenset[int], now: datetime) -> "StreamRecord":
        """With events that were handled. The same record when all were known."""
        if all(holds(self.have, n) for n in numbers):
            return self
        return replace(self, have=_bounded(with_numbers(self.have, numbers)), touched_at=now)._tidy()

    def advance(self, said: StreamAdvanced, said_at: datetime, now: datetime) -> "StreamRecord":
        """With a heartbeat. Heartbeats may come late, twice and in any order."""
        heard_at = self.heard_at
        if not said.closing:  # last words are no sign of life, and may wait in an outbox for long
            heard = min(now, said_at + CLOCK_TOLERANCE)
            heard_at = heard if heard_at is None else max(heard, heard_at)
        have = _bounded(with_numbers(self.have, (n for n in said.voided if 1 <= n <= said.number)))
        marks = self.marks
        if said.number > self.claimed:
            if len(marks) < MAX_MARKS:
                marks = (*marks, Mark(said.number, now))
            else:  # the last one stands for more than it should: such a gap looks older than it is, never younger
                marks = (*marks[:-1], Mark(said.number, marks[-1].at))
        return replace(
            self,
            have=have,
            claimed=max(self.claimed, said.number),
            marks=marks,
            heard_at=heard_at,
            closed=self.closed or said.closing,
            live=True,
            touched_at=now,
        )._tidy()

    def cover(self, number: int, *, ended: bool, now: datetime) -> "StreamRecord":
        """A resync that began when `number` was claimed is complete: all up to it is known.

        `ended`: the stream had fallen silent, and whatever it may have sent last is known too.
        """
        have = with_spans(self.have, [(1, number)] if number else [])
        return replace(self, have=have, live=self.live and not ended, touched_at=now)._tidy()

    def _tidy(self) -> "StreamRecord":
        reached = through(self.have)
        marks = tuple(mark for mark in self.marks if mark.number > reached)
        tidied = replace(self, marks=marks)
        # A process that lived is kept for a while: what it said last is the owner's last sign of life.
        return replace(tidied, live=self.live and not (tidied.settled and self.heard_at is None))

    @property
    def settled(self) -> bool:
        """The stream is over, and all of it is here."""
        return self.closed and not self.marks

    def missing_since(self) -> datetime | None:
        """When the oldest number that is still missing was claimed."""
        return self.marks[0].at if self.marks else None

    def silent_since(self, now: datetime, started: datetime) -> datetime | None:
        """Since when there were no heartbeats, though the stream is not over: its process may have crashed.

        `started`: when this process began to listen; before that it could not hear.
        """
        if self.heard_at is None or self.closed:
            return None
        since = max(self.heard_at, started)
        return since if now - since >= ALARM_AFTER else None

    def forgotten(self, now: datetime) -> bool:
        """Long ago, and nothing can be missing: the stream is settled, or nothing of it was ever claimed."""
        unclaimed = self.heard_at is None and not self.closed
        old = self.touched_at is not None and now - self.touched_at > LOOKED_AT
        return old and (unclaimed or self.settled)


def _bounded(spans: Spans) -> Spans:
    """Forget the highest numbers when there are too many holes: they will look missing, which a resync mends."""
    return spans[:MAX_SPANS]


@dataclass(frozen=True, slots=True)
class Covered:
    """A stream when a resync began."""

    stream: str
    number: int
    ended: bool


@dataclass(frozen=True, slots=True)
class Resync:
    """A resync under way."""

    id: str
    after: str
    """The page that was asked for last."""
    moved_at: datetime
    """When it was asked for."""
    covers: tuple[Covered, ...]


@dataclass(frozen=True, slots=True)
class OwnerRecord:
    """An owner, as far as it is known here."""

    owner: str
    synced_at: datetime | None = None
    """When the last resync was complete. None: never, the projection may be empty."""
    asked_at: datetime | None = None
    """When the last resync began."""
    wanted: str = ""
    """Somebody wants one, and why."""
    resync: Resync | None = None
