"""docs/flows/sign-in.md: a stranger cannot tell by the clock whether an account exists, either.

Right after a push the page asks for its state, while approval is at work on the request: in one process on the same
event loop, over RabbitMQ on the same machine. One name of an account with a phone and one of nobody take turns, as
often as an attacker would ask. How many store operations and messages a step causes is compared by
`test_sign_in_strangers.py`, in every run.
"""

import time
from bisect import bisect_left, bisect_right
from collections.abc import AsyncIterator, Sequence
from pathlib import Path
from statistics import median

import pytest

from deploy.local import tenant
from deploy.local.backing import Broker
from deploy.local.backing.port import free_port
from deploy.local.browser import Browser
from deploy.local.demo import enrol
from deploy.local.demo_phone import SoftwarePhone
from deploy.local.platform import make_keys
from deploy.local.running_system import RunningSystem, one_process
from deploy.local.settings import local_settings
from deploy.standins.entra.requests import passive_fields, to_url
from deploy.standins.phone.phone import SoftPhone
from services.admin import handlers as admin
from services.admin.handlers import NewAccount
from shared.ids import SystemIds
from tests.faults.support import ONE_EACH, fault_system

pytestmark = [
    pytest.mark.soak,
    pytest.mark.integration,
    pytest.mark.xdist_group("timing"),
    pytest.mark.timeout(900),
]
IDS = SystemIds()
EACH = 1_000
"""Measurements of each name: P then has a standard error of 0.013."""
TOLERANCE = 0.05


@pytest.fixture(params=["one process", "over RabbitMQ"])
async def running_system(
    request: pytest.FixtureRequest, tmp_path: Path, mongo_url: str
) -> AsyncIterator[RunningSystem]:
    """The whole system on a real MongoDB, contoso set up."""
    if request.param == "one process":
        port = free_port()
        prefix = f"timing_{IDS.random_bytes(6).hex()}"
        settings = local_settings(tmp_path, port, mongo_url, database_prefix=prefix)
        make_keys(settings, IDS)
        async with one_process(settings, port=port, entra_port=free_port()) as running:
            await tenant.seed(running)
            yield running
        return
    broker: Broker = request.getfixturevalue("broker")
    name = f"timing-{IDS.random_bytes(6).hex()}"
    broker.management.create_vhost(name)
    url = broker.url_of(name)
    async with fault_system(tmp_path, mongo_url=mongo_url, bus_url=url, replicas=ONE_EACH) as started:
        yield started.running_system
    broker.management.delete_vhost(name)


async def state_after_push(origin: str, upn: str) -> float:
    """Seconds that the first `/state` after a push takes, in a new browser."""
    async with Browser() as browser:
        page = await browser.get(to_url(f"{origin}/t/{tenant.TENANT}/wsfed", passive_fields(upn, ids=IDS)))
        form = page.form("/push")
        pushed = await browser.post(form.action, form.fields, headers={"X-Requested-With": "fetch"})
        assert pushed.state() == "push_waiting"
        begun = time.perf_counter()
        answer = await browser.get(f"{page.url}/state", headers={"Accept": "application/json"})
        took = time.perf_counter() - begun
        assert answer.status == 200
    return took


def probability_slower(one: Sequence[float], other: Sequence[float]) -> float:
    """How probable it is that a measurement of `one` is greater than one of `other` (Mann and Whitney's U)."""
    ordered = sorted(other)
    below = sum(bisect_left(ordered, each) + bisect_right(ordered, each) for each in one)
    return below / (2 * len(one) * len(other))


async def test_the_clock_does_not_tell_accounts_apart(running_system: RunningSystem) -> None:
    existing, nobody = "grace@contoso.example", "nobody@contoso.example"
    new = NewAccount(upn=existing, first_name="Grace", last_name="Hopper", email="grace@private.example")
    await admin.create_account(running_system.admin, tenant.TENANT, new)
    await running_system.flush()
    origin = running_system.settings.origin
    async with SoftPhone() as phone:
        await enrol(running_system, SoftwarePhone(phone), existing)
    for upn in (existing, nobody) * 20:  # what is made once is made
        await state_after_push(origin, upn)
    seconds: dict[str, list[float]] = {existing: [], nobody: []}
    for turn in range(EACH):
        for upn in (existing, nobody) if turn % 2 else (nobody, existing):
            seconds[upn].append(await state_after_push(origin, upn))
    slower = probability_slower(seconds[existing], seconds[nobody])
    middle = {upn: median(taken) * 1000 for upn, taken in seconds.items()}
    print(
        f"\n/state after a push: existing {middle[existing]:.2f} ms, nobody {middle[nobody]:.2f} ms (medians of "
        f"{EACH}), P(existing slower) = {slower:.3f}"
    )
    assert abs(slower - 0.5) <= TOLERANCE


def test_probability_slower() -> None:
    assert probability_slower([3, 4], [1, 2]) == 1
    assert probability_slower([1, 2], [3, 4]) == 0
    assert probability_slower([1, 2, 3], [1, 2, 3]) == 0.5
