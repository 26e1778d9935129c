"""The one mapping from `shared.errors` to what a client is told: a page for people, problem+json for programs."""

from dataclasses import dataclass

from aiohttp import web

from shared.errors import (
    BadInput,
    Blok365Error,
    Conflict,
    Forbidden,
    NotAuthenticated,
    NotFound,
    Sentence,
    TooLarge,
    TooMany,
    Unavailable,
)
from shared.services import SERVICES
from shared.web import i18n
from shared.web.frame import REQUEST_ID, Pages

RETRY_AFTER = 30
"""Seconds after which to try again what could not be done just now."""
API_PREFIXES = tuple(prefix for row in SERVICES.values() for prefix in row.api)


@dataclass(frozen=True)
class Link:
    """A way on: a path or URL of ours, and its words. Never made from what the client sent."""

    href: str
    text: str


WAY_ON = web.RequestKey("way_on", Link)
"""Set on a request by a route: the link that a problem page offers."""

USUAL_WAY_ON = web.AppKey("usual_way_on", Link)
"""Set on an application: the link on its problem pages where the route set none."""


@dataclass(frozen=True)
class ProblemView:
    """What the template problem.html shows."""

    title: Sentence
    detail: Sentence
    remedy: Sentence
    link: Link | None
    request_id: str


def wants_json(request: web.BaseRequest) -> bool:
    """Whether a program asks: an API path, or JSON preferred over HTML in Accept."""
    if any(request.path == prefix or request.path.startswith(prefix + "/") for prefix in API_PREFIXES):
        return True
    for item in request.headers.get("Accept", "").lower().split(","):
        kind = item.partition(";")[0].strip()
        if kind in ("application/json", "application/problem+json"):
            return True
        if kind in ("text/html", "application/xhtml+xml"):
            return False
    return False


def respond(request: web.BaseRequest, error: Blok365Error, pages: Pages) -> web.Response:
    """The answer for that error. A status of 500 is never sent: what is our fault is 503, try again."""
    status = error.status if error.status != 500 else Unavailable.status
    retry_after = RETRY_AFTER if status == Unavailable.status else None
    if isinstance(error, TooMany):
        retry_after = error.retry_after
    headers = {} if retry_after is None else {"Retry-After": str(retry_after)}
    if wants_json(request):
        return _json(request, error, status, retry_after, headers)
    lang = i18n.choose(request)
    view = ProblemView(
        title=error.title_in(lang),
        detail=error.detail_in(lang),
        remedy=error.remedy_in(lang),
        link=request.get(WAY_ON),
        request_id=request[REQUEST_ID],
    )
    return pages.render(request, "problem.html", view=view, lang=lang, status=status, headers=headers)


def _json(
    request: web.BaseRequest,
    error: Blok365Error,
    status: int,
    retry_after: int | None,
    headers: dict[str, str],
) -> web.Response:
    """RFC 9457 section 3; `code`, `remedy`, `request_id` and `retry_after` (seconds) are extension members.

    The last one repeats the header Retry-After, which the proxy passes from no JSON API.
    """
    body: dict[str, str | int] = {
        "type": f"urn:blok365:problem:{error.code}",
        "title": error.title,
        "status": status,
        "detail": error.detail,
        "code": error.code,
        "remedy": error.remedy,
        "request_id": request[REQUEST_ID],
    }
    if retry_after is not None:
        body["retry_after"] = retry_after
    response = web.json_response(body, status=status, content_type="application/problem+json")
    response.headers.update(headers)
    return response


def from_http(status: int) -> Blok365Error:
    """Our error for a status that aiohttp itself decided on (no such route, wrong method, too large)."""
    if status == 405:
        return MethodNotAllowed()
    kinds: dict[int, type[Blok365Error]] = {
        401: NotAuthenticated,
        403: Forbidden,
        404: NotFound,
        409: Conflict,
        413: TooLarge,
    }
    if status in kinds:
        return kinds[status]()
    return BadInput() if status < 500 else Unavailable()


class Misdirected(Blok365Error):
    """The request names a host that is not ours (RFC 9110, section 15.5.20)."""

    status = 421
    kind = code = "misdirected"
    id = "shared.web.misdirected"


class MethodNotAllowed(NotFound):
    """The address exists, but not for that method."""

    status = 405
    kind = code = "method_not_allowed"
