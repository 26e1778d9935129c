"""A server that shows sample pages through the real middleware, and a Chromium to look at them."""

import asyncio
import threading
from collections.abc import AsyncGenerator, Callable, Iterator, Mapping
from contextlib import contextmanager
from datetime import UTC, datetime

from aiohttp import web
from playwright.sync_api import Browser, sync_playwright

from deploy.standins.chromium import CHROMIUM as CHROMIUM
from deploy.standins.chromium import FLAGS as FLAGS
from deploy.standins.chromium import OLD_HEADLESS as OLD_HEADLESS
from deploy.standins.chromium import chromium as async_chromium
from services.wsfed.domain.options import PageState
from services.wsfed.pages import SignInPages
from services.wsfed.pages.views import SignedOut, SignIn, TokenForm
from shared.clock import SystemClock
from shared.errors import BadInput
from shared.ids import SeededIds
from shared.web.inputs import form
from shared.web.server import WebSettings, make_app, serve
from shared.web.sse import Event, stream
from tests.pages.samples import DEVICES_ADDED, OWN_PAGES, TOKEN, TRIALS, VIEWS, in_state
from tests.static_route import static_route

START = datetime(2026, 11, 21, 9, 30, tzinfo=UTC)


AUTHENTICATOR = """
(() => {
  const octets = new Uint8Array([1]).buffer;
  const made = { rawId: octets, response: { authenticatorData: octets, clientDataJSON: octets, signature: octets } };
  navigator.credentials.get = () => {
    const { dialog } = window;
    if (dialog === "asking") return new Promise(() => {});
    return dialog === "stopped" ? Promise.reject(new DOMException("", "NotAllowedError")) : Promise.resolve(made);
  };
})();
"""
"""A device that does as `window.dialog` says: `asking` (nobody answers), `stopped`, or signs."""


BUTTON_NAMES = (
    """all => all.filter(e => e.offsetParent).map(e => (e.querySelector('.name') || e).innerText)"""
)
"""What the buttons in sight are called: a row's line of what happens is left out."""


