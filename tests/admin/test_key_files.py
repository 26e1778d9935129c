"""The key file of the console is replaced while pages are open, in the two rounds of docs/flows/key-roll-over.md."""

from pathlib import Path

from services.admin.app import build
from shared.crypto.key_file import make_key
from shared.ids import SystemIds
from tests.admin.conftest import CONTOSO, AdminSystem, open_system
from tests.admin.console import ConsoleBrowser, signed_in
from tests.world import make_system, own_keys


def restarted(system: AdminSystem) -> AdminSystem:
    """The same system once admin has read its key files again."""
    world = system.world
    world.kept["admin"] = world.databases["admin"].data
    wired = build(world.platform)
    assert wired.service.web is not None
    return AdminSystem(world, wired.dependencies, wired.service.database, wired.service.web)


async def answered(browser: ConsoleBrowser, drawn_by: AdminSystem, taken_by: AdminSystem) -> int:
    """The status when one process draws the page that asks for a passkey, and another one is given the answer."""
    browser.system = drawn_by
    page = await browser.get("/step-up?to=/account")
    answer = {**page.form("/step-up"), **browser.assertion(page.passkey_form())}
    browser.system = taken_by
    return (await browser.post("/step-up", answer)).status


async def test_passkeys_and_forms_go_on_in_both_rounds_whichever_replica_is_asked(tmp_path: Path) -> None:
    world = make_system(tmp_path)
    file = own_keys(world.platform.settings) / "admin.csrf"
    before = await open_system(world)
    browser = await signed_in(before)

    make_key(file.with_name("admin.csrf.next"), SystemIds())
    first = restarted(before)
    assert await answered(browser, before, first) == 303
    assert await answered(browser, first, before) == 303

    file.rename(file.with_name("admin.csrf.old"))
    file.with_name("admin.csrf.next").rename(file)
    second = restarted(before)
    assert await answered(browser, first, second) == 303
    assert await answered(browser, second, first) == 303
    browser.system = second
    assert (await browser.get(f"/t/{CONTOSO}/people")).status == 200

    file.with_name("admin.csrf.old").unlink()
    after = restarted(before)
    assert await answered(browser, second, after) == 303
    assert await answered(browser, first, after) == 403
