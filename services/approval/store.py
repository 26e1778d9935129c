"""Accounts, sessions and ceremonies in MongoDB.

An account is one document and every step on it is one update, conditional on `revision`. Maps are keyed by id,
so that a step writes only the entries it changed. `credentials`, `invitation_ids`, `handles` and `due` are there
to be indexed; each is derived from the maps in the same write. No transaction anywhere.
"""

from collections.abc import Sequence
from datetime import datetime, timedelta
from typing import Any

from services.approval.domain.account import Account, Challenge, Device, Invitation, State, Subscription
from services.approval.domain.challenges import next_deadline
from services.approval.ports import Ceremony, Session, Stored
from shared.contracts.admin import AccountStatus, TenantConfigured
from shared.contracts.approval import DeviceChanged
from shared.contracts.envelope import SignedMessage, VerifiedMessage
from shared.replication import Projection, Row, Source
from shared.store.codec import from_document, to_document
from shared.store.port import Collection, Database, Document, Filter, Index, Position

_MAPS = ("devices", "invitations", "challenges", "subscriptions")
_DAY = 24 * 3600
LAPSE_BATCH = 200
_DAYS = timedelta(days=2)
"""Longer than any invitation lives."""


class AccountStore:
    """Implements `ports.Accounts`."""

    def __init__(self, database: Database) -> None:
        self._accounts: Collection = database.collection(
            "accounts",
            indexes=(
                # a credential id exists once: an attacker's copy of it must not shadow its owner's
                Index((("credentials", 1),), unique=True, partial={"credentials": {"$exists": True}}),
                Index((("invitation_ids", 1),), partial={"invitation_ids": {"$exists": True}}),
                Index((("handles", 1),), partial={"handles": {"$exists": True}}),
                Index((("due", 1),), partial={"due": {"$exists": True}}),
            ),
            outbox=True,
            state=True,
        )
        self.source = Source(self._accounts, [DeviceChanged], _devices_row)
        """All devices of all accounts, removed ones too, for followers."""

    async def load(self, tenant: str, account: str) -> Stored | None:
        return await self._one({"_id": f"{tenant}/{account}"})

    async def by_credential(self, credential_id: str) -> Stored | None:
        return await self._one({"credentials": credential_id})

    async def by_invitation(self, invitation: str) -> Stored | None:
        return await self._one({"invitation_ids": invitation})

    async def by_handle(self, handle_digest: str) -> Stored | None:
        return await self._one({"handles": handle_digest})

    async def _one(self, where: Filter) -> Stored | None:
        found = await self._accounts.find_one(where)
        return None if found is None else _stored(found)

    async def overdue(self, now: datetime, limit: int) -> Sequence[Stored]:
        found = await self._accounts.find({"due": {"$lte": now}}, sort=(("due", 1),), limit=limit)
        return [_stored(document) for document in found]

    async def save(
        self, before: Stored, after: Account, outbox: Sequence[SignedMessage], *, confirm: bool = False
    ) -> bool:
        key = f"{after.tenant}/{after.id}"
        if before.revision == 0:
            wanted = {"_id": key, **_document(after), "revision": 1}
            return await self._accounts.insert(wanted, outbox=outbox, confirm=confirm)
        change = _difference(before.account, after)
        change["$inc"] = {"revision": 1}
        where = {"_id": key, "revision": before.revision}
        return await self._accounts.update(where, change, outbox=outbox, confirm=confirm) is not None

    async def confirm(self, tenant: str, account: str) -> None:
        await self._accounts.update({"_id": f"{tenant}/{account}"}, {}, confirm=True)

    async def lapse(self, before: Position) -> int:
        """Implements `shared.replication.Lapsing`: an account that admin no longer has can't be used."""
        count = 0
        in_force = {"status": {"$ne": None}}
        while found := await self._accounts.unconfirmed(before, in_force, LAPSE_BATCH):
            for document in found:
                where = {"_id": document["_id"], "revision": document["revision"]}
                change = {"$set": {"status": None}, "$inc": {"revision": 1}}
                count += await self._accounts.update(where, change) is not None
        return count


def _difference(before: Account, after: Account) -> dict[str, dict[str, Any]]:
    """The update that makes one account of the other: whole fields, and single entries of maps."""
    put: dict[str, Any] = {}
    drop: dict[str, Any] = {}
    for name in _MAPS:
        old, new = getattr(before, name), getattr(after, name)
        put |= {f"{name}.{key}": to_document(value) for key, value in new.items() if old.get(key) != value}
        drop |= {f"{name}.{key}": "" for key in old.keys() - new.keys()}
    was, now = _fields(before), _fields(after)
    put |= {name: value for name, value in now.items() if name not in was or was[name] != value}
    drop |= dict.fromkeys(was.keys() - now.keys(), "")
    return {operator: part for operator, part in (("$set", put), ("$unset", drop)) if part}


