"""What every test may use: real parts by marker, and no sockets without it.

One mongod and one broker serve the whole run, also over pytest-xdist's workers: a broker of its own for each
worker would cost 5 s of CPU and 150 MB, a fresh virtual host for each test costs 20 ms. The first worker that
asks starts a part under a file lock; the part lives by a FIFO that the controlling process holds open, so it
ends with the run however that ends. Tests that stop or kill a part start one of their own (`own_mongod`,
`own_rabbit`).
"""

import contextlib
import fcntl
import gc
import json
import logging
import os
import shutil
import sys
import tempfile
from collections.abc import AsyncIterator, Callable, Iterator
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from types import CodeType
from typing import TYPE_CHECKING, Any

import hypothesis
import jinja2
import pytest
import pytest_asyncio
import structlog
from _pytest.nodeid import coerce_node_id
from jinja2.bccache import Bucket
from pymongo import MongoClient

from deploy.local import backing
from deploy.local.backing import BackingService, Broker
from deploy.local.backing.port import take_share
from deploy.local.backing.rabbit import GivenRabbit, Management
from shared.errors import Blok365Error
from shared.ids import SystemIds
from shared.web import frame

if TYPE_CHECKING:
    from playwright.async_api import Browser

# A property holds or it does not: how long one example takes says only how busy the machine is.
hypothesis.settings.register_profile("blok365", deadline=None)
hypothesis.settings.load_profile("blok365")


class Compiled(jinja2.BytecodeCache):
    """Templates compiled once in a run: every world of a test has pages of its own, made of the same templates."""

    def __init__(self) -> None:
        self._code: dict[tuple[str, str], CodeType] = {}

    def load_bytecode(self, bucket: Bucket) -> None:
        bucket.code = self._code.get((bucket.key, bucket.checksum))

    def dump_bytecode(self, bucket: Bucket) -> None:
        assert bucket.code is not None
        self._code[bucket.key, bucket.checksum] = bucket.code


setattr(frame, "Environment", partial(jinja2.Environment, bytecode_cache=Compiled()))  # noqa: B010 - not exported
# structlog's own default draws every traceback with all its locals: seconds each. Not cached, for capture_logs.
LOGGING: dict[str, Any] = {
    "processors": [
        structlog.contextvars.merge_contextvars,
        structlog.processors.add_log_level,
        structlog.processors.format_exc_info,
        structlog.processors.JSONRenderer(),
    ],
    "wrapper_class": structlog.make_filtering_bound_logger(logging.WARNING),
    "logger_factory": structlog.PrintLoggerFactory(),
    "cache_logger_on_first_use": False,
}
_configure = structlog.configure


def _uncached(**settings: Any) -> None:
    _configure(**{**settings, "cache_logger_on_first_use": False})


setattr(structlog, "configure", _uncached)  # noqa: B010 - mypy would have it written otherwise
structlog.configure(**LOGGING)

REAL = frozenset({"mongo_url", "mongo_database", "rabbit", "own_mongod", "own_rabbit", "broker", "chromium"})

PREFIX = "blok365-test-"

# --- sockets ------------------------------------------------------------------------------------------------

_closed = False


def _no_sockets(event: str, arguments: tuple[Any, ...]) -> None:
    """An audit hook, because it also sees sockets that libraries make in C. socketpair (asyncio's own) is of
    the UNIX family and passes.
    """
    if not _closed:
        return
    if event == "socket.getaddrinfo" or (event == "socket.__new__" and arguments[1] in (2, 10)):
        raise RuntimeError("this test is not marked `integration`, so it may not open sockets")


sys.addaudithook(_no_sockets)


@pytest.hookimpl(wrapper=True)
def pytest_runtest_protocol(item: pytest.Item) -> Iterator[None]:
    """Sockets are closed to everything a test without the marker does, its fixtures included."""
    global _closed
    _closed = item.get_closest_marker("integration") is None
    try:
        return (yield)
    finally:
        _closed = False


