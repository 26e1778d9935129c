"""The owner's side: heartbeats, and its whole state in pages for whoever asks."""

import asyncio
import json
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass

import structlog

from shared.bus.port import Handlers, Publisher, Reject, Retry
from shared.clock import Clock
from shared.contracts import Message
from shared.contracts.envelope import PacketSigner, Received
from shared.contracts.state import ResyncState, StateItem, advanced_of, paged_of, resync_of
from shared.projection.stream import Advance, StateStream
from shared.store.port import Database, Index

log = structlog.get_logger(__name__)

HEARTBEAT_EVERY = 10.0
FIRST_HEARTBEATS, FIRST_EVERY = 8, 0.25
"""Services that start together hear of each other at once."""
NO_TENANT = "-"
MAX_PAGE_OCTETS = 160_000
"""Of items as JSON. Canonical JSON is no larger, and a packet is at most 256 KiB."""
MAX_PAGE_ITEMS = 250
BATCH = 100
_DAY = 24 * 3600


@dataclass(frozen=True, slots=True)
class Row:
    """What one document says to followers: one or more state events that stay on one page."""

    key: str
    """Its place in the order, which never changes (the document's `_id`)."""
    tenant: str
    events: Sequence[Message]


Source = Callable[[str, int], Awaitable[Sequence[Row]]]
"""`source(after, limit)`: the rows of one collection behind that key, in the order of their keys."""


class StateOwner:
    """What a service does for its followers. `sources`: everything that it owns, in the order they want it."""

    def __init__(
        self,
        stream: StateStream,
        sources: Sequence[Source],
        *,
        database: Database,
        signer: PacketSigner,
        bus: Publisher,
        clock: Clock,
    ) -> None:
        self._stream = stream
        self._spoken = False
        self._sources = sources
        self._signer = signer
        self._bus = bus
        self._clock = clock
        self._advanced = advanced_of(signer.service)
        self._resync = resync_of(signer.service)
        self._paged = paged_of(signer.service)
        # Last words wait here when the bus is gone before the process; any other process's sweeper sends them.
        self._streams = database.collection(
            "streams", indexes=[Index((("at", 1),), expire_after=8 * _DAY)], outbox=True
        )

    def consumers(self) -> Handlers:
        """For the service's table."""
        return {self._resync: self.answer}

    # --- heartbeats -------------------------------------------------------------------------------------------

    async def run(self) -> None:
        """Heartbeats until cancelled."""
        for _ in range(FIRST_HEARTBEATS):
            await self.beat()
            await self._clock.sleep(FIRST_EVERY)
        while True:
            if not await self.beat():
                log.warning("stream.heartbeat_unconfirmed", service=self._signer.service)
            await self._clock.sleep(HEARTBEAT_EVERY)

    async def beat(self) -> bool:
        """One heartbeat, straight to the bus, which may not confirm it; the next one replaces it."""
        self._spoken = True
        packet = self._signer.packet(self._heartbeat(self._stream.advance()), tenant=NO_TENANT)
        try:
            async with asyncio.timeout(HEARTBEAT_EVERY):
                return bool(await self._bus.publish([packet]))
        except TimeoutError:
            return False

    def _heartbeat(self, advance: Advance, *, closing: bool = False) -> Message:
        return self._advanced(
            stream=self._stream.id, number=advance.number, voided=advance.voided, closing=closing
        )

    async def close(self) -> None:
        """Last words, through an outbox: the stream ends here, expect no more. Call it once, after all writes.

        A process without them counts as crashed, and followers ask for everything. Raises Unavailable.
        """
        last = self._stream.end()
        if not self._spoken and last.number == 0:
            return  # nobody knows of this stream
        packet = self._signer.packet(self._heartbeat(last, closing=True), tenant=NO_TENANT)
        await self._streams.insert({"_id": self._stream.id, "at": self._clock.now()}, outbox=[packet])

    # --- resync -----------------------------------------------------------------------------------------------

    async def answer(self, received: Received[ResyncState]) -> None:
        """One page of the current state, for the service that asked. Raises Retry, Reject.

        The follower asks for the next one when it has kept this one, so that neither side is ever busy with
        the whole, and nothing of where we are is kept here.
        """
        asked = received.message
        items, following = await self._page(asked.after)
        page = self._paged(
            resync=asked.resync,
            to=received.envelope.sender,
            after=asked.after,
            next=following,
            items=tuple(items),
        )
        packet = self._signer.packet(page, tenant=NO_TENANT, cause=received.envelope)
        if not await self._bus.publish([packet]):
            raise Retry("the page was not confirmed")
        log.info("state.paged", to=received.envelope.sender, items=len(items), last=following is None)

    async def _page(self, after: str) -> tuple[list[StateItem], str | None]:
        at, key = self._place(after)
        items: list[StateItem] = []
        octets = 0
        while at < len(self._sources):
            rows = await self._sources[at](key, BATCH)
            for row in rows:
                more = [
                    StateItem(type=event.TYPE, tenant=row.tenant, body=event.model_dump(mode="json"))
                    for event in row.events
                ]
                size = sum(len(json.dumps(item.model_dump(), ensure_ascii=False).encode()) for item in more)
                if items and (octets + size > MAX_PAGE_OCTETS or len(items) + len(more) > MAX_PAGE_ITEMS):
                    return items, f"{at}/{key}"
                items += more
                octets += size
                key = row.key
            if len(rows) < BATCH:
                at, key = at + 1, ""
        return items, None

    def _place(self, after: str) -> tuple[int, str]:
        if not after:
            return 0, ""
        at, separator, key = after.partition("/")
        if not separator or not (at.isascii() and at.isdigit()) or int(at) >= len(self._sources):
            raise Reject(f"no such page: {after[:80]!r}")
        return int(at), key
