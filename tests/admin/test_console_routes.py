"""Every address of the console, from its own table: strangers, other tenants, forged posts, roles that are too small.

None is left out: what the table has, these tests ask for. An act that a role may not do changes nothing.
"""

import re

import pytest

from services.admin.domain.roles import RULES, Act, Role
from services.admin.routes import ROUTES, OwnRoute, PublicRoute, TenantRoute
from tests.admin.conftest import CONTOSO, FABRIKAM, AdminSystem
from tests.admin.console import Answer, ConsoleBrowser, link_for, signed_in

TENANT_ROUTES = [each for each in ROUTES if isinstance(each, TenantRoute)]
OWN_ROUTES = [each for each in ROUTES if isinstance(each, OwnRoute)]
GUARDED: list[TenantRoute | OwnRoute] = [*TENANT_ROUTES, *OWN_ROUTES]


def named(route: TenantRoute | OwnRoute | PublicRoute) -> str:
    return f"{route.method} {route.path}"


def filled(path: str, **values: str) -> str:
    """The path with those values in it, and with an id of nothing where there is none."""
    return re.sub(r"\{(\w+)\}", lambda found: values.get(found[1], "AAAAAAAAAAAAAAAAAAAAAA"), path)


def state(system: AdminSystem) -> dict[str, str]:
    """Everything that a console's act could change. Sessions are written at each request."""
    names = ("accounts", "invitations", "teams", "tenants", "errands", "changes", "authenticators")
    return {
        name: str(system.world.documents("admin", name))
        for name in (*names, "checklists", "directory_settings")
    }


async def ask(
    browser: ConsoleBrowser, route: TenantRoute | OwnRoute, path: str, csrf: str | None = None
) -> Answer:
    if route.method == "GET":
        return await browser.get(path)
    return await browser.post(path, {} if csrf is None else {"csrf": csrf})


def test_the_application_has_the_tables_addresses_and_no_others(system: AdminSystem) -> None:
    ours = {(each.method, each.path) for each in ROUTES}
    assert len(ours) == len(ROUTES)
    served = {
        (route.method, route.resource.canonical) for route in system.web.router.routes() if route.resource
    }
    plus_head = {("HEAD", path) for method, path in ours if method == "GET"}
    assert served - plus_head == ours | {
        (method, path) for method in ("GET", "HEAD") for path in ("/healthz", "/readyz")
    }


def test_every_address_of_a_tenant_names_it_and_an_act_with_a_rule() -> None:
    for route in TENANT_ROUTES:
        assert route.path == "/t/{tenant}" or route.path.startswith("/t/{tenant}/"), route.path
        assert route.act in RULES
        assert not route.form or route.form in {each.path for each in TENANT_ROUTES if each.method == "GET"}
    assert set(RULES) == set(Act)
    assert not [
        each for each in (*OWN_ROUTES, *ROUTES) if "{tenant}" in each.path and isinstance(each, OwnRoute)
    ]


@pytest.mark.parametrize("cookie", ["", "x", "A" * 43])
async def test_nobody_in_no_session_gets_further_than_the_sign_in(system: AdminSystem, cookie: str) -> None:
    ada = await system.account()
    before = state(system)
    for route in GUARDED:
        browser = ConsoleBrowser(system, cookies={"__Host-console": cookie} if cookie else {})
        answer = await ask(browser, route, filled(route.path, tenant=CONTOSO, account=ada.id))
        if route.method == "GET":
            assert answer.status == 303, named(route)
            assert answer.location.startswith("/sign-in"), named(route)
        else:
            assert answer.status == 401, named(route)
            assert "Your session has ended. Nothing was changed." in answer.words, named(route)
        assert state(system) == before, named(route)


async def test_another_tenants_administrator_gets_the_answer_of_a_tenant_that_does_not_exist(
    system: AdminSystem,
) -> None:
    ada = await system.account()
    owner = await signed_in(system)
    team = await system.deps.teams.get(CONTOSO)
    stranger = await signed_in(system, Role.OWNER, "Fred Fabrikam", FABRIKAM)
    values = {"account": ada.id, "administrator": team.members[0].administrator}
    before = state(system)
    for route in TENANT_ROUTES:
        theirs = await ask(stranger, route, filled(route.path, tenant=CONTOSO, **values), stranger.csrf)
        nobodys = await ask(stranger, route, filled(route.path, tenant="nowhere", **values), stranger.csrf)
        assert theirs.status == nobodys.status == 404, named(route)
        assert reference_removed(theirs.text) == reference_removed(nobodys.text), named(route)
        assert state(system) == before, named(route)
    assert (await owner.get(f"/t/{CONTOSO}/people")).status == 200


