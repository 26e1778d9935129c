"""Provisioning in the console (docs/flows/provisioning.md): the tab, a person's link to Entra, licences, and faults."""

import json
from datetime import timedelta
from typing import Any

import pytest
from bs4 import Tag

from services.admin import handlers
from services.admin.domain.licences import product_name
from services.admin.domain.roles import Act, Operator, Role
from services.admin.handlers.recording import recorded
from shared.contracts.approval import UnfreezePush
from shared.contracts.notify import SendMail
from shared.contracts.provisioning import (
    CheckConnection,
    Checked,
    ConnectionChanged,
    Fault,
    Licence,
    Permission,
    PersonChanged,
    Progress,
    RetryPerson,
)
from shared.contracts.wsfed import RemoveBrowser
from shared.store.mongo import MongoDatabase
from tests.admin.conftest import CONTOSO, FABRIKAM, AdminSystem
from tests.admin.console import Answer, ConsoleBrowser, signed_in

CLIENT = "0f3c9d5e-2f0a-4c56-9d4e-3a7d6f1b2c3d"
SECRET = "Qx8Q~7a.b_c-d"
SKU = "66b55226-6b4f-492c-910c-a3b7a3c9d993"
PROPERTIES = (
    f'"client_id": "{CLIENT}",\n"client_secret": "{SECRET}",\n"tenant_domain": "contoso.onmicrosoft.com"'
)
BASE = f"/t/{CONTOSO}"


async def tab(system: AdminSystem, tenant: str = CONTOSO) -> str:
    """The path of the tab of a new application."""
    application = await handlers.add_application(system.deps, tenant)
    return f"/t/{tenant}/applications/{application.id}/provisioning"


async def say(system: AdminSystem, said: ConnectionChanged | PersonChanged, tenant: str = CONTOSO) -> None:
    """provisioning announces it."""
    await system.world.bus.publish([system.world.signer("provisioning").sign(said, tenant=tenant)])
    await system.world.settle()


def connection(version: int = 1, **more: Any) -> ConnectionChanged:
    said: dict[str, Any] = {
        "revision": 1,
        "state": "ready",
        "when_suspended": "disable",
        "when_removed": "delete",
        "client_id": CLIENT,
        "tenant_domain": "contoso.onmicrosoft.com",
        "credential": "secret",
    }
    return ConnectionChanged.model_validate({"version": version, **said, **more})


def result_of_test(system: AdminSystem, check: str = "test-1", **more: Any) -> Checked:
    said: dict[str, Any] = {
        "permissions": (
            Permission(name="User.ReadWrite.All", granted=True),
            Permission(name="LicenseAssignment.Read.All", granted=True),
            Permission(name="Domain.Read.All", granted=None),
            Permission(name="RoleManagement.Read.Directory", granted=False),
        ),
        "licences": (Licence(sku=SKU, name="SPE_F1", left=2),),
    }
    return Checked(check=check, at=system.world.clock.now(), **{**said, **more})


async def save(browser: ConsoleBrowser, path: str, properties: str = PROPERTIES, **fields: str) -> Answer:
    return await browser.press(await browser.get(path), path, properties=properties, **fields)


def errands(system: AdminSystem) -> list[str]:
    return [each["what"] for each in system.world.documents("admin", "errands")]


# --- the connection ---------------------------------------------------------------------------------------------


async def test_the_tab_shows_the_registration_step_by_step_until_there_is_a_connection(
    system: AdminSystem,
) -> None:
    browser, path = await signed_in(system, Role.ADMINISTRATOR), await tab(system)
    page = await browser.get(path.removesuffix("/provisioning"))
    assert path in page.actions
    page = await browser.get(path)
    steps = page.soup.find("details")
    assert isinstance(steps, Tag)
    assert steps.has_attr("open")
    assert "User.ReadWrite.All" in steps.text
    assert "Not set up" in page.words
    assert page.form(path)["enabled"] == "yes"


