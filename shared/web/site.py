"""What the proxy answers by itself: static files and pages, redirects between our hosts. It belongs to no service."""

from collections.abc import Mapping
from pathlib import PurePosixPath

from aiohttp import web

from shared.errors import NotFound
from shared.services import Host, Services
from shared.web.headers import CSP, HEADER_POLICY, HeaderPolicy, StaticCsp
from shared.web.paths import STATIC, TRY, Origins, Own, destination, lead
from shared.web.problems import WAY_ON, Link
from shared.web.static import TYPES
from shared.web.static_pages import language, static_page

Tree = Mapping[str, bytes]
"""The built files by name (`deploy.pages`): `static/<owner>/<hash>/<name>`, the same under `static/<owner>/latest/`,
and `pages/`."""

PROXY = "proxy"
"""Whose static files the proxy's own error pages use."""
LATEST = "latest"
FOREVER = "public, max-age=31536000, immutable"


class Site:
    """Answers from the built tree, in memory.

    `start_url`: where sign-ins begin, which is where our front page leads whoever wants to try one, and where the
    problem pages of the front and of the sign-in host lead on.
    """

    def __init__(self, tree: Tree, origins: Origins, table: Services, start_url: str) -> None:
        self._tree = tree
        self._origins = origins
        self._table = table
        self._start_url = start_url

    async def handle(self, request: web.Request) -> web.Response:
        """The answer to a request that is for no service. Raises NotFound, HTTPMethodNotAllowed."""
        host = self._origins.host_of(request.host)
        if host is None:
            raise NotFound
        if host in (Host.FRONT, Host.SIGNIN):
            request[WAY_ON] = Link(self._start_url, "Microsoft 365")
        kind = destination(host, request.path, self._table)
        if kind is Own.NOTHING:
            raise NotFound
        if request.method not in ("GET", "HEAD"):
            raise web.HTTPMethodNotAllowed(request.method, ("GET", "HEAD"))
        if kind is Own.STATIC:
            return static_file(self._tree, request.path)
        if kind is Own.LEAD:
            return self._lead(host, request.path)
        if kind is Own.PAGE:
            return self._page(request, host)
        raise NotFound  # a service that does not run here

    def _lead(self, host: Host, path: str) -> web.Response:
        if path == TRY:
            return web.Response(status=303, headers={"Location": self._start_url})
        to = lead(host, path)
        assert isinstance(to, Host)
        # Permanent where an address has moved. A browser keeps the fragment by itself (RFC 9110, section 10.2.2).
        status = 308 if host is Host.SIGNIN else 303
        return web.Response(status=status, headers={"Location": f"{self._origins.of(to)}/"})

    def _page(self, request: web.Request, host: Host) -> web.Response:
        page = static_page(host, request.path)
        assert page is not None
        lang = language(request.headers.get("Accept-Language", ""))
        data = self._tree.get(page.name(lang))
        if data is None:
            raise NotFound
        kind = "text/html; charset=utf-8" if page.languages else TYPES[PurePosixPath(page.file).suffix]
        response = web.Response(body=data, headers={"Content-Type": kind, "Cache-Control": "no-cache"})
        if page.languages:
            response.headers["Content-Language"] = lang
            response.headers["Vary"] = "Accept-Language"
        origin = f"{request.scheme}://{request.host}" if host is Host.FRONT else self._origins.of(host)
        response[CSP] = StaticCsp(page.csp.format(origin=origin))
        https = origin.startswith("https:")
        response[HEADER_POLICY] = HeaderPolicy(https=https, features=page.features)
        return response


def static_file(tree: Tree, path: str) -> web.Response:
    """Answer `/static/{owner}/{hash}/{name}`. Raises NotFound.

    Another hash is a page of the version before or after this one, while replicas are exchanged: it gets our file
    rather than none, but nobody may keep it.
    """
    owner, _, rest = path.removeprefix(STATIC).partition("/")
    digest, _, name = rest.partition("/")
    data = tree.get(f"static/{owner}/{digest}/{name}") if digest != LATEST else None
    kept = FOREVER
    if data is None:
        data, kept = tree.get(f"static/{owner}/{LATEST}/{name}"), "no-store"
    if data is None:
        raise NotFound
    headers = {"Content-Type": TYPES[PurePosixPath(name).suffix], "Cache-Control": kept}
    response = web.Response(body=data, headers=headers)
    response[CSP] = FILE_CSP
    return response


FILE_CSP = StaticCsp("default-src 'none'; frame-ancestors 'none'; sandbox")
"""Of a file that is no page: opened by itself, it can do nothing."""
