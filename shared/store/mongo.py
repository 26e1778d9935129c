"""MongoDB through motor. Majority write concern with journal; reads from the primary.

A network fault during a write is retried once by the driver under the same transaction number, so a step is
never taken twice; when even that fails the result is unknown and `Unavailable` is raised: the caller's next
conditional update finds out what happened.
"""

import asyncio
import re
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Any

from bson import Timestamp
from bson.codec_options import CodecOptions
from motor.motor_asyncio import AsyncIOMotorClient, AsyncIOMotorCollection
from pymongo import ReadPreference, ReturnDocument, UpdateOne, WriteConcern
from pymongo.errors import (
    BulkWriteError,
    ConnectionFailure,
    DuplicateKeyError,
    ExecutionTimeout,
    NotPrimaryError,
    OperationFailure,
    WTimeoutError,
)
from pymongo.read_concern import ReadConcern

from shared.clock import Clock
from shared.contracts.envelope import SignedMessage
from shared.errors import Unavailable
from shared.store.batcher import Batcher, ReadBatcher
from shared.store.outbox import OutboxListener, entry, message_of
from shared.store.port import Change, Collection, Document, Fence, Filter, Index, Position, Sort
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

_DUPLICATE_KEY = 11000
_MAX_SHARED_ID = 200
"""Characters of an id that is read together with others. All of ours are shorter."""
_NOW = Timestamp(0, 0)
"""In a document that is inserted mongod puts its own timestamp in the place of this one."""


@asynccontextmanager
async def _reported() -> AsyncIterator[None]:
    """Driver faults as our own error: `Unavailable` when trying again is right."""
    try:
        yield
    except (ConnectionFailure, NotPrimaryError, ExecutionTimeout, WTimeoutError) as error:
        raise Unavailable("shared.store.away", fault=type(error).__name__) from error
    except BulkWriteError as error:
        if error.details.get("writeConcernErrors"):
            raise Unavailable("shared.store.unconfirmed") from error
        raise
    except OperationFailure as error:
        if error.has_error_label("RetryableWriteError") or error.has_error_label("TransientTransactionError"):
            raise Unavailable("shared.store.busy", fault=error.code) from error
        raise


@dataclass(frozen=True, slots=True)
class _Put:
    """A write that may go together with others; `where` names one document by its `_id`."""

    where: Filter
    change: Change
    upsert: bool