async def test_properties_are_sealed_at_once_and_no_page_no_record_and_no_document_has_the_secret(
    system: AdminSystem,
) -> None:
    browser, path = await signed_in(system, Role.ADMINISTRATOR), await tab(system)
    saved = await save(browser, path, secret_ends="2099-05-31")
    assert (saved.status, saved.location) == (303, path)
    page = await browser.get(path)
    assert "Being set up" in page.words
    await say(system, connection())
    page = await browser.get(path)
    assert "contoso.onmicrosoft.com" in page.words
    assert SECRET not in page.text
    assert SECRET not in repr(system.world.databases["admin"].data)
    assert all(SECRET.encode() not in signed.body for signed in system.world.bus.sent)
    view = await handlers.show_connection(system.deps, CONTOSO)
    assert view.asked.enabled
    assert f"{view.asked.secret_ends_at:%Y-%m-%d}" == "2099-05-31"


async def test_the_record_names_both_directories_and_no_secret(system: AdminSystem) -> None:
    browser, path = await signed_in(system, Role.ADMINISTRATOR), await tab(system)
    await save(browser, path)
    await say(system, connection())
    system.world.clock.advance(1)
    await save(browser, path, PROPERTIES.replace("contoso.onmicrosoft", "evil.onmicrosoft"))
    (last, *_) = (await handlers.recording.list_changes(system.deps, CONTOSO)).changes
    assert last.act.value == "provisioning.change"
    assert last.before["tenant_domain"] == "contoso.onmicrosoft.com"
    assert last.after["tenant_domain"] == "evil.onmicrosoft.com"
    assert SECRET not in repr(last)
    words = (await browser.get(f"{BASE}/changes")).words
    assert "Directory: contoso.onmicrosoft.com → evil.onmicrosoft.com" in words


async def test_the_record_of_a_new_secret_says_once_what_stays(system: AdminSystem) -> None:
    browser, path = await signed_in(system, Role.ADMINISTRATOR), await tab(system)
    await save(browser, path)
    await say(system, connection())
    system.world.clock.advance(1)
    await save(browser, path, PROPERTIES.replace(SECRET, "Another~8Q.secret"))
    (last, *_) = (await handlers.recording.list_changes(system.deps, CONTOSO)).changes
    assert last.before == {}
    assert last.after == {"client_id": CLIENT, "tenant_domain": "contoso.onmicrosoft.com"}
    assert f"{CLIENT} →" not in (await browser.get(f"{BASE}/changes")).words


@pytest.mark.parametrize(
    ("properties", "words"),
    [
        (PROPERTIES.replace(SECRET, "<your secret>"), "client_secret still holds a placeholder."),
        (PROPERTIES.replace('",\n"client_secret', '"\n"client_secret'), "line 2"),
        (PROPERTIES.replace(SECRET, CLIENT), "that is the secret's ID"),
        ("", "The connection has no properties yet."),
    ],
)
async def test_wrong_properties_are_explained_at_the_field_and_change_nothing(
    system: AdminSystem, properties: str, words: str
) -> None:
    browser, path = await signed_in(system, Role.ADMINISTRATOR), await tab(system)
    refused = await save(browser, path, properties)
    assert refused.status == 400
    error = refused.soup.find(id="properties-error")
    assert isinstance(error, Tag)
    assert words in error.text
    typed = refused.soup.find("textarea")
    assert isinstance(typed, Tag)
    assert typed.text == properties
    assert not (await handlers.show_connection(system.deps, CONTOSO)).asked.has_secrets


@pytest.mark.parametrize("ends", ["31.05.2099", "2099-02-30", "2001-01-01", "x" * 300])
async def test_an_end_that_is_no_day_to_come_is_refused_at_its_field(system: AdminSystem, ends: str) -> None:
    browser, path = await signed_in(system, Role.ADMINISTRATOR), await tab(system)
    refused = await save(browser, path, secret_ends=ends)
    assert refused.status == 400
    assert refused.soup.find(id="secret_ends-error") is not None


