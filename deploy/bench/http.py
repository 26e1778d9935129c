"""An HTTP/1.1 client that costs little: kept connections, requests as octets, no cookies, no redirects.

The load generator shares the machine with what it measures, so each microsecond here is one less there. It reads
what our servers and the peer send: Content-Length, chunks, or no body; nothing else. Loopback only.
"""

import asyncio
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import cast

_LENGTH = re.compile(rb"\r\ncontent-length: *(\d+)", re.I)
_CHUNKED = re.compile(rb"\r\ntransfer-encoding: *chunked", re.I)


class Broken(Exception):
    """The connection ended within an answer, or the answer is none that this client reads."""


@dataclass(slots=True)
class Answer:
    """Status, head as it came (lines after the status line), body."""

    status: int
    head: bytes
    body: bytes = b""

    def cookies(self) -> dict[str, str]:
        """Names and values of Set-Cookie."""
        found = re.findall(rb"\r\nset-cookie: *([^=;\r]+)=([^;\r]*)", self.head, re.I)
        return {name.decode(): value.decode() for name, value in found}

    def location(self) -> str:
        """The Location header; empty when there is none."""
        found = re.search(rb"\r\nlocation: *([^\r]+)", self.head, re.I)
        return found.group(1).decode() if found else ""


def octets(
    method: str, path: str, headers: Mapping[str, str], body: bytes = b"", content_type: str = ""
) -> bytes:
    """A request as it goes over the wire."""
    lines = [f"{method} {path} HTTP/1.1", *(f"{name}: {value}" for name, value in headers.items())]
    if method != "GET":
        lines += [f"Content-Type: {content_type}", f"Content-Length: {len(body)}"]
    return "\r\n".join((*lines, "", "")).encode() + body


@dataclass
class Exchange:
    """One request under way. `answer` is done when all of it has come; `seen` when `marker` has, in the body."""

    marker: bytes | None
    answer: "asyncio.Future[Answer]"
    seen: "asyncio.Future[None]"


class _Connection(asyncio.Protocol):
    def __init__(self, pool: "Pool") -> None:
        self._pool = pool
        self._transport: asyncio.Transport | None = None
        self._exchange: Exchange | None = None
        self._buffer = bytearray()
        self._answer: Answer | None = None
        self._length = 0  # of the body, or -1: chunks
        self._chunks = bytearray()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast(asyncio.Transport, transport)  # uvloop's is one by its methods only

    def send(self, request: bytes, exchange: Exchange) -> None:
        assert self._transport is not None
        self._exchange = exchange
        self._transport.write(request)

    def close(self) -> None:
        if self._transport is not None:
            self._transport.close()

    def connection_lost(self, exc: Exception | None) -> None:
        self._pool.forget(self)
        self._fail(f"the connection was closed: {exc}")

    def data_received(self, data: bytes) -> None:
        self._buffer += data
        try:
            while self._exchange is not None and self._step():
                pass
        except ValueError as error:
            self._fail(str(error))
            self.close()

    def _step(self) -> bool:
        """Read on; False when more must come first."""
        if self._answer is None:
            return self._read_head()
        if self._length >= 0:
            if len(self._buffer) < self._length:
                return False
            self._answer.body = bytes(self._buffer[: self._length])
            del self._buffer[: self._length]
            self._finish(self._answer)
            return False
        return self._read_chunk()

    def _read_head(self) -> bool:
        end = self._buffer.find(b"\r\n\r\n")
        if end < 0:
            return False
        head = bytes(self._buffer[:end])
        del self._buffer[: end + 4]
        status = int(head[9:12])
        if status < 200:
            return True  # an interim answer: the real one follows
        self._answer = Answer(status, head[head.find(b"\r\n") :] if b"\r\n" in head else b"")
        length = _LENGTH.search(head)
        if status in (204, 304):
            self._length = 0
        elif length:
            self._length = int(length.group(1))
        elif _CHUNKED.search(head):
            self._length = -1
        else:
            raise ValueError(f"neither length nor chunks in {head[:200]!r}")
        return True

    def _read_chunk(self) -> bool:
        end = self._buffer.find(b"\r\n")
        if end < 0:
            return False
        size = int(self._buffer[:end].partition(b";")[0], 16)
        if len(self._buffer) < end + 2 + size + 2:
            return False
        self._chunks += self._buffer[end + 2 : end + 2 + size]
        del self._buffer[: end + 2 + size + 2]
        assert self._answer is not None
        assert self._exchange is not None
        marker, seen = self._exchange.marker, self._exchange.seen
        if marker is not None and not seen.done() and marker in self._chunks:
            seen.set_result(None)
        if size:
            return True
        self._answer.body = bytes(self._chunks)
        self._finish(self._answer)
        return False

    def _finish(self, answer: Answer) -> None:
        exchange, self._exchange, self._answer = self._exchange, None, None
        self._chunks.clear()
        assert exchange is not None
        if not exchange.answer.done():
            exchange.answer.set_result(answer)
        if exchange.marker is not None and not exchange.seen.done():
            exchange.seen.set_exception(Broken(f"ended without {exchange.marker!r}: {answer.body[-200:]!r}"))
            exchange.seen.exception()  # whoever waits still gets it; nobody waiting is no fault
        self._pool.give_back(self)

    def _fail(self, why: str) -> None:
        exchange, self._exchange = self._exchange, None
        if exchange is not None:
            for future in (exchange.answer, exchange.seen):
                if not future.done():
                    future.set_exception(Broken(why))
                    future.exception()


@dataclass
class Pool:
    """Connections to one port of 127.0.0.1, kept and used again, as a proxy in front of us would. Close it."""

    port: int
    requests: int = 0
    _idle: list[_Connection] = field(default_factory=list)
    _open: set[_Connection] = field(default_factory=set)

    async def request(self, request: bytes) -> Answer:
        """Send and wait for all of the answer. Raises Broken, OSError."""
        return await (await self.begin(request)).answer

    async def begin(self, request: bytes, *, marker: bytes | None = None) -> Exchange:
        """Send; the answer comes later, or `marker` within a stream. Raises OSError."""
        loop = asyncio.get_running_loop()
        exchange = Exchange(marker, loop.create_future(), loop.create_future())
        if self._idle:
            connection = self._idle.pop()
        else:
            _, connection = await loop.create_connection(lambda: _Connection(self), "127.0.0.1", self.port)
            self._open.add(connection)
        self.requests += 1
        connection.send(request, exchange)
        return exchange

    def give_back(self, connection: _Connection) -> None:
        """Put a connection back, to be used again."""
        self._idle.append(connection)

    def forget(self, connection: _Connection) -> None:
        """Forget a connection that was closed."""
        self._open.discard(connection)
        if connection in self._idle:
            self._idle.remove(connection)

    async def close(self) -> None:
        """Close all connections."""
        for connection in list(self._open):
            connection.close()
        await asyncio.sleep(0)
