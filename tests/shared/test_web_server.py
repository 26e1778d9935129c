"""The server as a client meets it: headers on everything, every error an answer, streams that end."""

import asyncio
import json
from collections.abc import AsyncGenerator, AsyncIterator, Awaitable, Callable, Mapping
from datetime import UTC, datetime

import pytest
from aiohttp import web

from shared.clock import Clock, ManualClock, SystemClock
from shared.errors import BadInput, Blok365Error, Conflict, Forbidden, NotFound, Unavailable
from shared.ids import SeededIds
from shared.services import SERVICES, Host, Mount, ServiceRow, table
from shared.web.frame import Pages
from shared.web.inputs import form, read_json
from shared.web.paths import Origins
from shared.web.problems import WAY_ON, Link
from shared.web.server import Runner, WebSettings, combine, make_app, serve
from shared.web.sse import Event, stream

pytestmark = pytest.mark.integration

ORIGINS = Origins(
    signin="https://id.example", console="https://console.example", kiosk="https://kiosk.example"
)


class Answer:
    def __init__(self, raw: bytes) -> None:
        head, _, self.body = raw.partition(b"\r\n\r\n")
        first, *lines = head.decode().split("\r\n")
        self.status = int(first.split()[1])
        self.headers = {k.lower(): v for k, v in (line.split(": ", 1) for line in lines)}

    @property
    def text(self) -> str:
        return self.body.decode()

    @property
    def json(self) -> dict[str, object]:
        return dict(json.loads(self.body))


async def ask(
    port: int,
    target: str,
    *,
    method: str = "GET",
    body: bytes = b"",
    host: str = "id.example",
    **headers: str,
) -> Answer:
    """One request in raw octets, so that a client library cannot tidy it up first."""
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    lines = [f"{method} {target} HTTP/1.1", f"Host: {host}", "Connection: close"]
    lines += [f"{name.replace('_', '-')}: {value}" for name, value in headers.items()]
    if body and "Transfer_Encoding" not in headers and "Content_Length" not in headers:
        lines.append(f"Content-Length: {len(body)}")
    writer.write("\r\n".join(lines).encode("latin-1") + b"\r\n\r\n" + body)
    raw = await reader.read()
    writer.close()
    return Answer(raw)


def service(
    name: str = "wsfed", *, clock: Clock | None = None, origin: str = ORIGINS.signin
) -> web.Application:
    return make_app(
        Pages(name),
        WebSettings(origin=origin, max_body=1000),
        clock=clock or SystemClock(),
        ids=SeededIds(name),
    )


Start = Callable[[web.Application], Awaitable[int]]


@pytest.fixture
async def start() -> AsyncIterator[Start]:
    runners: list[Runner] = []

    async def begin(app: web.Application) -> int:
        runner, port = await serve(app, "127.0.0.1", 0)
        runners.append(runner)
        return port

    yield begin
    for runner in runners:
        await runner.cleanup()


def raising(error: BaseException) -> web.RouteDef:
    async def route(request: web.Request) -> web.StreamResponse:
        request[WAY_ON] = Link("/signin/abc", "Back to sign-in")
        raise error

    return web.get("/raise", route)


async def test_unknown_exception_is_503_without_a_trace(start: Start) -> None:
    app = service()
    app.add_routes([raising(RuntimeError("secret detail"))])
    answer = await ask(await start(app), "/raise")
    assert answer.status == 503
    assert "secret detail" not in answer.text
    assert "Traceback" not in answer.text
    assert answer.headers["x-request-id"] in answer.text
    assert "/signin/abc" in answer.text


async def test_base_error_is_never_sent_as_500(start: Start) -> None:
    app = service()
    app.add_routes([raising(Blok365Error())])
    assert (await ask(await start(app), "/raise")).status == 503


@pytest.mark.parametrize(
    ("error", "status"),
    [(Conflict(), 409), (NotFound(), 404), (Unavailable(), 503)],
)
async def test_errors_become_pages_and_problem_json(start: Start, error: Blok365Error, status: int) -> None:
    app = service()
    app.add_routes([raising(error)])
    port = await start(app)
    page = await ask(port, "/raise", Accept="text/html")
    assert page.status == status
    assert error.remedy in page.text
    problem = await ask(port, "/raise", Accept="application/json")
    assert problem.headers["content-type"].startswith("application/problem+json")
    assert (problem.json["status"], problem.json["code"]) == (status, error.code)
    assert problem.headers.get("retry-after") == ("30" if status == 503 else None)
    assert problem.json.get("retry_after") == (
        30 if status == 503 else None
    )  # the proxy drops headers of an API


