"""What strangers, late-comers, small roles and two at once try in the console (docs/flows/console-sign-in.md)."""

import asyncio
from dataclasses import replace

import pytest

from deploy.standins.phone.authenticator import UP, Tamper, make_private_key
from services.admin import handlers
from services.admin.domain.challenges import check_challenge, make_challenge
from services.admin.domain.roles import Role
from services.admin.handlers import console_people
from services.admin.handlers.console_access import visit
from services.admin.handlers.console_team import (
    NewAdministrator,
    change_role,
    end_what_a_backup_calls_open,
    invite_administrator,
    remove_administrator,
    withdraw_invitation,
)
from services.admin.routes.guard import local_path
from shared.contracts.admin import AccountStatus
from shared.errors import Conflict, Forbidden
from tests.admin.conftest import CONTOSO, FABRIKAM, AdminSystem
from tests.admin.console import ConsoleBrowser, link_for, signed_in
from tests.world import START

EVIL = "\"'><script>alert(1)</script>&amp;{{7*7}}"

# one-time links


async def test_a_link_is_good_for_ten_minutes_once(system: AdminSystem) -> None:
    link = await link_for(system)
    system.world.clock.advance(600)
    late = await ConsoleBrowser(system).join(link.url)
    assert late.status == 410
    assert (await system.deps.teams.get(CONTOSO)).members == ()


async def test_a_link_with_a_wrong_secret_makes_nobody_an_administrator(system: AdminSystem) -> None:
    link = await link_for(system)
    path = link.url.partition("#")[0]
    for secret in ("", "A" * 43, "é", link.url.partition("#")[2][:-1]):
        answer = await ConsoleBrowser(system).join(f"{path}#{secret}")
        assert answer.status == 410
    assert system.world.documents("admin", "administrators") == []
    assert (await ConsoleBrowser(system).join(link.url)).status == 303  # and it is still good for its holder


async def test_two_who_use_one_link_at_once_are_one_administrator(system: AdminSystem) -> None:
    link = await link_for(system)
    answers = await asyncio.gather(*(ConsoleBrowser(system).join(link.url) for _ in range(5)))
    assert sorted(each.status for each in answers) == [303, 410, 410, 410, 410]
    assert len((await system.deps.teams.get(CONTOSO)).members) == 1
    assert len(system.world.documents("admin", "administrators")) == 1


async def test_used_expired_and_unknown_links_get_the_same_answer(system: AdminSystem) -> None:
    link = await link_for(system)
    await ConsoleBrowser(system).join(link.url)
    used = await ConsoleBrowser(system).get(f"/join/{CONTOSO}/{link.invitation.id}")
    for path in (f"/join/{CONTOSO}/nothing", f"/join/nowhere/{link.invitation.id}", f"/join/{FABRIKAM}/x"):
        answer = await ConsoleBrowser(system).get(path)
        assert (answer.status, answer.words.rpartition(" ")[0]) == (410, used.words.rpartition(" ")[0])


async def test_a_new_link_to_the_same_address_ends_the_one_before(system: AdminSystem) -> None:
    first, second = await link_for(system), await link_for(system)
    assert (await ConsoleBrowser(system).join(first.url)).status == 410
    assert (await ConsoleBrowser(system).join(second.url)).status == 303


# passkeys

TAMPERED = {
    "no user verification": Tamper(flags=UP),
    "another origin": Tamper(origin="http://id.localhost:8365"),
    "another RP ID": Tamper(rp_id="id.localhost"),
    "another challenge": Tamper(challenge=bytes(72)),
    "somebody's frame": Tamper(cross_origin=True),
    "another kind": Tamper(type="webauthn.other"),
}


@pytest.mark.parametrize("lie", TAMPERED.values(), ids=TAMPERED)
async def test_a_registration_that_lies_makes_nobody(system: AdminSystem, lie: Tamper) -> None:
    link = await link_for(system)
    answer = await ConsoleBrowser(system).join(link.url, lie)
    assert answer.status == 403
    assert system.world.documents("admin", "administrators") == []


@pytest.mark.parametrize(
    "lie", [*TAMPERED.values(), Tamper(sign_count=1)], ids=[*TAMPERED, "a counter that stands still"]
)
async def test_an_assertion_that_lies_opens_nothing(system: AdminSystem, lie: Tamper) -> None:
    owner = await signed_in(system)
    browser = ConsoleBrowser(system, key=owner.key)
    answer = await browser.sign_in(tamper=lie)
    assert answer.status == 403
    assert browser.cookies == {}


