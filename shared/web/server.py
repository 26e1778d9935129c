"""Applications with everything of `shared.web` on them, and the server that listens."""

import asyncio
import os
from collections.abc import AsyncIterator, Awaitable, Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import Any

import structlog
from aiohttp import web
from aiohttp.typedefs import Handler, Middleware
from aiohttp.web_urldispatcher import AbstractRuleMatching, MatchedSubAppResource
from multidict import CIMultiDict

from shared.addresses import NO_NETWORKS, ClientNetworks
from shared.clock import Clock
from shared.errors import BadInput, Unavailable
from shared.ids import Ids
from shared.services import SERVICES, Answers, Services
from shared.web import problems, proxy
from shared.web.frame import NONCE, REQUEST_ID, Pages
from shared.web.headers import CSP, DEFAULT_CSP, Coop, HeaderPolicy
from shared.web.inputs import MAX_LINE
from shared.web.limits import RequestLimit
from shared.web.middleware import around_every_request, begin, headers_signal
from shared.web.paths import Origins, destination
from shared.web.site import PROXY, Site, Tree
from shared.web.sse import CLOSING

log = structlog.get_logger(__name__)

Ready = Callable[[], Awaitable[Mapping[str, bool | str]]]
"""What must work before requests are useful, by name: `{"store": True, "bus": False}`. Text is for people: it
says what is wrong without being in the way of requests.
"""


@dataclass(frozen=True, kw_only=True)
class WebSettings:
    """How a service faces the web.

    `origin`: its public origin. `max_body`: octets. `client_networks`, `requests_per_minute`: see
    `limits.RequestLimit`. `coop`, `features`: see `headers.HeaderPolicy`.
    """

    origin: str
    max_body: int = 64 * 1024
    client_networks: ClientNetworks = NO_NETWORKS
    requests_per_minute: int = 0
    coop: Coop = "same-origin"
    features: tuple[str, ...] = ()

    @property
    def headers(self) -> HeaderPolicy:
        return HeaderPolicy(https=self.origin.startswith("https:"), coop=self.coop, features=self.features)


@dataclass(frozen=True, kw_only=True)
class _Side:
    """What an application was made of; the connection needs it before a handler runs."""

    pages: Pages
    settings: WebSettings
    ids: Ids
    ready: Ready


_SIDE = web.AppKey("side", _Side)
WEB_SETTINGS = web.AppKey("web_settings", WebSettings)
"""Where `combine` finds the largest body that any of its applications takes."""


def make_app(
    pages: Pages, settings: WebSettings, *, clock: Clock, ids: Ids, ready: Ready | None = None
) -> web.Application:
    """An application that answers `/healthz` and `/readyz`; the service adds its routes."""
    app = _bare_app(pages, settings, clock=clock, ids=ids, ready=ready)
    app.add_routes([web.get("/healthz", _healthz), web.get("/readyz", _readyz)])
    return app


def _bare_app(
    pages: Pages, settings: WebSettings, *, clock: Clock, ids: Ids, ready: Ready | None = None
) -> web.Application:
    limit = RequestLimit(settings.client_networks, clock, per_minute=settings.requests_per_minute)
    app = web.Application(
        middlewares=[around_every_request(pages, clock, ids, limit)], client_max_size=settings.max_body
    )
    app.on_response_prepare.append(headers_signal(settings.headers, ids))
    app[WEB_SETTINGS] = settings
    app[_SIDE] = _Side(pages=pages, settings=settings, ids=ids, ready=ready or _always)
    app[CLOSING] = asyncio.Event()
    app.on_shutdown.append(_close_streams)
    return app


async def _always() -> Mapping[str, bool | str]:
    return {}


async def _close_streams(app: web.Application) -> None:
    app[CLOSING].set()


async def _healthz(_: web.Request) -> web.Response:
    return web.json_response({"status": "ok"})


async def _readyz(request: web.Request) -> web.Response:
    checks = dict(await request.app[_SIDE].ready())
    if request.app[CLOSING].is_set():
        checks["accepting"] = False
    ready = all(check for check in checks.values() if isinstance(check, bool))
    return web.json_response({"ready": ready, "checks": checks}, status=200 if ready else 503)


