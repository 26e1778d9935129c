"""What the flows stand on: one in memory for each test, and one running system for all tests in a browser."""

from collections.abc import AsyncIterator
from contextlib import AsyncExitStack
from dataclasses import dataclass
from pathlib import Path

import pytest
import pytest_asyncio
from aiohttp import web

from deploy.local import tenant
from deploy.local.backing.port import free_port
from deploy.local.entra import entra_standin
from deploy.local.graph import address
from deploy.local.platform import make_keys
from deploy.local.running_system import RunningSystem, one_process
from deploy.local.settings import local_settings
from deploy.standins.phone.phone import SoftPhone
from deploy.standins.push.app import PushService
from services.admin import handlers as admin
from services.admin.handlers import NewAccount
from shared.clock import SystemClock
from shared.ids import SystemIds
from shared.testing.waiting import eventually
from tests.flows.post import Post, with_notify
from tests.flows.support import Flow, start_flow


@pytest.fixture
async def flow(tmp_path: Path) -> AsyncIterator[Flow]:
    """admin, approval and wsfed at work; Ada is invited."""
    async with start_flow(tmp_path) as started:
        yield started


@pytest.fixture
async def post(flow: Flow, tmp_path: Path) -> AsyncIterator[Post]:
    """notify beside the others; its mails are files, and its push service is not reached."""
    async for made in with_notify(
        flow, tmp_path, PushService(flow.world.clock, SystemIds(), "http://127.0.0.1:9")
    ):
        yield made


@pytest.fixture
async def real_post(flow: Flow, tmp_path: Path) -> AsyncIterator[Post]:
    """The same with the push service on a real socket."""
    service = PushService(flow.world.clock, SystemIds())
    runner = web.AppRunner(service.app(), shutdown_timeout=1)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    service.origin = "http://{}:{}".format(*runner.addresses[0])
    async for made in with_notify(flow, tmp_path, service):
        yield made
    await runner.cleanup()


@dataclass
class LocalSystem:
    """All services in one process on a real MongoDB, and Entra's stand-in as a program of its own."""

    running_system: RunningSystem
    entra: str
    """The address of Entra's stand-in."""
    federation: Path
    """What the stand-in knows; it reads the file again when it changes."""
    push_port: int
    """Where a test may have a push service: notify speaks to it."""
    graph: str
    """Where a test may have a stand-in of Microsoft Graph: provisioning speaks to it."""
    people: int = 0

    async def person(self) -> str:
        """The user name of a new person of contoso, whom Entra knows too: nobody shares a phone or a session."""
        self.people += 1
        upn = f"ada{self.people}@{tenant.DOMAIN}"
        new = NewAccount(
            upn=upn, first_name="Ada", last_name="Lovelace", email=f"ada{self.people}@private.example"
        )
        await admin.create_account(self.running_system.admin, tenant.TENANT, new)
        await self.running_system.flush()
        await tenant.tell_entra(self.running_system, self.federation)
        return upn

    async def notify(self, phone: SoftPhone) -> None:
        """Turn on that phone's notifications, so that a push starts by itself. Its push service is not there."""
        service = PushService(SystemClock(), SystemIds(), f"http://localhost:{self.push_port}")
        await phone.subscribe(service.subscribe(await phone.push_key()))
        assert self.running_system.system is not None
        directory = self.running_system.system.wired["wsfed"].dependencies.directory
        whose = phone.key.tenant, phone.key.account
        await eventually(lambda: directory.gets_notifications(*whose), "wsfed knows of it")


@pytest_asyncio.fixture(scope="session", loop_scope="session")
async def local_system(
    tmp_path_factory: pytest.TempPathFactory, mongo_url: str
) -> AsyncIterator[LocalSystem]:
    """One for the run: starting it takes longer than a whole sign-in. Needs the marker `integration`."""
    folder = tmp_path_factory.mktemp("local-system")
    port, entra_port, push_port, graph = free_port(), free_port(), free_port(), address(free_port())
    ids = SystemIds()
    prefix = f"local_{ids.random_bytes(6).hex()}"
    settings = local_settings(folder, port, mongo_url, database_prefix=prefix)
    make_keys(settings, ids)
    federation = folder / "entra.json"
    async with AsyncExitStack() as stack:
        running_system = await stack.enter_async_context(
            one_process(
                settings,
                port=port,
                entra_port=entra_port,
                graph=graph,
                push_local=[f"localhost:{push_port}"],
            )
        )
        await tenant.seed(running_system)
        await tenant.tell_entra(running_system, federation)
        entra = await stack.enter_async_context(entra_standin(entra_port, federation))
        yield LocalSystem(running_system, entra, federation, push_port, graph)
