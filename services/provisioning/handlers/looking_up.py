"""Looks for a person's user in the directory (docs/flows/provisioning.md, step 6).

Graph has no idempotency key: what became of a request without an answer is found out here. The user is looked for by
its object id, then by ImmutableID, then among the deleted ones, and after a conflict by its name.
"""

import asyncio
from collections.abc import Sequence

from services.provisioning.domain import requests
from services.provisioning.domain.person import Person, is_fresh
from services.provisioning.domain.requests import GraphAnswer, read_user
from services.provisioning.domain.steps import Finding, NotOurs, User
from services.provisioning.domain.wanted import Wanted
from services.provisioning.ports import Dependencies, Target
from shared.directory import FaultKey

MAX_CONFLICTS = 7
"""So often the directory may say that something exists which nobody finds: with the waits between, four minutes."""


class NotAnswered(Exception):
    """A look-up got no result; `answer` says why."""

    def __init__(self, answer: GraphAnswer) -> None:
        super().__init__(str(answer.status))
        self.answer = answer


class HeldByOurs(Exception):
    """The name belongs to another person of ours whose job is under way: it may be free soon."""


async def find(deps: Dependencies, target: Target, wanted: Wanted, person: Person) -> Finding:
    """What the directory has of the person. Raises NotAnswered, NotOurs, HeldByOurs, SignInFailed."""
    if person.object_id and not person.deleted:
        answer = await _ask(deps, target, requests.user_by_id(person.object_id), none_is=(404,))
        if answer.status == 404 and is_fresh(person, deps.clock.now()):
            raise NotAnswered(answer)  # normal right after it was made
        if answer.ok and (user := read_user(answer.body)) is not None:
            return Finding(user=user)
    live, deleted = await asyncio.gather(
        _ask(deps, target, requests.users_by_immutable_id(wanted.immutable_id)),
        _ask(deps, target, requests.deleted_by_immutable_id(wanted.immutable_id)),
    )
    user = _exactly(wanted.immutable_id, live)
    if user is not None:
        return Finding(user=user)
    if person.conflicts:
        holder = await _holder(deps, target, wanted, person)
        if holder is not None:
            return Finding(user=holder)
    return Finding(deleted=_exactly(wanted.immutable_id, deleted))


async def _holder(deps: Dependencies, target: Target, wanted: Wanted, person: Person) -> User | None:
    """The user whose name the new one was to have, if it is ours after all. Raises NotOurs, HeldByOurs."""
    answer = await _ask(deps, target, requests.users_by_name(wanted.facts.upn))
    for user in _users(answer):
        if user.facts.upn.lower() != wanted.facts.upn.lower():
            continue
        if user.immutable_id == wanted.immutable_id:
            return user
        other = await deps.people.by_object(person.tenant, user.object_id)
        if other is not None and other.open:
            raise HeldByOurs
        raise NotOurs(FaultKey.NAME_TAKEN)
    if person.conflicts >= MAX_CONFLICTS:
        raise NotOurs(person.fault.key if person.fault is not None else FaultKey.NAME_TAKEN)
    return None


def _exactly(immutable_id: str, answer: GraphAnswer) -> User | None:
    """The user with that ImmutableID, byte for byte: two that differ in case are two people."""
    return next((user for user in _users(answer) if user.immutable_id == immutable_id), None)


def _users(answer: GraphAnswer) -> Sequence[User]:
    read = (read_user(each) for each in answer.values)
    return [user for user in read if user is not None]


async def _ask(
    deps: Dependencies, target: Target, request: requests.GraphRequest, none_is: Sequence[int] = ()
) -> GraphAnswer:
    answer = await deps.directory.call(target, request)
    deps.queue.heard(target.tenant, answer)
    if answer.ok or answer.status in none_is:
        return answer
    raise NotAnswered(answer)
