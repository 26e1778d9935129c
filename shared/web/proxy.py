"""The proxy's rule: what it lets through of a request to a service, and of the service's answer.

The table of services says for each how it answers. Caddy applies the same rule (`deploy.caddy`), and one test asks all
three proxies with a hostile service behind them.
"""

import re
from collections.abc import Iterable, Iterator

from aiohttp import web
from multidict import CIMultiDict

from shared.errors import Unavailable
from shared.services import Answers, ServiceRow, Services
from shared.web.cookies import HostCookie

BEYOND_THE_ANSWER = (
    "Service-Worker-Allowed",
    "Clear-Site-Data",
    "Refresh",
    "Alt-Svc",
    "NEL",
    "Report-To",
)
"""Headers by which an answer changes more than itself: workers, other services' cookies, where the browser goes next.
They are deleted from every service's answers.
"""
JSON_HEADERS = {
    "Content-Type": "application/json; charset=utf-8",
    "Cache-Control": "no-store",
    "Content-Disposition": "inline",
    "Content-Security-Policy": "default-src 'none'; frame-ancestors 'none'; sandbox",
    "Cross-Origin-Resource-Policy": "same-origin",
    "X-Content-Type-Options": "nosniff",
}
"""All headers that an answer of a service of the kind `json` has, beside those of the connection and of the date."""
BAD_ANSWER = 502
_OF_THE_CONNECTION = ("Connection", "Content-Length", "Date", "Transfer-Encoding")


def passes(answers: Answers, status: int) -> bool:
    """Whether an answer of that status goes through. A JSON API has nothing to redirect to and no other protocol."""
    return answers != "json" or status >= 400 or 200 <= status < 300


def filter_answer(answers: Answers, headers: CIMultiDict[str], *, https: bool) -> None:
    """Change a service's headers into those that the client may see."""
    if answers == "json":
        kept = [(name, value) for name in _OF_THE_CONNECTION for value in headers.getall(name, ())]
        headers.clear()
        headers.extend(kept)
        headers.update(JSON_HEADERS)
        headers["Server"] = "Blok365"
        if https:
            headers["Strict-Transport-Security"] = "max-age=31536000"
    for name in BEYOND_THE_ANSWER:
        headers.popall(name, None)


def bad_answer_body(status: str) -> str:
    """The JSON that stands for an answer that does not go through, or does not come, with that status."""
    title, code = Unavailable().title, Unavailable.code
    return f'{{"title": "{title}", "status": {status}, "code": "{code}"}}'


def bad_answer() -> web.Response:
    """What the client gets instead of an answer that does not go through."""
    return web.Response(
        text=bad_answer_body(str(BAD_ANSWER)), status=BAD_ANSWER, content_type="application/json"
    )


def cookie_starts(row: ServiceRow) -> list[str]:
    """How the service's cookies begin in a Cookie header: the name and `=`, or the common start of many names."""
    names = [HostCookie(name).name for name in row.cookies]
    return [name.removesuffix("*") if name.endswith("*") else f"{name}=" for name in names]


def filter_request(
    headers: Iterable[tuple[str, str]], service: str, table: Services
) -> Iterator[tuple[str, str]]:
    """The headers that the service may see: no other service's cookies, and no wish for another protocol.

    After `Upgrade` a connection would carry what no rule is applied to.
    """
    foreign = [start for row in table.values() if row.name != service for start in cookie_starts(row)]
    for name, value in headers:
        if name.lower() == "upgrade":
            continue
        if name.lower() == "cookie":
            cookies = [each for each in re.split(r"; *", value) if not each.startswith(tuple(foreign))]
            if not cookies:
                continue
            yield name, "; ".join(cookies)
        else:
            yield name, value
