"""Every state of the phone's page that a person meets, in a Chromium with a virtual authenticator on the real routes.

For what must be true, or is shown, of each of them: pictures, and the accessibility checker.
"""

import os
import socket
import tempfile
from abc import ABC, abstractmethod
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any
from unittest import mock

from playwright.async_api import Browser, Page

from services.approval.handlers import further
from shared.ids import b64u
from shared.web.server import serve
from tests.approval.handset import virtual_authenticator
from tests.approval.phone_host import phone_host
from tests.approval.support import Approval, Asked, Phone, decide, make_approval
from tests.mmdb import COLOGNE_ADDRESS, LYON_ADDRESS, write_places

NEAR = "5.1.0.99"
"""A browser on the phone's own network, which is in Germany."""
NO_LOCK = """
if (window.PublicKeyCredential) PublicKeyCredential.isUserVerifyingPlatformAuthenticatorAvailable = async () => false;
"""
UNKNOWN = "198.51.100.7"


class Walk(ABC):
    """One phone, and the service behind it."""

    def __init__(self, approval: Approval, page: Page, origin: str) -> None:
        self.approval, self.page, self.origin = approval, page, origin

    @abstractmethod
    async def look(self, view: str, name: str) -> None:
        """What is to be done with the state that is on the screen."""

    async def open(self, fragment: str = "") -> None:
        await self.page.goto("about:blank")
        await self.page.goto(f"{self.origin}/{fragment}")

    async def press(self, action: str) -> None:
        await self.page.locator(f"section:not([hidden]) [data-do={action}]").click()

    async def approve(self) -> None:
        await self.page.locator("[data-form=approve] .button").first.click()

    async def see(self, view: str, name: str = "") -> None:
        await self.page.locator(f"[data-view={view}]:not([hidden])").wait_for()
        await self.look(view, name or view)

    async def request(self, name: str, **more: Any) -> Asked:
        asked = await self.approval.ask(**{"method": "qr", **more})
        await self.open(f"#q={asked.handle}")
        await self.see("request", name)
        return asked

    async def countries(self) -> None:
        """An unlocked phone in one country, a browser in another."""
        await self.request("request-countries", address=LYON_ADDRESS, browser="far")

    async def begin(self) -> None:
        """To the unlocked phone."""
        await self.approval.account()
        await self.open(f"#i={await self.approval.invitation()}")
        await self.see("invited")
        await self.page.locator("#name").fill("Ada's phone")
        await self.page.locator("[data-form=enrol] .button:not(.quiet)").click()
        await self.see("said", "enrolled")
        await self.press("again")
        await self.see("home")
        await self.press("lock")
        await self.see("locked")
        await self.press("unlock")
        await self.see("home", "unlocked")

    async def past(self) -> None:
        """The organisation has confirmed the phone, and there is something to look back on."""
        device = next(
            each.device for each in await self.approval.devices_told() if each.name == "Ada's phone"
        )
        await decide(self.approval, device, "trusted")
        for account in ("d", "e"):
            await self.approval.ask(browser=account)
            self.approval.world.clock.advance(300)
        await self.approval.ask(browser="e")
        await self.open()
        await self.see("request", "request-push")
        await self.press("deny")
        await self.see("said", "denied")
        await self.press("again")
        await self.see("home", "home-confirmed")
        await self.press("history")
        await self.see("history")

    async def walk(self) -> None:
        """All of them."""
        await self.begin()
        old = Phone(self.approval)
        await old.enrol(await self.approval.invitation(), name="Old phone")
        await self.approval.confirm()
        await self.press("devices")
        await self.see("devices")
        await self.press("further")
        await self.see("offer")
        await self.press("devices")
        await self.see("devices")
        await self.page.locator("[data-devices] button").last.click()
        await self.see("remove")
        await self.open()
        await self.see("home", "home-again")
        await self.press("history")
        await self.see("history", "history-empty")
        await self.press("again")
        await self.press("scan")
        await self.page.locator("[data-view=scan] .notice:visible").wait_for()
        await self.see("scan", "scan-trouble")
        await self.countries()
        await self.press("not-me")
        await self.see("said", "not-me")
        await self.request("request-unknown", address=UNKNOWN)
        await self.page.locator("#code").fill("000000")
        await self.approve()
        await self.page.locator("#code-error:not([hidden])").wait_for()
        await self.see("request", "request-wrong-code")
        await self.request("request-known", known=True, code="", address=NEAR, browser="near")
        await self.approve()
        await self.see("said", "approved")
        await self.past()
        grace = await self.approval.phone("grace")
        offer = await further.offer(self.approval.deps, await grace.who())
        await self.open(f"#p={offer.id}.{b64u(bytes(32))}")
        await self.page.locator("[data-view=invited]:not([hidden])").wait_for()
        await self.page.locator("[data-form=enrol] .button:not(.quiet)").click()
        await self.see("joining")
        await self.open(f"#q={(await self.approval.ask('grace', method='qr')).handle}")
        await self.see("said", "other-account")
        await self.approval.ask(browser="c")
        await self.approval.ask(browser="d", known=True)
        await self.open()
        await self.see("choose")
        await self.page.add_init_script(NO_LOCK)
        await self.open()
        await self.see("unsupported", "unsupported-lock")
        await self.page.add_init_script("delete window.PublicKeyCredential")
        await self.open()
        await self.see("unsupported")


@asynccontextmanager
async def phone_page(browser: Browser, **options: Any) -> AsyncIterator[tuple[Approval, Page, str]]:
    """A service whose phone has an address in Germany, a page in a new browser context, the origin."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    signin = f"http://id.localhost:{port}"
    origin = f"http://key.id.localhost:{port}"
    with tempfile.TemporaryDirectory() as folder:
        settings = {"BLOK365_ORIGIN": signin, "BLOK365_TRUSTED_PROXIES": '["127.0.0.1/32"]'}
        settings["BLOK365_PLACES_FILE"] = str(write_places(Path(folder) / "places.mmdb"))
        with mock.patch.dict(os.environ, settings):
            approval = await make_approval(Path(folder))
        application = approval.world.services["approval"].web
        assert application is not None
        runner, _ = await serve(phone_host(application, origin), "127.0.0.1", port)
        context = await browser.new_context(
            **{
                "viewport": {"width": 390, "height": 844},
                "locale": "en-GB",
                "reduced_motion": "reduce",
                **options,
            },
            extra_http_headers={"X-Forwarded-For": COLOGNE_ADDRESS},
        )
        page = await context.new_page()
        await virtual_authenticator(page)
        yield approval, page, origin
        await context.close()
        await runner.cleanup()
