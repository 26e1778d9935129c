"""Publishing with confirms: yes only when every queue that is bound has taken the message on."""

import asyncio
import re
from collections.abc import Callable

import structlog
from aio_pika import Message
from aio_pika.abc import AbstractChannel, AbstractConnection, AbstractExchange
from aio_pika.exceptions import ChannelNotFoundEntity, PublishError
from aiormq.exceptions import ChannelAccessRefused

from shared.bus.rabbit.connection import FAULTS, Connection, on_close
from shared.bus.topology import EXCHANGE, SIGNALS
from shared.errors import Unavailable

log = structlog.get_logger(__name__)

PATIENCE = 1.0
"""Seconds to wait for a connection before a publish is given up; its message stays in the outbox."""
CONFIRM_TIMEOUT = 5.0
"""Seconds from the publish to the broker's confirm."""
IN_FLIGHT = 500
"""Publishes without an answer yet; more wait here, so that a backlog does not run into CONFIRM_TIMEOUT."""
REFUSED_FOR = 60.0
"""Seconds in which a type is not tried again after RabbitMQ refused it: each try closes the channel for all."""


class Unroutable(Exception):
    """The broker took the message, but no queue is bound for it."""


class MessagePublisher:
    """One connection for everything that a process sends: one channel with confirms, one without for signals."""

    def __init__(self, url: str) -> None:
        self.connection = Connection(url, "blok365 publish", self._setup)
        self._confirming: AbstractChannel | None = None
        self._signals: AbstractExchange | None = None
        self._exchanges: dict[str, AbstractExchange] = {}
        self._refused: dict[str, float] = {}
        self._in_flight = asyncio.Semaphore(IN_FLIGHT)

    async def _setup(self, connection: AbstractConnection, lost: Callable[[], None]) -> None:
        for name, kind in ((EXCHANGE, "topic"), (SIGNALS, "direct")):
            await ensure_exchange(connection, name, kind)
        quick = await connection.channel(publisher_confirms=False)
        confirming = await connection.channel(publisher_confirms=True, on_return_raises=True)
        for channel in (quick, confirming):
            channel.close_callbacks.add(on_close(lost))
        self._signals = await quick.get_exchange(SIGNALS, ensure=False)
        self._exchanges = {}
        self._confirming = confirming

    async def send(self, exchange: str, key: str, message: Message) -> bool:
        """Whether the broker confirmed within CONFIRM_TIMEOUT. Raises Unroutable, and nothing else."""
        now = asyncio.get_running_loop().time()
        if self._refused.get(key, 0) > now:
            return False
        try:
            await self.connection.up(PATIENCE)
            async with self._in_flight, asyncio.timeout(CONFIRM_TIMEOUT):
                await (await self._exchange(exchange)).publish(message, key, mandatory=True)
        except PublishError:
            raise Unroutable(key) from None
        except ChannelAccessRefused as error:
            refused = re.search(r"topic '([^']*)'", str(error))
            if refused and refused[1] == key:
                self._refused[key] = now + REFUSED_FOR
                log.error("bus.refused", type=key, reason=str(error))  # noqa: TRY400
            return False
        except (*FAULTS, Unavailable) as error:
            log.info("bus.unconfirmed", type=key, reason=f"{type(error).__name__}: {error}")
            return False
        return True

    async def signal(self, topic: str, key: str) -> None:
        """Send a signal, or drop it when there is no connection."""
        if self._signals is not None and self.connection.is_up:
            try:
                async with asyncio.timeout(PATIENCE):
                    await self._signals.publish(Message(key.encode()), topic, mandatory=False)
            except FAULTS as error:
                log.info("signal.dropped", topic=topic, reason=str(error))

    async def _exchange(self, name: str) -> AbstractExchange:
        if name not in self._exchanges:
            assert self._confirming is not None
            self._exchanges[name] = await self._confirming.get_exchange(name, ensure=False)
        return self._exchanges[name]


async def ensure_exchange(connection: AbstractConnection, name: str, kind: str) -> None:
    """Make a shared exchange unless it is there. In production it is, and nobody but set-up may make one."""
    try:
        async with connection.channel() as channel:
            await channel.declare_exchange(name, kind, durable=True, passive=True)
    except ChannelNotFoundEntity:
        async with connection.channel() as channel:
            await channel.declare_exchange(name, kind, durable=True)
