"""Who works in the console: administrators, teams, sessions, and what they did and said."""

from collections.abc import Callable, Sequence
from datetime import datetime
from typing import Any

from services.admin.domain.administrators import Administrator, ConsoleSession
from services.admin.domain.changes import Change
from services.admin.domain.configuration import Checklist
from services.admin.domain.teams import Team
from shared.contracts.envelope import MessageSigner, OutgoingMessage
from shared.ids import b64u
from shared.store.aggregate import Aggregate, Changed
from shared.store.codec import from_document, to_document
from shared.store.port import Database, Document, Index

BATCH = 200
"""Documents that are read at once."""
VERSION = "version"
"""The field that guards each write."""
KEPT = 24 * 3600
"""Seconds for which sessions of the console and used challenges are kept after they have begun."""


class AdministratorRepository:
    """Implements `ports.Administrators`."""

    def __init__(self, database: Database) -> None:
        passkey = "passkeys.credential_id"
        collection = database.collection(
            "administrators",
            indexes=[Index(((passkey, 1),), unique=True, partial={passkey: {"$exists": True}})],
        )
        self._administrators = Aggregate(
            collection, _administrator_document, _administrator, revision=VERSION
        )

    async def add(self, administrator: Administrator) -> bool:
        return await self._administrators.insert(administrator)

    async def get(self, administrator: str) -> Administrator | None:
        found = await self._administrators.load(administrator)
        return None if found is None else found.value

    async def by_passkey(self, credential_id: str) -> Administrator | None:
        found = await self._administrators.find_one({"passkeys.credential_id": credential_id})
        return None if found is None else found.value

    async def change(
        self, administrator: str, step: Callable[[Administrator], Administrator]
    ) -> Administrator | None:
        return await self._administrators.change_value(administrator, step, lambda _after, _before: ())

    async def remove(self, administrator: str) -> None:
        await self._administrators.collection.delete({"_id": administrator})


class TeamRepository:
    """Implements `ports.Teams`. `_id` is the tenant's slug."""

    def __init__(self, database: Database, signer: MessageSigner) -> None:
        collection = database.collection(
            "teams", indexes=[Index((("members.administrator", 1),))], outbox=True
        )
        self._teams = Aggregate(collection, _team_document, _team, signer=signer, revision=VERSION)

    async def get(self, tenant: str) -> Team:
        found = await self._teams.load(tenant)
        return Team(tenant) if found is None else found.value

    async def change(self, tenant: str, step: Callable[[Team], Team], *messages: OutgoingMessage) -> Team:
        changed = await self._teams.change(
            tenant, lambda team: Changed(step(team), messages), empty=Team(tenant)
        )
        assert changed is not None
        return changed.value

    async def page(self, after: str, limit: int) -> Sequence[Team]:
        found = await self._teams.find({"_id": {"$gt": after}}, sort=[("_id", 1)], limit=limit)
        return [stored.value for stored in found]

    async def of(self, administrator: str) -> Sequence[Team]:
        found: list[Team] = []
        while True:
            after = found[-1].tenant if found else ""
            where = {"members.administrator": administrator, "_id": {"$gt": after}}
            page = await self._teams.find(where, sort=[("_id", 1)], limit=BATCH)
            found += [stored.value for stored in page]
            if len(page) < BATCH:
                return found


