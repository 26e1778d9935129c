"""Every service as processes of its own over RabbitMQ, behind one router: what a test of faults may kill.

Processes end with this one, however it ends. Key files, databases and the virtual host are the caller's.
"""

import asyncio
import ctypes
import json
import os
import signal
import sys
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path

import aiohttp

from deploy.local.backing.port import free_port
from deploy.local.router import Router
from deploy.local.settings import notify_settings
from shared.errors import Unavailable
from shared.services import SERVICES
from shared.settings import Settings

PATIENCE = 60.0
_PR_SET_PDEATHSIG = 1
_LIBC = ctypes.CDLL(None)


def _die_with_parent() -> None:
    """Between fork and exec: a replica outlives nobody (prctl(2))."""
    _LIBC.prctl(_PR_SET_PDEATHSIG, int(signal.SIGKILL))


OfReplica = Callable[[str, int], Mapping[str, str]]
"""Variables of one replica alone, by service and index: a database address with a fault on the way, say."""
DEFAULT_REPLICAS: Mapping[str, int] = {row.name: row.replicas for row in SERVICES.values()}


@dataclass
class Replica:
    """One process of one service. `start`, `stop` (SIGTERM), `kill` (SIGKILL) in any order, any number of times."""

    service: str
    port: int
    environment: Mapping[str, str]
    log: Path
    process: asyncio.subprocess.Process | None = None

    @property
    def pid(self) -> int:
        """Raises Unavailable when it does not run."""
        if self.process is None or self.process.returncode is not None:
            raise Unavailable("local.cluster.not_running", service=self.service)
        return self.process.pid

    async def start(self) -> None:
        """Returns when it is ready. Raises Unavailable with the end of its log."""
        await self.launch()
        await self.wait_ready()

    async def launch(self) -> asyncio.subprocess.Process:
        """Start it and wait for nothing."""
        with self.log.open("ab") as log:
            self.process = await asyncio.create_subprocess_exec(
                *(sys.executable, "-m", f"services.{self.service}"),
                env={**os.environ, **self.environment},
                stdout=log,
                stderr=log,
                preexec_fn=_die_with_parent,
            )
        return self.process

    async def wait_ready(self) -> None:
        """Wait until `/readyz` says that the process is ready. Raises Unavailable."""
        deadline = asyncio.get_running_loop().time() + PATIENCE
        async with aiohttp.ClientSession(timeout=aiohttp.ClientTimeout(total=2)) as client:
            while asyncio.get_running_loop().time() < deadline:
                if self.process is not None and self.process.returncode is not None:
                    break
                try:
                    async with client.get(f"http://127.0.0.1:{self.port}/readyz") as answer:
                        if answer.status == 200:
                            return
                except (aiohttp.ClientError, TimeoutError):
                    pass
                await asyncio.sleep(0.05)
        raise Unavailable("local.cluster.not_ready", service=self.service, log=self.tail())

    async def stop(self) -> None:
        """SIGTERM, and wait: it has 10 s by itself."""
        if self.process is not None and self.process.returncode is None:
            self.process.send_signal(signal.SIGTERM)
            try:
                async with asyncio.timeout(15):
                    await self.process.wait()
            except TimeoutError:
                await self.kill()

    async def kill(self) -> None:
        """End the process by SIGKILL, which gives it no time to write or send anything."""
        if self.process is not None and self.process.returncode is None:
            self.process.kill()
            await self.process.wait()

    def tail(self, lines: int = 30) -> str:
        """The last lines of the process's log."""
        return "\n".join(self.log.read_text(errors="replace").splitlines()[-lines:])


@dataclass
class Cluster:
    """A running system of one process for each replica of each service."""

    settings: Settings
    router: Router
    replicas: dict[str, list[Replica]] = field(default_factory=dict)

    def all(self) -> list[Replica]:
        """Every replica of every service."""
        return [replica for replicas in self.replicas.values() for replica in replicas]

    def port_of(self, service: str, index: int = 0) -> int:
        """The port on which one replica listens."""
        return self.replicas[service][index].port


@asynccontextmanager
async def cluster(
    settings: Settings,
    *,
    port: int,
    logs: Path,
    replicas: Mapping[str, int] = DEFAULT_REPLICAS,
    environment: Mapping[str, str] | None = None,
    of_replica: OfReplica | None = None,
) -> AsyncIterator[Cluster]:
    """Start all of it on `settings` (bus_url names RabbitMQ); `port` is the router's. Stops in reverse order."""
    await asyncio.to_thread(logs.mkdir, parents=True, exist_ok=True)
    ports: dict[str, list[int]] = {}
    start_url = (environment or {}).get("BLOK365_WSFED_START_URL", "")
    whole = Cluster(settings, Router(settings.origins, ports, start_url=start_url))
    for service, number in replicas.items():
        whole.replicas[service] = []
        for index in range(number):
            own = free_port()
            variables = {
                **environment_of(settings),
                **(environment or {}),
                **(of_replica(service, index) if of_replica else {}),
                "BLOK365_LISTEN": f"127.0.0.1:{own}",
            }
            whole.replicas[service].append(Replica(service, own, variables, logs / f"{service}-{index}.log"))
        ports[service] = [replica.port for replica in whole.replicas[service]]
    try:
        await asyncio.gather(*(replica.start() for replica in whole.all()))
        await whole.router.start(port)
        yield whole
    finally:
        await whole.router.stop()
        await asyncio.gather(*(replica.stop() for replica in whole.all()))


def environment_of(settings: Settings) -> dict[str, str]:
    """Settings as `BLOK365_*` variables, with the router as the trusted proxy."""
    return {
        "BLOK365_ORIGIN": settings.origin,
        "BLOK365_CONSOLE_ORIGIN": settings.console_origin,
        "BLOK365_KIOSK_ORIGIN": settings.kiosk_origin,
        "BLOK365_MONGO_URL": settings.mongo_url,
        "BLOK365_BUS_URL": settings.bus_url,
        "BLOK365_DATABASE_PREFIX": settings.database_prefix,
        "BLOK365_KEYS": str(settings.keys),
        "BLOK365_NOTIFY_MAIL_FOLDER": str(notify_settings(settings).mail_folder),
        "BLOK365_TRUSTED_PROXIES": json.dumps(["127.0.0.1/32"]),
        "BLOK365_OWN_NETWORKS": json.dumps(settings.own_networks),
        "BLOK365_LOG_JSON": "true",
    }