class _Where(AbstractRuleMatching):
    """Matches the requests that one application answers: `name_of` says which does."""

    def __init__(self, name: str, name_of: Callable[[web.Request], str]) -> None:
        super().__init__()
        self._name = name
        self._name_of = name_of

    async def match(self, request: web.Request) -> bool:
        return self._name_of(request) == self._name

    def get_info(self) -> Any:
        return {"service": self._name}

    @property
    def canonical(self) -> str:
        return self._name


_FRONT = "front"
"""The application that answers what is for no service."""
_ABROAD = "abroad"
"""The application that refuses what names no host of ours."""


def combine(
    apps: Mapping[str, web.Application],
    origins: Origins,
    *,
    tree: Tree,
    clock: Clock,
    ids: Ids,
    ready: Mapping[str, Ready] | None = None,
    table: Services = SERVICES,
    start_url: str = "",
    front_routes: Iterable[web.RouteDef] = (),
) -> web.Application:
    """Several services on one port, told apart by Host and path (`paths.destination`); starts and stops them all.

    What the proxy answers by itself comes from `tree`; what services answer goes by the proxy's rule (`proxy`).
    `/readyz` is ready when each of them is; `ready` has the checks of all services of the process by name, also
    of those without an application, and without it the applications' own count. A path of no service, or of one that
    is not in `apps`, gets our page for "that doesn't exist"; a host that is not ours gets a refusal. `start_url`: where
    sign-ins begin; the sign-in origin when empty. `front_routes`: what else is answered where no service is, on every
    host of ours.
    """
    checks = {name: app[_SIDE].ready for name, app in apps.items()} if ready is None else ready

    async def all_ready() -> Mapping[str, bool | str]:
        return {
            f"{name}.{check}": good
            for name, service_ready in checks.items()
            for check, good in (await service_ready()).items()
        }

    facing, common = WebSettings(origin=origins.signin), Pages(PROXY)
    front = make_app(common, facing, clock=clock, ids=ids, ready=all_ready)
    front.add_routes(front_routes)
    front.router.add_route("*", "/{path:.*}", Site(tree, origins, table, start_url or origins.signin).handle)
    abroad = _bare_app(common, facing, clock=clock, ids=ids)
    abroad.router.add_route("*", "/{path:.*}", _refuse)
    own = {_FRONT: front, _ABROAD: abroad}

    def name_of(request: web.Request) -> str:
        host = origins.host_of(request.host)
        if host is None:
            return _ABROAD
        name = destination(host, request.path, table)
        # The front answers for a service that is not running here.
        return name if name in apps else _FRONT

    # aiohttp runs the middlewares of nested applications only if the outermost one has any
    # and takes the limit on bodies from there as well
    largest = max(app[WEB_SETTINGS].max_body for app in (*apps.values(), front))
    root = web.Application(middlewares=[_under_the_rule(name_of, table)], client_max_size=largest)
    root[_SIDE] = front[_SIDE]
    for name, app in {**apps, **own}.items():
        if name in apps:
            app.on_response_prepare.append(_last_word(table[name].answers, https=facing.headers.https))
        app.pre_freeze()
        root.router.register_resource(MatchedSubAppResource(_Where(name, name_of), app))
        root.cleanup_ctx.append(_lifecycle(app))
        root.on_shutdown.append(_shutting_down(app))
    return root


async def _refuse(_: web.Request) -> web.Response:
    raise problems.Misdirected


def _under_the_rule(name_of: Callable[[web.Request], str], table: Services) -> Middleware:
    """The outermost middleware: what a service sees of a request, and which answers go through."""

    @web.middleware
    async def middleware(request: web.Request, handler: Handler) -> web.StreamResponse:
        name = name_of(request)
        if name not in table:
            return await handler(request)
        given = list(request.headers.items())
        seen = list(proxy.filter_request(given, name, table))
        if seen != given:
            # The copy has to be UTF-8, and a header that is not means nothing to our services.
            request = request.clone(headers=CIMultiDict(each for each in seen if _is_utf8(each[1])))
        try:
            response = await handler(request)
        except web.HTTPException as answer:
            response = answer
        if response.prepared or proxy.passes(table[name].answers, response.status):
            return response
        return proxy.bad_answer()

    return middleware


