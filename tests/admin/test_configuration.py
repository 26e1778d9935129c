"""The checklist of a tenant's Microsoft 365 (docs/flows/tenant-configuration.md): states, lines, marks, pages.

Not shown: that a real PowerShell with the real modules does what the lines say.
"""

import base64
import re
from collections.abc import Iterator, Mapping
from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tree_sitter import Node

from services.admin import handlers
from services.admin.domain.configuration import (
    CERTIFICATE_SOON,
    GROUPS,
    RULES,
    Checklist,
    Item,
    Known,
    Mark,
    Reading,
    State,
    Verified,
    row,
    rows,
)
from services.admin.domain.configuration_steps import INITIAL, PORTALS, steps
from services.admin.domain.federation import FirstUse
from services.admin.domain.roles import Role
from services.admin.domain.tenants import INITIAL_DOMAINS, Tenant
from shared.clouds import CLOUDS, CloudName
from shared.contracts.admin import Domain, Policy
from shared.contracts.provisioning import ConnectionChanged
from shared.errors import Conflict, NotFound
from tests.admin.conftest import CONTOSO, FABRIKAM, AdminSystem
from tests.admin.console import ConsoleBrowser, signed_in
from tests.admin.powershell import nodes, parse, text
from tests.admin.test_admin_federation import announce

NOW = datetime(2026, 11, 27, 9, 0, tzinfo=UTC)
DOMAIN, OTHER = "contoso.example", "contoso-labs.example"
BASE = f"/t/{CONTOSO}/configuration"


def domain(name: str) -> Domain:
    return Domain(name=name, issuer=f"https://id.example/t/contoso/{name}")


TENANT = Tenant(slug="contoso", name="Contoso", domains=(domain(DOMAIN),))
KNOWN = Known(
    tenant=TENANT, used={}, has_certificate=True, certificate_until=NOW + timedelta(days=900), now=NOW
)
NOTHING = Checklist("contoso")


def mark(item: Item, name: str = "Olga Owner", number: int = 1, domains: tuple[str, ...] = ()) -> Mark:
    return Mark(f"m-{number}", item.value, name, name, NOW, domains)


# --- 1. how it stands -------------------------------------------------------------------------------------------


def test_every_item_has_a_rule_and_stands_in_one_group() -> None:
    shown = [item for items in GROUPS.values() for item in items]
    assert sorted(shown) == sorted(Item)
    assert RULES.keys() == set(Item)
    for item, rule in RULES.items():
        assert bool(rule.permissions) is (rule.reading is Reading.GRAPH), item


def test_what_nobody_said_and_we_cannot_read_is_not_known_which_is_not_undone() -> None:
    for item in Item:
        found = row(item, NOTHING, KNOWN)
        assert (found.state is State.UNKNOWN) is (RULES[item].reading is not Reading.OURS), item
        assert found.may_be_marked is (found.state is State.UNKNOWN)
        assert not (found.state is State.UNKNOWN and found.is_done)


def test_domains_are_done_once_somebody_of_each_got_a_token() -> None:
    both = replace(TENANT, domains=(domain(DOMAIN), domain(OTHER)))
    first, second = NOW - timedelta(days=2), NOW - timedelta(days=1)
    requested = FirstUse(first_request_at=first)
    used = {DOMAIN: FirstUse(first_request_at=first, first_sign_in_at=first), OTHER: requested}
    waiting = row(Item.FEDERATION, NOTHING, replace(KNOWN, tenant=both, used=used))
    assert (waiting.state, waiting.domains) == (State.WAITING, (OTHER,))
    used[OTHER] = replace(requested, first_sign_in_at=second)
    done = row(Item.FEDERATION, NOTHING, replace(KNOWN, tenant=both, used=used))
    assert (done.state, done.at, done.domains) == (State.DONE, second, ())
    none = row(Item.FEDERATION, NOTHING, replace(KNOWN, tenant=replace(TENANT, domains=())))
    assert none.state is State.WAITING


@pytest.mark.parametrize(
    ("left", "state"),
    [
        (CERTIFICATE_SOON, State.DONE),
        (CERTIFICATE_SOON - timedelta(seconds=1), State.ATTENTION),
        (timedelta(0), State.ATTENTION),
        (timedelta(days=-1), State.ATTENTION),
    ],
)
def test_a_certificate_is_looked_at_in_time(left: timedelta, state: State) -> None:
    assert row(Item.CERTIFICATE, NOTHING, replace(KNOWN, certificate_until=NOW + left)).state is state


