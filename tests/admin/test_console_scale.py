"""The console with 100,000 accounts on MongoDB: pages within 150 ms of the server's time, searches within 200 ms."""

import time
from collections.abc import Iterator
from datetime import timedelta

import pytest

from services.admin.domain.accounts import Account, immutable_id
from shared.contracts.admin import AccountStatus
from shared.contracts.wsfed import OutcomeCount, SignInsCounted
from shared.ids import new_id
from tests.admin.conftest import CONTOSO, AdminSystem
from tests.admin.console import signed_in

pytestmark = [pytest.mark.integration, pytest.mark.soak, pytest.mark.timeout(600)]
ACCOUNTS = 100_000
FIRST = ("Ada", "Grace", "Alan", "Edsger", "Barbara", "Ken", "Radia", "Donald", "Frances", "Tony")
LAST = ("Almeida", "Berg", "Costa", "Dubois", "Eriksen", "Fischer", "Garcia", "Haas", "Ito", "Jansen")


def accounts(system: AdminSystem) -> Iterator[Account]:
    for number in range(ACCOUNTS):
        first, last = FIRST[number % 10], f"{LAST[number // 10 % 10]}{number // 100}"
        account_id = new_id(system.world.ids)
        upn = f"{first}.{last}@{CONTOSO}.example".lower()
        yield Account(
            id=account_id,
            tenant=CONTOSO,
            upn=upn,
            first_name=first,
            last_name=last,
            display_name=f"{first} {last}",
            email=f"p{number}@home.example",
            immutable_id=immutable_id(account_id),
            status=AccountStatus.SUSPENDED if number % 1000 == 0 else AccountStatus.ACTIVE,
            enrolled=True,
            created_at=system.world.clock.now(),
        )


@pytest.mark.parametrize("stored", ["mongo"], indirect=True)
async def test_lists_searches_and_pages_are_quick(stored: AdminSystem) -> None:
    batch: list[Account] = []
    for account in accounts(stored):
        batch.append(account)
        if len(batch) == 1000:
            await stored.deps.accounts.add_many(batch)
            batch = []
    owner = await signed_in(stored)
    for ago in range(90):
        day = (stored.world.clock.now() - timedelta(days=ago)).date()
        counts = (OutcomeCount(method="blokkey_push", outcome="signed_in", count=90_000),)
        await stored.world.say("wsfed", SignInsCounted(version=1, day=day, counts=counts))
    await stored.world.bus.drain()
    people = f"/t/{CONTOSO}/people"
    person = f"{people}/{account.id}"
    took: dict[str, float] = {}
    for path, limit in (
        (f"/t/{CONTOSO}?days=90", 0.150),
        (people, 0.150),
        (f"{people}?status=suspended", 0.150),
        (person, 0.150),
        (f"/t/{CONTOSO}/federation/{CONTOSO}.example/readiness", 0.150),
        (f"{people}?q=a", 0.200),
        (f"{people}?q=ada", 0.200),
        (f"{people}?q=jansen999", 0.200),
        (f"{people}?q=radia+haas777", 0.200),
        (f"{people}?q=p99999%40home", 0.200),
        (f"{people}?q=nobody", 0.200),
    ):
        times = []
        for _ in range(5):
            began = time.perf_counter()
            assert (await owner.get(path)).status == 200
            times.append(time.perf_counter() - began)
        took[path] = min(times)  # other programs run beside
        assert took[path] < limit, took
    print({path: f"{seconds * 1000:.0f} ms" for path, seconds in took.items()})
