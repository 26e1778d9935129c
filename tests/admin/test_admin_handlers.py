"""Use cases: tenants, people, invitations."""

import asyncio
from collections.abc import Awaitable
from datetime import timedelta

import pytest

from services.admin import domain, handlers
from services.admin.handlers import NewAccount
from shared.contracts.admin import AccountStatus, Policy
from shared.crypto.keys import key_from_seed, raw_public
from shared.errors import BadInput, Blok365Error, Conflict, NotFound
from shared.ids import b64u, unb64u
from tests.admin.conftest import CONTOSO, FABRIKAM, Office


async def counted(*steps: Awaitable[object]) -> tuple[list[object], list[Blok365Error]]:
    """What succeeded and what was refused; any other exception fails the test."""
    results = await asyncio.gather(*steps, return_exceptions=True)
    refused = [r for r in results if isinstance(r, Blok365Error)]
    done = [r for r in results if not isinstance(r, BaseException)]
    assert len(done) + len(refused) == len(results), results
    return done, refused


# Tenants


async def test_a_tenant_grows_application_and_domain_with_the_default_issuer(office: Office) -> None:
    application = await handlers.add_application(office.admin, CONTOSO, session_hours=4, first_method="qr")
    tenant = await handlers.show_tenant(office.admin, CONTOSO)
    assert tenant.applications == (application,)
    assert (application.template, application.session_hours, application.first_method) == (
        "microsoft365",
        4,
        "qr",
    )
    assert tenant.domains[0].issuer == "http://localhost:8365/t/contoso/contoso.example"
    assert tenant.version == 3


async def test_each_step_says_the_whole_state_with_the_next_version(office: Office) -> None:
    await office.world.settle()
    await handlers.configure_tenant(office.admin, CONTOSO, policy=Policy(badge_counts_as_mfa=True))
    found = await office.database.collection("tenants", outbox=True).find_one({"_id": CONTOSO})
    assert found is not None
    (signed,) = found["outbox"]
    body = bytes(signed["body"]).decode()
    assert '"type":"admin.tenant.configured.v1"' in body
    assert '"badge_counts_as_mfa":true' in body
    assert '"version":3' in body


async def test_a_changed_issuer_is_said_to_everybody(office: Office) -> None:
    await handlers.add_domain(office.admin, CONTOSO, "two.example", issuer="urn:two")
    await office.world.settle()
    before = await handlers.show_tenant(office.admin, CONTOSO)
    changed = await handlers.change_issuer(office.admin, CONTOSO, "Contoso.example", issuer="urn:one")
    after = await handlers.show_tenant(office.admin, CONTOSO)
    assert after.domains == (changed, before.domains[1])
    assert (changed.name, changed.issuer) == ("contoso.example", "urn:one")
    assert after.version == before.version + 1
    found = await office.database.collection("tenants", outbox=True).find_one({"_id": CONTOSO})
    assert found is not None
    (signed_message,) = found["outbox"]
    assert '"issuer":"urn:one"' in bytes(signed_message["body"]).decode()
    default = await handlers.change_issuer(office.admin, CONTOSO, "contoso.example")
    assert default.issuer == "http://localhost:8365/t/contoso/contoso.example"


async def test_an_issuer_is_not_changed_to_another_domains_or_for_a_domain_that_is_not_there(
    either: Office,
) -> None:
    await handlers.add_domain(either.admin, CONTOSO, "one.example", issuer="urn:one")
    for tenant in (CONTOSO, FABRIKAM):
        with pytest.raises(Conflict):
            await handlers.change_issuer(either.admin, tenant, f"{tenant}.example", issuer="urn:one")
    with pytest.raises(NotFound):
        await handlers.change_issuer(either.admin, FABRIKAM, "one.example")
    stolen = "http://localhost:8365/t/contoso/contoso.example"
    with pytest.raises(BadInput):
        await handlers.change_issuer(either.admin, FABRIKAM, "fabrikam.example", issuer=stolen)


async def test_a_slug_is_given_once_under_parallel_tries(either: Office) -> None:
    done, refused = await counted(
        *(handlers.create_tenant(either.admin, "northwind", f"N{i}") for i in range(12))
    )
    assert len(done) == 1
    assert {type(error) for error in refused} == {Conflict}


