"""Messages wait in the document that they speak of, and the relay takes them to the bus.

Three ways, of which any one is enough: at once from memory after the write; the bulk removal of confirmed ids
every 200 ms; and the sweeper, once a second on any replica, which sends again what has waited for 2 s (a process
died between its write and its publish, or the bus was away).
"""

import asyncio
from collections import defaultdict
from collections.abc import Sequence
from datetime import timedelta
from typing import Any, Protocol

import structlog

from shared.bus.port import Publisher
from shared.clock import Clock
from shared.contracts.envelope import SignedMessage
from shared.errors import Unavailable
from shared.store.port import Collection

log = structlog.get_logger(__name__)

PULL_EVERY = 0.2
SWEEP_EVERY = 1.0
STALE_AFTER = timedelta(seconds=2)
SWEEP_BATCH = 200


def entry(signed: SignedMessage, now: Any) -> dict[str, Any]:
    """A message as it stands in a document's `outbox` array."""
    return {"id": signed.id, "type": signed.type, "body": signed.body, "sig": signed.signature, "at": now}


def message_of(stored: dict[str, Any]) -> SignedMessage:
    """The message of an `outbox` entry."""
    return SignedMessage(stored["id"], stored["type"], bytes(stored["body"]), bytes(stored["sig"]))


class OutboxListener(Protocol):
    """Told about every write that left messages behind."""

    def written(self, collection: Collection, document_id: str, messages: Sequence[SignedMessage]) -> None:
        """Called when a write is durable: these messages of it are still to be sent."""
        ...

    def watch(self, collection: Collection) -> None:
        """Sweep this collection's outboxes."""
        ...


class Relay:
    """One per process. `run()` is its life; `flush()` empties it at shutdown and in tests."""

    def __init__(self, bus: Publisher, clock: Clock) -> None:
        self._bus = bus
        self._clock = clock
        self._confirmed: dict[str, dict[str, list[str]]] = defaultdict(lambda: defaultdict(list))
        self._by_name: dict[str, Collection] = {}
        self._passed: dict[str, int] = defaultdict(int)
        """Documents that this round of sweeps has been at, by collection."""
        self._publishing: set[asyncio.Task[None]] = set()
        self._in_flight: set[str] = set()
        self._pulling = asyncio.Lock()

    def watch(self, collection: Collection) -> None:
        """Sweep this collection's outboxes."""
        self._by_name[collection.name] = collection

    def written(self, collection: Collection, document_id: str, messages: Sequence[SignedMessage]) -> None:
        self._start(collection.name, document_id, messages)

    def _start(self, collection: str, document_id: str, messages: Sequence[SignedMessage]) -> None:
        self._in_flight.update(signed.id for signed in messages)
        task = asyncio.create_task(self._publish(collection, document_id, messages))
        self._publishing.add(task)
        task.add_done_callback(self._publishing.discard)

    async def _publish(self, collection: str, document_id: str, messages: Sequence[SignedMessage]) -> None:
        try:
            confirmed = await self._bus.publish(messages)
            if confirmed:
                self._confirmed[collection][document_id].extend(confirmed)
        finally:
            self._in_flight.difference_update(signed.id for signed in messages)

    async def pull(self) -> None:
        """Remove confirmed messages from their documents. What fails is tried again next time."""
        async with self._pulling:  # returns when all that was confirmed before is gone, whoever removed it
            for name in list(self._confirmed):
                sent = self._confirmed.pop(name)
                try:
                    await self._by_name[name].pull_outbox(sent)
                except (Unavailable, asyncio.CancelledError) as error:
                    for document_id, ids in sent.items():
                        self._confirmed[name][document_id].extend(ids)
                    if not isinstance(error, Unavailable):
                        raise

    async def sweep(self, older_than: timedelta = STALE_AFTER) -> int:
        """Send again what has waited too long; how many messages. Does not wait for the bus: a handler in the
        memory bus may take minutes over one message, and the others must not wait for it.

        `older_than` zero sends what another program has just left here, and perhaps something a second time.

        Each sweep takes up where the last one stopped, and begins again at the end: what can never be sent (a
        command without a queue) is tried each time round and keeps nothing else from its turn.
        """
        found = 0
        for name, collection in self._by_name.items():
            stale = await collection.stale_outbox(
                self._clock.now() - older_than, SWEEP_BATCH, skip=self._passed[name]
            )
            self._passed[name] = self._passed[name] + SWEEP_BATCH if len(stale) == SWEEP_BATCH else 0
            pending = self._confirmed.get(name, {})
            for document_id, messages in stale:
                known = self._in_flight.union(pending.get(document_id, ()))
                unsent = [p for p in messages if p.id not in known]
                found += len(unsent)
                if unsent:
                    self._start(name, document_id, unsent)
        if found:
            log.info("outbox.swept", messages=found)
        return found

    async def published(self) -> None:
        """Wait until the bus has answered for everything that is being sent."""
        while self._publishing:
            await asyncio.wait(list(self._publishing))

    async def flush(self) -> None:
        """Publish and remove all that is known to this process. Waits for the bus's confirmations."""
        await self.published()
        await self.pull()

    async def run(self) -> None:
        """Remove confirmed messages and sweep for waiting ones, until cancelled."""
        since_sweep = 0.0
        while True:
            await self._clock.sleep(PULL_EVERY)
            await self.pull()
            since_sweep += PULL_EVERY
            if since_sweep >= SWEEP_EVERY:
                since_sweep = 0.0
                try:
                    await self.sweep()
                except Unavailable as error:
                    log.warning("outbox.sweep_failed", reason=str(error))
