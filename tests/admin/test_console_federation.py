"""Applications and federation in the console (docs/flows/federation.md): from the template to the script in hand."""

import base64
import json
from collections.abc import Mapping
from datetime import timedelta

import pytest

from services.admin import handlers
from services.admin.domain.federation_scripts import back_out_script, federation_script
from services.admin.domain.powershell import script_octets
from services.admin.domain.roles import STEP_UP, Act, Role
from services.admin.pages.views import certificate_lines
from shared.contracts.wsfed import DomainUsed
from tests.admin.conftest import CONTOSO, FABRIKAM, AdminSystem
from tests.admin.console import Answer, ConsoleBrowser, signed_in
from tests.admin.test_admin_federation import CERTIFICATE, UPCOMING, announce, holder

DOMAIN = "contoso.example"
BASE = f"/t/{CONTOSO}"
FEDERATION = f"{BASE}/federation/{DOMAIN}"
READERS = [Role.ADMINISTRATOR, Role.AUDITOR, Role.READ_ONLY]
OTHERS = [Role.HELP_DESK, Role.BADGE_DESK]


async def used(system: AdminSystem, version: int = 1, **times: object) -> None:
    message = DomainUsed.model_validate({"version": version, "domain": DOMAIN, **times})
    await system.world.bus.publish([system.world.signer("wsfed").sign(message, tenant=CONTOSO)])
    await system.world.settle()


async def taken(system: AdminSystem) -> list[Mapping[str, str]]:
    """What was recorded of scripts, the latest first."""
    changes = (await handlers.recording.list_changes(system.deps, CONTOSO)).changes
    return [
        each.after for each in changes if each.act.value == "federation.change" and each.outcome == "done"
    ]


async def script_page(browser: ConsoleBrowser, typed: str = "") -> Answer:
    page = await browser.get(f"{FEDERATION}/script")
    assert page.status == 200, page.words
    return await browser.press(page, f"{FEDERATION}/script", **({"typed": typed} if typed else {}))


# --- applications -----------------------------------------------------------------------------------------------


async def test_microsoft_365_is_added_from_its_template_once(system: AdminSystem) -> None:
    browser = await signed_in(system, Role.ADMINISTRATOR)
    assert f"{BASE}/applications/new" in (await browser.get(f"{BASE}/applications")).actions
    page = await browser.get(f"{BASE}/applications/new")
    wrong = await browser.press(page, f"{BASE}/applications/new", session_hours="5")
    assert wrong.status == 400
    assert "Choose 4, 8 or 12 hours." in wrong.words
    added = await browser.press(page, f"{BASE}/applications/new", session_hours="12", first_method="qr")
    (application,) = (await handlers.show_tenant(system.deps, CONTOSO)).applications
    assert (added.status, added.location) == (303, f"{BASE}/applications/{application.id}")
    assert (application.name, application.session_hours, application.first_method) == (
        "Microsoft 365",
        12,
        "qr",
    )
    again = await browser.press(page, f"{BASE}/applications/new", name="Another")
    assert again.status == 400
    assert "already has a Microsoft 365 application" in again.words
    assert f"{BASE}/applications/new" not in (await browser.get(f"{BASE}/applications")).actions


async def test_two_administrators_who_edit_at_once_are_told(system: AdminSystem) -> None:
    application = await handlers.add_application(system.deps, CONTOSO)
    path = f"{BASE}/applications/{application.id}/edit"
    one, other = [await signed_in(system, name=name) for name in ("Olga Owner", "Otto Other")]
    pages = [await browser.get(path) for browser in (one, other)]
    assert (await one.press(pages[0], path, name="Office")).status == 303
    second = await other.press(pages[1], path, name="Microsoft")
    assert second.status == 400
    assert (await handlers.show_tenant(system.deps, CONTOSO)).applications[0].name == "Office"
    system.world.clock.advance(1)
    assert (await other.press(second, path)).status == 303
    assert (await handlers.show_tenant(system.deps, CONTOSO)).applications[0].name == "Microsoft"
    (latest, *_) = (await handlers.recording.list_changes(system.deps, CONTOSO)).changes
    assert (latest.before, latest.after) == ({"name": "Office"}, {"name": "Microsoft"})


