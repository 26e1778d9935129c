"""notify's collections. A delivery is one document, and each of its steps one conditional update, no transaction.

`attempts` and `state` guard each write. There is no loop that computes a step again (shared/store/aggregate.py): when
another process has changed a delivery, that process makes the attempt, and this one is to leave it alone.

An ended delivery is kept for a week. That is longer than a command is accepted (a day), so that a late copy of a
command finds its id taken and sends nothing. What was sealed is removed when the delivery ends.
"""

import hashlib
from collections.abc import Sequence
from dataclasses import replace
from datetime import datetime

import structlog

from services.notify.domain.delivery import Channel, Delivery, State
from services.notify.domain.notices import (
    A_PLACE_FOR,
    ALONE_A_DAY,
    FORMER_FOR,
    MAX_FORMER,
    Addressee,
    Notice,
    Told,
)
from shared.clock import Clock
from shared.contracts.admin import ContactChanged, TenantConfigured
from shared.contracts.envelope import Origin, SignedMessage, VerifiedMessage
from shared.contracts.notify import Contact
from shared.ids import b64u
from shared.replication import Projection
from shared.store.aggregate import difference
from shared.store.codec import from_document, to_document
from shared.store.port import Collection, Database, Document, Index
from shared.store.sealing import CannotUnseal, SealingKey

log = structlog.get_logger(__name__)

REMEMBER = 7 * 24 * 3600
"""Seconds that an ended delivery is kept."""


class DeliveryRepository:
    """Implements `ports.Deliveries`."""

    def __init__(self, database: Database) -> None:
        self._deliveries: Collection = database.collection(
            "deliveries",
            indexes=(
                Index((("channel", 1), ("next_at", 1)), partial={"state": State.WAITING.value}),
                Index((("ended_at", 1),), expire_after=REMEMBER),
            ),
            outbox=True,
        )

    async def add(self, delivery: Delivery) -> bool:
        return await self._deliveries.insert(_document(delivery))

    async def due(
        self, channel: Channel, now: datetime, *, busy: Sequence[str], limit: int
    ) -> Sequence[Delivery]:
        where: Document = {"channel": channel, "state": State.WAITING.value, "next_at": {"$lte": now}}
        if busy:
            where["destination"] = {"$nin": list(busy)}
        found = await self._deliveries.find(where, sort=(("next_at", 1),), limit=limit)
        return [_delivery(document) for document in found]

    async def replace(self, before: Delivery, after: Delivery, outbox: Sequence[SignedMessage] = ()) -> bool:
        where = {"_id": before.id, "state": before.state.value, "attempts": before.attempts}
        change = difference(_document(before), _document(after))
        return await self._deliveries.update(where, change, outbox=outbox) is not None


class ContactRepository:
    """Implements `ports.Contacts`: a projection. Addresses are sealed by notify's own key, bound to their account.

    A replaced address is a document of its own in `former_addresses`, which the database removes at its time. Not
    lapsed: when admin's database no longer has an account, its address is written to all the same, because a person
    who loses an account that way is to hear of a phone that is added to it.
    """

    def __init__(self, database: Database, sealing: SealingKey, clock: Clock) -> None:
        self._clock = clock
        self._sealing = sealing
        self.projection = Projection(database.collection("contacts"))
        self._former = database.collection(
            "former_addresses",
            indexes=(Index((("account", 1), ("until", 1))), Index((("until", 1),), expire_after=0)),
        )

    async def of(self, tenant: str, account: str, now: datetime) -> Sequence[Addressee]:
        key = f"{tenant}/{account}"
        row = await self.projection.collection.find_one({"_id": key})
        # The oldest first: whoever replaces the address again and again pushes out only addresses of their own.
        where = {"account": key, "until": {"$gt": now}}
        former = await self._former.find(where, sort=(("until", 1),), limit=MAX_FORMER)
        current = self._contact(key, row)
        found = [] if current is None else [Addressee(current)]
        known = {each.contact.address.lower() for each in found}
        for document in former:
            contact = self._contact(key, document)
            if contact is not None and contact.address.lower() not in known:
                known.add(contact.address.lower())
                found.append(Addressee(contact, former=True))
        return found

    async def keep(self, received: VerifiedMessage[ContactChanged], contact: Contact | None) -> None:
        key = f"{received.tenant}/{received.message.account}"
        row = await self.projection.collection.find_one({"_id": key})
        before = self._contact(key, row)
        if row is not None and before is not None and _replaces(received, row):
            await self._remember(key, row, before, contact)
        # The same contact is sealed anew each time it is said. As it is kept it compares.
        same = row is not None and before == contact
        sealed = row["sealed"] if row is not None and same else self._seal(key, contact)
        await self.projection.keep(key, received, {"sealed": sealed})

    async def _remember(self, key: str, row: Document, before: Contact, now: Contact | None) -> None:
        """Keep an address that is replaced. First, and under an id of its own: done again it is the same."""
        if now is None or now.address.lower() != before.address.lower():
            until = self._clock.now() + FORMER_FOR
            # One version may have had several addresses (`_replaces`), and each is sealed anew when it is kept.
            sealing = b64u(hashlib.sha256(bytes(row["sealed"])).digest()[:9])
            former = {
                "_id": f"{key}/{row['version']}/{sealing}",
                "account": key,
                "sealed": row["sealed"],
                "until": until,
            }
            await self._former.insert(former)

    def _seal(self, key: str, contact: Contact | None) -> bytes:
        return (
            b""
            if contact is None
            else self._sealing.seal(contact.model_dump_json().encode(), f"contacts/{key}")
        )

    def _contact(self, key: str, document: Document | None) -> Contact | None:
        if document is None or not document["sealed"]:
            return None
        try:
            opened = self._sealing.unseal(bytes(document["sealed"]), f"contacts/{key}")
        except CannotUnseal:  # the key file was replaced; admin's next full pull brings the contact again
            log.error("contact.sealed_by_another_key", contact=document["_id"])  # noqa: TRY400
            return None
        return Contact.model_validate_json(opened)


