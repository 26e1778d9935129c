"""The life of a delivery: its states, the steps between them, and the one table that allows a step.

                     CLAIM: attempts + 1, next_at is the end of the lease
                    +------+
                    v      |    SUCCEED
    (kept) ------> waiting ---+---------> sent
                    ^      |  |  FAIL
                    +------+  +---------> failed
                   POSTPONE:  |  FORGET
         next_at is the time  +---------> gone
         of the next attempt  |  EXPIRE
                              +---------> expired

An attempt is recorded before it is made. If the process dies during an attempt, the delivery is due again when the
lease is over. A message may therefore arrive twice, when the other side accepted it and our record of that was lost:
a mail then has the same Message-ID, a push the same topic.
"""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from enum import Enum, StrEnum
from typing import Literal

Channel = Literal["mail", "push"]


class State(StrEnum):
    """The states of a delivery."""

    WAITING = "waiting"
    SENT = "sent"
    """The mail server or push service accepted it."""
    FAILED = "failed"
    """The other side refused it for good, or every attempt failed."""
    GONE = "gone"
    """The push subscription does not exist any more."""
    EXPIRED = "expired"
    """The delivery's time was over before it could be sent."""


class Step(Enum):
    """The steps that change a delivery's state."""

    CLAIM = "claim"
    """A process takes the delivery for one attempt."""
    SUCCEED = "succeed"
    POSTPONE = "postpone"
    """The attempt did not succeed; there will be another."""
    FAIL = "fail"
    FORGET = "forget"
    """The push service does not know the subscription."""
    EXPIRE = "expire"


TRANSITIONS: Mapping[tuple[State, Step], State] = {
    (State.WAITING, Step.CLAIM): State.WAITING,
    (State.WAITING, Step.POSTPONE): State.WAITING,
    (State.WAITING, Step.SUCCEED): State.SENT,
    (State.WAITING, Step.FAIL): State.FAILED,
    (State.WAITING, Step.FORGET): State.GONE,
    (State.WAITING, Step.EXPIRE): State.EXPIRED,
}
"""Every step that exists. `_after` makes each successor of a delivery and refuses any other pair."""

FINAL = frozenset(State) - {state for state, _ in TRANSITIONS}
"""The states that nothing leads out of."""


class IllegalStep(Exception):
    """The table has no such step: a fault of ours, since handlers are given waiting deliveries only."""


@dataclass(frozen=True, slots=True)
class Delivery:
    """One message to one address. Its content and its address stay sealed, and are dropped when it ends."""

    id: str
    """`<sender>/<tenant>/<delivery>`: the same command twice is one delivery."""
    tenant: str
    channel: Channel
    kind: str
    destination: str
    """Deliveries with the same destination share slots: a push service's host, or a digest of a mail domain."""
    associated_data: str
    """What `sealed` was bound to when it was sealed; it opens with no other."""
    sealed: str
    correlation: str
    created_at: datetime
    next_at: datetime
    expires_at: datetime
    account: str = ""
    subscription: str = ""
    state: State = State.WAITING
    attempts: int = 0
    reason: str = ""
    """Why the last attempt did not succeed: a code, never an address."""
    ended_at: datetime | None = None

    @property
    def name(self) -> str:
        """What its sender calls it."""
        return self.id.rpartition("/")[2]


@dataclass(frozen=True, slots=True)
class Sent:
    """The other side accepted the message."""


@dataclass(frozen=True, slots=True)
class Later:
    """The attempt failed and another may succeed. `after`: the shortest wait that the other side asked for."""

    reason: str
    after: timedelta | None = None


@dataclass(frozen=True, slots=True)
class Failed:
    """The message was refused for good."""

    reason: str


@dataclass(frozen=True, slots=True)
class Gone:
    """The subscription does not exist any more; its owner is to forget it."""

    reason: str


Outcome = Sent | Later | Failed | Gone


@dataclass(frozen=True, slots=True)
class RetryPolicy:
    """When a channel tries again: after `first * 2^n`, at most `longest`, times a random factor from 0.5 to 1.5."""

    first: timedelta
    longest: timedelta
    attempts: int


RETRY: Mapping[Channel, RetryPolicy] = {
    "push": RetryPolicy(timedelta(seconds=1), timedelta(seconds=30), 20),
    "mail": RetryPolicy(timedelta(seconds=30), timedelta(hours=1), 40),
}
LEASE = timedelta(seconds=60)
"""How long an attempt may take; longer than the gateways' own time-outs."""


def claim(delivery: Delivery, now: datetime) -> Delivery:
    """The delivery with an attempt begun, or expired. The process whose write of it succeeds makes the attempt.

    Raises IllegalStep when the delivery has ended.
    """
    if now >= delivery.expires_at:
        return _ended(delivery, Step.EXPIRE, delivery.reason, now)
    return replace(
        _after(delivery, Step.CLAIM),
        attempts=delivery.attempts + 1,
        next_at=now + LEASE,
    )


def settle(delivery: Delivery, outcome: Outcome, now: datetime, fraction: float) -> Delivery:
    """The delivery after its attempt. Raises IllegalStep when the delivery has ended.

    `fraction`: a random number, 0 <= fraction < 1, which spreads retries that would otherwise come at once.
    """
    match outcome:
        case Sent():
            return _ended(delivery, Step.SUCCEED, "", now)
        case Failed(reason):
            return _ended(delivery, Step.FAIL, reason, now)
        case Gone(reason):
            return _ended(delivery, Step.FORGET, reason, now)
        case Later(reason, after):
            retry = RETRY[delivery.channel]
            if delivery.attempts >= retry.attempts:
                return _ended(delivery, Step.FAIL, f"{reason}, {delivery.attempts} times", now)
            next_at = now + max(_delay(retry, delivery.attempts, fraction), after or timedelta())
            if next_at >= delivery.expires_at:
                return _ended(delivery, Step.EXPIRE, reason, now)
            return replace(_after(delivery, Step.POSTPONE), next_at=next_at, reason=reason)


def _delay(retry: RetryPolicy, attempts: int, fraction: float) -> timedelta:
    doublings: int = 2 ** min(attempts - 1, 30)
    return min(retry.first * doublings, retry.longest) * (0.5 + fraction)


def _ended(delivery: Delivery, step: Step, reason: str, now: datetime) -> Delivery:
    return replace(_after(delivery, step), reason=reason, ended_at=now, sealed="")


def _after(delivery: Delivery, step: Step) -> Delivery:
    """The delivery in the state that the table gives for this step."""
    state = TRANSITIONS.get((delivery.state, step))
    if state is None:
        raise IllegalStep(f"{step.value} of a delivery that is {delivery.state.value}")
    return replace(delivery, state=state)
