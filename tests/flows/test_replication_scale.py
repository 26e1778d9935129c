"""docs/flows/replication.md at scale: many accounts that no event speaks of, and sign-ins that go on meanwhile.

Real processes over MongoDB and RabbitMQ; only in `make test-long`. The figures are printed.
"""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any

import pytest

from deploy.local.backing import Broker
from services.admin.domain.accounts import Account, immutable_id
from services.admin.domain.contacts import contact_changed
from services.admin.store import AccountRepository
from shared.contracts.admin import AccountStatus
from shared.crypto.sealed_box import load_sealer
from shared.ids import SystemIds, new_id
from shared.platform import open_platform
from shared.store.mongo import MongoDatabase
from shared.testing.waiting import eventually
from tests.faults.support import ONE_EACH, TENANT, FaultSystem, Person, fault_system

pytestmark = [pytest.mark.integration, pytest.mark.xdist_group("replication-scale")]
IDS = SystemIds()
BATCH = 1000
SERVICES_MEASURED = ("admin", "wsfed", "approval")
FOLLOWERS = ("wsfed", "approval")


@pytest.fixture
async def on(tmp_path: Path, mongo_url: str, broker: Broker) -> AsyncIterator[FaultSystem]:
    """One process of each service."""
    name = f"scale-{IDS.random_bytes(6).hex()}"
    broker.management.create_vhost(name)
    async with fault_system(
        tmp_path, mongo_url=mongo_url, bus_url=broker.url_of(name), replicas=ONE_EACH
    ) as started:
        yield started
    broker.management.delete_vhost(name)


@dataclass
class Probe:
    """Somebody signs in again and again; how long each took, in seconds."""

    on: FaultSystem
    person: Person
    seconds: list[float] = field(default_factory=list)
    enough: asyncio.Event = field(default_factory=asyncio.Event)
    """Set: the sign-in that is under way is the last. Ended half-way, its request would still be on the phone."""

    async def go_on(self) -> None:
        loop = asyncio.get_running_loop()
        while not self.enough.is_set():
            began = loop.time()
            await self.on.sign_in(self.person)
            self.seconds.append(loop.time() - began)

    def quantile(self, part: float) -> float:
        ordered = sorted(self.seconds)
        return ordered[min(int(len(ordered) * part), len(ordered) - 1)]


def cpu_seconds(pid: int) -> float:
    """User and system time of a process (proc(5), `stat`), at the usual 100 ticks a second."""
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / 100


async def measured(on: FaultSystem, what: str, probe: Probe, step: Callable[[], Awaitable[None]]) -> None:
    """Take a step while somebody signs in, and print what it cost."""

    async def used() -> dict[str, float]:
        mongod = (await on.mongo.admin.command("serverStatus"))["extra_info"]
        seconds = {service: cpu_seconds(on.replica(service).pid) for service in SERVICES_MEASURED}
        return {**seconds, "mongod": (mongod["user_time_us"] + mongod["system_time_us"]) / 1e6}

    async def writes(service: str) -> int:
        record = await on.database(service).subscriptions.find_one({"_id": "admin"})
        return int(record["revision"])

    loop = asyncio.get_running_loop()
    began, before, revision = loop.time(), await used(), await writes("wsfed")
    probe.seconds.clear()
    probe.enough.clear()
    going_on = asyncio.create_task(probe.go_on())
    try:
        await step()
    finally:
        took = loop.time() - began
        probe.enough.set()
        await going_on  # no sign-in has failed
    after = await used()
    cpu = ", ".join(f"{name} {after[name] - before[name]:.1f}" for name in before)
    print(
        f"\n{what}: {took:.1f} s; CPU seconds: {cpu}; pages and questions {await writes('wsfed') - revision}; "
        f"{len(probe.seconds)} sign-ins, p50 {probe.quantile(0.5):.2f} s, p99 {probe.quantile(0.99):.2f} s"
    )


