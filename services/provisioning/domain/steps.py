"""Which single step brings a user nearer to how it is to be, and what the person's job is after it succeeded.

`STEPS` is the table of all steps in the order in which they are taken: the first whose condition holds is the next.
Who is to be kept out is kept out first, and let in last. A user that is there is found before one is made.
"""

from collections.abc import Callable
from dataclasses import dataclass, replace
from datetime import datetime
from enum import StrEnum

from services.provisioning.domain.person import CLOCK_SKEW, MAX_REVOKED, Person
from services.provisioning.domain.wanted import Account, Facts, Presence, Wanted, name_fault
from shared.directory import FaultKey


class Step(StrEnum):
    """What is done at the directory."""

    FIND = "find"
    """Look for the user: by the stored object id, by ImmutableID, among the deleted ones."""
    ADOPT = "adopt"
    """Take over a user that somebody else made with this account's ImmutableID, unless it holds a directory role."""
    DELETE = "delete"
    RESTORE = "restore"
    CREATE = "create"
    DISABLE = "disable"
    REVOKE = "revoke"
    """Revoke Microsoft's sessions."""
    RENAME = "rename"
    UPDATE = "update"
    LICENSE = "license"
    ENABLE = "enable"


@dataclass(frozen=True, slots=True)
class User:
    """A user of the directory as it was read."""

    object_id: str
    immutable_id: str
    facts: Facts
    synced: bool = False
    created_at: datetime | None = None


@dataclass(frozen=True, slots=True)
class Finding:
    """What a look-up found. At most one of the two is there."""

    user: User | None = None
    deleted: User | None = None


class NotOurs(Exception):
    """The user that was found may not be touched. `key` says why."""

    def __init__(self, key: FaultKey) -> None:
        super().__init__(key.value)
        self.key = key


def _may_be_there(wanted: Wanted, person: Person) -> bool:
    """Whether there may be a user of this account that concerns us. Never linked and never made here: no removal or
    suspension may touch it, since it is somebody else's work.
    """
    return wanted.presence is Presence.PRESENT or bool(person.object_id) or person.begun_at is not None


def _is_live(person: Person) -> bool:
    return bool(person.object_id) and not person.deleted


def _changes(wanted: Wanted, person: Person) -> bool:
    """Whether properties of a live user are to be as `wanted` says."""
    return wanted.presence in (Presence.PRESENT, Presence.KEPT) and _is_live(person)


def _describes(wanted: Wanted, person: Person) -> bool:
    """The same for names and licences. An account that was removed for good has none any more, so those that the user
    has stay.
    """
    return _changes(wanted, person) and bool(wanted.facts.upn)


def _has(person: Person) -> Facts:
    assert person.applied is not None, "a user that was found or made has facts"
    return person.applied


STEPS: tuple[tuple[Step, Callable[[Wanted, Person], bool]], ...] = (
    (Step.FIND, lambda w, p: not p.sure and _may_be_there(w, p)),
    (Step.DELETE, lambda w, p: w.presence is Presence.ABSENT and _is_live(p)),
    (Step.RESTORE, lambda w, p: w.presence is Presence.PRESENT and bool(p.object_id) and p.deleted),
    (Step.CREATE, lambda w, p: w.presence is Presence.PRESENT and not p.object_id),
    (Step.DISABLE, lambda w, p: _changes(w, p) and _has(p).enabled and not w.facts.enabled),
    (Step.REVOKE, lambda w, p: _is_live(p) and (p.epoch != w.epoch or bool(p.to_revoke))),
    (Step.RENAME, lambda w, p: _describes(w, p) and _has(p).upn.lower() != w.facts.upn.lower()),
    (Step.UPDATE, lambda w, p: _describes(w, p) and bool(changed_names(w.facts, _has(p)))),
    (Step.LICENSE, lambda w, p: _describes(w, p) and w.facts.licences != _has(p).licences),
    (Step.ENABLE, lambda w, p: _changes(w, p) and w.facts.enabled and not _has(p).enabled),
)
"""Conditions see what is known: `applied` is not None wherever a user is live and `sure`."""


def concerns(account: Account, person: Person) -> bool:
    """Whether the account needs a job. One that was removed or suspended before it ever had a user needs none."""
    return bool(person.told.version) or account.status.can_sign_in


def next_step(wanted: Wanted, person: Person) -> Step | None:
    """The next step; None when nothing is left to do."""
    return next((step for step, is_due in STEPS if is_due(wanted, person)), None)


def changed_names(new: Facts, old: Facts) -> tuple[str, ...]:
    """Fields of `Facts` that one PATCH sets, and that differ. A usage location is never taken away."""
    names = [
        name for name in ("display_name", "given_name", "surname") if getattr(new, name) != getattr(old, name)
    ]
    if new.usage_location and new.usage_location != old.usage_location:
        names.append("usage_location")
    return tuple(names)


