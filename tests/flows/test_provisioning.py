"""docs/flows/provisioning.md, step by step: admin and provisioning at work before the stand-in of Graph."""

from collections.abc import AsyncIterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from services.admin import app as admin_app
from services.admin import handlers as admin
from services.admin.domain.accounts import UNDO
from services.admin.handlers import NewAccount
from services.admin.ports import Dependencies as AdminDependencies
from services.provisioning.app import build
from services.provisioning.handlers.worker import Worker
from services.provisioning.ports import Dependencies
from shared.assembly import Platform, Wired
from shared.contracts.admin import AuthenticatorChanged, EndorsedBy
from shared.errors import BadInput, Conflict
from tests.provisioning.standin import StandInDirectory
from tests.standins.graph.directory import BUSINESS, CLIENT, SECRET
from tests.world import InMemorySystem, make_system

PROPERTIES = f"""
  "client_id": "{CLIENT}",
  "client_secret": "{SECRET}",
  "tenant_domain": "contoso.onmicrosoft.com",
"""
ADA = NewAccount("ada@contoso.example", "Ada", "Lovelace", "ada@private.example")


@dataclass
class Flow:
    """Both services, the stand-in, and what makes them go on."""

    world: InMemorySystem
    admin: AdminDependencies
    provisioning: Dependencies
    graph: StandInDirectory

    async def go_on(self, seconds: float = 0, rounds: int = 4) -> None:
        self.world.clock.advance(seconds)
        assert isinstance(self.provisioning.queue, Worker)
        for _ in range(rounds):
            await self.world.settle()
            await self.provisioning.queue.round()
            await self.provisioning.queue.idle()
        await self.world.settle()

    async def connect(self) -> None:
        await admin.set_connection(self.admin, "contoso", properties=PROPERTIES, enabled=True)
        await self.go_on()

    async def state(self, name: str = ADA.upn) -> str:
        _, known = await admin.directory_person(self.admin, "contoso", name)
        return known.state if known is not None else ""

    def sent(self) -> list[str]:
        entries = self.graph.standin.record.entries()
        return [
            f"{entry['method']} {entry['url'].partition('/v1.0')[2].partition('?')[0]}" for entry in entries
        ]


@pytest.fixture
async def flow(tmp_path: Path) -> AsyncIterator[Flow]:
    """The tenant contoso, with its domain; no connection yet."""
    world = make_system(tmp_path)
    graph = StandInDirectory(world.clock)
    made: dict[str, Wired[Any]] = {}

    def of_admin(platform: Platform) -> Wired[AdminDependencies]:
        made["admin"] = admin_app.build(platform)
        return made["admin"]

    def of_provisioning(platform: Platform) -> Wired[Dependencies]:
        made["provisioning"] = build(platform, directory=graph)
        return made["provisioning"]

    await world.start(of_admin, of_provisioning)
    started = Flow(world, made["admin"].dependencies, made["provisioning"].dependencies, graph)
    await admin.create_tenant(started.admin, "contoso", "Contoso")
    await admin.add_domain(started.admin, "contoso", "contoso.example")
    await started.go_on()
    yield started
    assert graph.misfits == []  # every request fits Microsoft's schema


async def test_step_1_properties_are_sealed_at_once_and_nowhere_in_the_clear(flow: Flow) -> None:
    await flow.connect()
    view = await admin.show_connection(flow.admin, "contoso")
    assert view.in_force
    assert view.known is not None
    assert (view.known.state, view.known.client_id, view.known.credential) == ("ready", CLIENT, "secret")
    for service in ("admin", "provisioning"):
        assert SECRET not in repr(flow.world.databases[service].data)
    assert all(SECRET.encode() not in signed.body for signed in flow.world.bus.sent)


async def test_step_1_what_is_not_named_stays(flow: Flow) -> None:
    with pytest.raises(BadInput):
        await admin.set_connection(flow.admin, "contoso", enabled=True)
    await flow.connect()
    await admin.set_connection(flow.admin, "contoso", when_removed="disable")
    await flow.go_on()
    view = await admin.show_connection(flow.admin, "contoso")
    assert view.known is not None
    assert (view.known.state, view.known.when_removed, view.known.revision) == ("ready", "disable", 2)


async def test_step_2_a_test_says_what_is_missing_and_which_licences_there_are(flow: Flow) -> None:
    with pytest.raises(Conflict):
        await admin.check_connection(flow.admin, "contoso")
    await flow.connect()
    check = await admin.check_connection(flow.admin, "contoso")
    assert await admin.checked(flow.admin, "contoso", check) is None
    await flow.go_on()
    found = await admin.checked(flow.admin, "contoso", check)
    assert found is not None
    assert {each.name: each.granted for each in found.permissions} == {
        "User.ReadWrite.All": True,
        "LicenseAssignment.Read.All": True,
        "Domain.Read.All": True,
        "RoleManagement.Read.Directory": False,
    }
    assert "contoso.example" in found.domains
    assert [(each.name, each.left) for each in found.licences] == [("O365_BUSINESS_PREMIUM", 2)]


async def test_steps_3_to_7_an_account_becomes_a_user_with_a_licence(flow: Flow) -> None:
    await flow.connect()
    await admin.check_connection(flow.admin, "contoso")
    await flow.go_on()
    account = await admin.create_account(flow.admin, "contoso", ADA)
    await admin.set_licences(
        flow.admin, "contoso", ADA.upn, usage_location="fr", licences=["O365_BUSINESS_PREMIUM"]
    )
    await flow.go_on()
    await flow.go_on(seconds=20)
    await flow.go_on(seconds=20)
    (user,) = flow.graph.people
    assert (user.upn, user.immutable_id) == (ADA.upn, account.immutable_id)
    assert user.properties["givenName"] == "Ada"
    assert [licence.sku_id for licence in user.licences] == [BUSINESS]
    _, known = await admin.directory_person(flow.admin, "contoso", ADA.upn)
    assert known is not None
    assert (known.state, known.object_id) == ("done", user.id)
    assert known.request_id


