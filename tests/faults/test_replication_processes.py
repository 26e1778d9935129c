"""Fault: a message is lost for good; an owner of state stands still in the middle of a write. Real processes.

What the followers must do is in docs/flows/replication.md; the same in memory, in every order, is in
tests/flows/test_replication.py and tests/shared/test_replication_*.py.
"""

import signal
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from datetime import datetime, timedelta
from typing import Any

import aiohttp
import pytest

from services.admin import app as admin_app
from services.admin import handlers as admin
from services.admin.ports import Dependencies
from shared.bus.memory import MemoryBus
from shared.clock import Clock
from shared.contracts.envelope import SignedMessage
from shared.platform import open_platform
from shared.testing.waiting import eventually
from tests.faults.breakable import Breakable, Write
from tests.faults.proxy import Moment
from tests.faults.support import TENANT, FaultSystem, Person

pytestmark = [
    pytest.mark.integration,
    pytest.mark.asyncio(loop_scope="session"),
    pytest.mark.xdist_group("faults"),
    pytest.mark.timeout(240),
]
WITHIN = 20.0
"""Seconds in which what no event brought must be known: two recent pulls."""
ACTIVE = Write("admin", "8-active", "accounts", "findAndModify", lambda c: c.sets.get("status") == "active")


class Losing(MemoryBus):
    """Confirms everything and delivers nothing."""

    async def publish(self, messages: Sequence[SignedMessage]) -> frozenset[str]:
        return frozenset(signed.id for signed in messages)


class Behind:
    """A clock that is five minutes behind."""

    def __init__(self, right: Clock) -> None:
        self._right = right

    def now(self) -> datetime:
        return self._right.now() - timedelta(minutes=5)

    def monotonic(self) -> float:
        return self._right.monotonic()

    async def sleep(self, seconds: float) -> None:
        await self._right.sleep(seconds)


@asynccontextmanager
async def losing(on: FaultSystem, clock: Clock) -> AsyncIterator[Dependencies]:
    """admin's handlers on admin's database, on a bus that loses all they say."""
    trusted = open_platform(on.running_system.settings).trusted
    wired = admin_app.build(
        open_platform(on.running_system.settings, bus=Losing(trusted, clock), clock=clock)
    )
    try:
        yield wired.dependencies
        await wired.service.relay.flush()
    finally:
        await wired.service.database.close()


async def known(on: FaultSystem, person: Person) -> dict[str, Any]:
    """The account as wsfed and approval keep it."""
    accounts = {
        "wsfed": await on.database("wsfed").accounts.find_one({"upn": person.upn}),
        "approval": await on.database("approval").accounts.find_one({"upn": person.upn}),
    }
    return {service: found["status"] for service, found in accounts.items() if found is not None}


async def checks(on: FaultSystem, service: str, index: int = 0) -> dict[str, Any]:
    url = f"http://127.0.0.1:{on.replica(service, index).port}/readyz"
    async with aiohttp.ClientSession() as client, client.get(url) as answer:
        assert answer.status == 200
        found: dict[str, Any] = (await answer.json())["checks"]
        return found


@pytest.mark.parametrize("behind", [False, True], ids=["right", "behind"])
async def test_a_suspension_that_is_lost_for_good_is_in_force_within_20_seconds(
    whole: Breakable, behind: bool
) -> None:
    """Also when the clock of whoever wrote it is five minutes behind: its position is mongod's."""
    on = whole.fault_system
    person = await on.person()
    proved = await on.begin(person)
    await proved.approve(await proved.code())
    await proved.in_state("proved")
    clock: Clock = Behind(on.running_system.clock) if behind else on.running_system.clock
    async with losing(on, clock) as office:
        await admin.suspend(office, TENANT, person.upn)

    async def taken_out() -> bool | None:
        kept = await on.database("admin").accounts.find_one({"upn": person.upn})
        return kept is not None and kept["outbox"] == []

    await eventually(taken_out, "nobody will send it again", within=10)
    suspended = {"wsfed": "suspended", "approval": "suspended"}

    async def in_force() -> bool | None:
        return await known(on, person) == suspended or None

    await eventually(in_force, "everybody knows of the suspension", within=WITHIN)
    refused = await proved.take()
    assert refused.status == 403
    assert await proved.issued() == 0


@pytest.mark.slow
async def test_an_owner_that_stands_still_between_its_read_and_its_write(whole: Breakable) -> None:
    """It alarms after 30 s and stops nobody; when it goes on, its write has a position that nobody is past."""
    on = whole.fault_system
    other = await on.person()
    account = await on.account()
    trap = whole.arm(ACTIVE, Moment.BEFORE, hold=True)
    phone = await on.enrolled(await on.phone(), await on.invite(account))
    await trap.reached()
    owner = on.replica("admin")
    assert owner.process is not None
    owner.process.send_signal(signal.SIGSTOP)
    try:

        async def alarmed() -> bool | None:
            found = [await checks(on, "wsfed", 0), await checks(on, "approval", 0)]
            return all("silent since" in str(each.get("admin_alarm", "")) for each in found) or None

        await eventually(alarmed, "the silence raises an alarm", within=60)
        await on.sign_in(other)
        await on.sign_in(Person(account, phone))  # admin had decided on the key before
    finally:
        owner.process.send_signal(signal.SIGCONT)
    trap.release()
    person = Person(account, phone)

    async def active() -> bool | None:
        return await known(on, person) == {"wsfed": "active", "approval": "active"} or None

    await eventually(active, "everybody knows that the account is active", within=WITHIN)

    async def over() -> bool | None:
        found = [await checks(on, service, 0) for service in ("wsfed", "approval")]
        return not any("admin_alarm" in each for each in found) or None

    await eventually(over, "the alarm is over", within=65)  # the longest that a question waits