class MongoCollection:
    """Implements `shared.store.port.Collection`."""

    def __init__(
        self,
        inner: AsyncIOMotorCollection[Document],
        *,
        v: int,
        writes: int | None,
        clock: Clock,
        listener: OutboxListener | None,
        state: bool,
    ) -> None:
        self.name: str = inner.name
        self._inner = inner
        self._majority = inner.with_options(read_concern=ReadConcern("majority"))
        self._state = state
        self._v = v
        self._writes = written_version(v, writes)
        self._clock = clock
        self._listener = listener
        self._reads = ReadBatcher(self._by_ids)
        self._puts: Batcher[_Put, bool] = Batcher(self._put_together)

    async def insert(
        self, document: Document, *, outbox: Sequence[SignedMessage] = (), confirm: bool = False
    ) -> bool:
        stamped = stamps(outbox, state=self._state, confirm=confirm)
        made = {**document, "v": self._writes, **dict.fromkeys(stamped, _NOW)}
        if outbox:
            made["outbox"] = [entry(signed, self._clock.now()) for signed in outbox]
        async with _reported():
            try:
                await self._inner.insert_one(made)
            except DuplicateKeyError:
                return False
        self._written(document["_id"], outbox)
        return True

    async def find_one(self, where: Filter) -> Document | None:
        found: Document | None
        document_id = where.get("_id")
        if len(where) == 1 and isinstance(document_id, str) and _may_be_shared(document_id):
            found = await self._reads.one(document_id)
        else:
            async with _reported():
                found = await self._inner.find_one(where)
        return None if found is None else check_version(found, self.name, self._v)

    async def _by_ids(self, document_ids: Sequence[str]) -> Sequence[Document]:
        async with _reported():
            if len(document_ids) == 1:
                found: Document | None = await self._inner.find_one({"_id": document_ids[0]})
                return [] if found is None else [found]
            all_found: list[Document] = await self._inner.find({"_id": {"$in": document_ids}}).to_list(None)
            return all_found

    async def find(self, where: Filter, *, sort: Sort = (), limit: int = 200) -> list[Document]:
        check_limit(limit)
        async with _reported():
            cursor = self._inner.find(where, limit=limit, sort=list(sort) or None)
            return [check_version(found, self.name, self._v) async for found in cursor]

    async def count(self, where: Filter) -> int:
        async with _reported():
            return await self._inner.count_documents(where)

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
            made["$currentDate"] = {field: {"$type": "timestamp"} for field in stamped}
        if upsert:
            check_upsert(where)
        async with _reported():
            after, collided = await self._change(where, made, upsert)
            if collided and upsert:
                # Two made the same document at once and the other was first; whether ours is the newer one
                # only a second look tells.
                after, _ = await self._change(where, made, upsert=False)
        if after is not None:
            self._written(after["_id"], outbox)
        return after

    async def put(self, where: Filter, change: Change) -> bool:
        check_upsert(where)
        return await self._puts.ask(_Put(where, change, upsert=True))

    async def confirm(self, where: Filter) -> None:
        await self._puts.ask(_Put(where, {}, upsert=False))

    async def _put_together(self, puts: Sequence[_Put]) -> Sequence[bool | Exception]:
        """Whether each was written; of one that makes no document nobody asks."""
        if len(puts) == 1:
            return [await self._put_alone(puts[0], upsert=puts[0].upsert)]
        faults: Mapping[int, Mapping[str, Any]] = {}
        async with _reported():
            try:
                await self._inner.bulk_write([self._operation(put) for put in puts], ordered=False)
            except BulkWriteError as error:
                if error.details.get("writeConcernErrors"):
                    raise  # nothing is sure of any of them
                faults = {fault["index"]: fault for fault in error.details.get("writeErrors", [])}
        answers: list[bool | Exception] = []
        for number, put in enumerate(puts):
            fault = faults.get(number)
            if fault is None:
                answers.append(True)
            elif fault["code"] == _DUPLICATE_KEY:  # as in `update`: only a second look tells
                answers.append(await self._put_alone(put, upsert=False))
            else:
                answers.append(OperationFailure(fault.get("errmsg", ""), fault["code"]))
        return answers

    async def _put_alone(self, put: _Put, *, upsert: bool) -> bool:
        return await self.update(put.where, put.change, upsert=upsert, confirm=True) is not None

    def _operation(self, put: _Put) -> UpdateOne:
        made = with_outbox(put.change, self._writes, (), self._clock.now(), upsert=put.upsert, stamped=True)
        made["$currentDate"] = {CONFIRMED: {"$type": "timestamp"}}
        return UpdateOne(put.where, made, upsert=put.upsert)

    async def _change(self, where: Filter, made: Document, upsert: bool) -> tuple[Document | None, bool]:
        """The document afterwards, and whether a unique key was in the way."""
        try:
            after: Document | None = await self._inner.find_one_and_update(
                where, made, upsert=upsert, return_document=ReturnDocument.AFTER
            )
        except DuplicateKeyError:
            return None, True
        return after, False

    async def delete(self, where: Filter) -> int:
        async with _reported():
            return (await self._inner.delete_many(where)).deleted_count

    async def insert_many(self, documents: Sequence[Document]) -> None:
        async with _reported():
            try:
                stamped = {CHANGED: _NOW} if self._state else {}
                made = [{**document, "v": self._writes, **stamped} for document in documents]
                await self._inner.insert_many(made, ordered=False)
            except BulkWriteError as error:
                faults = error.details.get("writeErrors", [])
                if not faults or any(fault["code"] != _DUPLICATE_KEY for fault in faults):
                    raise  # when no document has a fault, the majority did not confirm

    async def changed(
        self, since: Position, until: Position, *, after: tuple[Position, str] | None, limit: int
    ) -> list[tuple[Position, Document]]:
        check_limit(limit)
        where: Document = {CHANGED: {"$gt": Timestamp(*since), "$lte": Timestamp(*until)}}
        if after is not None:
            at, document_id = Timestamp(*after[0]), after[1]
            where = {
                CHANGED: {"$gte": at, "$lte": Timestamp(*until)},
                "$or": [{CHANGED: {"$gt": at}}, {CHANGED: at, "_id": {"$gt": document_id}}],
            }
        async with _reported():
            cursor = self._majority.find(where, sort=[(CHANGED, 1), ("_id", 1)], limit=limit)
            return [
                (_position(found[CHANGED]), check_version(found, self.name, self._v))
                async for found in cursor
            ]

    async def all_after(self, document_id: str, limit: int) -> list[Document]:
        check_limit(limit)
        async with _reported():
            cursor = self._majority.find({"_id": {"$gt": document_id}}, sort=[("_id", 1)], limit=limit)
            return [check_version(found, self.name, self._v) async for found in cursor]

    async def unconfirmed(self, before: Position, where: Filter, limit: int) -> list[Document]:
        check_limit(limit)
        old = {"$or": [{CONFIRMED: {"$lt": Timestamp(*before)}}, {CONFIRMED: {"$exists": False}}]}
        async with _reported():
            cursor = self._inner.find({"$and": [dict(where), old]}, limit=limit)
            return [check_version(found, self.name, self._v) async for found in cursor]

    async def pull_outbox(self, sent: Mapping[str, Sequence[str]]) -> None:
        writes = [
            UpdateOne({"_id": document_id}, {"$pull": {"outbox": {"id": {"$in": list(ids)}}}})
            for document_id, ids in sent.items()
        ]
        if writes:
            async with _reported():
                await self._inner.bulk_write(writes, ordered=False)

    async def stale_outbox(
        self, older_than: Any, limit: int, *, skip: int
    ) -> list[tuple[str, list[SignedMessage]]]:
        async with _reported():
            # as the outbox's index has them, by age; to ask for that order would sort them all in memory
            cursor = self._inner.find(
                {"outbox.at": {"$lt": older_than}}, projection={"outbox": 1}, limit=limit, skip=skip
            )
            return [
                (d["_id"], [message_of(e) for e in d["outbox"] if e["at"] < older_than]) async for d in cursor
            ]

    def _written(self, document_id: str, outbox: Sequence[SignedMessage]) -> None:
        if outbox and self._listener is not None:
            self._listener.written(self, document_id, outbox)


