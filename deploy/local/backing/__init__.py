"""Real backing services: a mongod and a RabbitMQ to run and test against, found in this order.

1. The environment: BLOK365_MONGO_URL, BLOK365_BUS_URL (and BLOK365_BUS_ADMIN_URL) name running servers.
2. Programs of this machine: mongod of the development lock's wheel or on the PATH; Debian's rabbitmq-server.
3. Containers (testcontainers) when a Docker engine answers and has the image. BLOK365_BACKING=docker skips 2.
4. Otherwise `BackingServiceMissing`, whose text is one line that says what to install. Never a silent skip.

    with mongod(Path("var/mongo")) as service:
        client = AsyncIOMotorClient(service.url)

A backing service is private (127.0.0.1, own folder, own ports), keeps its data in its folder, and ends with the process
that started it, even when that is killed with kill -9. `kill` and `start` are for tests of faults. Everything
here blocks; from a coroutine use `asyncio.to_thread`.
"""

import os
import shutil
from pathlib import Path

from deploy.local.backing import containers, mongo, rabbit
from deploy.local.backing.port import BackingService, BackingServiceFailed, BackingServiceMissing
from deploy.local.backing.rabbit import Broker

__all__ = ["BackingService", "BackingServiceFailed", "BackingServiceMissing", "Broker", "mongod", "rabbitmq"]


def _forced() -> bool:
    return os.environ.get("BLOK365_BACKING", "") == "docker"


def mongod(folder: Path, port: int = 0, *, keep_alive: Path | None = None) -> BackingService:
    """A running MongoDB replica set of one. Ready in one to two seconds.

    `folder` keeps its data and log; `port` 0 means the folder's last one if free, otherwise any. `keep_alive`:
    see `Process`. Raises BackingServiceMissing, BackingServiceFailed.
    """
    service: BackingService
    if url := os.environ.get("BLOK365_MONGO_URL"):
        service = mongo.GivenMongo(url)
    elif not _forced() and (program := mongo.program()):
        service = mongo.LocalMongod(program, folder, port, keep_alive=keep_alive)
    elif containers.available(containers.MONGO_IMAGE):
        service = containers.ContainedMongo(port, keep_alive=keep_alive)
    else:
        reason = mongo.why_none()
        way = "put mongod 6 or newer on the PATH"
        if "libcurl" in reason:
            may_install = os.geteuid() == 0 and shutil.which("apt-get") is not None
            way = "run `make setup`" if may_install else "have an administrator install libcurl4"
        raise BackingServiceMissing(
            f"No MongoDB: {reason}. Either {way}, or name a replica set in BLOK365_MONGO_URL, "
            "or start Docker with mongo:6."
        )
    service.start()
    return service


def rabbitmq(folder: Path, port: int = 0, *, keep_alive: Path | None = None) -> Broker:
    """A running RabbitMQ with its management interface. Ready in about four seconds.

    As `mongod`; `Broker.management` makes virtual hosts and users, `Broker.url_of(vhost)` is what to hand out.
    """
    service: Broker
    if url := os.environ.get("BLOK365_BUS_URL"):
        service = rabbit.GivenRabbit(url, os.environ.get("BLOK365_BUS_ADMIN_URL", ""))
    elif not _forced() and (programs := rabbit.programs()):
        service = rabbit.LocalRabbit(programs, folder, port, keep_alive=keep_alive)
    elif containers.available(containers.RABBIT_IMAGE):
        service = containers.ContainedRabbit(port, keep_alive=keep_alive)
    else:
        raise BackingServiceMissing(
            "No RabbitMQ: as root run `make setup` or `apt-get install rabbitmq-server`, or set "
            "BLOK365_BUS_URL, or start Docker with rabbitmq:3-management."
        )
    service.start()
    return service
