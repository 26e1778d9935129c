"""Fault: mongod is killed in the middle of a sign-in and comes back later.

Who acts meanwhile sees "try again"; afterwards the sign-in goes on where it was, and nothing is signed twice.
"""

import asyncio
from collections.abc import AsyncIterator, Iterator

import pytest
import pytest_asyncio

from deploy.local import backing
from deploy.local.backing import BackingService
from shared.services import SERVICES
from tests.faults.support import (
    AWAY,
    ONE_EACH,
    STEPS,
    FaultSystem,
    away,
    fault_system,
    owned,
    stream,
    until_state,
)

pytestmark = [
    pytest.mark.integration,
    pytest.mark.asyncio(loop_scope="module"),
    pytest.mark.xdist_group("faults-database"),
]


@pytest.fixture(scope="module")
def mongod(tmp_path_factory: pytest.TempPathFactory) -> Iterator[BackingService]:
    """Of this module alone."""
    with owned(backing.mongod(tmp_path_factory.mktemp("mongod"))) as part:
        yield part


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def on(
    tmp_path_factory: pytest.TempPathFactory, mongod: BackingService, vhost: str
) -> AsyncIterator[FaultSystem]:
    folder = tmp_path_factory.mktemp("database-away")
    async with fault_system(folder, mongo_url=mongod.url, bus_url=vhost, replicas=ONE_EACH) as started:
        yield started


@pytest.mark.parametrize(
    "step", [pytest.param(each, marks=[] if each == "waiting" else pytest.mark.slow) for each in STEPS]
)
async def test_database_killed_and_started_again(on: FaultSystem, mongod: BackingService, step: str) -> None:
    sign_in = await on.led_to(step)
    async with away(mongod):
        going_on = asyncio.create_task(sign_in.finish())
        await sign_in.troubled.wait()
    await sign_in.assert_goes_on_or_offers_retry(await going_on)


@pytest.mark.slow
async def test_database_away_for_20_seconds(on: FaultSystem, mongod: BackingService) -> None:
    """Steps 4 to 8 fall into the absence; the waiting page stays open over it and wakes by itself."""
    sign_in = await on.begin(await on.person())
    code = await sign_in.code()
    async with stream(sign_in, on.replica("wsfed")) as page:
        await until_state(page, "push_waiting")
        async with away(mongod):
            approving = asyncio.create_task(sign_in.approve(code))
            await on.running_system.clock.sleep(AWAY)
            assert not approving.done()
        await approving
        await until_state(page, "proved")
    await sign_in.finish()
    await sign_in.assert_signed_once()


@pytest.mark.slow
async def test_stops_within_ten_seconds_without_its_database(on: FaultSystem, mongod: BackingService) -> None:
    """In the middle of a sign-in, with a page open; what was not written is another replica's, or the next start's."""
    sign_in = await on.begin(await on.person())
    code = await sign_in.code()
    stopping = [on.replica(service) for service in SERVICES]
    async with stream(sign_in, on.replica("wsfed")) as page:
        await until_state(page, "push_waiting")
        async with away(mongod), asyncio.timeout(10):
            await asyncio.gather(*(replica.stop() for replica in stopping))
    for replica in stopping:
        assert replica.process is not None
        assert replica.process.returncode == 0, replica.tail()
        assert "Traceback" not in replica.tail(5)
    await on.whole()
    await sign_in.approve(code)
    await sign_in.finish()
    await sign_in.assert_signed_once()


async def test_readiness_says_that_the_database_is_away(on: FaultSystem, mongod: BackingService) -> None:
    """No replica is sent people whom it can only turn away."""
    async with away(mongod):
        found = await asyncio.gather(*(on.readiness(each, "database") for each in SERVICES))
        assert not any(found)
    for service in SERVICES:
        await on.replica(service).wait_ready()