async def test_french_problem_page(start: Start) -> None:
    app = service()
    app.add_routes([raising(Conflict())])
    page = await ask(await start(app), "/raise?mkt=fr-FR")
    assert '<html lang="fr">' in page.text
    assert "déjà fait" in page.text


async def test_sentences_of_an_error_are_french_on_a_french_page_and_english_in_json(start: Start) -> None:
    app = service()
    app.add_routes([raising(BadInput("shared.parameter.too_many", limit=64, code="many"))])
    port = await start(app)
    page = await ask(port, "/raise?mkt=fr-FR")
    assert "<p>Il y a plus de 64 paramètres.</p>" in page.text
    assert "<p>Revenez en arrière" in page.text
    assert 'lang="en"' not in page.text
    problem = await ask(port, "/raise?mkt=fr-FR", Accept="application/json")
    assert problem.json["detail"] == "More than 64 parameters."
    assert (problem.json["code"], problem.json["type"]) == ("many", "urn:blok365:problem:many")


async def test_an_error_s_own_remedy_is_french_on_a_french_page(start: Start) -> None:
    app = service()
    app.add_routes([raising(Forbidden("shared.web.csrf"))])
    page = await ask(await start(app), "/raise?mkt=fr-FR")
    assert "<p>Revenez en arrière, rechargez la page, puis réessayez.</p>" in page.text
    assert 'lang="en"' not in page.text


async def test_sentence_without_a_translation_says_that_it_is_english(start: Start) -> None:
    app = service()
    app.add_routes([raising(BadInput("nobody.translated.this"))])
    page = await ask(await start(app), "/raise?mkt=fr-FR")
    assert '<p lang="en">nobody.translated.this</p>' in page.text
    assert "<p>Revenez en arrière" in page.text


async def test_detail_of_an_error_is_escaped(start: Start) -> None:
    app = service()
    app.add_routes([raising(BadInput("shared.body.not_utf8", what="<script>alert(1)</script>"))])
    page = await ask(await start(app), "/raise")
    assert "&lt;script&gt;alert(1)" in page.text
    assert "<script>alert" not in page.text


async def test_api_paths_answer_json_even_to_a_browser(start: Start) -> None:
    answer = await ask(await start(service()), "/api/nothing", Accept="text/html")
    assert answer.status == 404
    assert answer.json["code"] == "not_found"


async def test_security_headers_are_on_every_kind_of_answer(start: Start) -> None:
    app = service()
    app.add_routes([raising(web.HTTPSeeOther("/x")), web.get("/ok", _healthy)])
    port = await start(app)
    answers = [
        await ask(port, "/raise"),
        await ask(port, "/ok"),
        await ask(port, "/nothing"),
        await ask(port, "/ok", method="POST"),
        await ask(port, "/%FF"),
        await ask(port, "/ok", X="a" * 20_000),
        await ask(port, "/ok", method="<>"),
    ]
    assert [a.status for a in answers] == [303, 200, 404, 405, 400, 400, 400]
    nonces = set()
    for answer in answers:
        headers = answer.headers
        assert "frame-ancestors 'none'" in headers["content-security-policy"]
        assert "unsafe" not in headers["content-security-policy"]
        nonces.add(headers["content-security-policy"].partition("'nonce-")[2].partition("'")[0])
        assert headers["x-content-type-options"] == "nosniff"
        assert headers["referrer-policy"] == "no-referrer"
        assert headers["cross-origin-opener-policy"] == "same-origin"
        assert headers["cross-origin-resource-policy"] == "same-origin"
        assert headers["strict-transport-security"]
        assert headers["x-request-id"]
        assert headers["server"] == "Blok365"
        assert headers["cache-control"] == "no-store"
    assert len(nonces) == len(answers)
    assert answers[3].headers["allow"] == "GET,HEAD"


async def _healthy(request: web.Request) -> web.Response:
    return web.Response(text="ok")


