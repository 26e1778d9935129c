"""The life of a delivery.

                       claim                     outcome
    waiting ---------------------> waiting ----------------> sent | failed | gone | expired
       ^     attempts + 1, and       |
       |     next_at is the lease    | later: next_at by the table below
       +-----------------------------+

An attempt is recorded before it is made. Whoever made it and died leaves a delivery that is due again when its
lease is over, so in that window (the other side said yes, our write was lost) a message may arrive twice: a
mail then has the same Message-ID, a push the same topic.
"""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from enum import StrEnum
from typing import Literal

Channel = Literal["mail", "push"]


class State(StrEnum):
    """Where a delivery stands. Every state but `waiting` is final."""

    WAITING = "waiting"
    SENT = "sent"
    """The other side took it on."""
    FAILED = "failed"
    """It will never be taken."""
    GONE = "gone"
    """The subscription does not exist any more."""
    EXPIRED = "expired"
    """Too late: nobody needs it any more."""


@dataclass(frozen=True, slots=True)
class Delivery:
    """One message to one address. What it says and where it goes stays sealed, and is dropped at the end."""

    id: str
    """`<sender>/<tenant>/<delivery>`: the same command twice is one delivery."""
    tenant: str
    channel: Channel
    kind: str
    destination: str
    """What it shares its slots with: a push host, or a digest of a mail domain."""
    place: str
    """Where `sealed` was sealed for."""
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
    """Of the last attempt that did not succeed: a code, never an address."""
    ended_at: datetime | None = None


@dataclass(frozen=True, slots=True)
class Sent:
    """The other side took it on."""


@dataclass(frozen=True, slots=True)
class Later:
    """Not now. `after`: the other side's own wish."""

    reason: str
    after: timedelta | None = None


@dataclass(frozen=True, slots=True)
class Failed:
    """Never."""

    reason: str


@dataclass(frozen=True, slots=True)
class Gone:
    """Never, and the subscription is to be forgotten."""

    reason: str


Outcome = Sent | Later | Failed | Gone


@dataclass(frozen=True, slots=True)
class Patience:
    """How a channel tries again: `first * 2^n`, at most `longest`, times 0.5 to 1.5 by chance."""

    first: timedelta
    longest: timedelta
    attempts: int


PATIENCE: Mapping[Channel, Patience] = {
    "push": Patience(timedelta(seconds=1), timedelta(seconds=30), 20),
    "mail": Patience(timedelta(seconds=30), timedelta(hours=1), 40),
}
LEASE = timedelta(seconds=60)
"""How long an attempt may take; longer than the gateways' own time-outs."""


def claim(delivery: Delivery, now: datetime) -> Delivery:
    """The delivery with an attempt begun, or expired. Whoever writes it makes the attempt."""
    if now >= delivery.expires_at:
        return _ended(delivery, State.EXPIRED, delivery.reason, now)
    return replace(delivery, attempts=delivery.attempts + 1, next_at=now + LEASE)


def settle(delivery: Delivery, outcome: Outcome, now: datetime, fraction: float) -> Delivery:
    """The delivery after its attempt. `fraction`: chance, 0 <= fraction < 1, so that retries do not come in waves."""
    match outcome:
        case Sent():
            return _ended(delivery, State.SENT, "", now)
        case Failed(reason):
            return _ended(delivery, State.FAILED, reason, now)
        case Gone(reason):
            return _ended(delivery, State.GONE, reason, now)
        case Later(reason, after):
            patience = PATIENCE[delivery.channel]
            if delivery.attempts >= patience.attempts:
                return _ended(delivery, State.FAILED, f"{reason}, {delivery.attempts} times", now)
            next_at = now + max(_delay(patience, delivery.attempts, fraction), after or timedelta())
            if next_at >= delivery.expires_at:
                return _ended(delivery, State.EXPIRED, reason, now)
            return replace(delivery, next_at=next_at, reason=reason)


def _delay(patience: Patience, attempts: int, fraction: float) -> timedelta:
    doublings: int = 2 ** min(attempts - 1, 30)
    return min(patience.first * doublings, patience.longest) * (0.5 + fraction)


def _ended(delivery: Delivery, state: State, reason: str, now: datetime) -> Delivery:
    return replace(delivery, state=state, reason=reason, ended_at=now, sealed="")
