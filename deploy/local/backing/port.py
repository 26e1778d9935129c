"""What every backing service offers, however it was found, and what goes wrong with one."""

import os
import socket
from pathlib import Path
from types import TracebackType
from typing import Protocol, Self

from shared.errors import Unavailable
from shared.ids import SystemIds

LOWEST_PORT, HIGHEST_PORT = 20_000, 32_767


class BackingServiceMissing(Unavailable):
    """No way to have this backing service on this machine. The text is one line that says what to install."""

    kind = id = "local.part.missing"
    code = "part_missing"

    def __init__(self, report: str) -> None:
        super().__init__(report=report)


class BackingServiceFailed(Unavailable):
    """The backing service is there but did not start, stop or answer. The text ends with its log's last lines."""

    kind = id = "local.part.failed"
    code = "part_failed"

    def __init__(self, report: str) -> None:
        super().__init__(report=report)


class BackingServiceUnreachable(BackingServiceFailed):
    """The server that a variable names does not answer."""

    id = "local.part.unreachable"

    def __init__(self, variable: str, reason: str) -> None:
        Unavailable.__init__(self, variable=variable, reason=reason)


class FolderInUse(BackingServiceFailed):
    """The backing service was not started, since another process has its folder."""

    id = "local.part.folder_in_use"

    def __init__(self, name: str, folder: Path) -> None:
        Unavailable.__init__(self, name=name, folder=folder)


class BackingService(Protocol):
    """A running mongod or RabbitMQ. All calls block; from a coroutine use `asyncio.to_thread`.

    As a context manager it stops at the end of the block.
    """

    @property
    def url(self) -> str:
        """Where clients connect. Stays the same over stop, kill and start."""
        ...

    def start(self) -> None:
        """Start on the same folder and port and return when it serves. Nothing happens if it runs."""
        ...

    def stop(self) -> None:
        """Stop in good order and return when it is gone. Nothing happens if it is not running."""
        ...

    def kill(self) -> None:
        """Kill -9, and return when it is gone: a power cut as far as the backing service can tell."""
        ...

    def __enter__(self) -> Self: ...

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None: ...


class Stoppable:
    """The context manager half of a `BackingService`."""

    def stop(self) -> None:
        """Stop the backing service. Every backing service overrides this."""
        raise NotImplementedError

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.stop()


_given: set[int] = set()
_share = (0, 1)


def take_share(number: int, of: int) -> None:
    """From now on hand out ports of the `number`-th of so many equal parts only, counted from 0.

    For processes that start servers at the same time: a port is free when it is handed out, and somebody listens on it
    a second later, or again after a server was stopped and started.
    """
    global _share
    _share = (number, of)


def free_port() -> int:
    """A TCP port on 127.0.0.1 that nobody uses now, and that this process has not handed out before. Another program
    may still take it first.

    Below the range that the system gives to outgoing connections (from 32768 on Linux): a port from there may
    belong to somebody's connection by the time it is listened on.
    """
    ids = SystemIds()
    number, of = _share
    width = (HIGHEST_PORT - LOWEST_PORT + 1) // of
    for _ in range(1000):
        port = LOWEST_PORT + number * width + int.from_bytes(ids.random_bytes(4), "big") % width
        if port not in _given and is_free(port):
            _given.add(port)
            return port
    raise BackingServiceFailed(f"no free port between {LOWEST_PORT} and {HIGHEST_PORT} on 127.0.0.1")


def is_free(port: int) -> bool:
    """Whether a server could listen on that port of 127.0.0.1 now."""
    return not why_not_free(port)


def why_not_free(port: int) -> str:
    """Why no server could listen on that port of 127.0.0.1 now; empty when one could."""
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)  # as servers do: TIME_WAIT is no obstacle
        try:
            probe.bind(("127.0.0.1", port))
        except OSError as error:
            return os.strerror(error.errno or 0)
        return ""