async def test_another_key_under_the_same_id_opens_nothing(system: AdminSystem) -> None:
    owner = await signed_in(system)
    assert owner.key is not None
    browser = ConsoleBrowser(system, key=owner.key)
    answer = await browser.sign_in(tamper=Tamper(signing_key=make_private_key("ES256", system.world.ids)))
    assert answer.status == 403
    assert "That passkey isn't accepted here." in answer.words


async def test_unknown_and_refused_passkeys_get_the_same_answer(system: AdminSystem) -> None:
    owner = await signed_in(system)
    assert owner.key is not None
    refused = await ConsoleBrowser(system, key=owner.key).sign_in(
        tamper=Tamper(origin="https://evil.example")
    )
    unknown = await ConsoleBrowser(system, key=replace(owner.key, credential_id="AAAA")).sign_in()
    assert (refused.status, refused.words) == (unknown.status, unknown.words)


async def test_an_answer_is_good_once_and_for_five_minutes(system: AdminSystem) -> None:
    owner = await signed_in(system)
    browser = ConsoleBrowser(system, key=owner.key)
    page = await browser.get("/sign-in")
    fields = {**page.form("/sign-in"), **browser.assertion(page.passkey_form())}
    assert (await browser.post("/sign-in", fields)).status == 303
    assert (await ConsoleBrowser(system).post("/sign-in", fields)).status == 403
    late = ConsoleBrowser(system, key=browser.key)
    page = await late.get("/sign-in")
    system.world.clock.advance(300)
    fields = {**page.form("/sign-in"), **late.assertion(page.passkey_form())}
    assert "That took too long" in (await late.post("/sign-in", fields)).words


async def test_an_answer_for_a_sign_in_steps_nothing_up_and_one_for_another_session_neither(
    system: AdminSystem,
) -> None:
    owner = await signed_in(system)
    second = ConsoleBrowser(system, key=owner.key)
    await second.sign_in()
    owner.key = second.key
    system.world.clock.advance(301)
    stranger = ConsoleBrowser(system, key=owner.key)
    form = (await stranger.get("/sign-in")).passkey_form()
    token = (await owner.get("/step-up")).form("/step-up")
    assert (await owner.post("/step-up", {**token, **owner.assertion(form)})).status == 403
    other = (await second.get("/step-up")).passkey_form()
    assert (await owner.post("/step-up", {**token, **owner.assertion(other)})).status == 403
    assert (await owner.get(f"/t/{CONTOSO}/administrators/new")).status == 303  # still asked for it


async def test_another_administrators_passkey_steps_nothing_up(system: AdminSystem) -> None:
    owner, other = await signed_in(system), await signed_in(system, Role.OWNER, "Otto Owner")
    system.world.clock.advance(301)
    page = await owner.get("/step-up")
    made = other.assertion(page.passkey_form())
    assert (await owner.post("/step-up", {**page.form("/step-up"), **made})).status == 403


@pytest.mark.parametrize("field", ["credential_id", "client_data_json", "authenticator_data", "signature"])
@pytest.mark.parametrize("value", ["", "é", "A" * 20_000, "AAA=", "bm90IGpzb24"])
async def test_malformed_answers_get_a_page_and_never_a_fault(
    system: AdminSystem, field: str, value: str
) -> None:
    owner = await signed_in(system)
    browser = ConsoleBrowser(system, key=owner.key)
    page = await browser.get("/sign-in")
    fields = {**page.form("/sign-in"), **browser.assertion(page.passkey_form()), field: value}
    assert (await browser.post("/sign-in", fields)).status == 403


def test_a_challenge_is_for_one_purpose_and_cannot_be_stretched() -> None:
    made = make_challenge(b"k" * 32, "sign-in", bytes(16), START)
    check_challenge([b"k" * 32], "sign-in", made, START)
    later = made[:16] + (int.from_bytes(made[16:24], "big") + 3600).to_bytes(8, "big") + made[24:]
    for key, purpose, challenge in (
        (b"k" * 32, "step-up", made),
        (b"x" * 32, "sign-in", made),
        (b"k" * 32, "sign-in", later),
        (b"k" * 32, "sign-in", made[:-1]),
        (b"k" * 32, "sign-in", b""),
    ):
        with pytest.raises(Forbidden):
            check_challenge([key], purpose, challenge, START)


