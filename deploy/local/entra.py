"""The Entra stand-in as a program of its own: it shares no code with what it checks."""

from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from contextlib import asynccontextmanager
from pathlib import Path

from aiohttp import web

from deploy.local.settings import ENTRA_PORT_OFFSET, other_port
from deploy.local.standin import NotStarted, standin
from shared.errors import Unavailable


@asynccontextmanager
async def entra_standin(
    port: int, settings: Path | str, *, scripted: Path | None = None
) -> AsyncIterator[str]:
    """Started and listening; gives its address. Raises Unavailable, which names the port, when it ends at once.

    `settings`: a file, or an address that it asks each time. `scripted`: where it keeps what scripts federated; without
    it that ends with the program.
    """
    kept = ("--scripted", str(scripted)) if scripted is not None else ()
    try:
        async with standin("entra", port, "--settings", str(settings), *kept):
            yield f"http://localhost:{port}"
    except NotStarted as error:
        other = other_port(port - ENTRA_PORT_OFFSET)
        raise Unavailable("local.entra.not_started", port=port, reason=error, other=other) from error


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
