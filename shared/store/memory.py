"""A database in memory for fast tests: the part of MongoDB's language that our stores use, and no more.

Whatever it does not know it refuses, so that a store cannot come to depend on something only one of the two
does. `tests/conformance/test_store.py` holds it against a real mongod.
"""

import copy
from collections.abc import Callable, Mapping, Sequence
from datetime import datetime
from typing import Any

from shared.clock import Clock
from shared.contracts.envelope import Packet
from shared.store.outbox import OutboxListener, entry, packet_of
from shared.store.port import Change, Collection, Document, Filter, Index, Sort
from shared.store.shape import check_shape, with_outbox

_MISSING = object()


def matches(document: Any, where: Filter) -> bool:
    """Whether a document satisfies a filter."""
    for field, condition in where.items():
        if field == "$or":
            if not any(matches(document, branch) for branch in condition):
                return False
        elif field == "$and":
            if not all(matches(document, branch) for branch in condition):
                return False
        elif field.startswith("$"):
            raise NotImplementedError(field)
        elif not _field_matches(_values(document, field.split(".")), condition):
            return False
    return True


def _values(value: Any, path: list[str]) -> list[Any]:
    """Everything that a dotted path reaches; through an array, what it reaches in each element."""
    if not path:
        return [value]
    if isinstance(value, list):
        reached = [v for element in value if isinstance(element, dict) for v in _values(element, path)]
        if path[0].isdigit() and int(path[0]) < len(value):
            reached += _values(value[int(path[0])], path[1:])
        return [v for v in reached if v is not _MISSING] or [_MISSING]
    if isinstance(value, dict) and path[0] in value:
        return _values(value[path[0]], path[1:])
    return [_MISSING]


_ORDER: Mapping[str, Callable[[Any, Any], bool]] = {
    "$lt": lambda a, b: a < b,
    "$lte": lambda a, b: a <= b,
    "$gt": lambda a, b: a > b,
    "$gte": lambda a, b: a >= b,
}


def _field_matches(values: list[Any], condition: Any) -> bool:
    if not (isinstance(condition, Mapping) and any(k.startswith("$") for k in condition)):
        return _equals(values, condition)
    for operator, operand in condition.items():
        if operator == "$exists":
            held = any(v is not _MISSING for v in values) == operand
        elif operator == "$ne":
            held = not _equals(values, operand)
        elif operator == "$in":
            held = any(_equals(values, option) for option in operand)
        elif operator == "$nin":
            held = not any(_equals(values, option) for option in operand)
        elif operator in _ORDER:
            held = any(
                _comparable(v, operand) and _ORDER[operator](v, operand)
                for value in values
                for v in (value if isinstance(value, list) else [value])
            )
        elif operator == "$elemMatch":
            held = any(
                isinstance(v, list) and any(matches(element, operand) for element in v) for v in values
            )
        else:
            raise NotImplementedError(operator)
        if not held:
            return False
    return True


def _equals(values: list[Any], wanted: Any) -> bool:
    for value in values:
        if value is _MISSING:
            if wanted is None:
                return True
        elif _same(value, wanted) or (isinstance(value, list) and any(_same(v, wanted) for v in value)):
            return True
    return False


def _same(a: Any, b: Any) -> bool:
    return type(a) is type(b) and bool(a == b) if isinstance(a, bool) or isinstance(b, bool) else bool(a == b)


def _comparable(a: Any, b: Any) -> bool:
    for kind in (str, bytes, datetime):
        if isinstance(a, kind) or isinstance(b, kind):
            return isinstance(a, kind) and isinstance(b, kind)
    numbers = (int, float)
    return (
        isinstance(a, numbers)
        and isinstance(b, numbers)
        and not isinstance(a, bool)
        and not isinstance(b, bool)
    )