async def test_an_application_of_another_tenant_is_not_there(system: AdminSystem) -> None:
    foreign = await handlers.add_application(system.deps, FABRIKAM)
    browser = await signed_in(system)
    for path in ("", "/edit"):
        assert (await browser.get(f"{BASE}/applications/{foreign.id}{path}")).status == 404
    token = {"csrf": browser.csrf, "name": "x", "session_hours": "8", "first_method": "push", "version": "1"}
    assert (await browser.post(f"{BASE}/applications/{foreign.id}/edit", token)).status == 404


async def test_how_people_sign_in_is_changed_for_all_and_recorded(system: AdminSystem) -> None:
    await handlers.add_application(system.deps, CONTOSO)
    browser = await signed_in(system, Role.ADMINISTRATOR)
    page = await browser.get(f"{BASE}/sign-in-policy")
    for minutes in ("4", "721", "1e2", "", "²"):
        wrong = await browser.press(page, f"{BASE}/sign-in-policy", idle_minutes=minutes)
        assert wrong.status == 400, minutes
        assert "5 to 720 minutes" in wrong.words
    assert (await browser.press(page, f"{BASE}/sign-in-policy", sign_in="closed")).status == 400
    fields = {"sign_in": "known_browsers", "same_network": "yes", "idle_minutes": "60"}
    assert (await browser.press(page, f"{BASE}/sign-in-policy", **fields)).status == 303
    policy = (await handlers.show_tenant(system.deps, CONTOSO)).policy
    assert (policy.sign_in, policy.same_network_or_passkey, policy.session_idle_minutes) == (
        "known_browsers",
        True,
        60,
    )
    changes = (await handlers.recording.list_changes(system.deps, CONTOSO)).changes
    (latest,) = (each for each in changes if each.act is Act.CHANGE_POLICY)
    assert latest.after == {"sign_in": "known_browsers", "same_network": "yes", "idle_minutes": "60"}
    shown = await browser.get(f"{BASE}/changes")
    assert "Idle minutes: 120 → 60" in shown.words


@pytest.mark.parametrize("way", ["application", "overview", "configuration", "", "//evil.example", "unknown"])
async def test_after_the_sign_in_policy_comes_the_page_that_led_to_it(system: AdminSystem, way: str) -> None:
    made = await handlers.add_application(system.deps, CONTOSO)
    browser = await signed_in(system)
    before = {
        "application": f"{BASE}/applications/{made.id}",
        "overview": BASE,
        "configuration": f"{BASE}/configuration/known-browsers",
    }
    if way in before:
        led = [each for each in (await browser.get(before[way])).actions if "/sign-in-policy" in each]
        assert led, "the page leads to the form"
    name = made.id if way == "application" else way
    page = await browser.get(f"{BASE}/sign-in-policy?from={name}")
    wrong = await browser.press(page, f"{BASE}/sign-in-policy", idle_minutes="4")
    assert wrong.status == 400
    saved = await browser.press(wrong, f"{BASE}/sign-in-policy", idle_minutes="30")
    assert (saved.status, saved.location) == (303, before.get(way, f"{BASE}/applications"))


async def test_the_policy_recommends_known_browsers_by_that_name(system: AdminSystem) -> None:
    browser = await signed_in(system)
    page = await browser.get(f"{BASE}/sign-in-policy")
    assert "Only in known browsers, which a passkey has vouched for Recommended" in page.words
    assert page.soup.select_one("#idle_minutes")["inputmode"] == "numeric"  # type: ignore[index]


