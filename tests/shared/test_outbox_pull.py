"""The relay's removal of what was sent, when several ask for it at once."""

import asyncio
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from typing import Any, cast

import pytest

from shared.clock import ManualClock
from shared.contracts.envelope import SignedMessage
from shared.errors import Unavailable
from shared.store.outbox import Relay
from shared.store.port import Collection

PACKET = SignedMessage("id", "admin.account.changed.v1", b"", b"")


class Taking:
    """A bus that takes everything on."""

    async def publish(self, messages: Sequence[SignedMessage]) -> frozenset[str]:
        return frozenset(signed.id for signed in messages)


class Slow:
    """A collection whose removals take as long as the test wants, and fail when it wants."""

    name = "things"

    def __init__(self) -> None:
        self.go_on = asyncio.Event()
        self.fails = False
        self.removed: list[str] = []

    async def pull_outbox(self, sent: Mapping[str, Sequence[str]]) -> None:
        await self.go_on.wait()
        if self.fails:
            raise Unavailable()
        self.removed += [id_ for ids in sent.values() for id_ in ids]


@pytest.fixture
async def sent() -> tuple[Relay, Slow]:
    """One message was sent and is still in its document."""
    relay, things = Relay(Taking(), ManualClock(datetime(2026, 1, 1, tzinfo=UTC))), Slow()
    collection = cast(Collection, cast(Any, things))
    relay.watch(collection)
    relay.written(collection, "document", [PACKET])
    await relay.published()
    return relay, things


async def test_several_removals_at_once_remove_once(sent: tuple[Relay, Slow]) -> None:
    relay, things = sent
    flushes = [asyncio.create_task(relay.flush()) for _ in range(3)]
    await asyncio.sleep(0)
    assert not any(flush.done() for flush in flushes)
    things.go_on.set()
    await asyncio.gather(*flushes)
    assert things.removed == ["id"]


async def test_removal_that_was_cut_short_is_made_up_for(sent: tuple[Relay, Slow]) -> None:
    """The loop is cancelled when the process stops; its flush then removes what the loop had begun."""
    relay, things = sent
    loop = asyncio.create_task(relay.pull())
    await asyncio.sleep(0)
    loop.cancel()
    with pytest.raises(asyncio.CancelledError):
        await loop
    things.go_on.set()
    await relay.flush()
    assert things.removed == ["id"]


async def test_removal_that_failed_is_tried_again(sent: tuple[Relay, Slow]) -> None:
    relay, things = sent
    things.go_on.set()
    things.fails = True
    await relay.flush()
    things.fails = False
    await relay.flush()
    assert things.removed == ["id"]