@pytest.mark.parametrize(
    "fields",
    [{"when_suspended": "delete"}, {"when_removed": ""}, {"revision": "x"}, {"revision": ""}],
)
async def test_a_form_that_is_not_ours_gets_a_clear_answer(
    system: AdminSystem, fields: dict[str, str]
) -> None:
    browser, path = await signed_in(system, Role.ADMINISTRATOR), await tab(system)
    assert (await save(browser, path, **fields)).status == 400
    assert not (await handlers.show_connection(system.deps, CONTOSO)).asked.has_secrets


async def test_of_two_administrators_the_second_is_told(system: AdminSystem) -> None:
    first, path = await signed_in(system, Role.ADMINISTRATOR), await tab(system)
    second = await signed_in(system, Role.OWNER, "Otto Owner")
    page = await second.get(path)
    await save(first, path)
    late = await second.press(page, path, properties=PROPERTIES, when_removed="keep")
    assert late.status == 400
    assert "Somebody else has changed the connection in the meantime." in late.words
    again = await second.press(late, path, properties=PROPERTIES, when_removed="keep")
    assert again.status == 303
    assert (await handlers.show_connection(system.deps, CONTOSO)).asked.when_removed == "keep"


async def test_without_new_properties_those_in_force_stay_and_it_can_be_switched_off(
    system: AdminSystem,
) -> None:
    browser, path = await signed_in(system, Role.ADMINISTRATOR), await tab(system)
    await save(browser, path, secret_ends="2099-05-31")
    await say(system, connection(credential_ends="2099-05-31T00:00:00Z"))
    page = await browser.get(path)
    form = {name: value for name, value in page.form(path).items() if name != "enabled"}
    assert form["secret_ends"] == "2099-05-31"
    assert (await browser.post(path, form)).status == 303
    asked = (await handlers.show_connection(system.deps, CONTOSO)).asked
    assert (asked.enabled, asked.has_secrets, asked.revision) == (False, True, 2)
    assert asked.secret_ends_at is not None
    # With another secret nobody knows its end.
    await save(browser, path, secret_ends="")
    assert (await handlers.show_connection(system.deps, CONTOSO)).asked.secret_ends_at is None


async def test_the_end_of_a_secret_is_never_taken_for_that_of_the_next(system: AdminSystem) -> None:
    browser, path = await signed_in(system, Role.ADMINISTRATOR), await tab(system)
    await save(browser, path, secret_ends="2099-05-31")
    await say(system, connection(credential_ends="2099-05-31T00:00:00Z"))
    await save(browser, path, secret_ends="")
    page = await browser.get(path)  # before provisioning has taken the new one
    assert page.form(path)["secret_ends"] == ""
    await browser.press(page, path, when_removed="keep")
    assert (await handlers.show_connection(system.deps, CONTOSO)).asked.secret_ends_at is None


async def test_a_secret_whose_end_has_passed_does_not_keep_anybody_from_changing_the_rest(
    system: AdminSystem,
) -> None:
    browser, path = await signed_in(system, Role.ADMINISTRATOR), await tab(system)
    await save(browser, path)
    await say(system, connection(credential_ends=system.world.clock.now() - timedelta(days=2)))
    page = await browser.get(path)
    assert "expired on" in page.words
    assert (await browser.press(page, path, when_removed="keep")).status == 303


async def test_the_end_of_the_credential_is_warned_of(system: AdminSystem) -> None:
    browser, path = await signed_in(system, Role.ADMINISTRATOR), await tab(system)
    await save(browser, path)
    now = system.world.clock.now()
    await say(system, connection(1, credential_ends=now + timedelta(days=31)))
    assert "expires on" not in (await browser.get(path)).words
    await say(system, connection(2, credential_ends=now + timedelta(days=29), ends_within=30))
    page = await browser.get(path)
    assert "The client secret of the connection expires on" in page.words
    overview = await browser.get(BASE)
    assert "The client secret of the connection expires on" in overview.words
    assert path in overview.actions
    assert "Create a new secret or certificate" in page.words


def mails(system: AdminSystem) -> list[str]:
    """The deliveries of mails about the end, as they were asked for."""
    bodies = [
        json.loads(signed.body)["body"]
        for signed in system.world.bus.sent
        if signed.type == "notify.mail.send.v1"
    ]
    return [str(body["delivery"]) for body in bodies if body["kind"] == "credential_ends"]


