"""What both stores do alike: a document's version on the way in and out, its outbox on a change, refusals.

How a shape changes while old and new replicas run beside each other: docs/adr/0007-shapes-change-in-two-releases.md.
"""

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any

from shared.contracts import contracts
from shared.contracts.envelope import SignedMessage
from shared.store.outbox import entry
from shared.store.port import Change, Document, Filter


class WrongSchemaVersion(Exception):
    """A document of a version that this release cannot read: run `blok365 migrate`, or a newer release."""


def check_version(document: Document, collection: str, v: int) -> Document:
    """The document, when its version is `v` or `v - 1`. Raises WrongSchemaVersion."""
    if document.get("v") not in (v, v - 1):
        raise WrongSchemaVersion(
            f"{collection} holds version {document.get('v')!r}, this release reads {v - 1} and {v}"
        )
    return document


def written_version(v: int, writes: int | None) -> int:
    """The version that is written by whoever reads `v` and `v - 1`. Raises ValueError."""
    if writes not in (None, v, v - 1) or writes == 0:
        raise ValueError(f"reads shapes {v - 1} and {v}, writes {writes}")
    return v if writes is None else writes


CHANGED, CONFIRMED = "changed", "confirmed"
"""Fields that the store sets itself (see port.py)."""
FENCE = "fence"
"""`_id` of the one document in the collection `fences`."""


def stamps(messages: Sequence[SignedMessage], *, state: bool, confirm: bool) -> tuple[str, ...]:
    """The position fields that a write sets. Raises ValueError for a state event of a collection without state."""
    says_state = any((contract := contracts().get(p.type)) is not None and contract.STATE for p in messages)
    if says_state and not state:
        raise ValueError("a state event leaves from a collection that was not opened with state=True")
    return (*((CHANGED,) if says_state else ()), *((CONFIRMED,) if confirm else ()))


def with_outbox(
    change: Change,
    writes: int,
    messages: Sequence[SignedMessage],
    now: datetime,
    *,
    upsert: bool,
    stamped: bool = False,
) -> dict[str, Any]:
    """The change, with the messages appended to `outbox` and, where it may make a document, its version.

    A document that is there keeps its version: a change of a few fields does not give it the new shape. The step
    that does says so, by `v` in its `$set`. Raises ValueError for another version than that which is written, and
    for a change of nothing, which MongoDB refuses too.
    """
    made = {operator: dict(fields) for operator, fields in change.items()}
    said = {(operator, fields["v"]) for operator, fields in made.items() if "v" in fields}
    if said - {("$set", writes)}:
        raise ValueError(f"a change of `v` by {change}: this release writes shape {writes}")
    if upsert and not said:
        made.setdefault("$setOnInsert", {})["v"] = writes
    if messages:
        made.setdefault("$push", {})["outbox"] = {"$each": [entry(signed, now) for signed in messages]}
    if not made and not stamped:
        raise ValueError("a change of nothing")
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
