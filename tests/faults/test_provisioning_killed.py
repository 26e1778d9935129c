"""Fault: many people are made in a directory that throttles, fails and forgets to answer, while provisioning itself,
RabbitMQ and mongod are killed (docs/flows/provisioning.md, "Nothing twice, nothing lost").

Real processes: admin and provisioning, RabbitMQ, mongod, and the stand-in of Graph over HTTP. A part is killed
whenever the directory has so many people; the numbers are drawn from a seed. Whatever happens, at the end each account
has exactly one user, and everybody knows it.
"""

import asyncio
import json
from collections import Counter
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import aiohttp
import pytest
from pymongo import AsyncMongoClient
from pymongo.errors import PyMongoError

from deploy.local import backing
from deploy.local.backing.port import free_port
from deploy.local.cluster import Replica
from deploy.local.graph import graph_standin
from deploy.local.platform import make_keys
from deploy.local.running_system import RunningSystem, many_processes
from deploy.local.settings import local_settings
from deploy.standins.graph.check import problems
from services.admin import handlers as admin
from services.admin.handlers import NewAccount
from shared.ids import SeededIds, SystemIds
from shared.testing.waiting import eventually
from tests.faults.sign_in import away
from tests.faults.support import owned
from tests.standins.graph.directory import CLIENT, SECRET, SET_UP, TENANT

pytestmark = [pytest.mark.integration, pytest.mark.asyncio(loop_scope="function")]
SLUG = "contoso"
DOMAIN = "contoso.example"
PROPERTIES = json.dumps(
    {"client_id": CLIENT, "client_secret": SECRET, "tenant_domain": "contoso.onmicrosoft.com"}
)
CREATION: Mapping[str, Any] = {"method": "POST", "path": "/users"}
FAULTS: Sequence[Mapping[str, Any]] = (
    {**CREATION, "kind": "too_many", "probability": 0.05, "retryAfter": 1},
    {**CREATION, "kind": "unavailable", "probability": 0.05},
    {**CREATION, "kind": "drop_after_write", "probability": 0.02},
    {**CREATION, "kind": "error_after_write", "probability": 0.02},
    {"kind": "expired_token", "probability": 0.005},
)
"""Of creations only: looking up is tried again in the same way, and each further attempt waits twice as long."""
STALE: Mapping[str, Any] = {"kind": "not_found_after_create", "share": 0.5}
ONCE: Sequence[Mapping[str, Any]] = (
    {**CREATION, "kind": "too_many", "times": 3, "retryAfter": 1},
    {**CREATION, "kind": "unavailable", "times": 3, "skip": 5},
    {**CREATION, "kind": "drop_after_write", "times": 1, "skip": 2},
    {**CREATION, "kind": "error_after_write", "times": 1, "skip": 7},
    {"kind": "expired_token", "times": 1, "skip": 12},
)
"""Each of them so often, so that a test of few people meets them all and waits little."""


@dataclass
class Running:
    """admin and provisioning as processes before the stand-in, and the test's own way to each."""

    system: RunningSystem
    graph: str
    client: aiohttp.ClientSession
    mongo: AsyncMongoClient[dict[str, Any]]
    requests: Path

    @property
    def provisioning(self) -> Replica:
        assert self.system.cluster is not None
        return self.system.cluster.replicas["provisioning"][0]

    def database(self, service: str) -> Any:
        return self.mongo[f"{self.system.settings.database_prefix}_{service}"]

    async def control(self, path: str, body: Any = None) -> Any:
        """What the stand-in's control answers."""
        method = "GET" if body is None else "POST"
        async with self.client.request(method, f"{self.graph}/control{path}", json=body) as answer:
            answer.raise_for_status()
            return await answer.json()

    async def people(self) -> int:
        """How many users the directory has."""
        (tenant,) = (await self.control("/state"))["tenants"]
        count: int = tenant["users"]
        return count

    async def accounts(self, count: int, *, at_once: bool = False) -> None:
        """So many accounts. Of those that are made `at_once` provisioning learns by replication, within 20 s."""
        new = [
            NewAccount(f"p{number:05}@{DOMAIN}", "Per", f"Son {number}", f"p{number:05}@private.example")
            for number in range(count)
        ]
        if at_once:
            await admin.create_accounts(self.system.admin, SLUG, new)
            return
        for each in new:
            await admin.create_account(self.system.admin, SLUG, each)
        await self.system.flush()

    async def done(self, count: int, within: float) -> None:
        """Wait until so many jobs are done and none is anything else."""

        async def all_done() -> bool | None:
            try:
                states = [each["state"] async for each in self.database("provisioning").people.find({})]
            except PyMongoError:
                return None
            return Counter(states) == {"done": count} or None

        await eventually(all_done, "every job is done", within=within, every=0.2)

    async def told(self, count: int) -> None:
        """Wait until admin knows of everybody, and nothing waits to be sent."""

        async def known() -> bool | None:
            failed = await admin.failed_people(self.system.admin, SLUG)
            waiting = await self.database("provisioning").people.count_documents(
                {"outbox.0": {"$exists": True}}
            )
            done = await self.database("admin").directory_people.count_documents({"state": "done"})
            return (done == count and not failed and not waiting) or None

        await eventually(known, "admin knows of everybody", within=60, every=0.2)

    async def progress(self, count: int) -> None:
        """Wait until admin knows from the connection's state that nothing is left to do."""

        async def known() -> bool | None:
            connection = await self.system.admin.directory.connection(SLUG)
            said = connection.progress if connection is not None else None
            return (said is not None and (said.waiting, said.done) == (0, count)) or None

        await eventually(known, "admin knows that all are done", within=60, every=0.2)

    async def assert_each_account_has_one_user(self, count: int) -> None:
        found = await self.control(f"/tenants/{TENANT}/users")
        kept = [each async for each in self.database("admin").accounts.find({})]
        wanted = {each["immutable_id"]: each["upn"] for each in kept}
        made = Counter(user["onPremisesImmutableId"] for user in found["users"])
        assert len(wanted) == count
        assert made == dict.fromkeys(wanted, 1)  # nobody twice, nobody missing, nobody else
        assert {u["onPremisesImmutableId"]: u["userPrincipalName"] for u in found["users"]} == wanted
        assert found["deleted"] == []
        linked = {each["object_id"] async for each in self.database("provisioning").people.find({})}
        assert linked == {user["id"] for user in found["users"]}  # no orphan on either side
        entries = map(json.loads, self.requests.read_text().splitlines())
        assert list(problems(entries)) == []


