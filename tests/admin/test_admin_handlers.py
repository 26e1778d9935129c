"""Use cases: tenants, accounts, invitations."""

import asyncio
from collections.abc import Awaitable
from datetime import timedelta

import pytest

from services.admin import handlers
from services.admin.domain.accounts import AccountAction, apply_action
from services.admin.handlers import NewAccount
from services.admin.handlers.removals import forget_removed
from shared.contracts.admin import AccountStatus, Policy
from shared.crypto.keys import key_from_seed, raw_public
from shared.errors import BadInput, Blok365Error, Conflict, NotFound
from shared.ids import b64u, unb64u
from tests.admin.conftest import CONTOSO, FABRIKAM, AdminSystem


async def counted(*steps: Awaitable[object]) -> tuple[list[object], list[Blok365Error]]:
    """What succeeded and what was refused; any other exception fails the test."""
    results = await asyncio.gather(*steps, return_exceptions=True)
    refused = [r for r in results if isinstance(r, Blok365Error)]
    done = [r for r in results if not isinstance(r, BaseException)]
    assert len(done) + len(refused) == len(results), results
    return done, refused


# Tenants


async def test_a_tenant_grows_application_and_domain_with_the_default_issuer(system: AdminSystem) -> None:
    application = await handlers.add_application(system.deps, CONTOSO, session_hours=4, first_method="qr")
    tenant = await handlers.show_tenant(system.deps, CONTOSO)
    assert tenant.applications == (application,)
    assert (application.template, application.session_hours, application.first_method) == (
        "microsoft365",
        4,
        "qr",
    )
    assert tenant.domains[0].issuer == "http://id.localhost:8365/t/contoso/contoso.example"
    assert tenant.version == 3


async def test_each_step_says_the_whole_state_with_the_next_version(system: AdminSystem) -> None:
    await system.world.settle()
    await handlers.configure_tenant(system.deps, CONTOSO, policy=Policy(badge_counts_as_mfa=True))
    found = await system.database.collection("tenants", outbox=True).find_one({"_id": CONTOSO})
    assert found is not None
    (entry,) = found["outbox"]
    body = bytes(entry["body"]).decode()
    assert '"type":"admin.tenant.configured.v1"' in body
    assert '"badge_counts_as_mfa":true' in body
    assert '"version":3' in body


async def test_a_changed_issuer_is_said_to_everybody(system: AdminSystem) -> None:
    await handlers.add_domain(system.deps, CONTOSO, "two.example", issuer="urn:two")
    await system.world.settle()
    before = await handlers.show_tenant(system.deps, CONTOSO)
    changed = await handlers.change_issuer(system.deps, CONTOSO, "Contoso.example", issuer="urn:one")
    after = await handlers.show_tenant(system.deps, CONTOSO)
    assert after.domains == (changed, before.domains[1])
    assert (changed.name, changed.issuer) == ("contoso.example", "urn:one")
    assert after.version == before.version + 1
    found = await system.database.collection("tenants", outbox=True).find_one({"_id": CONTOSO})
    assert found is not None
    (signed_message,) = found["outbox"]
    assert '"issuer":"urn:one"' in bytes(signed_message["body"]).decode()
    default = await handlers.change_issuer(system.deps, CONTOSO, "contoso.example")
    assert default.issuer == "http://id.localhost:8365/t/contoso/contoso.example"


async def test_an_issuer_is_not_changed_to_another_domains_or_for_a_domain_that_is_not_there(
    stored: AdminSystem,
) -> None:
    await handlers.add_domain(stored.deps, CONTOSO, "one.example", issuer="urn:one")
    for tenant in (CONTOSO, FABRIKAM):
        with pytest.raises(Conflict):
            await handlers.change_issuer(stored.deps, tenant, f"{tenant}.example", issuer="urn:one")
    with pytest.raises(NotFound):
        await handlers.change_issuer(stored.deps, FABRIKAM, "one.example")
    stolen = "http://id.localhost:8365/t/contoso/contoso.example"
    with pytest.raises(BadInput):
        await handlers.change_issuer(stored.deps, FABRIKAM, "fabrikam.example", issuer=stolen)


async def test_a_slug_is_given_once_under_parallel_tries(stored: AdminSystem) -> None:
    done, refused = await counted(
        *(handlers.create_tenant(stored.deps, "northwind", f"N{i}") for i in range(12))
    )
    assert len(done) == 1
    assert {type(error) for error in refused} == {Conflict}


async def test_a_domain_belongs_to_one_tenant_under_parallel_tries(stored: AdminSystem) -> None:
    tenants = (CONTOSO, FABRIKAM) * 5
    done, refused = await counted(*(handlers.add_domain(stored.deps, t, "Shared.example") for t in tenants))
    assert len(done) == 1
    assert {type(error) for error in refused} == {Conflict}
    holders = [
        tenant.slug
        for tenant in await handlers.list_tenants(stored.deps)
        if "shared.example" in {d.name for d in tenant.domains}
    ]
    assert len(holders) == 1


