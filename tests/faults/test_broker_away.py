"""Fault: RabbitMQ is killed, or restarted in good order, in the middle of a sign-in.

Nobody sees an error: what is said waits in the document that says it, and goes out when the broker is back.
"""

import asyncio
from collections.abc import AsyncIterator, Iterator

import pytest
import pytest_asyncio

from deploy.local import backing
from deploy.local.backing import Broker
from shared.services import SERVICES
from shared.testing.waiting import eventually
from tests.faults.support import AWAY, ONE_EACH, STEPS, FaultSystem, SignIn, away, fault_system, owned

pytestmark = [
    pytest.mark.integration,
    pytest.mark.asyncio(loop_scope="module"),
    pytest.mark.xdist_group("faults-broker"),
]


@pytest.fixture(scope="module")
def rabbitmq(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Broker]:
    """Of this module alone."""
    with owned(backing.rabbitmq(tmp_path_factory.mktemp("rabbitmq"))) as part:
        yield part


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def on(
    tmp_path_factory: pytest.TempPathFactory, mongo_url: str, rabbitmq: Broker
) -> AsyncIterator[FaultSystem]:
    folder = tmp_path_factory.mktemp("broker-away")
    async with fault_system(folder, mongo_url=mongo_url, bus_url=rabbitmq.url, replicas=ONE_EACH) as started:
        await asyncio.to_thread(rabbitmq.flush_declarations)
        yield started


async def waiting(sign_in: SignIn) -> None:
    """Wait until a message of this sign-in waits in an outbox, because nobody takes it."""
    on = sign_in.fault_system

    async def attempt() -> bool | None:
        account = {"_id": f"contoso/{sign_in.person.account.id}"}
        kept = [
            await on.database("wsfed").transactions.find_one({"_id": sign_in.id}),
            await on.database("approval").accounts.find_one(account),
        ]
        return any(document and document.get("outbox") for document in kept) or None

    await eventually(attempt, "a message waits in its outbox")


async def left(on: FaultSystem) -> list[str]:
    """What waits in outboxes anywhere."""
    found = []
    for service in SERVICES:
        for name in await on.database(service).list_collection_names():
            async for document in on.database(service)[name].find({"outbox.0": {"$exists": True}}):
                found += [signed["type"] for signed in document["outbox"]]
    return found


async def all_sent(on: FaultSystem) -> None:
    """Wait until nothing is left in an outbox."""

    async def empty() -> bool | None:
        return not await left(on) or None

    await eventually(empty, "every outbox is empty")


async def test_nothing_is_left_in_an_outbox(on: FaultSystem) -> None:
    await on.sign_in(await on.person())
    await all_sent(on)


@pytest.mark.parametrize(
    "step", [pytest.param(each, marks=[] if each == "waiting" else pytest.mark.slow) for each in STEPS]
)
async def test_broker_killed_and_started_again(on: FaultSystem, rabbitmq: Broker, step: str) -> None:
    sign_in = await on.led_to(step)
    async with away(rabbitmq):
        going_on = asyncio.create_task(sign_in.finish())
        if step == "before the token":
            await going_on  # needs nobody else
        elif step != "waiting":
            await waiting(sign_in)
    await going_on
    assert sign_in.troubles == 0
    await sign_in.assert_signed_once()


async def test_broker_restarted_in_good_order(on: FaultSystem, rabbitmq: Broker) -> None:
    sign_in = await on.led_to("waiting")
    going_on = asyncio.create_task(sign_in.finish())
    await asyncio.to_thread(rabbitmq.stop)
    await asyncio.to_thread(rabbitmq.start)
    await going_on
    assert sign_in.troubles == 0
    await sign_in.assert_signed_once()


@pytest.mark.slow
async def test_broker_away_for_20_seconds(on: FaultSystem, rabbitmq: Broker) -> None:
    """Both directions: the request that was not sent, and the approval that was not heard."""
    first, second = await on.begin(await on.person()), await on.led_to("approving")
    async with away(rabbitmq):
        going_on = [asyncio.create_task(each.finish()) for each in (first, second)]
        await waiting(first)
        await waiting(second)
        await on.running_system.clock.sleep(AWAY)
        assert not any(task.done() for task in going_on)
    await asyncio.gather(*going_on)
    for sign_in in (first, second):
        assert sign_in.troubles == 0
        await sign_in.assert_signed_once()
    await on.sign_in(await on.person())
    await all_sent(on)
