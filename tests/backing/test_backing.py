"""The real backing services behave as their fixtures promise; everything that tests faults stands on this."""

import asyncio
import contextlib
import signal
import socket
import subprocess
import sys
import textwrap
from pathlib import Path
from typing import Any

import aio_pika
import pytest
from pymongo import MongoClient
from pymongo.write_concern import WriteConcern

from deploy.local import backing
from deploy.local.backing import (
    BackingService,
    BackingServiceFailed,
    BackingServiceMissing,
    Broker,
    containers,
    mongo,
)
from deploy.local.backing import rabbit as rabbit_module
from deploy.local.backing.mongo import LocalMongod
from deploy.local.backing.port import free_port
from shared.testing.waiting import eventually
from tests.conftest import Vhost

Client = MongoClient[dict[str, Any]]


def _alive(pid: int) -> bool:
    with contextlib.suppress(OSError):
        return "\nState:\tZ" not in Path(f"/proc/{pid}/status").read_text()
    return False


def test_refuses_sockets_without_the_marker() -> None:
    with pytest.raises(RuntimeError, match="integration"):
        socket.socket()
    with pytest.raises(RuntimeError, match="integration"):
        socket.getaddrinfo("localhost", 80)


async def test_leaves_asyncio_its_own_socketpair() -> None:
    assert await asyncio.to_thread(lambda: 365) == 365
    left, right = socket.socketpair()
    left.close()
    right.close()


@pytest.mark.integration
def test_mongod_keeps_acknowledged_writes_over_kill(own_mongod: BackingService) -> None:
    with contextlib.closing(Client(own_mongod.url)) as client:
        written = client.get_database("t", write_concern=WriteConcern("majority", j=True))["kept"]
        written.insert_one({"_id": 1})
    before = own_mongod.url
    own_mongod.kill()
    own_mongod.start()
    assert own_mongod.url == before
    with contextlib.closing(Client(own_mongod.url)) as client:
        assert client["t"]["kept"].count_documents({}) == 1


@pytest.mark.integration
def test_mongod_has_transactions_and_change_streams(mongo_url: str, mongo_database: str) -> None:
    with contextlib.closing(Client(mongo_url)) as client:
        database = client[mongo_database]
        database.create_collection("things")
        with database["things"].watch() as changes, client.start_session() as session:
            with session.start_transaction():
                database["things"].insert_one({"_id": 1}, session=session)
            assert next(changes)["documentKey"] == {"_id": 1}
            session.start_transaction()
            database["things"].insert_one({"_id": 2}, session=session)
            session.abort_transaction()
        assert database["things"].count_documents({}) == 1


@pytest.mark.integration
@pytest.mark.parametrize("turn", [1, 2])
def test_database_is_empty_at_the_start_of_each_test(mongo_url: str, mongo_database: str, turn: int) -> None:
    with contextlib.closing(Client(mongo_url)) as client:
        assert client[mongo_database].list_collection_names() == []
        client[mongo_database]["left"].insert_one({"turn": turn})


@pytest.mark.integration
def test_mongod_folder_moves_to_another_port(tmp_path: Path) -> None:
    program = mongo.program()
    assert program is not None
    with LocalMongod(program, tmp_path / "m") as first:
        first.start()
        with contextlib.closing(Client(first.url)) as client:
            client["t"]["kept"].insert_one({"_id": 1})
    with LocalMongod(program, tmp_path / "m", free_port()) as second:
        assert second.port != first.port
        second.start()
        with contextlib.closing(Client(second.url)) as client:
            assert client["t"]["kept"].count_documents({}) == 1


@pytest.mark.integration
def test_says_why_mongod_did_not_start(tmp_path: Path) -> None:
    program = mongo.program()
    assert program is not None
    (tmp_path / "data").mkdir()
    (tmp_path / "data" / "storage.bson").write_bytes(b"not bson at all")
    with pytest.raises(BackingServiceFailed, match=r"mongod ended at once.*mongod\.log"):
        LocalMongod(program, tmp_path).start()


CRASHING = """
import os, signal, sys
from pathlib import Path
from deploy.local import backing
service = getattr(backing, sys.argv[1])(Path(sys.argv[2]))
print(service.pid, service.url, flush=True)
signal.pause()
"""


def _start_and_crash(kind: str, folder: Path) -> tuple[int, str]:
    """Start a backing service in a Python process of its own and kill -9 that. Returns its pid and URL."""
    program = subprocess.Popen(
        [sys.executable, "-c", textwrap.dedent(CRASHING), kind, str(folder)],
        stdout=subprocess.PIPE,
        text=True,
    )
    assert program.stdout is not None
    pid, url = program.stdout.readline().split()
    assert _alive(int(pid))
    program.send_signal(signal.SIGKILL)
    program.wait()
    program.stdout.close()
    return int(pid), url


@pytest.mark.integration
def test_mongod_ends_with_a_killed_parent_and_starts_again(tmp_path: Path) -> None:
    pid, url = _start_and_crash("mongod", tmp_path / "m")
    with backing.mongod(tmp_path / "m") as again:  # at once: it waits for the earlier supervisor to let go
        assert not _alive(pid)
        with contextlib.closing(Client(again.url)) as client:
            assert client.admin.command("hello")["isWritablePrimary"]
    assert url.startswith("mongodb://127.0.0.1:")