# sessions


async def test_a_planted_session_does_not_survive_the_sign_in(system: AdminSystem) -> None:
    attacker = await signed_in(system, Role.READ_ONLY, "Eve Evil")
    owner = await signed_in(system)
    victim = ConsoleBrowser(system, cookies=dict(attacker.cookies), key=owner.key)
    page = await ConsoleBrowser(system).get("/sign-in")
    made = victim.assertion(page.passkey_form())
    await victim.post("/sign-in", {**page.form("/sign-in"), **made})
    assert victim.cookies["__Host-console"] != attacker.cookies["__Host-console"]
    assert (await attacker.get("/account")).status == 303


async def test_a_clock_that_was_set_back_revives_no_session_and_no_step_up(system: AdminSystem) -> None:
    owner = await signed_in(system)
    system.world.clock.advance(-10)
    assert await visit(system.deps, owner.cookies["__Host-console"]) is None


@pytest.mark.parametrize(
    "to",
    [
        "//evil.example",
        "/\\evil.example",
        "https://evil.example",
        "/\tx",
        "evil",
        "",
        "/é",
        "/a b",
        "\\\\evil",
    ],
)
def test_a_way_back_leads_to_no_other_host(to: str) -> None:
    assert local_path(to) == "/"


async def test_a_backup_that_was_put_back_revives_no_session_and_no_link(system: AdminSystem) -> None:
    owner = await signed_in(system)
    links = [await link_for(system, name="Next One"), await link_for(system, tenant=FABRIKAM)]
    await end_what_a_backup_calls_open(system.deps)
    assert (await owner.get("/account")).status == 303
    for link in links:
        assert (await ConsoleBrowser(system).join(link.url)).status == 410
    assert (await owner.sign_in()).status == 303


# roles and protected accounts


async def test_the_help_desk_invites_no_owner_again_and_not_itself(system: AdminSystem) -> None:
    olga = await system.account("olga")
    hugo = await system.account("hugo")
    ada = await system.account("ada")
    await signed_in(system, Role.OWNER, "Olga Owner", upn=olga.upn)
    desk = await signed_in(system, Role.HELP_DESK, "Hugo Help", upn=hugo.upn)
    for account, sentence in ((olga, "an administrator's account"), (hugo, "your own account")):
        page = await desk.get(f"/t/{CONTOSO}/people/{account.id}")
        path = f"/t/{CONTOSO}/people/{account.id}/invite"
        assert path not in page.actions
        refused = await desk.post(path, {"csrf": desk.csrf})
        assert refused.status == 403
        assert sentence in refused.words
    done = await desk.post(f"/t/{CONTOSO}/people/{ada.id}/invite", {"csrf": desk.csrf})
    assert done.status == 303
    assert len(system.world.documents("admin", "invitations")) == 1


NAMES = {"first": "Ada", "last": "King", "email": "king@home.example"}


async def test_an_owner_does_to_their_own_account_nothing_that_needs_another(system: AdminSystem) -> None:
    olga = await system.account("olga")
    owner = await signed_in(system, Role.OWNER, "Olga Owner", upn=olga.upn)
    for act in ("invite", "suspend", "resume", "rename", "details", "remove", "unfreeze", "devices/x/remove"):
        fields = {"csrf": owner.csrf, "typed": olga.upn, "upn": "x@contoso.example", "version": "1", **NAMES}
        answer = await owner.post(f"/t/{CONTOSO}/people/{olga.id}/{act}", fields)
        assert answer.status == 403, act
    other = await signed_in(system, Role.OWNER, "Otto Owner")
    assert (await other.post(f"/t/{CONTOSO}/people/{olga.id}/invite", {"csrf": other.csrf})).status == 303


async def test_an_account_with_an_administrators_address_is_protected_without_being_named(
    system: AdminSystem,
) -> None:
    new = handlers.NewAccount("olga@contoso.example", "Olga", "Owner", "OLGA@admins.example")
    account = await handlers.create_account(system.deps, CONTOSO, new)
    await signed_in(system)
    desk = await signed_in(system, Role.HELP_DESK, "Hugo Help")
    assert (await desk.post(f"/t/{CONTOSO}/people/{account.id}/invite", {"csrf": desk.csrf})).status == 403