async def test_a_service_serves_no_files(start: Start) -> None:
    assert (await ask(await start(service()), Pages("wsfed").static.url("blok365.css"))).status == 404


async def test_line_over_the_limit_gets_our_page(start: Start) -> None:
    port = await start(service())
    assert (await ask(port, "/x?wctx=" + "a" * 15_000)).status == 404
    answer = await ask(port, "/x?wctx=" + "a" * 65_536)
    assert answer.status == 400
    assert "<h1" in answer.text
    assert "aaaa" not in answer.text


async def test_what_is_no_http_is_repeated_neither_in_the_answer_nor_in_the_log(
    start: Start, caplog: pytest.LogCaptureFixture
) -> None:
    port = await start(service())
    for answer in (
        await ask(port, "/x", method="<script>alert(1)</script>"),
        await ask(port, "/x?<script>alert(1)</script>", X="y\x00z"),
    ):
        assert answer.status == 400
        assert answer.headers["content-type"] == "text/html; charset=utf-8"
        assert answer.headers["server"] == "Blok365"
        assert "alert(" not in answer.text
        assert "Traceback" not in answer.text
    assert caplog.text == ""


async def test_body_over_the_limit_is_413_however_it_is_sent(start: Start) -> None:
    async def read(request: web.Request) -> web.Response:
        return web.json_response(await form(request))

    app = service()
    app.add_routes([web.post("/form", read)])
    port = await start(app)
    kind = "application/x-www-form-urlencoded"
    assert (await ask(port, "/form", method="POST", body=b"a=1", Content_Type=kind)).json == {"a": "1"}
    large = b"a=" + b"1" * 2000
    assert (await ask(port, "/form", method="POST", body=large, Content_Type=kind)).status == 413
    chunked = f"{len(large):x}\r\n".encode() + large + b"\r\n0\r\n\r\n"
    answer = await ask(
        port, "/form", method="POST", body=chunked, Content_Type=kind, Transfer_Encoding="chunked"
    )
    assert answer.status == 413
    for body, content_type in (
        (b"a=1&a=2", kind),
        (b"a=%FF", kind),
        (b"\xff=1", kind),
        (b"{}", "text/plain"),
    ):
        assert (await ask(port, "/form", method="POST", body=body, Content_Type=content_type)).status == 400


async def test_json_is_read_strictly(start: Start) -> None:
    async def read(request: web.Request) -> web.Response:
        return web.json_response(await read_json(request))

    app = service()
    app.add_routes([web.post("/api/x", read)])
    port = await start(app)
    good = await ask(port, "/api/x", method="POST", body=b'{"a": 1}', Content_Type="application/json")
    assert good.json == {"a": 1}
    escaped = await ask(
        port, "/api/x", method="POST", body=b'{"a": "\\ud83d\\ude00"}', Content_Type="application/json"
    )
    assert escaped.json == {"a": "\U0001f600"}
    half = (b'{"a":"\\ud800"}', b'{"\\uDC00":1}', b'{"a":[{"b":"x\\udfff\\ud800"}]}')
    for body in (b'{"a":1,"a":2}', b"[1]", b"{", b'"\xff"', b'{"a":NaN}', b"[" * 990, b"", *half):
        answer = await ask(port, "/api/x", method="POST", body=body, Content_Type="application/json")
        assert answer.status == 400, body
        assert answer.json["code"] == "bad_input"


async def test_health_and_readiness(start: Start) -> None:
    checks = {"store": True, "bus": False}

    async def ready() -> Mapping[str, bool]:
        return checks

    app = make_app(
        Pages("wsfed"),
        WebSettings(origin=ORIGINS.signin),
        clock=SystemClock(),
        ids=SeededIds("r"),
        ready=ready,
    )
    port = await start(app)
    assert (await ask(port, "/healthz")).json == {"status": "ok"}
    answer = await ask(port, "/readyz")
    assert (answer.status, answer.json) == (503, {"ready": False, "checks": checks})
    checks["bus"] = True
    assert (await ask(port, "/readyz")).status == 200


_WSFED = ServiceRow(name="wsfed", mounts=SERVICES["wsfed"].mounts)


