"""Server-sent events (HTML standard, section 9.2): a page's live stream, kept alive, bounded, and ended well."""

import asyncio
import json
from collections.abc import AsyncGenerator, AsyncIterator, Mapping
from dataclasses import dataclass
from typing import Any

from aiohttp import web

from shared.clock import Clock

CLOSING = web.AppKey("closing", asyncio.Event)
"""Set when the process stops taking requests; every stream then ends and tells the browser when to come back."""

LOOK_EVERY = 5.0
"""Seconds after which a stream looks whether its client has left. aiohttp tells it only when it writes; until then it
would be one of those that may be open.
"""


@dataclass(frozen=True)
class Event:
    """One event: its name, and data that becomes one line of JSON."""

    name: str
    data: Mapping[str, object]

    def encode(self) -> bytes:
        """The event as it goes over the wire. Raises ValueError for a name that would break the framing."""
        if not self.name.isascii() or not self.name.replace("-", "").replace("_", "").isalnum():
            raise ValueError(f"not an event name: {self.name!r}")
        return f"event: {self.name}\ndata: {json.dumps(self.data, separators=(',', ':'))}\n\n".encode()


async def stream(
    request: web.Request,
    events: AsyncIterator[Event],
    *,
    clock: Clock,
    heartbeat: float = 15,
    life: float = 300,
    retry_ms: int = 2000,
) -> web.StreamResponse:
    """Send events until they end, the client leaves, the process stops, or `life` seconds have passed.

    Every `heartbeat` seconds without an event a comment keeps proxies from closing the connection. The browser
    comes back by itself `retry_ms` after the end, so the route must answer 204 once nothing more can happen.
    """
    response = web.StreamResponse(
        headers={"Content-Type": "text/event-stream; charset=utf-8", "X-Accel-Buffering": "no"}
    )
    await response.prepare(request)
    await response.write(f"retry: {retry_ms}\n\n".encode())
    over: list[asyncio.Task[Any]] = [
        asyncio.create_task(request.app[CLOSING].wait()),
        asyncio.create_task(clock.sleep(life)),
    ]
    following = asyncio.create_task(_following(events))
    beat = asyncio.create_task(clock.sleep(heartbeat))
    look = asyncio.create_task(clock.sleep(LOOK_EVERY))
    try:
        while request.transport is not None and not any(task.done() for task in over):
            await asyncio.wait([following, beat, look, *over], return_when=asyncio.FIRST_COMPLETED)
            if following.done():
                await response.write(following.result().encode())
                following = asyncio.create_task(_following(events))
            if beat.done():
                await response.write(b":\n\n")
                beat = asyncio.create_task(clock.sleep(heartbeat))
            if look.done():
                look = asyncio.create_task(clock.sleep(LOOK_EVERY))
    except (StopAsyncIteration, ConnectionResetError):
        pass  # there is nothing more to send, or the browser has left
    finally:
        tasks: list[asyncio.Task[Any]] = [following, beat, look, *over]
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        if isinstance(events, AsyncGenerator):
            await events.aclose()  # its finally lets go of whatever it listens to
    return response


async def _following(events: AsyncIterator[Event]) -> Event:
    return await anext(events)
