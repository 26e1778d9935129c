"""docs/flows/federation.md in a real Chromium: from the console to Entra's stand-in, and back to a page that shows it.

The domain is the second one of `make run`. Its console, sign-in page and stand-in are the running ones.
"""

from collections.abc import AsyncIterator
from dataclasses import dataclass
from pathlib import Path

import pytest
import pytest_asyncio
from playwright.async_api import Browser, Page, expect

from deploy.local import tenant
from services.admin import handlers as admin
from services.admin.domain.roles import Role
from services.admin.handlers import NewAccount
from services.admin.handlers.console_team import NewAdministrator, invite_by_operator
from tests.approval.handset import virtual_authenticator
from tests.flows.conftest import LocalSystem
from tests.pages.axe import RUN, axe_script

pytestmark = [
    pytest.mark.integration,
    pytest.mark.slow,
    pytest.mark.xdist_group("chromium"),
    pytest.mark.asyncio(loop_scope="session"),
]

EVE = f"eve@{tenant.MANAGED_DOMAIN}"
BASE = f"/t/{tenant.TENANT}"


@dataclass
class Console:
    """The console of the running system, with an owner in it."""

    page: Page
    origin: str

    async def open(self, path: str) -> None:
        await self.page.goto(f"{self.origin}{BASE}{path}")

    async def press(self, name: str) -> None:
        await self.page.get_by_role("button", name=name, exact=True).click()

    async def look(self, name: str) -> None:
        """The page fits a narrow screen in both themes, and the checker finds nothing."""
        for scheme, width in (("dark", 320), ("light", 1280)):
            await self.page.set_viewport_size({"width": width, "height": 800})
            await self.page.emulate_media(color_scheme=scheme)  # type: ignore[arg-type]
            assert await self.page.evaluate("document.documentElement.scrollWidth") <= width, name
            await self.page.evaluate(axe_script())
            assert await self.page.evaluate(RUN) == [], name


@pytest_asyncio.fixture(loop_scope="session")
async def console(local_system: LocalSystem, chromium: Browser) -> AsyncIterator[Console]:
    running = local_system.running_system
    await tenant.seed_managed_domain(running)
    new = NewAccount(upn=EVE, first_name="Eve", last_name="Ng", email="eve@home.example")
    await admin.create_account(running.admin, tenant.TENANT, new)
    await running.flush()
    await tenant.tell_entra(running, local_system.federation)
    context = await chromium.new_context(locale="en-GB", viewport={"width": 1280, "height": 800})
    page = await context.new_page()
    faults: list[str] = []
    page.on("pageerror", lambda error: faults.append(str(error)))
    page.on("console", lambda said: faults.append(said.text) if "Content Security" in said.text else None)
    await virtual_authenticator(page)
    olga = NewAdministrator("Olga Owner", "olga@admins.example", Role.OWNER)
    await page.goto((await invite_by_operator(running.admin, tenant.TENANT, olga)).url)
    await page.get_by_role("button", name="Create a passkey", exact=True).click()
    await expect(page.get_by_role("heading", level=1)).to_have_text("Overview")
    yield Console(page, running.settings.console_origin)
    await context.close()
    assert faults == []


async def test_from_the_console_to_a_federated_domain(
    console: Console, local_system: LocalSystem, tmp_path: Path
) -> None:
    page = console.page
    await console.open("/applications")
    await page.get_by_role("link", name="Microsoft 365").click()
    await console.look("application")
    await console.open("/sign-in-policy")
    await console.look("policy")
    await console.open(f"/federation/{tenant.MANAGED_DOMAIN}")
    await expect(page.get_by_text("No request yet", exact=True)).to_be_visible()
    await console.look("domain")
    await page.get_by_role("link", name="View PowerShell script").click()
    await page.get_by_label("Type 1 to go on").fill("2")
    await console.press("Show the script")
    await expect(page.get_by_role("alert")).to_contain_text("That isn't the number.")
    await console.look("script-refused")
    await page.get_by_label("Type 1 to go on").fill("1")
    await console.press("Show the script")
    await console.look("script")
    await page.context.grant_permissions(["clipboard-read", "clipboard-write"])
    await console.press("Copy Script")
    await expect(page.get_by_role("button", name="Copied. Script")).to_be_visible()
    copied = await page.evaluate("navigator.clipboard.readText()")
    assert f"$Domain = '{tenant.MANAGED_DOMAIN}'" in copied
    async with page.expect_download() as download:
        await console.press("Download")
    saved = await download.value
    assert saved.suggested_filename == f"federate-{tenant.MANAGED_DOMAIN}.ps1"
    file = tmp_path / saved.suggested_filename
    await saved.save_as(file)

    entra = await page.context.new_page()
    await entra.goto(f"{local_system.entra}/powershell")
    await entra.set_input_files("#file", file)
    await entra.get_by_role("button", name="Run", exact=True).click()
    await expect(entra.get_by_text(f"{tenant.MANAGED_DOMAIN} is federated.")).to_be_visible()

    await console.open(f"/federation/{tenant.MANAGED_DOMAIN}")
    await entra.goto(f"{local_system.entra}/start?username={EVE}")
    assert entra.url.startswith(local_system.running_system.settings.origin)
    await page.bring_to_front()
    await expect(page.get_by_text("Requests arrive", exact=True)).to_be_visible(timeout=20_000)
