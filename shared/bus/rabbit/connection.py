"""One connection to the broker, made again whenever it is lost.

Not `connect_robust`: after a loss we want everything declared and consumed again by the same code as at first,
and to know at any moment whether there is a connection.
"""

import asyncio
import contextlib
from collections.abc import Callable, Coroutine
from typing import Any, TypeVar

import aio_pika
import structlog
from aio_pika.abc import AbstractConnection
from aio_pika.exceptions import AMQPError
from yarl import URL

from shared.errors import Unavailable

log = structlog.get_logger(__name__)
T = TypeVar("T")

FAULTS = (AMQPError, OSError, RuntimeError, TimeoutError)
"""What aio-pika raises when a connection or channel is lost, refused, or in the middle of closing."""
CONNECT_TIMEOUT = 5.0
SETUP_TIMEOUT = 30.0
"""Seconds for channels and queues. On a busy broker a quorum queue takes seconds to find its leader, and who gives up
before that and begins anew only adds to its work. A broker that is gone is noticed by the heartbeat."""
HEARTBEAT = 10
"""Seconds; after three without a sign of life the peer is taken for dead."""
FIRST_PAUSE, LONGEST_PAUSE = 0.05, 2.0
"""Seconds between tries to connect."""

Setup = Callable[[AbstractConnection, Callable[[], None]], Coroutine[Any, Any, None]]
"""Makes channels on a new connection. The second argument is to be called when one of them is lost: then the
whole connection is made anew."""


class Connection:
    """`start()`, then `up()` waits for it, `close()` ends it. `name` shows in RabbitMQ's list of connections."""

    def __init__(self, url: str, name: str, setup: Setup) -> None:
        self._url = URL(url).update_query(heartbeat=str(HEARTBEAT))
        self._name = name
        self._setup = setup
        self._up = asyncio.Event()
        self._task: asyncio.Task[None] | None = None
        self._fault = "not connected yet"

    @property
    def is_up(self) -> bool:
        return self._up.is_set()

    def start(self) -> None:
        """Connect, and stay connected, in the background."""
        if self._task is None:
            self._task = asyncio.create_task(self._keep(), name=f"connection {self._name}")

    async def up(self, within: float) -> None:
        """Wait for the connection. Raises Unavailable after `within` seconds."""
        try:
            async with asyncio.timeout(within):
                await self._up.wait()
        except TimeoutError:
            raise Unavailable("shared.bus.away", fault=self._fault) from None

    async def close(self) -> None:
        if self._task is not None:
            self._task.cancel()
            await asyncio.wait([self._task])
            self._task = None

    async def _keep(self) -> None:
        pause = FIRST_PAUSE
        while True:
            try:
                connected = await self._once()
            except Exception as error:  # whatever it is, without a connection this process is of no use
                connected = False
                self._fault = f"{type(error).__name__}: {error}"
                log.warning("bus.connect_failed", connection=self._name, reason=self._fault)
            pause = FIRST_PAUSE if connected else min(pause * 2, LONGEST_PAUSE)
            await asyncio.sleep(pause)

    async def _once(self) -> bool:
        """Connect and stay until the connection is lost."""
        lost = asyncio.Event()
        connecting = aio_pika.connect(
            self._url, timeout=CONNECT_TIMEOUT, client_properties={"connection_name": self._name}
        )
        connection = await _within(CONNECT_TIMEOUT + 1, connecting)
        try:
            connection.close_callbacks.add(on_close(lost.set))
            await _within(SETUP_TIMEOUT, self._setup(connection, lost.set))
            self._up.set()
            log.info("bus.connected", connection=self._name)
            await lost.wait()
            self._fault = "the connection was lost"
            log.warning("bus.lost", connection=self._name)
            return True
        finally:
            self._up.clear()
            with contextlib.suppress(*FAULTS):
                await _within(CONNECT_TIMEOUT, connection.close())


async def _within(seconds: float, work: Coroutine[Any, Any, T]) -> T:
    """Its result. Raises TimeoutError after so many seconds, also when the work does not listen to being cancelled, and
    ConnectionError when the work was cancelled, but not by us.

    aio-pika does both. It may not hear that it is cancelled; and when a connection is lost, it cancels what waits for
    an answer. Either would end the task that makes a lost connection again, if it came through to there.
    """
    task = asyncio.create_task(work)
    try:
        done, _ = await asyncio.wait({task}, timeout=seconds)
    except asyncio.CancelledError:
        task.cancel()
        raise
    if not done:
        task.cancel()
        task.add_done_callback(lambda ended: ended.cancelled() or ended.exception())
        raise TimeoutError
    if task.cancelled():
        raise ConnectionError("the connection was lost while it was being made")
    return task.result()


def on_close(then: Callable[[], None]) -> Callable[..., None]:
    """A close callback for aio-pika, which passes what was closed and why."""

    def callback(*_: Any) -> None:
        then()

    return callback
