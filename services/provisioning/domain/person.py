"""The job of one person: its states, the one table that allows a step between them, and what is known of the user.

                      CLAIM               FINISH
    (touched) ---> waiting ---> working ---------> done
                      ^          |  ^  |
                      |  RELEASE |  |  | STOP
                      +----------+  |  +---------> failed
                      |     CLAIM, ADVANCE, POSTPONE: working stays working
                      +---- TOUCH from done and failed, RETRY from failed

A job has one document. Whoever claims it, by one conditional update, works on it until the lease ends; a process that
dies leaves it to the next claim. `next_at` of a job that is claimed is the end of its lease, otherwise the time of its
next attempt. So all jobs that are due are found by `next_at` alone.
"""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from enum import Enum, StrEnum

from services.provisioning.domain.wanted import Facts
from shared.contracts.envelope import OutgoingMessage
from shared.contracts.provisioning import Fault as FaultMessage
from shared.contracts.provisioning import PersonChanged
from shared.directory import FaultKey


class State(StrEnum):
    """The states of a job."""

    WAITING = "waiting"
    WORKING = "working"
    DONE = "done"
    """The directory is as the account is, as far as provisioning is to see to it."""
    FAILED = "failed"
    """Only another state of the account, a new connection or "Try again" leads on."""


class Move(Enum):
    """What changes a job's state."""

    TOUCH = "touch"
    """What the directory should have has changed."""
    CLAIM = "claim"
    ADVANCE = "advance"
    """A step succeeded, and there is another one."""
    POSTPONE = "postpone"
    RELEASE = "release"
    """Nobody's job goes on now, because the connection does not work."""
    FINISH = "finish"
    STOP = "stop"
    RETRY = "retry"


TRANSITIONS: Mapping[tuple[State, Move], State] = {
    (State.WAITING, Move.TOUCH): State.WAITING,
    (State.WAITING, Move.CLAIM): State.WORKING,
    (State.WORKING, Move.TOUCH): State.WORKING,
    (State.WORKING, Move.CLAIM): State.WORKING,
    (State.WORKING, Move.ADVANCE): State.WORKING,
    (State.WORKING, Move.POSTPONE): State.WORKING,
    (State.WORKING, Move.RELEASE): State.WAITING,
    (State.WORKING, Move.FINISH): State.DONE,
    (State.WORKING, Move.STOP): State.FAILED,
    (State.DONE, Move.TOUCH): State.WAITING,
    (State.FAILED, Move.TOUCH): State.WAITING,
    (State.FAILED, Move.RETRY): State.WAITING,
}
"""Every move that exists. `_moved` makes each successor of a job and refuses any other pair."""

LEASE = timedelta(seconds=120)
"""How long a process has for one step, unless the operator's settings make it another time."""
FIRST_WAIT = timedelta(seconds=2)
LONGEST_WAIT = timedelta(minutes=15)
VISIBLE_WITHIN = timedelta(minutes=5)
"""For so long after a write the directory may answer as if it had not been made."""
CLOCK_SKEW = timedelta(minutes=5)
"""How far the directory's clock may be from ours."""
MAX_REVOKED = 200
"""Authenticators whose end is remembered as dealt with, the latest."""


class IllegalMove(Exception):
    """The table has no such move: a fault of ours."""


@dataclass(frozen=True, slots=True)
class Fault:
    """Why a job does not get on; `shared.contracts.provisioning.Fault` is what others are told."""

    key: FaultKey
    at: datetime
    code: str = ""
    words: str = ""
    request_id: str = ""

    def message(self) -> FaultMessage:
        """As it stands in messages."""
        return FaultMessage(
            key=self.key, code=self.code, words=self.words, request_id=self.request_id, at=self.at
        )


@dataclass(frozen=True, slots=True)
class Told:
    """What others were told of the job last: the state that its state event carries."""

    version: int
    state: State
    at: datetime
    object_id: str = ""
    step: str = ""
    fault: Fault | None = None
    request_id: str = ""
    role_holder: bool | None = None