class Shown:
    """What the sample server shows now, and what was posted to it. Tests set it; pages read it."""

    def __init__(self) -> None:
        self.reset()
        self.origin = ""
        self.elsewhere = ""
        """The same server's origin as the Entra stand-in's is: the one name that a token may go to over http."""
        self._changed: list[asyncio.Event] = []
        self._loop: asyncio.AbstractEventLoop | None = None

    def reset(self) -> None:
        """Show the start of a sign-in, and forget what was posted."""
        self.view: SignIn | None = VIEWS["start"]
        self.token: TokenForm | None = None
        self.lang: str | None = None
        self.posts: list[tuple[str, Mapping[str, str]]] = []
        self.on_post: Callable[[str, Mapping[str, str]], None] = lambda action, fields: None
        self.streams = True
        self.passkey = 403
        """What the server answers to a passkey."""
        self.onward = ""
        """Where Entra redirects to after the token was posted; empty: it shows a page."""

    def set(self, view: SignIn) -> None:
        """Show that view and wake the pages that listen."""
        self.view = view
        if self._loop:
            for event in self._changed:
                self._loop.call_soon_threadsafe(event.set)

    def become(self, state: PageState, **more: object) -> None:
        """The same transaction, one version later, in that state."""
        assert self.view is not None
        self.set(in_state(self.view, state, version=self.view.version + 1, **more))

    def routes(self, pages: SignInPages) -> list[web.RouteDef]:
        async def page(request: web.Request) -> web.StreamResponse:
            assert self.view is not None
            return pages.sign_in(request, self.view, lang=self.lang)

        async def state(request: web.Request) -> web.StreamResponse:
            assert self.view is not None
            return web.json_response({"state": self.view.state.value, "version": self.view.version})

        async def events(request: web.Request) -> web.StreamResponse:
            if not self.streams:
                raise web.HTTPNotFound
            event = asyncio.Event()
            self._loop = asyncio.get_running_loop()
            self._changed.append(event)

            async def source() -> AsyncGenerator[Event]:
                while self.view is not None:
                    yield Event("state", {"state": self.view.state.value, "version": self.view.version})
                    await event.wait()
                    event.clear()

            return await stream(request, source(), clock=SystemClock())

        async def posted(request: web.Request) -> web.StreamResponse:
            fields = await form(request)
            action = request.match_info["action"]
            self.posts.append((action, fields))
            self.on_post(action, fields)
            if action == "token" and self.token is not None:
                return pages.token(request, self.token, lang=self.lang)
            raise web.HTTPSeeOther(f"/signin/{request.match_info['txn']}")

        async def passkey(request: web.Request) -> web.StreamResponse:
            self.posts.append(("passkey", await form(request)))
            return web.json_response({"code": "passkey_refused"}, status=self.passkey)

        async def received(request: web.Request) -> web.StreamResponse:
            self.posts.append(("login.srf", await form(request)))
            if self.onward:
                return web.Response(status=302, headers={"Location": self.onward})
            return web.Response(
                text="<!doctype html><title>Received</title><h1>Received</h1>", content_type="text/html"
            )

        async def problem(request: web.Request) -> web.StreamResponse:
            raise BadInput("shared.parameter.repeated")

        async def token(request: web.Request) -> web.StreamResponse:
            return pages.token(request, TOKEN, lang=self.lang)

        async def signed_out(request: web.Request) -> web.StreamResponse:
            left = SignedOut(start_url="https://m365.cloud.microsoft/", own_page="/t/contoso/me")
            return pages.pages.render(request, "signedout.html", view=left, lang=self.lang)

        async def added(request: web.Request) -> web.StreamResponse:
            return pages.added(request, DEVICES_ADDED, lang=self.lang)

        async def trial(request: web.Request) -> web.StreamResponse:
            return pages.trial(request, TRIALS[request.match_info["name"]], lang=self.lang)

        async def own(request: web.Request) -> web.StreamResponse:
            view = OWN_PAGES[request.match_info["name"]]
            return pages.own(request, view, lang=self.lang)

        return [
            web.get("/own/{name}", own),
            web.get("/trial/{name}", trial),
            web.get("/added", added),
            web.get("/token", token),
            web.get("/signed-out", signed_out),
            web.get("/signin/{txn}", page),
            web.get("/signin/{txn}/state", state),
            web.get("/signin/{txn}/events", events),
            web.post("/signin/{txn}/passkey", passkey),
            web.post("/signin/{txn}/{action}", posted),
            web.post("/login.srf", received),
            web.get("/problem", problem),
        ]


@contextmanager
def sample_server() -> Iterator[Shown]:
    """Serve on a free port of 127.0.0.1 in a thread of its own."""
    shown = Shown()
    pages = SignInPages()
    loop = asyncio.new_event_loop()
    ready = threading.Event()
    stop = asyncio.Event()

    async def main() -> None:
        settings = WebSettings(origin="http://id.localhost:8365", coop="unsafe-none")
        app = make_app(pages.pages, settings, clock=SystemClock(), ids=SeededIds("pages"))
        app.add_routes([*shown.routes(pages), static_route()])
        runner, port = await serve(app, "127.0.0.1", 0)
        shown.origin = f"http://id.localhost:{port}"
        shown.elsewhere = f"http://localhost:{port}"
        ready.set()
        await stop.wait()
        await runner.cleanup()

    thread = threading.Thread(target=loop.run_until_complete, args=(main(),), daemon=True)
    thread.start()
    assert ready.wait(10), "the sample server did not start"
    try:
        yield shown
    finally:
        loop.call_soon_threadsafe(stop.set)
        thread.join(15)


@contextmanager
def chromium() -> Iterator[Browser]:
    """A fresh headless Chromium."""
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(
            executable_path=CHROMIUM, args=FLAGS, ignore_default_args=OLD_HEADLESS
        )
        try:
            yield browser
        finally:
            browser.close()


__all__ = ["AUTHENTICATOR", "BUTTON_NAMES", "Shown", "async_chromium", "chromium", "sample_server"]
