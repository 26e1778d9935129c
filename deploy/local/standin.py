"""A stand-in as a program of its own, started and ended with us: it shares no code with what it checks."""

import asyncio
import sys
from asyncio.subprocess import PIPE, STDOUT, Process
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import structlog

log = structlog.get_logger(__name__)

START_WITHIN = 10.0
STOP_WITHIN = 2.0
LISTENS = b"Running on"
"""In the line that aiohttp prints when it listens."""


class NotStarted(Exception):
    """The program ended at once, or does not listen. Its text is what the program said last."""


@asynccontextmanager
async def standin(name: str, port: int, *options: str) -> AsyncIterator[None]:
    """`deploy.standins.{name}`, listening on that port; what it prints goes into our log. Raises NotStarted."""
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", f"deploy.standins.{name}"),
        *("--port", str(port), *options, "--until-stdin-ends"),
        stdin=PIPE,  # held and never written to: it ends with us, also by kill -9, and the stand-in with it
        stdout=PIPE,
        stderr=STDOUT,
        start_new_session=True,  # Ctrl-C in the terminal is for us; we stop it in order
    )
    assert process.stdout is not None
    try:
        await _until_it_listens(process.stdout)
        passing_on = asyncio.create_task(_pass_on(process.stdout, name))
        try:
            yield
        finally:
            passing_on.cancel()
    finally:
        await _end(process)


async def _until_it_listens(output: asyncio.StreamReader) -> None:
    said = ["it said nothing"]
    try:
        async with asyncio.timeout(START_WITHIN):
            async for line in output:
                if LISTENS in line:
                    return
                said.append(line.decode(errors="replace").strip())
    except TimeoutError:
        said.append(f"it does not listen after {START_WITHIN:.0f} s")
    raise NotStarted(said[-1])


async def _pass_on(output: asyncio.StreamReader, name: str) -> None:
    """Pass on to our own log what the stand-in prints."""
    async for line in output:
        log.info("standin.said", standin=name, line=line.decode(errors="replace").rstrip())


async def _end(process: Process) -> None:
    if process.returncode is None:
        process.terminate()
    try:
        async with asyncio.timeout(STOP_WITHIN):
            await process.wait()
    except TimeoutError:
        process.kill()
        await process.wait()
