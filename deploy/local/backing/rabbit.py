"""RabbitMQ as a private broker, with its HTTP interface, so that a new virtual host costs 20 ms, not a second."""

import base64
import contextlib
import http.client
import json
import os
import socket
import subprocess
from abc import ABC, abstractmethod
from pathlib import Path
from typing import Any
from urllib.parse import quote, unquote, urlsplit

from deploy.local.backing.port import BackingServiceFailed, Stoppable, free_port, is_free
from deploy.local.backing.process import Process
from shared.ids import Ids, SystemIds, new_secret

# Debian's script under /usr/sbin switches to the user rabbitmq and to the machine's own broker; this one does not.
PLACES = (Path("/usr/lib/rabbitmq/bin"), Path("/usr/local/sbin"), Path("/opt/homebrew/sbin"))
USER = "blok365"


def programs() -> Path | None:
    """The folder that holds `rabbitmq-server` and `rabbitmqctl`, or None."""
    return next((place for place in PLACES if (place / "rabbitmq-server").is_file()), None)


class Management:
    """The few calls of RabbitMQ's HTTP interface that set-up and tests need.

    `url`: `http://user:password@host:port`. Blocks; each call takes about 10 ms.
    """

    def __init__(self, url: str) -> None:
        parts = urlsplit(url)
        self._host = parts.hostname or "127.0.0.1"
        self._port = parts.port or 15672
        self.user = unquote(parts.username or "guest")
        self._password = unquote(parts.password or "guest")

    def call(self, method: str, path: str, body: Any = None) -> Any:
        """One request to `/api/...`. Returns the JSON or None. Raises BackingServiceFailed, also for status 4xx."""
        login = base64.b64encode(f"{self.user}:{self._password}".encode()).decode()
        headers = {"Authorization": f"Basic {login}", "Content-Type": "application/json"}
        connection = http.client.HTTPConnection(self._host, self._port, timeout=10)
        with contextlib.closing(connection):
            try:
                connection.request(method, f"/api{path}", json.dumps(body or {}), headers)
                answer = connection.getresponse()
                text = answer.read()
            except OSError as error:
                where = f"{self._host}:{self._port}"
                raise BackingServiceFailed(f"RabbitMQ's management interface at {where}: {error}") from None
        if answer.status >= 400:
            raise BackingServiceFailed(
                f"RabbitMQ: {method} {path}: {answer.status} {text.decode(errors='replace')}"
            )
        return json.loads(text) if text else None

    def create_vhost(self, name: str) -> None:
        """An empty virtual host in which our own user may do everything. Doing it again changes nothing."""
        self.call("PUT", f"/vhosts/{quote(name, safe='')}")
        self.grant(name, self.user)

    def delete_vhost(self, name: str) -> None:
        """Remove the virtual host with its queues; its connections are closed."""
        self.call("DELETE", f"/vhosts/{quote(name, safe='')}")

    def create_user(self, name: str, password: str) -> None:
        """A user without permissions and without access to this interface."""
        self.call("PUT", f"/users/{quote(name, safe='')}", {"password": password, "tags": ""})

    def grant(
        self, vhost: str, user: str, *, configure: str = ".*", write: str = ".*", read: str = ".*"
    ) -> None:
        """Permissions as RabbitMQ means them: regular expressions over names of exchanges and queues."""
        path = f"/permissions/{quote(vhost, safe='')}/{quote(user, safe='')}"
        self.call("PUT", path, {"configure": configure, "write": write, "read": read})


