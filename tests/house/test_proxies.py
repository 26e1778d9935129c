"""Caddy, the cluster's router and the one-process server apply one rule: each is asked before hostile services."""

import gzip
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
import pytest_asyncio

from deploy.pages import built
from shared.services import SERVICES, Host
from shared.web.paths import LEADS, Own, destination
from shared.web.proxy import BEYOND_THE_ANSWER, JSON_HEADERS
from tests.house.hostile import BEYOND, CASES, NO_ANSWERS, OTHERS, REDIRECTS, Case, Through, ask
from tests.house.proxies import PROXIES, START, Proxy
from tests.house.test_caddyfile import SAMPLES

pytestmark = [pytest.mark.integration, pytest.mark.asyncio(loop_scope="module")]

API, PAGES = "/api/case/", "/signin/case/"
OF_THE_CONNECTION = {"connection", "content-length", "transfer-encoding", "date", "server", "keep-alive"}
ONLY_OVER_TLS = "strict-transport-security"
"""Caddy sends it always; browsers heed it over TLS only (RFC 6797, section 8.1)."""


@pytest_asyncio.fixture(scope="module", loop_scope="module", params=PROXIES)
async def proxy(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> AsyncIterator[Proxy]:
    folder: Path = tmp_path_factory.mktemp("proxy")
    async with PROXIES[request.param](folder) as started:
        yield started


def theirs(answer: Through) -> dict[str, str]:
    """Headers other than those of the connection; each came once."""
    kept = [(k, v) for k, v in answer.headers if k not in OF_THE_CONNECTION and k != ONLY_OVER_TLS]
    assert len(dict(kept)) == len(kept), kept
    return dict(kept)


OURS = {name.lower(): value for name, value in JSON_HEADERS.items()}


@pytest.mark.parametrize("case", CASES, ids=[case.name for case in CASES])
async def test_of_an_apis_answer_status_and_body_go_through_and_nothing_else(
    proxy: Proxy, case: Case
) -> None:
    asks = (("Connection", "Upgrade"), ("Upgrade", "websocket")) if case in NO_ANSWERS else ()
    answer = await proxy.get(Host.PHONE, f"{API}{case.path}", *asks)
    assert theirs(answer) == OURS
    assert answer.header("server") in (None, "Blok365")
    assert answer.header(ONLY_OVER_TLS) in (None, "max-age=31536000")
    assert "evil" not in str(answer.headers) + str(answer.early)
    if case in (*REDIRECTS, *NO_ANSWERS):
        assert answer.status == 502
        assert b"unavailable" in answer.body or answer.body == b""
    else:
        assert (answer.status, answer.body) == (case.status, case.body)


@pytest.mark.parametrize("case", BEYOND, ids=[case.name for case in BEYOND])
async def test_of_a_pages_answer_what_reaches_beyond_it_does_not_go_through(proxy: Proxy, case: Case) -> None:
    answer = await proxy.get(Host.SIGNIN, f"{PAGES}{case.path}")
    assert (answer.status, answer.body) == (200, b"{}")
    assert not {name.lower() for name in BEYOND_THE_ANSWER} & {name for name, _ in answer.headers}


async def test_everything_else_of_a_page_goes_through(proxy: Proxy) -> None:
    """Without this the tests above would hold of a proxy that lets nothing through."""
    for case in (*OTHERS, *REDIRECTS):
        if case.name != "Server":
            answer = await proxy.get(Host.SIGNIN, f"{PAGES}{case.path}")
            name, value = case.headers[-1]
            assert (answer.status, answer.header(name)) == (case.status, value), case.name


async def test_no_service_is_asked_for_another_protocol(proxy: Proxy) -> None:
    for host, path, service in ((Host.PHONE, "/api/x", "approval"), (Host.SIGNIN, "/signin/x", "wsfed")):
        answer = await proxy.get(host, path, ("Connection", "Upgrade"), ("Upgrade", "websocket"))
        assert answer.status == 200
        seen = proxy.taken[service].requests[-1][1]
        assert "upgrade" not in seen


async def test_no_service_sees_the_cookies_of_another(proxy: Proxy) -> None:
    wsfeds = ("__Host-blok365-browser=b", "__Host-blok365-a-0123=s")
    cookies = "; ".join(["theme=dark", *wsfeds, "other=x"])
    await proxy.get(Host.PHONE, "/api/x", ("Cookie", cookies))
    seen = proxy.taken["approval"].requests[-1][1].get("cookie", "")
    assert "theme=dark" in seen
    assert "blok365" not in seen
    await proxy.get(Host.SIGNIN, "/signin/x", ("Cookie", cookies))
    assert all(each in proxy.taken["wsfed"].requests[-1][1]["cookie"] for each in wsfeds)


async def test_cookies_of_another_are_hidden_in_every_line_and_beside_what_is_no_text(proxy: Proxy) -> None:
    lines = (("Cookie", "theme=dark"), ("Cookie", "__Host-blok365-browser=b"), ("X-Odd", "\xff"))
    answer = await proxy.get(Host.PHONE, "/api/x", *lines)
    assert answer.status == 200
    assert "__Host-blok365" not in str(proxy.taken["approval"].requests[-1][1])


def kind(answer: Through, host: Host, path: str) -> str:
    """Who answered."""
    for name in SERVICES:
        if f'"who": "{name}"'.encode() in answer.body:
            return name
    if answer.status in (303, 308):
        return Own.LEAD
    if path in ("/healthz", "/readyz"):
        return Own.HEALTH
    if answer.status == 200:
        return Own.PAGE if answer.header("cache-control") == "no-cache" else Own.STATIC
    assert answer.status == 404, (host, path, answer)
    return Own.STATIC if path.startswith("/static/") else Own.NOTHING


@pytest.mark.parametrize("host", Host)
async def test_every_path_goes_where_the_table_says(proxy: Proxy, host: Host) -> None:
    for path in (*SAMPLES, *LEADS, "/sw.js"):
        answer = await proxy.get(host, path)
        assert kind(answer, host, path) == destination(host, path), path


@pytest.mark.parametrize("host", [Host.SIGNIN])
async def test_the_sign_in_host_reaches_wsfed_only(proxy: Proxy, host: Host) -> None:
    before = {name: len(each.requests) for name, each in proxy.taken.items()}
    for path in (
        "/api/x",
        "/api/case/html",
        "/",
        "/key/api/x",
        "/static/approval/0/x.js",
        "/admin",
        "/sw.js",
    ):
        await proxy.get(host, path)
    for name, each in proxy.taken.items():
        assert [path for path, _ in each.requests[before[name] :] if path != "/readyz"] == [], name


async def test_another_host_is_refused(proxy: Proxy) -> None:
    for name in ("evil.example", "id.localhost.evil.example", "key.localhost", "10.0.0.1", "localhost.evil"):
        for path in ("/", "/healthz", "/signin/x", "/api/x"):
            answer = await proxy_get(proxy, name, path)
            assert answer.status == 421, (name, path)
            assert b"Wrong address" in answer.body
            assert name.encode() not in answer.body


async def proxy_get(proxy: Proxy, name: str, path: str) -> Through:
    return await ask(proxy.port, name, path)


async def test_where_the_phones_page_was_leads_to_where_it_is(proxy: Proxy) -> None:
    for path in ("/key", "/key/", "/key/api/sessions", "/key/x?y=z"):
        answer = await proxy.get(Host.SIGNIN, path)
        assert (answer.status, answer.header("location")) == (308, f"{proxy.origins.phone}/")


async def test_links_of_our_own_pages_lead_to_our_hosts(proxy: Proxy) -> None:
    for path, to in LEADS.items():
        answer = await proxy.get(Host.FRONT, path)
        url = START if to == "start" else f"{proxy.origins.of(to)}/"
        assert (answer.status, answer.header("location")) == (303, url)


async def test_health_is_told_on_this_machines_own_names(proxy: Proxy) -> None:
    for name in ("localhost", "127.0.0.1"):
        assert (await proxy_get(proxy, f"{name}:{proxy.port}", "/healthz")).status == 200


ACCEPTED = (
    *(("", "en"), ("de, fr", "en"), ("fro", "en"), ("en, fr", "en"), ("*", "en")),
    *(("fr", "fr"), ("fr-CA,en;q=0.5", "fr"), ("FR;q=0.9, en", "fr")),
)
PAGES_OF_OURS = [
    (Host.PHONE, "BlokKey", "BlokKey"),
    (Host.FRONT, "Where to go", "Où aller"),
    (Host.KIOSK, "The badge kiosk is planned", "La borne à badges est prévue"),
]


@pytest.mark.parametrize(("host", "english", "french"), PAGES_OF_OURS)
async def test_a_page_that_is_a_file_comes_in_the_language_named_first_under_its_policy(
    proxy: Proxy, host: Host, english: str, french: str
) -> None:
    origin = f"http://{proxy.host(host)}"
    for accept, lang in ACCEPTED:
        answer = await proxy.get(host, "/", ("Accept-Language", accept))
        assert answer.status == 200
        text = answer.body.decode()
        assert f'lang="{lang}"' in text
        assert (french if lang == "fr" else english) in text
        headers = theirs(answer)
        assert headers["content-language"] == lang
        assert headers["vary"] == "Accept-Language"
        assert headers["cache-control"] == "no-cache"
        assert headers["content-type"] == "text/html; charset=utf-8"
        policy = headers["content-security-policy"].split("; ")
        assert f"script-src {origin}/static/" in policy
        assert {
            "default-src 'none'",
            "base-uri 'none'",
            "form-action 'none'",
            "frame-ancestors 'none'",
        } <= set(policy)
        assert "require-trusted-types-for 'script'" in policy
        assert "unsafe" not in headers["content-security-policy"]
        assert ("camera=(self)" in headers["permissions-policy"]) is (host is Host.PHONE)
        assert headers["x-content-type-options"] == "nosniff"
        assert headers["referrer-policy"] == "no-referrer"
        assert headers["x-frame-options"] == "DENY"


async def test_the_phones_worker_is_a_file_that_no_cache_answers_for(proxy: Proxy) -> None:
    answer = await proxy.get(Host.PHONE, "/sw.js")
    assert answer.header("content-type") == "text/javascript; charset=utf-8"
    assert answer.header("cache-control") == "no-cache"
    assert answer.header("service-worker-allowed") is None


NO_FILES = (
    *("/static/", "/static/wsfed/", "/static/wsfed/latest/", "/static/wsfed/0/nothing.js", "/pages/sw.js"),
    *(
        "/static/wsfed/0/../x.js",
        "/static/wsfed/0/%2e%2e/%2e%2e/%2e%2e/pages/sw.js",
        "/static/../pages/sw.js",
    ),
)


@pytest.mark.parametrize("host", Host)
async def test_static_files_are_on_every_host_and_kept_only_under_their_own_hash(
    proxy: Proxy, host: Host
) -> None:
    for name, data in built().items():
        if not name.startswith("static/"):
            continue
        answer = await proxy.get(host, f"/{name}")
        forever = "/latest/" not in name
        assert (answer.status, answer.body) == (200, data), name
        assert answer.header("cache-control") == (
            "public, max-age=31536000, immutable" if forever else "no-store"
        )
        assert answer.header("x-content-type-options") == "nosniff"
        assert "sandbox" in (answer.header("content-security-policy") or "")
    answer = await proxy.get(host, "/static/wsfed/0123456789abcdef/signin.js")
    assert (answer.status, answer.header("cache-control")) == (200, "no-store")
    for path in NO_FILES:
        answer = await proxy.get(host, path)
        # On the console's host every other address is admin's to answer; a file of ours it is nowhere.
        assert answer.status in (400, 404) or (host is Host.CONSOLE and b'"who": "admin"' in answer.body), (
            path
        )


async def test_a_compressed_file_is_the_same_file_and_a_font_is_never_compressed(proxy: Proxy) -> None:
    """The front of a public system compresses; on one machine there is nothing to save."""
    for name, data in built().items():
        if "/latest/" in name or not name.startswith("static/phone/"):
            continue
        answer = await proxy.get(Host.PHONE, f"/{name}", ("Accept-Encoding", "gzip"))
        compressed = answer.header("content-encoding") == "gzip"
        assert (gzip.decompress(answer.body) if compressed else answer.body) == data, name
        assert not (compressed and name.endswith((".woff2", ".png")))
        assert not compressed or answer.header("vary") == "Accept-Encoding"
        assert answer.header("cache-control") == "public, max-age=31536000, immutable"


async def test_what_a_service_answers_is_not_compressed(proxy: Proxy) -> None:
    """Its length would tell of a secret in it, beside a text that a stranger chose."""
    answer = await proxy.get(Host.SIGNIN, "/signin/x", ("Accept-Encoding", "gzip"))
    assert answer.header("content-encoding") is None


async def test_a_file_is_only_read(proxy: Proxy) -> None:
    for path in ("/", "/sw.js"):
        assert (await proxy.get(Host.PHONE, path, ("Content-Length", "0"), method="POST")).status == 405
        head = await proxy.get(Host.PHONE, path, method="HEAD")
        assert (head.status, head.body) == (200, b"")