def _is_utf8(value: str) -> bool:
    """Whether aiohttp could decode the value that was sent."""
    return not any("\ud800" <= character <= "\udfff" for character in value)


def _last_word(
    answers: Answers, *, https: bool
) -> Callable[[web.Request, web.StreamResponse], Awaitable[None]]:
    """The signal that has the rule applied to headers after whatever the service's own signals did."""

    async def on_prepare(_: web.Request, response: web.StreamResponse) -> None:
        if not proxy.passes(answers, response.status):
            # A stream that a handler began itself: `set_status` would say that it is too late, and it is not yet.
            response._set_status(proxy.BAD_ANSWER, None)
            response.force_close()
            response.headers["Connection"] = "close"
        proxy.filter_answer(answers, response.headers, https=https)

    return on_prepare


def _shutting_down(app: web.Application) -> Callable[[web.Application], Awaitable[None]]:
    async def shutdown(_: web.Application) -> None:
        await app.shutdown()

    return shutdown


def _lifecycle(app: web.Application) -> Callable[[web.Application], AsyncIterator[None]]:
    async def run(_: web.Application) -> AsyncIterator[None]:
        app.freeze()
        await app.startup()
        yield
        await app.cleanup()

    return run


class _Protocol(web.RequestHandler):
    """aiohttp's connection, except that what it refuses itself gets our page instead of its plain text.

    aiohttp 3.14 repeats in that text, and with a traceback in its log, what the client sent; it sends the answer
    without any security header and with its own version in `Server`. A middleware or a signal cannot change that,
    because no application is asked yet; so this class and the two below reach into the server.
    """

    side: _Side

    def handle_error(
        self,
        request: web.BaseRequest,
        status: int = 500,
        exc: BaseException | None = None,
        message: str | None = None,  # noqa: ARG002 - aiohttp's words may repeat what was sent
    ) -> web.StreamResponse:
        """Answer a request that is no HTTP, has a line over the limit, or broke before a handler ran."""
        if request.writer.output_size > 0:
            raise ConnectionError("a response had begun; nothing more can be said")
        side = self.side
        begin(request, side.ids)
        log.info("malformed", status=status, error=type(exc).__name__ if exc else "", id=request[REQUEST_ID])
        error = BadInput("shared.web.malformed") if status < 500 else None
        response = problems.respond(request, error or problems.from_http(status), side.pages)
        side.settings.headers.apply(response.headers, response.get(CSP, DEFAULT_CSP).header(request[NONCE]))
        response.headers["X-Request-Id"] = request[REQUEST_ID]
        response.force_close()
        return response


class _Server(web.Server):
    side: _Side

    def __call__(self) -> web.RequestHandler:
        protocol = _Protocol(self, loop=self._loop, **self._kwargs)
        protocol.side = self.side
        return protocol


class Runner(web.AppRunner):
    """aiohttp's runner with our limits and our answer to what is malformed."""

    def __init__(self, app: web.Application, *, shutdown_timeout: float = 3) -> None:
        super().__init__(
            app,
            access_log=None,
            max_line_size=MAX_LINE,
            max_field_size=MAX_LINE,
            shutdown_timeout=shutdown_timeout,
            keepalive_timeout=75,
        )

    async def _make_server(self) -> web.Server:
        plain = await super()._make_server()
        server = _Server(
            plain.request_handler, request_factory=plain.request_factory, loop=plain._loop, **plain._kwargs
        )
        server.side = self.app[_SIDE]
        return server


async def serve(app: web.Application, host: str, port: int) -> tuple[Runner, int]:
    """Listen; `port` 0 takes a free one. Returns the runner (`await runner.cleanup()` stops) and the port.

    Raises Unavailable when the address is taken or is not ours.
    """
    runner = Runner(app)
    await runner.setup()
    try:
        await web.TCPSite(runner, host, port).start()
    except (OSError, OverflowError) as error:
        await runner.cleanup()
        reason = os.strerror(error.errno) if isinstance(error, OSError) and error.errno else error
        raise Unavailable("shared.process.listen", address=f"{host}:{port}", fault=reason) from error
    return runner, int(runner.addresses[0][1])