def _document(account: Account) -> Document:
    maps = {
        name: {key: to_document(value) for key, value in getattr(account, name).items()} for name in _MAPS
    }
    return _fields(account) | maps


def _fields(account: Account) -> Document:
    """All but the maps, with what is there to be indexed."""
    made = {name: value for name, value in to_document(account).items() if name not in _MAPS}
    derived: Document = {
        "credentials": sorted(d.credential_id for d in account.devices.values()),
        "invitation_ids": sorted(account.invitations),
        "handles": sorted(c.handle_digest for c in account.challenges.values() if c.handle_digest),
        "due": next_deadline(account),
    }
    return made | {name: value for name, value in derived.items() if value}


def _devices_row(document: Document) -> Row:
    account = _stored(document).account
    return Row(account.tenant, [device.changed(account.id) for device in account.devices.values()])


def _stored(document: Document) -> Stored:
    entries = {
        "devices": {k: from_document(Device, d) for k, d in document["devices"].items()},
        "invitations": {k: from_document(Invitation, d) for k, d in document["invitations"].items()},
        "challenges": {
            k: from_document(Challenge, {**d, "state": State(d["state"])})
            for k, d in document["challenges"].items()
        },
        "subscriptions": {
            k: from_document(Subscription, d) for k, d in document.get("subscriptions", {}).items()
        },
        "status": None if document["status"] is None else AccountStatus(document["status"]),
        "pushes_known": tuple(document["pushes_known"]),
        "pushes_unknown": tuple(document["pushes_unknown"]),
        "version": document["version"],
    }
    return Stored(from_document(Account, {**document, **entries}), document["revision"])


class SessionStore:
    """Implements `ports.Sessions`."""

    def __init__(self, database: Database) -> None:
        self._sessions = database.collection(
            "sessions", indexes=(Index((("expires_at", 1),), expire_after=_DAY),)
        )

    async def add(self, session: Session) -> None:
        document = to_document(session)
        document["_id"] = document.pop("token_digest")
        await self._sessions.insert(document)

    async def find(self, token_digest: str) -> Session | None:
        found = await self._sessions.find_one({"_id": token_digest})
        return None if found is None else from_document(Session, {**found, "token_digest": token_digest})

    async def seen(self, token_digest: str, now: datetime) -> None:
        await self._sessions.update({"_id": token_digest}, {"$max": {"seen_at": now}})

    async def remove(self, token_digest: str) -> None:
        await self._sessions.delete({"_id": token_digest})


class CeremonyStore:
    """Implements `ports.Ceremonies`."""

    def __init__(self, database: Database) -> None:
        self._ceremonies = database.collection(
            "ceremonies", indexes=(Index((("remove_at", 1),), expire_after=0),)
        )

    async def add(self, ceremony: Ceremony) -> None:
        # One for a session is anybody's to begin, and of no use when its time is over; an enrolment's is asked for
        # again by a phone that lost the answer.
        kept = _DAYS if ceremony.kind == "enrolment" else timedelta()
        document = {**to_document(ceremony), "remove_at": ceremony.expires_at + kept}
        document["_id"] = document.pop("id")
        await self._ceremonies.insert(document)

    async def find(self, ceremony_id: str) -> Ceremony | None:
        found = await self._ceremonies.find_one({"_id": ceremony_id})
        return None if found is None else from_document(Ceremony, {**found, "id": ceremony_id})

    async def take(self, ceremony_id: str) -> Ceremony | None:
        found = await self.find(ceremony_id)
        if found is None or not await self._ceremonies.delete({"_id": ceremony_id}):
            return None  # unknown, or another request was faster
        return found


class TenantStore:
    """Implements `ports.Tenants`: a projection, only higher versions."""

    def __init__(self, database: Database) -> None:
        self.projection = Projection(database.collection("tenants"))

    async def name(self, tenant: str) -> str | None:
        found = await self.projection.find(tenant)
        return None if found is None else str(found["name"])

    async def keep(self, received: VerifiedMessage[TenantConfigured]) -> None:
        await self.projection.keep(received.tenant, received, {"name": received.message.name})
