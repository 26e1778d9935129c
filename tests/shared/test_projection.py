"""Rows of other services' state, where two replicas of a follower keep the same new row at the same moment."""

from typing import Any

import pytest

from shared.clock import ManualClock
from shared.contracts.admin import AccountChanged, AccountStatus
from shared.replication.projection import Projection
from shared.store.memory import MemoryDatabase
from tests.received import received
from tests.world import START


def an_account(version: int) -> Any:
    return received(
        AccountChanged(
            version=version,
            account="ada",
            upn=f"ada{version}@contoso.example",
            display_name="Ada",
            immutable_id="ada",
            status=AccountStatus.ACTIVE,
        )
    )


class Raced:
    """A collection before whose first put another replica inserts the row: MongoDB then changes nothing."""

    def __init__(self, collection: Any, other: Any) -> None:
        self._collection = collection
        self._other = other
        self.name = collection.name

    async def put(self, *arguments: Any) -> bool:
        if self._other is not None:
            other, self._other = self._other, None
            await other()
            return False  # the duplicate key
        written: bool = await self._collection.put(*arguments)
        return written

    def __getattr__(self, name: str) -> Any:
        return getattr(self._collection, name)


@pytest.mark.parametrize(("first", "second"), [(1, 2), (2, 1)])
async def test_two_replicas_that_insert_a_row_at_once_keep_the_newer_event(first: int, second: int) -> None:
    collection = MemoryDatabase(clock=ManualClock(START)).collection("accounts")
    rows = Projection(collection)

    async def keep(version: int, into: Projection) -> bool:
        news = an_account(version)
        return await into.keep("ada", news, {"upn": news.message.upn})

    async def other() -> None:
        assert await keep(first, rows)

    raced: Any = Raced(collection, other)
    assert await keep(second, Projection(raced)) is (second > first)
    row = await rows.find("ada")
    assert row is not None
    assert row["upn"] == "ada2@contoso.example"
