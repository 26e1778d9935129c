"""The console in a real Chromium with a virtual authenticator (docs/flows/console-sign-in.md).

From the one-time link to a person who is invited; every page with axe-core, narrow, in both themes and languages.
"""

import re
import socket
from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from pathlib import Path
from urllib.parse import urlsplit

import pytest
import pytest_asyncio
from playwright.async_api import Browser, Page, Route, expect

from services.admin import handlers
from services.admin.domain.configuration import Item
from services.admin.domain.configuration_steps import steps
from services.admin.routes import ROUTES, TenantRoute
from shared.contracts.admin import AccountStatus
from shared.web.server import serve
from tests.admin.conftest import CONTOSO, AdminSystem, open_system
from tests.admin.console import link_for
from tests.admin.pictures import sign_ins
from tests.admin.test_admin_federation import UPCOMING, announce
from tests.approval.handset import virtual_authenticator
from tests.pages.axe import RUN, axe_script
from tests.static_route import static_route
from tests.world import make_system

pytestmark = [
    pytest.mark.integration,
    pytest.mark.slow,
    pytest.mark.xdist_group("chromium"),
    pytest.mark.asyncio(loop_scope="session"),
]


@dataclass
class Desk:
    """A page in Chromium, and the console behind it."""

    system: AdminSystem
    page: Page
    origin: str
    faults: list[str] = field(default_factory=list)

    async def heading(self, text: str) -> None:
        await expect(self.page.get_by_role("heading", level=1)).to_have_text(text)

    async def open(self, path: str) -> None:
        await self.page.goto(f"{self.origin}{path}")

    async def press(self, name: str) -> None:
        await self.page.get_by_role("button", name=name, exact=True).click()

    async def follow(self, name: str) -> None:
        await self.page.get_by_role("link", name=name, exact=True).click()

    async def join(self) -> None:
        """Become the first owner, by the operator's link."""
        link = await link_for(self.system)
        await self.page.goto(link.url)
        await self.heading("Administer Contoso")
        await self.press("Create a passkey")
        await self.heading("Overview")
        await self.open(f"/t/{CONTOSO}/people")
        await self.heading("People")

    async def add_ada(self) -> None:
        await self.follow("Add a person")
        for label, text in (
            ("First name", "Ada"),
            ("Last name", "Lovelace"),
            ("User name", "ada"),
            ("Email for the invitation", "ada@home.example"),
        ):
            await self.page.get_by_label(label, exact=True).fill(text)
        await self.press("Add person")
        await self.heading("Ada Lovelace")


