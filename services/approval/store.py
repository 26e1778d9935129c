"""Accounts, sessions and ceremonies in MongoDB.

An account is one document (`shared/store/aggregate.py`). Maps are keyed by id, so that a change writes only the
entries that it concerns. `credentials`, `invitation_ids`, `handles` and `due` are
there to be indexed; each is derived from the maps in the same write. No transaction anywhere.
"""

from collections.abc import Callable, Sequence
from datetime import datetime, timedelta
from typing import cast

from services.approval.domain import freezing
from services.approval.domain.account import (
    Account,
    Challenge,
    Change,
    Device,
    Invitation,
    PastRequest,
    Subscription,
)
from services.approval.domain.challenges import REMEMBER, next_deadline
from services.approval.domain.further import Offer
from services.approval.domain.lifecycle import ChallengeState
from services.approval.ports import C, Ceremony, Session, StoredAccount
from shared.contracts.admin import AccountStatus, TenantConfigured
from shared.contracts.approval import DeviceChanged, FreezeChanged
from shared.contracts.envelope import MessageSigner, VerifiedMessage
from shared.crypto.statement import Purpose
from shared.errors import Unavailable
from shared.replication import Projection, Row, Source
from shared.store.aggregate import Aggregate
from shared.store.codec import from_document, to_document
from shared.store.port import Database, Document, Index, Position

_MAPS = ("devices", "invitations", "challenges", "subscriptions", "history")
_DAY = 24 * 3600
LAPSE_BATCH = 200
_ENROLMENT_KEPT = timedelta(days=2)
"""Longer than any invitation lives."""


_BY_CHALLENGES = (
    Index((("handles", 1),), partial={"handles": {"$exists": True}}),
    Index((("due", 1),), partial={"due": {"$exists": True}}),
)


class RequestRepository:
    """Implements `ports.Requests`, on accounts in any collection."""

    def __init__(self, accounts: Aggregate[Account]) -> None:
        self._accounts = accounts

    async def by_handle(self, handle_digest: str) -> StoredAccount | None:
        return await self._accounts.find_one({"handles": handle_digest})

    async def overdue(self, now: datetime, limit: int) -> Sequence[StoredAccount]:
        return await self._accounts.find({"due": {"$lte": now}}, sort=(("due", 1),), limit=limit)

    async def change(
        self,
        tenant: str,
        account: str,
        compute: Callable[[Account], C],
        *,
        first: StoredAccount | None = None,
        confirm: bool = False,
    ) -> C:
        step: Callable[[Account], Change | None] = compute
        change = await self._accounts.change(
            _key(tenant, account),
            step,
            first=first,
            empty=Account(tenant, account),
            confirm=confirm,
            busy=Unavailable("approval.account.busy"),
        )
        return cast(C, change)  # None only if `compute` returned it: a missing account is given to it empty


class DecoyRepository(RequestRepository):
    """Requests to nobody, kept as those to accounts are, in a collection of their own. No phone's request leads here.

    A name's document goes when the last request is as old as the tombstones that real ones leave.
    """

    def __init__(self, database: Database, signer: MessageSigner) -> None:
        gone = Index((("asked_at", 1),), expire_after=int(REMEMBER.total_seconds()))
        collection = database.collection("decoys", indexes=(*_BY_CHALLENGES, gone), outbox=True)
        super().__init__(Aggregate(collection, _decoy, _account, signer=signer))


class AccountRepository(RequestRepository):
    """Implements `ports.Accounts`."""

    def __init__(self, database: Database, signer: MessageSigner) -> None:
        collection = database.collection(
            "accounts",
            indexes=(
                # a credential id exists once: an attacker's copy of it must not shadow its owner's
                Index((("credentials", 1),), unique=True, partial={"credentials": {"$exists": True}}),
                Index((("invitation_ids", 1),), partial={"invitation_ids": {"$exists": True}}),
                *_BY_CHALLENGES,
            ),
            outbox=True,
            state=True,
        )
        super().__init__(Aggregate(collection, _document, _account, signer=signer))
        self.source = Source(collection, [DeviceChanged, FreezeChanged], _row)
        """All devices of all accounts, removed ones too, and what is frozen, for followers."""

    async def load(self, tenant: str, account: str) -> StoredAccount | None:
        return await self._accounts.load(_key(tenant, account))

    async def by_credential(self, credential_id: str) -> StoredAccount | None:
        return await self._accounts.find_one({"credentials": credential_id})

    async def by_invitation(self, invitation: str) -> StoredAccount | None:
        return await self._accounts.find_one({"invitation_ids": invitation})

    async def confirm(self, tenant: str, account: str) -> None:
        await self._accounts.collection.update({"_id": _key(tenant, account)}, {}, confirm=True)

    async def lapse(self, before: Position) -> int:
        """Implements `shared.replication.Lapsing`: an account that admin no longer has can't be used."""
        count = 0
        in_force = {"status": {"$ne": None}}
        collection = self._accounts.collection
        while found := await collection.unconfirmed(before, in_force, LAPSE_BATCH):
            for document in found:
                where = {"_id": document["_id"], "revision": document["revision"]}
                change = {"$set": {"status": None}, "$inc": {"revision": 1}}
                count += await collection.update(where, change) is not None
        return count