def test_a_certificate_that_cannot_be_read_is_looked_at_and_one_that_is_missing_is_waited_for() -> None:
    assert row(Item.CERTIFICATE, NOTHING, replace(KNOWN, certificate_until=None)).state is State.ATTENTION
    missing = replace(KNOWN, has_certificate=False, certificate_until=None)
    assert row(Item.CERTIFICATE, NOTHING, missing).state is State.WAITING


def test_verified_domains_are_known_where_provisioning_has_read_them() -> None:
    marked = NOTHING.marked(mark(Item.VERIFIED_DOMAINS, domains=(DOMAIN,)))
    assert row(Item.VERIFIED_DOMAINS, marked, KNOWN).state is State.MARKED
    read = replace(KNOWN, verified=Verified(frozenset({DOMAIN, "contoso.onmicrosoft.com"}), NOW))
    done = row(Item.VERIFIED_DOMAINS, NOTHING, read)
    assert (done.state, done.at, done.may_be_marked) == (State.DONE, NOW, False)
    other = replace(KNOWN, verified=Verified(frozenset({"contoso.onmicrosoft.com"}), NOW))
    found = row(Item.VERIFIED_DOMAINS, marked, other)  # Entra knows better than an administrator
    assert (found.state, found.domains, found.mark) == (State.ATTENTION, (DOMAIN,), None)


def test_known_browsers_are_the_policys() -> None:
    assert row(Item.KNOWN_BROWSERS, NOTHING, KNOWN).state is State.OPTIONAL
    strict = replace(TENANT, policy=Policy(sign_in="known_browsers"))
    assert row(Item.KNOWN_BROWSERS, NOTHING, replace(KNOWN, tenant=strict)).state is State.DONE


def test_a_mark_on_each_domain_is_outdated_by_a_further_one_and_not_by_one_less() -> None:
    marked = NOTHING.marked(mark(Item.MFA_BEHAVIOR, domains=(DOMAIN, OTHER)))
    assert row(Item.MFA_BEHAVIOR, marked, KNOWN).state is State.MARKED
    more = replace(TENANT, domains=(domain(DOMAIN), domain(OTHER), domain("new.example")))
    found = row(Item.MFA_BEHAVIOR, marked, replace(KNOWN, tenant=more))
    assert (found.state, found.domains, found.is_done) == (State.OUTDATED, ("new.example",), False)
    whole = NOTHING.marked(mark(Item.BREAK_GLASS))
    assert row(Item.BREAK_GLASS, whole, replace(KNOWN, tenant=more)).state is State.MARKED


def test_a_mark_of_an_item_that_this_release_does_not_know_is_left_alone() -> None:
    later = replace(NOTHING, marks=(replace(mark(Item.FIRST_PERSON), item="something-new"),))
    assert {each.state for group in rows(later, KNOWN).values() for each in group} >= {State.UNKNOWN}
    assert len(later.marked(mark(Item.FIRST_PERSON)).marks) == 2


# --- 3, 4. marks ------------------------------------------------------------------------------------------------


def test_the_first_mark_stays_when_it_is_set_twice() -> None:
    once = NOTHING.marked(mark(Item.BREAK_GLASS))
    assert once.marked(mark(Item.BREAK_GLASS, "Otto Other", 2)) is once
    wider = NOTHING.marked(mark(Item.MFA_BEHAVIOR, domains=(DOMAIN,)))
    assert wider.marked(mark(Item.MFA_BEHAVIOR, "Otto Other", 2, (DOMAIN,))) is wider
    replaced = wider.marked(mark(Item.MFA_BEHAVIOR, "Otto Other", 2, (DOMAIN, OTHER)))
    assert [each.id for each in replaced.marks] == ["m-2"]


def test_only_the_mark_that_was_shown_is_taken_back() -> None:
    marked = NOTHING.marked(mark(Item.BREAK_GLASS))
    with pytest.raises(Conflict, match="Olga Owner"):
        marked.taken_back(Item.BREAK_GLASS, "m-0")
    assert marked.taken_back(Item.BREAK_GLASS, "m-1").marks == ()
    with pytest.raises(NotFound):
        marked.taken_back(Item.FIRST_PERSON, "m-1")


# --- 2. lines of PowerShell -------------------------------------------------------------------------------------

