"""docs/flows/sign-in.md in a real Chromium with its scripts: live stream, going on by itself, token to Entra, Back.

The whole system in one process on a real MongoDB; Entra's stand-in is a program of its own; the phone is software.
"""

from collections.abc import AsyncIterator
from contextlib import AsyncExitStack
from dataclasses import dataclass
from pathlib import Path

import pytest
from playwright.async_api import BrowserContext, Page, async_playwright, expect

from deploy.local import tenant
from deploy.local.backing.port import free_port
from deploy.local.demo import enrol
from deploy.local.entra import entra_standin
from deploy.local.platform import make_keys
from deploy.local.running_system import RunningSystem, one_process
from deploy.local.settings import local_settings
from deploy.standins.phone.phone import SoftPhone
from shared.ids import SystemIds
from shared.testing.waiting import eventually
from tests.pages.browser import CHROMIUM, FLAGS

pytestmark = [pytest.mark.parts, pytest.mark.xdist_group("chromium")]


@dataclass
class Walk:
    """A browser in front of a running system, and Ada's phone."""

    running_system: RunningSystem
    context: BrowserContext
    phone: SoftPhone
    entra: str
    faults: list[str]

    async def start(self) -> Page:
        """At Microsoft 365 (the stand-in), with Ada's name: the sign-in page follows."""
        page = await self.context.new_page()
        page.on("console", lambda said: self.faults.append(said.text) if said.type == "error" else None)
        page.on("pageerror", lambda error: self.faults.append(str(error)))
        await page.goto(f"{self.entra}/start?username={tenant.PERSON}")
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


@pytest.fixture
async def walk(tmp_path: Path, mongo_url: str, mongo_database: str) -> AsyncIterator[Walk]:
    port, entra_port = free_port(), free_port()
    settings = local_settings(tmp_path, port, mongo_url, database_prefix=mongo_database[:40])
    make_keys(settings, SystemIds())
    async with AsyncExitStack() as stack:
        running_system = await stack.enter_async_context(
            one_process(settings, port=port, entra_port=entra_port)
        )
        await tenant.seed(running_system)
        await tenant.tell_entra(running_system, tmp_path / "entra.json")
        entra = await stack.enter_async_context(entra_standin(entra_port, tmp_path / "entra.json"))
        phone = await stack.enter_async_context(SoftPhone())
        await enrol(running_system, phone)
        playwright = await stack.enter_async_context(async_playwright())
        chromium = await playwright.chromium.launch(executable_path=CHROMIUM, args=FLAGS)
        stack.push_async_callback(chromium.close)
        yield Walk(running_system, await chromium.new_context(), phone, entra, [])


async def test_push_goes_on_by_itself_and_back_shows_finished(walk: Walk) -> None:
    page = await walk.start()
    await page.get_by_role("button", name="Send request to my phone").click()
    await walk.approve(await walk.code(page))
    await page.wait_for_url(f"{walk.entra}/login.srf")
    await expect(page.locator("body")).to_contain_text(tenant.PERSON)
    assert "AADSTS" not in await page.locator("body").inner_text()
    await page.go_back()
    await expect(page.get_by_role("heading", level=1)).to_have_text("This sign-in is finished")
    assert "/signin/" in page.url
    assert walk.faults == []


async def test_session_answers_and_a_known_browser_starts_by_itself(walk: Walk) -> None:
    page = await walk.start()
    await page.get_by_role("button", name="Send request to my phone").click()
    await walk.approve(await walk.code(page))
    await page.wait_for_url(f"{walk.entra}/login.srf")
    # the session is enough: no page stops
    again = await walk.start()
    await again.wait_for_url(f"{walk.entra}/login.srf")
    assert "AADSTS" not in await again.locator("body").inner_text()
    # authenticate again: this browser is known now, so the request is already on its way
    forced = await walk.context.new_page()
    await forced.goto(f"{walk.entra}/start?username={tenant.PERSON}&variant=forced_prompt")
    await expect(forced.locator("[data-code]")).to_be_visible()
    await walk.approve(await walk.code(forced))
    await forced.wait_for_url(f"{walk.entra}/login.srf")
    assert "AADSTS" not in await forced.locator("body").inner_text()


async def test_denial_on_the_phone_is_shown_with_a_way_on(walk: Walk) -> None:
    page = await walk.start()
    await page.get_by_role("button", name="Send request to my phone").click()
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
