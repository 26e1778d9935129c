"""Pictures of the phone's page into docs/pictures/key/: `python -m tests.approval.pictures`.

Phone size, light and dark, in a Chromium with a virtual authenticator against the real routes.
"""

import asyncio
import os
import socket
import tempfile
from pathlib import Path
from typing import Any

from playwright.async_api import Browser, Page, async_playwright

from shared.web.server import serve
from tests.approval.support import Approval, Asked, Phone, make_approval
from tests.pages.browser import CHROMIUM, FLAGS
from tests.pages.png import shrink

OUT = Path(__file__).parents[2] / "docs/pictures/key"


class Shoot:
    """One phone with a theme and a language, and the service behind it."""

    def __init__(self, approval: Approval, page: Page, origin: str, suffix: str) -> None:
        self.approval, self.page, self.origin, self.suffix = approval, page, origin, suffix

    async def open(self, fragment: str = "") -> None:
        await self.page.goto("about:blank")
        await self.page.goto(f"{self.origin}/key/{fragment}")

    async def press(self, action: str) -> None:
        await self.page.locator(f"section:not([hidden]) [data-do={action}]").click()

    async def see(self, view: str, name: str = "") -> None:
        await self.page.locator(f"[data-view={view}]:not([hidden])").wait_for()
        file = OUT / f"{name or view}-{self.suffix}.png"
        await self.page.screenshot(path=file)
        shrink(file)

    async def walk(self) -> None:
        """Every state that a person meets."""
        await self.approval.account()
        await self.open(f"#i={await self.approval.invitation()}")
        await self.see("invited")
        await self.page.locator("#name").fill("Ada's phone")
        await self.page.locator("[data-form=enrol] button").click()
        await self.see("said", "enrolled")
        await self.press("again")
        await self.see("locked")
        await self.press("unlock")
        await self.see("empty")
        old = Phone(self.approval)
        await old.enrol(await self.approval.invitation(), name="Old phone")
        await self.press("devices")
        await self.see("devices")
        await self.page.locator("[data-devices] button").last.click()
        await self.see("remove")
        await self.request(await self.approval.ask(method="qr", address="198.51.100.7"), "request-unknown")
        await self.page.locator("#code").fill("000000")
        await self.page.locator("[data-form=approve] .button").first.click()
        await self.page.locator("#code-error:not([hidden])").wait_for()
        await self.see("request", "request-wrong-code")
        await self.request(
            await self.approval.ask(method="qr", known=True, code="", address="127.0.0.1", browser="b"),
            "request-known",
        )
        await self.page.locator("[data-form=approve] .button").first.click()
        await self.see("said", "approved")
        await self.approval.phone("grace")
        await self.open(f"#q={(await self.approval.ask('grace', method='qr')).handle}")
        await self.see("said", "other-account")
        await self.approval.ask(browser="c")
        await self.approval.ask(browser="d", known=True)
        await self.open()
        await self.see("choose")

    async def request(self, asked: Asked, name: str) -> None:
        await self.open(f"#q={asked.handle}")
        await self.see("request", name)


async def shoot(browser: Browser, theme: Any, language: str, width: int = 390, height: int = 844) -> None:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    origin = f"http://localhost:{port}"
    os.environ["BLOK365_ORIGIN"] = origin
    with tempfile.TemporaryDirectory() as folder:
        approval = await make_approval(Path(folder))
        application = approval.world.services["approval"].web
        assert application is not None
        runner, _ = await serve(application, "127.0.0.1", port)
        context = await browser.new_context(
            viewport={"width": width, "height": height},
            color_scheme=theme,
            locale=language,
            reduced_motion="reduce",
        )
        page = await context.new_page()
        devtools = await context.new_cdp_session(page)
        await devtools.send("WebAuthn.enable")
        options = {"protocol": "ctap2", "transport": "internal", "hasResidentKey": True}
        options |= {"hasUserVerification": True, "isUserVerified": True}
        await devtools.send("WebAuthn.addVirtualAuthenticator", {"options": options})
        suffix = theme if language == "en-GB" else f"{theme}-{language}"
        await Shoot(approval, page, origin, suffix if width == 390 else f"{suffix}-{width}").walk()
        await context.close()
        await runner.cleanup()


async def main() -> None:
    OUT.mkdir(parents=True, exist_ok=True)
    async with async_playwright() as playwright:
        browser = await playwright.chromium.launch(
            executable_path=CHROMIUM, args=FLAGS, ignore_default_args=["--headless"]
        )
        await shoot(browser, "light", "en-GB")
        await shoot(browser, "dark", "en-GB")
        await browser.close()
    total = sum(file.stat().st_size for file in OUT.glob("*.png"))
    print(f"{len(list(OUT.glob('*.png')))} pictures, {total / 1e3:.0f} kB")


if __name__ == "__main__":
    asyncio.run(main())
