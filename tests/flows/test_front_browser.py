"""The front page and the pages that say what is planned, in a real Chromium before the whole system in one process."""

from collections.abc import AsyncIterator
from typing import Literal, get_args
from urllib.parse import urlsplit

import pytest
import pytest_asyncio
from playwright.async_api import Browser, Page, Route, expect

from shared.services import SERVICES
from tests.flows.conftest import LocalSystem
from tests.pages.axe import RUN, axe_script

pytestmark = [
    pytest.mark.integration,
    pytest.mark.slow,
    pytest.mark.xdist_group("chromium"),
    pytest.mark.asyncio(loop_scope="session"),
]


Theme = Literal["light", "dark"]


@pytest_asyncio.fixture(loop_scope="session")
async def page(chromium: Browser) -> AsyncIterator[Page]:
    """A page in English, as narrow as any; it fails with a script's fault or a broken policy."""
    context = await chromium.new_context(locale="en-GB", viewport={"width": 320, "height": 640})
    opened = await context.new_page()
    faults: list[str] = []
    opened.on("pageerror", lambda error: faults.append(str(error)))
    opened.on(
        "console",
        lambda message: faults.append(message.text) if "Content Security" in message.text else None,
    )
    yield opened
    await context.close()
    assert faults == []


def origins(local_system: LocalSystem) -> list[str]:
    settings = local_system.running_system.settings
    front = settings.origins.front
    return [front, front.replace("localhost", "127.0.0.1"), settings.console_origin, settings.kiosk_origin]


async def test_the_front_page_says_how_each_service_is_under_both_names(
    page: Page, local_system: LocalSystem
) -> None:
    for origin in origins(local_system)[:2]:
        await page.goto(f"{origin}/")
        await expect(page.locator("#summary")).to_have_text("All services are ready.")
        await expect(page.locator("#checks dd")).to_have_text(["working"] * len(SERVICES))
        names = await page.locator("#checks dt").all_inner_texts()
        assert {"Administration", "Approvals on the phone", "Sign-in page"} <= set(names)
        assert not set(names) & set(SERVICES)  # each has words of its own


async def test_the_front_page_says_so_when_a_service_is_not_ready(
    page: Page, local_system: LocalSystem
) -> None:
    system = local_system.running_system.system
    assert system is not None
    system.services["notify"].ready = False
    try:
        await page.goto(f"{origins(local_system)[0]}/")
        await expect(page.locator("#summary")).to_have_text("Some services are not ready.")
        await expect(page.locator("#checks [data-bad]")).to_have_text(["Not started yet."])
    finally:
        system.services["notify"].ready = True


async def test_what_is_wrong_is_said_in_words(page: Page, local_system: LocalSystem) -> None:
    checks: dict[str, bool | str] = {
        "admin.answers": True,
        "admin.database": False,
        "wsfed.admin_known": False,
        "wsfed.approval_alarm": "what is copied differs",
        "toy.odd": False,
    }

    async def answer(route: Route) -> None:
        await route.fulfill(status=503, json={"ready": False, "checks": checks})

    await page.route("**/readyz", answer)
    await page.goto(f"{origins(local_system)[0]}/")
    await expect(page.locator("#checks dt")).to_have_text(["Administration", "Sign-in page", "toy"])
    await expect(page.locator("#checks dd")).to_have_text(
        [
            "The database doesn't answer.",
            "Still getting data from “Administration”. what is copied differs",
            "odd",
        ]
    )


async def test_its_links_lead_to_the_sign_in_the_phone_and_what_is_planned(
    page: Page, local_system: LocalSystem
) -> None:
    settings = local_system.running_system.settings
    for link, leads_to in (
        ("Try a sign-in", local_system.entra),
        ("BlokKey", settings.origins.phone),
        ("Console", settings.console_origin),
        ("Badge kiosk", settings.kiosk_origin),
    ):
        await page.goto(f"{settings.origins.front}/")
        await page.get_by_role("link", name=link, exact=True).click()
        await page.wait_for_url(f"{leads_to}/**")
        assert urlsplit(page.url).netloc == urlsplit(leads_to).netloc
    await page.get_by_role("link", name="Go to the front page").click()
    await page.wait_for_url(f"{settings.origins.front}/")


@pytest.mark.parametrize("theme", get_args(Theme))
async def test_they_fit_a_narrow_screen_and_the_checker_finds_nothing(
    chromium: Browser, local_system: LocalSystem, theme: Theme
) -> None:
    context = await chromium.new_context(
        locale="fr-FR", viewport={"width": 320, "height": 640}, bypass_csp=True, color_scheme=theme
    )
    opened = await context.new_page()
    for origin in origins(local_system):
        await opened.goto(f"{origin}/")
        assert await opened.evaluate("document.documentElement.lang") == "fr"
        assert await opened.evaluate("document.documentElement.scrollWidth") <= 320
        await opened.evaluate(axe_script())
        assert await opened.evaluate(RUN) == [], origin
    await context.close()