def apply(document: Document, change: Change, *, inserting: bool = False) -> Document:
    """The document after an update document; the given one stays as it is."""
    made = copy.deepcopy(document)
    for operator, fields in change.items():
        if operator == "$setOnInsert" and not inserting:
            continue
        step = _CHANGES.get(operator)
        if step is None:
            raise NotImplementedError(operator)
        for field, operand in fields.items():
            parent, key = _parent(made, field)
            step(parent, key, copy.deepcopy(operand))
    return made


def _parent(document: Document, field: str) -> tuple[dict[str, Any], str]:
    *path, key = field.split(".")
    at: Any = document
    for name in path:
        at = at.setdefault(name, {})
        if not isinstance(at, dict):
            raise NotImplementedError(f"{field}: changes inside arrays")
    return at, key


def _set(at: dict[str, Any], key: str, operand: Any) -> None:
    at[key] = operand


def _push(at: dict[str, Any], key: str, operand: Any) -> None:
    many = isinstance(operand, dict) and "$each" in operand
    if many and set(operand) - {"$each", "$slice"}:
        raise NotImplementedError("$push with more than $each and $slice")
    items = operand["$each"] if many else [operand]
    kept = [*at.get(key, []), *items]
    if many and "$slice" in operand:
        if operand["$slice"] >= 0:
            raise NotImplementedError("$slice from the front")
        kept = kept[operand["$slice"] :]
    at[key] = kept


def _pull(at: dict[str, Any], key: str, operand: Any) -> None:
    if not isinstance(operand, dict):
        at[key] = [v for v in at.get(key, []) if not _same(v, operand)]
    elif key in at:
        at[key] = [v for v in at[key] if not matches(v, operand)]


def _inc(at: dict[str, Any], key: str, operand: Any) -> None:
    at[key] = at.get(key, 0) + operand


def _max(at: dict[str, Any], key: str, operand: Any) -> None:
    if key not in at or at[key] < operand:
        at[key] = operand


def _unset(at: dict[str, Any], key: str, _operand: Any) -> None:
    at.pop(key, None)


_CHANGES: Mapping[str, Callable[[dict[str, Any], str, Any], None]] = {
    "$set": _set,
    "$setOnInsert": _set,
    "$unset": _unset,
    "$inc": _inc,
    "$max": _max,
    "$push": _push,
    "$pull": _pull,
}


