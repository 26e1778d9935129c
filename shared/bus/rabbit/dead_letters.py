"""Dead letters: look at them, send them again. For people, by `blok365 dead`."""

import asyncio
import contextlib
from collections.abc import Collection
from dataclasses import dataclass

import aio_pika
from aio_pika.abc import AbstractIncomingMessage
from aio_pika.exceptions import AMQPError

from shared.bus.rabbit import codec
from shared.bus.topology import AGAIN, dead_queue
from shared.contracts.envelope import SignedMessage
from shared.errors import NotFound, Unavailable

TIMEOUT = 10.0
PUT_BACK_TIMEOUT = 3.0


@dataclass(frozen=True, slots=True)
class DeadLetter:
    """A message that a service could not handle, and why."""

    message: SignedMessage
    reason: str
    died_at: str
    """UTC, as in `shared.clock.iso_millis`; empty when the broker itself gave it up."""
    attempts: int


async def list_dead(url: str, service: str, limit: int = 200) -> list[DeadLetter]:
    """The oldest dead letters of a service; they stay where they are. Raises Unavailable, NotFound."""
    async with _Dead(url, service) as queue:
        return [_letter(message) for message in await queue.take(limit)]


async def replay(url: str, service: str, ids: Collection[str] | None = None) -> int:
    """Give dead letters (message ids; None: all that are there now) to the service once more; how many.

    A copy is confirmed before the letter is removed. What the service cannot handle comes back as a new letter.
    Raises Unavailable, NotFound.
    """
    async with _Dead(url, service) as queue:
        done = 0
        for message in await queue.take(None):
            signed = codec.from_amqp(message)
            if ids is None or signed.id in ids:
                await queue.give_back(signed)
                await message.ack()
                done += 1
        return done


class _Dead:
    """A channel on the dead-letter queue. What was taken and not acknowledged is back there when it closes."""

    def __init__(self, url: str, service: str) -> None:
        self._url = url
        self._service = service
        self._taken: list[AbstractIncomingMessage] = []

    async def __aenter__(self) -> "_Dead":
        try:
            self._connection = await aio_pika.connect(self._url, timeout=TIMEOUT)
        except (AMQPError, OSError) as error:
            raise Unavailable("shared.bus.away", fault=error) from error
        return self

    async def __aexit__(self, *_: object) -> None:
        try:
            await self._put_back()
        finally:
            await self._connection.close()

    async def _put_back(self) -> None:
        """Give back what is left and wait until the broker has: whoever looks next must find it."""
        left = [message for message in self._taken if not message.processed]
        for message in left:
            await message.nack(requeue=True)
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(PUT_BACK_TIMEOUT):
                while left and await self._count() < len(left):  # noqa: ASYNC110 - the broker tells nobody
                    await asyncio.sleep(0.02)

    async def _count(self) -> int:
        queue = await self._channel.declare_queue(dead_queue(self._service), passive=True)
        return queue.declaration_result.message_count or 0

    async def take(self, limit: int | None) -> list[AbstractIncomingMessage]:
        """Messages from the front, as many as there are now, at most `limit`."""
        try:
            self._channel = await self._connection.channel(on_return_raises=True)
            queue = await self._channel.declare_queue(dead_queue(self._service), passive=True)
        except aio_pika.exceptions.ChannelNotFoundEntity:
            raise NotFound("shared.bus.no_dead_letters", service=self._service) from None
        wanted = queue.declaration_result.message_count or 0
        while len(self._taken) < (wanted if limit is None else min(wanted, limit)):
            message = await queue.get(fail=False, timeout=TIMEOUT)
            if message is None:
                break
            self._taken.append(message)
        return self._taken

    async def give_back(self, signed: SignedMessage) -> None:
        exchange = await self._channel.get_exchange(self._service, ensure=False)
        await exchange.publish(codec.to_amqp(signed), AGAIN, mandatory=True, timeout=TIMEOUT)


def _letter(message: AbstractIncomingMessage) -> DeadLetter:
    headers = message.headers
    by_broker = f"given up by the broker: {headers.get('x-first-death-reason', 'unknown')!s}"
    return DeadLetter(
        message=codec.from_amqp(message),
        reason=str(headers.get(codec.REASON, by_broker)),
        died_at=str(headers.get(codec.DIED_AT, "")),
        attempts=codec.attempt_of(message),
    )
