"""The stand-in's own clock: the machine's, put forward on request, so that no test has to wait."""

import asyncio
from datetime import datetime, timedelta

from shared.clock import Clock


class ControlledClock:
    """Runs with the machine's clock, some time ahead of it. `advance` wakes who waited long enough."""

    def __init__(self, machine: Clock) -> None:
        self._machine = machine
        self._ahead = 0.0
        self._moved = asyncio.Event()

    def now(self) -> datetime:
        return self._machine.now() + timedelta(seconds=self._ahead)

    def monotonic(self) -> float:
        return self._machine.monotonic() + self._ahead

    def advance(self, seconds: float) -> None:
        """Put it forward; never back, which would make tokens and windows of the future."""
        if seconds < 0:
            raise ValueError("the clock only goes forward")
        self._ahead += seconds
        self._moved.set()
        self._moved = asyncio.Event()

    async def sleep(self, seconds: float) -> None:
        """Until that many seconds of this clock have passed, by themselves or by `advance`."""
        until = self.monotonic() + seconds
        while (left := until - self.monotonic()) > 0:
            try:
                async with asyncio.timeout(left):
                    await self._moved.wait()
            except TimeoutError:
                return