async def test_one_process_tells_services_apart_by_host_and_path(start: Start) -> None:
    async def named(request: web.Request) -> web.Response:
        return web.Response(text=request.match_info["who"])

    async def not_ready() -> Mapping[str, bool]:
        return {"store": False}

    wsfed = service("wsfed")
    wsfed.add_routes([web.get("/signin/{who}", named), web.get("/{who}", named)])
    admin = make_app(
        Pages("admin"),
        WebSettings(origin=ORIGINS.console),
        clock=SystemClock(),
        ids=SeededIds("a"),
        ready=not_ready,
    )
    admin.add_routes([web.get("/{who}", named)])
    started: list[str] = []

    async def on_startup(app: web.Application) -> None:
        started.append("admin")

    admin.on_startup.append(on_startup)
    ids = SeededIds("combined")
    rows = table(_WSFED, ServiceRow(name="admin", mounts=(Mount(Host.CONSOLE, "/"),)))
    apps = {"wsfed": wsfed, "admin": admin}
    start_url = "https://m365.example/"
    whole = combine(apps, ORIGINS, tree={}, clock=SystemClock(), ids=ids, table=rows, start_url=start_url)
    port = await start(whole)
    assert started == ["admin"]
    assert (await ask(port, "/signin/me")).text == "me"
    assert (await ask(port, "/me")).status == 404  # wsfed has such a route, but not on that path of the table
    assert (await ask(port, "/people", host="console.example")).text == "people"
    assert (await ask(port, "/signin/me", host="console.example")).status == 404
    assert (await ask(port, "/people", host="evil.example")).status == 421
    nobody = await ask(port, "/", host="key.id.example")  # approval does not run here
    assert nobody.status == 404
    assert "frame-ancestors 'none'" in nobody.headers["content-security-policy"]
    assert start_url not in nobody.text
    assert f'href="{start_url}"' in (await ask(port, "/nothing", host="id.example")).text
    ready = await ask(port, "/readyz", host="id.example")
    assert ready.json == {"ready": False, "checks": {"admin.store": False}}
    assert (await ask(port, "/x", X="a" * 20_000)).status == 400


def streaming(clock: Clock, events: asyncio.Queue[Event]) -> web.Application:
    async def source() -> AsyncGenerator[Event]:
        while True:
            yield await events.get()

    async def route(request: web.Request) -> web.StreamResponse:
        return await stream(request, source(), clock=clock, heartbeat=15, life=60)

    app = service(clock=clock)
    app.add_routes([web.get("/events", route)])
    return app


async def open_stream(port: int) -> tuple[asyncio.StreamReader, asyncio.StreamWriter, bytes]:
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    writer.write(b"GET /events HTTP/1.1\r\nHost: id.example\r\n\r\n")
    head = await reader.readuntil(b"\r\n\r\n")
    await reader.readuntil(b"retry: 2000\n\n")
    return reader, writer, head


async def test_stream_sends_events_heartbeats_and_ends_in_time() -> None:
    clock = ManualClock(datetime(2026, 1, 1, tzinfo=UTC))
    events: asyncio.Queue[Event] = asyncio.Queue()
    runner, port = await serve(streaming(clock, events), "127.0.0.1", 0)
    reader, writer, head = await open_stream(port)
    assert b"text/event-stream" in head
    assert b"no-store" in head
    assert b"Content-Security-Policy" in head
    events.put_nowait(Event("state", {"state": "proved", "version": 4}))
    assert await reader.readuntil(b"}\n\n")
    clock.advance(16)
    await reader.readuntil(b":\n\n")
    clock.advance(45)
    await reader.readuntil(b"0\r\n\r\n")
    writer.close()
    await runner.cleanup()


async def test_stream_ends_when_the_process_stops() -> None:
    clock = ManualClock(datetime(2026, 1, 1, tzinfo=UTC))
    runner, port = await serve(streaming(clock, asyncio.Queue()), "127.0.0.1", 0)
    reader, writer, _ = await open_stream(port)
    await asyncio.wait_for(runner.cleanup(), 5)
    assert b"0\r\n\r\n" in await reader.read()
    writer.close()


def test_event_name_cannot_break_the_framing() -> None:
    with pytest.raises(ValueError, match="event name"):
        Event("a\ndata: x", {}).encode()
    assert Event("state", {"a": "x\ny"}).encode() == b'event: state\ndata: {"a":"x\\ny"}\n\n'