@dataclass(frozen=True, slots=True)
class Person:
    """The job of one account, with all that is known of its user."""

    tenant: str
    account: str
    told: Told
    next_at: datetime
    state: State = State.WAITING
    urgent: bool = False
    """Whether somebody is to be kept out: goes before all that is not."""
    seen_account: int = 0
    seen_profile: int = 0
    """`order` of the account and the profile that touched it last."""
    claims: int = 0
    """Counts the claims: the outcome of a step counts only under the claim that took it."""
    attempts: int = 0
    """Attempts at the present step."""
    step: str = ""
    fault: Fault | None = None
    request_id: str = ""
    object_id: str = ""
    linked_at: datetime | None = None
    """When the user was created or found."""
    applied: Facts | None = None
    """What the user has, as it was told last, or was read to have when it was found."""
    sure: bool = False
    """Whether `object_id`, `applied` and `deleted` hold; otherwise the user is looked for before anything else."""
    deleted: bool = False
    """Whether the user is among the deleted ones."""
    synced: bool = False
    """Whether directory synchronisation keeps the user."""
    begun_at: datetime | None = None
    """When its creation was attempted first: a user that is not linked may exist since then, and be ours."""
    conflicts: int = 0
    """How often the directory said that something of the new user exists already."""
    epoch: int = 0
    """The account's epoch up to which Microsoft's sessions are revoked."""
    to_revoke: tuple[str, ...] = ()
    """Authenticators that ended, and Microsoft's sessions are not revoked since."""
    revoked: tuple[str, ...] = ()
    """Authenticators whose end was dealt with."""
    role_holder: bool | None = None
    """Whether the user holds a directory role, as it was read last; None: not known."""
    role_user: str = ""
    """The object id of the user of whom that was read."""

    @property
    def id(self) -> str:
        """Its `_id`."""
        return f"{self.tenant}/{self.account}"

    @property
    def open(self) -> bool:
        """Whether there is something to do."""
        return self.state in (State.WAITING, State.WORKING)

    def event(self) -> PersonChanged:
        """What others were told last."""
        told = self.told
        return PersonChanged(
            version=told.version,
            account=self.account,
            state=told.state.value,
            object_id=told.object_id,
            step=told.step,
            fault=told.fault and told.fault.message(),
            request_id=told.request_id,
            at=told.at,
            holds_directory_role=told.role_holder,
        )

    def announced(self) -> OutgoingMessage:
        """`provisioning.person.changed.v1`."""
        return OutgoingMessage(self.event(), self.tenant)


def begun(tenant: str, account: str, now: datetime) -> Person:
    """The job of an account that has had none. It is as if it were done at version 0, until it is touched."""
    return Person(tenant, account, Told(0, State.DONE, now), now, state=State.DONE)


def touched(
    person: Person, account: int, profile: int, now: datetime, *, urgent: bool = False
) -> Person | None:
    """The job after news of that order; None when they are no news."""
    if account <= person.seen_account and profile <= person.seen_profile:
        return None
    seen = replace(
        person,
        seen_account=max(account, person.seen_account),
        seen_profile=max(profile, person.seen_profile),
    )
    return _due(seen, now, urgent=urgent)


def sessions_ended(person: Person, authenticator: str, now: datetime) -> Person | None:
    """The job after an authenticator of the person ended: Microsoft's sessions end with it. None: dealt with already.

    While no user is linked there is nothing to revoke, and that is final: what was before a connection is no news.
    """
    if authenticator in (*person.to_revoke, *person.revoked):
        return None
    if not person.object_id and person.begun_at is None:
        return replace(person, revoked=(*person.revoked, authenticator)[-MAX_REVOKED:])
    return _due(replace(person, to_revoke=(*person.to_revoke, authenticator)), now, urgent=True)


def asked_again(person: Person, now: datetime) -> Person:
    """The job after "Try again", or after another connection was set. Raises IllegalMove unless it has failed."""
    moved = _moved(person, Move.RETRY)
    return _tell(replace(moved, next_at=now, attempts=0, conflicts=0, fault=None, sure=False), now)


def claimed(person: Person, now: datetime, *, creating: bool, lease: timedelta = LEASE) -> Person:
    """The job, taken by a process until the lease ends. `creating`: its user may be made under this claim."""
    return replace(
        _moved(person, Move.CLAIM),
        next_at=now + lease,
        claims=person.claims + 1,
        attempts=person.attempts + 1,
        begun_at=person.begun_at or (now if creating else None),
    )


