"""Pictures of the console's pages: desktop (1280x800) in light and dark, phone (390x844) in light."""

import os
import socket
import tempfile
from datetime import timedelta
from pathlib import Path

from playwright.async_api import Page

from services.admin import handlers
from services.admin.domain.accounts import Account
from services.admin.domain.alerts import Alert
from services.wsfed.domain.keys import certificate_base64, create_signing_key
from shared.contracts.provisioning import Progress
from shared.contracts.wsfed import (
    AttemptOutcome,
    OutcomeCount,
    SignInAttempt,
    SignInsCounted,
    SignInsListed,
)
from shared.web.server import serve
from tests.admin.conftest import CONTOSO, AdminSystem, open_system
from tests.admin.console import link_for
from tests.admin.test_admin_federation import announce
from tests.admin.test_console_provisioning import (
    PROPERTIES,
    connection,
    failure,
    person,
    result_of_test,
    say,
    tab,
)
from tests.approval.handset import virtual_authenticator
from tests.pages.browser import async_chromium
from tests.static_route import static_route
from tests.world import make_system

LOOKS = (("desktop", 1280, 800, "light"), ("desktop", 1280, 800, "dark"), ("phone", 390, 844, "light"))
NAMES = ("ada", "grace", "alan", "edsger", "barbara", "ken", "radia")


async def take(page: Page, out: Path, name: str) -> None:
    for size, width, height, theme in LOOKS:
        await page.emulate_media(color_scheme=theme)  # type: ignore[arg-type]
        await page.set_viewport_size({"width": width, "height": height})
        await page.screenshot(path=out / f"{name}-{size}-{theme}.png")