async def test_two_owners_who_remove_each_other_at_once_leave_one(system: AdminSystem) -> None:
    one, two = await signed_in(system), await signed_in(system, Role.OWNER, "Otto Owner")
    visitors = [await visit(system.deps, each.cookies["__Host-console"]) for each in (one, two)]
    actors = [each.actor(CONTOSO, "unknown") for each in visitors if each is not None]
    results = await asyncio.gather(
        remove_administrator(system.deps, actors[0], actors[1].administrator),
        remove_administrator(system.deps, actors[1], actors[0].administrator),
        return_exceptions=True,
    )
    assert sum(isinstance(each, Forbidden | Conflict) for each in results) == 1, results
    assert len((await system.deps.teams.get(CONTOSO)).owners) == 1


async def test_an_owner_who_is_removed_at_that_moment_leaves_no_invitation_behind(
    system: AdminSystem,
) -> None:
    one, two = await signed_in(system), await signed_in(system, Role.OWNER, "Otto Owner")
    visitors = [await visit(system.deps, each.cookies["__Host-console"]) for each in (one, two)]
    actors = [each.actor(CONTOSO, "unknown") for each in visitors if each is not None]
    await remove_administrator(system.deps, actors[0], actors[1].administrator)
    mine = NewAdministrator("Otto Again", "otto@elsewhere.example", Role.OWNER)
    with pytest.raises(Forbidden):
        await invite_administrator(system.deps, actors[1], mine)
    assert (await system.deps.teams.get(CONTOSO)).invitations == ()


async def test_an_owner_who_is_removed_at_that_moment_withdraws_nobodys_invitation(
    system: AdminSystem,
) -> None:
    one, two = await signed_in(system), await signed_in(system, Role.OWNER, "Otto Owner")
    visitors = [await visit(system.deps, each.cookies["__Host-console"]) for each in (one, two)]
    actors = [each.actor(CONTOSO, "unknown") for each in visitors if each is not None]
    new = NewAdministrator("Nora", "nora@elsewhere.example", Role.OWNER)
    invitation = await invite_administrator(system.deps, actors[0], new)
    await remove_administrator(system.deps, actors[0], actors[1].administrator)
    with pytest.raises(Forbidden):
        await withdraw_invitation(system.deps, actors[1], invitation.id)
    assert (await system.deps.teams.get(CONTOSO)).invitations == (invitation,)


@pytest.mark.parametrize("role", [None, Role.AUDITOR, Role.OWNER])
async def test_invitations_of_an_owner_who_is_one_no_longer_are_withdrawn(
    system: AdminSystem, role: Role | None
) -> None:
    one, two = await signed_in(system), await signed_in(system, Role.OWNER, "Otto Owner")
    visitors = [await visit(system.deps, each.cookies["__Host-console"]) for each in (one, two)]
    actors = [each.actor(CONTOSO, "unknown") for each in visitors if each is not None]
    for actor, name in zip(actors, ("mine", "theirs"), strict=True):
        new = NewAdministrator(name, f"{name}@elsewhere.example", Role.OWNER)
        await invite_administrator(system.deps, actor, new)
    if role is None:
        await remove_administrator(system.deps, actors[0], actors[1].administrator)
    else:
        await change_role(system.deps, actors[0], actors[1].administrator, role)
    open_ = [each.name for each in (await system.deps.teams.get(CONTOSO)).invitations]
    assert open_ == (["mine", "theirs"] if role is Role.OWNER else ["mine"])


async def test_what_was_typed_is_one_short_line_in_the_record(system: AdminSystem) -> None:
    owner = await signed_in(system)
    fields = {"name": "x\r\n\u202e" + "y" * 9000, "session_hours": "8", "first_method": "push"}
    refused = await owner.post(f"/t/{CONTOSO}/applications/new", {**fields, "csrf": owner.csrf})
    assert refused.status == 400
    subjects = [each["subject"] for each in system.world.documents("admin", "changes")]
    assert subjects
    assert max(map(len, subjects)) <= 120
    assert all(each.isprintable() for each in subjects)


async def test_nobody_changes_their_own_role_and_the_last_owner_stays(system: AdminSystem) -> None:
    owner = await signed_in(system)
    found = await visit(system.deps, owner.cookies["__Host-console"])
    assert found is not None
    actor = found.actor(CONTOSO, "unknown")
    for step in (
        change_role(system.deps, actor, actor.administrator, Role.READ_ONLY),
        remove_administrator(system.deps, actor, actor.administrator),
    ):
        with pytest.raises((Forbidden, Conflict)):
            await step
    assert (await owner.get(f"/t/{CONTOSO}/administrators")).status == 200