async def test_owners_and_administrators_are_mailed_once_for_each_of_the_days(system: AdminSystem) -> None:
    await signed_in(system, Role.OWNER)
    await signed_in(system, Role.ADMINISTRATOR, "Adam Administrator")
    await signed_in(system, Role.HELP_DESK, "Henry Helper")
    ends = system.world.clock.now() + timedelta(days=29)
    first = connection(1, credential_ends=ends, ends_within=30)
    for said in (first, first, connection(2, credential_ends=ends, ends_within=30)):
        await say(system, said)
    assert len(mails(system)) == len(set(mails(system))) == 2
    await say(system, connection(3, credential_ends=ends, ends_within=7))
    assert len(mails(system)) == 4
    await say(system, connection(2, credential_ends=ends, ends_within=1))  # late: nothing
    await say(system, connection(4, credential_ends=ends + timedelta(days=365)))
    await say(
        system, connection(5, credential_ends=ends, ends_within=7)
    )  # the same again after another secret
    assert len(mails(system)) == len(set(mails(system))) == 4


async def test_whatever_provisioning_says_it_fills_no_mailbox(system: AdminSystem) -> None:
    """A taken-over provisioning says one end after the other, and what no mail can be made of."""
    await signed_in(system, Role.OWNER)
    now = system.world.clock.now()
    for version in range(1, 40):
        ends = now + timedelta(days=version)
        await say(system, connection(version, credential_ends=ends, ends_within=30))
    assert len(mails(system)) == 1
    await say(system, connection(40, credential_ends=now, ends_within=0, credential=""))
    assert len(mails(system)) == 1
    await say(system, connection(41, credential_ends=now, ends_within=1, tenant_domain="x" * 300 + "\n"))
    assert len(mails(system)) == 2
    view = await handlers.show_connection(system.deps, CONTOSO)
    assert view.known is not None
    assert view.known.version == 41
    system.world.clock.advance(timedelta(days=1).total_seconds())
    await say(system, connection(42, credential_ends=now + timedelta(days=9), ends_within=30))
    assert len(mails(system)) == 3


async def test_nobody_is_mailed_about_a_connection_that_is_off(system: AdminSystem) -> None:
    await signed_in(system, Role.OWNER)
    ends = system.world.clock.now() + timedelta(days=6)
    await say(system, connection(state="off", credential_ends=ends, ends_within=7))
    assert mails(system) == []


# --- the test ---------------------------------------------------------------------------------------------------


async def test_a_test_says_what_each_missing_permission_costs(system: AdminSystem) -> None:
    browser, path = await signed_in(system, Role.ADMINISTRATOR), await tab(system)
    await save(browser, path)
    await say(system, connection())
    asked = await browser.press(await browser.get(path), f"{path}/test")
    assert asked.status == 303
    check = asked.location.partition("?check=")[2].partition("#")[0]
    waiting = await browser.get(asked.location.partition("#")[0])
    assert "Being tested" in waiting.words
    state = json.loads((await browser.get(f"{path}/state?check={check}")).text)
    assert state["state"] == "testing"
    await say(system, connection(2, checked=result_of_test(system, check).model_dump(mode="json")))
    assert json.loads((await browser.get(f"{path}/state?check={check}")).text)["state"] == "ready"
    words = (await browser.get(path)).words
    assert "LicenseAssignment.Read.All Granted" in words
    assert "Domain.Read.All Couldn't find out" in words
    assert "RoleManagement.Read.Directory Missing Users that are in Entra already are not taken over" in words
    assert "Licences Microsoft 365 F3 SPE_F1, 2 left" in words
    assert errands(system) == ["check_connection"]