async def test_step_3_whoever_was_there_before_the_connection_is_made_too(flow: Flow) -> None:
    await admin.create_account(flow.admin, "contoso", ADA)
    await flow.go_on()
    assert flow.sent() == []
    await flow.connect()
    assert await flow.state() == "done"


async def test_steps_5_and_7_suspend_resume_rename_and_remove(flow: Flow) -> None:
    await flow.connect()
    await admin.create_account(flow.admin, "contoso", ADA)
    await flow.go_on()
    await admin.suspend(flow.admin, "contoso", ADA.upn)
    await flow.go_on()
    assert not flow.graph.people[0].properties["accountEnabled"]
    await admin.resume(flow.admin, "contoso", ADA.upn)
    await admin.rename(flow.admin, "contoso", ADA.upn, "countess@contoso.example")
    await flow.go_on()
    assert flow.graph.people[0].properties["accountEnabled"] is True
    assert flow.graph.people[0].upn == "countess@contoso.example"
    await admin.sign_out_everywhere(flow.admin, "contoso", "countess@contoso.example")
    await flow.go_on()
    assert sum("revokeSignInSessions" in each for each in flow.sent()) == 2
    await admin.remove(flow.admin, "contoso", "countess@contoso.example")
    await flow.go_on()
    assert flow.graph.people == []


async def test_a_removal_that_is_undone_restores_the_user_with_the_same_id(flow: Flow) -> None:
    """docs/flows/removal.md, step 5."""
    await flow.connect()
    ada = await admin.create_account(flow.admin, "contoso", ADA)
    await flow.go_on()
    _, made = await admin.directory_person(flow.admin, "contoso", ADA.upn)
    await admin.remove(flow.admin, "contoso", ADA.upn)
    await flow.go_on()
    assert flow.graph.people == []
    await admin.restore(flow.admin, "contoso", ADA.upn)
    await flow.go_on()
    _, again = await admin.directory_person(flow.admin, "contoso", ADA.upn)
    assert made is not None
    assert again is not None
    assert (again.state, again.object_id) == ("done", made.object_id)
    (user,) = flow.graph.people
    assert (user.properties["onPremisesImmutableId"], user.properties["accountEnabled"]) == (
        ada.immutable_id,
        True,
    )


async def test_a_removal_that_is_made_final_changes_nothing_at_a_user_that_was_kept(flow: Flow) -> None:
    """docs/flows/removal.md, step 7: the account has no name any more, and that is no new name."""
    await flow.connect()
    await admin.set_connection(flow.admin, "contoso", when_removed="disable")
    ada = await admin.create_account(flow.admin, "contoso", ADA)
    await flow.go_on()
    await admin.remove(flow.admin, "contoso", ADA.upn)
    await flow.go_on()
    (before,), sent = flow.graph.people, len(flow.sent())
    await flow.go_on(UNDO.total_seconds())
    assert await admin.finish_removals(flow.admin) == 1
    await flow.go_on()
    assert await flow.state(ada.id) == "done"
    assert flow.graph.people == [before]
    assert [each for each in flow.sent()[sent:] if not each.startswith(("GET", "POST /$batch"))] == []


async def test_step_6_an_answer_that_is_lost_is_looked_up(flow: Flow) -> None:
    await flow.connect()
    flow.graph.go_wrong("drop_after_write", method="POST", path="/users", times=1)
    flow.graph.go_wrong("not_found_after_create", method="POST", path="/users", times=1, seconds=90)
    await admin.create_account(flow.admin, "contoso", ADA)
    await flow.go_on()
    for _ in range(10):
        await flow.go_on(seconds=30)
    assert await flow.state() == "done"
    assert len(flow.graph.people) == 1


async def test_step_8_a_removed_phone_ends_microsofts_sessions(flow: Flow) -> None:
    await flow.connect()
    account = await admin.create_account(flow.admin, "contoso", ADA)
    await flow.go_on()
    revoked = AuthenticatorChanged(
        version=2,
        authenticator="phone",
        kind="phone",
        account=account.id,
        credential_id="",
        key_sha256="",
        endorsed_by=EndorsedBy(kind="invitation", id="i"),
        status="revoked",
        reason="administrator",
    )
    for _ in range(2):
        await flow.world.say("admin", revoked)
        await flow.go_on()
    assert sum("revokeSignInSessions" in each for each in flow.sent()) == 1


async def test_step_9_what_failed_is_tried_again_when_somebody_says_so(flow: Flow) -> None:
    await flow.connect()
    flow.graph.add_user(userPrincipalName=ADA.upn, displayName="Another Ada")
    await admin.create_account(flow.admin, "contoso", ADA)
    await flow.go_on()
    await flow.go_on(seconds=10)
    (failed,) = await admin.failed_people(flow.admin, "contoso")
    assert failed.fault is not None
    assert failed.fault.key == "name_taken"
    flow.graph.rename(ADA.upn, "another@contoso.example")
    await admin.retry_person(flow.admin, "contoso", ADA.upn)
    await flow.go_on()
    assert await flow.state() == "done"
    assert await admin.failed_people(flow.admin, "contoso") == []
    with pytest.raises(Conflict):
        await admin.retry_person(flow.admin, "contoso", ADA.upn)
