"""What happens around every request: id, limits, one log line, every error answered, security headers."""

from collections.abc import Awaitable, Callable

import structlog
from aiohttp import web
from aiohttp.typedefs import Handler, Middleware

from shared.clock import Clock
from shared.errors import Blok365Error, Unavailable
from shared.ids import Ids, new_id
from shared.web import inputs, problems
from shared.web.frame import NONCE, REQUEST_ID, Pages
from shared.web.headers import CSP, DEFAULT_CSP, HEADER_POLICY, HeaderPolicy
from shared.web.limits import RequestLimit
from shared.web.paths import HEALTH

log = structlog.get_logger(__name__)

_STARTED = web.RequestKey("started", bool)


def around_every_request(pages: Pages, clock: Clock, ids: Ids, limit: RequestLimit) -> Middleware:
    """The middleware of every application.

    Nothing a handler raises reaches aiohttp: our errors become their page, anything else is logged with the
    request's id and becomes "try again" (503). Redirects raised as exceptions pass.
    """

    @web.middleware
    async def middleware(request: web.Request, handler: Handler) -> web.StreamResponse:
        begin(request, ids)
        if usual := request.app.get(problems.USUAL_WAY_ON):
            request[problems.WAY_ON] = usual
        started = clock.monotonic()
        status = 0  # the client left, or the process is stopping
        with structlog.contextvars.bound_contextvars(request_id=request[REQUEST_ID], service=pages.service):
            try:
                response = await _answer(request, handler, pages, limit)
                status = response.status
                return response  # noqa: TRY300 - what is raised below is an answer too
            except web.HTTPException as redirect:
                status = redirect.status
                raise
            finally:
                say = log.debug if request.path in HEALTH else log.info
                say(
                    "request",
                    method=request.method,
                    route=_route(request),  # the pattern: ids and parameters stay out of the log
                    status=status,
                    ms=round((clock.monotonic() - started) * 1000, 1),
                )

    return middleware


def begin(request: web.BaseRequest, ids: Ids) -> None:
    """Give the request its id and its nonce. An id sent by a client is not taken: it could forge log lines."""
    request[REQUEST_ID] = new_id(ids)
    request[NONCE] = new_id(ids)


async def _answer(
    request: web.Request, handler: Handler, pages: Pages, limit: RequestLimit
) -> web.StreamResponse:
    try:
        if request.path not in HEALTH:
            limit.count(request)
        inputs.check_request(request)
        return await handler(request)
    except Blok365Error as error:
        log.info("refused", id=error.id, code=error.code, detail=error.detail, fault=error.status >= 500)
        if request.get(_STARTED):
            raise ConnectionResetError("the stream had begun; the client sees it break off") from error
        return problems.respond(request, error, pages)
    except web.HTTPException as decided:
        if decided.status < 400:
            raise
        response = problems.respond(request, problems.from_http(decided.status), pages)
        if isinstance(decided, web.HTTPMethodNotAllowed):
            response.headers["Allow"] = decided.headers["Allow"]
        return response
    except Exception as unknown:
        if request.get(_STARTED):
            log.info("stream ended early", error=type(unknown).__name__)
            raise ConnectionResetError("the stream had begun; the client sees it break off") from unknown
        log.exception("unexpected")
        return problems.respond(request, Unavailable(), pages)


def headers_signal(
    policy: HeaderPolicy, ids: Ids
) -> Callable[[web.Request, web.StreamResponse], Awaitable[None]]:
    """The signal that puts the headers on: it runs for streams and refusals too, a middleware would not."""

    async def on_prepare(request: web.Request, response: web.StreamResponse) -> None:
        request[_STARTED] = True
        if NONCE not in request:  # refused before any middleware: an expectation that aiohttp does not know
            begin(request, ids)
        csp = response.get(CSP, DEFAULT_CSP)
        response.get(HEADER_POLICY, policy).apply(response.headers, csp.header(request[NONCE]))
        response.headers["X-Request-Id"] = request[REQUEST_ID]

    return on_prepare


def _route(request: web.Request) -> str:
    resource = request.match_info.route.resource
    return resource.canonical if resource is not None else "none"
