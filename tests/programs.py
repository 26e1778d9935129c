"""Real programs as a person starts them: their output as it comes, signals, and how they end."""

import asyncio
import os
import signal
import socket
import sys
from collections.abc import AsyncIterator, Iterator, Mapping
from contextlib import asynccontextmanager, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from deploy.local.backing import BackingService
from deploy.local.backing.port import free_port, is_free
from shared.ids import SystemIds

SIGNALLED = 10.0
"""Seconds from a signal to the end."""
ENDS = 20.0
"""Seconds from the start of a program that cannot start: ten of its own, and Python's start on a busy machine."""
LISTENS = "Ctrl-C stops"
"""In the last line that `make run` prints before it waits."""


@dataclass(frozen=True)
class Ended:
    """A program that is gone."""

    code: int
    out: str
    err: str

    def one_line(self) -> str:
        """The line that says why it failed: the last one, and the only one that is no log line."""
        assert self.code == 1, self
        self.assert_no_traceback()
        return self.err.splitlines()[-1]

    def assert_no_traceback(self) -> None:
        for text in (self.out, self.err):
            assert "Traceback" not in text, text
            assert "never retrieved" not in text, text


class Program:
    """A running one. `said` waits until a line of its output or log holds a text."""

    def __init__(self, process: asyncio.subprocess.Process) -> None:
        self.process = process
        self._out: list[str] = []
        self._err: list[str] = []
        self._more = asyncio.Condition()
        assert process.stdout is not None
        assert process.stderr is not None
        self._reading = [
            asyncio.create_task(self._read(process.stdout, self._out)),
            asyncio.create_task(self._read(process.stderr, self._err)),
        ]

    async def _read(self, stream: asyncio.StreamReader, lines: list[str]) -> None:
        async for line in stream:
            lines.append(line.decode(errors="replace"))
            async with self._more:
                self._more.notify_all()
        async with self._more:
            self._more.notify_all()

    async def said(self, text: str, within: float = ENDS) -> str:
        """The first line with that text."""

        def found() -> str | None:
            return next((line for line in [*self._out, *self._err] if text in line), None)

        async with asyncio.timeout(within), self._more:
            await self._more.wait_for(lambda: found() or all(task.done() for task in self._reading))
        line = found()
        assert line is not None, "".join([*self._out, *self._err])
        return line

    def send(self, number: signal.Signals) -> None:
        self.process.send_signal(number)

    async def ends(self, within: float) -> Ended:
        async with asyncio.timeout(within):
            code = await self.process.wait()
            await asyncio.gather(*self._reading)
        return Ended(code, "".join(self._out), "".join(self._err))

    async def stopped(self, number: signal.Signals = signal.SIGTERM) -> Ended:
        """After a signal: exit code 0, in time."""
        self.send(number)
        ended = await self.ends(SIGNALLED)
        ended.assert_no_traceback()
        assert ended.code == 0, ended
        return ended


@asynccontextmanager
async def started(*arguments: str, environment: Mapping[str, str]) -> AsyncIterator[Program]:
    """Python with these arguments; killed at the end if it is still there."""
    kept = {name: value for name, value in os.environ.items() if not name.startswith("BLOK365_")}
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, *arguments),
        env={**kept, **environment},
        stdin=asyncio.subprocess.DEVNULL,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
    )
    program = Program(process)
    try:
        yield program
    finally:
        if process.returncode is None:
            process.kill()
            await process.wait()
        await asyncio.gather(*program._reading)


async def ended(*arguments: str, environment: Mapping[str, str], within: float = ENDS) -> Ended:
    async with started(*arguments, environment=environment) as program:
        return await program.ends(within)


def three_ports() -> int:
    """A free port behind which the next two are free as well: Blok365's, and those of the stand-ins of `make run`."""
    return next(port for port in iter(free_port, 0) if is_free(port + 1) and is_free(port + 2))


@contextmanager
def taken(port: int = 0) -> Iterator[int]:
    """A port on which somebody listens who never says a word."""
    with socket.socket() as other:
        other.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        other.bind(("127.0.0.1", port))
        other.listen()
        yield other.getsockname()[1]


def make_run(var: Path, port: int, *options: str, **environment: str) -> Any:
    return started(
        *("-m", "deploy", "run", "--empty", "--var", str(var), *options),
        environment={"BLOK365_PORT": str(port), **environment},
    )


def on(mongod: BackingService) -> dict[str, str]:
    """Databases of its own on that server."""
    prefix = "start_" + SystemIds().random_bytes(6).hex()
    return {"BLOK365_MONGO_URL": mongod.url, "BLOK365_DATABASE_PREFIX": prefix}


async def blok365(var: Path, *command: str) -> str:
    """What the command line prints beside `make run`, with nothing in the environment."""
    done = await ended("-m", "deploy.cli", "--var", str(var), *command, environment={})
    assert done.code == 0, done
    return done.out