async def test_a_domain_belongs_to_one_tenant_under_parallel_tries(either: Office) -> None:
    tenants = (CONTOSO, FABRIKAM) * 5
    done, refused = await counted(*(handlers.add_domain(either.admin, t, "Shared.example") for t in tenants))
    assert len(done) == 1
    assert {type(error) for error in refused} == {Conflict}
    holders = [
        tenant.slug
        for tenant in await handlers.list_tenants(either.admin)
        if "shared.example" in {d.name for d in tenant.domains}
    ]
    assert len(holders) == 1


async def test_an_issuer_belongs_to_one_domain_of_one_tenant(either: Office) -> None:
    await handlers.add_domain(either.admin, CONTOSO, "one.example", issuer="urn:one")
    for tenant in (CONTOSO, FABRIKAM):
        with pytest.raises(Conflict):
            await handlers.add_domain(either.admin, tenant, "two.example", issuer="urn:one")


async def test_a_taken_domain_does_not_tell_whose_it_is(office: Office) -> None:
    with pytest.raises(Conflict) as refused:
        await handlers.add_domain(office.admin, FABRIKAM, "contoso.example")
    assert "contoso" not in str(refused.value).replace("contoso.example", "")
    assert "Contoso" not in refused.value.remedy


async def test_many_tenants_without_a_domain_can_exist(either: Office) -> None:
    for slug in ("one", "two", "three"):
        await handlers.create_tenant(either.admin, slug, slug)
    assert [t.slug for t in await handlers.list_tenants(either.admin, after=FABRIKAM)] == [
        "one",
        "three",
        "two",
    ]


async def test_parallel_changes_of_one_tenant_all_happen_and_none_is_lost(either: Office) -> None:
    names = [f"App {i}" for i in range(6)]
    done, refused = await counted(*(handlers.add_application(either.admin, CONTOSO, name=n) for n in names))
    tenant = await handlers.show_tenant(either.admin, CONTOSO)
    assert len(done) == len(tenant.applications)
    assert not refused
    assert tenant.version == 2 + len(names)


async def test_refuses_a_change_based_on_a_stale_version(office: Office) -> None:
    seen = await handlers.show_tenant(office.admin, CONTOSO)
    await handlers.configure_tenant(office.admin, CONTOSO, name="Contoso Ltd", expected_version=seen.version)
    with pytest.raises(Conflict):
        await handlers.configure_tenant(office.admin, CONTOSO, name="Other", expected_version=seen.version)
    assert (await handlers.show_tenant(office.admin, CONTOSO)).name == "Contoso Ltd"


async def test_refuses_bad_applications(office: Office) -> None:
    for wrong in ({"session_hours": 24}, {"session_hours": 0}, {"first_method": "sms"}, {"name": ""}):
        with pytest.raises(BadInput):
            await handlers.add_application(office.admin, CONTOSO, **wrong)
    await handlers.add_application(office.admin, CONTOSO, name="Microsoft 365")
    with pytest.raises(Conflict):
        await handlers.add_application(office.admin, CONTOSO, name="microsoft 365")


# People


async def test_a_user_name_is_given_once_under_parallel_tries(either: Office) -> None:
    done, refused = await counted(*(either.person() for _ in range(12)))
    assert len(done) == 1
    assert {type(error) for error in refused} == {Conflict}


async def test_a_removed_persons_user_name_is_free_and_the_old_immutable_id_is_not_reused(
    either: Office,
) -> None:
    old = await either.person()
    await handlers.remove(either.admin, CONTOSO, old.upn)
    new = await either.person()
    assert new.upn == old.upn
    assert new.immutable_id != old.immutable_id
    assert await handlers.show_account(either.admin, CONTOSO, new.upn) == new
    gone = await handlers.show_account(either.admin, CONTOSO, old.id)
    assert gone.status is AccountStatus.REMOVED


async def test_the_immutable_id_never_changes(office: Office) -> None:
    made = await office.person()
    await handlers.suspend(office.admin, CONTOSO, made.upn)
    after = await handlers.resume(office.admin, CONTOSO, made.upn)
    assert after.immutable_id == made.immutable_id
    assert after.version == 3


