"""Outside systems: the signals that wake pages on every replica."""

import asyncio
from collections import defaultdict
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager

from shared.bus.port import Bus

TOPIC = "wsfed.transaction"


class PageWaker:
    """Tells waiting pages that their transaction changed. A lost signal costs one polling interval.

    Pages that wait here are woken at once; the signal is for those on other replicas, which forget what they hold of
    the transaction. `own`: an id of this process, so that it does not listen to itself.
    """

    def __init__(self, bus: Bus, own: str, forget: Callable[[str], None]) -> None:
        self._bus = bus
        self._own = own
        self._forget = forget
        self._waiting: dict[str, set[asyncio.Event]] = defaultdict(set)

    async def start(self) -> None:
        """Begin to listen for the signals of all replicas."""
        await self._bus.on_signal(TOPIC, self._heard)

    async def __call__(self, transaction: str) -> None:
        self._wake(transaction)
        await self._bus.signal(TOPIC, f"{self._own}/{transaction}")

    def _heard(self, key: str) -> None:
        sender, _, transaction = key.rpartition("/")
        if sender == self._own:
            return
        self._forget(transaction)
        self._wake(transaction)

    def _wake(self, transaction: str) -> None:
        for event in self._waiting.get(transaction, ()):
            event.set()

    @asynccontextmanager
    async def watching(self, transaction: str) -> AsyncIterator[asyncio.Event]:
        """An event that is set when the transaction may have changed."""
        event = asyncio.Event()
        self._waiting[transaction].add(event)
        try:
            yield event
        finally:
            self._waiting[transaction].discard(event)
            if not self._waiting[transaction]:
                del self._waiting[transaction]
