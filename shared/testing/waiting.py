"""Waiting for what another process or a message brings about."""

import asyncio
from collections.abc import Awaitable, Callable
from typing import Literal, TypeVar

T = TypeVar("T")


async def eventually(
    attempt: Callable[[], Awaitable[T | Literal[False] | None]],
    what: str,
    *,
    within: float = 60.0,
    every: float = 0.03,
) -> T:
    """What `attempt` gives once that is neither None nor False, asked again every `every` seconds.

    `what` ends the sentence of the TimeoutError that is raised after `within` seconds. An attempt that hangs is not
    interrupted: whatever it waits for has a limit of its own.
    """
    loop = asyncio.get_running_loop()
    deadline = loop.time() + within
    while loop.time() < deadline:
        found = await attempt()
        if found is not None and found is not False:
            return found
        await asyncio.sleep(every)
    raise TimeoutError(f"did not happen within {within:.0f} s: {what}")
