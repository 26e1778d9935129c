"""Enrolment and sign-in with every service in processes of its own: two replicas of wsfed and approval, real parts.

The steps are those of docs/flows/sign-in.md; what happens when parts die is in tests/faults.
"""

import asyncio
import json
import signal
from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import pytest
import pytest_asyncio

from deploy.local.backing import Broker
from deploy.local.backing.port import free_port
from deploy.local.cluster import DEFAULT_REPLICAS, Replica, environment_of
from services.admin import handlers as admin
from shared.ids import SystemIds
from shared.services import SERVICES
from shared.testing.waiting import eventually
from tests.faults.support import TENANT, FaultSystem, Person, fault_system, stream, until_state

pytestmark = [
    pytest.mark.integration,
    pytest.mark.asyncio(loop_scope="module"),
    pytest.mark.xdist_group("many-processes"),
]
POLL = 5.0
"""Seconds after which a stream looks again by itself: what comes sooner came by a hint."""


@pytest.fixture(scope="module")
def vhost(broker: Broker) -> Iterator[str]:
    name = f"many-{SystemIds().random_bytes(6).hex()}"
    broker.management.create_vhost(name)
    yield broker.url_of(name)
    broker.management.delete_vhost(name)


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def on(
    tmp_path_factory: pytest.TempPathFactory, mongo_url: str, vhost: str
) -> AsyncIterator[FaultSystem]:
    folder = tmp_path_factory.mktemp("many")
    async with fault_system(folder, mongo_url=mongo_url, bus_url=vhost, replicas=DEFAULT_REPLICAS) as started:
        yield started


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def ada(on: FaultSystem) -> Person:
    return await on.person()


def only(on: FaultSystem, service: str, index: int) -> None:
    """From now on the router knows that replica only."""
    on.cluster.router.backends = {
        **on.cluster.router.backends,
        service: [on.cluster.port_of(service, index)],
    }


def all_of(on: FaultSystem, service: str) -> None:
    """The router knows every replica again."""
    ports = [replica.port for replica in on.cluster.replicas[service]]
    on.cluster.router.backends = {**on.cluster.router.backends, service: ports}


async def test_enrolment_and_sign_in_use_every_replica(on: FaultSystem, ada: Person) -> None:
    for _ in range(2):
        await on.sign_in(ada)
    for service in ("approval", "wsfed"):
        for replica in on.cluster.replicas[service]:
            assert '"event": "request"' in replica.log.read_text(), f"{replica.log.name} was never asked"


async def test_waiting_pages_wake_on_both_replicas_whichever_took_the_proof(
    on: FaultSystem, ada: Person
) -> None:
    sign_in = await on.begin(ada)
    code = await sign_in.code()
    first, second = on.cluster.replicas["wsfed"]
    # Ready to approve before the streams open: what is measured is the hint, not the phone.
    await eventually(sign_in.listed, "the request reaches the phone")
    started = asyncio.get_running_loop().time()
    async with stream(sign_in, first) as one, stream(sign_in, second) as other:
        await until_state(one, "push_waiting")
        await until_state(other, "push_waiting")
        await sign_in.approve(code)
        await asyncio.gather(until_state(one, "proved"), until_state(other, "proved"))
    assert asyncio.get_running_loop().time() - started < POLL
    await sign_in.finish()
    await sign_in.assert_signed_once()


async def test_sign_in_by_qr_code(on: FaultSystem, ada: Person) -> None:
    sign_in = await on.begin(ada)
    code = (await sign_in.press("qr")).code()
    handle = (await sign_in.stored())["challenge"]["handle"]

    async def scanned() -> bool | None:
        try:
            request = await ada.phone.scan(f"{on.phone_origin}/#q={handle}")
        except Exception as error:
            if getattr(error, "status", None) == 410:
                return None  # not there yet
            raise
        await ada.phone.approve(code, request)
        return True

    await eventually(scanned, "the scanned request is known")
    await sign_in.finish()
    await sign_in.assert_signed_once()