async def test_ids_of_another_tenant_are_nothing_in_ones_own(system: AdminSystem) -> None:
    ada = await system.account()
    await signed_in(system)
    link = await link_for(system, name="Next One")
    team = await system.deps.teams.get(CONTOSO)
    stranger = await signed_in(system, Role.OWNER, "Fred Fabrikam", FABRIKAM)
    values = {
        "account": ada.id,
        "administrator": team.members[0].administrator,
        "invitation": link.invitation.id,
    }
    before = state(system)
    crossing = [each for each in TENANT_ROUTES if each.path.count("{") > 1]
    assert len(crossing) > 15
    for route in crossing:
        crossed = await ask(stranger, route, filled(route.path, tenant=FABRIKAM, **values), stranger.csrf)
        assert crossed.status in (400, 404, 409), (named(route), crossed.words)
        assert state(system) == before, named(route)


def reference_removed(page: str) -> str:
    return re.sub(r'<code class="reference">[^<]*</code>|nonce="[^"]*"', "", page)


async def test_a_post_without_this_sessions_token_or_from_elsewhere_does_nothing(system: AdminSystem) -> None:
    ada = await system.account()
    owner, other = await signed_in(system), await signed_in(system, Role.OWNER, "Otto Owner")
    before = state(system)
    for route in (each for each in GUARDED if each.method == "POST"):
        path = filled(route.path, tenant=CONTOSO, account=ada.id)
        for csrf in (None, "", "x", other.csrf, owner.csrf[:-1]):
            assert (await ask(owner, route, path, csrf)).status == 403, (named(route), csrf)
        for headers in (
            {"Sec-Fetch-Site": "cross-site"},
            {"Sec-Fetch-Site": "same-site"},
            {"Origin": "https://evil.example"},
            {"Origin": "http://id.localhost:8365"},
        ):
            assert (await owner.post(path, {"csrf": owner.csrf}, **headers)).status == 403, named(route)
        assert state(system) == before, named(route)
    assert (await owner.get("/account")).status == 200  # not even signed out


@pytest.mark.parametrize("role", Role)
async def test_a_role_that_is_too_small_is_refused_and_changes_nothing(
    system: AdminSystem, role: Role
) -> None:
    ada = await system.account()
    small = await signed_in(system, role, "Sam Small")
    before = state(system)
    smaller = [each for each in TENANT_ROUTES if role not in RULES[each.act].roles]
    assert bool(smaller) is (role is not Role.OWNER)
    for route in smaller:
        answer = await ask(small, route, filled(route.path, tenant=CONTOSO, account=ada.id), small.csrf)
        assert answer.status == 403, named(route)
        assert "Your role doesn't allow that." in answer.words, named(route)
        assert state(system) == before, named(route)


async def test_what_asks_for_a_recent_passkey_leads_to_it_and_does_nothing_before(
    system: AdminSystem,
) -> None:
    owner = await signed_in(system)
    system.world.clock.advance(300)
    before = state(system)
    stepped_up = [each for each in TENANT_ROUTES if RULES[each.act].step_up]
    assert stepped_up
    for route in stepped_up:
        answer = await ask(owner, route, filled(route.path, tenant=CONTOSO), owner.csrf)
        assert answer.status == 303, named(route)
        assert answer.location.startswith(f"/step-up?to=%2Ft%2F{CONTOSO}%2F"), named(route)
        assert state(system) == before, named(route)


async def test_a_removed_administrator_is_out_at_the_next_request(system: AdminSystem) -> None:
    ada = await system.account()
    owner, gone = await signed_in(system), await signed_in(system, Role.OWNER, "Gone Girl")
    team = await system.deps.teams.get(CONTOSO)
    administrator = next(each.administrator for each in team.members if each.name == "Gone Girl")
    path = f"/t/{CONTOSO}/administrators/{administrator}/remove"
    assert (await owner.press(await owner.get(path), path)).status == 303
    before = state(system)
    for route in TENANT_ROUTES:
        answer = await ask(gone, route, filled(route.path, tenant=CONTOSO, account=ada.id), gone.csrf)
        assert answer.status == 404, named(route)
        assert state(system) == before, named(route)


def guarded_gets() -> list[TenantRoute | OwnRoute]:
    return [each for each in GUARDED if each.method == "GET"]


@pytest.mark.long
async def test_no_page_of_the_console_is_kept_or_framed_and_none_has_a_script_in_it(
    system: AdminSystem,
) -> None:
    await system.account()
    owner = await signed_in(system)
    link = await link_for(system, name="Next One")
    pages = ["/sign-in", link.url.partition("#")[0].removeprefix("http://console.localhost:8365")]
    paths = [*(filled(each.path, tenant=CONTOSO) for each in guarded_gets()), *pages]
    for path in paths:
        answer = await owner.get(path)
        assert answer.status in (200, 303, 400, 404), (path, answer.status)
        for script in answer.soup.find_all("script"):
            assert script.get("src"), path
            assert not script.text.strip(), path
        assert not re.search(r' (on\w+|style)="', answer.text), path