async def test_an_application_shows_what_entra_is_told_and_the_fingerprint(system: AdminSystem) -> None:
    application = await handlers.add_application(system.deps, CONTOSO)
    browser = await signed_in(system, Role.READ_ONLY)
    path = f"{BASE}/applications/{application.id}"
    assert "isn't known here yet" in (await browser.get(path)).words
    await announce(system, next=UPCOMING)
    page = await browser.get(path)
    origin = system.deps.origin
    for text in (
        f"{origin}/t/contoso/wsfed",
        f"{origin}/t/contoso/contoso.example",
        f"{origin}/t/contoso/contoso.example/FederationMetadata/2007-06/FederationMetadata.xml",
        f"{origin}/t/contoso/contoso.example/mex",
        CERTIFICATE,
        "Next certificate",
    ):
        assert text in page.words
    assert not {f"{path}/edit", f"{BASE}/sign-in-policy"} & page.actions, "a reader changes nothing"


def test_thumbprints_are_those_that_others_compute() -> None:
    from cryptography.hazmat.primitives import hashes

    from services.admin.domain.federation import Certificates
    from tests.standins.entra_tokens import certificate_of, certificate_text

    (line,) = certificate_lines(Certificates(current=certificate_text("current")))
    made = certificate_of("current")
    assert line.facts.sha256 == made.fingerprint(hashes.SHA256()).hex().upper()
    assert line.facts.sha1 == made.fingerprint(hashes.SHA1()).hex().upper()
    assert line.facts.not_after == made.not_valid_after_utc


# --- domains ----------------------------------------------------------------------------------------------------


async def test_a_domain_is_added_and_what_cannot_be_one_is_explained(system: AdminSystem) -> None:
    browser = await signed_in(system)
    page = await browser.get(f"{BASE}/federation/new")
    for domain, said in (
        ("", "Enter the domain."),
        ("contoso.onmicrosoft.com", "Entra never federates it"),
        ("<script>", "is not a domain name"),
        ("fabrikam.example", "in use by another tenant"),
        (DOMAIN, "already has the domain contoso.example"),
    ):
        wrong = await browser.press(page, f"{BASE}/federation/new", domain=domain)
        assert wrong.status == 400
        assert said in wrong.words
    added = await browser.press(page, f"{BASE}/federation/new", domain="Labs.Contoso.example")
    assert added.location == f"{BASE}/federation/labs.contoso.example"
    assert (await taken(system))[0] == {"domain": "labs.contoso.example"}


async def test_a_domains_page_says_how_far_it_is_and_its_script_asks_for_that(system: AdminSystem) -> None:
    await announce(system)
    browser = await signed_in(system, Role.AUDITOR)
    assert "No request yet" in (await browser.get(f"{BASE}/federation")).words
    assert json.loads((await browser.get(f"{FEDERATION}/state")).text) == {
        "state": "none",
        "request": None,
        "sign_in": None,
    }
    now = system.deps.clock.now()
    await used(system, first_request_at=now)
    assert json.loads((await browser.get(f"{FEDERATION}/state")).text)["state"] == "requested"
    await used(system, 2, first_request_at=now, first_sign_in_at=now + timedelta(seconds=1))
    page = await browser.get(FEDERATION)
    shown = [each for each in page.soup.select("[data-when]") if not each.has_attr("hidden")]
    assert [each["data-when"] for each in shown] == ["signed_in"]
    assert "First sign-in arrived" in page.words
    assert "2 Mar 2026, 0" in page.words
    assert page.soup.select_one("details .checks") is not None, "a domain in use is past them"
    assert json.loads((await browser.get(f"{FEDERATION}/state")).text)["sign_in"] is not None


async def test_a_domains_page_counts_who_would_be_locked_out(system: AdminSystem) -> None:
    await announce(system)
    browser = await signed_in(system, Role.AUDITOR)
    assert f"There is nobody in {DOMAIN} yet." in (await browser.get(FEDERATION)).words
    ada, bob = await system.account("ada"), await system.account("bob")
    page = await browser.get(FEDERATION)
    assert "2 people of 2 have nothing to sign in with" in page.words
    assert f"{FEDERATION}/readiness" in page.actions
    await holder(system, ada)
    assert "1 person of 2 has nothing to sign in with" in (await browser.get(FEDERATION)).words
    await holder(system, bob)
    page = await browser.get(FEDERATION)
    assert f"Everybody in {DOMAIN} has an authenticator that counts." in page.words
    assert f"{FEDERATION}/readiness" not in page.actions, "there is nobody to see"