async def test_of_parallel_suspensions_one_happens_and_the_others_are_told(either: Office) -> None:
    made = await either.person()
    done, refused = await counted(*(handlers.suspend(either.admin, CONTOSO, made.upn) for _ in range(8)))
    assert len(done) == 1
    assert {type(error) for error in refused} == {Conflict}
    assert (await handlers.show_account(either.admin, CONTOSO, made.upn)).version == 2


async def test_the_list_walks_everybody_once_in_order(either: Office) -> None:
    names = [f"p{i:02d}" for i in range(23)]
    for name in reversed(names):
        await either.person(name)
    seen: list[str] = []
    cursor = None
    while True:
        page = await handlers.list_accounts(either.admin, CONTOSO, cursor=cursor, limit=5)
        seen += [a.upn for a in page.accounts]
        if (cursor := page.cursor) is None:
            break
    assert seen == [f"{name}@contoso.example" for name in names]


async def test_the_list_can_be_of_one_status(office: Office) -> None:
    for name in ("ada", "grace", "alan"):
        await office.person(name)
    await handlers.suspend(office.admin, CONTOSO, "grace@contoso.example")
    page = await handlers.list_accounts(office.admin, CONTOSO, status=AccountStatus.SUSPENDED)
    assert [a.upn for a in page.accounts] == ["grace@contoso.example"]
    assert page.cursor is None


@pytest.mark.parametrize("cursor", ["", "!", "AAAAA", "_w", "a" * 10_000])
async def test_a_cursor_of_somebodys_own_finds_nothing_else(office: Office, cursor: str) -> None:
    await office.person("ada", FABRIKAM)
    try:
        page = await handlers.list_accounts(office.admin, CONTOSO, cursor=cursor)
    except BadInput:
        return
    assert page.accounts == ()


@pytest.mark.parametrize("limit", [0, -1, 201])
async def test_refuses_pages_of_other_sizes(office: Office, limit: int) -> None:
    with pytest.raises(BadInput):
        await handlers.list_accounts(office.admin, CONTOSO, limit=limit)


async def test_a_batch_leaves_existing_people_as_they_are_and_the_others_wait_for_the_next_pull(
    either: Office,
) -> None:
    ada = await either.person()
    await either.world.settle()
    since, _ = await either.database.fence()
    new = [NewAccount(f"{n}@contoso.example", n, "Last", f"{n}@home.example") for n in ("ada", "bea", "cleo")]
    assert await handlers.create_accounts(either.admin, CONTOSO, new) == 3
    page = await handlers.list_accounts(either.admin, CONTOSO)
    assert [a.upn.partition("@")[0] for a in page.accounts] == ["ada", "bea", "cleo"]
    assert page.accounts[0] == ada
    # No event speaks of the new ones: their positions bring them into the next pull of whoever follows admin.
    either.world.clock.advance(3)
    assert await either.world.services["admin"].relay.sweep() == 0
    until, _ = await either.database.fence()
    accounts = either.database.collection("accounts", state=True)
    waiting = await accounts.changed(since, until, after=None, limit=10)
    assert [row["upn"].partition("@")[0] for _, row in waiting] == ["bea", "cleo"]


# Tenants never see each other


async def test_another_tenants_account_and_no_account_are_the_same_answer(office: Office) -> None:
    ada = await office.person()
    uses = (handlers.show_account, handlers.suspend, handlers.resume, handlers.remove, handlers.invite)
    for use in uses:
        answers = []
        for name in (ada.id, ada.id[::-1]):
            with pytest.raises(NotFound) as refused:
                await use(office.admin, FABRIKAM, name)
            answers.append(str(refused.value).replace(name, "X"))
        assert answers[0] == answers[1]
        with pytest.raises(NotFound):
            await use(office.admin, FABRIKAM, ada.upn)
    assert await handlers.show_account(office.admin, CONTOSO, ada.id) == ada
    assert (await handlers.list_accounts(office.admin, FABRIKAM)).accounts == ()


async def test_a_person_cannot_be_made_in_another_tenants_domain(office: Office) -> None:
    with pytest.raises(BadInput):
        await handlers.create_account(
            office.admin, FABRIKAM, NewAccount("eve@contoso.example", "Eve", "Il", "eve@home.example")
        )


