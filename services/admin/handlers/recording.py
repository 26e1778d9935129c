"""The record of what an administrator or the operator does, written before the act and completed after it.

An act touches one aggregate or several, each in a write of its own, so the record cannot be in the same write. It comes
first: an act without a record does not happen, and a record that stays `begun` says that nobody knows how it ended.
"""

from collections.abc import AsyncIterator, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, field, replace
from datetime import datetime

from services.admin.domain.changes import Change
from services.admin.domain.roles import Act, Actor, Operator
from services.admin.handlers.accounts import DetailsChanged
from services.admin.handlers.common import checked_limit
from services.admin.ports import Dependencies
from shared.clock import iso_millis
from shared.errors import BadInput, Blok365Error, Unavailable
from shared.ids import b64u, new_id, unb64u
from shared.text import clean_line

MAX_SUBJECT = 120
"""Characters of a name in a record."""


@dataclass
class Record:
    """What the act finds out about itself. Nothing secret and no e-mail address goes into `before` and `after`."""

    subject_id: str
    subject: str
    before: dict[str, str] = field(default_factory=dict)
    after: dict[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class ChangePage:
    """One page of changes, the latest first. `cursor` leads to the next; None at the end."""

    changes: tuple[Change, ...]
    cursor: str | None


@asynccontextmanager
async def recorded(
    deps: Dependencies, by: Actor | Operator, act: Act, *, subject_id: str = "", subject: str = ""
) -> AsyncIterator[Record]:
    """Record the act that the block does. What the block raises is raised on; one of our errors says `refused`,
    unless it is Unavailable: then nobody knows what was done. Raises Unavailable.
    """
    subject = clean_line(subject, MAX_SUBJECT)  # as it was typed: nobody has checked it yet
    record = Record(subject_id, subject)
    administrator, name, role, address, session = _whose(by)
    change = Change(
        id=new_id(deps.ids),
        tenant=by.tenant,
        at=deps.clock.now(),
        act=act,
        administrator=administrator,
        name=name,
        role=role,
        address=address,
        session=session,
        subject_id=subject_id,
        subject=subject,
    )
    await deps.changes.add(change)
    try:
        yield record
    except Unavailable:
        raise
    except Blok365Error:
        await deps.changes.finish(replace(change, outcome="refused"))
        raise
    await deps.changes.finish(
        replace(
            change,
            outcome="done",
            subject_id=record.subject_id,
            subject=record.subject,
            before=record.before,
            after=record.after,
        )
    )


def _whose(by: Actor | Operator) -> tuple[str, str, str, str, str]:
    if isinstance(by, Operator):
        return "", "", "operator", "", ""
    return by.administrator, by.name, by.role.value, by.address, by.session


def note_details(record: Record, changed: DetailsChanged) -> None:
    """Note what a change of details changed. Of the address only that it is another one."""
    before, after = changed.before, changed.after
    for name, old, new in (
        ("first", before.first_name, after.first_name),
        ("last", before.last_name, after.last_name),
        ("name", before.display_name, after.display_name),
    ):
        if old != new:
            record.before[name], record.after[name] = old, new
    if changed.other_address:
        record.after["other_address"] = "yes"
    if changed.withdrawn:
        record.after["invitation_withdrawn"] = "yes"


@asynccontextmanager
async def recorded_in_each(
    deps: Dependencies, actors: Sequence[Actor], act: Act
) -> AsyncIterator[Sequence[Record]]:
    """`recorded` of something that administrators do to themselves, in every tenant that they work on: each has to know
    how its administrators sign in. Raises Unavailable.
    """
    async with AsyncExitStack() as stack:
        yield [
            await stack.enter_async_context(
                recorded(deps, actor, act, subject_id=actor.administrator, subject=actor.name)
            )
            for actor in actors
        ]


async def list_changes(
    deps: Dependencies, tenant: str, *, subject: str | None = None, cursor: str | None = None, limit: int = 50
) -> ChangePage:
    """What administrators did in the tenant, or to one subject of it. Raises BadInput (limit, cursor)."""
    limit = checked_limit(limit)
    before = None if cursor is None else _read_cursor(cursor)
    found = tuple(await deps.changes.page(tenant, subject=subject, before=before, limit=limit + 1))
    page = found[:limit]
    last = page[-1] if len(found) > limit else None
    return ChangePage(page, None if last is None else b64u(f"{iso_millis(last.at)}\n{last.id}".encode()))


def _read_cursor(cursor: str) -> tuple[datetime, str]:
    try:
        at, _, change = unb64u(cursor).decode().partition("\n")
        moment = datetime.fromisoformat(at)
    except ValueError as error:
        raise BadInput("admin.page.cursor") from error
    if moment.tzinfo is None:
        raise BadInput("admin.page.cursor")
    return moment, change
