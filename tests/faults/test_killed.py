"""Fault: kill -9 of wsfed, approval and admin at every write of a sign-in and of an enrolment.

The process dies just before mongod has the write, or just after it and before anything else: the proxy holds it
there. With two replicas the other one goes on; with one it is started again. People do what the page offers.
"""

import asyncio
from collections.abc import Sequence
from typing import Any

import pytest

from shared.testing.waiting import eventually
from tests.faults.breakable import (
    ACCEPTED,
    DEVICE,
    ENROLMENT,
    ISSUED,
    OPEN,
    PROVED,
    SIGN_IN,
    WAITING,
    Breakable,
    Write,
)
from tests.faults.proxy import Moment
from tests.faults.support import Person

pytestmark = [pytest.mark.integration, pytest.mark.asyncio(loop_scope="session")]


ALONE = (WAITING, OPEN, ACCEPTED, PROVED, ISSUED, DEVICE)


def cases(writes: Sequence[Write]) -> list[Any]:
    """Two replicas: before and after each write. One: after those that others wait for; it must start again first."""
    groups = {2: "faults", 1: "faults-one"}
    chosen = [(2, write, moment) for write in writes for moment in Moment]
    chosen += [(1, write, Moment.AFTER) for write in writes if write in ALONE]

    def marks(replicas: int, moment: Moment) -> list[pytest.MarkDecorator]:
        group = pytest.mark.xdist_group(groups[replicas])
        # Every run kills one of two after each write; the rest is for `make test-long`.
        return [group] if (replicas, moment) == (2, Moment.AFTER) else [group, pytest.mark.slow]

    return [pytest.param(n, w, m, id=f"{n}-{w}-{m.name.lower()}", marks=marks(n, m)) for n, w, m in chosen]


@pytest.mark.parametrize(("system", "write", "moment"), cases(SIGN_IN), indirect=["system"])
async def test_killed_in_the_middle_of_a_sign_in(whole: Breakable, write: Write, moment: Moment) -> None:
    """It goes on or offers a retry, and nothing is signed twice."""
    person = await whole.fault_system.person()
    sign_in = await whole.fault_system.begin(person)
    trap = whole.arm(write, moment, hold=True)
    going_on = asyncio.create_task(sign_in.finish())
    await whole.kill_and_go_on(trap)
    await sign_in.assert_goes_on_or_offers_retry(await going_on)


@pytest.mark.parametrize(("system", "write", "moment"), cases(ENROLMENT), indirect=["system"])
async def test_killed_in_the_middle_of_an_enrolment(whole: Breakable, write: Write, moment: Moment) -> None:
    """One device for an invitation, and the phone that lost the answer gets it by asking again."""
    on = whole.fault_system
    account = await on.account()
    phone = await on.phone()
    trap = whole.arm(write, moment, hold=True)
    going_on = asyncio.create_task(on.enrolled(phone, await on.invite(account)))
    await whole.kill_and_go_on(trap)
    await going_on
    assert list(await on.devices(account)) == [phone.key.device]
    await eventually(lambda: on.trusted(phone), "wsfed trusts the phone")
    await on.sign_in(Person(account, phone))