class ConsoleSessionRepository:
    """Implements `ports.ConsoleSessions`. `_id` is the digest of the session's secret."""

    def __init__(self, database: Database) -> None:
        self._sessions = database.collection(
            "console_sessions",
            indexes=[
                Index((("administrator", 1), ("begun_at", -1))),
                Index((("begun_at", 1),), expire_after=KEPT),
            ],
        )

    async def add(self, session: ConsoleSession) -> None:
        await self._sessions.insert(to_document(session, key="digest"))

    async def get(self, digest: str) -> ConsoleSession | None:
        found = await self._sessions.find_one({"_id": digest})
        return None if found is None else _console_session(found)

    async def seen(self, digest: str, at: datetime) -> None:
        await self._sessions.update({"_id": digest}, {"$max": {"seen_at": at}})

    async def proven(self, digest: str, at: datetime) -> None:
        await self._sessions.update({"_id": digest}, {"$set": {"proven_at": at}, "$max": {"seen_at": at}})

    async def of(self, administrator: str) -> Sequence[ConsoleSession]:
        found = await self._sessions.find({"administrator": administrator}, sort=[("begun_at", -1)])
        return [_console_session(each) for each in found]

    async def end(self, administrator: str, session: str) -> bool:
        return await self._sessions.delete({"administrator": administrator, "id": session}) > 0

    async def end_others(self, administrator: str, kept: str) -> int:
        return await self._sessions.delete({"administrator": administrator, "id": {"$ne": kept}})

    async def end_all(self) -> int:
        return await self._sessions.delete({})


class UsedChallengeRepository:
    """Implements `ports.UsedChallenges`. A challenge lives minutes; what was used is kept for a day."""

    def __init__(self, database: Database) -> None:
        self._challenges = database.collection(
            "used_challenges", indexes=[Index((("at", 1),), expire_after=KEPT)]
        )

    async def spend(self, challenge: bytes, now: datetime) -> bool:
        return await self._challenges.insert({"_id": b64u(challenge), "at": now})


class ChangeRepository:
    """Implements `ports.Changes`."""

    def __init__(self, database: Database) -> None:
        self._changes = database.collection(
            "changes",
            indexes=[
                Index((("tenant", 1), ("at", -1), ("_id", -1))),
                Index((("tenant", 1), ("subject_id", 1), ("at", -1), ("_id", -1))),
            ],
        )

    async def add(self, change: Change) -> None:
        await self._changes.insert(to_document(change, key="id"))

    async def finish(self, change: Change) -> None:
        document = to_document(change, key="id")
        fields = ("outcome", "subject_id", "subject", "before", "after")
        where = {"_id": change.id, "outcome": "begun"}
        await self._changes.update(where, {"$set": {name: document[name] for name in fields}})

    async def page(
        self, tenant: str, *, subject: str | None = None, before: tuple[datetime, str] | None, limit: int
    ) -> Sequence[Change]:
        where: dict[str, Any] = {"tenant": tenant}
        if subject is not None:
            where["subject_id"] = subject
        if before is not None:
            at, change = before
            where["$or"] = [{"at": {"$lt": at}}, {"at": at, "_id": {"$lt": change}}]
        found = await self._changes.find(where, sort=[("at", -1), ("_id", -1)], limit=limit)
        return [from_document(Change, each, key="id") for each in found]


class ChecklistRepository:
    """Implements `ports.Checklists`. `_id` is the tenant's slug."""

    def __init__(self, database: Database) -> None:
        self._checklists = Aggregate(
            database.collection("checklists"), _checklist_document, _checklist, revision=VERSION
        )

    async def get(self, tenant: str) -> Checklist:
        found = await self._checklists.load(tenant)
        return Checklist(tenant) if found is None else found.value

    async def change(self, tenant: str, step: Callable[[Checklist], Checklist]) -> Checklist:
        def take(before: Checklist) -> Changed[Checklist] | None:
            after = step(before)
            return None if after is before else Changed(after)

        changed = await self._checklists.change(tenant, take, empty=Checklist(tenant))
        return await self.get(tenant) if changed is None else changed.value


def _administrator_document(administrator: Administrator) -> Document:
    return to_document(administrator, key="id")


def _administrator(document: Document) -> Administrator:
    return from_document(Administrator, document, key="id")


def _team_document(team: Team) -> Document:
    return to_document(team, key="tenant")


def _team(document: Document) -> Team:
    return from_document(Team, document, key="tenant")


def _checklist_document(checklist: Checklist) -> Document:
    return to_document(checklist, key="tenant")


def _checklist(document: Document) -> Checklist:
    return from_document(Checklist, document, key="tenant")


def _console_session(document: Document) -> ConsoleSession:
    return from_document(ConsoleSession, {**document, "digest": document["_id"]})