async def test_a_connection_that_entra_refuses_shows_microsofts_words_and_ours(system: AdminSystem) -> None:
    browser, path = await signed_in(system, Role.AUDITOR), await tab(system)
    await handlers.set_connection(system.deps, CONTOSO, properties=PROPERTIES, enabled=True)
    fault = Fault(
        key="wrong_secret",
        code="AADSTS7000215",
        words="AADSTS7000215: Invalid client secret provided. <script>alert(1)</script>",
        request_id="trace-1",
        at=system.world.clock.now(),
    )
    checked = result_of_test(system, fault=fault, permissions=(), licences=())
    await say(system, connection(state="failed", fault=fault, checked=checked))
    page = await browser.get(path)
    for said in (
        "Interrupted",
        "Entra does not know this client secret.",
        "AADSTS7000215: Invalid client secret provided.",
        "trace-1",
    ):
        assert said in page.words
    assert "<script>alert" not in page.text
    assert page.words.count("Entra does not know this client secret.") == 1
    assert page.soup.find("textarea") is None  # an auditor changes nothing


async def test_a_test_without_a_connection_is_refused(system: AdminSystem) -> None:
    browser, path = await signed_in(system, Role.ADMINISTRATOR), await tab(system)
    assert (await browser.post(f"{path}/test", {"csrf": browser.csrf})).status == 409
    assert errands(system) == []


# --- many -------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("lang", "left", "waiting", "expected"),
    [
        ("en", 700, 6800, "People done: 3,200 of 10,000, about 12 minutes left."),
        ("en", 20, 6800, "People done: 3,200 of 10,000, about a minute left."),
        ("en", 9000, 6800, "People done: 3,200 of 10,000, about 2 hours left."),
        ("en", None, 6800, "People done: 3,200 of 10,000."),
        (
            "fr",
            700,
            6800,
            "Personnes traitées\xa0: 3\u202f200 sur 10\u202f000, encore 12 minutes environ.",
        ),
        ("en", None, 0, "People in Entra as they should be: 3,200 of 3,200."),
    ],
)
async def test_progress_and_estimate_in_words(
    system: AdminSystem, lang: str, left: int | None, waiting: int, expected: str
) -> None:
    browser, path = await signed_in(system, Role.ADMINISTRATOR), await tab(system)
    browser.lang = lang
    await handlers.set_connection(system.deps, CONTOSO, properties=PROPERTIES, enabled=True)
    at = system.world.clock.now()
    progress = Progress(waiting=waiting, done=3200, failed=0, at=at, seconds_left=left)
    await say(system, connection(progress=progress))
    assert expected in (await browser.get(path)).text
    told = json.loads((await browser.get(f"{path}/state")).text)
    assert told["text"]["progress"] == expected
    assert (told["done"], told["people"]) == (3200, 3200 + waiting)


async def test_what_the_page_asks_by_itself_lengthens_no_session(system: AdminSystem) -> None:
    browser, path = await signed_in(system, Role.ADMINISTRATOR), await tab(system)
    ada = await system.account()
    await browser.get("/account")
    for _ in range(7):
        system.world.clock.advance(5 * 60)
        for own in (f"{path}/state", f"{BASE}/people/{ada.id}/directory"):
            answer = await browser.get(own)
    assert answer.status == 303
    assert answer.location.startswith("/sign-in")


# --- people -----------------------------------------------------------------------------------------------------


def person(system: AdminSystem, account: str, version: int = 1, **more: Any) -> PersonChanged:
    said: dict[str, Any] = {"state": "done", "object_id": "o-1", "at": system.world.clock.now()}
    return PersonChanged.model_validate({"version": version, "account": account, **said, **more})


def failure(system: AdminSystem, key: str = "name_taken") -> Fault:
    return Fault(
        key=key,
        code="Request_BadRequest",
        words="Another object with the same value for property userPrincipalName already exists.",
        request_id="r-7",
        at=system.world.clock.now(),
    )


async def test_without_a_connection_a_persons_page_says_nothing_of_entra(system: AdminSystem) -> None:
    browser, ada = await signed_in(system), await system.account()
    assert (await browser.get(f"{BASE}/people/{ada.id}")).soup.find(id="live") is None
    assert (await browser.get(f"{BASE}/people/new")).soup.find(id="location") is None