async def test_session_made_on_one_replica_answers_on_the_other(on: FaultSystem, ada: Person) -> None:
    only(on, "wsfed", 0)
    try:
        sign_in = await on.begin(ada)
        await sign_in.finish()
        await sign_in.assert_signed_once()
        only(on, "wsfed", 1)
        url, pending = on.request(ada.upn)
        page = await sign_in.browser.get(url)
        (form,) = [form for form in page.forms() if "wresult" in form.fields]
        assert (await on.verify(form, pending)).upn == ada.upn
        records = on.database("wsfed").issuances
        assert await records.count_documents({"upn": ada.upn, "session": {"$ne": None}}) == 1
    finally:
        all_of(on, "wsfed")


@pytest.mark.parametrize("service", SERVICES)
async def test_stops_in_good_order_in_the_middle_of_a_sign_in(
    on: FaultSystem, ada: Person, service: str
) -> None:
    """SIGTERM: streams end with a word when to come back, exit 0 within 10 s, the rest goes on."""
    sign_in = await on.begin(ada)
    code = await sign_in.code()
    leaving = on.replica(service)
    loop = asyncio.get_running_loop()
    async with stream(sign_in, on.replica("wsfed")) as page:
        await until_state(page, "push_waiting")
        assert leaving.process is not None
        leaving.process.send_signal(signal.SIGTERM)
        asked = loop.time()
        if service == "wsfed":
            await page.content.read()  # to its end, not broken off
        async with asyncio.timeout(10):
            code_at_exit = await leaving.process.wait()
        assert loop.time() - asked < 10
    assert code_at_exit == 0, leaving.tail()
    assert '"event": "service.stopped"' in leaving.tail()
    await sign_in.approve(code)
    await sign_in.finish()
    await sign_in.assert_signed_once()
    await on.whole()


async def test_one_of_two_admins_is_enough(on: FaultSystem) -> None:
    """With the other one killed an invitation is spent, the phone is listed, and its sign-in is in the list too."""
    await on.replica("admin").kill()
    try:
        person = await on.person()
        sign_in = await on.begin(person)
        await sign_in.finish()
        await sign_in.assert_signed_once()
        deps, upn = on.running_system.admin, person.account.upn
        assert [d.id for d in await admin.list_devices(deps, TENANT, upn)] == [person.phone.key.device]

        async def listed() -> bool:
            return len(await admin.list_browsers(deps, TENANT, upn)) == 1

        await eventually(listed, "wsfed's news of the browser reaches admin")
    finally:
        await on.whole()


async def test_live_stream_says_when_to_come_back(on: FaultSystem, ada: Person) -> None:
    sign_in = await on.begin(ada)
    await sign_in.code()
    async with stream(sign_in, on.replica("wsfed", 1)) as page:
        assert (await page.content.readline()).startswith(b"retry: ")


async def _ends(replica: Replica) -> tuple[int, str]:
    process = await replica.launch()
    async with asyncio.timeout(40):
        return await process.wait(), replica.log.read_text()


async def test_started_without_its_parts_ends_with_one_clear_line(on: FaultSystem, tmp_path: Path) -> None:
    """It waits a little, as whoever starts all at once needs it; then it ends, and the supervisor decides."""
    settings = on.running_system.settings
    good = environment_of(settings)
    away = f"127.0.0.1:{free_port()}"
    cases = {
        "the database does not answer": ("approval", {"BLOK365_MONGO_URL": f"mongodb://{away}/"}),
        "RabbitMQ does not answer": ("wsfed", {"BLOK365_BUS_URL": f"amqp://guest:guest@{away}/"}),
        "Run `blok365 migrate`": ("admin", {"BLOK365_DATABASE_PREFIX": settings.database_prefix + "_new"}),
        "BLOK365_BUS_URL must name a RabbitMQ server": ("notify", {"BLOK365_BUS_URL": "memory:"}),
    }
    taken = on.replica("notify").port
    cases["set BLOK365_LISTEN to another"] = ("notify", {"BLOK365_LISTEN": f"127.0.0.1:{taken}"})
    started = [
        Replica(
            service,
            0,
            {**good, "BLOK365_LISTEN": "127.0.0.1:0", **wrong},
            tmp_path / f"{number}.log",
        )
        for number, (service, wrong) in enumerate(cases.values())
    ]
    ended = await asyncio.gather(*(_ends(replica) for replica in started))
    for expected, (exit_code, text) in zip(cases, ended, strict=True):
        assert exit_code == 1, text
        assert "Traceback" not in text
        last = json.loads(text.splitlines()[-1])
        assert last["event"] == "start.failed"
        assert expected in f"{last['reason']} {last['remedy']}"
