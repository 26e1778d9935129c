"""A connection to RabbitMQ is made again after whatever ends it, also what the library does to our own tasks."""

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import Any

import pytest

from shared.bus.rabbit import connection as module
from shared.bus.rabbit.connection import Connection

Lost = Callable[[], None]


class Library:
    """In place of an aio-pika connection."""

    def __init__(self) -> None:
        self.close_callbacks = set[Callable[..., None]]()

    async def close(self) -> None:
        """Nothing to wait for."""


@pytest.fixture(autouse=True)
def _no_broker(monkeypatch: pytest.MonkeyPatch) -> None:
    async def connect(*_: Any, **__: Any) -> Library:
        return Library()

    monkeypatch.setattr("aio_pika.connect", connect)
    monkeypatch.setattr(module, "FIRST_PAUSE", 0.001)


@asynccontextmanager
async def started(setup: Callable[[int, Lost], Any]) -> AsyncIterator[Connection]:
    """A connection whose set-up is told how many there were before it."""
    before = 0

    async def numbered(_: Any, lost: Lost) -> None:
        nonlocal before
        before += 1
        await setup(before - 1, lost)

    made = Connection("amqp://127.0.0.1/", "test", numbered)
    made.start()
    yield made
    await made.close()


async def test_the_library_cancels_what_waits_for_an_answer() -> None:
    """A connection that is lost in the middle of its set-up: aiormq cancels the future that the set-up waits for."""

    async def setup(before: int, _: Lost) -> None:
        if before == 0:
            waiting = asyncio.get_running_loop().create_future()
            waiting.cancel()
            await waiting

    async with started(setup) as made:
        await made.up(5)


async def test_the_library_does_not_hear_that_it_is_cancelled(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "SETUP_TIMEOUT", 0.01)
    over = asyncio.Event()

    async def setup(before: int, _: Lost) -> None:
        while before == 0 and not over.is_set():
            try:
                await over.wait()
            except asyncio.CancelledError:
                continue

    async with started(setup) as made:
        await made.up(5)
        over.set()


async def test_the_library_raises_what_nobody_expects_of_it() -> None:
    async def setup(before: int, _: Lost) -> None:
        if before == 0:
            raise AttributeError("'NoneType' object has no attribute 'write'")

    async with started(setup) as made:
        await made.up(5)


async def test_it_is_made_again_each_time_that_it_is_lost() -> None:
    again = asyncio.Event()

    async def setup(before: int, lost: Lost) -> None:
        if before < 3:
            asyncio.get_running_loop().call_soon(lost)
        else:
            again.set()

    async with asyncio.timeout(5), started(setup):
        await again.wait()
