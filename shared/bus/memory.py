"""The bus inside one process: `make run` and fast tests.

`publish` confirms only after every consumer has acknowledged, so a process that is killed leaves what was not
handled in its outbox, and the next start sends it again.
"""

import asyncio
from collections import defaultdict
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from shared.bus.delivery import Dispatcher, Verdict
from shared.bus.port import RETRY_DELAYS, Handlers
from shared.clock import Clock
from shared.contracts.envelope import Packet
from shared.crypto.keys import TrustedKeys


@dataclass(frozen=True, slots=True)
class DeadLetter:
    """A packet that a service could not handle, and why."""

    service: str
    packet: Packet
    reason: str


class MemoryBus:
    """Implements `shared.bus.port.Bus`."""

    def __init__(self, trusted: TrustedKeys, clock: Clock) -> None:
        self._trusted = trusted
        self._clock = clock
        self._dispatchers: dict[str, Dispatcher] = {}
        self._wakers: dict[str, list[Callable[[str], None]]] = defaultdict(list)
        self._deliveries: set[asyncio.Task[bool]] = set()
        self._waiting = 0  # deliveries that sleep until their next attempt
        self._progress = asyncio.Event()
        self._stopped = False
        self.dead_letters: list[DeadLetter] = []

    async def consume(self, service: str, handlers: Handlers) -> None:
        self._dispatchers[service] = Dispatcher(service, handlers, self._trusted, self._clock)

    async def publish(self, packets: Sequence[Packet]) -> frozenset[str]:
        if self._stopped:
            return frozenset()
        confirmed = await asyncio.gather(*(self._publish_one(packet) for packet in packets))
        return frozenset(packet.id for packet, ok in zip(packets, confirmed, strict=True) if ok)

    async def _publish_one(self, packet: Packet) -> bool:
        tasks = [
            asyncio.create_task(self._deliver(dispatcher, packet), name=f"deliver {packet.type}")
            for dispatcher in self._dispatchers.values()
            if packet.type in dispatcher.types
        ]
        self._deliveries.update(tasks)
        for task in tasks:
            task.add_done_callback(self._done)
        return all(await asyncio.gather(*tasks))

    async def _deliver(self, dispatcher: Dispatcher, packet: Packet) -> bool:
        attempt = 1
        while not self._stopped:
            outcome = await dispatcher.dispatch(packet, attempt)
            if outcome.verdict is Verdict.ACK:
                return True
            if outcome.verdict is Verdict.DEAD:
                self.dead_letters.append(DeadLetter(dispatcher.service, packet, outcome.reason))
                return True
            self._waiting += 1
            self._progress.set()
            try:
                await self._clock.sleep(RETRY_DELAYS[min(attempt, len(RETRY_DELAYS)) - 1])
            finally:
                self._waiting -= 1
            attempt += 1
        return False

    def _done(self, task: asyncio.Task[bool]) -> None:
        self._deliveries.discard(task)
        self._progress.set()

    async def drain(self) -> None:
        """Wait until no delivery is running (those that wait for a retry do not count). For tests."""
        while len(self._deliveries) > self._waiting:
            self._progress.clear()
            await self._progress.wait()

    async def hint(self, topic: str, key: str) -> None:
        for wake in self._wakers[topic]:
            wake(key)

    async def on_hint(self, topic: str, wake: Callable[[str], None]) -> None:
        self._wakers[topic].append(wake)

    async def stop(self) -> None:
        self._stopped = True
        tasks = list(self._deliveries)
        if tasks:
            _, running = await asyncio.wait(tasks, timeout=0 if self._waiting == len(tasks) else 10)
            for task in running:
                task.cancel()
            await asyncio.gather(*running, return_exceptions=True)
