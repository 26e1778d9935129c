"""Load as a fault: ten thousand transactions that strangers opened do not hinder a sign-in.

Not measured by the clock, which says more of the machine than of us, but by what MongoDB looks at: no operation of a
sign-in, and none of the sweepers, may go through documents that are not its own.
"""

import asyncio
from datetime import timedelta
from typing import Any

import pytest

from shared.ids import new_id
from shared.testing.waiting import eventually
from tests.faults.breakable import Breakable
from tests.faults.support import IDS, FaultSystem

pytestmark = [
    pytest.mark.integration,
    pytest.mark.asyncio(loop_scope="session"),
    pytest.mark.xdist_group("faults"),
]
STRANGERS = 10_000
AT_ONCE = 60
"""Strangers who come over HTTP while the sign-in runs; the others are there already."""
MOST = 3
"""Documents that one operation may look at, beyond those that it returns."""


async def strangers(on: FaultSystem, transaction: dict[str, Any]) -> None:
    """Ten thousand open transactions, each as wsfed would keep it."""
    now = on.running_system.clock.now()
    made = [
        {**transaction, "_id": new_id(IDS), "browser": new_id(IDS), "expires_at": now + timedelta(minutes=10)}
        for _ in range(STRANGERS)
    ]
    await on.database("wsfed").transactions.insert_many(made)


@pytest.mark.slow
async def test_ten_thousand_strangers_do_not_hinder_a_sign_in(whole: Breakable) -> None:
    on = whole.fault_system
    person = await on.person()
    example = await on.begin(person)
    await example.code()
    await strangers(on, {**await example.stored(), "outbox": []})
    services = ("wsfed", "approval")
    for service in services:
        await on.database(service).command("profile", 2)
    try:

        async def stranger() -> None:
            sign_in = await on.begin(person)
            await sign_in.press("qr")

        crowd = [asyncio.create_task(stranger()) for _ in range(AT_ONCE)]
        await on.sign_in(person)
        await asyncio.gather(*crowd)

        async def swept() -> object:
            profile = on.database("wsfed").system.profile
            return await profile.find_one({"op": "query", "command.projection.outbox": 1})

        await eventually(swept, "a sweeper has come by")
    finally:
        for service in services:
            await on.database(service).command("profile", 0)
    for service in services:
        database = on.database(service)
        seen = [each async for each in database.system.profile.find({"appName": database.name})]
        assert seen
        for operation in seen:
            assert operation.get("docsExamined", 0) <= operation.get("nreturned", 0) + MOST, operation