def an_account(number: int, on: FaultSystem) -> Account:
    """Its name comes after everybody's who signs in: the Entra stand-in is told of the first 200."""
    account_id = new_id(IDS)
    return Account(
        id=account_id,
        tenant=TENANT,
        upn=f"zz{number:06d}@contoso.example",
        first_name="Zoë",
        last_name=f"Müller {number}",
        display_name=f"Zoë Müller {number}",
        email=f"zz{number:06d}@private.example",
        immutable_id=immutable_id(account_id),
        status=AccountStatus.INVITED,
        enrolled=False,
        created_at=on.running_system.clock.now(),
    )


async def at_scale(on: FaultSystem, count: int, within: float) -> None:
    """Accounts made at once, changed at once, and pulled anew, each within so many seconds."""
    probe = Probe(on, await on.person())
    collection = on.database("admin").accounts

    found: list[int] = []

    async def known(version: int) -> bool | None:
        where = {"version": version, "lapsed": {"$exists": False}}
        found[:] = [
            await on.database("wsfed").accounts.count_documents({**where, "upn": {"$regex": "^zz"}}),
            await on.database("approval").accounts.count_documents(
                {"upn": {"$regex": "^zz"}, "version": version}
            ),
        ]
        await asyncio.sleep(2)  # to count costs mongod something too
        return found == [count, count] or None

    async def until_known(version: int) -> None:
        try:
            await eventually(lambda: known(version), f"everybody knows {count} accounts", within=within)
        except TimeoutError as error:
            raise TimeoutError(f"wsfed and approval know {found} of {count} after {within} s") from error

    async def make() -> None:
        url = on.running_system.settings.mongo_url
        name = f"{on.running_system.settings.database_prefix}_admin"
        database = MongoDatabase(url, name, clock=on.running_system.clock)
        settings = on.running_system.settings
        seal = load_sealer(settings.keys, "notify").seal
        contact = partial(contact_changed, seal=seal, language="en")
        accounts = AccountRepository(database, open_platform(settings).signer("admin"), contact)
        for first in range(0, count, BATCH):
            await accounts.add_many([an_account(n, on) for n in range(first, min(first + BATCH, count))])
        await database.close()
        await until_known(1)

    async def change() -> None:
        await collection.update_many(
            {"upn": {"$regex": "^zz"}},
            {"$inc": {"version": 1}, "$currentDate": {"changed": {"$type": "timestamp"}}},
        )
        await until_known(2)

    async def sent_again() -> None:
        """Until a pull is complete that began after this: recent pulls bring each change twice.

        Until then what is known is as old as the change, and after 300 s sign-ins would wait. A full pull on top of it,
        which rewrites every row meanwhile, is more work than that time allows two cores.
        """
        began = on.running_system.clock.now()

        async def complete() -> bool:
            await asyncio.sleep(1)
            records = [await on.database(name).subscriptions.find_one({"_id": "admin"}) for name in FOLLOWERS]
            return all(record["complete_at"] > began for record in records)

        await eventually(complete, "a pull after the change is complete", within=within)

    async def pull_anew() -> None:
        for service in FOLLOWERS:
            await on.database(service).accounts.delete_many({"upn": {"$regex": "^zz"}})
            await on.database(service).subscriptions.update_one(
                {"_id": "admin"}, {"$set": {"full_at": None, "full": None}, "$inc": {"revision": 1}}
            )
        await until_known(2)

    await measured(on, f"{count} accounts made at once", probe, make)
    await measured(on, f"{count} accounts changed at once", probe, change)
    await measured(on, f"the change of {count} accounts sent again", probe, sent_again)
    await measured(on, f"a first pull of {count} accounts", probe, pull_anew)
    await on.sign_in(probe.person)
    assert await lapsed(on) == 0


async def lapsed(on: FaultSystem) -> Any:
    return await on.database("wsfed").accounts.count_documents({"lapsed": True})


@pytest.mark.soak
@pytest.mark.timeout(1500)
async def test_100000_accounts_while_people_sign_in(on: FaultSystem) -> None:
    await at_scale(on, 100_000, within=450)
