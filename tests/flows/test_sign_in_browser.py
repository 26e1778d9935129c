"""docs/flows/sign-in.md in a real Chromium with its scripts: live stream, going on by itself, token to Entra, Back.

The whole system in one process on a real MongoDB; Entra's stand-in is a program of its own; the phone is software.
"""

from collections.abc import AsyncIterator
from dataclasses import dataclass

import pytest
import pytest_asyncio
from playwright.async_api import Browser, BrowserContext, Page, expect

from deploy.local.demo import enrol
from deploy.local.demo_phone import SoftwarePhone
from deploy.standins.phone.phone import SoftPhone
from shared.testing.waiting import eventually
from tests.flows.conftest import LocalSystem

pytestmark = [
    pytest.mark.integration,
    pytest.mark.xdist_group("chromium"),
    pytest.mark.asyncio(loop_scope="session"),
]


@dataclass
class Walk:
    """A browser in front of a running system, and a person's phone."""

    context: BrowserContext
    phone: SoftPhone
    entra: str
    person: str
    """The user name."""
    faults: list[str]

    async def start(self) -> Page:
        """At Microsoft 365 (the stand-in), with the person's name: the sign-in page follows."""
        page = await self.context.new_page()
        page.on("console", lambda said: self.faults.append(said.text) if said.type == "error" else None)
        page.on("pageerror", lambda error: self.faults.append(str(error)))
        await page.goto(f"{self.entra}/start?username={self.person}")
        return page

    async def forced(self) -> Page:
        """As `start`, but Entra wants the person to authenticate again, and its own page leads to ours."""
        page = await self.context.new_page()
        await page.goto(f"{self.entra}/")
        await page.evaluate(
            "path => { location.href = path }", f"/start?username={self.person}&variant=forced_prompt"
        )
        return page

    async def code(self, page: Page) -> str:
        """What the page shows, as a person would type it."""
        return "".join((await page.locator("[data-code]").inner_text()).split())

    async def approve(self, code: str) -> None:
        """On the phone."""

        async def attempt() -> bool | None:
            try:
                await self.phone.approve(code)
            except LookupError:
                return None
            return True

        await eventually(attempt, "the request reaches the phone")


@pytest_asyncio.fixture(loop_scope="session")
async def walk(local_system: LocalSystem, chromium: Browser) -> AsyncIterator[Walk]:
    person = await local_system.person()
    async with SoftPhone() as phone:
        await enrol(local_system.running_system, SoftwarePhone(phone), person)
        await local_system.notify(phone)
        context = await chromium.new_context()
        yield Walk(context, phone, local_system.entra, person, [])
        await context.close()


async def test_push_goes_on_by_itself_and_back_shows_finished(walk: Walk) -> None:
    page = await walk.start()
    await page.get_by_role("button", name="Send a request to my phone").click()
    await walk.approve(await walk.code(page))
    await page.wait_for_url(f"{walk.entra}/login.srf")
    await expect(page.locator("body")).to_contain_text(walk.person)
    assert "AADSTS" not in await page.locator("body").inner_text()
    await page.go_back()
    await expect(page.get_by_role("heading", level=1)).to_have_text("This sign-in is finished")
    assert "/signin/" in page.url
    assert walk.faults == []


async def test_back_after_signing_out_shows_a_page(walk: Walk) -> None:
    page = await walk.start()
    await page.get_by_role("button", name="Send a request to my phone").click()
    await walk.approve(await walk.code(page))
    await page.get_by_role("link", name="Sign out", exact=True).click()
    await expect(page.get_by_role("heading", level=1)).to_have_text("You're signed out")
    await page.go_back()
    await expect(page).to_have_url(f"{walk.entra}/login.srf")
    assert walk.person not in await page.locator("main").inner_text()