async def sign_ins(system: AdminSystem, account: Account) -> None:
    """A month of sign-ins for the Overview, the last ones of that person, and something to look at."""
    now = system.world.clock.now()
    for ago in range(30):
        day = (now - timedelta(days=ago)).date()
        busy = 0 if day.weekday() > 4 else 60 + ago * 7 % 23
        counts = (
            OutcomeCount(method="blokkey_push", outcome="signed_in", count=busy + 4),
            OutcomeCount(method="passkey", outcome="signed_in", count=busy // 2 + 1),
            OutcomeCount(method="blokkey_push", outcome="unanswered", count=ago % 6 + 1),
            OutcomeCount(method="blokkey_push", outcome="denied", count=ago % 4 + 1),
            *([OutcomeCount(method="blokkey_push", outcome="not_me", count=1)] if ago == 3 else []),
        )
        await system.world.say("wsfed", SignInsCounted(version=1, day=day, counts=counts))
    outcomes: tuple[AttemptOutcome, ...] = ("signed_in", "not_me", "unanswered", "signed_in", "denied")
    attempts = tuple(
        SignInAttempt(
            at=now - timedelta(hours=7 * number),
            method="passkey" if number % 3 == 0 else "blokkey_push",
            outcome=outcomes[number % len(outcomes)],
            agent="Edge on Windows" if number % 4 else "Safari on iPhone",
            application="Microsoft 365",
        )
        for number in range(24)
    )
    await system.world.say("wsfed", SignInsListed(version=1, account=account.id, attempts=attempts))
    refused = Alert(
        id="refused",
        tenant=CONTOSO,
        kind="device_refused",
        at=now - timedelta(days=2),
        account=account.id,
        detail="Pixel 9",
        reason="used",
    )
    await system.deps.alerts.add(refused)
    await system.world.settle()


async def draw_provisioning(system: AdminSystem, page: Page, origin: str, out: Path) -> None:
    """The tab before and after it is set up, and people with a licence and with a fault."""
    path = await tab(system)
    await page.goto(f"{origin}{path}")
    await take(page, out, "provisioning-new")
    await handlers.set_connection(system.deps, CONTOSO, properties=PROPERTIES, enabled=True)
    now = system.world.clock.now()
    progress = Progress(waiting=6_800, done=3_197, failed=3, at=now, seconds_left=700)
    await say(
        system,
        connection(
            checked=result_of_test(system), progress=progress, credential_ends=now + timedelta(days=20)
        ),
    )
    await page.goto(f"{origin}{path}")
    await take(page, out, "provisioning")
    accounts = (await handlers.list_accounts(system.deps, CONTOSO)).accounts
    await say(system, person(system, accounts[2].id))
    await say(system, person(system, accounts[3].id, state="failed", object_id="", fault=failure(system)))
    for name, shown in (
        ("person-linked", f"people/{accounts[2].id}#directory"),
        ("person-failed", f"people/{accounts[3].id}#directory"),
        ("licences", f"people/{accounts[2].id}/licences"),
        ("people-fault", "people?status=fault"),
    ):
        await page.goto(f"{origin}/t/{CONTOSO}/{shown}")
        await take(page, out, name)


async def draw_keys_and_logo(system: AdminSystem, page: Page, origin: str, out: Path) -> None:
    """A roll-over whose next key waits to be used; the question before it; the form of the logo."""
    now = system.world.clock.now()
    made = [create_signing_key("Blok365 contoso", now - timedelta(days=days), 3) for days in (900, 0)]
    current, upcoming = (certificate_base64(each.certificate) for each in made)
    await announce(system, version=1000, current=current, next=upcoming, next_since=now)
    for name, path in (
        ("signing-keys", "/signing-keys"),
        ("key-step", "/signing-keys/steps/switch"),
        ("logo", "/logo"),
    ):
        await page.goto(f"{origin}/t/{CONTOSO}{path}")
        await take(page, out, name)


async def draw_federation(system: AdminSystem, page: Page, origin: str, out: Path) -> None:
    """The application, which is there by now, the domain, and who would be locked out."""
    await announce(system)
    base = f"/t/{CONTOSO}"
    for name, path in (
        ("overview", base),
        ("applications", f"{base}/applications"),
        ("federation", f"{base}/federation"),
        ("domain", f"{base}/federation/{CONTOSO}.example"),
        ("readiness", f"{base}/federation/{CONTOSO}.example/readiness"),
        ("script-ask", f"{base}/federation/{CONTOSO}.example/script"),
    ):
        await page.goto(f"{origin}{path}")
        await take(page, out, name)


async def draw_removal(system: AdminSystem, page: Page, origin: str, out: Path, account: str) -> None:
    """A removal that can be undone."""
    await handlers.remove(system.deps, CONTOSO, account)
    person = f"/t/{CONTOSO}/people/{account}"
    for name, path in (
        ("person-removed", person),
        ("restore", f"{person}/restore"),
        ("people-removed", f"/t/{CONTOSO}/people?status=removed"),
        ("changes-removal", f"/t/{CONTOSO}/changes"),
    ):
        await page.goto(f"{origin}{path}")
        await take(page, out, name)


async def draw(out: Path) -> None:
    """All of them into the folder `out`, as `{page}-{size}-{theme}.png`."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    origin = f"http://console.localhost:{port}"
    os.environ["BLOK365_CONSOLE_ORIGIN"] = origin
    with tempfile.TemporaryDirectory() as folder:
        system = await open_system(make_system(Path(folder)))
        system.web.add_routes([static_route()])
        runner, _ = await serve(system.web, "127.0.0.1", port)
        async with async_chromium() as chromium:
            context = await chromium.new_context(locale="en-GB", reduced_motion="reduce")
            page = await context.new_page()
            await virtual_authenticator(page)
            await page.goto(f"{origin}/sign-in")
            await take(page, out, "sign-in")
            await page.goto((await link_for(system)).url)
            await take(page, out, "join")
            await page.get_by_role("button", name="Create a passkey").click()
            await page.wait_for_url(f"**/t/{CONTOSO}")
            await take(page, out, "overview-new")
            await page.goto(f"{origin}/t/{CONTOSO}/people")
            await take(page, out, "people-empty")
            for name in NAMES:
                await system.account(name)
            accounts = (await handlers.list_accounts(system.deps, CONTOSO)).accounts
            await sign_ins(system, accounts[0])
            await handlers.suspend(system.deps, CONTOSO, accounts[1].id)
            person = f"/t/{CONTOSO}/people/{accounts[0].id}"
            await page.goto(f"{origin}{person}")
            await page.get_by_role("button", name="Send an invitation").click()
            await page.get_by_text("The invitation is on its way.").wait_for()
            await take(page, out, "person")
            await page.get_by_role("button", name="Menu", exact=True).click()  # it is a phone still
            await page.screenshot(path=out / "menu-phone-light.png")
            for name, path in (
                ("overview", f"/t/{CONTOSO}"),
                ("people", f"/t/{CONTOSO}/people"),
                ("person-new", f"/t/{CONTOSO}/people/new"),
                ("remove", f"{person}/remove"),
                ("account", "/account"),
                ("administrators", f"/t/{CONTOSO}/administrators"),
                ("administrator-new", f"/t/{CONTOSO}/administrators/new"),
                ("changes", f"/t/{CONTOSO}/changes"),
                ("configuration", f"/t/{CONTOSO}/configuration"),
                ("configuration-item", f"/t/{CONTOSO}/configuration/mfa-behavior"),
            ):
                await page.goto(f"{origin}{path}")
                await take(page, out, name)
            await draw_provisioning(system, page, origin, out)
            await draw_federation(system, page, origin, out)
            await draw_keys_and_logo(system, page, origin, out)
            await draw_removal(system, page, origin, out, accounts[2].id)
            await context.close()
        await runner.cleanup()
    del os.environ["BLOK365_CONSOLE_ORIGIN"]