@pytest_asyncio.fixture(loop_scope="session")
async def desk(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, chromium: Browser) -> AsyncIterator[Desk]:
    """Nobody has come into the console yet. At the end no script has broken and no policy was violated."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    origin = f"http://console.localhost:{port}"
    monkeypatch.setenv("BLOK365_CONSOLE_ORIGIN", origin)
    system = await open_system(make_system(tmp_path))
    system.web.add_routes([static_route()])
    runner, _ = await serve(system.web, "127.0.0.1", port)
    context = await chromium.new_context(locale="en-GB", viewport={"width": 1280, "height": 800})
    page = await context.new_page()
    made = Desk(system, page, origin)
    page.on("pageerror", lambda error: made.faults.append(str(error)))
    page.on(
        "console",
        lambda said: made.faults.append(said.text) if "Content Security" in said.text else None,
    )
    await virtual_authenticator(page)
    yield made
    await context.close()
    await runner.cleanup()
    assert made.faults == []


async def test_from_the_one_time_link_to_an_invited_person_and_in_again_by_passkey(desk: Desk) -> None:
    link = await link_for(desk.system)
    await desk.page.goto(link.url)
    await desk.heading("Administer Contoso")
    assert urlsplit(desk.page.url).fragment == ""  # not in the history, nor on a screen that is shared
    await desk.press("Create a passkey")
    await desk.heading("Overview")
    await expect(desk.page.get_by_text("Welcome. You're signed in.")).to_be_visible()
    await desk.follow("People")

    await desk.follow("People")
    await desk.add_ada()
    await expect(desk.page.get_by_text("the invitation is on its way")).to_be_visible()
    account = (await handlers.list_accounts(desk.system.deps, CONTOSO)).accounts[0]
    assert (account.upn, account.status) == ("ada@contoso.example", AccountStatus.INVITED)

    await desk.press("Sign out")
    await desk.heading("Sign in to the console")
    await desk.open(f"/t/{CONTOSO}/people/{account.id}")
    await desk.heading("Sign in to the console")
    await desk.press("Use a passkey")
    await desk.heading("Ada Lovelace")


async def test_an_act_on_administrators_asks_for_the_passkey_again(desk: Desk) -> None:
    await desk.join()
    desk.system.world.clock.advance(301)
    await desk.open(f"/t/{CONTOSO}/administrators")
    await desk.follow("Invite an administrator")
    await desk.heading("Confirm it's you")
    await desk.press("Use a passkey")
    await desk.heading("Invite an administrator")
    await desk.page.get_by_label("Name", exact=True).fill("Hugo Help")
    await desk.page.get_by_label("Email", exact=True).fill("hugo@admins.example")
    await desk.page.get_by_label("Help desk").check()
    await desk.press("Send invitation")
    await desk.heading("Administrators")
    await expect(desk.page.get_by_text("Hugo Help")).to_be_visible()


async def test_a_device_that_holds_a_passkey_makes_no_second_one(desk: Desk) -> None:
    await desk.join()
    await desk.open("/account")
    await desk.press("Add a passkey")
    await expect(
        desk.page.get_by_text("This device already holds one of your passkeys.").first
    ).to_be_visible()


async def test_a_refused_form_leads_to_its_field_and_a_slash_to_the_search(desk: Desk) -> None:
    await desk.join()
    await desk.page.keyboard.press("/")
    await expect(desk.page.locator("#q")).to_be_focused()
    await desk.open(f"/t/{CONTOSO}/people/new")
    await desk.press("Add person")
    await expect(desk.page.locator("#summary")).to_be_focused()
    assert (await desk.page.title()).startswith("Error:")
    await desk.page.locator("#summary a").first.click()
    await expect(desk.page.get_by_label("First name")).to_be_focused()


async def test_a_slash_leads_to_the_search_of_the_frame_where_a_page_has_none(desk: Desk) -> None:
    await desk.join()
    await desk.add_ada()
    await desk.open(f"/t/{CONTOSO}/configuration")
    await desk.page.keyboard.press("/")
    await desk.page.keyboard.type("lovel")
    await desk.page.keyboard.press("Enter")
    await desk.heading("People")
    await expect(desk.page.get_by_role("link", name="Ada Lovelace")).to_be_visible()


async def test_typing_searches_and_a_turned_page_can_be_turned_back(desk: Desk) -> None:
    page = desk.page
    await desk.join()
    for number in range(60):
        await desk.system.account(f"p{number:02}")
    await desk.system.account("zoe")
    await desk.open(f"/t/{CONTOSO}/people")
    await expect(page.locator("#count")).to_have_text("50 people on this page, and there are more")
    await page.evaluate("window.here = true")  # a page that was loaded anew has forgotten it

    await page.get_by_role("link", name="Next page").click()
    await expect(page.locator("#count")).to_have_text("11 people")
    await expect(page.locator("#results")).to_be_focused()
    assert await page.evaluate("window.here")
    assert "after=" in page.url

    await page.locator("#q").press_sequentially("zoe")
    await expect(page.locator("#count")).to_have_text("1 person")
    await expect(page.locator("#q")).to_be_focused()
    assert await page.evaluate("window.here")
    assert page.url.endswith("/people?q=zoe&status=")
    await page.get_by_role("link", name="Zoe").click()
    await desk.heading("Zoe Lovelace")
    await page.go_back()
    await expect(page.locator("#count")).to_have_text("1 person")
    await expect(page.locator("#q")).to_have_value("zoe")

    await page.locator("#q").fill("nobody at all")
    await expect(page.get_by_text("Nobody matches.")).to_be_visible()
    await page.get_by_label("State").select_option("active")
    await expect(page.locator("#count")).to_have_text("0 people")

    await page.go_back()
    await expect(page.locator("#count")).to_have_text("50 people on this page, and there are more")


async def test_a_search_is_a_use_of_the_session_and_the_warning_waits(desk: Desk) -> None:
    await desk.join()
    await desk.system.account("ada")
    await desk.page.clock.install()
    await desk.open(f"/t/{CONTOSO}/people")
    await desk.page.clock.fast_forward(1200 * 1000)
    desk.system.world.clock.advance(1200)
    await desk.page.locator("#q").fill("ada")
    await desk.page.clock.fast_forward(400)  # the search waits for a pause in the typing
    await expect(desk.page.locator("#count")).to_have_text("1 person")
    await desk.page.clock.fast_forward(600 * 1000)
    await expect(desk.page.locator("#ending")).to_be_hidden()
    await desk.page.clock.fast_forward(1100 * 1000)
    await expect(desk.page.get_by_text("You'll be signed out in two minutes.")).to_be_visible()


async def test_a_search_after_the_session_has_ended_leads_to_the_sign_in(desk: Desk) -> None:
    await desk.join()
    await desk.system.account("ada")
    await desk.open(f"/t/{CONTOSO}/people")
    desk.system.world.clock.advance(3600)
    await desk.page.locator("#q").fill("ada")
    await desk.heading("Sign in to the console")
    await desk.press("Use a passkey")
    await desk.heading("People")
    await expect(desk.page.locator("#count")).to_have_text("1 person")


async def test_a_list_takes_no_script_out_of_an_answer(desk: Desk) -> None:
    """What the server would never send: its text is escaped. Then the page's own rules have to do."""
    page = desk.page
    await desk.join()
    await desk.open(f"/t/{CONTOSO}/people")
    evil = (
        '<div id="results"><p>swapped</p><script>window.ran = 1</script>'
        '<script src="/static/x.js"></script><img src="x" onerror="window.ran = 2">'
        '<b data-hx-on:click="window.ran = 3" data-hx-get="/x" data-hx-vals="js:{a: (window.ran = 4)}">press</b></div>'
    )

    async def answer(route: Route) -> None:
        await route.fulfill(body=evil, content_type="text/html")

    await page.route("**/people?q=*", answer)
    await page.locator("#q").fill("x")
    await expect(page.get_by_text("swapped")).to_be_visible()
    assert await page.locator("#results script").count() == 0
    await page.get_by_text("press").click()
    assert await page.evaluate("window.ran") is None
    assert [each for each in desk.faults if "inline event handler" in each.lower()]
    desk.faults.clear()