def precheck(step: Step, wanted: Wanted, person: Person) -> FaultKey | None:
    """Why the step would fail whatever the directory says; None when it may succeed."""
    if step in (Step.CREATE, Step.RENAME) and (fault := name_fault(wanted.facts.upn)):
        return fault
    needs_location = step is Step.LICENSE and wanted.facts.licences
    if needs_location and not (wanted.facts.usage_location or _has(person).usage_location):
        return FaultKey.LOCATION_MISSING
    changes = (Step.DELETE, Step.DISABLE, Step.RENAME, Step.UPDATE, Step.ENABLE)
    return FaultKey.DIRECTORY_SYNCED if step in changes and person.synced else None


def found(finding: Finding, wanted: Wanted, person: Person) -> tuple[Person, User | None]:
    """The job after a look-up, and the user that is to be adopted first, if there is one.

    A user is ours without further ado when it is the one that was linked. One that was made since we began to make it
    is ours most likely, since the answer to our own POST was lost; but that may be long ago, so its roles are asked for
    too. Those of a deleted user cannot be read, and it would come back with them: only the one that was linked is
    restored. Raises NotOurs.
    """
    user, gone = finding.user, finding.deleted
    nobody = replace(person, object_id="", applied=None, deleted=False, sure=True, synced=False)
    if user is None:
        if gone is None or gone.immutable_id != wanted.immutable_id:
            return nobody, None
        if gone.object_id == person.object_id:
            return replace(person, applied=gone.facts, deleted=True, sure=True, synced=gone.synced), None
        if wanted.presence is Presence.PRESENT:
            raise NotOurs(FaultKey.DELETED_USER)
        return nobody, None
    if user.immutable_id != wanted.immutable_id:
        raise NotOurs(FaultKey.OTHER_IDENTITY)
    if user.object_id == person.object_id:
        return linked(person, user, wanted, None), None
    if wanted.presence is Presence.PRESENT or is_known(user, person):
        return person, user
    # Somebody made it, and the person is not to be let in: not ours to touch.
    return nobody, None


def is_known(user: User, person: Person) -> bool:
    """Whether it is the user that was linked, or one that was made since our own POST."""
    if user.object_id == person.object_id:
        return True
    if person.begun_at is None or user.created_at is None:
        return False
    return user.created_at >= person.begun_at - CLOCK_SKEW


def linked(person: Person, user: User, wanted: Wanted, at: datetime | None) -> Person:
    """The job with that user. `at`: when it became ours, for one that is new to us; sessions from before are no news.

    Of the licences that it has, only those that were assigned from here are ours to remove.
    """
    known = user.object_id == person.object_id and person.applied is not None
    licences = person.applied.licences if known and person.applied is not None else ()
    given = tuple(sku for sku in licences if sku in user.facts.licences)
    return replace(
        person,
        object_id=user.object_id,
        applied=replace(user.facts, licences=given),
        deleted=False,
        sure=True,
        synced=user.synced,
        linked_at=at or person.linked_at or person.begun_at,
        epoch=person.epoch if known else wanted.epoch,
        to_revoke=person.to_revoke if known else (),
        conflicts=0,
    )


def succeeded(step: Step, wanted: Wanted, person: Person, now: datetime, object_id: str = "") -> Person:
    """What is known of the user after a step that the directory took. `object_id`: of one that it made."""
    facts = wanted.facts
    match step:
        case Step.CREATE:
            made = replace(facts, licences=())
            return replace(
                person,
                object_id=object_id,
                applied=made,
                deleted=False,
                sure=True,
                synced=False,
                linked_at=now,
                epoch=wanted.epoch,
                to_revoke=(),
                revoked=(*person.revoked, *person.to_revoke),
            )
        case Step.DELETE:
            return replace(person, deleted=True)
        case Step.RESTORE:
            # It comes back with what it had, perhaps under another name: to be read.
            return replace(person, deleted=False, sure=False, linked_at=now)
        case Step.REVOKE:
            return sessions_revoked(person, wanted.epoch, person.to_revoke)
        case Step.FIND | Step.ADOPT:
            return person
    old = _has(person)
    match step:
        case Step.DISABLE:
            return replace(person, applied=replace(old, enabled=False))
        case Step.ENABLE:
            return replace(person, applied=replace(old, enabled=True))
        case Step.RENAME:
            return replace(person, applied=replace(old, upn=facts.upn))
        case Step.UPDATE:
            told = {name: getattr(facts, name) for name in changed_names(facts, old)}
            return replace(person, applied=replace(old, **told))
        case Step.LICENSE:
            return replace(person, applied=replace(old, licences=facts.licences))


def sessions_revoked(person: Person, epoch: int, authenticators: tuple[str, ...]) -> Person:
    """The job after Microsoft's sessions were revoked for that epoch and those authenticators, and no later ones."""
    return replace(
        person,
        epoch=epoch,
        to_revoke=tuple(each for each in person.to_revoke if each not in authenticators),
        revoked=(*person.revoked, *authenticators)[-MAX_REVOKED:],
    )
