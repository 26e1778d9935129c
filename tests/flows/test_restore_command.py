"""`blok365 restore` (docs/flows/replication.md, "A backup that was put back") by an operator in a hurry."""

import copy
from datetime import timedelta

import pytest

from deploy.cli.operate import raise_generation, restored
from deploy.standins.phone.phone import PhoneError
from services.admin import app as admin_app
from services.admin import handlers as admin
from shared.clock import ManualClock
from shared.errors import Conflict
from shared.store.memory import MemoryDatabase
from tests.flows.support import ADA, TENANT, Flow
from tests.flows.test_enrolment_attacks import Link, Thief
from tests.world import START


async def test_a_restore_with_a_clock_ahead_of_the_database_is_refused() -> None:
    """Followers refuse a generation from the future, so until then nothing that the service says would count."""
    database = MemoryDatabase(clock=ManualClock(START))
    with pytest.raises(Conflict, match="clock"):
        await raise_generation(database, START + timedelta(days=3650))
    assert await database.generation() == 0
    assert await raise_generation(database, START) == int(START.timestamp())


async def test_each_restore_is_later_than_the_one_before_also_when_the_clock_was_set_back() -> None:
    database = MemoryDatabase(clock=ManualClock(START))
    first = await raise_generation(database, START)
    assert await raise_generation(database, START) == first + 1
    assert await raise_generation(database, START - timedelta(days=3650)) == first + 2


@pytest.mark.parametrize("since", ["signed out", "used", "withdrawn"])
async def test_an_invitation_of_the_backup_makes_no_phone_trusted(flow: Flow, since: str) -> None:
    """The backup calls it open. What became of it since, admin has forgotten; whoever finds the old mail has not."""
    await flow.person("bob@contoso.example")
    await flow.invite("bob@contoso.example")
    link = await flow.invite()
    await flow.world.live(20)
    backup = copy.deepcopy(flow.world.databases["admin"].data)
    if since == "signed out":
        await admin.sign_out_everywhere(flow.admin, TENANT, ADA)
    elif since == "used":
        await (await flow.bare_phone()).enrol(link)
    else:
        await flow.invite()
    await flow.world.live(20)
    flow.world.bus.forget("admin")
    flow.world.kept["admin"] = backup
    wired = admin_app.build(flow.world.platform)
    for _ in range(2):  # repeated by an operator in doubt
        await restored(wired, flow.world.clock.now())
    await flow.world.begin(wired.service)
    flow.admin = wired.dependencies
    await flow.world.live(60)
    assert {each["status"] for each in flow.world.documents("admin", "invitations")} == {"withdrawn"}
    late = await flow.bare_phone()
    with pytest.raises(PhoneError) as refused:
        await late.enrol(link)
    assert refused.value.code == "invitation"
    thief = Thief(flow, (await flow.account()).id)  # who has approval, too
    said = thief.enrolled(thief.endorsed_by(Link.of(link)))
    for _ in range(2):
        await flow.say("approval", said)
    await thief.assert_worth_nothing()
    assert await flow.decision(thief.key.device) == ("refused", "withdrawn")
    await flow.phone()  # a new invitation is good
