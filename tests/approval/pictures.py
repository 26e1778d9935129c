"""Pictures of the phone's page into docs/pictures/key/: `python -m tests.approval.pictures`.

Phone size, light and dark, all states; two countries also on a desktop.
"""

import asyncio
from pathlib import Path
from typing import Any

from playwright.async_api import Browser, Page, async_playwright

from tests.approval.support import Approval
from tests.approval.walk import Walk, phone_page
from tests.pages.browser import CHROMIUM, FLAGS
from tests.pages.png import shrink

OUT = Path(__file__).parents[2] / "docs/pictures/key"


class Shoot(Walk):
    """Takes a picture of each state, or of those that `only` names."""

    def __init__(self, approval: Approval, page: Page, origin: str, suffix: str, only: str = "") -> None:
        super().__init__(approval, page, origin)
        self.suffix, self.only = suffix, only

    async def look(self, view: str, name: str) -> None:
        if self.only in ("", name):
            file = OUT / f"{name}-{self.suffix}.png"
            await self.page.screenshot(path=file)
            shrink(file)


async def shoot(browser: Browser, theme: Any, language: str = "en-GB") -> None:
    suffix = theme if language == "en-GB" else f"{theme}-{language}"
    async with phone_page(browser, color_scheme=theme, locale=language) as (approval, page, origin):
        await Shoot(approval, page, origin, suffix).walk()
    desktop = {"width": 1280, "height": 900}
    async with phone_page(browser, color_scheme=theme, locale=language, viewport=desktop) as (
        approval,
        page,
        origin,
    ):
        walk = Shoot(approval, page, origin, f"desktop-{suffix}", "request-countries")
        await walk.begin()
        await walk.countries()


async def main() -> None:
    OUT.mkdir(parents=True, exist_ok=True)
    async with async_playwright() as playwright:
        browser = await playwright.chromium.launch(
            executable_path=CHROMIUM, args=FLAGS, ignore_default_args=["--headless"]
        )
        await shoot(browser, "light")
        await shoot(browser, "dark")
        await browser.close()
    total = sum(file.stat().st_size for file in OUT.glob("*.png"))
    print(f"{len(list(OUT.glob('*.png')))} pictures, {total / 1e3:.0f} kB")


if __name__ == "__main__":
    asyncio.run(main())
