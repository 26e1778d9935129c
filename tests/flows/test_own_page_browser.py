"""docs/flows/own-page.md in a real Chromium: by push with scripts, and without JavaScript at all."""

from collections.abc import AsyncIterator

import pytest
import pytest_asyncio
from playwright.async_api import Browser, Page, expect

from deploy.local import tenant
from deploy.local.demo import enrol
from deploy.local.demo_phone import SoftwarePhone
from deploy.standins.phone.phone import SoftPhone
from shared.testing.waiting import eventually
from tests.flows.conftest import LocalSystem

pytestmark = [
    pytest.mark.integration,
    pytest.mark.slow,
    pytest.mark.xdist_group("chromium"),
    pytest.mark.asyncio(loop_scope="session"),
]


@pytest_asyncio.fixture(loop_scope="session")
async def phone(local_system: LocalSystem) -> AsyncIterator[SoftPhone]:
    person = await local_system.person()
    async with SoftPhone() as phone:
        await enrol(local_system.running_system, SoftwarePhone(phone), person)
        yield phone


async def approve(phone: SoftPhone, page: Page) -> None:
    code = "".join((await page.locator("[data-code]").inner_text()).split())

    async def attempt() -> bool | None:
        try:
            await phone.approve(code)
        except LookupError:
            return None
        return True

    await eventually(attempt, "the request reaches the phone")


async def told(page: Page, text: str) -> None:
    """What became of it: the page looks again by itself, and without scripts by a link."""
    result, link = (
        page.locator("[data-result]").get_by_text(text),
        page.get_by_role("link", name="Check again"),
    )

    async def attempt() -> bool | None:
        if await result.count():
            return True
        if await link.is_visible():
            await link.click()
        return None

    await eventually(attempt, text)


@pytest.mark.parametrize("scripts", [True, False], ids=["with scripts", "without"])
async def test_a_person_comes_to_the_page_renames_the_phone_and_signs_out_everywhere(
    local_system: LocalSystem, phone: SoftPhone, chromium: Browser, scripts: bool
) -> None:
    origin = phone.key.origin.replace("//key.", "//")
    context = await chromium.new_context(java_script_enabled=scripts)
    page = await context.new_page()
    faults: list[str] = []
    page.on("console", lambda said: faults.append(said.text) if said.type == "error" else None)
    await page.goto(f"{origin}/t/{tenant.TENANT}/me?login_hint={phone.key.upn}")
    await page.get_by_role("button", name="Send a request to my phone").click()
    await approve(phone, page)
    if not scripts:
        await page.get_by_role("link", name="Check again").click()
        await page.get_by_role("button", name="Continue").click()
    await expect(page.get_by_role("heading", level=1)).to_have_text("Your account")
    await page.get_by_text("Rename").first.click()
    await page.get_by_label("Name of this phone").fill("Blue phone")
    await page.get_by_role("button", name="Save").click()
    await told(page, "is now called “Blue phone”")
    await page.get_by_role("link", name="Sign out everywhere").click()
    await page.get_by_role("button", name="Sign out everywhere").click()
    await told(page, "You've been signed out everywhere")
    await expect(page.get_by_role("link", name="Sign in again")).to_be_visible()
    assert faults == []
    await context.close()
