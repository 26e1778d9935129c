"""Keeps many deliveries under way without one destination holding up another."""

import asyncio
from collections import Counter
from collections.abc import Awaitable, Callable

import structlog

from services.notify.domain.delivery import Channel, Delivery
from services.notify.ports import Deliveries
from shared.clock import Clock
from shared.errors import Unavailable

log = structlog.get_logger(__name__)

BATCH = 100
"""How many due deliveries one round reads."""
DUE_EVERY = 1.0
"""Seconds between rounds."""
STOP_WITHIN = 8.0
"""Seconds that attempts under way get to finish when the process stops."""

Attempt = Callable[[Delivery], Awaitable[object]]


class DeliveryLoop:
    """Makes the attempts of one channel. Implements `ports.DeliveryQueue`.

    At most `at_once` attempts are under way, and at most a quarter of them to one destination: a host that answers
    slowly, or never, fills its own slots and nobody else's.
    """

    def __init__(
        self, channel: Channel, at_once: int, *, deliveries: Deliveries, clock: Clock, attempt: Attempt
    ) -> None:
        self._channel: Channel = channel
        self._at_once = at_once
        self._deliveries = deliveries
        self._clock = clock
        self._make_attempt = attempt
        self._each = max(1, at_once // 4)
        self._running: dict[str, asyncio.Task[None]] = {}
        self._destinations: Counter[str] = Counter()
        self._stopped = False
        self._freed = asyncio.Event()

    def offer(self, delivery: Delivery) -> None:
        """Attempt it at once when there is a slot. Otherwise a later `round` finds it."""
        if self._has_slot(delivery):
            self._start(delivery)

    async def round(self) -> bool:
        """Start what is due and has a slot. True when more was due than there were slots for. Raises Unavailable."""
        if self._stopped or len(self._running) >= self._at_once:
            return bool(self._running)
        busy = [each for each, count in self._destinations.items() if count >= self._each]
        found = await self._deliveries.due(self._channel, self._clock.now(), busy=busy, limit=BATCH)
        waiting = [each for each in found if each.id not in self._running]
        for delivery in waiting:
            if self._has_slot(delivery):
                self._start(delivery)
        return len(found) == BATCH or any(each.id not in self._running for each in waiting)

    async def run(self, every: float) -> None:
        """A round every so many seconds, until cancelled; sooner when a slot is freed for what is due already."""
        while True:
            self._freed.clear()
            more = await self.round()
            async with asyncio.TaskGroup() as first:
                # Whichever comes first ends the other.
                waits = [first.create_task(self._clock.sleep(every))]
                if more:
                    waits.append(first.create_task(self._until_freed()))
                await asyncio.wait(waits, return_when=asyncio.FIRST_COMPLETED)
                for each in waits:
                    each.cancel()

    async def _until_freed(self) -> None:
        await self._freed.wait()

    async def idle(self) -> None:
        """Wait until no attempt is under way. For tests."""
        while self._running:
            await asyncio.wait(list(self._running.values()))

    async def stop(self, patience: float) -> None:
        """Start no more attempts, give those under way `patience` seconds to finish, then cancel the rest.

        A delivery whose attempt was cancelled is due again when its lease is over.
        """
        self._stopped = True
        if self._running:
            _, late = await asyncio.wait(list(self._running.values()), timeout=patience)
            for task in late:
                task.cancel()
            if late:
                await asyncio.wait(late)

    def _has_slot(self, delivery: Delivery) -> bool:
        return (
            not self._stopped
            and delivery.id not in self._running
            and len(self._running) < self._at_once
            and self._destinations[delivery.destination] < self._each
        )

    def _start(self, delivery: Delivery) -> None:
        self._destinations[delivery.destination] += 1
        task = asyncio.create_task(self._attempt(delivery), name=f"deliver {delivery.kind}")
        self._running[delivery.id] = task

        def done(_: asyncio.Task[None]) -> None:
            del self._running[delivery.id]
            self._destinations[delivery.destination] -= 1
            if not self._destinations[delivery.destination]:
                del self._destinations[delivery.destination]
            self._freed.set()

        task.add_done_callback(done)

    async def _attempt(self, delivery: Delivery) -> None:
        try:
            await self._make_attempt(delivery)
        except Unavailable as error:
            log.warning("delivery.unavailable", delivery=delivery.id, reason=str(error))
        except Exception as error:
            log.error("delivery.fault", delivery=delivery.id, error=type(error).__name__)  # noqa: TRY400
