"""What the conformance suites share."""

import asyncio
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime

from shared.clock import ManualClock
from shared.contracts.envelope import SignedMessage
from shared.store.outbox import OutboxListener
from shared.store.port import Database

START = datetime(2026, 11, 21, 20, 49, tzinfo=UTC)
DEADLINE = 45.0
"""Seconds that a condition may take to come true; far more than it needs."""


def signed(name: str) -> SignedMessage:
    """A message that nobody opens."""
    return SignedMessage(name, "notify.mail.send.v1", b'{"name":"' + name.encode() + b'"}', b"s" * 64)


@dataclass
class Store:
    """One database, opened again and again as by processes that start again."""

    clock: ManualClock
    open: Callable[[OutboxListener | None], Database]


@dataclass
class FakePublisher:
    """Confirms what `refuses` does not name; `down` confirms nothing."""

    sent: list[str] = field(default_factory=list)
    refuses: set[str] = field(default_factory=set)
    down: bool = False

    async def publish(self, messages: Sequence[SignedMessage]) -> frozenset[str]:
        await asyncio.sleep(0)
        if self.down:
            return frozenset()
        self.sent += [p.id for p in messages]
        return frozenset(p.id for p in messages) - self.refuses