async def test_an_issuer_belongs_to_one_domain_of_one_tenant(stored: AdminSystem) -> None:
    await handlers.add_domain(stored.deps, CONTOSO, "one.example", issuer="urn:one")
    for tenant in (CONTOSO, FABRIKAM):
        with pytest.raises(Conflict):
            await handlers.add_domain(stored.deps, tenant, "two.example", issuer="urn:one")


async def test_a_taken_domain_does_not_tell_whose_it_is(system: AdminSystem) -> None:
    with pytest.raises(Conflict) as refused:
        await handlers.add_domain(system.deps, FABRIKAM, "contoso.example")
    assert "contoso" not in str(refused.value).replace("contoso.example", "")
    assert "Contoso" not in refused.value.remedy


async def test_many_tenants_without_a_domain_can_exist(stored: AdminSystem) -> None:
    for slug in ("one", "two", "three"):
        await handlers.create_tenant(stored.deps, slug, slug)
    assert [t.slug for t in await handlers.list_tenants(stored.deps, after=FABRIKAM)] == [
        "one",
        "three",
        "two",
    ]


async def test_parallel_changes_of_one_tenant_all_happen_and_none_is_lost(stored: AdminSystem) -> None:
    names = [f"App {i}" for i in range(6)]
    done, refused = await counted(*(handlers.add_application(stored.deps, CONTOSO, name=n) for n in names))
    tenant = await handlers.show_tenant(stored.deps, CONTOSO)
    assert len(done) == len(tenant.applications)
    assert not refused
    assert tenant.version == 2 + len(names)


async def test_refuses_a_change_based_on_a_stale_version(system: AdminSystem) -> None:
    seen = await handlers.show_tenant(system.deps, CONTOSO)
    await handlers.configure_tenant(system.deps, CONTOSO, name="Contoso Ltd", expected_version=seen.version)
    with pytest.raises(Conflict):
        await handlers.configure_tenant(system.deps, CONTOSO, name="Other", expected_version=seen.version)
    assert (await handlers.show_tenant(system.deps, CONTOSO)).name == "Contoso Ltd"


async def test_refuses_bad_applications(system: AdminSystem) -> None:
    for wrong in ({"session_hours": 24}, {"session_hours": 0}, {"first_method": "sms"}, {"name": ""}):
        with pytest.raises(BadInput):
            await handlers.add_application(system.deps, CONTOSO, **wrong)
    await handlers.add_application(system.deps, CONTOSO, name="Microsoft 365")
    with pytest.raises(Conflict):
        await handlers.add_application(system.deps, CONTOSO, name="microsoft 365")


# Accounts


async def test_a_user_name_is_given_once_under_parallel_tries(stored: AdminSystem) -> None:
    done, refused = await counted(*(stored.account() for _ in range(12)))
    assert len(done) == 1
    assert {type(error) for error in refused} == {Conflict}


async def test_a_removed_persons_user_name_is_free_after_30_days_and_the_old_immutable_id_is_not_reused(
    stored: AdminSystem,
) -> None:
    old = await stored.account()
    await handlers.remove(stored.deps, CONTOSO, old.upn)
    stored.world.clock.advance(timedelta(days=30).total_seconds())
    with pytest.raises(Conflict) as taken:
        await stored.account()
    assert taken.value.id == "admin.account.removed_holds"
    assert await handlers.finish_removals(stored.deps) == 1
    assert await handlers.finish_removals(stored.deps) == 0
    new = await stored.account()
    assert new.upn == old.upn
    assert new.immutable_id != old.immutable_id
    assert await handlers.show_account(stored.deps, CONTOSO, new.upn) == new
    gone = await handlers.show_account(stored.deps, CONTOSO, old.id)
    assert gone.status is AccountStatus.REMOVED
    assert gone.immutable_id == old.immutable_id
    page = await handlers.list_accounts(stored.deps, CONTOSO)
    assert [each.id for each in page.accounts] == [new.id]


async def test_names_that_an_earlier_release_left_in_tombstones_go(stored: AdminSystem) -> None:
    ada, bob = await stored.account("ada"), await stored.account("bob")
    for account in (ada, bob):
        await handlers.remove(stored.deps, CONTOSO, account.id)
    accounts = stored.database.collection("accounts", outbox=True, state=True)
    await accounts.update({"_id": ada.id}, {"$unset": {"removal": "", "live": ""}})
    assert await forget_removed(stored.deps) == 1
    assert await forget_removed(stored.deps) == 0
    gone, kept = [await stored.deps.accounts.get(CONTOSO, each.id) for each in (ada, bob)]
    assert gone is not None
    assert kept is not None
    assert (gone.upn, gone.email, gone.immutable_id) == ("", "", ada.immutable_id)
    assert (kept.upn, kept.email) == (bob.upn, bob.email)


