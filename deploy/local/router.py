"""A small reverse proxy for several processes of each service: the one-process server with services elsewhere.

For demos, tests and the benchmark. Round robin; a replica that does not take the connection is passed over. Which host
and path goes where, and what passes of a service's answer, is decided where one process decides it
(`shared.web.server.combine`).
"""

import asyncio
from collections.abc import Mapping, Sequence
from functools import partial
from itertools import count

import aiohttp
from aiohttp import web
from multidict import CIMultiDict
from yarl import URL

from deploy.pages import built
from shared.clock import SystemClock
from shared.ids import SystemIds
from shared.services import SERVICES, Services
from shared.web.paths import Origins
from shared.web.proxy import bad_answer_body
from shared.web.server import WEB_SETTINGS, WebSettings, combine, serve
from shared.web.site import Tree

_HOP_BY_HOP = frozenset({"connection", "keep-alive", "transfer-encoding", "te", "trailer", "upgrade"})
"""RFC 9110 section 7.6.1."""
SAFE = frozenset({"GET", "HEAD"})
"""RFC 9110 section 9.2.1: asked again elsewhere when a replica dies before its answer began."""
MAX_BODY = 1024 * 1024
"""Octets of a request's body that are passed on; services have lower limits of their own."""


class Router:
    """Listens on one port and passes requests on to `backends` (ports by service); they may change at any time."""

    def __init__(
        self,
        origins: Origins,
        backends: Mapping[str, Sequence[int]],
        table: Services = SERVICES,
        *,
        tree: Tree | None = None,
        start_url: str = "",
    ) -> None:
        self._origins = origins
        self._table = table
        self._tree = built() if tree is None else tree
        self._start_url = start_url
        self.backends = backends
        self.port = 0
        """Where it listens, once it does."""
        self._turn = count()
        self._runner: web.AppRunner | None = None

    async def start(self, port: int) -> None:
        """Listen on 127.0.0.1; port 0 takes a free one. Raises Unavailable."""
        self._client = aiohttp.ClientSession(
            cookie_jar=aiohttp.DummyCookieJar(),
            auto_decompress=False,
            timeout=aiohttp.ClientTimeout(total=None, sock_connect=2),
            connector=aiohttp.TCPConnector(limit=0, keepalive_timeout=30),
        )
        root = combine(
            {name: self._application(name) for name, row in self._table.items() if row.mounts},
            self._origins,
            tree=self._tree,
            clock=SystemClock(),
            ids=SystemIds(),
            ready={name: partial(self._ready, name) for name in self.backends},
            table=self._table,
            start_url=self._start_url,
        )
        self._runner, self.port = await serve(root, "127.0.0.1", port)

    async def stop(self) -> None:
        """Close the port and all connections."""
        if self._runner is not None:
            await self._runner.cleanup()
            await self._client.close()

    def _application(self, service: str) -> web.Application:
        """Hands everything to that service's replicas."""
        app = web.Application(client_max_size=MAX_BODY)
        app[WEB_SETTINGS] = WebSettings(origin=self._origins.signin, max_body=MAX_BODY)
        app.router.add_route("*", "/{path:.*}", partial(self._pass_on, service))
        return app

    async def _ready(self, service: str) -> Mapping[str, bool | str]:
        """What the first replica that answers says of its readiness."""
        for port in self.backends.get(service, ()):
            try:
                async with self._client.get(f"http://127.0.0.1:{port}/readyz") as answer:
                    checks: Mapping[str, bool | str] = (await answer.json())["checks"]
                    return {"answers": True, **checks}
            except aiohttp.ClientError:
                continue
        return {"answers": False}

    async def _pass_on(self, service: str, request: web.Request) -> web.StreamResponse:
        ports = self.backends.get(service, ())
        body = await request.read()
        turn = next(self._turn)
        for attempt in range(len(ports)):
            port = ports[(turn + attempt) % len(ports)]
            try:
                return await self._ask(service, request, port, body)
            except aiohttp.ClientConnectorError:
                continue  # nobody was there, so nothing was done: another replica may
            except aiohttp.ClientError:
                if request.method not in SAFE:
                    break  # it may have been done: only the client can know whether to ask again
        if self._table[service].answers == "json":
            return web.Response(status=503, text=bad_answer_body("503"))
        return web.Response(status=503, text="No replica answers. Try again.", headers={"Retry-After": "2"})

    async def _ask(self, service: str, request: web.Request, port: int, body: bytes) -> web.StreamResponse:
        headers = {k: v for k, v in request.headers.items() if k.lower() not in _HOP_BY_HOP}
        earlier = request.headers.get("X-Forwarded-For")
        headers["X-Forwarded-For"] = f"{earlier}, {request.remote}" if earlier else str(request.remote)
        url = URL(f"http://127.0.0.1:{port}{request.raw_path}", encoded=True)
        async with self._client.request(
            request.method, url, headers=headers, data=body or None, allow_redirects=False
        ) as answer:
            if self._table[service].answers == "json":
                # Whole and without headers: the rule lets no others through, and may put another answer in its place.
                return web.Response(status=answer.status, body=await answer.read())
            passed = [(k, v) for k, v in answer.headers.items() if k.lower() not in _HOP_BY_HOP]
            response = web.StreamResponse(
                status=answer.status, reason=answer.reason, headers=CIMultiDict(passed)
            )
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
