"""docs/flows/change-details.md in the console: the form, who may use it, and what its record says."""

import pytest

from services.admin import handlers
from services.admin.domain.roles import Role
from services.admin.handlers import Details
from tests.admin.conftest import CONTOSO, FABRIKAM, AdminSystem
from tests.admin.console import ConsoleBrowser, signed_in


def path_of(account: str, tenant: str = CONTOSO) -> str:
    return f"/t/{tenant}/people/{account}/details"


async def last_record(system: AdminSystem, account: str) -> tuple[str, dict[str, str], dict[str, str]]:
    latest = (await system.deps.changes.page(CONTOSO, subject=account, before=None, limit=1))[0]
    return latest.act.value, dict(latest.before), dict(latest.after)


async def test_a_mistyped_address_is_corrected_and_the_page_asks_to_invite_again(system: AdminSystem) -> None:
    ada = await system.account()
    await handlers.invite(system.deps, CONTOSO, ada.id)
    owner = await signed_in(system)
    path = path_of(ada.id)
    page = await owner.get(path)
    assert page.form(path)["email"] == ada.email
    answer = await owner.press(page, path, email="right@secret.example", last="King")
    assert (answer.status, answer.location) == (303, f"/t/{CONTOSO}/people/{ada.id}")
    person = await owner.get(answer.location)
    assert "no longer works: invite the person again" in person.text
    assert "A new one goes to right@secret.example" in person.words
    assert f"{answer.location}/invite" in person.actions
    act, before, after = await last_record(system, ada.id)
    assert (act, before) == ("account.change_details", {"last": ada.last_name, "name": ada.display_name})
    assert after == {
        "last": "King",
        "name": f"{ada.first_name} King",
        "other_address": "yes",
        "invitation_withdrawn": "yes",
    }
    assert "Email changed: yes" in person.words


@pytest.mark.parametrize(
    ("field", "text", "said"),
    [
        ("first", "", "Enter the first name"),
        ("email", "", "Enter the email address"),
        ("email", "home", "Write it like name@example.com"),
        ("email", "ada@home", "Write it like name@example.com"),
        ("display", "x" * 257, "257"),
    ],
)
async def test_what_is_wrong_stands_at_its_field_and_nothing_is_lost(
    system: AdminSystem, field: str, text: str, said: str
) -> None:
    ada = await system.account()
    owner = await signed_in(system)
    path = path_of(ada.id)
    answer = await owner.press(await owner.get(path), path, **{"last": "King", field: text})
    assert answer.status == 400
    assert said in answer.words
    assert answer.soup.select_one(f"#{field}-error") is not None
    assert answer.form(path)["last"] == "King"
    assert (await handlers.show_account(system.deps, CONTOSO, ada.id)) == ada


@pytest.mark.parametrize("version", ["", "x", "-1", "1" * 10, "\u0661"])
async def test_a_version_that_was_made_up_is_refused(system: AdminSystem, version: str) -> None:
    ada = await system.account()
    owner = await signed_in(system)
    path = path_of(ada.id)
    answer = await owner.press(await owner.get(path), path, last="King", version=version)
    assert answer.status == 400
    assert (await handlers.show_account(system.deps, CONTOSO, ada.id)) == ada


async def test_the_second_of_two_administrators_sees_what_the_first_wrote(system: AdminSystem) -> None:
    ada = await system.account()
    owner = await signed_in(system)
    path = path_of(ada.id)
    page = await owner.get(path)
    await handlers.change_details(system.deps, CONTOSO, ada.id, Details(email="first@home.example"))
    answer = await owner.press(page, path, email="second@home.example")
    assert answer.status == 400
    assert "Somebody else has changed" in answer.words
    assert "first@home.example" in answer.words
    summary = answer.soup.select_one("#summary a")
    assert summary is not None
    assert answer.soup.select_one(str(summary["href"])) is not None
    assert answer.form(path)["email"] == "second@home.example"
    assert (await owner.press(answer, path)).status == 303
    again = await owner.press(page, path, email="third@home.example")  # the old form, once more
    assert again.status == 400
    assert (await handlers.show_account(system.deps, CONTOSO, ada.id)).email == "second@home.example"


