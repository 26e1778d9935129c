"""What sign-ins are measured on: each service a process of its own over RabbitMQ and MongoDB, with many accounts."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

from pymongo import MongoClient

from deploy import wiring
from deploy.bench.copies import DOMAIN, TENANT, Copies, Person, user_name
from deploy.bench.http import Pool
from deploy.bench.load_client import Owner, SignIn, Site
from deploy.local.backing import BackingService, Broker
from deploy.local.backing.port import free_port
from deploy.local.cluster import Cluster, cluster
from deploy.local.platform import make_keys
from deploy.local.settings import local_settings
from deploy.standins.phone.phone import SoftPhone
from services.admin import app as admin_app
from services.admin import handlers as admin
from services.admin.handlers import NewAccount
from services.admin.ports import Dependencies
from services.wsfed.domain.session import cookie_name
from shared.bus.connect import connect
from shared.clock import Clock, SystemClock
from shared.contracts.admin import AccountStatus
from shared.crypto.keys import load_trusted_keys
from shared.ids import Ids, SystemIds
from shared.platform import open_platform
from shared.replication.publisher import text_of
from shared.services import SERVICES
from shared.store.schema_version import FENCE
from shared.testing.waiting import eventually


@dataclass
class BenchSystem:
    """The running whole, with one process of each service."""

    site: Site
    cluster: Cluster
    copies: Copies
    at_rest: Callable[[], Awaitable[None]]
    """Waits until the copies are no longer pulled."""

    def pids(self, *services: str) -> list[int]:
        """Process ids of those services; without any, of all."""
        return [r.pid for service in services or SERVICES for r in self.cluster.replicas[service]]

    async def seed(self, total: int) -> None:
        """Copy accounts until there are so many, and wait until they cost nothing any more."""
        await asyncio.to_thread(self.copies.seed, total)
        await self.at_rest()

    async def owners(self, count: int) -> list[Owner]:
        """See `Copies.next_owners`."""
        return await asyncio.to_thread(self.copies.next_owners, count)


@asynccontextmanager
async def bench_system(
    mongo: BackingService, broker: Broker, folder: Path, *, accounts: int
) -> AsyncIterator[BenchSystem]:
    """Start the services, make the original account, copy it. All that it made is removed at the end.

    Raises NotSeeded, Unexpected, Unavailable, TimeoutError.
    """
    ids, clock = SystemIds(), SystemClock()
    prefix = f"bench_{ids.random_bytes(4).hex()}"
    broker.management.create_vhost(prefix)
    port = free_port()
    bus_url = broker.url_of(prefix)
    settings = local_settings(folder, port, mongo.url, bus_url=bus_url, database_prefix=prefix)
    make_keys(settings, ids)
    async with AsyncExitStack() as stack:
        stack.callback(broker.management.delete_vhost, prefix)
        client: MongoClient[dict[str, Any]] = MongoClient(mongo.url)
        stack.callback(client.close)
        for name in SERVICES:
            stack.callback(client.drop_database, f"{prefix}_{name}")
        bus = await connect(settings.bus_url, load_trusted_keys(settings.keys / "trusted.json"), clock)
        stack.push_async_callback(bus.close)
        platform = open_platform(settings, bus=bus, clock=clock)
        await wiring.migrate(platform)
        wired = admin_app.build(platform, pages=False)
        stack.push_async_callback(wired.service.database.close)
        whole = await stack.enter_async_context(
            cluster(settings, port=port, logs=folder / "log" / prefix, replicas=dict.fromkeys(SERVICES, 1))
        )
        site = Site(settings.origins, Pool(whole.port_of("wsfed")), Pool(whole.port_of("approval")), TENANT)
        stack.push_async_callback(site.wsfed.close)
        stack.push_async_callback(site.approval.close)
        original = await _original(site, wired.dependencies, wired.service.relay.flush, clock, ids)
        copies = await asyncio.to_thread(Copies, client, prefix, original, ids)
        found = BenchSystem(site, whole, copies, partial(_at_rest, client, prefix))
        await found.seed(accounts)
        yield found


async def _at_rest(client: MongoClient[dict[str, Any]], prefix: str) -> None:
    """Until no recent pull sends again what the copies' positions say: that is no cost of sign-ins.

    It takes three pulls, half a minute (docs/flows/replication.md, step 7).
    """

    def over() -> bool:
        for follower in SERVICES.values():
            for owner in follower.follows:
                record = client[f"{prefix}_{follower.name}"]["subscriptions"].find_one({"_id": owner})
                if record is None or record["position"] < fences[owner]:
                    return False
        return True

    def fence(owner: str) -> str:
        position = client[f"{prefix}_{owner}"]["fences"].find_one({"_id": FENCE})
        assert position is not None
        return text_of((position["position"].time, position["position"].inc))

    owners = [row.name for row in SERVICES.values() if row.owns_state]
    fences = {owner: await asyncio.to_thread(fence, owner) for owner in owners}
    await eventually(lambda: asyncio.to_thread(over), "the copies are pulled for the last time", every=0.5)


async def _original(
    site: Site, deps: Dependencies, flush: Callable[[], Awaitable[None]], clock: Clock, ids: Ids
) -> Person:
    """An account made as docs/flows/enrolment.md has it, and signed in once."""
    await admin.create_tenant(deps, TENANT, "Contoso")
    await admin.add_domain(deps, TENANT, DOMAIN)
    await admin.add_application(deps, TENANT)
    upn = user_name(0).replace("person", "origin")
    ada = NewAccount(first_name="Ada", last_name="Lovelace", upn=upn, email="ada@private.example")
    await admin.create_account(deps, TENANT, ada)
    link = await admin.invite(deps, TENANT, upn)
    await flush()
    async with SoftPhone(ids=ids, counts=False, connect=f"http://127.0.0.1:{site.approval.port}") as phone:
        key = await phone.enrol_once_invited(link.url)
        await phone.sign_in()
        session = phone.token

    async def active() -> bool | None:
        account = await admin.show_account(deps, TENANT, upn)
        return account.status is AccountStatus.ACTIVE or None

    await eventually(active, "the account is active")
    once = SignIn(site, Owner(key, session))
    await once.whole()
    await clock.sleep(0.5)  # outboxes are emptied every 200 ms, and what is copied should be at rest
    return Person(key, session, once.cookies[f"__Host-{cookie_name(TENANT, upn)}"])