@asynccontextmanager
async def running(
    folder: Path, mongo_url: str, bus_url: str, *, answer_seconds: float
) -> AsyncIterator[Running]:
    """A tenant with a connection that is on, and no accounts. `answer_seconds`: a third of a job's lease."""
    set_up = folder / "set-up.json"
    set_up.write_text(json.dumps(SET_UP))
    settings = local_settings(
        folder,
        free_port(),
        mongo_url,
        bus_url=bus_url,
        database_prefix="faults_" + SystemIds().random_bytes(6).hex(),
    )
    make_keys(settings, SystemIds())
    own = {"BLOK365_PROVISIONING_ANSWER_SECONDS": str(answer_seconds)}
    async with AsyncExitStack() as stack:
        requests = folder / "requests.jsonl"
        graph = await stack.enter_async_context(graph_standin(free_port(), set_up, requests))
        mongo: AsyncMongoClient[dict[str, Any]] = AsyncMongoClient(mongo_url, tz_aware=True)
        stack.push_async_callback(mongo.close)
        client = await stack.enter_async_context(aiohttp.ClientSession())
        system = await stack.enter_async_context(
            many_processes(
                settings,
                port=free_port(),
                entra_port=free_port(),
                logs=folder / "log",
                graph=graph,
                replicas={"admin": 1, "provisioning": 1},
                of_replica=lambda service, _: own if service == "provisioning" else {},
            )
        )
        await admin.create_tenant(system.admin, SLUG, "Contoso")
        await admin.add_domain(system.admin, SLUG, DOMAIN)
        await admin.set_connection(system.admin, SLUG, properties=PROPERTIES, enabled=True)
        await system.flush()
        yield Running(system, graph, client, mongo, requests)


Kill = Callable[[], Awaitable[None]]


async def kill_now_and_then(on: Running, kills: Sequence[Kill], count: int, seed: str) -> None:
    """Take each of these when the directory has so many people, up to nine tenths of `count`, drawn from the seed."""
    ids = SeededIds(seed)
    points = sorted(int.from_bytes(ids.random_bytes(4), "big") % (count * 9 // 10) for _ in kills)
    for kill, point in zip(kills, points, strict=True):

        async def reached(point: int = point) -> bool | None:
            return await on.people() >= point or None

        await eventually(reached, f"the directory has {point} people", within=150)
        await kill()


async def test_thirty_people_while_provisioning_is_killed(tmp_path: Path, mongo_url: str, vhost: str) -> None:
    async with running(tmp_path, mongo_url, vhost, answer_seconds=1) as on:
        await on.control("/faults", [*ONCE, {**STALE, "seconds": 2}])
        await on.accounts(30)

        async def kill() -> None:
            await on.provisioning.kill()
            await on.provisioning.start()

        await kill_now_and_then(on, [kill], 30, "thirty")
        await on.done(30, within=60)
        await on.told(30)
        await on.assert_each_account_has_one_user(30)
        rules = (await on.control("/state"))["faults"]
        assert {rule["kind"]: rule["hit"] for rule in rules[:-1]} == {
            rule["kind"]: rule["times"] for rule in ONCE
        }


@pytest.mark.soak
@pytest.mark.timeout(400)
async def test_a_thousand_people_while_everything_is_killed(tmp_path: Path) -> None:
    """provisioning, RabbitMQ and mongod, in turns."""
    with (
        owned(backing.mongod(tmp_path / "mongod")) as mongod,
        owned(backing.rabbitmq(tmp_path / "rabbit")) as rabbit,
    ):
        rabbit.management.create_vhost("faults")
        async with running(tmp_path, mongod.url, rabbit.url_of("faults"), answer_seconds=3) as on:
            await asyncio.to_thread(rabbit.flush_declarations)
            await on.control("/faults", [*FAULTS, {**STALE, "seconds": 20}])
            await on.accounts(1000, at_once=True)

            async def process() -> None:
                await on.provisioning.kill()
                await on.provisioning.start()

            async def database() -> None:
                async with away(mongod):
                    pass

            async def broker() -> None:
                async with away(rabbit):
                    pass

            kills = [process, database, broker, process, database, process, broker, process]
            await kill_now_and_then(on, kills, 1000, "a thousand")
            await on.done(1000, within=150)
            await on.told(1000)
            await on.progress(1000)
            await on.assert_each_account_has_one_user(1000)