COMMANDS: Mapping[str, set[str]] = {
    "Connect-MgGraph": {"Environment", "TenantId", "Scopes", "NoWelcome"},
    "Format-List": {"Property"},
    "ForEach-Object": {"Process"},
    "Get-MgDirectoryRole": {"Filter"},
    "Get-MgDirectoryRoleMemberAsUser": {"DirectoryRoleId", "All"},
    "Get-MgDomain": {"DomainId"},
    "Get-MgDomainFederationConfiguration": {"DomainId"},
    "Get-MgIdentityConditionalAccessPolicy": {"All"},
    "Get-MgPolicyAuthenticationMethodPolicy": set(),
    "Get-MgPolicyHomeRealmDiscoveryPolicy": {"All"},
    "Get-MgPolicyIdentitySecurityDefaultEnforcementPolicy": set(),
    "Get-MgUserAuthenticationMethod": {"UserId"},
    "Invoke-MgGraphRequest": {"Method", "Uri", "Body", "OutputType"},
    "New-MgIdentityConditionalAccessPolicy": {"BodyParameter"},
    "Update-MgDomainFederationConfiguration": {
        "DomainId",
        "InternalDomainFederationId",
        "FederatedIdpMfaBehavior",
        "PromptLoginBehavior",
    },
    "Where-Object": {"FilterScript"},
}
"""What the lines call, with the parameters that they use: from the reference of the modules, version 2."""
WRITING = re.compile(r"^(New|Update|Set|Remove)-|-Method (PATCH|PUT|POST|DELETE)", re.MULTILINE)


def every_text(tenant: Tenant = TENANT) -> Iterator[tuple[Item, str]]:
    for item in Item:
        found = steps(item, tenant)
        yield from ((item, each) for each in (found.look, found.put_right) if each)


def commands(root: Node) -> Iterator[tuple[str, list[str]]]:
    """Each command with its own parameters; what stands in a block of it are commands by themselves."""
    for node in nodes(root):
        if node.type == "command":
            elements = [child for child in node.children if child.type == "command_elements"]
            own = [child for each in elements for child in each.children]
            yield (
                text(node.named_children[0]),
                [text(each)[1:] for each in own if each.type == "command_parameter"],
            )


@pytest.mark.parametrize("cloud", CLOUDS)
@pytest.mark.parametrize("names", [(), (DOMAIN,), (DOMAIN, OTHER)])
def test_other_peoples_grammar_finds_no_error_and_every_command_is_a_known_one(
    cloud: CloudName, names: tuple[str, ...]
) -> None:
    tenant = replace(TENANT, cloud=cloud, domains=tuple(domain(name) for name in names))
    seen = set()
    for item, lines in every_text(tenant):
        assert lines.isascii()
        assert lines.endswith("\n")
        for name, parameters in commands(parse(lines)):
            assert set(parameters) <= COMMANDS[name], (item, name, parameters)
            seen.add(name)
        assert f"-Environment '{CLOUDS[cloud].graph_environment}'" in lines
        for each in names if RULES[item].each_domain else ():
            assert f"'{each}'" in lines
    assert not names or seen == COMMANDS.keys()


def test_looking_changes_nothing_and_asks_for_no_right_to_write() -> None:
    for item in Item:
        look = steps(item, TENANT).look
        assert not WRITING.search(look), item
        assert "ReadWrite" not in look, item
        for permission in RULES[item].permissions if look else ():
            assert f"'{permission}'" in look, item


def test_a_domains_federation_is_changed_only_where_it_is_ours() -> None:
    for item in (Item.MFA_BEHAVIOR, Item.PROMPT_BEHAVIOR, Item.SYSTEM_BROWSER):
        lines = steps(item, TENANT).put_right.splitlines()
        (change,) = [number for number, line in enumerate(lines) if WRITING.search(line.strip())]
        assert lines[change - 1] == f"if ($Federation.IssuerUri -ceq '{TENANT.domains[0].issuer}') {{"


def test_a_line_that_was_copied_locks_nobody_out() -> None:
    lines = steps(Item.LEGACY_AUTHENTICATION, TENANT).put_right
    assert "state         = 'enabledForReportingButNotEnforced'" in lines
    assert not steps(Item.SECURITY_DEFAULTS, TENANT).put_right


@given(st.text("'’`$(){}\"# \n", min_size=1, max_size=12))
def test_no_issuer_ends_its_text(issuer: str) -> None:
    tenant = replace(TENANT, domains=(Domain(name=DOMAIN, issuer=issuer),))
    lines = steps(Item.MFA_BEHAVIOR, tenant).put_right
    assert [name for name, _ in commands(parse(lines))] == [
        name for name, _ in commands(parse(steps(Item.MFA_BEHAVIOR, TENANT).put_right))
    ]


def test_every_cloud_has_its_admin_centre_and_its_initial_domain() -> None:
    assert PORTALS.keys() == INITIAL.keys() == CLOUDS.keys()
    assert set(INITIAL.values()) == set(INITIAL_DOMAINS)