@pytest.hookimpl(tryfirst=True)
def pytest_runtest_teardown(nextitem: pytest.Item | None) -> None:
    """After the last test what has lived as long as the run ends, whatever kind of test that one was."""
    global _closed
    if nextitem is None:
        _closed = False


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """A test that asks for a real part without the marker would break `make test-fast`: say so at once."""
    for item in items:
        used = REAL & set(getattr(item, "fixturenames", ()))
        if used and item.get_closest_marker("integration") is None:
            raise pytest.UsageError(
                f"{item.nodeid} uses {', '.join(sorted(used))} and must be marked @pytest.mark.integration"
            )


# What is imported and collected stays until the end, about a million objects: looking through them again and again
# for garbage would take 40 % of the collection's time, in each worker.
gc.disable()


@pytest.hookimpl(tryfirst=True)
def pytest_runtestloop() -> None:
    """From here on there is garbage to collect, but not among what is there already."""
    gc.freeze()
    gc.enable()


@pytest.hookimpl(tryfirst=True)
def pytest_collection_finish(session: pytest.Session) -> None:
    """Make `--dist loadgroup` mean something: pytest-xdist 3.8 writes groups where pytest 9.2 no longer reads them,
    and then every test goes anywhere. Remove this with the first pytest-xdist that knows pytest 9.2.
    """
    for item in session.items:
        if (grouped := item.__dict__.get("_nodeid")) is not None:
            item._id = coerce_node_id(grouped)


# --- the run's parts ----------------------------------------------------------------------------------------


class Run:
    """The folder of one test run and the FIFO that says it goes on. Made by the controlling process."""

    def __init__(self) -> None:
        self._sweep()
        self.folder = Path(tempfile.mkdtemp(prefix=PREFIX))
        self._lock = (self.folder / "run.lock").open("w")
        fcntl.flock(self._lock, fcntl.LOCK_EX)
        os.mkfifo(self.folder / "alive")
        self._alive = os.open(self.folder / "alive", os.O_RDWR)

    @staticmethod
    def _sweep() -> None:
        """Remove the folders of runs that were killed: nobody holds their lock any more."""
        for lock in Path(tempfile.gettempdir()).glob(f"{PREFIX}*/run.lock"):
            with contextlib.suppress(OSError), lock.open("r+") as handle:
                fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
                shutil.rmtree(lock.parent, ignore_errors=True)

    def end(self) -> None:
        """Let the parts go, wait until their keepers are gone, remove the folder."""
        os.close(self._alive)
        for lock in self.folder.glob("*/lock"):
            with lock.open("r+") as handle:
                fcntl.flock(handle, fcntl.LOCK_EX)
        shutil.rmtree(self.folder, ignore_errors=True)
        self._lock.close()


_run = pytest.StashKey[Run]()


def pytest_configure(config: pytest.Config) -> None:
    if hasattr(config, "workerinput"):
        worker, workers = config.workerinput["workerid"], config.workerinput["workercount"]
        take_share(int(worker.removeprefix("gw")), workers)
    else:
        config.stash[_run] = Run()
        config.pluginmanager.register(_Workers(), "blok365-workers")


def pytest_unconfigure(config: pytest.Config) -> None:
    if (run := config.stash.get(_run, None)) is not None:
        run.end()


class _Workers:
    """Only with pytest-xdist: tells each worker the run's folder."""

    @pytest.hookimpl(optionalhook=True)
    def pytest_configure_node(self, node: Any) -> None:
        node.workerinput["blok365_folder"] = str(node.config.stash[_run].folder)


@pytest.fixture(autouse=True)
def _logging() -> Iterator[None]:
    """A program that a test runs in this process logs to that test's standard error, which is closed afterwards.
    Whoever logged there later would raise, and the task that makes RabbitMQ's connections, for one, would be over.
    """
    yield
    if structlog.get_config()["logger_factory"] is not LOGGING["logger_factory"]:
        structlog.configure(**LOGGING)


@pytest.fixture(scope="session")
def run_folder(request: pytest.FixtureRequest) -> Path:
    """Shared by all workers, gone after the run."""
    config = request.config
    if hasattr(config, "workerinput"):
        return Path(config.workerinput["blok365_folder"])
    return config.stash[_run].folder


@contextlib.contextmanager
def _plainly() -> Iterator[None]:
    """A missing part fails the test with its one line, without a traceback through our machinery."""
    try:
        yield
    except Blok365Error as error:
        pytest.fail(str(error), pytrace=False)


