"""Real parts: a mongod and a RabbitMQ to run and test against, found in this order.

1. The environment: BLOK365_MONGO_URL, BLOK365_BUS_URL (and BLOK365_BUS_ADMIN_URL) name running servers.
2. Programs of this machine: mongod of the development lock's wheel or on the PATH; Debian's rabbitmq-server.
3. Containers (testcontainers) when a Docker engine answers and has the image. BLOK365_PARTS=docker skips 2.
4. Otherwise `PartMissing`, whose text is one line that says what to install. Never a silent skip.

    with mongod(Path("var/mongo")) as part:
        client = AsyncIOMotorClient(part.url)

A part is private (127.0.0.1, own folder, own ports), keeps its data in its folder, and ends with the process
that started it, even when that is killed with kill -9. `kill` and `start` are for tests of faults. Everything
here blocks; from a coroutine use `asyncio.to_thread`.
"""

import os
from pathlib import Path

from deploy.local.parts import containers, mongo, rabbit
from deploy.local.parts.port import Part, PartFailed, PartMissing
from deploy.local.parts.rabbit import Broker

__all__ = ["Broker", "Part", "PartFailed", "PartMissing", "mongod", "rabbitmq"]


def _forced() -> bool:
    return os.environ.get("BLOK365_PARTS", "") == "docker"


def mongod(folder: Path, port: int = 0, *, lifeline: Path | None = None) -> Part:
    """A running MongoDB replica set of one. Ready in one to two seconds.

    `folder` keeps its data and log; `port` 0 means the folder's last one if free, otherwise any. `lifeline`:
    see `Process`. Raises PartMissing, PartFailed.
    """
    part: Part
    if url := os.environ.get("BLOK365_MONGO_URL"):
        part = mongo.GivenMongo(url)
    elif not _forced() and (program := mongo.program()):
        part = mongo.LocalMongod(program, folder, port, lifeline=lifeline)
    elif containers.available(containers.MONGO_IMAGE):
        part = containers.ContainedMongo(port, lifeline=lifeline)
    else:
        raise PartMissing(
            "No MongoDB: run `make setup` (x86-64 Linux with glibc 2.35: it brings mongod; as root it installs "
            "libcurl4), or put mongod on the PATH, set BLOK365_MONGO_URL, or start Docker with mongo:6."
        )
    part.start()
    return part


def rabbitmq(folder: Path, port: int = 0, *, lifeline: Path | None = None) -> Broker:
    """A running RabbitMQ with its management interface. Ready in about four seconds.

    As `mongod`; `Broker.management` makes virtual hosts and users, `Broker.url_of(vhost)` is what to hand out.
    """
    part: Broker
    if url := os.environ.get("BLOK365_BUS_URL"):
        part = rabbit.GivenRabbit(url, os.environ.get("BLOK365_BUS_ADMIN_URL", ""))
    elif not _forced() and (programs := rabbit.programs()):
        part = rabbit.LocalRabbit(programs, folder, port, lifeline=lifeline)
    elif containers.available(containers.RABBIT_IMAGE):
        part = containers.ContainedRabbit(port, lifeline=lifeline)
    else:
        raise PartMissing(
            "No RabbitMQ: as root run `make setup` or `apt-get install rabbitmq-server`, or set "
            "BLOK365_BUS_URL, or start Docker with rabbitmq:3-management."
        )
    part.start()
    return part
