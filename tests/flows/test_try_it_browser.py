"""docs/flows/try-it.md in a real Chromium against running services: with scripts, and without JavaScript at all."""

import pytest
from playwright.async_api import Browser, expect

from deploy.local import tenant
from deploy.standins.phone.phone import SoftPhone
from services.wsfed.domain.trial import Check
from tests.flows.conftest import LocalSystem
from tests.flows.test_own_page_browser import approve, phone

__all__ = ["phone"]

pytestmark = [
    pytest.mark.integration,
    pytest.mark.slow,
    pytest.mark.xdist_group("chromium"),
    pytest.mark.asyncio(loop_scope="session"),
]


@pytest.mark.parametrize("scripts", [True, False], ids=["with scripts", "without"])
async def test_a_trial_ends_on_our_own_page_and_reloads_to_the_same(
    local_system: LocalSystem,
    phone: SoftPhone,
    chromium: Browser,
    scripts: bool,
) -> None:
    origin = phone.key.origin.replace("//key.", "//")
    context = await chromium.new_context(java_script_enabled=scripts)
    page = await context.new_page()
    faults: list[str] = []
    page.on("console", lambda said: faults.append(said.text) if said.type == "error" else None)
    went: list[str] = []
    page.on("request", lambda request: went.append(request.url))
    await page.goto(f"{origin}/t/{tenant.TENANT}/try?login_hint={phone.key.upn}")
    await expect(page.get_by_text("Test sign-in: nothing is sent to Microsoft 365")).to_be_visible()
    await page.get_by_role("button", name="Send a request to my phone").click()
    await approve(phone, page)
    if not scripts:
        await page.get_by_role("link", name="Check again").click()
        await page.get_by_role("button", name="Continue").click()
    await expect(page.get_by_role("heading", level=1)).to_have_text("The test sign-in worked")
    await expect(page.get_by_text("As it should be")).to_have_count(len(Check))
    await page.reload()
    await expect(page.get_by_role("heading", level=1)).to_have_text("The test sign-in worked")
    assert [url for url in went if not url.startswith(f"{origin}/")] == []
    assert faults == []
    await context.close()
