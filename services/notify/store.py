"""Deliveries in MongoDB: one document each, one conditional update for each step, no transaction.

A document remembers its id for a week, longer than a command is believed (a day), so that a late copy of a
command sends nothing. What was sealed is removed when the delivery ends.
"""

from collections.abc import Sequence
from dataclasses import fields
from datetime import datetime
from typing import Any

from services.notify.domain.delivery import Channel, Delivery, State
from shared.contracts.envelope import SignedMessage
from shared.store.port import Collection, Database, Document, Index

REMEMBER = 7 * 24 * 3600


class StoredDeliveries:
    """Implements `ports.Deliveries`."""

    def __init__(self, database: Database) -> None:
        self._deliveries: Collection = database.collection(
            "deliveries",
            indexes=(
                Index((("channel", 1), ("next_at", 1)), partial={"state": "waiting"}),
                Index((("ended_at", 1),), expire_after=REMEMBER),
            ),
            outbox=True,
        )

    async def add(self, delivery: Delivery) -> bool:
        return await self._deliveries.insert({"_id": delivery.id, **_fields(delivery)})

    async def due(
        self, channel: Channel, now: datetime, *, busy: Sequence[str], limit: int
    ) -> Sequence[Delivery]:
        where: Document = {"channel": channel, "state": "waiting", "next_at": {"$lte": now}}
        if busy:
            where["destination"] = {"$nin": list(busy)}
        found = await self._deliveries.find(where, sort=(("next_at", 1),), limit=limit)
        return [_delivery(document) for document in found]

    async def replace(self, before: Delivery, after: Delivery, outbox: Sequence[SignedMessage] = ()) -> bool:
        where = {"_id": before.id, "state": before.state.value, "attempts": before.attempts}
        old, new = _fields(before), _fields(after)
        change: dict[str, dict[str, Any]] = {"$set": {k: v for k, v in new.items() if old.get(k) != v}}
        if dropped := old.keys() - new.keys():
            change["$unset"] = dict.fromkeys(dropped, "")
        return await self._deliveries.update(where, change, outbox=outbox) is not None


def _fields(delivery: Delivery) -> Document:
    """Without what is empty: an ended delivery has no `sealed`, a waiting one no `ended_at`."""
    made: Document = {f.name: getattr(delivery, f.name) for f in fields(delivery) if f.name != "id"}
    made["state"] = delivery.state.value
    return {name: value for name, value in made.items() if value not in ("", None)}


def _delivery(document: Document) -> Delivery:
    known = {f.name: document[f.name] for f in fields(Delivery) if f.name in document}
    return Delivery(**{"sealed": "", **known, "id": document["_id"], "state": State(document["state"])})
