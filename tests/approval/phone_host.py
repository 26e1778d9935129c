"""The phone's host: the page's files beside approval's API, under one origin and the page's own policy."""

from pathlib import Path

from aiohttp import web
from aiohttp.web_urldispatcher import MatchedSubAppResource

from shared.web import i18n
from shared.web.frame import Pages
from shared.web.server import _SIDE, _lifecycle, _pass_on, _Where

FILES = Path("shared/web/phone")


def policy(origin: str) -> str:
    """The page's Content-Security-Policy: paths instead of a nonce, because the page is a file."""
    return "; ".join(
        (
            "default-src 'none'",
            f"script-src {origin}/static/",
            f"style-src {origin}/static/",
            f"worker-src {origin}/sw.js",
            f"connect-src {origin}/api/",
            "manifest-src 'self'",
            "img-src 'self' data: blob:",
            "font-src 'self'",
            "base-uri 'none'",
            "form-action 'none'",
            "frame-ancestors 'none'",
            "require-trusted-types-for 'script'",
        )
    )


def phone_host(api: web.Application, origin: str) -> web.Application:
    """An application that answers as the phone's host does, with that API."""
    pages = Pages("phone", FILES)

    async def page(request: web.Request) -> web.Response:
        lang = i18n.choose(request)
        text = pages.text("phone.html", lang=lang, nonce="")
        headers = {"Content-Security-Policy": policy(origin), "Content-Language": lang}
        return web.Response(
            text=text, content_type="text/html", headers={**headers, "Vary": "Accept-Language"}
        )

    async def worker(_: web.Request) -> web.Response:
        headers = {
            "Content-Security-Policy": f"default-src 'none'; connect-src {origin}",
            "Cache-Control": "no-cache",
        }
        text = (FILES / "sw.js").read_text("utf-8")
        return web.Response(text=text, content_type="text/javascript", headers=headers)

    root = web.Application(middlewares=[_pass_on], client_max_size=api._client_max_size)
    root[_SIDE] = api[_SIDE]
    api.pre_freeze()
    root.cleanup_ctx.append(_lifecycle(api))
    root.router.register_resource(
        MatchedSubAppResource(
            _Where("api", lambda request: "api" if request.path.startswith("/api/") else ""), api
        )
    )
    root.add_routes([web.get("/", page), web.get("/sw.js", worker), *pages.static.routes()])
    return root
