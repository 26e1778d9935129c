"""How many people of a tenant are worked on at once: it follows what Microsoft says of its limits.

Additive increase, multiplicative decrease (RFC 5681's way with congestion): each answer in time allows a little more, a
429 or 503 halves it, and what Microsoft asks to wait, nothing new is begun.
"""

from dataclasses import dataclass, replace
from datetime import datetime, timedelta

from services.provisioning.domain.requests import GraphAnswer

LEAST = 1.0
FIRST = 10.0
HIGH_LOAD = 0.8
"""From this part of a limit on Microsoft says it in `x-ms-throttle-limit-percentage`, and we slow down."""
CALM = timedelta(seconds=2)
"""For so long after a decrease there is no other one: the answers of what was under way say the same thing again."""


@dataclass(frozen=True, slots=True)
class Pace:
    """`at_once`: how many may be under way, rounded down; nothing new before `not_before`."""

    most: int
    at_once: float = FIRST
    not_before: datetime | None = None
    slowed_at: datetime | None = None

    @property
    def limit(self) -> int:
        return max(1, min(self.most, int(self.at_once)))

    def free(self, under_way: int, now: datetime) -> int:
        """How many more may be begun now."""
        if self.not_before is not None and now < self.not_before:
            return 0
        return max(0, self.limit - under_way)


def paced(pace: Pace, answer: GraphAnswer, now: datetime) -> Pace:
    """The pace after an answer."""
    if answer.status in (429, 503, 504):
        slower = _slower(pace, 0.5, now)
        if answer.retry_after is None:
            return slower
        until = now + answer.retry_after
        return replace(slower, not_before=max(until, pace.not_before or until))
    if answer.load >= HIGH_LOAD:
        return _slower(pace, 0.8, now)
    if answer.ok:
        return replace(pace, at_once=min(float(pace.most), pace.at_once + 1 / max(pace.at_once, LEAST)))
    return pace


def _slower(pace: Pace, factor: float, now: datetime) -> Pace:
    if pace.slowed_at is not None and now - pace.slowed_at < CALM:
        return pace
    return replace(pace, at_once=max(LEAST, pace.at_once * factor), slowed_at=now)
