"""provisioning: people a second, CPU and memory, before the stand-in of Graph as a program of its own.

The accounts are there, and provisioning knows them, before its connection is switched on: what is measured is the
look through them and their jobs, until the last one is done. `latency` is how long each answer of the directory takes.

Without limits it shows what the service can do. With Microsoft's (3,000 writes in 150 s for an application in a
tenant) it shows how near it comes to what they allow: the burst first, then twenty a second.
"""

import asyncio
import json
import time
from collections.abc import Callable, Collection, Iterator
from contextlib import AsyncExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import aiohttp
from pymongo import AsyncMongoClient

from deploy.bench.machine import cpu_seconds, rss_mb
from deploy.local.backing import BackingService, Broker
from deploy.local.backing.port import free_port
from deploy.local.graph import Registration, graph_standin, write_set_up
from deploy.local.platform import make_keys
from deploy.local.running_system import RunningSystem, many_processes
from deploy.local.settings import local_settings
from services.admin import handlers as admin
from services.admin.handlers import NewAccount
from shared.ids import Ids, SystemIds
from shared.testing.waiting import eventually

TENANT, DOMAIN = "contoso", "contoso.example"
WRITES, WINDOW = 3000, 150.0
"""Microsoft's limit, and the seconds that it is counted over."""
ENDLESS = {"writes": 10**9, "units": 10**9}
PATIENCE = 900.0


@dataclass(frozen=True, slots=True)
class Run:
    """So many people made, and what it took."""

    people: int
    seconds: float
    cpu: float
    """CPU seconds of provisioning's process."""
    cpu_all: float
    """CPU seconds including RabbitMQ and MongoDB."""
    rss_before: float
    rss_after: float
    requests: int
    """HTTP requests, a `$batch` being one."""
    refused: int
    """Answers 429, in batches too."""
    early: int
    """Requests that came again before their Retry-After was over: none is to."""

    def json(self) -> dict[str, object]:
        """The figures as they go into bench.json."""
        return {
            "people": self.people,
            "seconds": round(self.seconds, 1),
            "per_second": round(self.people / self.seconds, 1),
            "cpu_ms": round(self.cpu / self.people * 1000, 2),
            "cpu_ms_all": round(self.cpu_all / self.people * 1000, 2),
            "rss_mb": {"idle": round(self.rss_before, 1), "after_load": round(self.rss_after, 1)},
            "requests": self.requests,
            "refused": self.refused,
            "early": self.early,
        }


async def run(
    mongo: BackingService,
    broker: Broker,
    others: Collection[int],
    folder: Path,
    *,
    people: int,
    latency: float,
    throttled: bool,
    say: Callable[[str], None],
) -> Run:
    """Make so many people. `others`: process ids of RabbitMQ and MongoDB. Raises Unavailable, TimeoutError."""
    ids = SystemIds()
    prefix = f"bench_{ids.random_bytes(4).hex()}"
    broker.management.create_vhost(prefix)
    settings = local_settings(
        folder, free_port(), mongo.url, bus_url=broker.url_of(prefix), database_prefix=prefix
    )
    make_keys(settings, ids)
    registration = Registration(_guid(ids), f"secret~{ids.random_bytes(12).hex()}")
    set_up = folder / "graph" / "set-up.json"
    write_set_up(set_up, "Contoso", {"domains": [], "managedDomains": [{"domain": DOMAIN}]}, registration, {})
    async with AsyncExitStack() as stack:
        stack.callback(broker.management.delete_vhost, prefix)
        client: AsyncMongoClient[dict[str, Any]] = AsyncMongoClient(mongo.url)
        stack.push_async_callback(client.close)
        for service in ("admin", "provisioning"):
            stack.push_async_callback(client.drop_database, f"{prefix}_{service}")
        record = folder / "graph" / "requests.jsonl"
        graph = await stack.enter_async_context(graph_standin(free_port(), set_up, record))
        control = await stack.enter_async_context(aiohttp.ClientSession(graph))
        if not throttled:
            await _tell(control, "/control/set-up", {"limits": ENDLESS})
        if latency:
            await _tell(control, "/control/faults", [{"kind": "slow", "path": "/*", "seconds": latency}])
        system = await stack.enter_async_context(
            many_processes(
                settings,
                port=free_port(),
                entra_port=free_port(),
                logs=folder / "log" / prefix,
                graph=graph,
                replicas={"admin": 1, "provisioning": 1},
            )
        )
        say(f"provisioning: {people:,} accounts")
        await admin.create_tenant(system.admin, TENANT, "Contoso")
        await admin.add_domain(system.admin, TENANT, DOMAIN)
        await admin.create_accounts(system.admin, TENANT, _new(people))
        database = client[f"{prefix}_provisioning"]

        async def known() -> bool:
            return await database.profiles.count_documents({}) == people

        await eventually(known, "provisioning knows every account", within=PATIENCE, every=0.5)
        return await _measured(system, registration, database, control, others, people)


async def _measured(
    system: RunningSystem,
    registration: Registration,
    database: Any,
    control: aiohttp.ClientSession,
    others: Collection[int],
    people: int,
) -> Run:
    assert system.cluster is not None
    own = [system.cluster.replicas["provisioning"][0].pid]
    properties = json.dumps(
        {
            "client_id": registration.client_id,
            "client_secret": registration.client_secret,
            "tenant_domain": "contoso.onmicrosoft.com",
        }
    )
    idle = rss_mb(own[0])
    cpu, cpu_all = cpu_seconds(own), cpu_seconds([*own, *others])
    began = time.monotonic()
    await admin.set_connection(system.admin, TENANT, properties=properties, enabled=True)
    await system.flush()

    async def done() -> bool:
        finished: int = await database.people.count_documents({"tenant": TENANT, "state": "done"})
        return finished == people

    await eventually(done, "everybody is in the directory", within=PATIENCE, every=0.5)
    seconds = time.monotonic() - began
    await asyncio.sleep(0.5)  # outboxes are emptied every 200 ms, and that is part of the cost
    state = await (await control.get("/control/state")).json()
    users = sum(tenant["users"] for tenant in state["tenants"])
    if users != people:
        raise TimeoutError(f"the directory has {users} users of {people}")
    return Run(
        people=people,
        seconds=seconds,
        cpu=cpu_seconds(own) - cpu,
        cpu_all=cpu_seconds([*own, *others]) - cpu_all,
        rss_before=idle,
        rss_after=rss_mb(own[0]),
        requests=state["requests"],
        refused=state["throttled"],
        early=state["early"],
    )


def _new(people: int) -> Iterator[NewAccount]:
    for number in range(people):
        name = f"p{number:06}"
        yield NewAccount(f"{name}@{DOMAIN}", "Per", f"Son {number}", f"{name}@mail.example")


async def _tell(control: aiohttp.ClientSession, path: str, body: object) -> None:
    async with control.post(path, json=body) as answer:
        answer.raise_for_status()


def _guid(ids: Ids) -> str:
    digits = ids.random_bytes(16).hex()
    return f"{digits[:8]}-{digits[8:12]}-4{digits[13:16]}-8{digits[17:20]}-{digits[20:]}"