def _shared(folder: Path, name: str, start: Callable[[Path, Path], dict[str, str]]) -> dict[str, str]:
    """What `start(folder of the backing service, keep-alive pipe)` returned, called once in the whole run."""
    note = folder / f"{name}.json"
    with (folder / f"{name}.starting").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not note.exists():
            own = folder / name
            own.mkdir()
            try:
                said = start(own, folder / "alive")
            except Blok365Error as error:  # the next test need not wait for the same failure again
                said = {"error": str(error)}
            note.write_text(json.dumps(said))
    known: dict[str, str] = json.loads(note.read_text())
    if "error" in known:
        pytest.fail(known["error"], pytrace=False)
    return known


@pytest.fixture(scope="session")
def mongo_url(run_folder: Path) -> str:
    """Of the run's replica set. Needs the marker `integration`."""
    return _shared(
        run_folder, "mongod", lambda own, alive: {"url": backing.mongod(own, keep_alive=alive).url}
    )["url"]


@pytest.fixture(scope="session")
def _mongo_client(mongo_url: str) -> Iterator[MongoClient[dict[str, Any]]]:
    client: MongoClient[dict[str, Any]] = MongoClient(mongo_url)
    with contextlib.closing(client):
        yield client


@pytest.fixture
def mongo_database(_mongo_client: MongoClient[dict[str, Any]]) -> Iterator[str]:
    """The name of an empty database, dropped after the test. Needs the marker `integration`."""
    name = f"test_{SystemIds().random_bytes(8).hex()}"
    yield name
    _mongo_client.drop_database(name)


@dataclass(frozen=True)
class Vhost:
    """An empty virtual host: `url` for clients, `management` for users, permissions and queues."""

    name: str
    url: str
    management: Management
    broker: Broker


@pytest.fixture(scope="session")
def broker(run_folder: Path) -> Broker:
    """The run's RabbitMQ. Needs the marker `integration`."""

    def start(own: Path, alive: Path) -> dict[str, str]:
        started = backing.rabbitmq(own, keep_alive=alive)
        return {"url": started.url, "management": started.management_url}

    known = _shared(run_folder, "rabbitmq", start)
    return GivenRabbit(known["url"], known["management"])


@pytest.fixture
def rabbit(broker: Broker) -> Iterator[Vhost]:
    """A fresh virtual host on the run's broker, deleted after the test. Needs the marker `integration`."""
    name = f"test-{SystemIds().random_bytes(8).hex()}"
    with _plainly():
        broker.management.create_vhost(name)
    yield Vhost(name, broker.url_of(name), broker.management, broker)
    broker.management.delete_vhost(name)


def _discard(part: BackingService, folder: Path) -> None:
    """End a part whose data nobody wants: kill, because stopping in good order takes RabbitMQ seconds."""
    part.kill()
    part.stop()
    shutil.rmtree(folder, ignore_errors=True)


@pytest.fixture
def own_mongod(tmp_path: Path) -> Iterator[BackingService]:
    """A mongod of this test alone, to stop, kill and start. Needs the marker `integration`."""
    with _plainly():
        part = backing.mongod(tmp_path / "own-mongod")
    yield part
    _discard(part, tmp_path / "own-mongod")


@pytest.fixture
def own_rabbit(tmp_path: Path) -> Iterator[Broker]:
    """A RabbitMQ of this test alone, to stop, kill and start. Needs the marker `integration`."""
    with _plainly():
        part = backing.rabbitmq(tmp_path / "own-rabbit")
    yield part
    _discard(part, tmp_path / "own-rabbit")


@pytest_asyncio.fixture(scope="session", loop_scope="session")
async def chromium() -> "AsyncIterator[Browser]":
    """The run's Chromium; each test opens a context of its own, which shares nothing with others, and closes it.

    Needs the marker `integration` and the xdist group `chromium`, which keeps these tests on one worker. Like every
    coroutine that awaits this browser, the test must run on the session's event loop.
    """
    # Imported here because Playwright takes long to import, and most tests do without it.
    from tests.pages.browser import async_chromium

    async with async_chromium() as browser:
        yield browser