# people


async def test_names_with_markup_are_words_on_every_page(system: AdminSystem) -> None:
    owner = await signed_in(system)
    new = handlers.NewAccount("eve@contoso.example", EVIL[:64], "x" * 64, "eve@home.example")
    account = await handlers.create_account(system.deps, CONTOSO, new)
    for path in ("", f"/{account.id}", f"/{account.id}/suspend", f"/{account.id}/remove", "?q=%3Cscript%3E"):
        page = await owner.get(f"/t/{CONTOSO}/people{path}")
        assert page.status == 200
        assert "<script>alert" not in page.text
        assert "49" not in page.words


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("first", "x" * 65),
        ("last", "\u202eevil"),
        ("upn", "no spaces@contoso.example"),
        ("upn", "ada@elsewhere.example"),
        ("email", "nothing"),
        ("email", "a\r\nBcc: b@c.example@d.example"),
        ("upn", ""),
    ],
)
async def test_what_is_typed_wrong_comes_back_with_the_reason_at_its_field(
    system: AdminSystem, field: str, value: str
) -> None:
    owner = await signed_in(system)
    good = {"first": "Ada", "last": "Lovelace", "upn": "ada", "email": "ada@home.example", "invite": "yes"}
    path = f"/t/{CONTOSO}/people/new"
    answer = await owner.post(path, {**good, field: value, "csrf": owner.csrf})
    assert answer.status == 400
    assert answer.soup.find("a", href=f"#{field}")
    assert answer.soup.find(id=f"{field}-error")
    title = answer.soup.title
    assert title is not None
    assert title.text.startswith("Error:")
    assert system.world.documents("admin", "accounts") == []


async def test_all_wrong_fields_of_a_new_person_are_told_at_once_and_the_domains_named(
    system: AdminSystem,
) -> None:
    await handlers.add_domain(system.deps, CONTOSO, "contoso.net")
    owner = await signed_in(system)
    fields = {"first": "", "last": "x" * 65, "upn": "eve", "email": "nothing", "csrf": owner.csrf}
    answer = await owner.post(f"/t/{CONTOSO}/people/new", fields)
    assert answer.status == 400
    for name in ("first", "last", "upn", "email"):
        assert answer.soup.find(id=f"{name}-error"), name
    told = answer.soup.find(id="upn-error")
    assert told is not None
    assert "contoso.example, contoso.net" in told.text
    other = await owner.post(f"/t/{CONTOSO}/people/new", {**fields, "upn": "eve@elsewhere.example"})
    tenant = await system.deps.tenants.get(CONTOSO)
    assert tenant is not None
    assert f"elsewhere.example is not a domain of {tenant.name}" in other.words


async def test_the_account_page_leads_back_and_two_passkeys_have_two_names(system: AdminSystem) -> None:
    owner = await signed_in(system)
    page = await owner.get("/account")
    assert page.soup.select_one("nav.sections a") is not None
    assert "Badge desk" not in (await owner.get(f"/t/{CONTOSO}/administrators/new")).words
    found = await visit(system.deps, owner.cookies["__Host-console"])
    assert found is not None
    (there,) = found.administrator.passkeys
    assert found.administrator.default_name("Safari on macOS", START) == "Safari on macOS"
    named = found.administrator.default_name(there.name, START)
    assert named == f"{there.name}, {START:%Y-%m-%d %H:%M} UTC"


async def test_a_rename_of_what_somebody_else_changed_meanwhile_is_told_and_not_done(
    system: AdminSystem,
) -> None:
    ada = await system.account()
    owner = await signed_in(system)
    path = f"/t/{CONTOSO}/people/{ada.id}/rename"
    page = await owner.get(path)
    await handlers.rename(system.deps, CONTOSO, ada.id, "countess@contoso.example")
    answer = await owner.press(page, path, upn="lady@contoso.example")
    assert answer.status == 400
    assert "Somebody else has changed" in answer.words
    assert (await handlers.show_account(system.deps, CONTOSO, ada.id)).upn == "countess@contoso.example"
    assert (await owner.press(answer, path, upn="lady@contoso.example")).status == 303


