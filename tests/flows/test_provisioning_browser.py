"""docs/flows/provisioning.md in a real Chromium: from the registration's values to a person in Entra's directory.

Console and provisioning are the running ones; the directory is the stand-in of Microsoft Graph in this process.
"""

from collections.abc import AsyncIterator
from dataclasses import dataclass
from urllib.parse import urlsplit

import pytest
import pytest_asyncio
from aiohttp import web
from playwright.async_api import Browser, Page, expect

from deploy.standins.graph import control
from deploy.standins.graph.app import GraphApp
from deploy.standins.graph.clock import ControlledClock
from deploy.standins.graph.requests import Record
from deploy.standins.graph.standin import StandIn
from services.admin import handlers as admin
from services.admin.domain.roles import Role
from services.admin.handlers.console_team import NewAdministrator, invite_by_operator
from shared.clock import SystemClock
from shared.ids import SystemIds
from tests.approval.handset import virtual_authenticator
from tests.flows.conftest import LocalSystem
from tests.pages.axe import RUN, axe_script

pytestmark = [
    pytest.mark.integration,
    pytest.mark.slow,
    pytest.mark.xdist_group("chromium"),
    pytest.mark.asyncio(loop_scope="session"),
]

TENANT, DOMAIN = "northwind", "northwind.example"
CLIENT, SECRET = "0f3c9d5e-2f0a-4c56-9d4e-3a7d6f1b2c3d", "Qx8Q~7a.b_c-d"
PROPERTIES = f'"client_id": "{CLIENT}",\n"client_secret": "SECRET",\n"tenant_domain": "{DOMAIN}"\n'
BY_ITSELF = 30_000
"""Milliseconds within which the page has to show something by itself."""


@dataclass
class Console:
    """The console of the running system, with an owner of the tenant in it, and the directory."""

    page: Page
    origin: str
    directory: StandIn
    graph: str

    async def open(self, path: str) -> None:
        await self.page.goto(f"{self.origin}/t/{TENANT}{path}")

    async def press(self, name: str) -> None:
        await self.page.get_by_role("button", name=name, exact=True).click()

    async def sees(self, text: str) -> None:
        """The page shows it by itself."""
        await expect(self.page.get_by_text(text, exact=True).first).to_be_visible(timeout=BY_ITSELF)

    async def look(self, name: str) -> None:
        """The page fits a narrow screen in both themes, and the checker finds nothing."""
        for scheme, width in (("dark", 320), ("light", 1280)):
            await self.page.set_viewport_size({"width": width, "height": 800})
            await self.page.emulate_media(color_scheme=scheme)  # type: ignore[arg-type]
            assert await self.page.evaluate("document.documentElement.scrollWidth") <= width, name
            await self.page.evaluate(axe_script())
            assert await self.page.evaluate(RUN) == [], name


def the_directory(origin: str) -> StandIn:
    """Northwind's, in which somebody has the user name of a person to come."""
    made = StandIn(clock=ControlledClock(SystemClock()), ids=SystemIds(), origin=origin, record=Record(None))
    tenant = {
        "displayName": "Northwind",
        "domains": [{"id": "northwind.onmicrosoft.com", "initial": True, "default": True}, {"id": DOMAIN}],
        "applications": [
            {
                "clientId": CLIENT,
                "secrets": [{"value": SECRET}],
                "permissions": ["User.ReadWrite.All", "LicenseAssignment.Read.All", "Domain.Read.All"],
            }
        ],
        "skus": [{"skuPartNumber": "SPE_F1", "enabled": 5}],
        "users": [{"userPrincipalName": f"carol@{DOMAIN}", "displayName": "Another Carol"}],
    }
    control.set_up(made, control.SetUp.model_validate({"tenants": [tenant]}))
    return made


