"""Fault: what wsfed must know of others is late: a suspension that waits in admin's outbox; a phone of a second ago.

What the console may say of a suspension is in docs/flows/sign-in.md: it is in force when wsfed has it.
"""

import asyncio
from collections.abc import Sequence

import pytest

from services.admin import app as admin_app
from services.admin import handlers as admin
from shared.bus.memory import MemoryBus
from shared.contracts.envelope import SignedMessage
from shared.platform import open_platform
from shared.testing.waiting import eventually
from tests.faults.breakable import Breakable
from tests.faults.support import TENANT, Person

pytestmark = [
    pytest.mark.integration,
    pytest.mark.asyncio(loop_scope="session"),
    pytest.mark.xdist_group("faults"),
]


class Nowhere(MemoryBus):
    """A bus that takes nothing on: everything stays in its outbox."""

    async def publish(self, messages: Sequence[SignedMessage]) -> frozenset[str]:
        return frozenset()


async def test_suspension_that_is_delayed_counts_once_it_is_there(whole: Breakable) -> None:
    on = whole.fault_system
    person, other = await on.person(), await on.person()
    proved = await on.begin(person)
    await proved.approve(await proved.code())
    await proved.in_state("proved")
    await on.replica("admin").stop()  # nobody sweeps its outboxes
    trusted = open_platform(on.running_system.settings).trusted
    blocked = admin_app.build(
        open_platform(
            on.running_system.settings,
            bus=Nowhere(trusted, on.running_system.clock),
            clock=on.running_system.clock,
        )
    )
    try:
        await admin.suspend(blocked.dependencies, TENANT, person.upn)
    finally:
        await blocked.service.database.close()
    kept = await on.database("admin").accounts.find_one({"upn": person.upn})
    assert kept is not None
    assert kept["status"] == "suspended"
    assert kept["outbox"]
    # admin has it, wsfed has not: until it has, or its knowledge is too old, it signs
    early = await on.begin(person)
    await early.finish()
    await early.assert_signed_once()

    await on.replica("admin").start()

    async def in_force() -> bool | None:
        known = await on.database("wsfed").accounts.find_one({"upn": person.upn})
        return (known is not None and known["status"] == "suspended") or None

    await eventually(in_force, "wsfed knows of the suspension")
    # a proof from before is worth nothing now, and neither is the session that was opened meanwhile
    refused = await proved.take()
    assert refused.status == 403
    assert not proved.tokens
    assert await proved.issued() == 0
    again = await early.browser.get(on.request(person.upn)[0])
    assert "wresult" not in again.text
    later = await on.begin(person)
    await later.press("push")
    assert (await later.stored())["account"] is None  # and no phone is asked
    await on.sign_in(other)


async def test_phone_enrolled_a_second_ago_signs_in_at_once(whole: Breakable) -> None:
    """Five people at once, and nobody waits for anything between the enrolment and the sign-in."""
    on = whole.fault_system

    async def enrol_and_sign_in() -> None:
        account = await on.account()
        phone = await on.enrolled(await on.phone(), await on.invite(account))
        await on.sign_in(Person(account, phone))

    await asyncio.gather(*(enrol_and_sign_in() for _ in range(5)))


async def test_phone_enrolled_while_admin_is_away_counts_once_admin_is_back(whole: Breakable) -> None:
    """Its chain alone is not enough: admin must have decided. The person waits, and loses nothing."""
    on = whole.fault_system
    account = await on.account()
    link = await on.invite(account)
    phone = await on.phone()

    async def invited() -> object:
        invitation = link.partition("#i=")[2].partition(".")[0]
        return await on.database("wsfed").invitations.find_one({"_id": f"{TENANT}/{invitation}"})

    await eventually(invited, "the invitation reaches wsfed")
    await on.replica("admin").kill()
    await on.enrolled(phone, link)

    async def chain_is_here() -> object:
        return await on.database("wsfed").devices.find_one({"_id": f"{TENANT}/{phone.key.device}"})

    await eventually(chain_is_here, "the device reaches wsfed")
    person = Person(account, phone)
    sign_in = await on.begin(person)
    await sign_in.approve(await sign_in.code())
    assert await on.trusted(phone) is None
    assert (await sign_in.stored())["state"] == "waiting"
    assert await sign_in.issued() == 0
    await on.replica("admin").start()
    await eventually(lambda: on.trusted(phone), "wsfed trusts the phone")
    await sign_in.in_state("proved")
    await on.sign_in(person)
