"""All services in one process: each is wired once, `/readyz` speaks for all of them, every database is closed."""

import asyncio
import json
from collections import Counter
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from unittest import mock

import pytest

from deploy import wiring
from deploy.local.system import running
from services.approval import app as approval_app
from services.notify.config import NotifySettings
from shared.assembly import Platform
from shared.errors import Unavailable
from shared.services import SERVICES
from shared.store.memory import MemoryDatabase
from shared.store.outbox import Relay
from shared.store.port import Database
from tests.world import make_system, own_keys

pytestmark = pytest.mark.integration


class Counted:
    """A platform in memory, and how often each service's database was opened and closed on it."""

    def __init__(self, folder: Path) -> None:
        self.opened: Counter[str] = Counter()
        self.closed: Counter[str] = Counter()
        self.settings = {"notify": NotifySettings(mail_folder=folder / "mail")}
        world = make_system(folder)

        def open_database(service: str, relay: Relay) -> Database:
            self.opened[service] += 1
            counted = self

            class Closing(MemoryDatabase):
                async def close(self) -> None:
                    counted.closed[service] += 1

            return Closing(clock=world.clock, listener=relay)

        self.platform: Platform = replace(world.platform, open_database=open_database)


async def readyz(port: int) -> tuple[int, Mapping[str, object]]:
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    writer.write(b"GET /readyz HTTP/1.1\r\nHost: id.localhost:8365\r\nConnection: close\r\n\r\n")
    head, _, body = (await reader.read()).partition(b"\r\n\r\n")
    writer.close()
    return int(head.split()[1]), json.loads(body)["checks"]


async def test_ready_means_every_service_also_those_without_a_web_application(tmp_path: Path) -> None:
    on = Counted(tmp_path)
    async with running(on.platform, port=0, settings=on.settings) as system:
        _, checks = await readyz(system.port)
        for name in SERVICES:
            assert checks[f"{name}.started"] is True
            assert checks[f"{name}.database"] is True
        system.services["notify"].ready = False
        status, checks = await readyz(system.port)
        assert (status, checks["notify.started"]) == (503, False)


async def test_each_service_is_wired_once_and_its_database_is_closed(tmp_path: Path) -> None:
    on = Counted(tmp_path)
    async with running(on.platform, port=0, settings=on.settings) as system:
        assert list(system.services) == list(SERVICES)
        assert system.admin is system.wired["admin"].dependencies
        assert not on.closed
    assert on.opened == Counter(list(SERVICES))
    assert set(on.closed) == set(SERVICES)


async def test_when_a_service_cannot_be_wired_no_database_stays_open(tmp_path: Path) -> None:
    on = Counted(tmp_path)
    (own_keys(on.platform.settings) / "vapid.pub").unlink()  # approval reads it after its database is open
    with pytest.raises(FileNotFoundError):
        async with running(on.platform, port=0, settings=on.settings):
            raise AssertionError("approval cannot be wired")
    assert on.opened["approval"] == 1
    assert set(on.closed) == set(on.opened)


async def test_when_a_service_does_not_start_no_database_stays_open(tmp_path: Path) -> None:
    on = Counted(tmp_path)
    build = approval_app.build

    async def refuse() -> None:
        raise Unavailable("not today")

    def refusing(*given: object) -> object:
        wired = build(*given)  # type: ignore[arg-type]
        return replace(wired, service=replace(wired.service, on_start=[refuse]))

    with mock.patch.object(approval_app, "build", refusing), pytest.raises(Unavailable, match="not today"):
        async with running(on.platform, port=0, settings=on.settings):
            raise AssertionError("approval does not start")
    assert set(on.closed) == set(SERVICES)


async def test_migration_closes_what_it_opens(tmp_path: Path) -> None:
    on = Counted(tmp_path)
    await wiring.migrate(on.platform, ["notify", "wsfed"])
    assert on.opened == on.closed == Counter(["notify", "wsfed"])