async def test_an_unknown_tenant_is_not_found_everywhere(office: Office) -> None:
    nobody = NewAccount("a@b.example", "A", "B", "a@home.example")
    for step in (
        handlers.show_tenant(office.admin, "nowhere"),
        handlers.configure_tenant(office.admin, "nowhere", name="N"),
        handlers.add_application(office.admin, "nowhere"),
        handlers.add_domain(office.admin, "nowhere", "n.example"),
        handlers.create_account(office.admin, "nowhere", nobody),
        handlers.list_accounts(office.admin, "nowhere"),
    ):
        with pytest.raises(NotFound):
            await step


# Invitations


async def test_the_links_seed_is_the_secret_of_the_published_key(office: Office) -> None:
    ada = await office.person()
    link = await handlers.invite(office.admin, CONTOSO, ada.upn)
    head, _, fragment = link.url.partition("#i=")
    invitation, _, seed = fragment.partition(".")
    assert head == "http://localhost:8365/key/"
    assert invitation == link.invitation.id
    assert b64u(raw_public(key_from_seed(unb64u(seed)))) == link.invitation.public_key
    assert len(unb64u(invitation)) == 16


async def test_the_secret_is_in_no_document_no_message_and_no_representation(either: Office) -> None:
    ada = await either.person()
    link = await handlers.invite(either.admin, CONTOSO, ada.upn)
    seed = link.url.rpartition(".")[2]
    needles = [seed.encode(), unb64u(seed), unb64u(seed).hex().encode()]
    kept = repr(link).encode() + str(link).encode()
    messages = 0
    for name in ("tenants", "accounts", "invitations"):
        for document in await either.database.collection(name, outbox=True).find({}):
            messages += len(document.get("outbox", []))
            kept += repr(document).encode()
            for entry in document.get("outbox", []):
                kept += bytes(entry["body"]) + bytes(entry["sig"])
    assert messages >= 2
    assert link.invitation.public_key.encode() in kept  # the search does find what is there
    for needle in needles:
        assert needle not in kept


async def test_the_secret_is_in_no_log_line(office: Office, capfd: pytest.CaptureFixture[str]) -> None:
    ada = await office.person()
    link = await handlers.invite(office.admin, CONTOSO, ada.upn)
    await office.world.settle()
    printed = "".join(capfd.readouterr())
    assert link.url.rpartition(".")[2] not in printed


async def test_a_new_invitation_withdraws_the_one_before(either: Office) -> None:
    ada = await either.person()
    first = (await handlers.invite(either.admin, CONTOSO, ada.upn)).invitation
    second = (await handlers.invite(either.admin, CONTOSO, ada.upn)).invitation
    kept = [await either.admin.invitations.get(CONTOSO, i.id) for i in (first, second)]
    assert [i.status for i in kept if i] == ["withdrawn", "open"]


async def test_of_parallel_invitations_exactly_one_stays_open(either: Office) -> None:
    ada = await either.person()
    await counted(*(handlers.invite(either.admin, CONTOSO, ada.upn) for _ in range(5)))
    found = await either.database.collection("invitations", outbox=True).find({})
    assert [i["status"] for i in found].count("open") == 1


async def test_a_first_invitation_lives_a_day_and_a_later_one_minutes(office: Office) -> None:
    ada = await office.person()
    first = (await handlers.invite(office.admin, CONTOSO, ada.upn)).invitation
    assert first.expires_at - first.issued_at == timedelta(hours=24)
    account = domain.step(ada, domain.Step.ENROL)
    assert await office.admin.accounts.replace(account, office.admin.account_message(account))
    later = (await handlers.invite(office.admin, CONTOSO, ada.upn)).invitation
    assert later.expires_at - later.issued_at == timedelta(minutes=10)


async def test_suspended_and_removed_people_get_no_invitation_and_removal_withdraws_the_open_one(
    office: Office,
) -> None:
    ada = await office.person()
    link = await handlers.invite(office.admin, CONTOSO, ada.upn)
    await handlers.suspend(office.admin, CONTOSO, ada.upn)
    with pytest.raises(Conflict):
        await handlers.invite(office.admin, CONTOSO, ada.upn)
    await handlers.remove(office.admin, CONTOSO, ada.upn)
    with pytest.raises(Conflict):
        await handlers.invite(office.admin, CONTOSO, ada.id)
    kept = await office.admin.invitations.get(CONTOSO, link.invitation.id)
    assert kept is not None
    assert kept.status == "withdrawn"