async def test_lines_of_powershell_are_copied_as_they_are(desk: Desk) -> None:
    await desk.join()
    await desk.page.context.grant_permissions(["clipboard-read", "clipboard-write"])
    await desk.open(f"/t/{CONTOSO}/configuration/legacy-authentication")
    await desk.page.get_by_role("button", name="Copy Put it right (PowerShell)").click()
    await expect(desk.page.locator("#copied")).to_have_text("Copied.")
    copied = await desk.page.evaluate("navigator.clipboard.readText()")
    tenant = await handlers.show_tenant(desk.system.deps, CONTOSO)
    assert copied.replace("\r\n", "\n") == steps(Item.LEGACY_AUTHENTICATION, tenant).put_right


async def test_on_a_phone_the_navigation_is_a_menu_with_and_without_scripts(
    desk: Desk, chromium: Browser
) -> None:
    await desk.join()
    state = await desk.page.context.storage_state()
    plain = await chromium.new_context(locale="en-GB", java_script_enabled=False, storage_state=state)
    for page in (desk.page, await plain.new_page()):
        await page.set_viewport_size({"width": 320, "height": 640})
        await page.goto(f"{desk.origin}/t/{CONTOSO}/people")
        link = page.get_by_role("link", name="Administrators", exact=True)
        await expect(link).to_be_hidden()
        await page.get_by_role("button", name="Menu", exact=True).press("Enter")
        await expect(link).to_be_visible()
        await expect(page.get_by_role("button", name="Close menu")).to_be_focused()
        if page is desk.page:  # without scripts the menu stays open, and Escape closes it
            menu = page.get_by_role("button", name="Menu", exact=True)
            await page.locator(".sections").get_by_role("button", name="Sign out").focus()
            await page.keyboard.press("Tab")
            await expect(link).to_be_hidden()
            await menu.press("Enter")
            await expect(link).to_be_visible()
        await page.keyboard.press("Escape")
        await expect(link).to_be_hidden()
        await page.get_by_role("button", name="Menu", exact=True).click()
        await link.click()
        await expect(page.get_by_role("heading", level=1)).to_have_text("Administrators")
        await page.set_viewport_size({"width": 1280, "height": 800})
        await expect(link).to_be_visible()
        await expect(page.get_by_role("button", name="Menu", exact=True)).to_be_hidden()
    await plain.close()


async def test_two_minutes_before_its_end_the_page_asks_and_one_press_goes_on(desk: Desk) -> None:
    await desk.join()
    desk.system.world.clock.advance(1400)
    await desk.page.clock.install()
    await desk.open(f"/t/{CONTOSO}/people")
    await desk.page.clock.fast_forward(1799 * 1000 - 120_000 + 2000)
    await expect(desk.page.get_by_text("You'll be signed out in two minutes.")).to_be_visible()
    desk.system.world.clock.advance(1790)
    await desk.press("Stay signed in")
    await expect(desk.page.locator("#ending")).to_be_hidden()
    desk.system.world.clock.advance(1790)
    await desk.open(f"/t/{CONTOSO}/people")
    await desk.heading("People")


APART = """[...document.querySelectorAll(".nowrap")].map(each => each.parentElement).filter(
  each => getComputedStyle(each).display.endsWith("flex") && each.childNodes.length > 1
).map(each => each.outerHTML)"""
"""Elements whose words became items of a flex box, without the spaces between them (`unbroken` in shared/web/frame.py);
empty when there are none."""


