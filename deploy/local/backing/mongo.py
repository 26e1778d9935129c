"""MongoDB as a one-member replica set: transactions, change streams and majority writes as in production."""

import contextlib
import importlib.util
import json
import os
import shutil
import stat
import subprocess
from pathlib import Path
from typing import Any

from pymongo import MongoClient
from pymongo.errors import OperationFailure, PyMongoError

from deploy.local.backing.port import (
    BackingServiceFailed,
    BackingServiceUnreachable,
    Stoppable,
    free_port,
    is_free,
)
from deploy.local.backing.process import Process

REPLICA_SET = "rs0"
# Small for a laptop and for tests. The journal's commit interval and fsync stay at their defaults: a write
# that was acknowledged with majority and journal survives kill -9, which is what our tests are about.
OPTIONS = (
    *("--replSet", REPLICA_SET),
    *("--bind_ip", "127.0.0.1"),  # no users and no passwords: only this machine may reach it
    *("--wiredTigerCacheSizeGB", "0.25"),
    *("--oplogSize", "64"),  # MB
    *("--setParameter", "diagnosticDataCollectionEnabled=false"),
    *("--setParameter", "shutdownTimeoutMillisForSignaledShutdown=100"),
    *("--setParameter", "ttlMonitorSleepSecs=5"),
    "--quiet",
)


def program() -> str | None:
    """Mongod on the PATH, or of the wheel in the development lock, if it runs here; otherwise None."""
    return next((str(candidate) for candidate in _candidates() if not _why_not(candidate)), None)


def why_none() -> str:
    """Why no mongod of this machine runs, in words that end no sentence."""
    reasons = [reason for candidate in _candidates() if (reason := _why_not(candidate))]
    return (
        reasons[-1]
        if reasons
        else "there is none, and set-up brings one for x86-64 Linux with glibc 2.35 only"
    )


def _candidates() -> list[Path]:
    candidates = [Path(found)] if (found := shutil.which("mongod")) else []
    spec = importlib.util.find_spec("fiftyone")
    for place in spec.submodule_search_locations or () if spec else ():
        candidates.append(Path(place) / "db" / "bin" / "mongod")
    there = [candidate for candidate in candidates if candidate.is_file()]
    for candidate in there:
        if not os.access(candidate, os.X_OK):  # the wheel carries it without its run bit
            candidate.chmod(candidate.stat().st_mode | stat.S_IXUSR | stat.S_IXGRP | stat.S_IXOTH)
    return there


def _why_not(candidate: Path) -> str:
    """Empty when it runs; otherwise that glibc, OpenSSL 3 or libcurl is missing or another machine is meant."""
    try:
        done = subprocess.run([candidate, "--version"], capture_output=True, timeout=20, text=True)
    except OSError as error:
        return str(error.strerror)
    said = done.stderr.strip().splitlines()
    return (
        "" if done.returncode == 0 else said[0].removeprefix(f"{candidate}: ") if said else "it ends at once"
    )


class LocalMongod(Stoppable):
    """A mongod of our own in `folder`. The same folder started again has the same data and tries for the
    same port; `port` 0 means any. See `BackingService`.
    """

    def __init__(self, mongod: str, folder: Path, port: int = 0, *, keep_alive: Path | None = None) -> None:
        folder = folder.resolve()
        data = folder / "data"
        data.mkdir(parents=True, exist_ok=True)
        self.port = port or _last_port(folder) or free_port()
        (folder / "port").write_text(str(self.port))
        command = [mongod, "--dbpath", str(data), "--port", str(self.port), *OPTIONS]
        command += ["--unixSocketPrefix", str(folder)] if len(str(folder)) < 80 else ["--nounixsocket"]
        self._process = Process("mongod", folder, command, keep_alive=keep_alive)

    @property
    def url(self) -> str:
        return f"mongodb://127.0.0.1:{self.port}/?replicaSet={REPLICA_SET}"

    @property
    def pid(self) -> int:
        """Process id of the running mongod; 0 when there is none."""
        return self._process.pid

    @property
    def log(self) -> Path:
        """JSON lines of the present run."""
        return self._process.log

    def start(self) -> None:
        client: MongoClient[dict[str, Any]] = direct_client(self.port)
        with contextlib.closing(client):
            self._process.start(lambda: is_writable(client, f"127.0.0.1:{self.port}"), within=30)

    def stop(self) -> None:
        self._process.stop()

    def kill(self) -> None:
        self._process.kill()


def _last_port(folder: Path) -> int:
    """The port of the folder's last run if it is still free, so that printed URLs stay true; otherwise 0."""
    with contextlib.suppress(OSError, ValueError):
        port = int((folder / "port").read_text())
        return port if is_free(port) else 0
    return 0


def direct_client(port: int) -> MongoClient[dict[str, Any]]:
    """A client of that one server, whatever its state; it gives up after half a second."""
    return MongoClient(
        "127.0.0.1",
        port,
        directConnection=True,
        serverSelectionTimeoutMS=500,
        connectTimeoutMS=500,
        socketTimeoutMS=5000,
        heartbeatFrequencyMS=500,
    )


def is_writable(client: MongoClient[dict[str, Any]], member: str) -> bool:
    """Whether this one server is primary of its set. Founds the set on the first start, and gives it its new
    address when the folder was started on another port before.
    """
    try:
        hello = client.admin.command("hello")
        if hello.get("isWritablePrimary"):
            return True
        try:
            config = client.admin.command("replSetGetConfig")["config"]
        except OperationFailure as error:
            if error.code != 94:  # NotYetInitialized
                return False
            client.admin.command(
                "replSetInitiate", {"_id": REPLICA_SET, "members": [{"_id": 0, "host": member}]}
            )
            return False
        if config["members"][0]["host"] != member:
            config["members"][0]["host"] = member
            config["version"] += 1
            client.admin.command("replSetReconfig", config, force=True)
    except PyMongoError:
        return False  # not listening yet, or changing state
    return False


class GivenMongo(Stoppable):
    """The server that BLOK365_MONGO_URL names. It is not ours: it cannot be stopped or killed."""

    def __init__(self, url: str) -> None:
        self._url = url

    @property
    def url(self) -> str:
        return self._url

    def start(self) -> None:
        """Check that it answers and is a replica set. Raises BackingServiceFailed."""
        client: MongoClient[dict[str, Any]] = MongoClient(self._url, serverSelectionTimeoutMS=5000)
        with contextlib.closing(client):
            try:
                hello = client.admin.command("hello")
            except PyMongoError as error:
                reason = str(error).split(", Timeout")[0].split(" (configured")[0]
                raise BackingServiceUnreachable("BLOK365_MONGO_URL", reason) from None
        if not hello.get("setName"):
            raise BackingServiceFailed("BLOK365_MONGO_URL is not a replica set; start mongod with --replSet")

    def stop(self) -> None:
        """Does nothing, because whoever named this server goes on using it."""

    def kill(self) -> None:
        raise BackingServiceFailed("the server of BLOK365_MONGO_URL is not ours to kill")


def describe(log: Path) -> list[str]:
    """The messages of mongod's last log lines, without their JSON."""
    lines = []
    for line in log.read_text(errors="replace").splitlines()[-12:]:
        try:
            entry = json.loads(line)
            lines.append(f"{entry.get('s', '?')} {entry.get('msg', line)} {entry.get('attr', '')}".strip())
        except ValueError:
            lines.append(line)
    return lines
