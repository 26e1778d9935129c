"""A service that somebody took over, and what it tries with an answer; and a client that reports what got through."""

import asyncio
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, field

from aiohttp import web

Headers = tuple[tuple[str, str], ...]
JSON = (("Content-Type", "application/json; charset=utf-8"),)


@dataclass(frozen=True)
class Case:
    """One answer. `early`: a Link header of an interim answer (RFC 8297) that comes first."""

    name: str
    headers: Headers = JSON
    body: bytes = b"{}"
    status: int = 200
    early: str = ""

    @property
    def path(self) -> str:
        return self.name.lower().replace(" ", "-")

    def octets(self) -> bytes:
        """The answer as it is sent by something that keeps to no rule."""
        lines = [f"HTTP/1.1 {self.status} Whatever", *(f"{name}: {value}" for name, value in self.headers)]
        if self.status >= 200:
            lines += [f"Content-Length: {len(self.body)}", "Connection: close"]
        first = f"HTTP/1.1 103 Early Hints\r\nLink: {self.early}\r\n\r\n" if self.early else ""
        return first.encode() + "\r\n".join(lines).encode() + b"\r\n\r\n" + self.body


def _header(name: str, value: str) -> Case:
    return Case(name, (*JSON, (name, value)))


_HTML = b"<!doctype html><script>navigator.credentials.get()</script>"
REDIRECTS = tuple(
    Case(f"Redirect {status}", (("Location", "https://evil.example/"),), b"", status)
    for status in (301, 302, 303, 307, 308)
)
NO_ANSWERS = (
    Case("Switched protocols", (("Upgrade", "websocket"), ("Connection", "Upgrade")), b"", 101),
    Case("Not modified", (("ETag", '"x"'),), b"", 304),
)
EARLY = Case("Early hints", early="</evil.js>; rel=preload; as=script")
CONTENT = (
    Case("HTML", (("Content-Type", "text/html; charset=utf-8"),), _HTML),
    Case("HTML in another character set", (("Content-Type", "text/html; charset=utf-7"),), _HTML),
    Case("HTML as an error", (("Content-Type", "text/html"),), _HTML, 404),
    Case("Script", (("Content-Type", "text/javascript"),), b"postMessage(1)"),
    Case("Picture with script", (("Content-Type", "image/svg+xml"),), b"<svg onload='alert(1)'/>"),
    Case("Style sheet", (("Content-Type", "text/css"),), b"body{display:none}"),
    Case("No content type", (), _HTML),
    Case("Created elsewhere", (*JSON, ("Location", "https://evil.example/")), b"{}", 201),
)
BEYOND = (
    _header("Service-Worker-Allowed", "/"),
    _header("Clear-Site-Data", '"cookies", "storage"'),
    _header("Refresh", "0; url=https://evil.example/"),
    _header("Alt-Svc", 'h3="evil.example:443"'),
    _header("NEL", '{"report_to": "evil", "max_age": 2592000}'),
    _header("Report-To", '{"group": "evil", "max_age": 1, "endpoints": [{"url": "https://evil.example/"}]}'),
)
OTHERS = (
    _header("Set-Cookie", "__Host-blok365-browser=planted; Path=/; Secure"),
    _header("Set-Cookie2", "x=planted"),
    _header("Content-Disposition", 'attachment; filename="update.exe"'),
    _header("Content-Security-Policy", "default-src *; script-src * 'unsafe-inline'"),
    _header("Content-Security-Policy-Report-Only", "default-src 'none'; report-uri https://evil.example/"),
    _header("Cross-Origin-Resource-Policy", "cross-origin"),
    _header("Cross-Origin-Opener-Policy", "unsafe-none"),
    _header("Access-Control-Allow-Origin", "*"),
    _header("Access-Control-Allow-Credentials", "true"),
    _header("X-Content-Type-Options", "none"),
    _header("Cache-Control", "public, max-age=31536000"),
    _header("Expires", "Fri, 01 Jan 2100 00:00:00 GMT"),
    _header("Link", "<https://evil.example/x.js>; rel=preload; as=script"),
    _header("SourceMap", "https://evil.example/map"),
    _header("Reporting-Endpoints", 'evil="https://evil.example/"'),
    _header("Permissions-Policy", "camera=*"),
    _header("Document-Policy", "x"),
    _header("Origin-Agent-Cluster", "?0"),
    _header("Accept-CH", "Sec-CH-UA-Model"),
    _header("Critical-CH", "Sec-CH-UA-Model"),
    _header("Strict-Transport-Security", "max-age=0"),
    _header("Server", "evil/1.0"),
    _header("WWW-Authenticate", 'Basic realm="Your Microsoft password"'),
    _header("Speculation-Rules", '"https://evil.example/rules.json"'),
    _header("X-Anything", "at all"),
)
CASES = (*CONTENT, *REDIRECTS, *NO_ANSWERS, EARLY, *BEYOND, *OTHERS)
BY_PATH: Mapping[str, Case] = {case.path: case for case in CASES}