async def every_page(desk: Desk) -> list[str]:
    """The addresses of the console's pages, from its own table: what a script asks for and files are none."""
    account = await desk.system.account("ada")
    application = await handlers.add_application(desk.system.deps, CONTOSO)
    await announce(desk.system, next=UPCOMING)
    team = await desk.system.deps.teams.get(CONTOSO)
    values = {
        "tenant": CONTOSO,
        "account": account.id,
        "application": application.id,
        "domain": f"{CONTOSO}.example",
        "item": "system-browser",
        "step": "switch",
        "administrator": team.members[0].administrator,
    }
    no_pages = {"/t/{tenant}/logo/picture"}
    routes = [
        each.path
        for each in ROUTES
        if isinstance(each, TenantRoute)
        and each.method == "GET"
        and not each.by_itself
        and each.path not in no_pages
        and set(re.findall(r"\{(\w+)\}", each.path)) <= values.keys()
    ]
    assert len(routes) > 30
    people = f"/t/{CONTOSO}/people"
    return ["/account", "/organisations", f"{people}?q=nobody", *(each.format(**values) for each in routes)]


@pytest.mark.timeout(300)
async def test_every_page_is_accessible_narrow_and_in_both_themes_and_languages(desk: Desk) -> None:
    await desk.join()
    paths, axe = await every_page(desk), axe_script()
    for locale, theme, width in (("en-GB", "light", 1280), ("fr-FR", "dark", 320)):
        await desk.page.emulate_media(color_scheme=theme)  # type: ignore[arg-type]
        await desk.page.set_viewport_size({"width": width, "height": 800})
        for path in paths:
            answer = await desk.page.goto(f"{desk.origin}{path}{'&' if '?' in path else '?'}mkt={locale}")
            assert answer is not None
            assert answer.status < 500, path
            assert urlsplit(desk.page.url).path == urlsplit(path).path, "no step-up instead"
            await desk.page.evaluate(axe)
            assert await desk.page.evaluate(RUN) == [], (path, locale)
            wider = await desk.page.evaluate("document.documentElement.scrollWidth - window.innerWidth")
            assert wider <= 0, (path, width)
            assert await desk.page.evaluate(APART) == [], (path, locale)
            assert await desk.page.locator("html").get_attribute("lang") == locale[:2]


async def test_without_scripts_everything_but_the_passkey_works(desk: Desk, chromium: Browser) -> None:
    await desk.join()
    state = await desk.page.context.storage_state()
    context = await chromium.new_context(
        locale="en-GB",
        java_script_enabled=False,
        storage_state=state,
    )
    plain = Desk(desk.system, await context.new_page(), desk.origin)
    await plain.open(f"/t/{CONTOSO}/people")
    await plain.add_ada()
    await plain.follow("Suspend")
    await plain.heading("Suspend Ada Lovelace?")
    await plain.press("Suspend")
    await expect(plain.page.get_by_text("Suspended. This takes effect within seconds.")).to_be_visible()
    await plain.press("Resume")
    await expect(plain.page.get_by_text("The person can sign in again")).to_be_visible()
    await context.close()


async def test_the_overview_leads_on_and_its_chart_says_what_its_tables_say(desk: Desk) -> None:
    await desk.join()
    axe, overview = axe_script(), f"/t/{CONTOSO}"
    await desk.open(overview)
    await desk.follow("Add application")
    await desk.heading("Add Microsoft 365")
    account = await desk.system.account()
    await sign_ins(desk.system, account)
    for locale, theme, width in (("en-GB", "light", 1280), ("fr-FR", "dark", 320)):
        await desk.page.emulate_media(color_scheme=theme)  # type: ignore[arg-type]
        await desk.page.set_viewport_size({"width": width, "height": 800})
        for path in (overview, f"{overview}?days=90", f"{overview}/people/{account.id}"):
            await desk.open(f"{path}{'&' if '?' in path else '?'}mkt={locale}")
            for closed in await desk.page.locator("details:not([open]) > summary").all():
                await closed.click()
            await desk.page.evaluate(axe)
            assert await desk.page.evaluate(RUN) == [], (path, locale)
            wider = await desk.page.evaluate("document.documentElement.scrollWidth - window.innerWidth")
            assert wider <= 0, (path, width)
    await desk.open(f"{overview}?days=7&mkt=en-GB")
    drawing = desk.page.get_by_role("img", name="Sign-ins of the last 7 days")
    await expect(drawing).to_be_visible()
    box = await drawing.bounding_box()
    assert box is not None
    assert box["height"] > 100
    columns = await drawing.locator("g").count()
    assert columns == 7
    await desk.page.get_by_role("link", name="30 days").click()
    await expect(desk.page.get_by_role("img", name="Sign-ins of the last 30 days")).to_be_visible()
    await desk.page.get_by_role("link", name=account.display_name).first.click()
    await desk.heading(account.display_name)
    await expect(desk.page.get_by_role("heading", name="Sign-ins")).to_be_visible()