@pytest_asyncio.fixture(loop_scope="session")
async def console(local_system: LocalSystem, chromium: Browser) -> AsyncIterator[Console]:
    running = local_system.running_system
    await admin.create_tenant(running.admin, TENANT, "Northwind")
    await admin.add_domain(running.admin, TENANT, DOMAIN)
    await admin.add_application(running.admin, TENANT)
    directory = the_directory(local_system.graph)
    runner = web.AppRunner(GraphApp(directory).app(), access_log=None, shutdown_timeout=1)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", urlsplit(local_system.graph).port).start()
    context = await chromium.new_context(locale="en-GB", viewport={"width": 1280, "height": 800})
    page = await context.new_page()
    faults: list[str] = []
    page.on("pageerror", lambda error: faults.append(str(error)))
    page.on("console", lambda said: faults.append(said.text) if "Content Security" in said.text else None)
    await virtual_authenticator(page)
    olga = NewAdministrator("Nora Owner", "nora@admins.example", Role.OWNER)
    await page.goto((await invite_by_operator(running.admin, TENANT, olga)).url)
    await page.get_by_role("button", name="Create a passkey", exact=True).click()
    await expect(page.get_by_role("button", name="Sign out", exact=True)).to_be_visible()
    yield Console(page, running.settings.console_origin, directory, local_system.graph)
    await context.close()
    await admin.set_connection(running.admin, TENANT, enabled=False)
    await running.flush()
    await runner.cleanup()
    assert faults == []


async def test_from_the_registrations_values_to_people_in_the_directory(console: Console) -> None:
    page = console.page
    await console.open("/applications")
    await page.get_by_role("link", name="Microsoft 365").click()
    await page.get_by_role("link", name="Provisioning", exact=True).click()
    await expect(page.get_by_text("Grant admin consent")).to_be_visible()
    await console.look("tab")

    # Step 1: a placeholder is named; then what was saved takes effect, and the page shows it by itself.
    await page.get_by_label("Properties (JSON)").fill(PROPERTIES.replace("SECRET", "<secret value>"))
    await console.press("Save")
    await expect(page.get_by_role("alert")).to_contain_text("client_secret still holds a placeholder.")
    await console.look("tab-refused")
    await page.get_by_label("Properties (JSON)").fill(PROPERTIES.replace("SECRET", SECRET))
    await console.press("Save")
    await console.sees("On")
    await expect(page.get_by_label("Properties (JSON)")).to_have_value("")

    # Step 2: the test.
    await console.press("Test connection")
    await console.sees("Missing")
    await expect(page.get_by_text("Users that are in Entra already are not taken over").first).to_be_visible()
    await expect(page.get_by_text("Microsoft 365 F3").first).to_be_visible()
    await console.look("tab-tested")

    # Steps 3 to 7: a person with a licence.
    await add_person(console, "Bob", "bob", licence=True)
    await console.sees("Linked")
    await console.look("person-linked")
    users = await page.context.new_page()
    await users.goto(f"{console.graph}/")
    row = users.get_by_role("row", name=f"bob@{DOMAIN}")
    await expect(row).to_contain_text("Enabled")
    await expect(row).to_contain_text("SPE_F1")
    await users.set_viewport_size({"width": 320, "height": 800})
    assert await users.evaluate("document.documentElement.scrollWidth") <= 320
    await users.close()

    # Step 9: somebody else has the name; once it is free, "Try again".
    await add_person(console, "Carol", "carol")
    await console.sees("Failed")
    await page.reload()
    await expect(page.get_by_text("Blok365 never takes over somebody else's user.")).to_be_visible()
    await console.look("person-failed")
    await console.open("/people?status=fault")
    await expect(page.get_by_role("link", name="Carol Ng")).to_be_visible()
    await console.look("people-with-a-fault")
    (northwind,) = console.directory.tenants.values()
    carol = northwind.user_by_upn(f"carol@{DOMAIN}")
    assert carol is not None
    control.set_up(
        console.directory,
        control.SetUp.model_validate({"tenants": [{"id": northwind.id, "users": [renamed(carol.id)]}]}),
    )
    await page.get_by_role("link", name="Carol Ng").click()
    await console.press("Try again")
    await console.sees("Linked")
    await console.open("/changes")
    await expect(page.get_by_text("Provisioning tried again")).to_be_visible()


def renamed(user: str) -> dict[str, str]:
    return {"id": user, "userPrincipalName": f"other-carol@{DOMAIN}"}


async def add_person(console: Console, first: str, name: str, *, licence: bool = False) -> None:
    page = console.page
    await console.open("/people/new")
    await page.get_by_label("First name", exact=True).fill(first)
    await page.get_by_label("Last name", exact=True).fill("Ng")
    await page.get_by_label("User name", exact=True).fill(name)
    await page.get_by_label("Email for the invitation", exact=True).fill(f"{name}@home.example")
    if licence:
        await page.get_by_label("SPE_F1").check()
        await page.get_by_label("Usage location").fill("FR")
        await console.look("person-new")
    await console.press("Add person")
    await expect(page.get_by_role("heading", level=1)).to_have_text(f"{first} Ng")