async def test_the_immutable_id_never_changes(system: AdminSystem) -> None:
    made = await system.account()
    await handlers.suspend(system.deps, CONTOSO, made.upn)
    after = await handlers.resume(system.deps, CONTOSO, made.upn)
    assert after.immutable_id == made.immutable_id
    assert after.version == 3


async def test_of_parallel_suspensions_one_happens_and_the_others_are_told(stored: AdminSystem) -> None:
    made = await stored.account()
    done, refused = await counted(*(handlers.suspend(stored.deps, CONTOSO, made.upn) for _ in range(8)))
    assert len(done) == 1
    assert {type(error) for error in refused} == {Conflict}
    assert (await handlers.show_account(stored.deps, CONTOSO, made.upn)).version == 2


async def test_the_list_walks_everybody_once_in_order(stored: AdminSystem) -> None:
    names = [f"p{i:02d}" for i in range(23)]
    for name in reversed(names):
        await stored.account(name)
    seen: list[str] = []
    cursor = None
    while True:
        page = await handlers.list_accounts(stored.deps, CONTOSO, cursor=cursor, limit=5)
        seen += [a.upn for a in page.accounts]
        if (cursor := page.cursor) is None:
            break
    assert seen == [f"{name}@contoso.example" for name in names]


async def test_the_list_can_be_of_one_status(system: AdminSystem) -> None:
    for name in ("ada", "grace", "alan"):
        await system.account(name)
    await handlers.suspend(system.deps, CONTOSO, "grace@contoso.example")
    page = await handlers.list_accounts(system.deps, CONTOSO, status=AccountStatus.SUSPENDED)
    assert [a.upn for a in page.accounts] == ["grace@contoso.example"]
    assert page.cursor is None


@pytest.mark.parametrize("cursor", ["", "!", "AAAAA", "_w", "a" * 10_000])
async def test_a_cursor_of_somebodys_own_finds_nothing_else(system: AdminSystem, cursor: str) -> None:
    await system.account("ada", FABRIKAM)
    try:
        page = await handlers.list_accounts(system.deps, CONTOSO, cursor=cursor)
    except BadInput:
        return
    assert page.accounts == ()


@pytest.mark.parametrize("limit", [0, -1, 201])
async def test_refuses_pages_of_other_sizes(system: AdminSystem, limit: int) -> None:
    with pytest.raises(BadInput):
        await handlers.list_accounts(system.deps, CONTOSO, limit=limit)


async def test_a_batch_leaves_existing_people_as_they_are_and_the_others_wait_for_the_next_pull(
    stored: AdminSystem,
) -> None:
    ada = await stored.account()
    await stored.world.settle()
    since, _ = await stored.database.fence()
    new = [NewAccount(f"{n}@contoso.example", n, "Last", f"{n}@home.example") for n in ("ada", "bea", "cleo")]
    assert await handlers.create_accounts(stored.deps, CONTOSO, new) == 3
    page = await handlers.list_accounts(stored.deps, CONTOSO)
    assert [a.upn.partition("@")[0] for a in page.accounts] == ["ada", "bea", "cleo"]
    assert page.accounts[0] == ada
    # No event speaks of the new ones: their positions bring them into the next pull of whoever follows admin.
    stored.world.clock.advance(3)
    assert await stored.world.services["admin"].relay.sweep() == 0
    until, _ = await stored.database.fence()
    accounts = stored.database.collection("accounts", state=True)
    waiting = await accounts.changed(since, until, after=None, limit=10)
    assert [row["upn"].partition("@")[0] for _, row in waiting] == ["bea", "cleo"]


# Tenants never see each other


async def test_another_tenants_account_and_no_account_are_the_same_answer(system: AdminSystem) -> None:
    ada = await system.account()
    uses = (handlers.show_account, handlers.suspend, handlers.resume, handlers.remove, handlers.invite)
    for use in uses:
        answers = []
        for name in (ada.id, ada.id[::-1]):
            with pytest.raises(NotFound) as refused:
                await use(system.deps, FABRIKAM, name)
            answers.append(str(refused.value).replace(name, "X"))
        assert answers[0] == answers[1]
        with pytest.raises(NotFound):
            await use(system.deps, FABRIKAM, ada.upn)
    assert await handlers.show_account(system.deps, CONTOSO, ada.id) == ada
    assert (await handlers.list_accounts(system.deps, FABRIKAM)).accounts == ()


