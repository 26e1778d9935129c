"""Two replicas of admin on one database: each does everything, and nothing is done twice."""

import asyncio
from dataclasses import dataclass

from services.admin import handlers
from services.admin.app import build
from services.admin.handlers import InvitationLink
from services.admin.ports import Dependencies
from shared.contracts.admin import AccountChanged, AccountStatus
from shared.errors import Conflict
from shared.replication import Subscriptions
from tests.admin.conftest import CONTOSO, AdminSystem
from tests.admin.test_admin_enrolment import deliver, device, state


@dataclass
class Replica:
    """Another replica on the same data, which takes messages from the same queue."""

    deps: Dependencies
    subscriptions: Subscriptions


async def second(system: AdminSystem) -> Replica:
    world = system.world
    world.kept["admin"] = world.databases["admin"].data
    wired = build(world.platform)
    assert wired.service.subscriptions is not None
    await world.bus.consume("admin", wired.service.handlers)
    return Replica(wired.dependencies, wired.service.subscriptions)


async def test_ends_at_once_on_both_are_counted_one_after_the_other(system: AdminSystem) -> None:
    ada, other = await system.account(), await second(system)
    replicas = [system.deps, other.deps] * 10
    await asyncio.gather(*(handlers.sign_out_everywhere(each, CONTOSO, ada.id) for each in replicas))
    await system.world.settle()
    assert (await handlers.show_account(other.deps, CONTOSO, ada.id)).session_epoch == len(replicas)
    said = [AccountChanged.TYPE == signed.type for signed in system.world.bus.sent]
    assert said.count(True) >= 1 + len(replicas) // 2  # each replica has said its own


async def test_of_two_invitations_at_once_one_stays_open(system: AdminSystem) -> None:
    ada, other = await system.account(), await second(system)
    made = await asyncio.gather(
        *(handlers.invite(each, CONTOSO, ada.id) for each in (system.deps, other.deps)),
        return_exceptions=True,
    )
    links = [link for link in made if isinstance(link, InvitationLink)]
    assert links
    assert all(isinstance(each, InvitationLink | Conflict) for each in made)
    kept = system.world.documents("admin", "invitations")
    assert [invitation["status"] for invitation in kept].count("open") == 1


async def test_a_phone_that_both_are_told_of_spends_its_invitation_once(system: AdminSystem) -> None:
    ada = await system.account()
    link = await handlers.invite(system.deps, CONTOSO, ada.id)
    await second(system)
    enrolled = device(system, ada.id, link)
    await asyncio.gather(*(deliver(system, enrolled) for _ in range(4)))
    assert await state(system, ada, link) == (AccountStatus.ACTIVE, "used")
    assert system.world.bus.dead_letters == []
    mails = [signed for signed in system.world.bus.sent if signed.type == "notify.mail.send.v1"]
    assert len({signed.id for signed in mails}) == 2  # the invitation, and that a phone was added


async def test_both_together_ask_an_owner_that_they_follow_once(system: AdminSystem) -> None:
    first, other = system.world.services["admin"].subscriptions, (await second(system)).subscriptions
    assert first is not None
    await asyncio.gather(first.look(), other.look(), first.look(), other.look())
    await system.world.settle()
    asked = [signed.type for signed in system.world.bus.sent if signed.type.endswith("state.pull.v1")]
    assert asked == ["approval.state.pull.v1"]