def _may_be_shared(document_id: str) -> bool:
    """Whether it may be read together with other ids. A stranger's that BSON cannot hold would fail all of them."""
    return len(document_id) <= _MAX_SHARED_ID and document_id.isascii()


def _position(stamp: Timestamp) -> Position:
    return stamp.time, stamp.inc


class MongoDatabase:
    """Implements `shared.store.port.Database`: one database of one service.

    `timeout`: seconds to look for a server that answers before `Unavailable` is raised.
    """

    def __init__(
        self,
        url: str,
        name: str,
        *,
        clock: Clock,
        listener: OutboxListener | None = None,
        timeout: float = 5.0,
    ) -> None:
        if not re.fullmatch(r"[a-z0-9_]{1,60}", name):
            raise ValueError(f"{name!r} cannot name a database")
        self._client: AsyncIOMotorClient[Document] = AsyncIOMotorClient(
            url,
            serverSelectionTimeoutMS=int(timeout * 1000),
            connectTimeoutMS=int(timeout * 1000),
            socketTimeoutMS=10_000,
            maxPoolSize=64,
            retryWrites=True,
            appname=name,
        )
        self._database = self._client.get_database(
            name,
            codec_options=CodecOptions(tz_aware=True),
            write_concern=WriteConcern(w="majority", j=True, wtimeout=10_000),
            read_preference=ReadPreference.PRIMARY,
        )
        self._clock = clock
        self._listener = listener
        self._indexes: dict[str, list[Index]] = {}

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
        wanted = list(indexes)
        if state:
            wanted.append(Index(((CHANGED, 1), ("_id", 1)), partial={CHANGED: {"$exists": True}}))
        if outbox:
            wanted.append(Index((("outbox.at", 1),), partial={"outbox.at": {"$exists": True}}))
        self._indexes[name] = wanted
        listener = self._listener if outbox else None
        made = MongoCollection(
            self._database[name], v=v, writes=writes, clock=self._clock, listener=listener, state=state
        )
        if listener is not None:
            listener.watch(made)
        return made

    async def fence(self) -> Fence:
        change = {"$currentDate": {"position": {"$type": "timestamp"}}}
        found = await self._fence(change)
        return Fence(_position(found["position"]), found.get("generation", 0))

    async def generation(self) -> int:
        async with _reported():
            found = await self._database["fences"].find_one({"_id": FENCE})
        return 0 if found is None else int(found.get("generation", 0))

    async def raise_generation(self, at_least: int) -> int:
        after: int = max(await self.generation() + 1, at_least)
        # With the highest of two that do this at once both are right: it is higher than before.
        return int((await self._fence({"$max": {"generation": after}}))["generation"])

    async def _fence(self, change: Change) -> Document:
        async with _reported():
            for attempt in (1, 2):
                try:
                    found: Document = await self._database["fences"].find_one_and_update(
                        {"_id": FENCE}, change, upsert=True, return_document=ReturnDocument.AFTER
                    )
                except DuplicateKeyError:  # two made the first one at once; now it is there
                    if attempt == 2:
                        raise
                else:
                    return found
        raise AssertionError("unreachable")

    async def migrate(self) -> list[str]:
        built: list[str] = []
        async with _reported():
            for name, indexes in self._indexes.items():
                present = await self._present(name)
                for index in indexes:
                    if index.name in present:
                        continue
                    options: dict[str, Any] = {"name": index.name, "unique": index.unique}
                    if index.partial is not None:
                        options["partialFilterExpression"] = dict(index.partial)
                    if index.expire_after is not None:
                        options["expireAfterSeconds"] = index.expire_after
                    await self._database[name].create_index(list(index.keys), **options)
                    built.append(f"{self._database.name}.{name}.{index.name}")
        return built

    async def _present(self, name: str) -> set[str]:
        return set(await self._database[name].index_information())

    async def check(self) -> None:
        async with _reported():
            await self._client.admin.command("ping")
            for name, indexes in self._indexes.items():
                missing = {index.name for index in indexes} - await self._present(name)
                if missing:
                    raise Unavailable(
                        "shared.store.indexes_missing",
                        database=self._database.name,
                        collection=name,
                        missing=", ".join(sorted(missing)),
                    )

    async def drop(self) -> None:
        """Remove the whole database. For tests and the demo."""
        async with _reported():
            await self._client.drop_database(self._database.name)

    async def close(self) -> None:
        # It says goodbye to the server and waits for it: not on the event loop.
        await asyncio.to_thread(self._client.close)
