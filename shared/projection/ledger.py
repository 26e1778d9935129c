"""The follower's bookkeeping in its own database, collection `follows`.

| `_id` | one document is | outbox |
|---|---|---|
| `<owner>` | `records.OwnerRecord`: when it was synced, the resync under way | `<owner>.state.resync.v1` |
| `<owner>/<stream>` | `records.StreamRecord`: numbers received and claimed | |

Every change is read, compute, write on condition of `revision`, since replicas share the queue. Whatever is
recorded may be recorded again.
"""

import asyncio
from collections import defaultdict
from collections.abc import Callable, Sequence
from weakref import WeakValueDictionary

from shared.clock import Clock
from shared.contracts.envelope import Packet
from shared.errors import Unavailable
from shared.projection.records import Covered, Mark, OwnerRecord, Resync, StreamRecord
from shared.projection.spans import holds
from shared.store.port import Database, Document, Index

TRIES = 20
MAX_CACHED = 256
MAX_LIVE = 1000
KEPT_DAYS = 8
"""Longer than any message lives, so that one that comes late still finds its stream."""


class Ledger:
    """Implements no port: only `Follower` uses it."""

    def __init__(self, database: Database, clock: Clock) -> None:
        self._follows = database.collection(
            "follows",
            indexes=[
                Index((("live", 1), ("kind", 1))),
                Index((("touched_at", 1),), expire_after=KEPT_DAYS * 24 * 3600),
            ],
            outbox=True,
        )
        self._clock = clock
        self._cached: dict[str, tuple[int, StreamRecord]] = {}
        self._locks: WeakValueDictionary[str, asyncio.Lock] = WeakValueDictionary()
        self._received: defaultdict[str, set[int]] = defaultdict(set)

    async def live(self, owners: Sequence[str]) -> tuple[dict[str, OwnerRecord], list[StreamRecord]]:
        """Owners, and the streams that are to be looked at. Raises Unavailable."""
        found = await self._follows.find(
            {"live": True, "owner": {"$in": list(owners)}},
            sort=[("kind", 1), ("touched_at", -1)],
            limit=MAX_LIVE,
        )
        records = {owner: OwnerRecord(owner) for owner in owners}
        streams: list[StreamRecord] = []
        for document in found:
            if document["kind"] == "owner":
                records[document["owner"]] = _owner(document)
            else:
                streams.append(_stream(document))
        return records, streams

    # --- streams ----------------------------------------------------------------------------------------------

    async def received(self, owner: str, stream: str, number: int) -> None:
        """Record that this event was handled; many at a time share one write. Raises Unavailable."""
        key = f"{owner}/{stream}"
        self._received[key].add(number)
        async with self._lock(key):
            cached = self._cached.get(key)
            if cached is None or not holds(cached[1].have, number):
                waiting = frozenset(self._received[key])
                await self._change_locked(owner, stream, lambda r: r.receive(waiting, self._clock.now()))
                self._received[key] -= waiting
            self._received[key].discard(number)
            if not self._received[key]:
                del self._received[key]

    async def change(
        self, owner: str, stream: str, step: Callable[[StreamRecord], StreamRecord]
    ) -> StreamRecord:
        """Take a step on a stream's record, which may be new. Raises Unavailable."""
        async with self._lock(f"{owner}/{stream}"):
            return await self._change_locked(owner, stream, step)

    def _lock(self, key: str) -> asyncio.Lock:
        return self._locks.setdefault(key, asyncio.Lock())

    async def _change_locked(
        self, owner: str, stream: str, step: Callable[[StreamRecord], StreamRecord]
    ) -> StreamRecord:
        key = f"{owner}/{stream}"
        for _ in range(TRIES):
            if key in self._cached:
                revision, before = self._cached.pop(key)
            else:
                revision, before = await self._read(key, owner, stream)
            after = step(before)
            written = after is before or await self._write(key, revision, _stream_fields(after))
            if written:
                if len(self._cached) >= MAX_CACHED:
                    self._cached.pop(next(iter(self._cached)))
                self._cached[key] = (revision if after is before else revision + 1, after)
                return after
        raise Unavailable(f"too many write to {key} at once")

    async def _read(self, key: str, owner: str, stream: str) -> tuple[int, StreamRecord]:
        found = await self._follows.find_one({"_id": key})
        return (0, StreamRecord(owner, stream)) if found is None else (found["revision"], _stream(found))

    # --- owners -----------------------------------------------------------------------------------------------

    async def owner(self, owner: str) -> OwnerRecord:
        """The owner's record. Raises Unavailable."""
        found = await self._follows.find_one({"_id": owner})
        return OwnerRecord(owner) if found is None else _owner(found)

    async def change_owner(
        self,
        owner: str,
        step: Callable[[OwnerRecord], tuple[OwnerRecord, Sequence[Packet]] | None],
    ) -> bool:
        """Take a step on an owner's record and send what it sends, in one write. False: `step` said None."""
        for _ in range(TRIES):
            found = await self._follows.find_one({"_id": owner})
            taken = step(OwnerRecord(owner) if found is None else _owner(found))
            if taken is None:
                return False
            after, outbox = taken
            revision = 0 if found is None else found["revision"]
            if await self._write(owner, revision, _owner_fields(after), outbox):
                return True
        raise Unavailable(f"too many write to {owner} at once")

    async def _write(self, key: str, revision: int, fields: Document, outbox: Sequence[Packet] = ()) -> bool:
        if revision == 0:
            return await self._follows.insert({"_id": key, **fields, "revision": 1}, outbox=outbox)
        after = await self._follows.update(
            {"_id": key, "revision": revision}, {"$set": fields, "$inc": {"revision": 1}}, outbox=outbox
        )
        return after is not None


