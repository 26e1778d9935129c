"""Parts as containers, by testcontainers: for machines that have Docker but not the programs.

Containers keep their data over kill and start, not over `stop`. Images are never pulled here: a test run
must not hang on a registry. Ryuk, testcontainers' own cleaner, is off (it is one more image); instead a
supervisor removes each container when this Python process is gone.
"""

import contextlib
import os
import subprocess
import sys
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pymongo import MongoClient

from deploy.local.backing.mongo import REPLICA_SET, direct_client, is_writable
from deploy.local.backing.port import BackingServiceFailed, Stoppable, free_port
from deploy.local.backing.process import SUPERVISOR, Lasting
from deploy.local.backing.rabbit import USER, Broker
from shared.ids import Ids, SystemIds, new_secret

if TYPE_CHECKING:
    from testcontainers.core.container import DockerContainer

MONGO_IMAGE = "mongo:6"
RABBIT_IMAGE = "rabbitmq:3-management"
REMOVE = "import docker, sys; docker.from_env().containers.get(sys.argv[1]).remove(force=True, v=True)"


def available(image: str) -> bool:
    """Whether a Docker engine answers within two seconds and already has the image."""
    import docker

    try:
        with contextlib.closing(docker.from_env(timeout=2)) as client:
            client.images.get(image)
    except docker.errors.DockerException:
        return False
    return True


def _container(image: str, ports: Mapping[int, int]) -> "DockerContainer":
    """Not started yet; `ports`: inside to outside, on 127.0.0.1 only (with_bind_ports would open them to all)."""
    os.environ.setdefault("TESTCONTAINERS_RYUK_DISABLED", "true")
    os.environ.setdefault("TESTCONTAINERS_HOST_OVERRIDE", "localhost")
    from testcontainers.core.container import DockerContainer  # reads the two settings at import

    container = DockerContainer(image)
    outside: dict[str, Any] = {f"{inside}/tcp": ("127.0.0.1", port) for inside, port in ports.items()}
    container.ports = outside
    return container


class _Contained:
    """One container: make, start, kill, remove."""

    def __init__(self, name: str, container: "DockerContainer", keep_alive: Path | None) -> None:
        self._name = name
        self._keep_alive = keep_alive
        self._container = container
        self._supervisor: subprocess.Popen[bytes] | None = None

    def start(self, ready: Callable[[], bool], within: float = 90) -> None:
        """Start or start again, and wait until `ready()`."""
        if self._supervisor is None:
            self._container.start()
            stdin = subprocess.PIPE if self._keep_alive is None else os.open(self._keep_alive, os.O_RDONLY)
            popen = subprocess.Popen[bytes] if self._keep_alive is None else Lasting
            self._supervisor = popen(
                [
                    sys.executable,
                    str(SUPERVISOR),
                    "--at-end",
                    "--",
                    sys.executable,
                    "-c",
                    REMOVE,
                    self._wrapped.id,
                ],
                stdin=stdin,
                stdout=subprocess.DEVNULL,
                stderr=subprocess.DEVNULL,
                start_new_session=True,
            )
            if self._keep_alive is not None:
                os.close(stdin)
        else:
            self._wrapped.start()
        deadline = time.monotonic() + within
        while not ready():
            self._wrapped.reload()
            if self._wrapped.status == "exited" or time.monotonic() > deadline:
                log = self._wrapped.logs(tail=12).decode(errors="replace")
                self.remove()
                raise BackingServiceFailed(f"the container of {self._name} did not start:\n{log}")
            time.sleep(0.1)

    def kill(self) -> None:
        """SIGKILL to its first process."""
        self._wrapped.reload()
        if self._wrapped.status == "running":
            self._wrapped.kill()
        self._wrapped.wait()

    def remove(self) -> None:
        """Stop and remove it with its data."""
        if self._supervisor is not None:
            with contextlib.suppress(Exception):
                self._container.stop(force=True, delete_volume=True)
            self._supervisor.kill()  # nothing is left for it to remove
            self._supervisor.wait()
            if self._supervisor.stdin is not None:
                self._supervisor.stdin.close()
            self._supervisor = None

    def run(self, *command: str) -> str:
        """Run a command inside. Raises BackingServiceFailed with what it printed."""
        code, output = self._wrapped.exec_run(list(command))
        if code:
            raise BackingServiceFailed(f"{' '.join(command)}: {output.decode(errors='replace').strip()}")
        return str(output.decode())

    @property
    def _wrapped(self) -> Any:
        return self._container.get_wrapped_container()


class ContainedMongo(Stoppable):
    """mongo:6, listening on the same port inside and outside, so that the set's one member has one address."""

    def __init__(self, port: int = 0, *, keep_alive: Path | None = None) -> None:
        self.port = port or free_port()
        container = _container(MONGO_IMAGE, {self.port: self.port})
        container.with_command(f"--replSet {REPLICA_SET} --port {self.port} --wiredTigerCacheSizeGB 0.25")
        self._contained = _Contained("MongoDB", container, keep_alive)

    @property
    def url(self) -> str:
        return f"mongodb://127.0.0.1:{self.port}/?replicaSet={REPLICA_SET}"

    def start(self) -> None:
        client: MongoClient[dict[str, Any]] = direct_client(self.port)
        with contextlib.closing(client):
            self._contained.start(lambda: is_writable(client, f"127.0.0.1:{self.port}"))

    def stop(self) -> None:
        self._contained.remove()

    def kill(self) -> None:
        self._contained.kill()


class ContainedRabbit(Broker):
    """rabbitmq:3-management. A fixed host name keeps its node name, and so its data, over kill and start."""

    def __init__(self, port: int = 0, *, keep_alive: Path | None = None, ids: Ids | None = None) -> None:
        port, management = port or free_port(), free_port()
        password = new_secret(ids or SystemIds())
        login = f"{USER}:{password}@127.0.0.1"
        super().__init__(f"amqp://{login}:{port}/", f"http://{login}:{management}")
        container = _container(RABBIT_IMAGE, {5672: port, 15672: management}).with_kwargs(hostname="blok365")
        container.with_env("RABBITMQ_DEFAULT_USER", USER).with_env("RABBITMQ_DEFAULT_PASS", password)
        self._contained = _Contained("RabbitMQ", container, keep_alive)

    def start(self) -> None:
        self._contained.start(self.is_ready)

    def stop(self) -> None:
        self._contained.remove()

    def kill(self) -> None:
        self._contained.kill()

    def ctl(self, *arguments: str) -> str:
        return self._contained.run("rabbitmqctl", "--quiet", *arguments)
