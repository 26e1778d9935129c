"""The phone's page under the accessibility checker: every state, light and dark."""

from typing import Any

import pytest
from playwright.async_api import Browser, Page

from tests.approval.support import Approval
from tests.approval.walk import Walk, phone_page
from tests.pages.axe import RUN, axe_script

pytestmark = [
    pytest.mark.integration,
    pytest.mark.xdist_group("chromium-phone"),
    pytest.mark.asyncio(loop_scope="session"),
]


class Checked(Walk):
    """Asks the checker about each state."""

    def __init__(self, approval: Approval, page: Page, origin: str) -> None:
        super().__init__(approval, page, origin)
        self.axe = axe_script()
        self.views: set[str] = set()
        self.found: dict[str, Any] = {}

    async def look(self, view: str, name: str) -> None:
        await self.page.evaluate(self.axe)
        if violations := await self.page.evaluate(RUN):
            self.found[name] = violations
        self.views.add(view)


@pytest.mark.parametrize("theme", ["light", pytest.param("dark", marks=pytest.mark.slow)])
async def test_axe_finds_nothing_in_any_state(chromium: Browser, theme: str) -> None:
    async with phone_page(chromium, color_scheme=theme, bypass_csp=True) as (approval, page, origin):
        checked = Checked(approval, page, origin)
        await checked.walk()
        assert checked.found == {}
        every = await page.eval_on_selector_all("[data-view]", "all => all.map(e => e.dataset.view)")
        assert checked.views == {*every} - {"start"}


async def test_axe_finds_nothing_before_the_script_has_come(chromium: Browser) -> None:
    async with phone_page(chromium, bypass_csp=True) as (_, page, origin):
        await page.route("**/phone.js", lambda route: route.abort())
        await page.goto(f"{origin}/")
        await page.evaluate(axe_script())
        assert await page.evaluate(RUN) == []
        await page.evaluate("document.querySelector('h1').before(document.createElement('img'))")
        assert [rule for rule, _ in await page.evaluate(RUN)] == ["image-alt"]  # the checker does look
