"""A TCP proxy between one process and mongod that knows where commands begin and end, and springs traps.

A trap waits for one command and takes the connection away: before mongod has it, so that nothing was done, or
after mongod has done it and before the answer is back, so that the process cannot know. Held, it leaves the process
in the middle of the step until the test has looked around, or killed it: breakpoints that the product knows nothing of.

Framing: MongoDB wire protocol, message header (16 octets) and OP_MSG (2013), section of kind 0. Not compressed: the
driver compresses only when it is told to. Connect through it with `directConnection=true`, otherwise the driver goes
to the address that the replica set names.
"""

import asyncio
import contextlib
import struct
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from enum import Enum
from typing import Any, Self

import bson

_HEADER = struct.Struct("<iiii")
"""messageLength, requestID, responseTo, opCode."""
_OP_MSG = 2013


@dataclass(frozen=True, slots=True)
class Command:
    """One command on its way to mongod."""

    name: str
    collection: str
    document: Mapping[str, Any]

    @property
    def sets(self) -> Mapping[str, Any]:
        """What a findAndModify sets."""
        found: Mapping[str, Any] = self.document.get("update", {}).get("$set", {})
        return found


class Moment(Enum):
    """When the connection is lost."""

    BEFORE = "before the write"
    AFTER = "after the write, before its answer"


@dataclass
class Trap:
    """Springs `times` times. With `hold`, the connection stays as it is until `release()`; then it is gone."""

    match: Callable[[Command], bool]
    moment: Moment
    times: int = 1
    hold: bool = False
    sprung: int = 0
    by: "Proxy | None" = None
    """Whose process is in it."""
    _reached: asyncio.Event = field(default_factory=asyncio.Event)
    _released: asyncio.Event = field(default_factory=asyncio.Event)
    _spent: asyncio.Event = field(default_factory=asyncio.Event)

    async def spent(self, within: float = 45.0) -> None:
        """Wait until it has sprung as often as it may: others may go on meanwhile. Raises TimeoutError."""
        async with asyncio.timeout(within):
            await self._spent.wait()

    async def reached(self, within: float = 45.0) -> "Proxy":
        """Wait until it has sprung. Raises TimeoutError."""
        async with asyncio.timeout(within):
            await self._reached.wait()
        assert self.by is not None
        return self.by

    def release(self) -> None:
        """Let go of who is held, without what it waits for."""
        self._released.set()

    def _takes(self, command: Command, moment: Moment) -> bool:
        return self.moment is moment and self.sprung < self.times and self.match(command)

    async def _spring(self, proxy: "Proxy") -> None:
        self.by = proxy
        self._reached.set()
        if self.sprung == self.times:
            self._spent.set()
        if self.hold:
            await self._released.wait()


class Proxy:
    """One address of mongod's. `async with Proxy(port)`; `url` is for the process that shall go through it."""

    def __init__(self, mongod_port: int) -> None:
        self._target = mongod_port
        self.traps: list[Trap] = []
        self._open: set[asyncio.Task[None]] = set()

    @property
    def url(self) -> str:
        return f"mongodb://127.0.0.1:{self.port}/?directConnection=true"

    async def __aenter__(self) -> Self:
        self._server = await asyncio.start_server(self._accept, "127.0.0.1", 0)
        self.port: int = self._server.sockets[0].getsockname()[1]
        return self

    async def __aexit__(self, *_: object) -> None:
        self._server.close()
        for task in list(self._open):
            task.cancel()
        await asyncio.gather(*self._open, return_exceptions=True)

    async def _accept(self, client: asyncio.StreamReader, answers: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        self._open.add(task)
        try:
            server, requests = await asyncio.open_connection("127.0.0.1", self._target)
        except OSError:
            answers.close()
            self._open.discard(task)
            return
        held: dict[int, Trap] = {}
        ways = [
            asyncio.ensure_future(self._requests(client, requests, held)),
            asyncio.ensure_future(self._answers(server, answers, held)),
        ]
        try:
            await asyncio.wait(ways, return_when=asyncio.FIRST_COMPLETED)
        finally:
            self._open.discard(task)
            for way in ways:
                way.cancel()
            for writer in (answers, requests):
                writer.transport.abort()

    async def _requests(
        self, client: asyncio.StreamReader, requests: asyncio.StreamWriter, held: dict[int, Trap]
    ) -> None:
        while (message := await _message(client)) is not None:
            command = _command(message)
            for trap in self.traps if command is not None else ():
                assert command is not None
                if trap._takes(command, Moment.BEFORE):
                    trap.sprung += 1
                    await trap._spring(self)
                    return
                if trap._takes(command, Moment.AFTER):
                    trap.sprung += 1
                    held[_HEADER.unpack_from(message)[1]] = trap
            requests.write(message)
            await requests.drain()

    async def _answers(
        self, server: asyncio.StreamReader, answers: asyncio.StreamWriter, held: dict[int, Trap]
    ) -> None:
        while (message := await _message(server)) is not None:
            trap = held.pop(_HEADER.unpack_from(message)[2], None)
            if trap is not None:
                await trap._spring(self)
                return
            answers.write(message)
            await answers.drain()


async def _message(reader: asyncio.StreamReader) -> bytes | None:
    """One whole message; None when the connection is gone."""
    with contextlib.suppress(asyncio.IncompleteReadError, ConnectionError):
        header = await reader.readexactly(_HEADER.size)
        return header + await reader.readexactly(_HEADER.unpack(header)[0] - _HEADER.size)
    return None


def _command(message: bytes) -> Command | None:
    if _HEADER.unpack_from(message)[3] != _OP_MSG or message[20] != 0:
        return None
    size = int.from_bytes(message[21:25], "little")
    document = bson.decode(message[21 : 21 + size])
    name = next(iter(document))
    return Command(name, str(document[name]), document)