@pytest.mark.parametrize(
    ("said", "state", "words"),
    [
        ({"state": "waiting", "object_id": ""}, "waiting", "Waiting"),
        ({"state": "working", "object_id": ""}, "working", "In progress"),
        ({}, "linked", "Linked"),
        ({"object_id": ""}, "nobody", "No user"),
        ({"state": "failed"}, "failed", "Failed"),
    ],
)
async def test_a_persons_page_shows_the_link_in_each_state(
    system: AdminSystem, said: dict[str, Any], state: str, words: str
) -> None:
    browser, ada = await signed_in(system, Role.HELP_DESK), await system.account()
    await say(system, connection())
    await say(system, person(system, ada.id, **said))
    page = await browser.get(f"{BASE}/people/{ada.id}")
    assert "Request ID" not in page.words, "nothing is wrong"
    copied = page.soup.select_one('[data-copy="immutable-id"]')
    assert copied is not None
    assert page.soup.select_one("#immutable-id").get_text() == ada.immutable_id  # type: ignore[union-attr]
    shown = [
        each.text
        for each in page.soup.find_all("p", attrs={"data-when": True})
        if not each.has_attr("hidden")
    ]
    assert [each.split("  ")[0].startswith(words) for each in map(str.strip, shown)] == [True]
    told = json.loads((await browser.get(f"{BASE}/people/{ada.id}/directory")).text)
    assert told["state"] == state
    assert told["text"]["object_id"] == said.get("object_id", "o-1")


async def test_a_failure_is_explained_and_tried_again_once(system: AdminSystem) -> None:
    browser, ada = await signed_in(system, Role.HELP_DESK), await system.account()
    await say(system, connection())
    path = f"{BASE}/people/{ada.id}"
    assert (await browser.post(f"{path}/retry", {"csrf": browser.csrf})).status == 409
    await say(system, person(system, ada.id, state="failed", object_id="", fault=failure(system)))
    page = await browser.get(path)
    assert "Another user of the directory already has this user name." in page.words
    assert "Request_BadRequest Another object" in page.words
    assert "r-7" in page.words
    system.world.clock.advance(1)
    assert (await browser.press(page, f"{path}/retry")).status == 303
    assert errands(system) == ["retry_person"]
    (last, *_) = (await handlers.recording.list_changes(system.deps, CONTOSO)).changes
    assert (last.act.value, last.subject, last.outcome) == ("account.retry_provisioning", ada.upn, "done")


@pytest.mark.parametrize("stored", ["mongo"], indirect=True)
@pytest.mark.integration
async def test_what_was_asked_of_other_services_is_removed_long_after_they_would_take_it(
    stored: AdminSystem,
) -> None:
    assert isinstance(stored.database, MongoDatabase)
    indexes = await stored.database._database["errands"].index_information()
    kept = timedelta(seconds=indexes["asked_at_1"]["expireAfterSeconds"])
    longest = max(
        each.MAX_AGE or timedelta.max
        for each in (UnfreezePush, RemoveBrowser, CheckConnection, RetryPerson, SendMail)
    )
    assert 2 * longest < kept <= timedelta(days=31)


async def test_the_filter_finds_people_with_a_fault_page_by_page_and_nobody_elses(
    system: AdminSystem,
) -> None:
    browser = await signed_in(system, Role.HELP_DESK)
    people = [await system.account(f"p{number}") for number in range(53)]
    theirs = await system.account("fay", FABRIKAM)
    await say(system, connection())
    for each in people[1:]:
        await say(system, person(system, each.id, state="failed", fault=failure(system)))
    await say(system, person(system, people[0].id))
    await say(system, person(system, theirs.id, state="failed", fault=failure(system)), FABRIKAM)
    first = await browser.get(f"{BASE}/people?status=fault")
    assert "50 people on this page" in first.words
    assert "Another user of the directory already has this user name." in first.words
    following = next(path for path in first.actions if "after=" in path)
    second = await browser.get(following)
    found = {path for page in (first, second) for path in page.actions if path.count("/") == 4}
    assert found >= {f"{BASE}/people/{each.id}" for each in people[1:]}
    assert f"{BASE}/people/{people[0].id}" not in found
    assert theirs.id not in f"{first.text}{second.text}"
    some = await browser.get(f"{BASE}/people?status=fault&q=p17")
    assert "1 person" in some.words
    assert (await browser.get(f"{BASE}/people?status=fault&after=%25")).status == 400


