"""A phone-sized Chromium with a virtual authenticator, on the phone's page and the real routes of approval."""

import socket
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import pytest
from playwright.async_api import APIResponse, Browser, CDPSession, Page, Route, expect

from deploy.standins.chromium import virtual_authenticator as virtual_authenticator
from shared.web.server import serve
from tests.approval.phone_host import phone_host
from tests.approval.support import Approval, Asked, make_approval
from tests.mmdb import write_places

FORGET_TOKENS = """() => new Promise((resolve) => {
  indexedDB.open("blokkey").onsuccess = ({ target }) => {
    const writing = target.result.transaction("accounts", "readwrite");
    const store = writing.objectStore("accounts");
    const all = store.getAll();
    all.onsuccess = () => all.result.forEach((each) => store.put({ ...each, token: null }));
    writing.oncomplete = () => { target.result.close(); resolve(); };
  };
})"""


@dataclass
class Handset:
    """A page in a phone-sized Chromium, and the service behind it."""

    approval: Approval
    page: Page
    origin: str
    authenticator: str
    devtools: CDPSession
    stop: Callable[[], Awaitable[None]]
    """End the server."""

    async def open(self, fragment: str = "") -> None:
        await self.page.goto("about:blank")
        await self.page.goto(f"{self.origin}/{fragment}")

    async def heading(self, text: str) -> None:
        await expect(self.page.locator("section:not([hidden]) h1")).to_contain_text(text)

    async def press(self, name: str) -> None:
        await self.page.get_by_role("button", name=name, exact=True).click()

    async def enrol(self) -> None:
        await self.approval.account()
        await self.open(f"#i={await self.approval.invitation()}")
        await self.heading("Set up this phone")
        await self.page.get_by_label("Name of this phone").fill("Ada's phone")
        await self.press("Set up")
        await self.heading("This phone is ready")
        await self.approval.confirm()

    async def enrol_and_unlock(self) -> None:
        """To the start of a phone that is unlocked and has nothing to answer."""
        await self.enrol()
        await self.look()
        await self.heading("No requests")

    async def look(self) -> None:
        """What a phone in a session shows that is opened now."""
        await self.open()
        await expect(self.page.locator("[data-view=start]")).to_be_hidden()

    async def lock(self) -> None:
        """As if the sessions were over: the page has no token any more, and was opened anew."""
        await self.page.evaluate(FORGET_TOKENS)
        await self.open()
        await self.heading("Unlock BlokKey")

    async def ask(self, **more: Any) -> Asked:
        return await self.approval.ask(**more)

    async def code(self, code: str) -> None:
        await self.page.get_by_label("Code from your sign-in page").fill(code)
        await self.press("Approve")


async def passed_on(route: Route) -> APIResponse:
    """What the server answers to that request. Playwright's own client knows no names below localhost."""
    parts = urlsplit(route.request.url)
    headers = {**route.request.headers, "host": parts.netloc}
    return await route.fetch(url=parts._replace(netloc=f"127.0.0.1:{parts.port}").geturl(), headers=headers)


@asynccontextmanager
async def open_handset(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, chromium: Browser
) -> AsyncIterator[Handset]:
    """The page has no key yet. At the end no script has broken and no policy was violated."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    origin = f"http://key.id.localhost:{port}"
    monkeypatch.setenv("BLOK365_ORIGIN", f"http://id.localhost:{port}")
    monkeypatch.setenv("BLOK365_TRUSTED_PROXIES", '["127.0.0.1/32"]')
    monkeypatch.setenv("BLOK365_OWN_NETWORKS", '["127.0.0.0/8"]')
    monkeypatch.setenv("BLOK365_PLACES_FILE", str(write_places(tmp_path / "places.mmdb")))
    approval = await make_approval(tmp_path)
    application = approval.world.services["approval"].web
    assert application is not None
    runner, _ = await serve(phone_host(application, origin), "127.0.0.1", port)
    context = await chromium.new_context(viewport={"width": 390, "height": 844}, locale="en-GB")
    page = await context.new_page()
    faults: list[str] = []
    page.on("pageerror", lambda error: faults.append(str(error)))
    page.on(
        "console",
        lambda message: faults.append(message.text) if "Content Security" in message.text else None,
    )
    devtools, authenticator = await virtual_authenticator(page)
    yield Handset(approval, page, origin, authenticator, devtools, runner.cleanup)
    await context.close()
    await runner.cleanup()
    assert faults == []