def advanced(person: Person, now: datetime, request_id: str, lease: timedelta = LEASE) -> Person:
    """The job after a step that succeeded."""
    return replace(
        _moved(person, Move.ADVANCE),
        next_at=now + lease,
        attempts=1,
        conflicts=0,
        fault=None,
        step="",
        request_id=request_id or person.request_id,
    )


def postponed(person: Person, fault: Fault, wait: timedelta, now: datetime, step: str) -> Person:
    """The job after an attempt that another one may mend. Told from the second attempt on: the first is nothing yet."""
    after = replace(
        _moved(person, Move.POSTPONE),
        next_at=now + wait,
        fault=fault,
        step=step,
        request_id=fault.request_id or person.request_id,
    )
    return _tell(after, now) if after.attempts > 1 else after


def released(person: Person, until: datetime) -> Person:
    """The job as if nobody had claimed it."""
    return replace(_moved(person, Move.RELEASE), next_at=until, attempts=0)


def finished(person: Person, now: datetime) -> Person:
    """The job when nothing is left to do."""
    after = replace(
        _moved(person, Move.FINISH),
        attempts=0,
        conflicts=0,
        fault=None,
        step="",
        urgent=False,
        to_revoke=(),  # where there is no user there is nothing to revoke
        revoked=(*person.revoked, *person.to_revoke)[-MAX_REVOKED:],
    )
    return _tell(after, now)


def stopped(person: Person, fault: Fault, now: datetime, step: str) -> Person:
    """The job after an answer that no other attempt would mend."""
    after = replace(
        _moved(person, Move.STOP),
        fault=fault,
        step=step,
        urgent=False,
        request_id=fault.request_id or person.request_id,
    )
    return _tell(after, now)


def wait_after(attempts: int, asked: timedelta | None, fraction: float) -> timedelta:
    """How long until the next attempt: what Microsoft asks for, or 2 s, 4 s, 8 s ... up to 15 min, each times a random
    factor from 0.5 to 1.5 (`fraction`: 0 <= fraction < 1). What was asked for is never shortened; up to a tenth more
    spreads those that were told the same time.
    """
    if asked is not None:
        return asked * (1 + fraction / 10)
    doublings: int = 2 ** min(max(attempts, 1) - 1, 20)
    return min(FIRST_WAIT * doublings, LONGEST_WAIT) * (0.5 + fraction)


def is_fresh(person: Person, now: datetime) -> bool:
    """Whether the directory may not show the user everywhere yet."""
    return person.linked_at is not None and now - person.linked_at < VISIBLE_WITHIN


def _due(person: Person, now: datetime, *, urgent: bool) -> Person:
    """A claimed job stays claimed: whoever works on it sees at the end that there is more to do."""
    moved = _moved(person, Move.TOUCH)
    urgent = urgent or person.urgent
    if person.state is State.WORKING:
        return replace(moved, urgent=urgent)
    return _tell(replace(moved, urgent=urgent, next_at=now, attempts=0, conflicts=0, fault=None), now)


def roles_read(person: Person, user: str, *, holds: bool) -> Person:
    """The job after it was read whether that user holds a directory role.

    A holder stays one until that very user is seen without: another user, which was made later or in another directory,
    says nothing of it. Otherwise whoever may set the connection could end a holder's protection by leading it
    elsewhere.
    """
    if person.role_holder and not holds and person.role_user not in ("", user):
        return person
    return replace(person, role_holder=holds, role_user=user)


def _tell(person: Person, now: datetime) -> Person:
    """The job with what others are to be told; the same when that is what they know."""
    told = person.told
    fault = person.fault
    why = told.fault and (told.fault.key, told.fault.code)
    known = (told.state, told.object_id, told.step, why, told.role_holder)
    now_why = fault and (fault.key, fault.code)
    said = (person.state, person.object_id, person.step, now_why, person.role_holder)
    if known == said and told.version:
        return person
    new = Told(
        version=told.version + 1,
        state=person.state,
        at=now,
        object_id=person.object_id,
        step=person.step,
        fault=fault,
        request_id=person.request_id,
        role_holder=person.role_holder,
    )
    return replace(person, told=new)


def _moved(person: Person, move: Move) -> Person:
    """The job in the state that the table gives for this move."""
    state = TRANSITIONS.get((person.state, move))
    if state is None:
        raise IllegalMove(f"{move.value} of a job that is {person.state.value}")
    return replace(person, state=state)