async def test_nothing_that_differs_writes_nothing(system: AdminSystem) -> None:
    ada = await system.account()
    link = await handlers.invite(system.deps, CONTOSO, ada.id)
    owner = await signed_in(system)
    path = path_of(ada.id)
    answer = await owner.press(await owner.get(path), path)
    assert "nothing was changed" in (await owner.get(answer.location)).text
    assert (await handlers.show_account(system.deps, CONTOSO, ada.id)) == ada
    still = await system.deps.invitations.open_of(CONTOSO, ada.id)
    assert still is not None
    assert still.id == link.invitation.id


async def refused(browser: ConsoleBrowser, account: str) -> bool:
    fields = {"first": "Ada", "last": "King", "display": "", "email": "x@evil.example", "version": "1"}
    answer = await browser.post(path_of(account), {"csrf": browser.csrf, **fields})
    return answer.status == 403


async def test_only_owners_and_administrators_may(system: AdminSystem) -> None:
    ada = await system.account()
    for role in (Role.HELP_DESK, Role.AUDITOR, Role.READ_ONLY):
        browser = await signed_in(system, role, f"{role.value} Person")
        assert await refused(browser, ada.id)
        assert (await browser.get(path_of(ada.id))).status == 403
    assert (await handlers.show_account(system.deps, CONTOSO, ada.id)) == ada
    admin = await signed_in(system, Role.ADMINISTRATOR, "Ann Administrator")
    path = path_of(ada.id)
    assert (await admin.press(await admin.get(path), path, last="King")).status == 303


async def test_another_tenants_person_is_not_there(system: AdminSystem) -> None:
    theirs = await system.account("ada", FABRIKAM)
    owner = await signed_in(system)
    fields = {"first": "Ada", "last": "King", "display": "", "email": "x@evil.example", "version": "1"}
    assert (await owner.get(path_of(theirs.id))).status == 404
    assert (await owner.post(path_of(theirs.id), {"csrf": owner.csrf, **fields})).status == 404
    assert (await owner.post(path_of(theirs.id, FABRIKAM), {"csrf": owner.csrf, **fields})).status == 404
    assert (await handlers.show_account(system.deps, FABRIKAM, theirs.id)) == theirs


async def test_the_form_for_a_person_says_which_user_names_there_are(system: AdminSystem) -> None:
    owner, ada = await signed_in(system), await system.account()
    new, rename = f"/t/{CONTOSO}/people/new", f"/t/{CONTOSO}/people/{ada.id}/rename"
    assert "Without an @ it ends in @contoso.example." in (await owner.get(new)).words
    await handlers.add_domain(system.deps, CONTOSO, "contoso-labs.example")
    for path in (new, rename):
        words = (await owner.get(path)).words
        assert "one of your domains: contoso.example, contoso-labs.example" in words


async def test_the_immutable_id_can_be_copied(system: AdminSystem) -> None:
    owner, ada = await signed_in(system), await system.account()
    page = await owner.get(f"/t/{CONTOSO}/people/{ada.id}")
    button = page.soup.find("button", attrs={"data-copy": "immutable-id"})
    shown = page.soup.find(id="immutable-id")
    assert button is not None
    assert shown is not None
    assert shown.get_text() == ada.immutable_id


async def test_every_tab_of_an_application_keeps_its_heading(system: AdminSystem) -> None:
    owner = await signed_in(system)
    application = await handlers.add_application(system.deps, CONTOSO)
    own = f"/t/{CONTOSO}/applications/{application.id}"
    for path in (own, f"{own}/provisioning", f"/t/{CONTOSO}/signing-keys"):
        heading = (await owner.get(path)).soup.find("h1")
        assert heading is not None
        assert heading.get_text() == application.name
