"""Against the strict stand-in of Graph: whole lives of people, misbehaviour, and kills in between."""

from collections import Counter
from collections.abc import AsyncIterator
from dataclasses import replace
from pathlib import Path

import pytest

from deploy.standins.graph import control
from shared.contracts.admin import AccountStatus
from shared.directory import FaultKey
from tests.provisioning.standin import StandInDirectory
from tests.provisioning.support import MINUTE, Provisioning, make_provisioning
from tests.standins.graph.directory import BUSINESS, SECRET, SET_UP, TENANT

Graph = tuple[Provisioning, StandInDirectory]


@pytest.fixture
async def graph(tmp_path: Path) -> AsyncIterator[Graph]:
    """Connected to the stand-in's tenant."""
    made: list[StandInDirectory] = []

    def directory(clock: object) -> StandInDirectory:
        made.append(StandInDirectory(clock))  # type: ignore[arg-type]
        return made[0]

    provisioning = await make_provisioning(tmp_path, directory)
    await provisioning.connect()
    await provisioning.work()
    yield provisioning, made[0]
    assert made[0].misfits == []


async def test_a_whole_life(graph: Graph) -> None:
    provisioning, directory = graph
    await provisioning.account("ada")
    await provisioning.profile("ada", usage_location="FR", licences=(BUSINESS,))
    await provisioning.work()
    await provisioning.later(10, rounds=3)
    assert provisioning.person().state == "done", provisioning.person()
    (user,) = directory.people
    assert (user.upn, user.properties["onPremisesImmutableId"]) == (
        "ada@contoso.example",
        "fd8d0ec5c5004116ada",
    )
    await provisioning.account("ada", upn="o'hara-_!#^~@contoso.example", status=AccountStatus.ACTIVE)
    await provisioning.account("ada", status=AccountStatus.SUSPENDED, session_epoch=1)
    await provisioning.work()
    (user,) = directory.people
    assert (user.upn, user.properties["accountEnabled"]) == ("o'hara-_!#^~@contoso.example", False)
    await provisioning.account("ada", status=AccountStatus.ACTIVE)
    await provisioning.work()
    assert directory.people[0].properties["accountEnabled"] is True
    await provisioning.account("ada", status=AccountStatus.REMOVED, session_epoch=2)
    await provisioning.work()
    assert directory.people == []
    assert provisioning.person().state == "done"
    assert {e["status"] for e in directory.standin.record.entries()} <= {200, 201, 204, 400}


@pytest.mark.parametrize(
    "name",
    ["o'brien", "a#b", "x^y~z!", "under_score", "l" * 64 + ""],
    ids=["apostrophe", "hash", "others", "_", "64"],
)
async def test_every_user_name_that_entra_takes(graph: Graph, name: str) -> None:
    provisioning, directory = graph
    directory.go_wrong("drop_after_write", method="POST", path="/users", times=1)
    await provisioning.account("ada", upn=f"{name}@contoso.example")
    await provisioning.work()
    await provisioning.later(5, rounds=3)
    assert provisioning.person().state == "done", provisioning.person().fault
    assert [user.upn for user in directory.people] == [f"{name}@contoso.example"]


async def test_a_user_name_of_113_characters_is_made_and_one_more_is_not(graph: Graph) -> None:
    provisioning, directory = graph
    domain = f"{'d' * 40}.example"  # 48
    form = {"tenants": [{"id": TENANT, "domains": [{"id": domain}]}]}
    control.set_up(directory.standin, control.SetUp.model_validate(form))
    longest = f"{'l' * 64}@{domain}"
    assert len(longest) == 113
    await provisioning.account("ada", upn=longest)
    await provisioning.account("bob", upn=f"{'l' * 64}@d{domain}")
    await provisioning.work()
    assert [user.upn for user in directory.people] == [longest]
    fault = provisioning.person("bob").fault
    assert fault is not None
    assert fault.key == FaultKey.NAME_REFUSED


async def test_a_user_whose_name_begins_with_a_dollar_sign_is_taken_over_and_renamed(graph: Graph) -> None:
    """No POST would take such a name, but older directories have it; a path would read it as an option of OData."""
    provisioning, directory = graph
    directory.permit("User.ReadWrite.All", "RoleManagement.Read.Directory")
    directory.add_user(
        userPrincipalName="$ada@contoso.example",
        displayName="Ada Lovelace",
        onPremisesImmutableId="fd8d0ec5c5004116ada",
    )
    await provisioning.account("ada")
    await provisioning.work()
    assert provisioning.person().state == "done", provisioning.person().fault
    assert [user.upn for user in directory.people] == ["ada@contoso.example"]


