"""The record of changes beside people: joining, one's own passkeys and sessions, and the operator's acts."""

import pytest

from services.admin import handlers
from services.admin.domain.changes import Change
from services.admin.domain.roles import Act, Operator, Role
from services.admin.handlers.console_applications import set_policy
from services.admin.handlers.operator import make_tenant, operate, operate_on, roll_keys
from services.admin.handlers.recording import Record, list_changes
from shared.contracts.admin import Policy
from shared.errors import BadInput, Conflict, NotFound
from tests.admin.conftest import CONTOSO, FABRIKAM, AdminSystem
from tests.admin.console import ConsoleBrowser, link_for, signed_in


async def changes(system: AdminSystem, *acts: Act, tenant: str = CONTOSO) -> list[Change]:
    """Those of these acts, the oldest first."""
    page = await list_changes(system.deps, tenant, limit=200)
    return [each for each in reversed(page.changes) if each.act in acts]


# joining


async def test_that_a_one_time_link_was_used_is_recorded_with_role_and_address(system: AdminSystem) -> None:
    await signed_in(system, Role.HELP_DESK, "Hugo Help")
    (invited,) = await changes(system, Act.INVITE_ADMINISTRATOR)
    assert (invited.administrator, invited.role, invited.subject) == ("", "operator", "Hugo Help")
    (joined,) = await changes(system, Act.JOIN)
    assert (joined.name, joined.role, joined.outcome) == ("Hugo Help", "help_desk", "done")
    assert dict(joined.after) == {"role": "help_desk"}
    assert joined.subject_id == joined.administrator


async def test_an_administrator_who_joins_another_tenant_is_recorded_there_alone(system: AdminSystem) -> None:
    owner = await signed_in(system)
    link = await link_for(system, Role.AUDITOR, "Olga Owner", FABRIKAM)
    page = await owner.get(link.url.partition("#")[0].partition("8365")[2])
    form = page.form(f"/join/{FABRIKAM}/{link.invitation.id}")
    answer = await owner.post(
        f"/join/{FABRIKAM}/{link.invitation.id}", {**form, "secret": link.url.partition("#")[2]}
    )
    assert answer.status == 303
    assert [each.name for each in await changes(system, Act.JOIN, tenant=FABRIKAM)] == ["Olga Owner"]
    assert len(await changes(system, Act.JOIN)) == 1


async def test_a_wrong_secret_leaves_no_record(system: AdminSystem) -> None:
    """Otherwise whoever knows an invitation's id could fill the record."""
    link = await link_for(system)
    stranger = ConsoleBrowser(system)
    answer = await stranger.join(link.url.partition("#")[0] + "#" + "A" * 43)
    assert answer.status == 410
    assert await changes(system, Act.JOIN) == []


# what administrators do to themselves


async def test_own_passkeys_are_recorded_in_each_tenant_of_the_administrator(system: AdminSystem) -> None:
    owner = await signed_in(system)
    link = await link_for(system, Role.AUDITOR, "Olga Owner", FABRIKAM)
    path = f"/join/{FABRIKAM}/{link.invitation.id}"
    form = (await owner.get(path)).form(path)
    await owner.post(path, {**form, "secret": link.url.partition("#")[2]})
    first = owner.key
    page = await owner.get("/account")
    made = owner.registration(page.passkey_form(), "")
    assert (
        await owner.post("/account/passkeys", {"csrf": owner.csrf, "name": "Key ring", **made})
    ).status == 303
    assert first is not None
    await owner.post(f"/account/passkeys/{first.credential_id}/remove", {"csrf": owner.csrf})
    for tenant, role in ((CONTOSO, "owner"), (FABRIKAM, "auditor")):
        added, removed = await changes(system, Act.ADD_PASSKEY, Act.REMOVE_PASSKEY, tenant=tenant)
        assert (added.act, dict(added.after), added.role) == (Act.ADD_PASSKEY, {"passkey": "Key ring"}, role)
        assert (removed.act, removed.outcome) == (Act.REMOVE_PASSKEY, "done")
        assert set(removed.before) == {"passkey"}


async def test_that_the_last_passkey_stays_is_recorded_as_refused(system: AdminSystem) -> None:
    owner = await signed_in(system)
    assert owner.key is not None
    path = f"/account/passkeys/{owner.key.credential_id}/remove"
    assert (await owner.post(path, {"csrf": owner.csrf})).status == 409
    (refused,) = await changes(system, Act.REMOVE_PASSKEY)
    assert refused.outcome == "refused"


