"""What both stores do alike: a document's version on the way in and out, its outbox on a change, refusals."""

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any

from shared.contracts.envelope import Packet
from shared.store.outbox import entry
from shared.store.port import Change, Document, Filter


class WrongShape(Exception):
    """A document of a version that this release cannot read: run `blok365 migrate`, or a newer release."""


def check_shape(document: Document, collection: str, v: int) -> Document:
    """The document, when its version is `v` or `v - 1`. Raises WrongShape."""
    if document.get("v") not in (v, v - 1):
        raise WrongShape(
            f"{collection} holds version {document.get('v')!r}, this release reads {v - 1} and {v}"
        )
    return document


def with_outbox(change: Change, v: int, packets: Sequence[Packet], now: datetime) -> dict[str, Any]:
    """The change, with the shape's version set and the packets appended to `outbox`."""
    made = {operator: dict(fields) for operator, fields in change.items()}
    made.setdefault("$set", {})["v"] = v
    if packets:
        made.setdefault("$push", {})["outbox"] = {"$each": [entry(packet, now) for packet in packets]}
    return made


def check_limit(limit: int) -> None:
    """A list has a limit. Raises ValueError (to MongoDB 0 means none at all)."""
    if limit < 1:
        raise ValueError(f"{limit} is no limit")


def check_upsert(where: Filter) -> None:
    """Whether a filter says what the new document is. Raises ValueError.

    `_id` must be in it: MongoDB would make one up. Of branches and `$in` MongoDB takes values over in some cases.
    """
    if not isinstance(where.get("_id"), str):
        raise ValueError("an upsert names the _id")
    for field, condition in where.items():
        if field.startswith("$") or (isinstance(condition, Mapping) and "$in" in condition):
            raise ValueError(f"an upsert by {field}: only plain values and comparisons")