class Broker(Stoppable, ABC):
    """A `Part` that is a RabbitMQ. `url` is that of the virtual host `/`."""

    def __init__(self, url: str, management_url: str) -> None:
        self._url = url
        self.management = Management(management_url)
        self.management_url = management_url

    @property
    def url(self) -> str:
        return self._url

    @abstractmethod
    def start(self) -> None: ...

    @abstractmethod
    def stop(self) -> None: ...

    @abstractmethod
    def kill(self) -> None: ...

    @abstractmethod
    def ctl(self, *arguments: str) -> str:
        """Run `rabbitmqctl` against this broker; returns what it prints. A second each: prefer `management`."""

    def flush_declarations(self) -> None:
        """Wait until every declared quorum queue is on disk. Takes a second; for tests, before `kill`.

        RabbitMQ 3.10 registers a new quorum queue in a table (Ra's names.dets) that it saves only half a second
        later. A kill -9 before that leaves a queue that never elects a leader; messages in older queues are
        safe as soon as they are confirmed.
        """
        self.ctl("eval", "[dets:sync(Table) || Table <- dets:all()].")

    def url_of(self, vhost: str) -> str:
        """The same server and user with another virtual host."""
        return f"{self._url.rstrip('/')}/{quote(vhost, safe='')}"

    def is_ready(self) -> bool:
        """Whether the broker answers AMQP 0-9-1 and its HTTP interface."""
        where = urlsplit(self._url)
        address = (where.hostname or "127.0.0.1", where.port or 5672)
        try:
            with socket.create_connection(address, timeout=2) as connection:
                connection.sendall(b"AMQP\x00\x00\x09\x01")
                if connection.recv(1) != b"\x01":  # a method frame: Connection.Start
                    return False
            self.management.call("GET", "/whoami")
        except (OSError, BackingServiceFailed):
            return False
        return True