async def test_session_answers_and_a_known_browser_starts_by_itself(walk: Walk) -> None:
    page = await walk.start()
    await page.get_by_role("button", name="Send a request to my phone").click()
    await walk.approve(await walk.code(page))
    await page.wait_for_url(f"{walk.entra}/login.srf")
    # the session is enough: no page stops
    again = await walk.start()
    await again.wait_for_url(f"{walk.entra}/login.srf")
    assert "AADSTS" not in await again.locator("body").inner_text()
    # authenticate again: this browser is known now, so the request is already on its way
    forced = await walk.forced()
    await expect(forced.locator("[data-code]")).to_be_visible()
    await walk.approve(await walk.code(forced))
    await forced.wait_for_url(f"{walk.entra}/login.srf")
    assert "AADSTS" not in await forced.locator("body").inner_text()


async def test_a_phone_that_was_added_stops_the_page_until_the_person_has_read_it(
    walk: Walk, local_system: LocalSystem
) -> None:
    async with SoftPhone() as another:
        await enrol(local_system.running_system, SoftwarePhone(another), walk.person)
    page = await walk.start()
    await page.get_by_role("button", name="Send a request to my phone").click()
    await walk.approve(await walk.code(page))
    await expect(page.get_by_role("heading", level=1)).to_have_text("A phone was added to your account")
    await page.get_by_role("button", name="I know about this. Continue").click()
    await page.wait_for_url(f"{walk.entra}/login.srf")
    await expect(page.locator("body")).to_contain_text(walk.person)
    await page.go_back()
    await expect(page.get_by_role("heading", level=1)).to_have_text("This sign-in is finished")
    assert walk.faults == []


async def test_no_page_but_entras_has_a_known_browser_start_by_itself(walk: Walk) -> None:
    """A page of anybody's could have the person's phone ring; the person presses the button."""
    page = await walk.start()
    await page.get_by_role("button", name="Send a request to my phone").click()
    await walk.approve(await walk.code(page))
    await page.wait_for_url(f"{walk.entra}/login.srf")
    typed = await walk.context.new_page()
    await typed.goto(f"{walk.entra}/start?username={walk.person}&variant=forced_prompt")
    await expect(typed.get_by_role("button", name="Send a request to my phone")).to_be_visible()
    await typed.wait_for_load_state("networkidle")
    assert await typed.locator("[data-code]").count() == 0
    assert await walk.phone.list() == []


async def test_denial_on_the_phone_is_shown_with_a_way_on(walk: Walk) -> None:
    first = await walk.start()
    await first.get_by_role("button", name="Send a request to my phone").click()
    await walk.approve(await walk.code(first))
    await first.wait_for_url(f"{walk.entra}/login.srf")
    page = await walk.forced()
    await expect(page.locator("[data-code]")).to_be_visible()

    async def deny() -> bool | None:
        try:
            await walk.phone.deny()
        except LookupError:
            return None
        return True

    await eventually(deny, "the request reaches the phone")
    await expect(page.get_by_role("heading", level=1)).to_have_text("Request declined")
    await expect(page.get_by_role("heading", level=1)).to_be_focused()
    await expect(page.get_by_role("button", name="Send a new request")).to_be_visible()
    assert walk.faults == []


async def test_two_tabs_one_approval(walk: Walk) -> None:
    older = await walk.start()
    await older.get_by_role("button", name="Send a request to my phone").click()
    await expect(older.locator("[data-code]")).to_be_visible()
    newer = await walk.start()
    await newer.get_by_role("button", name="Send a request to my phone").click()
    code = await walk.code(newer)
    await expect(older.get_by_role("heading", level=1)).to_have_text("Continued in another tab")
    assert await older.locator("[data-code]").count() == 0
    await walk.approve(code)
    await newer.wait_for_url(f"{walk.entra}/login.srf")
    await older.wait_for_url(f"{walk.entra}/login.srf")
    for page in (older, newer):
        await expect(page.locator("body")).to_contain_text(walk.person)
    assert walk.faults == []
