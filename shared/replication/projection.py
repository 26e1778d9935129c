"""Rows that a service keeps of another one's state: the highest order counts, whatever comes late, twice or never.

A row holds `version`, the `order` of the event that it was made from. `lapsed` marks a row that its owner no longer
has: a full pull of everything did not bring it.
"""

from collections.abc import Mapping
from enum import Enum, auto
from typing import Any, Protocol

import structlog

from shared.contracts import StateEvent
from shared.contracts.envelope import Origin, VerifiedMessage
from shared.store.port import Collection, Document, Filter, Position
from shared.store.query import kept, same

log = structlog.get_logger(__name__)

LAPSED = "lapsed"
BATCH = 200


class Lapsing(Protocol):
    """A projection whose rows can be put out of force."""

    async def lapse(self, before: Position) -> int:
        """Put out of force every row that was neither written nor confirmed since that position; how many.

        Raises Unavailable. It may be repeated.
        """
        ...


class _Comparison(Enum):
    """How an event compares with the row that is here."""

    NEWS = auto()
    SAME = auto()
    RETURNED = auto()
    """The same, from the owner's own database, of a row that had lapsed."""
    CONTRADICTED = auto()
    """The event has another content under the same generation and version."""
    OLDER = auto()


class Projection:
    """A collection of such rows. Implements `Lapsing`."""

    def __init__(self, collection: Collection) -> None:
        self.collection = collection

    async def find(self, document_id: str) -> Document | None:
        """The row with that id; None when there is none or it has lapsed."""
        found = await self.collection.find_one({"_id": document_id})
        return None if found is None or found.get(LAPSED) else found

    async def knows(
        self, document_id: str, received: VerifiedMessage[StateEvent], fields: Mapping[str, Any]
    ) -> bool:
        """Whether the row says exactly this already.

        Nearly every item of a pull does, so handlers ask this before anything that costs more.
        """
        row = await self.collection.find_one({"_id": document_id})
        comparison = _compare(row, received, fields)
        return await self._settled(document_id, received, comparison) and comparison is _Comparison.SAME

    async def keep(
        self,
        document_id: str,
        received: VerifiedMessage[StateEvent],
        fields: Mapping[str, Any],
        *,
        only: Filter | None = None,
        at_first: Mapping[str, Any] | None = None,
    ) -> bool:
        """Keep what an event says, if nothing newer is here. Whether the row was written.

        `at_first`: fields of the service's own that a new row gets and that stay as they are.

        `only`: fields that a row which exists must have; a new row gets them. Another content under the same order
        counts only in a full pull, which is the owner's own database, and is worth a look then.
        """
        only = only or {}
        row = await self.collection.find_one({"_id": document_id})
        comparison = _compare(row, received, {**only, **fields})
        if await self._settled(document_id, received, comparison):
            return False
        where: dict[str, Any] = {"_id": document_id, **only}
        if comparison is _Comparison.NEWS:
            where["version"] = {"$lt": received.message.order}
        else:
            where["version"] = received.message.order
        if comparison is _Comparison.CONTRADICTED:
            if received.origin is not Origin.FULL_PULL:
                log.warning("projection.contradicted", collection=self.collection.name, row=document_id)
                return False
            log.error("projection.overwritten", collection=self.collection.name, row=document_id)
        change: dict[str, Mapping[str, Any]] = {
            "$set": {**fields, "version": received.message.order},
            "$unset": {LAPSED: ""},
        }
        if comparison is not _Comparison.NEWS:
            return await self.collection.update(where, change, confirm=True) is not None
        if at_first:
            change["$setOnInsert"] = at_first
        if await self.collection.put(where, change):
            return True
        # Two events of a new row met at the database, and the other one inserted it. If that was the older one, this
        # one still counts.
        return await self.collection.update(where, change, confirm=True) is not None

    async def _settled(
        self, document_id: str, received: VerifiedMessage[StateEvent], comparison: _Comparison
    ) -> bool:
        """Whether the row stays as it is; when a full pull brings the same, it is confirmed."""
        if comparison is _Comparison.SAME and received.origin is Origin.FULL_PULL:
            where = {"_id": document_id, "version": received.message.order}
            await self.collection.confirm(where)
        return comparison in (_Comparison.SAME, _Comparison.OLDER)

    async def lapse(self, before: Position) -> int:
        count = 0
        while found := await self.collection.unconfirmed(before, {LAPSED: {"$ne": True}}, BATCH):
            for row in found:
                where = {"_id": row["_id"], "version": row["version"]}
                if await self.collection.update(where, {"$set": {LAPSED: True}}) is not None:
                    log.error("projection.lapsed", collection=self.collection.name, row=row["_id"])
                    count += 1
        return count


def _compare(
    row: Document | None, received: VerifiedMessage[StateEvent], fields: Mapping[str, Any]
) -> _Comparison:
    if row is None or row["version"] < received.message.order:
        return _Comparison.NEWS
    if row["version"] > received.message.order:
        return _Comparison.OLDER
    as_kept = kept(fields)  # times are cut to milliseconds, tuples become lists
    if not all(same(row.get(name), value) for name, value in as_kept.items()):
        return _Comparison.CONTRADICTED
    if row.get(LAPSED) and received.origin is not Origin.SENT:
        return _Comparison.RETURNED
    return _Comparison.SAME
