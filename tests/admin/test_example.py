"""The example organisation of `make run`: the same at every start, and one problem of each kind."""

import asyncio
from collections import Counter
from datetime import timedelta
from itertools import islice

import pytest

from deploy.local import example, example_sign_ins, tenant
from deploy.local.example import Kind, people
from deploy.local.running_system import RunningSystem
from services.admin import handlers
from services.admin.domain.roles import Act, Role
from services.admin.handlers.recording import list_changes
from services.wsfed.store import FirstUseRepository, SignInFigureRepository
from shared.contracts.admin import AccountStatus, AuthenticatorStatus
from shared.store.memory import MemoryDatabase
from tests.admin.conftest import CONTOSO, AdminSystem
from tests.admin.console import signed_in


@pytest.fixture
def running(system: AdminSystem, monkeypatch: pytest.MonkeyPatch) -> RunningSystem:
    monkeypatch.setattr(example, "PAUSE", 0)
    world = system.world
    return RunningSystem(world.platform.settings, world.clock, system.deps, world.settle)


def test_it_is_300_people_of_every_kind_with_names_that_pages_must_bear() -> None:
    everybody = list(people())
    assert everybody == list(people())
    assert len({each.new.upn for each in everybody}) == len(everybody) == 300
    counted = Counter(each.kind for each in everybody)
    assert set(counted) == set(Kind)
    assert counted[Kind.ENROLLED] > 150
    names = "".join(f"{each.new.first_name} {each.new.last_name}" for each in everybody)
    for letters in ("é", "Ł", "'", "-", "م", "נ", "佐"):
        assert letters in names
    first = {each.kind for each in islice(people(), 7)}
    assert first == set(Kind) - {Kind.ENROLLED}, "every problem is there at once"


async def test_its_history_of_sign_ins_is_the_same_when_it_is_written_again(system: AdminSystem) -> None:
    world, ada = system.world, await system.account()
    database = MemoryDatabase(clock=world.clock)
    figures = SignInFigureRepository(database, world.signer("wsfed"))
    now = world.clock.now()
    for _ in range(2):
        await example_sign_ins.write_days(figures, CONTOSO, now)
        await example_sign_ins.write_person(figures, ada, now, 7, not_me=True)
    days = await database.collection("sign_in_days").find({})
    assert len(days) == example_sign_ins.DAYS
    assert {day["version"] for day in days} == {1}
    for ago in (1, 60):
        row = await figures.day(CONTOSO, (now - timedelta(days=ago)).date().isoformat())
        assert sum(each.count for each in row.event().counts) > 10
    (listed,) = await database.collection("sign_ins").find({})
    assert listed["version"] == 1
    assert [each["outcome"] for each in listed["attempts"]].count("not_me") == 1


async def test_its_domain_was_used_since_its_history_begins(system: AdminSystem) -> None:
    world = system.world
    database = MemoryDatabase(clock=world.clock)
    begun = world.clock.now() - timedelta(days=example_sign_ins.DAYS)
    for _ in range(2):
        uses = FirstUseRepository(database, world.signer("wsfed"), world.clock)
        example_sign_ins.note_first_use(uses, CONTOSO, "contoso.example", world.clock.now())
        await uses.flush()
        world.clock.advance(3600)
    (found,) = await database.collection("first_use").find({})
    assert (found["first_request_at"], found["first_sign_in_at"], found["version"]) == (begun, begun, 1)


async def test_made_twice_it_is_there_once_and_shows_each_problem(
    system: AdminSystem, running: RunningSystem
) -> None:
    assert await example.seed(running, people_of=islice(people(), 12)) == 12
    assert await example.seed(running, people_of=islice(people(), 14)) == 2
    deps = system.deps
    for each in islice(people(), 14):
        account = await handlers.show_account(deps, example.TENANT, each.new.upn)
        assert account.created_at < deps.clock.now()
        devices = await handlers.list_devices(deps, example.TENANT, account.id)
        statuses = {device.status for device in devices}
        match each.kind:
            case Kind.SUSPENDED:
                assert account.status is AccountStatus.SUSPENDED
            case Kind.REMOVED:
                assert account.removal is not None
                assert deps.clock.now() < account.removal.final_at
            case Kind.REFUSED:
                assert statuses == {AuthenticatorStatus.REFUSED}
            case Kind.NO_PHONE:
                assert (account.status, statuses) == (AccountStatus.ACTIVE, {AuthenticatorStatus.REVOKED})
            case Kind.ENROLLED:
                assert (account.status, statuses) == (AccountStatus.ACTIVE, {AuthenticatorStatus.TRUSTED})
            case Kind.EXPIRED:
                invitation = await deps.invitations.latest_of(example.TENANT, account.id)
                assert invitation is not None
                assert invitation.expires_at < deps.clock.now()
            case Kind.INVITED | Kind.NEW:
                assert account.status is AccountStatus.INVITED
    acts = {each.act for each in (await list_changes(deps, example.TENANT)).changes}
    assert {Act.CREATE_ACCOUNT, Act.SUSPEND, Act.REMOVE_ACCOUNT, Act.REMOVE_DEVICE, Act.INVITE} <= acts
    assert (await handlers.readiness(deps, example.TENANT, example.DOMAIN)).without > 0


async def test_the_demo_tenants_first_owner_owns_it_too(system: AdminSystem, running: RunningSystem) -> None:
    await example.seed(running, people_of=iter(()))
    waiting = asyncio.create_task(example.share_owner(running))
    await asyncio.sleep(0)
    browser = await signed_in(system, Role.OWNER, tenant=tenant.TENANT)
    system.world.clock.advance(example.OWNER_EVERY)
    await asyncio.wait_for(waiting, 10)
    await example.share_owner(running)  # again: nothing happens
    (owner,) = (await system.deps.teams.get(example.TENANT)).owners
    assert owner.name == "Olga Owner"
    assert (await browser.get(f"/t/{example.TENANT}/people")).status == 200
