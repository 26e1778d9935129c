"""One service's queue in this process: declared, consumed, and each message answered once its outcome is safe.

received --dispatch--> ACK ---------------------------------------------> ack
                       RETRY --publish to retry.Ns, wait for the confirm--> ack
                       DEAD ---publish to <service>.dead, confirm---------> ack
                       no confirm ----------------------------------------> nack, requeue

Killed anywhere, the message is still in its queue or already safe in the next; at worst it is in both.
"""

import asyncio
import contextlib
from collections.abc import Callable

import structlog
from aio_pika.abc import AbstractConnection, AbstractIncomingMessage, AbstractQueue
from aio_pika.exceptions import ChannelNotFoundEntity

from shared.bus.delivery import Dispatcher, Outcome, Verdict
from shared.bus.rabbit import codec
from shared.bus.rabbit.connection import FAULTS, Connection, on_close
from shared.bus.rabbit.publisher import MessagePublisher, Unroutable, ensure_exchange
from shared.bus.topology import DEAD, EXCHANGE, Topology
from shared.clock import Clock, iso_millis

log = structlog.get_logger(__name__)

PREFETCH = 64
"""Messages in work at once in one process."""
PAUSE = 1.0
"""Seconds before a message goes back to its queue because the broker did not confirm its next place."""
CHECK_EVERY = 10.0
"""Seconds between two looks whether the queue is there and has a consumer."""
DELETED_FOR = 1.0
"""Seconds from the news that a queue was deleted to its next declaration. RabbitMQ 3.10 says it before the quorum
queue's members are gone; one that is declared in that moment may stay without a leader, and confirm nothing, for ever.
Not verified: the cause. Seen as publishes without a confirm for 45 s, on a busy machine."""
REASON_LENGTH = 500


class QueueConsumer:
    """Delivers to one dispatcher until `stop()`."""

    def __init__(
        self, url: str, dispatcher: Dispatcher, publisher: MessagePublisher, topology: Topology, clock: Clock
    ) -> None:
        self.connection = Connection(url, f"blok365 {dispatcher.service}", self._setup)
        self._dispatcher = dispatcher
        self._publisher = publisher
        self._topology = topology
        self._clock = clock
        self._consuming: tuple[AbstractQueue, str] | None = None
        self._working: set[asyncio.Task[None]] = set()
        self._watching: asyncio.Task[None] | None = None
        self._stopping = False

    async def _setup(self, connection: AbstractConnection, lost: Callable[[], None]) -> None:
        service = self._dispatcher.service
        await ensure_exchange(connection, EXCHANGE, "topic")
        await ensure_exchange(connection, service, "direct")
        channel = await connection.channel(publisher_confirms=False)
        channel.close_callbacks.add(on_close(lost))
        await channel.set_qos(PREFETCH)
        queue: AbstractQueue | None = None
        for spec in self._topology.queues(service):
            queue = await channel.declare_queue(spec.name, durable=True, arguments=dict(spec.arguments))
        for binding in self._topology.bindings(service, self._dispatcher.types):
            target = await channel.get_queue(binding.queue, ensure=False)
            await target.bind(binding.exchange, binding.key)
        assert queue is not None
        assert queue.name == service
        underlay = await channel.get_underlay_channel()
        loop = asyncio.get_running_loop()

        def queue_deleted() -> None:
            loop.call_later(DELETED_FOR, lost)  # then it is made again

        underlay.on_consumer_cancel_callbacks.add(on_close(queue_deleted))
        if not self._stopping:
            self._consuming = (queue, await queue.consume(self._receive))
            self._stop_watching()
            self._watching = asyncio.create_task(self._watch(connection, lost), name=f"watch {service}")

    async def _watch(self, connection: AbstractConnection, lost: Callable[[], None]) -> None:
        """Make everything anew when the queue is gone, or nobody consumes from it, and the broker did not say so.

        It says so as a rule. But a quorum queue that is deleted while its consumer declares it again may still be found
        by the declaration and take the consumer with it (seen with RabbitMQ 3.10 on a busy machine).
        """
        with contextlib.suppress(*FAULTS):  # the connection's own loss is noticed elsewhere
            while True:
                await self._clock.sleep(CHECK_EVERY)
                async with connection.channel(publisher_confirms=False) as channel:
                    try:
                        queue = await channel.declare_queue(self._dispatcher.service, passive=True)
                        consumers, pause = queue.declaration_result.consumer_count or 0, 0.0
                    except ChannelNotFoundEntity:
                        consumers, pause = 0, DELETED_FOR
                if not consumers:
                    log.error("bus.queue_without_consumer", service=self._dispatcher.service)
                    await self._clock.sleep(pause)
                    lost()
                    return

    def _stop_watching(self) -> None:
        if self._watching is not None:
            self._watching.cancel()
            self._watching = None

    async def _receive(self, message: AbstractIncomingMessage) -> None:
        """Take the message on. The work is in a task of ours: aiormq cancels its own when a channel closes."""
        task = asyncio.create_task(self._answer(message), name=f"deliver {message.type}")
        self._working.add(task)
        task.add_done_callback(self._working.discard)

    async def _answer(self, message: AbstractIncomingMessage) -> None:
        settled = False
        try:
            settled = not self._stopping and await self._settle(message)
        finally:
            # The channel may be gone: then the broker delivers the message again by itself.
            with contextlib.suppress(*FAULTS):
                await (message.ack() if settled else message.nack(requeue=True))

    async def _settle(self, message: AbstractIncomingMessage) -> bool:
        """Handle it, and see to it that it is safe where it belongs next. False: it must come again."""
        signed, attempt = codec.from_amqp(message), codec.attempt_of(message)
        outcome = await self._dispatcher.dispatch(signed, attempt)
        if outcome.verdict is Verdict.ACK or await self._pass_on(message, outcome, attempt):
            return True
        if not self._stopping:
            await asyncio.sleep(PAUSE)
        return False

    async def _pass_on(self, message: AbstractIncomingMessage, outcome: Outcome, attempt: int) -> bool:
        service, signed = self._dispatcher.service, codec.from_amqp(message)
        if outcome.verdict is Verdict.RETRY:
            key = self._topology.retry_key(outcome.waits_as(attempt))
            made = codec.to_amqp(signed, {codec.ATTEMPT: outcome.next_attempt(attempt)})
        else:
            key = DEAD
            died_at = iso_millis(self._clock.now())
            made = codec.to_amqp(
                signed,
                {
                    codec.ATTEMPT: attempt,
                    codec.REASON: outcome.reason[:REASON_LENGTH],
                    codec.DIED_AT: died_at,
                },
            )
        try:
            return await self._publisher.send(service, key, made)
        except Unroutable:
            log.error("bus.no_queue", service=service, key=key)  # noqa: TRY400
            return False

    async def stop(self, within: float) -> None:
        """No more deliveries; running handlers get `within` seconds, then their messages go back to the queue."""
        self._stopping = True
        self._stop_watching()
        if self._consuming is not None and self.connection.is_up:
            queue, tag = self._consuming
            with contextlib.suppress(*FAULTS):
                async with asyncio.timeout(within):
                    await queue.cancel(tag)
        if self._working:
            _, late = await asyncio.wait(list(self._working), timeout=within)
            for task in late:
                task.cancel()
            if late:
                log.warning("bus.handlers_cut_short", service=self._dispatcher.service, count=len(late))
                await asyncio.wait(late, timeout=1)
        await self.connection.close()