@pytest.mark.parametrize(
    ("lost", "fault", "code"),
    [
        ({"value": SECRET, "expires": "2026-03-02T07:00:00Z"}, FaultKey.EXPIRED_SECRET, "AADSTS7000222"),
        ({"value": "another"}, FaultKey.WRONG_SECRET, "AADSTS7000215"),
    ],
    ids=["expired", "wrong"],
)
async def test_a_secret_that_counts_no_longer_is_said_so_and_another_one_goes_on(
    graph: Graph, lost: dict[str, str], fault: FaultKey, code: str
) -> None:
    provisioning, directory = graph

    def secrets(*those: dict[str, str]) -> None:
        application = {**SET_UP["tenants"][0]["applications"][0], "secrets": those}
        form = {"tenants": [{"id": TENANT, "applications": [application]}]}
        control.set_up(directory.standin, control.SetUp.model_validate(form))

    secrets(lost)
    directory.sign_out()
    await provisioning.account("ada")
    await provisioning.work()
    known = provisioning.connections[-1]
    assert known.fault is not None
    assert (known.state, known.fault.key, known.fault.code) == ("failed", fault, code)
    assert directory.people == []
    secrets({"value": SECRET})
    await provisioning.connect()
    await provisioning.work()
    await provisioning.later(10)
    assert provisioning.connections[-1].state == "ready"
    assert provisioning.person().state == "done"


@pytest.mark.parametrize("name", ["$ada", "a" * 65, ".ada", "a..b", "ada ", "ä"])
async def test_a_user_name_that_entra_would_refuse_is_refused_here(graph: Graph, name: str) -> None:
    provisioning, directory = graph
    await provisioning.account("ada", upn=f"{name}@contoso.example")
    await provisioning.work()
    fault = provisioning.person().fault
    assert fault is not None
    assert fault.key == FaultKey.NAME_REFUSED
    assert not any(
        entry["method"] == "POST" and "/users" in entry["url"] for entry in directory.standin.record.entries()
    )


async def test_a_domain_that_is_not_verified_is_said_so(graph: Graph) -> None:
    provisioning, _ = graph
    await provisioning.account("ada", upn="ada@nowhere.example")
    await provisioning.work()
    fault = provisioning.person().fault
    assert fault is not None
    assert (fault.key, bool(fault.words)) == (FaultKey.DOMAIN_NOT_VERIFIED, True)


async def test_licences_run_out_and_come_back(graph: Graph) -> None:
    provisioning, directory = graph
    for name in ("a", "b", "c"):
        await provisioning.account(name)
        await provisioning.profile(name, usage_location="FR", licences=(BUSINESS,))
    await provisioning.work(5)
    await provisioning.later(10, rounds=4)
    states = Counter(provisioning.person(name).state for name in ("a", "b", "c"))
    assert states == {"done": 2, "failed": 1}
    failed = next(name for name in ("a", "b", "c") if provisioning.person(name).state == "failed")
    fault = provisioning.person(failed).fault
    assert fault is not None
    assert fault.key == FaultKey.LICENCE_UNITS
    assert len(directory.people) == 3


async def test_a_usage_location_that_is_no_country_is_said_so_and_a_right_one_goes_on(graph: Graph) -> None:
    provisioning, directory = graph
    await provisioning.account("ada")
    await provisioning.profile("ada", usage_location="ZZ", licences=(BUSINESS,))
    await provisioning.work()
    fault = provisioning.person().fault
    assert fault is not None
    assert (provisioning.person().state, fault.key) == ("failed", FaultKey.LOCATION_REFUSED)
    assert "usageLocation" in fault.words
    await provisioning.profile("ada", usage_location="FR", licences=(BUSINESS,))
    await provisioning.work()
    await provisioning.later(10, rounds=3)
    assert provisioning.person().state == "done", provisioning.person().fault
    (user,) = directory.people
    assert user.properties["usageLocation"] == "FR"
    assert [licence.sku_id for licence in user.licences] == [BUSINESS]


async def test_a_synced_users_immutable_id_is_kept_byte_for_byte_and_nothing_of_it_is_patched(
    graph: Graph,
) -> None:
    provisioning, directory = graph
    directory.permit("User.ReadWrite.All", "RoleManagement.Read.Directory")
    synced = "q83vEjRWeJAbCdEfGhIjKl=="
    for name, immutable_id in (("ada", synced), ("other", synced.swapcase())):
        directory.add_user(
            userPrincipalName=f"{name}@contoso.example",
            displayName="From the local directory",
            onPremisesImmutableId=immutable_id,
            onPremisesSyncEnabled=True,
        )
    await provisioning.account("ada", immutable_id=synced)
    await provisioning.work()
    fault = provisioning.person().fault
    assert fault is not None
    assert (
        fault.key == FaultKey.DIRECTORY_SYNCED
    )  # the names differ, and only the local directory may change them
    kept = {user.upn: user.properties["onPremisesImmutableId"] for user in directory.people}
    assert kept == {"ada@contoso.example": synced, "other@contoso.example": synced.swapcase()}
    ada = next(user for user in directory.people if user.upn == "ada@contoso.example")
    assert provisioning.person().object_id == ada.id
    assert not any(entry["method"] == "PATCH" for entry in directory.standin.record.entries())