async def test_a_person_cannot_be_made_in_another_tenants_domain(system: AdminSystem) -> None:
    with pytest.raises(BadInput):
        await handlers.create_account(
            system.deps, FABRIKAM, NewAccount("eve@contoso.example", "Eve", "Il", "eve@home.example")
        )


async def test_an_unknown_tenant_is_not_found_everywhere(system: AdminSystem) -> None:
    nobody = NewAccount("a@b.example", "A", "B", "a@home.example")
    for step in (
        handlers.show_tenant(system.deps, "nowhere"),
        handlers.configure_tenant(system.deps, "nowhere", name="N"),
        handlers.add_application(system.deps, "nowhere"),
        handlers.add_domain(system.deps, "nowhere", "n.example"),
        handlers.create_account(system.deps, "nowhere", nobody),
        handlers.list_accounts(system.deps, "nowhere"),
    ):
        with pytest.raises(NotFound):
            await step


# Invitations


async def test_the_links_seed_is_the_secret_of_the_published_key(system: AdminSystem) -> None:
    ada = await system.account()
    link = await handlers.invite(system.deps, CONTOSO, ada.upn)
    head, _, fragment = link.url.partition("#i=")
    invitation, _, seed = fragment.partition(".")
    assert head == "http://key.id.localhost:8365/"
    assert invitation == link.invitation.id
    assert b64u(raw_public(key_from_seed(unb64u(seed)))) == link.invitation.public_key
    assert len(unb64u(invitation)) == 16


async def test_the_secret_is_in_no_document_no_message_and_no_representation(stored: AdminSystem) -> None:
    ada = await stored.account()
    link = await handlers.invite(stored.deps, CONTOSO, ada.upn)
    seed = link.url.rpartition(".")[2]
    needles = [seed.encode(), unb64u(seed), unb64u(seed).hex().encode()]
    kept = repr(link).encode() + str(link).encode()
    messages = 0
    for name in ("tenants", "accounts", "invitations"):
        for document in await stored.database.collection(name, outbox=True).find({}):
            messages += len(document.get("outbox", []))
            kept += repr(document).encode()
            for entry in document.get("outbox", []):
                kept += bytes(entry["body"]) + bytes(entry["sig"])
    assert messages >= 2
    assert link.invitation.public_key.encode() in kept  # the search does find what is there
    for needle in needles:
        assert needle not in kept


async def test_the_secret_is_in_no_log_line(system: AdminSystem, capfd: pytest.CaptureFixture[str]) -> None:
    ada = await system.account()
    link = await handlers.invite(system.deps, CONTOSO, ada.upn)
    await system.world.settle()
    printed = "".join(capfd.readouterr())
    assert link.url.rpartition(".")[2] not in printed


async def test_a_new_invitation_withdraws_the_one_before(stored: AdminSystem) -> None:
    ada = await stored.account()
    first = (await handlers.invite(stored.deps, CONTOSO, ada.upn)).invitation
    second = (await handlers.invite(stored.deps, CONTOSO, ada.upn)).invitation
    kept = [await stored.deps.invitations.get(CONTOSO, i.id) for i in (first, second)]
    assert [i.status for i in kept if i] == ["withdrawn", "open"]


async def test_of_parallel_invitations_exactly_one_stays_open(stored: AdminSystem) -> None:
    ada = await stored.account()
    await counted(*(handlers.invite(stored.deps, CONTOSO, ada.upn) for _ in range(5)))
    found = await stored.database.collection("invitations", outbox=True).find({})
    assert [i["status"] for i in found].count("open") == 1


async def test_a_first_invitation_lives_a_day_and_a_later_one_minutes(system: AdminSystem) -> None:
    ada = await system.account()
    first = (await handlers.invite(system.deps, CONTOSO, ada.upn)).invitation
    assert first.expires_at - first.issued_at == timedelta(hours=24)
    enrolled = await system.deps.accounts.change(
        CONTOSO, ada.id, lambda before: apply_action(before, AccountAction.ENROL)
    )
    assert enrolled is not None
    later = (await handlers.invite(system.deps, CONTOSO, ada.upn)).invitation
    assert later.expires_at - later.issued_at == timedelta(minutes=10)


async def test_suspended_and_removed_people_get_no_invitation_and_removal_withdraws_the_open_one(
    system: AdminSystem,
) -> None:
    ada = await system.account()
    link = await handlers.invite(system.deps, CONTOSO, ada.upn)
    await handlers.suspend(system.deps, CONTOSO, ada.upn)
    with pytest.raises(Conflict):
        await handlers.invite(system.deps, CONTOSO, ada.upn)
    await handlers.remove(system.deps, CONTOSO, ada.upn)
    with pytest.raises(Conflict):
        await handlers.invite(system.deps, CONTOSO, ada.id)
    kept = await system.deps.invitations.get(CONTOSO, link.invitation.id)
    assert kept is not None
    assert kept.status == "withdrawn"