# --- documents ------------------------------------------------------------------------------------------------


def _stream_fields(record: StreamRecord) -> Document:
    return {
        "kind": "stream",
        "owner": record.owner,
        "stream": record.stream,
        "have": [number for span in record.have for number in span],
        "claimed": record.claimed,
        "marks": [{"number": mark.number, "at": mark.at} for mark in record.marks],
        "heard_at": record.heard_at,
        "closed": record.closed,
        "live": record.live,
        "touched_at": record.touched_at,
    }


def _stream(document: Document) -> StreamRecord:
    have = document["have"]
    return StreamRecord(
        owner=document["owner"],
        stream=document["stream"],
        have=tuple(zip(have[::2], have[1::2], strict=True)),
        claimed=document["claimed"],
        marks=tuple(Mark(mark["number"], mark["at"]) for mark in document["marks"]),
        heard_at=document["heard_at"],
        closed=document["closed"],
        live=document["live"],
        touched_at=document["touched_at"],
    )


def _owner_fields(record: OwnerRecord) -> Document:
    resync = record.resync
    return {
        "kind": "owner",
        "owner": record.owner,
        "live": True,
        "synced_at": record.synced_at,
        "asked_at": record.asked_at,
        "wanted": record.wanted,
        "resync": None
        if resync is None
        else {
            "id": resync.id,
            "after": resync.after,
            "moved_at": resync.moved_at,
            "covers": [{"stream": c.stream, "number": c.number, "ended": c.ended} for c in resync.covers],
        },
    }


def _owner(document: Document) -> OwnerRecord:
    resync = document["resync"]
    return OwnerRecord(
        owner=document["owner"],
        synced_at=document["synced_at"],
        asked_at=document["asked_at"],
        wanted=document["wanted"],
        resync=None
        if resync is None
        else Resync(
            id=resync["id"],
            after=resync["after"],
            moved_at=resync["moved_at"],
            covers=tuple(Covered(c["stream"], c["number"], c["ended"]) for c in resync["covers"]),
        ),
    )
