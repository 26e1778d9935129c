"""Signals to every replica: each process has a queue of its own that lives as long as its connection."""

import asyncio
from collections import defaultdict
from collections.abc import Callable

import structlog
from aio_pika.abc import AbstractConnection, AbstractIncomingMessage, AbstractQueue

from shared.bus.rabbit.connection import FAULTS, Connection, on_close
from shared.bus.rabbit.publisher import ensure_exchange
from shared.bus.topology import SIGNALS

log = structlog.get_logger(__name__)

BIND_TIMEOUT = 5.0


class Signals:
    """The receiving half. What is sent while there is no connection is lost, as signals may be."""

    def __init__(self, url: str) -> None:
        self.connection = Connection(url, "blok365 signals", self._setup)
        self._wakers: dict[str, list[Callable[[str], None]]] = defaultdict(list)
        self._queue: AbstractQueue | None = None

    async def listen(self, topic: str, wake: Callable[[str], None]) -> None:
        """Call `wake(key)` for each signal on `topic`."""
        self._wakers[topic].append(wake)
        if self.connection.is_up and self._queue is not None:
            try:
                async with asyncio.timeout(BIND_TIMEOUT):
                    await self._queue.bind(SIGNALS, topic)
            except FAULTS as error:  # the next connection binds it
                log.info("signal.not_bound", topic=topic, reason=str(error))

    async def _setup(self, connection: AbstractConnection, lost: Callable[[], None]) -> None:
        await ensure_exchange(connection, SIGNALS, "direct")
        channel = await connection.channel(publisher_confirms=False)
        channel.close_callbacks.add(on_close(lost))
        queue = await channel.declare_queue(exclusive=True, auto_delete=True)
        bound: set[str] = set()
        await queue.consume(self._receive, no_ack=True)
        self._queue = queue
        while missing := set(self._wakers) - bound:  # one may be added while we wait
            for topic in missing:
                await queue.bind(SIGNALS, topic)
            bound |= missing

    async def _receive(self, message: AbstractIncomingMessage) -> None:
        key = message.body.decode(errors="replace")
        for wake in self._wakers.get(message.routing_key or "", ()):
            try:
                wake(key)
            except Exception:
                log.exception("signal.fault", topic=message.routing_key)