async def test_own_sessions_that_are_ended_are_recorded(system: AdminSystem) -> None:
    owner = await signed_in(system)
    other = ConsoleBrowser(system, key=owner.key)
    await other.sign_in()
    page = await owner.get("/account")
    (end,) = [
        each for each in page.actions if each.startswith("/account/sessions/") and each.endswith("/end")
    ]
    assert (await owner.post(end, {"csrf": owner.csrf})).status == 303
    assert (await owner.post(end, {"csrf": owner.csrf})).status == 404  # not twice, and not recorded twice
    (ended,) = await changes(system, Act.END_SESSION)
    assert (ended.outcome, set(ended.before)) == ("done", {"browser"})
    system.world.clock.advance(1)
    assert (await owner.post("/account/sessions/end-others", {"csrf": owner.csrf})).status == 303
    assert dict((await changes(system, Act.END_SESSION))[-1].before) == {"sessions": "0"}


# the operator, on the command line


async def test_the_operators_acts_on_a_person_say_what_changed(system: AdminSystem) -> None:
    ada = await system.account()
    deps = system.deps
    await operate_on(deps, CONTOSO, Act.SUSPEND, ada.upn, lambda who, _: handlers.suspend(deps, CONTOSO, who))
    system.world.clock.advance(1)
    with pytest.raises(Conflict):
        await operate_on(
            deps, CONTOSO, Act.SUSPEND, ada.upn, lambda who, _: handlers.suspend(deps, CONTOSO, who)
        )
    done, refused = await changes(system, Act.SUSPEND)
    assert (done.role, done.administrator, done.subject_id, done.subject) == (
        "operator",
        "",
        ada.id,
        ada.upn,
    )
    assert (dict(done.before), dict(done.after)) == ({"status": "invited"}, {"status": "suspended"})
    assert refused.outcome == "refused"


async def test_nothing_is_recorded_for_a_person_or_tenant_that_is_not_there(system: AdminSystem) -> None:
    async def nothing(*_: object) -> None:
        raise AssertionError

    with pytest.raises(NotFound):
        await operate_on(system.deps, CONTOSO, Act.SUSPEND, "nobody@contoso.example", nothing)
    with pytest.raises(NotFound):
        await operate(system.deps, "nowhere", Act.CHANGE_FEDERATION, nothing)
    assert await changes(system, *Act) == []
    assert await changes(system, *Act, tenant="nowhere") == []


async def test_the_operators_policy_is_recorded_as_an_administrators_is(system: AdminSystem) -> None:
    version = (await handlers.show_tenant(system.deps, CONTOSO)).version
    policy = Policy(sign_in="passkeys_only")
    await set_policy(system.deps, Operator(CONTOSO), policy, expected_version=version)
    (change,) = await changes(system, Act.CHANGE_POLICY)
    assert (dict(change.before), dict(change.after)) == ({"sign_in": "open"}, {"sign_in": "passkeys_only"})


async def test_a_tenant_that_the_operator_makes_says_so_itself_and_refusals_are_recorded_nowhere(
    system: AdminSystem,
) -> None:
    await make_tenant(system.deps, "woodgrove", "Woodgrove")
    (change,) = await changes(system, *Act, tenant="woodgrove")
    assert (change.act, change.role, change.outcome) == (Act.CREATE_TENANT, "operator", "done")
    assert (change.subject_id, change.subject) == ("woodgrove", "Woodgrove")
    for slug, name, error in ((CONTOSO, "Again", Conflict), ("litware", "", BadInput), ("No", "X", BadInput)):
        with pytest.raises(error):
            await make_tenant(system.deps, slug, name)
        assert await changes(system, *Act, tenant=slug) == []


async def test_the_operators_steps_of_a_key_roll_over_are_recorded(system: AdminSystem) -> None:
    async def done() -> str:
        return "ring"

    async def refused() -> str:
        raise Conflict("wsfed.key.too_new", waited="1 hours", notice="24 hours")

    assert await roll_keys(system.deps, CONTOSO, "switch", done, at_once=True) == "ring"
    system.world.clock.advance(1)
    with pytest.raises(Conflict):
        await roll_keys(system.deps, CONTOSO, "switch", refused)
    with pytest.raises(NotFound):
        await roll_keys(system.deps, "nowhere", "emergency", done)
    system.world.clock.advance(1)
    await roll_keys(system.deps, CONTOSO, "emergency", done)
    first, second, third = await changes(system, Act.ROLL_KEYS)
    assert dict(first.after) == {"key_step": "switch", "at_once": "yes"}
    assert [each.outcome for each in (first, second, third)] == ["done", "refused", "done"]
    owner = await signed_in(system)
    for lang, words in (("en", "destroy all keys"), ("fr", "détruire toutes les clés")):
        owner.lang = lang
        assert words in (await owner.get(f"/t/{CONTOSO}/changes")).words