async def test_removal_needs_the_user_name_typed_and_is_recorded(system: AdminSystem) -> None:
    ada = await system.account()
    owner = await signed_in(system)
    path = f"/t/{CONTOSO}/people/{ada.id}/remove"
    page = await owner.get(path)
    assert (await owner.press(page, path, typed="ada")).status == 400
    system.world.clock.advance(1)
    assert (await owner.press(page, path, typed=" ADA@contoso.example ")).status == 303
    assert (await handlers.show_account(system.deps, CONTOSO, ada.id)).status is AccountStatus.REMOVED
    system.world.clock.advance(1)
    again = await owner.press(page, path, typed=ada.upn)
    assert again.status == 409
    records = await system.deps.changes.page(CONTOSO, subject=ada.id, before=None, limit=10)
    assert [each.outcome for each in records] == ["refused", "done", "refused"]


async def test_an_act_that_cannot_be_recorded_is_not_done(
    system: AdminSystem, monkeypatch: pytest.MonkeyPatch
) -> None:
    ada = await system.account()
    owner = await signed_in(system)

    async def fails(_: object) -> None:
        raise OSError("disk full")

    monkeypatch.setattr(system.deps.changes, "add", fails)
    answer = await owner.post(f"/t/{CONTOSO}/people/{ada.id}/suspend", {"csrf": owner.csrf})
    assert answer.status == 503
    assert (await handlers.show_account(system.deps, CONTOSO, ada.id)).status is AccountStatus.INVITED


async def test_the_same_press_twice_is_told_and_harms_nothing(system: AdminSystem) -> None:
    ada = await system.account()
    owner = await signed_in(system)
    path = f"/t/{CONTOSO}/people/{ada.id}/suspend"
    assert (await owner.post(path, {"csrf": owner.csrf})).status == 303
    assert (await owner.post(path, {"csrf": owner.csrf})).status == 409
    account = await handlers.show_account(system.deps, CONTOSO, ada.id)
    assert (account.status, account.session_epoch) == (AccountStatus.SUSPENDED, 1)


@pytest.mark.parametrize(
    "query", ["after=x", "after=%C3%A9", "status=dead", "after=YQ", f"q={'x' * 2000}", "after=eA&after=eQ"]
)
async def test_addresses_that_were_made_up_get_a_clear_answer(system: AdminSystem, query: str) -> None:
    owner = await signed_in(system)
    for page in ("people", "changes"):
        answer = await owner.get(f"/t/{CONTOSO}/{page}?{query}")
        assert answer.status in (200, 400), (page, query)


async def test_a_forged_notice_of_what_was_done_is_left_out(system: AdminSystem) -> None:
    owner = await signed_in(system)
    owner.cookies["__Host-console-said"] = "nothing.of-ours"
    page = await owner.get(f"/t/{CONTOSO}/people")
    assert page.status == 200
    assert page.soup.find(class_="toast") is None


async def test_what_a_page_offers_is_what_the_role_may_do(system: AdminSystem) -> None:
    ada = await system.account()
    base = f"/t/{CONTOSO}/people/{ada.id}"
    for role, offered in (
        (Role.OWNER, {"invite", "suspend", "details", "rename", "remove", "sign-out"}),
        (Role.HELP_DESK, {"invite"}),
        (Role.READ_ONLY, set()),
        (Role.AUDITOR, set()),
    ):
        browser = await signed_in(system, role, f"{role.value} Person")
        page = await browser.get(base)
        assert {
            each.removeprefix(f"{base}/") for each in page.actions if each.startswith(f"{base}/")
        } == offered


async def test_badge_desk_has_nothing_to_do_yet_and_is_told(system: AdminSystem) -> None:
    browser = await signed_in(system, Role.BADGE_DESK, "Bea Badge")
    page = await browser.get(f"/t/{CONTOSO}")
    assert page.status == 200
    assert "nothing to do here yet for the role Badge desk" in page.words


async def test_the_record_names_everybody_and_holds_no_address(system: AdminSystem) -> None:
    owner = await signed_in(system)
    found = await visit(system.deps, owner.cookies["__Host-console"])
    assert found is not None
    actor = found.actor(CONTOSO, "192.0.2.7")
    new = handlers.NewAccount("ada@contoso.example", "Ada", "Lovelace", "ada@secret.example")
    account = await console_people.create_person(system.deps, actor, new, invite=True)
    (record,) = await system.deps.changes.page(CONTOSO, subject=account.id, before=None, limit=10)
    assert (record.address, record.name, record.role) == ("192.0.2.7", "Olga Owner", "owner")
    assert (record.subject_id, record.subject) == (account.id, "ada@contoso.example")
    assert "secret" not in str(record)
