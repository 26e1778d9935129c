"""Deliveries in MongoDB: one document each, one conditional update for each step, no transaction.

`attempts` and `state` guard each write. There is no loop that computes a step again (shared/store/aggregate.py): when
another process has changed a delivery, that process makes the attempt, and this one is to leave it alone.

An ended delivery is kept for a week. That is longer than a command is accepted (a day), so that a late copy of a
command finds its id taken and sends nothing. What was sealed is removed when the delivery ends.
"""

from collections.abc import Sequence
from datetime import datetime

from services.notify.domain.delivery import Channel, Delivery, State
from shared.contracts.envelope import SignedMessage
from shared.store.aggregate import difference
from shared.store.codec import from_document, to_document
from shared.store.port import Collection, Database, Document, Index

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


def _document(delivery: Delivery) -> Document:
    """Fields that are empty are not stored: an ended delivery has no `sealed`, a waiting one no `ended_at`."""
    document = to_document(delivery, key="id")
    # The stored name is older than `associated_data`; renaming it would need a migration.
    document["place"] = document.pop("associated_data")
    return {name: value for name, value in document.items() if value not in ("", None)}


def _delivery(document: Document) -> Delivery:
    renamed = {"sealed": "", **document, "associated_data": document["place"]}
    return from_document(Delivery, renamed, key="id")
