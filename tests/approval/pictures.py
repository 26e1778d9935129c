"""Pictures of every state of the phone's page: phone size, light and dark; a request from abroad also on a desktop."""

from pathlib import Path
from typing import Any

from playwright.async_api import Browser, Page

from tests.approval.support import Approval
from tests.approval.walk import Walk, phone_page
from tests.pages.browser import async_chromium


class Shoot(Walk):
    """Takes a picture of each state, or of those that `only` names."""

    def __init__(
        self, approval: Approval, page: Page, origin: str, *, out: Path, suffix: str, only: str = ""
    ) -> None:
        super().__init__(approval, page, origin)
        self.out, self.suffix, self.only = out, suffix, only

    async def look(self, view: str, name: str) -> None:
        if self.only in ("", name):
            await self.page.screenshot(path=self.out / f"{name}-{self.suffix}.png")


async def shoot(browser: Browser, out: Path, theme: Any) -> None:
    async with phone_page(browser, color_scheme=theme) as (approval, page, origin):
        await Shoot(approval, page, origin, out=out, suffix=f"phone-{theme}").walk()
    desktop = {"width": 1280, "height": 900}
    async with phone_page(browser, color_scheme=theme, viewport=desktop) as (approval, page, origin):
        walk = Shoot(approval, page, origin, out=out, suffix=f"desktop-{theme}", only="request-countries")
        await walk.begin()
        await walk.countries()


async def draw(out: Path) -> None:
    """All of them into the folder `out`, as `{state}-{size}-{theme}.png`."""
    async with async_chromium() as browser:
        await shoot(browser, out, "light")
        await shoot(browser, out, "dark")
