"""docs/flows/console-sign-in.md, step by step, without sockets."""

from datetime import timedelta

import pytest

from services.admin.domain.changes import Change
from services.admin.domain.roles import Role
from tests.admin.conftest import CONTOSO, FABRIKAM, AdminSystem, open_system
from tests.admin.console import ConsoleBrowser, fields_of, link_for, signed_in
from tests.world import make_system


@pytest.fixture
async def system(tmp_path: object) -> AdminSystem:
    return await open_system(make_system(tmp_path))  # type: ignore[arg-type]


async def changes(system: AdminSystem, tenant: str = CONTOSO) -> list[Change]:
    return list(await system.deps.changes.page(tenant, before=None, limit=50))


async def test_from_the_link_of_the_first_owner_to_a_second_administrator(system: AdminSystem) -> None:
    # 1: the operator's link; only a digest of its secret is kept
    link = await link_for(system)
    secret = link.url.partition("#")[2]
    assert link.url.startswith(f"http://console.localhost:8365/join/{CONTOSO}/{link.invitation.id}#")
    assert secret not in str(system.world.documents("admin", "teams"))

    # 2: the page says what the link is for, and opening it changes nothing
    browser = ConsoleBrowser(system)
    before = system.world.documents("admin", "teams")
    for _ in range(3):
        page = await browser.get(f"/join/{CONTOSO}/{link.invitation.id}")
        assert page.status == 200
        assert "Administer Contoso" in page.words
        assert "Your role: Owner" in page.words
    assert system.world.documents("admin", "teams") == before
    assert browser.cookies == {}

    # 3 to 5: a passkey, and the first session
    joined = await browser.join(link.url)
    assert (joined.status, joined.location) == (303, f"/t/{CONTOSO}")
    cookie = browser.cookies["__Host-console"]
    assert cookie not in str(system.world.documents("admin", "console_sessions"))
    again = await ConsoleBrowser(system).join(link.url)
    assert again.status == 410
    assert "This link no longer works" in again.words

    # 8: the pages of the tenant
    page = await browser.get(f"/t/{CONTOSO}")
    assert "Welcome. You're signed in." in page.words
    assert "Welcome" not in (await browser.get(f"/t/{CONTOSO}")).words  # said once
    people = await browser.get(f"/t/{CONTOSO}/people")
    assert "There is nobody yet." in people.words

    # 6, 7: signed out and in again by the same passkey
    await browser.press(page, "/sign-out")
    assert "__Host-console" not in browser.cookies
    asked = await browser.get(f"/t/{CONTOSO}/people?q=ada")
    assert asked.location == f"/sign-in?to=%2Ft%2F{CONTOSO}%2Fpeople%3Fq%3Dada"
    signed = await browser.sign_in(to=f"/t/{CONTOSO}/people%3Fq%3Dada")
    assert (signed.status, signed.location) == (303, f"/t/{CONTOSO}/people?q=ada")
    assert browser.cookies["__Host-console"] != cookie

    # 9: the passkey's use is too long ago for an invitation
    system.world.clock.advance(301)
    asked = await browser.get(f"/t/{CONTOSO}/administrators/new")
    assert asked.location == f"/step-up?to=%2Ft%2F{CONTOSO}%2Fadministrators%2Fnew"
    back = await browser.step_up(f"/t/{CONTOSO}/administrators/new")
    assert back.location == f"/t/{CONTOSO}/administrators/new"

    # 1, by an owner: the link goes by mail and stands on no page
    form = await browser.get(back.location)
    sent = await browser.press(
        form, back.location, name="Hugo Help", email="hugo@admins.example", role="help_desk"
    )
    assert sent.location == f"/t/{CONTOSO}/administrators"
    page = await browser.get(sent.location)
    assert "Hugo Help" in page.words
    assert "/join/" not in page.text
    await system.world.settle()
    mails = [each for each in system.world.bus.sent if each.type == "notify.mail.send.v1"]
    assert len(mails) == 1

    # 11: recorded, without the address
    invited = (await changes(system))[0]
    assert (invited.act, invited.name, invited.outcome) == ("administrator.invite", "Olga Owner", "done")
    assert (invited.subject, invited.after) == ("Hugo Help", {"role": "help_desk"})
    assert "hugo@" not in str(invited)


