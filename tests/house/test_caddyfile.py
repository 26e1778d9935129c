"""deploy/caddy/Caddyfile says what the table of services says, and keeps services' cookies apart."""

import re

import pytest

from deploy.caddy.__main__ import FILE
from deploy.caddy.caddyfile import SITES, caddyfile
from shared.services import SERVICES, Host, Mount, ServiceRow, table
from shared.web.paths import HEALTH, LEADS, Own, destination

TEXT = caddyfile(SERVICES)
SAMPLES = (
    *(
        "/",
        "/favicon.ico",
        "/readyz",
        "/healthz",
        "/t",
        "/t/contoso/wsfed",
        "/tt/x",
        "/key",
        "/key/",
        "/keys",
    ),
    *("/api/sessions", "/me/", "/push/x", "/signin/abc/token", "/api/v1/people", "/.well-known/x"),
    *(f"/static/{service}/{'0' * 16}.js" for service in (*SERVICES, "nobody")),
)


def block(text: str, opening: str) -> str:
    """What is between the braces of a block at the left margin."""
    start = text.index(f"\n{opening} {{\n")
    return text[start : text.index("\n}\n", start)]


DOES = {
    "redir": Own.LEAD,
    "root": Own.PAGE,
    "error": Own.NOTHING,
    "static": Own.STATIC,
}
"""What the first word of a `handle` block says, or the name that it imports."""


def leads_to(text: str, host: Host, path: str) -> str:
    """Whom Caddy hands a path to: the first matcher that holds, the bare handle otherwise."""
    site = block(text, re.search(rf"^{re.escape(SITES[host].origin)}.*(?= \{{$)", text, re.MULTILINE)[0])  # type: ignore[index]
    inside = block(text, "(around)") + site
    matchers = dict(re.findall(r"^\t@(\S+) path (.+)$", inside, re.MULTILINE))
    for pattern, does in re.findall(r"^\thandle (?:(\S+) )?\{\n\t\t(.+)$", inside, re.MULTILINE):
        patterns = matchers[pattern[1:]].split() if pattern.startswith("@") else [pattern or "/*"]
        if any(path.startswith(p[:-1]) if p.endswith("*") else path == p for p in patterns):
            word = does.removeprefix("import ").split()[0]
            return Own.HEALTH if path in HEALTH else DOES.get(word, word)
    raise AssertionError(f"nobody answers {path}")


def shown(text: str, service: str, cookie: str) -> str:
    """The Cookie header that reaches a service."""
    for pattern, instead in re.findall(r'header_up Cookie "(.+)" "(.+)"', block(text, f"({service})")):
        cookie = re.sub(pattern, instead, cookie)
    return cookie


def test_the_committed_file_is_what_the_table_makes() -> None:
    assert FILE.read_text() == TEXT


@pytest.mark.parametrize("host", Host)
@pytest.mark.parametrize("path", [*SAMPLES, *LEADS])
def test_every_path_goes_where_the_table_says(host: Host, path: str) -> None:
    assert leads_to(TEXT, host, path) == destination(host, path)


def test_a_whole_host_is_asked_after_the_paths_on_it() -> None:
    rows = table(
        ServiceRow(name="admin", mounts=(Mount(Host.CONSOLE, "/"),)),
        ServiceRow(name="wsfed", mounts=(Mount(Host.CONSOLE, "/hook/"),)),
    )
    text = caddyfile(rows)
    assert leads_to(text, Host.CONSOLE, "/hook/x") == "wsfed"
    assert leads_to(text, Host.CONSOLE, "/hooks") == "admin"
    assert leads_to(text, Host.CONSOLE, "/") == "admin"
    assert leads_to(text, Host.CONSOLE, "/static/approval/x") == Own.STATIC


def test_a_service_that_is_not_there_leads_nowhere() -> None:
    text = caddyfile({"wsfed": SERVICES["wsfed"]})
    assert leads_to(text, Host.PHONE, "/api/x") == Own.NOTHING
    assert "approval" not in text


def test_whether_a_service_is_ready_is_not_for_the_public() -> None:
    assert "handle /readyz {\n\t\terror 404\n" in block(TEXT, "(around)")
    for host in Host:
        assert leads_to(TEXT, host, "/readyz") == Own.HEALTH


def test_no_service_sees_the_cookies_of_another() -> None:
    cookies = {
        "wsfed": ("__Host-blok365-browser=b", "__Host-blok365-a-0123=s"),
    }
    sent = "; ".join(["theme=dark", *cookies["wsfed"], cookies["wsfed"][0]])
    for service in (row.name for row in SERVICES.values() if row.mounts):
        reaches = shown(TEXT, service, sent)
        assert reaches.startswith("theme=dark; ")
        for owner, own in cookies.items():
            for cookie in own:
                assert (cookie in reaches) is (owner == service), (service, cookie)


def test_replacements_are_not_empty_since_caddy_would_then_send_the_pattern() -> None:
    assert not re.search(r'header_up Cookie "[^"]*" ""', TEXT)