async def test_a_licence_that_was_taken_back_in_entra_already_stops_nobody(graph: Graph) -> None:
    provisioning, directory = graph
    await provisioning.account("ada")
    await provisioning.profile("ada", usage_location="FR", licences=(BUSINESS,))
    await provisioning.work(5)
    (user,) = directory.people
    next(iter(directory.standin.tenants.values())).put(replace(user, licences=()))
    await provisioning.profile("ada", usage_location="FR", licences=())
    await provisioning.work()
    await provisioning.later(10, rounds=2)
    assert provisioning.person().state == "done", provisioning.person().fault


async def test_a_deleted_user_that_nobody_remembers_is_taken_up_again_once_somebody_restored_it(
    graph: Graph,
) -> None:
    """provisioning's own database is lost: the deleted user of the account is found, and its roles cannot be read."""
    provisioning, directory = graph
    directory.permit("User.ReadWrite.All", "RoleManagement.Read.Directory")
    await provisioning.account("ada")
    await provisioning.work()
    person = directory.people[0]
    await provisioning.world.databases["provisioning"].collection("people").delete({"_id": "contoso/ada"})
    tenant = next(iter(directory.standin.tenants.values()))

    tenant.put(replace(person, deleted=provisioning.world.clock.now()))
    await provisioning.connect()
    await provisioning.work(5)
    await provisioning.later(10, rounds=5)
    said = provisioning.told[-1]
    assert said.fault is not None
    assert (said.state, said.fault.key) == ("failed", FaultKey.DELETED_USER)
    assert directory.people == []
    tenant.put(person)
    await provisioning.connect()
    await provisioning.work(5)
    await provisioning.later(10, rounds=5)
    assert provisioning.told[-1].state == "done"
    (user,) = directory.people
    assert user.id == person.id


async def many(provisioning: Provisioning, directory: StandInDirectory, number: int, *, kills: int) -> None:
    """That many creations while much goes wrong, and the process is killed now and then."""
    directory.go_wrong("too_many", probability=0.05, retry_after=3)
    directory.go_wrong("unavailable", probability=0.05)
    directory.go_wrong("drop_after_write", method="POST", probability=0.02)
    directory.go_wrong("error_after_write", method="POST", probability=0.02)
    directory.go_wrong("not_found_after_create", seconds=90, share=0.5)
    directory.go_wrong("expired_token", probability=0.01)
    names = [f"p{index:04}" for index in range(number)]
    for name in names:
        await provisioning.account(name)
    rounds = 0
    while rounds < 2000 and any(
        each["state"] != "done" for each in provisioning.world.documents("provisioning", "people")
    ):
        rounds += 1
        await provisioning.worker.round()
        if kills and rounds % 7 == 3:
            kills -= 1
            for task in list(provisioning.worker._running.values()):
                task.cancel()
            await provisioning.restart()
        await provisioning.worker.idle()
        provisioning.world.clock.advance(2)
    await provisioning.world.settle()
    assert {provisioning.person(name).state for name in names} == {"done"}
    identities = Counter(user.properties["onPremisesImmutableId"] for user in directory.people)
    assert identities == {f"fd8d0ec5c5004116{name}": 1 for name in names}
    assert len({provisioning.person(name).object_id for name in names}) == number
    assert {provisioning.person(name).object_id for name in names} == {user.id for user in directory.people}
    assert directory.standin.early == 0


async def test_a_hundred_creations_while_much_goes_wrong_and_the_process_is_killed(graph: Graph) -> None:
    provisioning, directory = graph
    await many(provisioning, directory, 100, kills=6)


@pytest.mark.slow
async def test_a_thousand_creations_while_much_goes_wrong_and_the_process_is_killed(graph: Graph) -> None:
    provisioning, directory = graph
    await many(provisioning, directory, 1000, kills=8)


async def test_throttled_as_a_whole_it_slows_down_and_finishes(graph: Graph) -> None:
    provisioning, directory = graph

    control.set_up(directory.standin, control.SetUp.model_validate({"limits": {"writes": 10}}))
    for index in range(30):
        await provisioning.account(f"p{index}")
    await provisioning.work(4)
    assert len(directory.people) < 15
    await provisioning.later(MINUTE, rounds=15)
    assert len(directory.people) == 30
    assert directory.standin.early == 0