async def test_a_page_that_asks_by_itself_keeps_no_session_open(system: AdminSystem) -> None:
    browser = await signed_in(system)
    assert (await browser.get(FEDERATION)).status == 200
    for _ in range(29):
        system.world.clock.advance(60)
        assert (await browser.get(f"{FEDERATION}/state")).status == 200
    system.world.clock.advance(60)
    assert (await browser.get(f"{FEDERATION}/state")).status == 303


@pytest.mark.parametrize("path", ["", "/state", "/readiness", "/script", "/back-out"])
async def test_another_tenants_domain_is_not_there(system: AdminSystem, path: str) -> None:
    await announce(system)
    browser = await signed_in(system)
    for domain in ("fabrikam.example", "nowhere.example", "%3Cx%3E", "A" * 300):
        assert (await browser.get(f"{BASE}/federation/{domain}{path}")).status == 404


# --- readiness and the script -----------------------------------------------------------------------------------


async def test_the_script_is_shown_to_whoever_types_how_many_are_locked_out(system: AdminSystem) -> None:
    await announce(system)
    ada, bob = await system.account("ada"), await system.account("bob")
    browser = await signed_in(system)
    asked = await browser.get(f"{FEDERATION}/script")
    assert "2 of 2 in contoso.example" in asked.words
    assert "Ada Lovelace" in (await browser.get(f"{FEDERATION}/readiness")).words
    for typed in ("", "1", "0", "two", "2.0"):
        wrong = await script_page(browser, typed)
        assert wrong.status == 400
        assert "who would be locked out now: 2." in wrong.words
    assert await taken(system) == []
    await holder(system, ada)
    assert (await script_page(browser, "2")).status == 400, "the number is today's"
    shown = await script_page(browser, " 1 ")
    federation = await handlers.federation(system.deps, CONTOSO, DOMAIN)
    code = shown.soup.find("code", id="script")
    assert code is not None
    assert code.get_text() == federation_script(federation)
    assert f"{FEDERATION}/back-out" in shown.actions, "its twin is beside it"
    saved = await browser.press(shown, f"{FEDERATION}/script.ps1")
    assert saved.text == script_octets(federation_script(federation)).decode()
    assert saved.headers["Content-Disposition"] == 'attachment; filename="federate-contoso.example.ps1"'
    assert saved.headers["Content-Type"] == "application/octet-stream"
    records = await taken(system)
    assert sorted(each["step"] for each in records) == ["downloaded", "shown"]
    assert all((each["script"], each["without"]) == ("federate", "1") for each in records)
    changes = await browser.get(f"{BASE}/changes")
    assert "Federation script shown" in changes.words
    assert "Federation script downloaded" in changes.words
    assert "Federation changed" not in changes.words
    await holder(system, bob)
    nobody = await script_page(browser)
    assert nobody.status == 200
    assert (await browser.press(shown, f"{FEDERATION}/script.ps1")).status == 200


async def test_a_download_after_another_phone_was_lost_is_refused(system: AdminSystem) -> None:
    await announce(system)
    ada = await system.account("ada")
    await holder(system, ada)
    browser = await signed_in(system)
    shown = await script_page(browser)
    await system.account("bob")
    refused = await browser.press(shown, f"{FEDERATION}/script.ps1")
    assert refused.status == 400
    assert "who would be locked out now: 1." in refused.text