# --- the console ------------------------------------------------------------------------------------------------


async def recorded(system: AdminSystem) -> list[tuple[str, str, str]]:
    changes = (await handlers.recording.list_changes(system.deps, CONTOSO)).changes
    return [
        (each.act.value, each.subject_id, each.outcome)
        for each in changes
        if each.act.value.startswith("configuration.")
    ]


async def press_mark(browser: ConsoleBrowser, item: Item) -> None:
    page = await browser.get(f"{BASE}/{item.value}")
    answer = await browser.press(page, f"{BASE}/{item.value}/mark")
    assert (answer.status, answer.location) == (303, f"{BASE}/{item.value}")


async def test_steps_1_to_4_an_item_is_marked_seen_and_taken_back(stored: AdminSystem) -> None:
    browser = await signed_in(stored, Role.ADMINISTRATOR, "Anna Admin")
    before = await browser.get(BASE)
    assert before.status == 200
    assert "Emergency administrators" in before.words
    assert "Marked as done" not in before.words
    await press_mark(browser, Item.BREAK_GLASS)
    after = await browser.get(BASE)
    assert "Marked as done by Anna Admin," in after.words
    stored.world.clock.advance(1)  # records of one moment have no order
    other = await signed_in(stored, Role.OWNER)
    page = await other.get(f"{BASE}/break-glass")
    assert "Anna Admin" in page.words
    stored.world.clock.advance(1)  # the changes are listed by their time
    taken = await other.press(page, f"{BASE}/break-glass/unmark")
    assert (taken.status, taken.location) == (303, f"{BASE}/break-glass")
    assert "The mark was taken back." in (await other.get(f"{BASE}/break-glass")).words
    again = await other.press(page, f"{BASE}/break-glass/unmark")
    assert again.status == 404
    assert "This isn't marked as done." in again.words
    assert await recorded(stored) == [
        ("configuration.unmark", "break-glass", "done"),
        ("configuration.mark", "break-glass", "done"),
    ]
    changes = (await other.get(f"/t/{CONTOSO}/changes")).words
    assert "Configuration mark taken back Emergency administrators" in changes


async def test_pressed_twice_it_is_marked_and_recorded_once(system: AdminSystem) -> None:
    one, other = await signed_in(system), await signed_in(system, Role.OWNER, "Otto Other")
    page, seen = [await each.get(f"{BASE}/first-person") for each in (one, other)]
    for _ in range(2):
        assert (await one.press(page, f"{BASE}/first-person/mark")).status == 303
    assert (await other.press(seen, f"{BASE}/first-person/mark")).status == 303
    assert len(await recorded(system)) == 1
    found = (await system.deps.checklists.get(CONTOSO)).mark(Item.FIRST_PERSON)
    assert found is not None
    assert found.name == "Olga Owner"


async def test_whoever_takes_back_a_mark_that_was_set_anew_is_told(system: AdminSystem) -> None:
    one, other = await signed_in(system), await signed_in(system, Role.OWNER, "Otto Other")
    await press_mark(one, Item.FIRST_PERSON)
    late = await one.get(f"{BASE}/first-person")
    await other.press(await other.get(f"{BASE}/first-person"), f"{BASE}/first-person/unmark")
    await press_mark(other, Item.FIRST_PERSON)
    refused = await one.press(late, f"{BASE}/first-person/unmark")
    assert refused.status == 409
    assert "Otto Other has marked this since then." in refused.words
    assert (await system.deps.checklists.get(CONTOSO)).mark(Item.FIRST_PERSON) is not None


async def test_a_domain_that_was_added_while_the_page_was_open_is_not_spoken_for(system: AdminSystem) -> None:
    browser = await signed_in(system)
    path = f"{BASE}/mfa-behavior"
    page = await browser.get(path)
    await handlers.add_domain(system.deps, CONTOSO, OTHER)
    assert (await browser.press(page, f"{path}/mark")).status == 303
    shown = await browser.get(path)
    assert f"Added since then: {OTHER}" in shown.words
    assert (await browser.press(shown, f"{path}/mark")).status == 303
    assert "Marked as done" in (await browser.get(path)).words
    # what somebody makes up is no domain of theirs
    await browser.press(
        await browser.get(f"{BASE}/prompt-behavior"), f"{BASE}/prompt-behavior/mark", domains="x y"
    )
    found = (await system.deps.checklists.get(CONTOSO)).mark(Item.PROMPT_BEHAVIOR)
    assert found is not None
    assert found.domains == ()


