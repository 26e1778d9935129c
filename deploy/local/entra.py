"""The Entra stand-in as a program of its own: it shares no code with what it checks."""

import asyncio
import sys
from asyncio.subprocess import PIPE, STDOUT, Process
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from contextlib import asynccontextmanager
from pathlib import Path

import structlog
from aiohttp import web

from deploy.local.settings import ENTRA_PORT_OFFSET, other_port
from shared.errors import Unavailable

log = structlog.get_logger(__name__)

START_WITHIN = 10.0
STOP_WITHIN = 2.0
LISTENS = b"Running on"
"""In the line that aiohttp prints when it listens."""


@asynccontextmanager
async def entra_standin(
    port: int, settings: Path | str, *, scripted: Path | None = None
) -> AsyncIterator[str]:
    """Started and listening; gives its address. Raises Unavailable, which names the port, when it ends at once.

    `settings`: a file, or an address that it asks each time. `scripted`: where it keeps what scripts federated; without
    it that ends with the program.
    """
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "deploy.standins.entra"),
        *("--port", str(port), "--settings", str(settings), "--until-stdin-ends"),
        *(("--scripted", str(scripted)) if scripted is not None else ()),
        stdin=PIPE,  # held and never written to: it ends with us, also by kill -9, and the stand-in with it
        stdout=PIPE,
        stderr=STDOUT,
        start_new_session=True,  # Ctrl-C in the terminal is for us; we stop it in order
    )
    assert process.stdout is not None
    try:
        await _until_it_listens(process.stdout, port)
        passing_on = asyncio.create_task(_pass_on(process.stdout))
        try:
            yield f"http://localhost:{port}"
        finally:
            passing_on.cancel()
    finally:
        await _end(process)


async def _until_it_listens(output: asyncio.StreamReader, port: int) -> None:
    said = ["it said nothing"]
    try:
        async with asyncio.timeout(START_WITHIN):
            async for line in output:
                if LISTENS in line:
                    return
                said.append(line.decode(errors="replace").strip())
    except TimeoutError:
        said.append(f"it does not listen after {START_WITHIN:.0f} s")
    raise Unavailable(
        "local.entra.not_started", port=port, reason=said[-1], other=other_port(port - ENTRA_PORT_OFFSET)
    )


async def _pass_on(output: asyncio.StreamReader) -> None:
    """Pass on to our own log what the stand-in prints."""
    async for line in output:
        log.info("entra.said", line=line.decode(errors="replace").rstrip())


@asynccontextmanager
async def answering(federation: Callable[[], Awaitable[Mapping[str, object]]]) -> AsyncIterator[str]:
    """An address on this machine that answers with the federation settings as they are when it is asked."""

    async def answer(request: web.Request) -> web.Response:
        if (
            request.host != f"127.0.0.1:{port}"
        ):  # a page of another site whose name leads here (DNS rebinding)
            raise web.HTTPMisdirectedRequest
        return web.json_response(await federation())

    app = web.Application()
    app.add_routes([web.get("/federation.json", answer)])
    runner = web.AppRunner(app, access_log=None)
    await runner.setup()
    try:
        await web.TCPSite(runner, "127.0.0.1", 0).start()
        port: int = runner.addresses[0][1]
        yield f"http://127.0.0.1:{port}/federation.json"
    finally:
        await runner.cleanup()


async def _end(process: Process) -> None:
    if process.returncode is None:
        process.terminate()
    try:
        async with asyncio.timeout(STOP_WITHIN):
            await process.wait()
    except TimeoutError:
        process.kill()
        await process.wait()
