"""`RabbitBus`: the bus of a system whose services are processes of their own."""

import asyncio
import logging
from collections.abc import Callable, Sequence
from typing import Self

import structlog

from shared.bus.delivery import Dispatcher
from shared.bus.port import Handlers
from shared.bus.rabbit.hints import Hints
from shared.bus.rabbit.outgoing import Outgoing, Unroutable
from shared.bus.rabbit.subscription import Subscription
from shared.bus.rabbit.wire import message_of
from shared.bus.topology import EXCHANGE, TOPOLOGY, Topology, routing_key
from shared.clock import Clock
from shared.contracts.envelope import Packet
from shared.crypto.keys import TrustedKeys

log = structlog.get_logger(__name__)

START_TIMEOUT = 8.0
"""Seconds to wait for the broker at the start; afterwards its absence is only waited for."""
STOP_TIMEOUT = 3.0
"""Seconds that running handlers get: fewer than `shared.program.STOP_WITHIN`, since the service flushes after them."""


class RabbitBus:
    """Implements `shared.bus.port.Bus`. Publishing, hints and each service have connections of their own: the
    broker throttles a connection that publishes too much, and consuming must go on then.
    """

    def __init__(
        self, url: str, *, trusted: TrustedKeys, clock: Clock, topology: Topology = TOPOLOGY
    ) -> None:
        self._url = url
        self._trusted = trusted
        self._clock = clock
        self._topology = topology
        self._outgoing = Outgoing(url)
        self._hints = Hints(url)
        self._subscriptions: list[Subscription] = []

    @classmethod
    async def connect(
        cls, url: str, *, trusted: TrustedKeys, clock: Clock, topology: Topology = TOPOLOGY
    ) -> Self:
        """A connected bus. `url`: `amqp://user:password@host:port/vhost`. Raises Unavailable when nobody answers."""
        logging.getLogger("aiormq").setLevel(logging.CRITICAL)  # link.py says the same, once and in our form
        bus = cls(url, trusted=trusted, clock=clock, topology=topology)
        bus._outgoing.link.start()
        try:
            await bus._outgoing.link.up(START_TIMEOUT)
        except BaseException:
            await bus.close()
            raise
        return bus

    async def consume(self, service: str, handlers: Handlers) -> None:
        """Raises Unavailable when the queue cannot be had, ValueError when it is no reader of a type."""
        dispatcher = Dispatcher(service, handlers, self._trusted, self._clock)
        self._topology.check(service, dispatcher.types)
        subscription = Subscription(self._url, dispatcher, self._outgoing, self._topology, self._clock)
        self._subscriptions.append(subscription)
        subscription.link.start()
        await subscription.link.up(START_TIMEOUT)

    async def publish(self, packets: Sequence[Packet]) -> frozenset[str]:
        confirmed = await asyncio.gather(*(self._publish_one(packet) for packet in packets))
        return frozenset(packet.id for packet, ok in zip(packets, confirmed, strict=True) if ok)

    async def _publish_one(self, packet: Packet) -> bool:
        try:
            return await self._outgoing.send(
                EXCHANGE, routing_key(packet.type, packet.to), message_of(packet)
            )
        except Unroutable:
            if self._topology.is_lost_unrouted(packet.type):
                log.warning("bus.unroutable", type=packet.type)
                return False
            log.debug("bus.nobody_listens", type=packet.type)
            return True

    async def hint(self, topic: str, key: str) -> None:
        await self._outgoing.hint(topic, key)

    async def on_hint(self, topic: str, wake: Callable[[str], None]) -> None:
        await self._hints.listen(topic, wake)
        self._hints.link.start()
        await self._hints.link.up(START_TIMEOUT)

    async def stop(self) -> None:
        await asyncio.gather(
            *(each.stop(STOP_TIMEOUT) for each in self._subscriptions), self._hints.link.close()
        )

    async def close(self) -> None:
        """Stop, and let go of the connection for publishing too."""
        await self.stop()
        await self._outgoing.link.close()
