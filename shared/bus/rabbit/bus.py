"""`RabbitBus`: the bus of a system whose services are processes of their own."""

import asyncio
import logging
from collections.abc import Callable, Sequence
from typing import Self

import structlog

from shared.bus.delivery import Dispatcher
from shared.bus.port import Handlers
from shared.bus.rabbit.codec import to_amqp
from shared.bus.rabbit.publisher import MessagePublisher, Unroutable
from shared.bus.rabbit.queue_consumer import QueueConsumer
from shared.bus.rabbit.signals import Signals
from shared.bus.topology import EXCHANGE, TOPOLOGY, Topology, routing_key
from shared.clock import Clock
from shared.contracts.envelope import SignedMessage
from shared.crypto.keys import TrustedKeys

log = structlog.get_logger(__name__)

START_TIMEOUT = 8.0
"""Seconds to wait for the broker at the start; afterwards its absence is only waited for."""
STOP_TIMEOUT = 3.0
"""Seconds that running handlers get: fewer than `shared.program.STOP_WITHIN`, since the service flushes after them."""


class RabbitBus:
    """Implements `shared.bus.port.Bus`. Publishing, signals and each service have connections of their own: the
    broker throttles a connection that publishes too much, and consuming must go on then.
    """

    def __init__(
        self, url: str, *, trusted: TrustedKeys, clock: Clock, topology: Topology = TOPOLOGY
    ) -> None:
        self._url = url
        self._trusted = trusted
        self._clock = clock
        self._topology = topology
        self._publisher = MessagePublisher(url)
        self._signals = Signals(url)
        self._consumers: list[QueueConsumer] = []

    @classmethod
    async def connect(
        cls, url: str, *, trusted: TrustedKeys, clock: Clock, topology: Topology = TOPOLOGY
    ) -> Self:
        """A connected bus. `url`: `amqp://user:password@host:port/vhost`. Raises Unavailable when nobody answers."""
        # What aiormq would log of a lost connection, connection.py logs once and in our form.
        logging.getLogger("aiormq").setLevel(logging.CRITICAL)
        bus = cls(url, trusted=trusted, clock=clock, topology=topology)
        bus._publisher.connection.start()
        try:
            await bus._publisher.connection.up(START_TIMEOUT)
        except BaseException:
            await bus.close()
            raise
        return bus

    async def consume(self, service: str, handlers: Handlers) -> None:
        """Raises Unavailable when the queue cannot be had, ValueError when it is no reader of a type."""
        dispatcher = Dispatcher(service, handlers, self._trusted, self._clock)
        self._topology.check(service, dispatcher.types)
        consumer = QueueConsumer(self._url, dispatcher, self._publisher, self._topology, self._clock)
        self._consumers.append(consumer)
        consumer.connection.start()
        await consumer.connection.up(START_TIMEOUT)

    async def publish(self, messages: Sequence[SignedMessage]) -> frozenset[str]:
        confirmed = await asyncio.gather(*(self._publish_one(signed) for signed in messages))
        return frozenset(signed.id for signed, ok in zip(messages, confirmed, strict=True) if ok)

    async def _publish_one(self, signed: SignedMessage) -> bool:
        try:
            return await self._publisher.send(EXCHANGE, routing_key(signed.type, signed.to), to_amqp(signed))
        except Unroutable:
            if self._topology.is_lost_unrouted(signed.type):
                log.warning("bus.unroutable", type=signed.type)
                return False
            log.debug("bus.nobody_listens", type=signed.type)
            return True

    async def signal(self, topic: str, key: str) -> None:
        await self._publisher.signal(topic, key)

    async def on_signal(self, topic: str, wake: Callable[[str], None]) -> None:
        await self._signals.listen(topic, wake)
        self._signals.connection.start()
        await self._signals.connection.up(START_TIMEOUT)

    async def stop(self) -> None:
        await asyncio.gather(
            *(each.stop(STOP_TIMEOUT) for each in self._consumers), self._signals.connection.close()
        )

    async def close(self) -> None:
        """Stop, and let go of the connection for publishing too."""
        await self.stop()
        await self._publisher.connection.close()