class MemoryCollection:
    """Implements `shared.store.port.Collection`. No await inside a step, so each step is atomic."""

    def __init__(
        self,
        name: str,
        *,
        v: int,
        indexes: Sequence[Index],
        clock: Clock,
        listener: OutboxListener | None,
        count: Callable[[str, str], None],
    ) -> None:
        self.name = name
        self._v = v
        self._unique = [index for index in indexes if index.unique]
        self._clock = clock
        self._listener = listener
        self._documents: dict[str, Document] = {}
        self._count = count

    async def insert(self, document: Document, *, outbox: Sequence[Packet] = ()) -> bool:
        self._count(self.name, "insert")
        made = copy.deepcopy({**document, "v": self._v})
        if outbox:
            made["outbox"] = [entry(packet, self._clock.now()) for packet in outbox]
        if made["_id"] in self._documents or self._collides(made):
            return False
        self._documents[made["_id"]] = made
        self._written(made["_id"], outbox)
        return True

    async def find_one(self, where: Filter) -> Document | None:
        self._count(self.name, "find")
        for document in self._documents.values():
            if matches(document, where):
                return copy.deepcopy(check_shape(document, self.name, self._v))
        return None

    async def find(self, where: Filter, *, sort: Sort = (), limit: int = 200) -> list[Document]:
        self._count(self.name, "find")
        found = [d for d in self._documents.values() if matches(d, where)]
        for field, order in reversed(sort):
            found.sort(key=lambda d: _sort_key(_values(d, field.split("."))), reverse=order < 0)
        return [copy.deepcopy(check_shape(d, self.name, self._v)) for d in found[:limit]]

    async def update(
        self, where: Filter, change: Change, *, outbox: Sequence[Packet] = (), upsert: bool = False
    ) -> Document | None:
        self._count(self.name, "update")
        made = with_outbox(change, self._v, outbox, self._clock.now())
        for document_id, document in self._documents.items():
            if matches(document, where):
                after = apply(document, made)
                if self._collides(after):
                    return None
                self._documents[document_id] = after
                self._written(document_id, outbox)
                return copy.deepcopy(after)
        if not upsert:
            return None
        base: Document = {}
        for field, condition in where.items():
            if not field.startswith("$") and not (
                isinstance(condition, Mapping) and any(k.startswith("$") for k in condition)
            ):
                base = apply(base, {"$set": {field: condition}})
        after = apply(base, made, inserting=True)
        if after["_id"] in self._documents or self._collides(after):
            return None
        self._documents[after["_id"]] = after
        self._written(after["_id"], outbox)
        return copy.deepcopy(after)

    async def delete(self, where: Filter) -> int:
        self._count(self.name, "delete")
        gone = [i for i, d in self._documents.items() if matches(d, where)]
        for document_id in gone:
            del self._documents[document_id]
        return len(gone)

    async def insert_many(self, documents: Sequence[Document]) -> None:
        self._count(self.name, "insert_many")
        for document in documents:
            made = copy.deepcopy({**document, "v": self._v})
            if made["_id"] not in self._documents and not self._collides(made):
                self._documents[made["_id"]] = made

    async def pull_outbox(self, sent: Mapping[str, Sequence[str]]) -> None:
        self._count(self.name, "pull_outbox")
        for document_id, ids in sent.items():
            if document_id in self._documents:
                _pull(self._documents[document_id], "outbox", {"id": {"$in": list(ids)}})

    async def stale_outbox(self, older_than: Any, limit: int) -> list[tuple[str, list[Packet]]]:
        stale = [
            (document_id, [packet_of(e) for e in document.get("outbox", []) if e["at"] < older_than])
            for document_id, document in self._documents.items()
        ]
        return [(document_id, packets) for document_id, packets in stale if packets][:limit]

    def _collides(self, made: Document) -> bool:
        """Whether another document has the same values under a unique index."""
        for index in self._unique:
            if index.partial is not None and not matches(made, index.partial):
                continue
            key = [_values(made, field.split(".")) for field, _ in index.keys]
            for document_id, other in self._documents.items():
                if document_id == made["_id"] or (
                    index.partial is not None and not matches(other, index.partial)
                ):
                    continue
                if [_values(other, field.split(".")) for field, _ in index.keys] == key:
                    return True
        return False

    def _written(self, document_id: str, outbox: Sequence[Packet]) -> None:
        if outbox and self._listener is not None:
            self._listener.written(self, document_id, outbox)


def _sort_key(values: list[Any]) -> tuple[bool, Any]:
    value = values[0]
    return (value is not _MISSING and value is not None, None if value is _MISSING else value)


class MemoryDatabase:
    """Implements `shared.store.port.Database`. `operations` counts what a step costs."""

    def __init__(self, *, clock: Clock, listener: OutboxListener | None = None) -> None:
        self._clock = clock
        self._listener = listener
        self._collections: dict[str, MemoryCollection] = {}
        self.operations: list[tuple[str, str]] = []

    def collection(
        self, name: str, *, v: int = 1, indexes: Sequence[Index] = (), outbox: bool = False
    ) -> Collection:
        if name in self._collections:  # a process that starts again finds its data
            return self._collections[name]
        listener = self._listener if outbox else None
        made = MemoryCollection(
            name,
            v=v,
            indexes=indexes,
            clock=self._clock,
            listener=listener,
            count=lambda collection, operation: self.operations.append((collection, operation)),
        )
        if listener is not None:
            listener.watch(made)
        self._collections[name] = made
        return made

    async def migrate(self) -> list[str]:
        return []

    async def check(self) -> None:
        return None

    async def close(self) -> None:
        return None