async def test_a_person_is_added_with_licences_and_a_country(system: AdminSystem) -> None:
    browser = await signed_in(system, Role.ADMINISTRATOR)
    await say(system, connection(checked=result_of_test(system)))
    path = f"{BASE}/people/new"
    page = await browser.get(path)
    typed = {"first": "Bob", "last": "Berg", "upn": "bob", "email": "bob@home.example"}
    refused = await browser.press(page, path, **typed, **{f"licence.{SKU}": "yes"})
    assert refused.status == 400
    assert "A licence needs a usage location." in refused.words
    assert refused.form(path)[f"licence.{SKU}"] == "yes"
    made = await browser.press(refused, path, **typed, location="fr")
    assert made.status == 303
    bob = await handlers.show_account(system.deps, CONTOSO, "bob@contoso.example")
    assert (bob.usage_location, bob.licences) == ("FR", (SKU,))
    assert "Microsoft 365 F3" in (await browser.get(f"{BASE}/people/{bob.id}")).words


async def test_licences_say_since_when_they_were_counted_and_that_they_need_a_country(
    system: AdminSystem,
) -> None:
    browser, ada = await signed_in(system, Role.ADMINISTRATOR), await system.account()
    await say(system, connection(checked=result_of_test(system)))
    for path in (f"{BASE}/people/new", f"{BASE}/people/{ada.id}/licences"):
        page = await browser.get(path)
        assert "Counted at the last connection test, and not since: 2 Mar 2026" in page.words
        assert "Microsoft 365 F3 SPE_F1, 2 left" in page.words
        label = page.soup.find("label", attrs={"for": "location"})
        assert label is not None
        assert label.get_text(strip=True) == "Usage location"
        assert "Needed as soon as you choose a licence" in page.words


@pytest.mark.parametrize(
    ("part_number", "product"),
    [("SPE_F1", "Microsoft 365 F3"), ("spe_e5", "Microsoft 365 E5"), ("NEW_ONE", "NEW_ONE"), ("", "")],
)
def test_products_are_named_as_microsoft_names_them_today(part_number: str, product: str) -> None:
    assert product_name(part_number) == product


async def test_nobody_has_a_fault_and_the_filter_says_so(stored: AdminSystem) -> None:
    browser = await signed_in(stored, Role.HELP_DESK)
    await stored.account()
    for query in ("", "&q=ada"):
        page = await browser.get(f"{BASE}/people?status=fault{query}")
        assert page.status == 200
        assert "0 people" in page.words


async def test_what_stayed_the_same_is_no_change(system: AdminSystem) -> None:
    browser = await signed_in(system)
    async with recorded(system.deps, Operator(CONTOSO), Act.CHANGE_PROVISIONING) as record:
        record.before |= {"client_id": "b10c", "when_removed": "delete"}
        record.after |= {"client_id": "b10c", "when_removed": "keep"}
    words = (await browser.get(f"{BASE}/changes")).words
    assert "b10c" not in words
    assert "When removed:" in words


async def test_a_request_to_microsoft_is_named_only_where_something_is_wrong(system: AdminSystem) -> None:
    browser, ada = await signed_in(system, Role.HELP_DESK), await system.account()
    await say(system, connection())
    await say(system, person(system, ada.id, request_id="r-5"))
    assert "r-5" not in (await browser.get(f"{BASE}/people/{ada.id}")).words
    await say(system, person(system, ada.id, 2, state="failed", fault=failure(system), request_id="r-7"))
    assert "r-7" in (await browser.get(f"{BASE}/people/{ada.id}")).words


