"""The bus inside one process: `make run` and fast tests.

`publish` confirms only after every consumer has acknowledged, so a process that is killed leaves what was not
handled in its outbox, and the next start sends it again.
"""

import asyncio
from collections import defaultdict
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from itertools import count
from typing import cast

import structlog

from shared.bus.delivery import Dispatcher, Verdict
from shared.bus.port import Handlers
from shared.bus.topology import TOPOLOGY, Topology
from shared.clock import Clock
from shared.contracts import contracts
from shared.contracts.envelope import SignedMessage
from shared.crypto.keys import TrustedKeys

log = structlog.get_logger(__name__)

STOP_TIMEOUT = 3.0
"""Seconds that running handlers get: fewer than `shared.program.STOP_WITHIN`, since the services flush after them."""
MAX_DEAD_LETTERS = 1000
"""How many are kept for whoever looks; the oldest goes first, and the log says so."""


@dataclass(frozen=True, slots=True)
class DeadLetter:
    """A message that a service could not handle, and why."""

    service: str
    message: SignedMessage
    reason: str


class MemoryBus:
    """Implements `shared.bus.port.Bus`.

    With a topology, an event whose consumer has not started yet is not confirmed, as in RabbitMQ; without one
    the services that consume are those that have started.
    """

    def __init__(self, trusted: TrustedKeys, clock: Clock, topology: Topology | None = None) -> None:
        self._trusted = trusted
        self._clock = clock
        self._topology = topology
        self._replicas: dict[str, list[Dispatcher]] = defaultdict(list)
        self._turn = count()
        self._wakers: dict[str, list[Callable[[str], None]]] = defaultdict(list)
        self._deliveries: set[asyncio.Task[bool]] = set()
        self._waiting: set[asyncio.Task[bool]] = set()  # deliveries that sleep until their next attempt
        self._progress = asyncio.Event()
        self._stopped = False
        self.dead_letters: list[DeadLetter] = []

    async def consume(self, service: str, handlers: Handlers) -> None:
        dispatcher = Dispatcher(service, handlers, self._trusted, self._clock)
        if self._topology is not None:
            self._topology.check(service, dispatcher.types)
        self._replicas[service].append(dispatcher)

    async def publish(self, messages: Sequence[SignedMessage]) -> frozenset[str]:
        if self._stopped:
            return frozenset()
        confirmed = await asyncio.gather(*(self._publish_one(signed) for signed in messages))
        return frozenset(signed.id for signed, ok in zip(messages, confirmed, strict=True) if ok)

    async def _publish_one(self, signed: SignedMessage) -> bool:
        takers = [
            replicas
            for service, replicas in self._replicas.items()
            if signed.type in replicas[0].types and signed.to in ("", service)
        ]
        tasks = [
            asyncio.create_task(self._deliver(replicas, signed), name=f"deliver {signed.type}")
            for replicas in takers
        ]
        if not tasks:
            return not self._is_lost(signed.type)
        self._deliveries.update(tasks)
        for task in tasks:
            task.add_done_callback(self._done)
        await asyncio.wait(tasks)
        return all(not task.cancelled() and task.result() for task in tasks)

    def _is_lost(self, message_type: str) -> bool:
        """Whether a message that nobody here takes is missing somewhere."""
        if self._topology is not None:
            return self._topology.is_lost_unrouted(message_type)
        contract = contracts().get(message_type)
        return contract is None or contract.KIND == "command"

    async def _deliver(self, replicas: list[Dispatcher], signed: SignedMessage) -> bool:
        attempt = 1
        while not self._stopped:
            dispatcher = replicas[next(self._turn) % len(replicas)]
            outcome = await dispatcher.dispatch(signed, attempt)
            if outcome.verdict is Verdict.ACK:
                return True
            if outcome.verdict is Verdict.DEAD:
                self._bury(DeadLetter(dispatcher.service, signed, outcome.reason))
                return True
            await self._wait((self._topology or TOPOLOGY).delay(outcome.waits_as(attempt)))
            attempt = outcome.next_attempt(attempt)
        return False

    def _bury(self, letter: DeadLetter) -> None:
        self.dead_letters.append(letter)
        if len(self.dead_letters) > MAX_DEAD_LETTERS:
            gone = self.dead_letters.pop(0)
            log.warning(
                "bus.dead_letter_dropped",
                service=gone.service,
                type=gone.message.type[:80],
                id=gone.message.id,
                reason=gone.reason,
            )

    async def _wait(self, delay: float) -> None:
        task = cast("asyncio.Task[bool]", asyncio.current_task())
        self._waiting.add(task)
        self._progress.set()
        try:
            if not self._stopped:
                await self._clock.sleep(delay)
        finally:
            self._waiting.discard(task)

    def _done(self, task: asyncio.Task[bool]) -> None:
        self._deliveries.discard(task)
        self._progress.set()

    async def drain(self) -> None:
        """Wait until no delivery is running (those that wait for a retry do not count). For tests."""
        while len(self._deliveries) > len(self._waiting):
            self._progress.clear()
            await self._progress.wait()

    async def signal(self, topic: str, key: str) -> None:
        for wake in self._wakers[topic]:
            wake(key)

    async def on_signal(self, topic: str, wake: Callable[[str], None]) -> None:
        self._wakers[topic].append(wake)

    async def stop(self) -> None:
        """Also ends `publish`: there is nobody left to take anything on."""
        self._stopped = True
        for task in self._waiting:
            task.cancel()
        if self._deliveries:
            _, late = await asyncio.wait(list(self._deliveries), timeout=STOP_TIMEOUT)
            for task in late:
                task.cancel()
            if late:
                log.warning("bus.handlers_cut_short", count=len(late))
                await asyncio.wait(late, timeout=1)