@pytest.mark.parametrize("item", [Item.FEDERATION, Item.CERTIFICATE, Item.KNOWN_BROWSERS])
async def test_nobodys_word_replaces_what_is_known_here(system: AdminSystem, item: Item) -> None:
    browser = await signed_in(system)
    assert f"{BASE}/{item.value}/mark" not in (await browser.get(f"{BASE}/{item.value}")).actions
    assert (await browser.post(f"{BASE}/{item.value}/mark", {"csrf": browser.csrf})).status == 404
    assert await recorded(system) == []


@pytest.mark.parametrize("role", [Role.AUDITOR, Role.READ_ONLY])
async def test_readers_see_it_and_mark_nothing(system: AdminSystem, role: Role) -> None:
    browser = await signed_in(system, role, "Rita Reader")
    page = await browser.get(f"{BASE}/break-glass")
    assert page.status == 200
    assert "Owners and administrators mark what is done." in page.words
    assert not [each for each in page.actions if each.startswith(BASE) and each != BASE]


async def test_what_provisioning_read_is_shown_and_goes_before_anybodys_word(system: AdminSystem) -> None:
    browser = await signed_in(system)
    unread = (await browser.get(f"{BASE}/verified-domains")).words
    assert "Read with each test of provisioning, if that has Domain.Read.All" in unread
    never_read = (await browser.get(f"{BASE}/home-realm")).words
    assert "Blok365 doesn't read it. Looking at it in PowerShell takes Policy.Read.All" in never_read
    await press_mark(browser, Item.VERIFIED_DOMAINS)
    page = await browser.get(f"{BASE}/verified-domains")
    assert "Marked as done" in page.words
    domains = ["contoso.onmicrosoft.com"]
    for version in (1, 2):
        checked = {"check": "c", "at": system.deps.clock.now(), "domains": domains}
        message = ConnectionChanged.model_validate(
            {
                "version": version,
                "revision": 1,
                "state": "ready",
                "when_suspended": "disable",
                "when_removed": "delete",
                "checked": checked,
            }
        )
        await system.world.bus.publish([system.world.signer("provisioning").sign(message, tenant=CONTOSO)])
        await system.world.settle()
        shown = await browser.get(f"{BASE}/verified-domains")
        assert "Read from Entra:" in shown.words
        assert ("Not verified in Entra: contoso.example" in shown.words) is (version == 1)
        assert (await browser.press(page, f"{BASE}/verified-domains/unmark")).status == (303, 404)[
            version - 1
        ]
        assert (await browser.post(f"{BASE}/verified-domains/mark", {"csrf": browser.csrf})).status == 404
        domains.append(DOMAIN)


async def test_a_domains_checks_name_the_emergency_administrators(system: AdminSystem) -> None:
    browser = await signed_in(system)
    path = f"/t/{CONTOSO}/federation/{DOMAIN}"
    assert f"{BASE}/break-glass" in (await browser.get(path)).actions
    assert "Marked as done" not in (await browser.get(path)).words
    await press_mark(browser, Item.BREAK_GLASS)
    assert "Marked as done While Blok365 can't be reached" in (await browser.get(path)).words


async def test_marks_are_their_tenants(system: AdminSystem) -> None:
    await press_mark(await signed_in(system), Item.FIRST_PERSON)
    theirs = await signed_in(system, Role.OWNER, "Fred Fabrikam", FABRIKAM)
    assert "Marked as done" not in (await theirs.get(f"/t/{FABRIKAM}/configuration")).words


async def test_every_item_has_a_page_in_both_languages_with_the_tenants_values(system: AdminSystem) -> None:
    await announce(system, current=base64.b64encode(b"\x30no certificate").decode())
    browser = await signed_in(system)
    for lang in ("en", "fr"):
        browser.lang = lang
        assert (await browser.get(BASE)).status == 200
        for item in Item:
            page = await browser.get(f"{BASE}/{item.value}")
            assert page.status == 200, (lang, item)
            if steps(item, TENANT).look:
                lines = page.soup.find(id="look")
                assert lines is not None
                assert f"-TenantId '{DOMAIN}'" in lines.text


async def test_without_a_domain_the_lines_that_need_one_are_not_there(system: AdminSystem) -> None:
    await handlers.create_tenant(system.deps, "empty", "Empty")
    browser = await signed_in(system, Role.OWNER, "Emma Empty", "empty")
    page = await browser.get("/t/empty/configuration/mfa-behavior")
    assert page.soup.find(id="look") is None
    assert "Add a domain first" in page.words
    assert "-TenantId" not in (await browser.get("/t/empty/configuration/home-realm")).text