async def test_licences_are_changed_and_taken_back_and_the_second_administrator_is_told(
    system: AdminSystem,
) -> None:
    browser, ada = await signed_in(system, Role.ADMINISTRATOR), await system.account()
    await say(system, connection(checked=result_of_test(system)))
    path = f"{BASE}/people/{ada.id}/licences"
    page = await browser.get(path)
    assert "2 left" in page.words
    assert "Counted at the last connection test, and not since: 2 Mar 2026" in page.words
    given = await browser.press(page, path, **{f"licence.{SKU}": "yes", "location": "FR"})
    assert given.status == 303
    late = await browser.press(page, path, location="DE")
    assert late.status == 400
    assert "Somebody else has changed ada@contoso.example" in late.words
    account = await handlers.show_account(system.deps, CONTOSO, ada.id)
    assert (account.usage_location, account.licences) == ("FR", (SKU,))
    page = await browser.get(path)
    assert page.form(path)[f"licence.{SKU}"] == "yes"
    form = {name: value for name, value in page.form(path).items() if not name.startswith("licence.")}
    system.world.clock.advance(1)
    assert (await browser.post(path, form)).status == 303
    assert (await handlers.show_account(system.deps, CONTOSO, ada.id)).licences == ()
    (last, *_) = (await handlers.recording.list_changes(system.deps, CONTOSO)).changes
    assert (last.before, last.after) == ({"licences": "SPE_F1"}, {"licences": ""})


async def test_licences_that_cannot_be_listed_are_typed_by_their_ids(system: AdminSystem) -> None:
    browser, ada = await signed_in(system, Role.ADMINISTRATOR), await system.account()
    await say(system, connection())
    path = f"{BASE}/people/{ada.id}/licences"
    page = await browser.get(path)
    refused = await browser.press(page, path, skus="SPE_E5", location="FR")
    assert refused.status == 400
    assert refused.soup.find(id="skus-error") is not None
    assert (await browser.press(page, path, skus=f" {SKU.upper()}, ", location="FR")).status == 303
    assert (await handlers.show_account(system.deps, CONTOSO, ada.id)).licences == (SKU,)
    page = await browser.get(path)  # what is chosen stays chosen though no list names it
    assert (await browser.press(page, path, location="DE")).status == 303
    assert (await handlers.show_account(system.deps, CONTOSO, ada.id)).licences == (SKU,)


async def test_who_holds_an_administrator_role_in_entra_is_an_owners_to_invite_suspend_or_remove(
    system: AdminSystem,
) -> None:
    owner, ada = await signed_in(system), await system.account()
    helper = await signed_in(system, Role.ADMINISTRATOR, "Adam Administrator")
    path = f"{BASE}/people/{ada.id}"
    await say(system, person(system, ada.id, 1))
    assert f"{path}/suspend" in (await helper.get(path)).actions
    await say(system, person(system, ada.id, 2, holds_directory_role=True))
    page = await helper.get(path)
    assert "This person holds an administrator role in Entra." in page.words
    assert f"{path}/suspend" not in page.actions
    for act in ("suspend", "invite"):
        assert (await helper.post(f"{path}/{act}", {"csrf": helper.csrf})).status == 403, act
    assert f"{path}/suspend" in (await owner.get(path)).actions
    assert (await owner.post(f"{path}/suspend", {"csrf": owner.csrf})).status == 303
    await say(
        system, person(system, ada.id, 3, holds_directory_role=None)
    )  # not known: as without the permission
    assert f"{path}/resume" in (await helper.get(path)).actions


async def test_more_licences_than_the_message_takes_are_refused(system: AdminSystem) -> None:
    ada = await system.account()
    browser = await signed_in(system, Role.ADMINISTRATOR)
    skus = " ".join(f"{SKU[:-3]}{number}" for number in range(100, 201))
    path = f"{BASE}/people/{ada.id}/licences"
    refused = await browser.press(await browser.get(path), path, location="FR", skus=skus)
    assert refused.status == 400
    assert "at most 100 licences" in refused.words
    path = f"{BASE}/people/new"
    new = {"first": "Bob", "last": "Baker", "upn": "bob@contoso.example", "email": "bob@private.example"}
    refused = await browser.press(await browser.get(path), path, **new, location="FR", skus=skus)
    assert refused.status == 400
    assert (await handlers.show_account(system.deps, CONTOSO, ada.id)).licences == ()