async def test_the_twin_is_one_page_further_and_needs_no_number(system: AdminSystem) -> None:
    await announce(system)
    await system.account("ada")
    browser = await signed_in(system)
    page = await browser.get(f"{FEDERATION}/back-out")
    shown = await browser.press(page, f"{FEDERATION}/back-out")
    federation = await handlers.federation(system.deps, CONTOSO, DOMAIN)
    code = shown.soup.find("code", id="script")
    assert code is not None
    assert code.get_text() == back_out_script(federation)
    saved = await browser.press(shown, f"{FEDERATION}/back-out.ps1")
    assert saved.headers["Content-Disposition"] == 'attachment; filename="back-out-contoso.example.ps1"'
    records = sorted(await taken(system), key=lambda each: each["step"])
    assert records == [{"script": "back-out", "step": each} for each in ("downloaded", "shown")]


async def test_there_is_no_script_before_the_certificate_is_known(system: AdminSystem) -> None:
    browser = await signed_in(system)
    assert f"{FEDERATION}/script" not in (await browser.get(FEDERATION)).actions
    refused = await script_page(browser)
    assert refused.status == 503
    assert await taken(system) == []


@pytest.mark.parametrize("role", READERS)
async def test_only_owners_get_the_scripts(system: AdminSystem, role: Role) -> None:
    await announce(system)
    browser = await signed_in(system, role)
    page = await browser.get(FEDERATION)
    assert page.status == 200
    assert "Only owners can get the scripts." in page.words
    assert not {f"{FEDERATION}/script", f"{FEDERATION}/back-out"} & page.actions
    for path in ("script", "back-out"):
        assert (await browser.get(f"{FEDERATION}/{path}")).status == 403
        for posted in (path, f"{path}.ps1"):
            assert (await browser.post(f"{FEDERATION}/{posted}", {"csrf": browser.csrf})).status == 403
    assert await taken(system) == []


@pytest.mark.parametrize("role", OTHERS)
@pytest.mark.parametrize("path", ["applications", "federation", f"federation/{DOMAIN}"])
async def test_desks_do_not_see_them(system: AdminSystem, role: Role, path: str) -> None:
    browser = await signed_in(system, role)
    assert (await browser.get(f"{BASE}/{path}")).status == 403


async def test_the_script_asks_for_the_passkey_again_after_five_minutes(system: AdminSystem) -> None:
    await announce(system)
    browser = await signed_in(system)
    shown = await browser.get(f"{FEDERATION}/script")
    system.world.clock.advance(STEP_UP.total_seconds())
    for answer in (
        await browser.get(f"{FEDERATION}/script"),
        await browser.press(shown, f"{FEDERATION}/script"),
        await browser.post(f"{FEDERATION}/script.ps1", {"csrf": browser.csrf}),
    ):
        assert answer.status == 303
        assert answer.location.startswith("/step-up?to=")
        assert answer.location.endswith("%2Fscript")
    assert await taken(system) == []


async def test_everybody_who_would_be_locked_out_is_on_some_page(system: AdminSystem) -> None:
    new = (
        handlers.NewAccount(f"p{n:03}@contoso.example", "P", f"N{n:03}", f"p{n}@home.example")
        for n in range(205)
    )
    await handlers.create_accounts(system.deps, CONTOSO, new)
    browser = await signed_in(system)
    seen: list[str] = []
    path = f"{FEDERATION}/readiness"
    while path:
        page = await browser.get(path)
        seen += [each.get_text() for each in page.soup.select("td .difference")]
        following = page.soup.find("a", rel="next")
        path = str(following["href"]) if following else ""
    assert seen == [f"p{n:03}@contoso.example" for n in range(205)]
    for wrong in ("x", "-1", "%00", "9" * 20):
        assert (await browser.get(f"{FEDERATION}/readiness?after={wrong}")).status == 400


async def test_the_pages_speak_french(system: AdminSystem) -> None:
    await announce(system)
    await handlers.add_application(system.deps, CONTOSO)
    browser = await signed_in(system)
    browser.lang = "fr"
    assert "Fédération" in (await browser.get(FEDERATION)).text
    assert "Empreinte SHA-256" in (await browser.get(FEDERATION)).words
    assert base64.b64decode(CERTIFICATE)