class TenantRepository:
    """Implements `ports.Tenants`: a projection, only higher versions."""

    def __init__(self, database: Database) -> None:
        self.projection = Projection(database.collection("tenants"))

    async def name(self, tenant: str) -> str | None:
        found = await self.projection.find(tenant)
        return None if found is None else str(found["name"])

    async def keep(self, received: VerifiedMessage[TenantConfigured]) -> None:
        await self.projection.keep(received.tenant, received, {"name": received.message.name})


class NoticeRepository:
    """Implements `ports.Notices`."""

    def __init__(self, database: Database) -> None:
        self._notices = database.collection("notices")
        self._places = database.collection("notice_places", indexes=(Index((("until", 1),), expire_after=0),))

    async def is_told(self, notice: Notice) -> bool:
        return await self._notices.find_one({"_id": notice.id}) is not None

    async def told(self, notice: Notice) -> Told | None:
        found = await self._notices.find_one({"_id": notice.id})
        return None if found is None else Told(found["said_by"], found["at"])

    async def name_of(self, notice: Notice) -> str:
        found = await self._notices.find_one({"_id": replace(notice, kind="device_added", again=False).id})
        return "" if found is None else str(found["device"])

    async def take_place(self, notice: Notice) -> bool:
        whose = f"{notice.tenant}/{notice.account}/{notice.said_by}"
        places = [f"{whose}/{number}" for number in range(ALONE_A_DAY)]
        if await self._places.find_one({"_id": {"$in": places}, "notice": notice.id}) is not None:
            return True
        taken = {"$set": {"notice": notice.id, "until": notice.at + A_PLACE_FOR}}
        for place in places:
            free = {"_id": place, "until": {"$lte": notice.at}}
            if await self._places.update(free, taken, upsert=True) is not None:
                return True
        return False

    async def add(self, notice: Notice) -> None:
        document = to_document(notice)
        await self._notices.insert(
            {"_id": notice.id, **document, "account": f"{notice.tenant}/{notice.account}"}
        )


def _replaces(received: VerifiedMessage[ContactChanged], row: Document) -> bool:
    """Whether the row will be written. By a full pull also under the version that it has (`Projection.keep`): a
    taken-over admin must not replace an address in that way without the person hearing of it there.
    """
    newer = row["version"] < received.message.order
    return newer or (row["version"] == received.message.order and received.origin is Origin.FULL_PULL)


def _document(delivery: Delivery) -> Document:
    """Fields that are empty are not stored: an ended delivery has no `sealed`, a waiting one no `ended_at`."""
    document = to_document(delivery, key="id")
    # The stored name is older than `associated_data`; renaming it would need a migration.
    document["place"] = document.pop("associated_data")
    return {name: value for name, value in document.items() if value not in ("", None)}


def _delivery(document: Document) -> Delivery:
    renamed = {"sealed": "", **document, "associated_data": document["place"]}
    return from_document(Delivery, renamed, key="id")