async def test_a_changed_role_and_a_removal_count_at_the_next_request(system: AdminSystem) -> None:  # 8, 10
    owner = await signed_in(system)
    help_desk = await signed_in(system, Role.HELP_DESK, "Hugo Help")
    team = await system.deps.teams.get(CONTOSO)
    hugo = next(each.administrator for each in team.members if each.role is Role.HELP_DESK)
    path = f"/t/{CONTOSO}/administrators/{hugo}"
    assert (await help_desk.get(f"/t/{CONTOSO}/people/new")).status == 403

    changed = await owner.press(await owner.get(f"{path}/role"), f"{path}/role", role="administrator")
    assert changed.status == 303
    assert (await help_desk.get(f"/t/{CONTOSO}/people/new")).status == 200

    system.world.clock.advance(1)
    await owner.press(await owner.get(f"{path}/remove"), f"{path}/remove")
    assert (await help_desk.get(f"/t/{CONTOSO}/people")).status == 404
    assert "no role in any organisation" in (await help_desk.get("/")).words
    made = [each for each in await changes(system) if each.name == "Olga Owner" and each.before]
    acts = [(each.act, dict(each.before), dict(each.after)) for each in made]
    assert acts == [
        ("administrator.remove", {"role": "administrator"}, {}),
        ("administrator.change_role", {"role": "help_desk"}, {"role": "administrator"}),
    ]


async def test_an_administrator_joins_a_second_tenant_and_two_tabs_show_two_tenants(
    system: AdminSystem,
) -> None:  # 4
    browser = await signed_in(system)
    link = await link_for(system, Role.AUDITOR, tenant=FABRIKAM)
    path, _, secret = link.url.removeprefix("http://console.localhost:8365").partition("#")
    page = await browser.get(path)
    fields = fields_of(page.soup.find_all("form", action=path)[0])
    assert "Join as Olga Owner" in page.words
    joined = await browser.post(path, {**fields, "secret": secret})
    assert joined.location == f"/t/{FABRIKAM}"
    assert (await browser.get(f"/t/{CONTOSO}/people/new")).status == 200
    assert (await browser.get(f"/t/{FABRIKAM}/people/new")).status == 403  # an auditor there
    assert (await browser.get(f"/t/{FABRIKAM}/people")).status == 200
    choice = await browser.get("/organisations?from=people")
    assert {f"/t/{CONTOSO}/people", f"/t/{FABRIKAM}/people"} <= choice.actions


@pytest.mark.parametrize(
    ("pauses", "over"), [((1799,), False), ((1801,), True), ((1700,) * 16, False), ((1700,) * 17, True)]
)
async def test_a_session_ends_after_30_minutes_without_use_and_after_8_hours(
    system: AdminSystem, pauses: tuple[int, ...], over: bool
) -> None:  # 8
    browser = await signed_in(system)
    for seconds in pauses:
        system.world.clock.advance(seconds)
        answer = await browser.get(f"/t/{CONTOSO}/people")
    assert (answer.status == 303) is over


async def test_passkeys_are_added_after_a_step_up_and_a_removed_one_ends_its_sessions(
    system: AdminSystem,
) -> None:
    first = await signed_in(system)
    assert "You have only one passkey" in (await first.get(f"/t/{CONTOSO}/people")).words
    system.world.clock.advance(400)
    assert "/step-up?to=/account" in (await first.get("/account")).actions
    await first.step_up("/account")
    page = await first.get("/account")
    old = first.key
    made = first.registration(page.passkey_form(), "unused")
    added = await first.post(
        "/account/passkeys", {**page.form("/account/passkeys"), **made, "name": "Blue key"}
    )
    assert added.location == "/account"

    second = ConsoleBrowser(system, key=first.key)  # the new passkey, elsewhere
    assert (await second.sign_in()).status == 303
    assert first.key is not None
    assert old is not None
    system.world.clock.advance(timedelta(minutes=1).total_seconds())
    path = f"/account/passkeys/{old.credential_id}/remove"
    assert (await second.press(await second.get(path), path)).location == "/account"
    assert (await first.get("/account")).status == 303  # the session that it had opened is over
    assert (await second.get("/account")).status == 200
    last = f"/account/passkeys/{first.key.credential_id}/remove"
    refused = await second.press(await second.get(last), last)
    assert refused.status == 409
    assert "last passkey" in refused.words


async def test_sessions_are_seen_and_ended(system: AdminSystem) -> None:
    here = await signed_in(system)
    there, elsewhere = ConsoleBrowser(system, key=here.key), ConsoleBrowser(system)
    await there.sign_in()
    elsewhere.key = there.key
    await elsewhere.sign_in()
    page = await here.get("/account")
    ends = [each for each in page.actions if each.startswith("/account/sessions/") and each.endswith("/end")]
    assert len(ends) == 2
    await here.press(page, ends[0])
    assert sorted([(await there.get("/account")).status, (await elsewhere.get("/account")).status]) == [
        200,
        303,
    ]
    await here.press(page, "/account/sessions/end-others")
    assert (await elsewhere.get("/account")).status == (await there.get("/account")).status == 303
    assert (await here.get("/account")).status == 200
