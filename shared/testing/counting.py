"""A memory database that counts its operations: what a step costs, and whether two steps cost the same."""

from collections.abc import Mapping, Sequence
from typing import Any

from shared.contracts.envelope import SignedMessage
from shared.store.memory import MemoryCollection, MemoryDatabase
from shared.store.port import Change, Document, Filter, Position, Sort


class CountingDatabase(MemoryDatabase):
    """`operations`: collection and operation, in the order in which they were asked for."""

    def __init__(self, **options: Any) -> None:
        super().__init__(**options)
        self.operations: list[tuple[str, str]] = []

    def _open(self, name: str, **options: Any) -> MemoryCollection:
        return _Counted(self, name, **options)


class _Counted(MemoryCollection):
    def __init__(self, database: CountingDatabase, name: str, **options: Any) -> None:
        super().__init__(name, **options)
        self._database = database

    def _count(self, operation: str) -> None:
        self._database.operations.append((self.name, operation))

    async def insert(
        self, document: Document, *, outbox: Sequence[SignedMessage] = (), confirm: bool = False
    ) -> bool:
        self._count("insert")
        return await super().insert(document, outbox=outbox, confirm=confirm)

    async def find_one(self, where: Filter) -> Document | None:
        self._count("find")
        return await super().find_one(where)

    async def find(self, where: Filter, *, sort: Sort = (), limit: int = 200) -> list[Document]:
        self._count("find")
        return await super().find(where, sort=sort, limit=limit)

    async def count(self, where: Filter) -> int:
        self._count("count")
        return await super().count(where)

    async def update(
        self,
        where: Filter,
        change: Change,
        *,
        outbox: Sequence[SignedMessage] = (),
        upsert: bool = False,
        confirm: bool = False,
    ) -> Document | None:
        self._count("update")
        return await super().update(where, change, outbox=outbox, upsert=upsert, confirm=confirm)

    async def delete(self, where: Filter) -> int:
        self._count("delete")
        return await super().delete(where)

    async def insert_many(self, documents: Sequence[Document]) -> None:
        self._count("insert_many")
        await super().insert_many(documents)

    async def changed(
        self, since: Position, until: Position, *, after: tuple[Position, str] | None, limit: int
    ) -> list[tuple[Position, Document]]:
        self._count("find")
        return await super().changed(since, until, after=after, limit=limit)

    async def unconfirmed(self, before: Position, where: Filter, limit: int) -> list[Document]:
        self._count("find")
        return await super().unconfirmed(before, where, limit)

    async def pull_outbox(self, sent: Mapping[str, Sequence[str]]) -> None:
        self._count("pull_outbox")
        await super().pull_outbox(sent)
