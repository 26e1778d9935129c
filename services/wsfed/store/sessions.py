"""SSO sessions: one document for each account in a browser, removed when the browser is no longer known."""

from datetime import datetime
from typing import Any

from services.wsfed.domain.session import KNOWN_FOR, Session
from shared.store.codec import from_document, to_document
from shared.store.port import Database, Document, Index


class SessionRepository:
    """Implements `services.wsfed.ports.Sessions`."""

    def __init__(self, database: Database) -> None:
        self._collection = database.collection(
            "sessions",
            indexes=[
                Index((("known_until", 1),), expire_after=0),
                Index((("browser", 1),), partial={"browser": {"$exists": True}}),
            ],
        )

    async def get(self, session: str) -> Session | None:
        found = await self._collection.find_one({"_id": session})
        return None if found is None else _session(found)

    async def add(self, session: Session) -> None:
        known_until = session.authentication.authenticated_at + KNOWN_FOR
        await self._collection.insert({**to_document(session, key="id"), "known_until": known_until})

    async def use(self, session: Session, now: datetime, idle_ends_at: datetime) -> Session | None:
        where: dict[str, Any] = {
            "_id": session.id,
            "ends_at": {"$gt": now},
            "idle_ends_at": {"$gt": now},
        }
        told = to_document(session, key="id")
        # Of tabs that are restored at once some overwrite what another has noted: fewer tokens are counted, not more.
        noted = {name: told[name] for name in ("issued", "answers")}
        after = await self._collection.update(where, {"$set": {"idle_ends_at": idle_ends_at, **noted}})
        return None if after is None else _session(after)

    async def end(self, session: str, now: datetime) -> None:
        await self._collection.update({"_id": session}, {"$set": {"ends_at": now}})

    async def forget(self, session: str) -> bool:
        return await self._collection.delete({"_id": session}) == 1

    async def forget_browser(self, browser: str) -> None:
        if browser:  # sessions from before browsers had ids all have the same, an empty one
            await self._collection.delete({"browser": browser})


def _session(found: Document) -> Session:
    return from_document(Session, found, key="id")
