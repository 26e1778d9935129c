"""docs/flows/enrolment.md, "Phones of before": an update from the release in which admin did not decide on phones."""

import pytest

from deploy.cli.operate import ask_for_undecided_phones
from services.admin import handlers as admin
from shared.assembly import Wired
from tests.flows.support import ADA, BOB, TENANT, Flow, Phone, token_form


def as_before(flow: Flow) -> None:
    """Make the databases what the release before has left: no decisions, and no keys in used invitations."""
    world = flow.world
    for service in ("admin", "wsfed"):
        world.databases[service].data["authenticators"].clear()
    for invitation in world.databases["admin"].data["invitations"].values():
        for name in ("credential_id", "key_sha256"):
            invitation.pop(name)
    for device in world.databases["wsfed"].data["devices"].values():
        device.pop("key_sha256")
    for account in world.databases["approval"].data["accounts"].values():
        for device in account["devices"].values():
            device.pop("decision")
            device.pop("decided")


async def migrated(flow: Flow) -> bool:
    """`blok365 migrate`, and what the running services make of it."""
    asked = await ask_for_undecided_phones(Wired(flow.world.services["admin"], flow.admin))
    await flow.world.live(30)
    return asked


async def signs_in(flow: Flow, phone: Phone) -> None:
    sign_in = await flow.begin(phone.key.upn)
    await phone.approve(await sign_in.push())
    assert token_form(await sign_in.token())


async def test_phones_of_before_count_again_after_migrate_and_twice_is_harmless(flow: Flow) -> None:
    await flow.person(BOB)
    ada, bob = await flow.phone(), await flow.phone(BOB)
    as_before(flow)
    assert not await flow.counts(ada.key)
    (seen,) = await admin.list_devices(flow.admin, TENANT, ADA)
    assert (seen.status, seen.may_count) == (None, True)
    mails = sum(signed.type == "notify.mail.send.v1" for signed in flow.world.bus.sent)
    assert await migrated(flow)
    for phone in (ada, bob):
        assert await flow.decision(phone.key.device, phone.key.upn) == ("trusted", "")
        await signs_in(flow, phone)
    decided = dict(flow.world.databases["admin"].data["authenticators"])
    assert not await migrated(flow)
    assert flow.world.databases["admin"].data["authenticators"] == decided
    assert flow.world.bus.dead_letters == []
    # nobody is told of a new phone
    assert sum(signed.type == "notify.mail.send.v1" for signed in flow.world.bus.sent) == mails


async def test_phone_that_was_removed_before_gets_its_tombstone(flow: Flow) -> None:
    lost, kept = await flow.phone(), await flow.phone()
    await admin.remove_device(flow.admin, TENANT, ADA, lost.key.device)
    await flow.world.settle()
    as_before(flow)
    await migrated(flow)
    assert await flow.decision(lost.key.device) == ("revoked", "device_removed")
    assert not await flow.counts(lost.key)
    await signs_in(flow, kept)


@pytest.mark.parametrize("migrate_first", [False, True])
async def test_phone_of_before_is_removed_for_good_before_or_after_migrate(
    flow: Flow, migrate_first: bool
) -> None:
    """A lost phone cannot wait for the operator. Its key joins the tombstone when admin hears of it."""
    lost = await flow.phone()
    as_before(flow)
    if migrate_first:
        await migrated(flow)
    await admin.remove_device(flow.admin, TENANT, ADA, lost.key.device)
    await flow.world.settle()
    await migrated(flow)
    assert not await migrated(flow)
    assert await flow.decision(lost.key.device) == ("revoked", "administrator")
    (decision,) = flow.world.documents("wsfed", "authenticators")
    assert (decision["status"], decision["credential_id"]) == ("revoked", lost.key.credential_id)
    assert not await flow.counts(lost.key)
