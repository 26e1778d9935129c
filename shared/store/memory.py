"""A database in memory for fast tests and a first look: `query.py` over a dictionary of documents.

`tests/conformance/test_store*.py` hold it against a real mongod.
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from itertools import product
from typing import Any

from bson import Timestamp

from shared.clock import Clock
from shared.contracts.envelope import SignedMessage
from shared.store.outbox import OutboxListener, entry, message_of
from shared.store.port import Change, Collection, Document, Fence, Filter, Index, Position, Sort
from shared.store.query import (
    MISSING,
    apply,
    has_operators,
    kept,
    matches,
    operations,
    same,
    sort_key,
    values,
)
from shared.store.schema_version import (
    CHANGED,
    CONFIRMED,
    FENCE,
    check_limit,
    check_upsert,
    check_version,
    stamps,
    with_outbox,
    written_version,
)

Key = tuple[Any, ...]
LAST = "last"
"""`_id` of the document in the collection `fences` that holds the last position of all."""


class MemoryCollection:
    """Implements `shared.store.port.Collection`. No await inside a step, so each step is atomic."""

    def __init__(
        self,
        name: str,
        *,
        documents: dict[str, Document],
        v: int,
        writes: int | None,
        indexes: Sequence[Index],
        clock: Clock,
        listener: OutboxListener | None,
        state: bool,
        tick: Callable[[], Timestamp],
    ) -> None:
        self.name = name
        self._v = v
        self._writes = written_version(v, writes)
        self._unique = [index for index in indexes if index.unique]
        self._clock = clock
        self._listener = listener
        self._documents = documents
        self._state = state
        self._tick = tick

    async def insert(
        self, document: Document, *, outbox: Sequence[SignedMessage] = (), confirm: bool = False
    ) -> bool:
        stamped = stamps(outbox, state=self._state, confirm=confirm)
        made = kept({**document, "v": self._writes})
        made |= {field: self._tick() for field in stamped}
        if outbox:
            made["outbox"] = [entry(signed, self._clock.now()) for signed in outbox]
        if made["_id"] in self._documents or self._collides(made):
            return False
        self._documents[made["_id"]] = made
        self._written(made["_id"], outbox)
        return True

    async def find_one(self, where: Filter) -> Document | None:
        for document in self._candidates(where):
            if matches(document, where):
                return kept(check_version(document, self.name, self._v))
        return None

    async def find(self, where: Filter, *, sort: Sort = (), limit: int = 200) -> list[Document]:
        check_limit(limit)
        found = [d for d in self._candidates(where) if matches(d, where)]
        try:
            for field, order in reversed(sort):
                found.sort(key=lambda d: sort_key(d, field), reverse=order < 0)
        except TypeError as error:
            raise NotImplementedError(f"sort over different kinds: {error}") from None
        return [kept(check_version(d, self.name, self._v)) for d in found[:limit]]

    async def count(self, where: Filter) -> int:
        return sum(matches(document, where) for document in self._candidates(where))

    async def update(
        self,
        where: Filter,
        change: Change,
        *,
        outbox: Sequence[SignedMessage] = (),
        upsert: bool = False,
        confirm: bool = False,
    ) -> Document | None:
        stamped = stamps(outbox, state=self._state, confirm=confirm)
        made = with_outbox(
            change, self._writes, outbox, self._clock.now(), upsert=upsert, stamped=bool(stamped)
        )
        if stamped:
            made["$set"] = {**made.get("$set", {}), **{field: self._tick() for field in stamped}}
        operations(made)
        if upsert:
            check_upsert(where)
        for document in self._candidates(where):
            if matches(document, where):
                after = apply(document, made)
                return self._replace(after, outbox)
        if not upsert:
            return None
        fixed = {field: operand for field, operand in where.items() if not has_operators(operand)}
        document_id = fixed.pop("_id")
        after = apply(apply({"_id": document_id}, {"$set": fixed}), made, inserting=True)
        return None if document_id in self._documents else self._replace(after, outbox)

    async def put(self, where: Filter, change: Change) -> bool:
        return await self.update(where, change, upsert=True, confirm=True) is not None

    async def confirm(self, where: Filter) -> None:
        await self.update(where, {}, confirm=True)

    def _replace(self, after: Document, outbox: Sequence[SignedMessage]) -> Document | None:
        if self._collides(after):
            return None
        self._documents[after["_id"]] = after
        self._written(after["_id"], outbox)
        return kept(after)

    async def delete(self, where: Filter) -> int:
        gone = [d["_id"] for d in self._candidates(where) if matches(d, where)]
        for document_id in gone:
            del self._documents[document_id]
        return len(gone)

    async def insert_many(self, documents: Sequence[Document]) -> None:
        for document in documents:
            made = kept({**document, "v": self._writes})
            if self._state:
                made[CHANGED] = self._tick()
            if made["_id"] not in self._documents and not self._collides(made):
                self._documents[made["_id"]] = made

    async def changed(
        self, since: Position, until: Position, *, after: tuple[Position, str] | None, limit: int
    ) -> list[tuple[Position, Document]]:
        check_limit(limit)
        found = [
            (key, document)
            for document in self._documents.values()
            if CHANGED in document
            and since < (key := (_position(document[CHANGED]), document["_id"]))[0] <= until
            and (after is None or key > after)
        ]
        found.sort(key=lambda each: each[0])
        return [(key[0], kept(check_version(d, self.name, self._v))) for key, d in found[:limit]]

    async def all_after(self, document_id: str, limit: int) -> list[Document]:
        return await self.find({"_id": {"$gt": document_id}}, sort=[("_id", 1)], limit=limit)

    async def unconfirmed(self, before: Position, where: Filter, limit: int) -> list[Document]:
        check_limit(limit)
        found = [
            document
            for document in self._documents.values()
            if (CONFIRMED not in document or _position(document[CONFIRMED]) < before)
            and matches(document, where)
        ]
        return [kept(check_version(document, self.name, self._v)) for document in found[:limit]]

    async def pull_outbox(self, sent: Mapping[str, Sequence[str]]) -> None:
        for document_id, ids in sent.items():
            if document := self._documents.get(document_id):
                document["outbox"] = [e for e in document.get("outbox", []) if e["id"] not in ids]

    async def stale_outbox(
        self, older_than: Any, limit: int, *, skip: int
    ) -> list[tuple[str, list[SignedMessage]]]:
        stale = [
            (document_id, [message_of(e) for e in document.get("outbox", []) if e["at"] < older_than])
            for document_id, document in self._documents.items()
        ]
        return [(document_id, messages) for document_id, messages in stale if messages][skip : skip + limit]

    def _candidates(self, where: Filter) -> list[Document]:
        """Every document that may match: by `_id` at most one, otherwise all."""
        document_id = where.get("_id")
        if isinstance(document_id, str):
            return [self._documents[document_id]] if document_id in self._documents else []
        return list(self._documents.values())

    def _collides(self, made: Document) -> bool:
        """Whether another document has an entry of this one under a unique index."""
        for index in self._unique:
            keys = list(_keys(made, index))
            for document_id, other in self._documents.items():
                if document_id == made["_id"] or not keys:
                    continue
                for key in _keys(other, index):
                    if any(all(map(same, key, mine)) for mine in keys):
                        return True
        return False

    def _written(self, document_id: str, outbox: Sequence[SignedMessage]) -> None:
        if outbox and self._listener is not None:
            self._listener.written(self, document_id, outbox)


def _position(stamp: Timestamp) -> Position:
    return stamp.time, stamp.inc


def _keys(document: Document, index: Index) -> Iterator[Key]:
    """A document's entries in an index: one, none when it is not in a partial one, several through an array.

    A missing field is indexed as null, and so is a path through an empty array; an empty array as itself: two
    documents without any element collide, unless the index is partial.
    """
    if index.partial is not None and not matches(document, index.partial):
        return iter(())
    fields: list[list[Any]] = []
    for field, _ in index.keys:
        reached = values(document, field.split("."))
        expanded = [v for value in reached for v in (value or [[]] if isinstance(value, list) else [value])]
        fields.append([None if v is MISSING else v for v in expanded or [MISSING]])
    return product(*fields)


class MemoryDatabase:
    """Implements `shared.store.port.Database`.

    `data`: documents by collection and `_id`. Give a new database an older one's `data` and it is a process that
    starts again.
    """

    def __init__(
        self,
        *,
        clock: Clock,
        listener: OutboxListener | None = None,
        data: dict[str, dict[str, Document]] | None = None,
    ) -> None:
        self._clock = clock
        self._listener = listener
        self.data: dict[str, dict[str, Document]] = {} if data is None else data

    def _tick(self) -> Timestamp:
        """The next position. It follows the clock, and never goes back with it.

        The last one is kept with the documents: all processes on one database share it, and one that starts again
        goes on from there.
        """
        last = self._fences.setdefault(LAST, {"_id": LAST, "position": Timestamp(0, 0)})
        seconds, before = int(self._clock.now().timestamp()), last["position"]
        if seconds > before.time:
            last["position"] = Timestamp(seconds, 1)
        else:
            last["position"] = Timestamp(before.time, before.inc + 1)
        stamp: Timestamp = last["position"]
        return stamp

    def collection(
        self,
        name: str,
        *,
        v: int = 1,
        writes: int | None = None,
        indexes: Sequence[Index] = (),
        outbox: bool = False,
        state: bool = False,
    ) -> Collection:
        listener = self._listener if outbox else None
        made = self._open(
            name,
            documents=self.data.setdefault(name, {}),
            v=v,
            writes=writes,
            indexes=indexes,
            clock=self._clock,
            listener=listener,
            state=state,
            tick=self._tick,
        )
        if listener is not None:
            listener.watch(made)
        return made

    def _open(self, name: str, **options: Any) -> MemoryCollection:
        return MemoryCollection(name, **options)

    async def fence(self) -> Fence:
        position = self._tick()
        fence = self._fences.setdefault(FENCE, {"_id": FENCE, "generation": 0})
        fence["position"] = position
        return Fence(_position(position), fence["generation"])

    async def generation(self) -> int:
        return int(self._fences.get(FENCE, {}).get("generation", 0))

    async def raise_generation(self, at_least: int) -> int:
        fence = self._fences.setdefault(FENCE, {"_id": FENCE, "generation": 0})
        fence["generation"] = max(fence["generation"] + 1, at_least)
        return int(fence["generation"])

    @property
    def _fences(self) -> dict[str, Document]:
        return self.data.setdefault("fences", {})

    async def migrate(self) -> list[str]:
        return []

    async def check(self) -> None:
        return None

    async def close(self) -> None:
        return None