@pytest.mark.integration
async def test_rabbitmq_and_its_epmd_end_with_a_killed_parent(tmp_path: Path) -> None:
    folder = tmp_path / "r"
    pid, _url = _start_and_crash("rabbitmq", folder)

    async def gone() -> bool:
        return not _alive(pid) and not _processes_with(str(folder).encode())

    await eventually(gone, "the broker and its epmd are gone")


def _processes_with(text: bytes) -> list[str]:
    """Pids whose environment has `text` in it."""
    found = []
    for process in Path("/proc").glob("[0-9]*"):
        with contextlib.suppress(OSError):
            if b"HOME=" + text in (process / "environ").read_bytes():
                found.append(process.name)
    return found


@pytest.mark.integration
async def test_rabbitmq_keeps_confirmed_messages_over_kill(own_rabbit: Broker) -> None:
    own_rabbit.management.create_vhost("kept")
    url = own_rabbit.url_of("kept")
    async with await aio_pika.connect(url) as connection:
        channel = await connection.channel()
        await channel.declare_queue("q", durable=True, arguments={"x-queue-type": "quorum"})
        await asyncio.to_thread(own_rabbit.flush_declarations)
        message = aio_pika.Message(b"365", delivery_mode=aio_pika.DeliveryMode.PERSISTENT)
        await channel.default_exchange.publish(message, "q")
        await asyncio.to_thread(own_rabbit.kill)
    await asyncio.to_thread(own_rabbit.start)
    async with await aio_pika.connect(url) as connection:
        queue = await (await connection.channel()).get_queue("q")
        got = await queue.get(timeout=30)  # the queue elects its leader first
        assert got.body == b"365"
        await got.ack()
    assert "kept" in await asyncio.to_thread(own_rabbit.ctl, "list_vhosts")


@pytest.mark.integration
@pytest.mark.parametrize("turn", [1, 2])
async def test_vhost_is_empty_at_the_start_of_each_test(rabbit: Vhost, turn: int) -> None:
    async with await aio_pika.connect(rabbit.url) as connection:
        declared = await (await connection.channel()).declare_queue("left", durable=True)
        assert declared.declaration_result.message_count == 0
        await (await connection.channel()).default_exchange.publish(aio_pika.Message(b"%d" % turn), "left")


@pytest.mark.integration
async def test_permissions_keep_a_user_to_its_queues(rabbit: Vhost) -> None:
    user = f"{rabbit.name}-narrow"
    rabbit.management.create_user(user, "narrow")
    rabbit.management.grant(rabbit.name, user, configure="^mine$", write="^mine$", read="^mine$")
    url = rabbit.url.replace(rabbit.url.partition("//")[2].partition("@")[0], f"{user}:narrow", 1)
    async with await aio_pika.connect(url) as connection:
        await (await connection.channel()).declare_queue("mine")
        with pytest.raises(aio_pika.exceptions.ChannelClosed, match="access"):
            await (await connection.channel()).declare_queue("theirs")


def test_missing_parts_say_what_to_install(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    for name in ("BLOK365_MONGO_URL", "BLOK365_BUS_URL"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setattr(mongo, "program", lambda: None)
    monkeypatch.setattr(rabbit_module, "programs", lambda: None)
    monkeypatch.setattr(containers, "available", lambda image: False)
    with pytest.raises(BackingServiceMissing, match="BLOK365_MONGO_URL") as no_mongo:
        backing.mongod(tmp_path)
    with pytest.raises(BackingServiceMissing, match="rabbitmq-server") as no_rabbit:
        backing.rabbitmq(tmp_path)
    assert "\n" not in str(no_mongo.value) + str(no_rabbit.value)


@pytest.mark.integration
def test_given_servers_must_answer(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    nobody = free_port()
    monkeypatch.setenv("BLOK365_MONGO_URL", f"mongodb://127.0.0.1:{nobody}/?serverSelectionTimeoutMS=200")
    monkeypatch.setenv("BLOK365_BUS_URL", f"amqp://127.0.0.1:{nobody}/")
    with pytest.raises(BackingServiceFailed, match="BLOK365_MONGO_URL does not answer") as no_mongo:
        backing.mongod(tmp_path)
    assert "correct the variable" in no_mongo.value.remedy
    with pytest.raises(BackingServiceFailed, match="BLOK365_BUS_URL does not answer"):
        backing.rabbitmq(tmp_path)


@pytest.mark.integration
def test_given_servers_are_used_and_not_stopped(
    monkeypatch: pytest.MonkeyPatch, mongo_url: str, tmp_path: Path
) -> None:
    monkeypatch.setenv("BLOK365_MONGO_URL", mongo_url)
    with backing.mongod(tmp_path) as given:
        assert given.url == mongo_url
        with pytest.raises(BackingServiceFailed, match="not ours"):
            given.kill()
    with contextlib.closing(Client(mongo_url)) as client:
        assert client.admin.command("ping")["ok"] == 1