@dataclass
class Taken:
    """A service that was taken over. Any other path than a case's is answered with the service's name."""

    name: str
    requests: list[tuple[str, Mapping[str, str]]] = field(default_factory=list)
    """Path and headers (names in lower case) of what reached it."""

    def case(self, path: str) -> Case:
        return BY_PATH.get(
            path.rpartition("/")[2], Case(self.name, body=f'{{"who": "{self.name}"}}'.encode())
        )

    @asynccontextmanager
    async def listening(self) -> AsyncIterator[int]:
        """As a process of its own would: raw octets on the port that this yields."""

        async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            head = (await reader.readuntil(b"\r\n\r\n")).decode("latin-1")
            first, *lines = head.strip().split("\r\n")
            path = first.split()[1]
            self.requests.append((path, {k.lower(): v for k, v in (line.split(": ", 1) for line in lines)}))
            writer.write(self.case(path).octets())
            await writer.drain()
            writer.close()

        server = await asyncio.start_server(answer, "127.0.0.1", 0)
        async with server:
            yield server.sockets[0].getsockname()[1]

    def application(self, *, streams: bool = False) -> web.Application:
        """As the application of one process. `streams`: the handler sends its headers itself."""

        async def answer(request: web.Request) -> web.StreamResponse:
            headers = {name.lower(): value for name, value in request.headers.items()}
            self.requests.append((request.path, headers))
            case = self.case(request.path)
            if not streams:
                return web.Response(status=case.status, headers=case.headers, body=case.body)
            response = web.StreamResponse(status=case.status, headers=case.headers)
            await response.prepare(request)
            await response.write(case.body)
            return response

        app = web.Application()
        app.router.add_route("*", "/{path:.*}", answer)
        return app


@dataclass(frozen=True)
class Through:
    """What a client got. `early`: headers of an interim answer. Names are in lower case."""

    status: int
    headers: tuple[tuple[str, str], ...]
    body: bytes
    early: tuple[tuple[str, str], ...] = ()

    def header(self, name: str) -> str | None:
        """The value of a header that came once at most."""
        found = [value for each, value in self.headers if each == name.lower()]
        assert len(found) <= 1, found
        return found[0] if found else None


async def ask(port: int, host: str, path: str, headers: Headers = (), method: str = "GET") -> Through:
    """One request in raw octets, and everything that comes back."""
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    lines = [f"{method} {path} HTTP/1.1", f"Host: {host}", *(f"{name}: {value}" for name, value in headers)]
    if "connection" not in {name.lower() for name, _ in headers}:
        lines.append("Connection: close")
    writer.write("\r\n".join(lines).encode("latin-1") + b"\r\n\r\n")
    try:
        early: Headers = ()
        while True:
            status, got = await _head(reader)
            if not 102 <= status < 200:
                break
            early = got
        values = dict(got)
        if "chunked" in values.get("transfer-encoding", ""):
            body = await _chunks(reader)
        elif status < 200:
            body = b""
        else:
            length = 0 if method == "HEAD" else int(values.get("content-length", 0))
            body = await reader.readexactly(length)
        return Through(status, got, body, early)
    finally:
        writer.close()


async def _head(reader: asyncio.StreamReader) -> tuple[int, Headers]:
    first, *lines = (await reader.readuntil(b"\r\n\r\n")).decode("latin-1").strip().split("\r\n")
    return int(first.split()[1]), tuple(
        (name.lower(), value) for name, _, value in (line.partition(": ") for line in lines)
    )


async def _chunks(reader: asyncio.StreamReader) -> bytes:
    body = b""
    while size := int((await reader.readline()).split(b";")[0], 16):
        body += await reader.readexactly(size)
        await reader.readline()
    return body