class LocalRabbit(Broker):
    """A RabbitMQ of our own in `folder`, beside any that the machine runs: own ports, own node names, own
    epmd, own cookie. The same folder has the same data, user and (if free) ports again. See `Part`.
    """

    def __init__(
        self,
        places: Path,
        folder: Path,
        port: int = 0,
        *,
        keep_alive: Path | None = None,
        ids: Ids | None = None,
    ) -> None:
        self.folder = folder.resolve()
        self._bin = places
        for name in ("db", "log"):
            (self.folder / name).mkdir(parents=True, exist_ok=True)
        state = self._state(port, ids or SystemIds())
        self._ports: dict[str, int] = state["ports"]
        login = f"{USER}:{state['password']}@127.0.0.1"
        super().__init__(
            f"amqp://{login}:{self._ports['amqp']}/", f"http://{login}:{self._ports['management']}"
        )
        self._environment = self._private_environment()
        self._configure(state["password"])
        self._process = Process(
            "rabbitmq",
            self.folder,
            [str(places / "rabbitmq-server")],
            environment=self._environment,
            keep_alive=keep_alive,
        )

    @property
    def pid(self) -> int:
        """Of the running Erlang machine; 0 when there is none."""
        return self._process.pid

    def start(self) -> None:
        self._process.start(self.is_ready, within=60)

    def stop(self) -> None:
        self._process.stop()

    def kill(self) -> None:
        self._process.kill()

    def ctl(self, *arguments: str) -> str:
        done = subprocess.run(
            [str(self._bin / "rabbitmqctl"), "--quiet", *arguments],
            env=self._environment,
            cwd=self.folder,
            capture_output=True,
            text=True,
            timeout=60,
        )
        if done.returncode:
            raise BackingServiceFailed(
                f"rabbitmqctl {' '.join(arguments)}: {(done.stderr or done.stdout).strip()}"
            )
        return done.stdout

    def _state(self, port: int, ids: Ids) -> dict[str, Any]:
        """Ports and password of the last run in this folder, or new ones."""
        path = self.folder / "state.json"
        state: dict[str, Any] = json.loads(path.read_text()) if path.is_file() else {}
        ports = state.get("ports", {})
        wanted = port or ports.get("amqp", 0)
        if not ports or wanted != ports["amqp"] or not all(is_free(each) for each in ports.values()):
            in_use = bool(port) and bool(ports) and port == ports["amqp"]
            if not in_use:
                ports = {name: free_port() for name in ("amqp", "management", "distribution", "epmd")}
                ports["amqp"] = port or ports["amqp"]
        state = {"ports": ports, "password": state.get("password") or new_secret(ids)}
        path.write_text(json.dumps(state))
        path.chmod(0o600)
        return state

    def _configure(self, password: str) -> None:
        (self.folder / "enabled_plugins").write_text("[rabbitmq_management].\n")
        config = self.folder / "rabbitmq.conf"
        config.touch(mode=0o600)
        config.write_text(
            f"listeners.tcp.default = 127.0.0.1:{self._ports['amqp']}\n"
            "management.tcp.ip = 127.0.0.1\n"
            f"management.tcp.port = {self._ports['management']}\n"
            "management.disable_stats = true\n"
            "management_agent.disable_metrics_collector = true\n"
            f"default_user = {USER}\n"
            f"default_pass = {password}\n"
            "log.console = true\nlog.console.level = info\nlog.file = false\n"
            "cluster_formation.peer_discovery_backend = classic_config\n"
        )

    def _private_environment(self) -> dict[str, str]:
        folder = str(self.folder)
        inherited = {name: os.environ[name] for name in ("PATH", "LANG", "LC_ALL") if name in os.environ}
        return {
            **inherited,
            "HOME": folder,  # the Erlang cookie lives here
            "RABBITMQ_NODENAME": "blok365@localhost",
            "RABBITMQ_NODE_PORT": str(self._ports["amqp"]),
            "RABBITMQ_DIST_PORT": str(self._ports["distribution"]),
            "ERL_EPMD_PORT": str(self._ports["epmd"]),
            "ERL_EPMD_ADDRESS": "127.0.0.1",
            "RABBITMQ_MNESIA_BASE": f"{folder}/db",
            "RABBITMQ_LOG_BASE": f"{folder}/log",
            "RABBITMQ_CONF_ENV_FILE": "/dev/null",
            "RABBITMQ_CONFIG_FILE": f"{folder}/rabbitmq.conf",
            "RABBITMQ_ENABLED_PLUGINS_FILE": f"{folder}/enabled_plugins",
            "RABBITMQ_PID_FILE": f"{folder}/pid",
            # Idle schedulers sleep instead of spinning: tests share two cores with the broker.
            "RABBITMQ_SERVER_ADDITIONAL_ERL_ARGS": "+sbwt none +sbwtdcpu none +sbwtdio none",
            # The start script then becomes the broker (exec) instead of waiting beside it: one pid to kill.
            "RUNNING_UNDER_SYSTEMD": "true",
        }


class GivenRabbit(Broker):
    """The broker that BLOK365_BUS_URL names. It is not ours: it cannot be stopped or killed.

    BLOK365_BUS_ADMIN_URL is its management interface; without it: same host and user, port 15672.
    """

    def __init__(self, url: str, management_url: str = "") -> None:
        where = urlsplit(url)
        login = where.netloc.rpartition("@")[0]
        super().__init__(
            f"{where.scheme}://{where.netloc}/",
            management_url or f"http://{login + '@' if login else ''}{where.hostname}:15672",
        )
        self._given = url

    @property
    def url(self) -> str:
        return self._given

    def start(self) -> None:
        """Check that it answers. Raises BackingServiceFailed."""
        if not self.is_ready():
            where = urlsplit(self.management_url)
            raise BackingServiceFailed(
                "BLOK365_BUS_URL does not answer, or its management interface at "
                f"{where.hostname}:{where.port} does not (BLOK365_BUS_ADMIN_URL names another)"
            )

    def stop(self) -> None:
        """Nothing: whoever gave it keeps it."""

    def kill(self) -> None:
        raise BackingServiceFailed("the broker of BLOK365_BUS_URL is not ours to kill")

    def ctl(self, *arguments: str) -> str:
        raise BackingServiceFailed(
            f"rabbitmqctl {' '.join(arguments)}: the broker of BLOK365_BUS_URL is not ours"
        )
