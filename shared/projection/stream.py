"""The owner's side of numbering: which numbers were given out, and what became of each."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from shared.clock import Clock
from shared.contracts.envelope import Packet
from shared.ids import Ids, new_id

UNKNOWN_AFTER = timedelta(seconds=60)
"""A number of which nothing was heard for so long counts as used. Longer than any write takes to fail."""
VOID_REMEMBERED = timedelta(hours=1)
MAX_VOIDED = 2000
"""Void numbers in one heartbeat, the newest. A follower that misses an older one asks for everything."""


@dataclass(frozen=True, slots=True)
class Advance:
    """How far a stream is: every number up to `number` was used, except the voided ones."""

    number: int
    voided: tuple[int, ...]


class StateStream:
    """The stream of one process. Implements `envelope.Numbering` and `outbox.Decisions`.

    A number is taken when a state event is signed, before it is known whether its write will happen:

        taken --written--> used
          |---dropped----> void      the condition of the write did not hold
          +---60 s-------> used      not known (the database did not answer): a follower that misses it asks again
    """

    def __init__(self, clock: Clock, ids: Ids) -> None:
        self._clock = clock
        self._id = new_id(ids)
        self._last = 0
        self._taken: dict[str, tuple[int, datetime]] = {}  # in the order of their numbers
        self._voided: dict[int, datetime] = {}

    @property
    def id(self) -> str:
        """Random, so that a process that starts again has another."""
        return self._id

    def take(self, packet: str) -> int:
        self._last += 1
        self._taken[packet] = (self._last, self._clock.now())
        return self._last

    def written(self, packets: Sequence[Packet]) -> None:
        for packet in packets:
            self._taken.pop(packet.id, None)

    def dropped(self, packets: Sequence[Packet]) -> None:
        for packet in packets:
            if taken := self._taken.pop(packet.id, None):
                self._voided[taken[0]] = self._clock.now()

    def advance(self) -> Advance:
        """How far the stream is now."""
        now = self._clock.now()
        for packet, (_, at) in list(self._taken.items()):
            if now - at < UNKNOWN_AFTER:
                break
            del self._taken[packet]
        for number, at in list(self._voided.items()):
            if now - at >= VOID_REMEMBERED or len(self._voided) > MAX_VOIDED:
                del self._voided[number]
        decided = next(iter(self._taken.values()))[0] - 1 if self._taken else self._last
        return Advance(decided, tuple(n for n in self._voided if n <= decided))

    def end(self) -> Advance:
        """Everything that was ever taken, for the last message of the process."""
        self._taken.clear()
        return Advance(self._last, self.advance().voided)