async def test_the_page_names_the_operator_and_no_address(system: AdminSystem) -> None:
    async def add(record: Record) -> None:
        await handlers.add_domain(system.deps, CONTOSO, "second.example")
        record.subject = "second.example"

    await operate(system.deps, CONTOSO, Act.CHANGE_FEDERATION, add)
    owner = await signed_in(system)
    for lang, operator in (("en", "Operator command line"), ("fr", "Exploitant ligne de commande")):
        owner.lang = lang
        page = await owner.get(f"/t/{CONTOSO}/changes")
        assert operator in page.words


# a removal and its undoing, as an administrator does them (docs/flows/removal.md)


async def test_a_removal_is_undone_in_the_console_after_a_step_up_and_recorded(system: AdminSystem) -> None:
    ada = await system.account()
    owner = await signed_in(system, Role.ADMINISTRATOR)
    person = f"/t/{CONTOSO}/people/{ada.id}"
    asked = await owner.get(f"{person}/remove")
    assert "30 days" in asked.words
    assert (await owner.press(asked, f"{person}/remove", typed=ada.upn)).status == 303
    removed = await owner.get(person)
    assert "You can undo this until 1 Apr 2026" in removed.words
    assert f"{person}/restore" in removed.actions
    assert f"{person}/suspend" not in removed.actions
    listed = await owner.get(f"/t/{CONTOSO}/people?status=removed")
    assert "For good on 1 Apr 2026" in listed.words
    assert ada.display_name not in (await owner.get(f"/t/{CONTOSO}/people")).words
    taken = {"csrf": owner.csrf, "first": "A", "last": "B", "upn": ada.upn, "email": "x@home.example"}
    refused = await owner.post(f"/t/{CONTOSO}/people/new", taken)
    assert refused.status == 400
    assert "free on 2026-04-01" in refused.words
    system.world.clock.advance(301)
    assert (await owner.get(f"{person}/restore")).location.startswith("/step-up?to=")
    assert (await owner.post(f"{person}/restore", {"csrf": owner.csrf})).location.startswith("/step-up")
    assert await changes(system, Act.RESTORE_ACCOUNT) == []
    await owner.step_up(f"{person}/restore")
    form = await owner.get(f"{person}/restore")
    assert (await owner.press(form, f"{person}/restore")).location == person
    assert "Invite the person again" in (await owner.get(person)).text
    assert (await owner.press(form, f"{person}/restore")).status == 409, "undone twice"
    done, twice = sorted(await changes(system, Act.RESTORE_ACCOUNT), key=lambda each: each.outcome)
    assert (done.outcome, twice.outcome) == ("done", "refused")
    assert (dict(done.before), dict(done.after)) == ({"status": "removed"}, {"status": "invited"})


@pytest.mark.parametrize("role", [Role.HELP_DESK, Role.AUDITOR, Role.READ_ONLY])
async def test_whoever_may_not_remove_may_not_undo(system: AdminSystem, role: Role) -> None:
    ada = await system.account()
    await handlers.remove(system.deps, CONTOSO, ada.id)
    helper = await signed_in(system, role, "Hugo Help")
    person = f"/t/{CONTOSO}/people/{ada.id}"
    assert f"{person}/restore" not in (await helper.get(person)).actions
    assert (await helper.post(f"{person}/restore", {"csrf": helper.csrf})).status == 403


async def test_an_administrators_own_account_is_restored_by_an_owner_alone(system: AdminSystem) -> None:
    ada = await system.account()
    await signed_in(system, Role.OWNER, "Ada Owner", upn=ada.upn)
    await handlers.remove(system.deps, CONTOSO, ada.id)
    administrator = await signed_in(system, Role.ADMINISTRATOR, "Adam Min")
    person = f"/t/{CONTOSO}/people/{ada.id}"
    assert (await administrator.post(f"{person}/restore", {"csrf": administrator.csrf})).status == 403
    other = await signed_in(system, Role.OWNER, "Otto Owner")
    assert (await other.post(f"{person}/restore", {"csrf": other.csrf})).status == 303
