"""A small reverse proxy for several processes of each service, from the table of services like the Caddyfile.

For demos, tests and the benchmark. Round robin; a replica that does not take the connection is passed over.
"""

import asyncio
from collections.abc import Mapping, Sequence
from itertools import count

import aiohttp
from aiohttp import web
from yarl import URL

from shared.services import SERVICES, Host, Services
from shared.web.paths import HEALTH, Origins, service_for

_HOP_BY_HOP = frozenset({"connection", "keep-alive", "transfer-encoding", "te", "trailer", "upgrade"})
"""RFC 9110 section 7.6.1."""
SAFE = frozenset({"GET", "HEAD"})
"""RFC 9110 section 9.2.1: asked again elsewhere when a replica dies before its answer began."""
MAX_LINE = 16_384


class Router:
    """Listens on one port and passes requests on to `backends` (ports by service); they may change at any time.

    Health checks are answered by a replica of the service that signs people in.
    """

    def __init__(
        self, origins: Origins, backends: Mapping[str, Sequence[int]], table: Services = SERVICES
    ) -> None:
        self._origins = origins
        self._table = table
        self._checked = service_for(Host.SIGNIN, "/signin/", table)
        self.backends = backends
        self._turn = count()
        self._runner: web.ServerRunner | None = None

    async def start(self, port: int) -> None:
        """Listen on 127.0.0.1."""
        self._client = aiohttp.ClientSession(
            cookie_jar=aiohttp.DummyCookieJar(),
            auto_decompress=False,
            timeout=aiohttp.ClientTimeout(total=None, sock_connect=2),
            connector=aiohttp.TCPConnector(limit=0, keepalive_timeout=30),
        )
        server = web.Server(self._pass_on, access_log=None, max_line_size=MAX_LINE, max_field_size=MAX_LINE)
        self._runner = web.ServerRunner(server)
        await self._runner.setup()
        await web.TCPSite(self._runner, "127.0.0.1", port).start()

    async def stop(self) -> None:
        """Close the port and all connections."""
        if self._runner is not None:
            await self._runner.cleanup()
            await self._client.close()

    async def _pass_on(self, request: web.BaseRequest) -> web.StreamResponse:
        host = self._origins.host_of(request.host) or Host.SIGNIN
        service = self._checked if request.path in HEALTH else service_for(host, request.path, self._table)
        ports = self.backends.get(service, ())
        body = await request.read()
        turn = next(self._turn)
        for attempt in range(len(ports)):
            port = ports[(turn + attempt) % len(ports)]
            try:
                return await self._ask(request, port, body)
            except aiohttp.ClientConnectorError:
                continue  # nobody was there, so nothing was done: another replica may
            except aiohttp.ClientError:
                if request.method not in SAFE:
                    break  # it may have been done: only the client can know whether to ask again
        return web.Response(status=503, text="No replica answers. Try again.", headers={"Retry-After": "2"})

    async def _ask(self, request: web.BaseRequest, port: int, body: bytes) -> web.StreamResponse:
        headers = {k: v for k, v in request.headers.items() if k.lower() not in _HOP_BY_HOP}
        earlier = request.headers.get("X-Forwarded-For")
        headers["X-Forwarded-For"] = f"{earlier}, {request.remote}" if earlier else str(request.remote)
        url = URL(f"http://127.0.0.1:{port}{request.raw_path}", encoded=True)
        async with self._client.request(
            request.method, url, headers=headers, data=body or None, allow_redirects=False
        ) as answer:
            response = web.StreamResponse(status=answer.status, reason=answer.reason)
            for name, value in answer.headers.items():
                if name.lower() not in _HOP_BY_HOP:
                    response.headers.add(name, value)
            await response.prepare(request)
            try:
                async for chunk in answer.content.iter_any():
                    await response.write(chunk)
            except (aiohttp.ClientError, ConnectionError, asyncio.CancelledError) as error:
                if request.transport is not None:
                    request.transport.close()  # cut short, visibly: never pass half an answer off as whole
                if isinstance(error, asyncio.CancelledError):
                    raise
                raise ConnectionResetError("the answer broke off") from error
            await response.write_eof()
            return response