def _key(tenant: str, account: str) -> str:
    return f"{tenant}/{account}"


def _document(account: Account) -> Document:
    maps = {
        name: {key: to_document(value) for key, value in getattr(account, name).items()} for name in _MAPS
    }
    derived: Document = {
        "credentials": sorted(d.credential_id for d in account.devices.values()),
        "invitation_ids": sorted(account.invitations),
        "handles": sorted(c.handle_digest for c in account.challenges.values() if c.handle_digest),
        "due": next_deadline(account),
    }
    return {
        "_id": _key(account.tenant, account.id),
        **to_document(account),
        **maps,
        **{name: value for name, value in derived.items() if value},
    }


def _decoy(account: Account) -> Document:
    asked_at = max((c.opened_at for c in account.challenges.values()), default=None)
    return {**_document(account), "asked_at": asked_at}


def _account(document: Document) -> Account:
    entries = {
        "devices": {k: from_document(Device, d) for k, d in document["devices"].items()},
        "invitations": {k: from_document(Invitation, d) for k, d in document["invitations"].items()},
        "challenges": {
            k: from_document(Challenge, {**d, "state": ChallengeState(d["state"])})
            for k, d in document["challenges"].items()
        },
        "subscriptions": {
            k: from_document(Subscription, d) for k, d in document.get("subscriptions", {}).items()
        },
        "history": {
            k: from_document(PastRequest, {**d, "state": ChallengeState(d["state"])})
            for k, d in document.get("history", {}).items()
        },
        "status": None if document["status"] is None else AccountStatus(document["status"]),
        "pushes_known": tuple(document["pushes_known"]),
        "pushes_unknown": tuple(document["pushes_unknown"]),
    }
    return from_document(Account, {**document, **entries})


def _row(document: Document) -> Row:
    account = _account(document)
    devices = [device.changed(account) for device in account.devices.values()]
    freeze = freezing.state(account)
    return Row(account.tenant, devices if freeze is None else [*devices, freeze])


class SessionRepository:
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


class CeremonyRepository:
    """Implements `ports.Ceremonies`."""

    def __init__(self, database: Database) -> None:
        self._ceremonies = database.collection(
            "ceremonies", indexes=(Index((("remove_at", 1),), expire_after=0),)
        )

    async def add(self, ceremony: Ceremony) -> None:
        # One for a session is anybody's to begin, and of no use when its time is over; an enrolment's is asked for
        # again by a phone that lost the answer.
        kept = _ENROLMENT_KEPT if ceremony.purpose is Purpose.ENROL else timedelta()
        document = {**to_document(ceremony), "remove_at": ceremony.expires_at + kept}
        document["_id"] = document.pop("id")
        await self._ceremonies.insert(document)

    async def find(self, ceremony_id: str) -> Ceremony | None:
        found = await self._ceremonies.find_one({"_id": ceremony_id})
        if found is None:
            return None
        return from_document(Ceremony, {**found, "id": ceremony_id, "purpose": Purpose(found["purpose"])})

    async def take(self, ceremony_id: str) -> Ceremony | None:
        found = await self.find(ceremony_id)
        if found is None or not await self._ceremonies.delete({"_id": ceremony_id}):
            return None  # unknown, or another request was faster
        return found


class OfferRepository:
    """Implements `ports.Offers`."""

    def __init__(self, database: Database) -> None:
        collection = database.collection("offers", indexes=(Index((("expires_at", 1),), expire_after=_DAY),))
        self._offers = Aggregate(
            collection,
            lambda offer: to_document(offer, key="id"),
            lambda found: from_document(Offer, found, key="id"),
        )

    async def add(self, offer: Offer) -> None:
        await self._offers.insert(offer)

    async def find(self, offer: str) -> Offer | None:
        found = await self._offers.load(offer)
        return None if found is None else found.value

    async def change(self, offer: str, compute: Callable[[Offer], Offer | None]) -> Offer | None:
        return await self._offers.change_value(offer, compute, lambda *_: ())


class TenantRepository:
    """Implements `ports.Tenants`: a projection, only higher versions."""

    def __init__(self, database: Database) -> None:
        self.projection = Projection(database.collection("tenants"))

    async def name(self, tenant: str) -> str | None:
        found = await self.projection.find(tenant)
        return None if found is None else str(found["name"])

    async def keep(self, received: VerifiedMessage[TenantConfigured]) -> None:
        await self.projection.keep(received.tenant, received, {"name": received.message.name})
