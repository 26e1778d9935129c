"""Requests in raw octets over the flow's socket, so that no client library tidies them up first."""

import asyncio
from dataclasses import dataclass
from urllib.parse import quote

from tests.flows.support import ADA, REALM, Flow

WSFED = "/t/contoso/wsfed"
FORM = "application/x-www-form-urlencoded"
EVERY = {
    "x-content-type-options": "nosniff",
    "x-frame-options": "DENY",
    "referrer-policy": "no-referrer",
    "cross-origin-resource-policy": "same-origin",
}
"""On every answer of wsfed, whatever it is."""


@dataclass(frozen=True)
class Answer:
    """One answer, as it came."""

    status: int
    headers: list[tuple[str, str]]
    body: bytes

    @property
    def text(self) -> str:
        return self.body.decode()

    def header(self, name: str) -> str:
        """The header, which must be there once."""
        (value,) = (v for n, v in self.headers if n == name)
        return value

    def has(self, name: str) -> bool:
        return any(n == name for n, _ in self.headers)


async def ask(
    flow: Flow,
    target: str | bytes,
    *,
    method: str = "GET",
    body: bytes = b"",
    lines: tuple[str, ...] = (),
    host: str = "id.localhost:8365",
) -> Answer:
    """Send one request and read its answer to the end."""
    reader, writer = await asyncio.open_unix_connection(str(flow.socket), limit=2**24)
    head = [f"Host: {host}", "Connection: close", *lines]
    if body and not any(line.lower().startswith(("content-length", "transfer-encoding")) for line in lines):
        head.append(f"Content-Length: {len(body)}")
    octets = target if isinstance(target, bytes) else target.encode("latin-1")
    request = method.encode() + b" " + octets + b" HTTP/1.1\r\n" + "\r\n".join(head).encode("latin-1")
    try:
        writer.write(request + b"\r\n\r\n" + body)
        await writer.drain()
    except ConnectionError:
        pass  # it was refused before all of it was sent; the answer is there all the same
    try:
        raw = await reader.read()
    finally:
        writer.close()
    top, _, rest = raw.partition(b"\r\n\r\n")
    first, *fields = top.decode("latin-1").split("\r\n")
    pairs = [(n.lower(), v) for n, v in (field.split(": ", 1) for field in fields)]
    return Answer(int(first.split()[1]), pairs, rest)


def request(**changed: str | None) -> str:
    """The target of a sign-in request; None leaves a parameter out, values are escaped."""
    fields: dict[str, str | None] = {
        "client-request-id": "5d1f7f7e-0000-4000-8000-000000000001",
        "username": ADA,
        "wa": "wsignin1.0",
        "wtrealm": REALM,
        "wctx": "LoginOptions=3&estsredirect=2&estsrequest=rQQIARAA",
        **{name.replace("_", "-"): value for name, value in changed.items()},
    }
    pairs = (f"{name}={quote(value, safe='')}" for name, value in fields.items() if value is not None)
    return f"{WSFED}?{'&'.join(pairs)}"


def assert_safe(answer: Answer, *, cache: str = "no-store") -> None:
    """True of every answer whatever was sent: no fault of ours, no trace, and the security headers.

    `cache`: how long it may be kept; nobody may keep anything but what is public and the same for all.
    """
    assert answer.header("cache-control") == cache
    assert answer.status not in (500, 501, 502, 504)
    assert "Traceback" not in answer.text
    assert "aiohttp" not in f"{answer.text}{answer.headers}"
    assert "Python" not in f"{answer.text}{answer.headers}"
    for name, value in EVERY.items():
        assert answer.header(name) == value
    policy = answer.header("content-security-policy")
    assert "default-src 'none'" in policy
    assert "frame-ancestors 'none'" in policy
    assert "unsafe" not in policy
    assert "*" not in policy


def assert_helpful(answer: Answer) -> None:
    """An error page: says what to do next, in words, with a way on."""
    assert_safe(answer)
    assert answer.header("content-type").startswith("text/html")
    assert "<h1" in answer.text
    assert "https://m365.cloud.microsoft/" in answer.text
