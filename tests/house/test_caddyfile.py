"""deploy/caddy/Caddyfile says what the table of hosts and paths says, and keeps services' cookies apart."""

import re
from pathlib import Path

import pytest

from deploy import tree
from deploy.caddy.__main__ import FILE
from deploy.caddy.caddyfile import COOKIES, SITES, caddyfile, upstreams
from shared.web.paths import FRONT, PATHS, Host, Mount, service_for

ROOT = Path(__file__).parents[2]
TEXT = caddyfile(PATHS, tree.names("app"))
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
    *("/key/api/sessions", "/me/", "/push/x", "/signin/abc/token", "/api/v1/people", "/.well-known/x"),
    *(f"/static/{service}/{'0' * 16}.js" for service in ("wsfed", "approval", "admin", "nobody")),
)


def block(text: str, opening: str) -> str:
    """What is between the braces of a block at the left margin."""
    start = text.index(f"\n{opening} {{\n")
    return text[start : text.index("\n}\n", start)]


def destination(text: str, host: Host, path: str) -> str:
    """The service that Caddy hands a path to, or FRONT: the first matcher that holds, the bare handle otherwise."""
    site = SITES[host]
    inside = block(text, "(around)") + block(text, f"{{${site.variable}:{site.default}}}")
    matchers = dict(re.findall(r"^\t@(\S+) path (.+)$", inside, re.MULTILINE))
    for pattern, does in re.findall(r"^\thandle (?:(\S+) )?\{\n\t\t(.+)$", inside, re.MULTILINE):
        patterns = matchers[pattern[1:]].split() if pattern.startswith("@") else [pattern or "/*"]
        if any(path.startswith(p[:-1]) if p.endswith("*") else path == p for p in patterns):
            return does.removeprefix("import ").removesuffix("-static") if "import" in does else FRONT
    raise AssertionError(f"nobody answers {path}")


def shown(text: str, service: str, cookie: str) -> str:
    """The Cookie header that reaches a service."""
    for pattern, instead in re.findall(r'header_up Cookie "(.+)" "(.+)"', block(text, f"({service})")):
        cookie = re.sub(pattern, instead, cookie)
    return cookie


def test_the_committed_file_is_what_the_table_makes() -> None:
    assert FILE.read_text() == TEXT


@pytest.mark.parametrize("host", Host)
@pytest.mark.parametrize("path", SAMPLES)
def test_every_path_goes_where_the_table_says(host: Host, path: str) -> None:
    expected = service_for(host, path)
    assert destination(TEXT, host, path) == (expected if expected in tree.names("app") else FRONT)


def test_a_whole_host_is_asked_after_the_paths_on_it() -> None:
    paths = (Mount(Host.CONSOLE, "/", "admin"), Mount(Host.CONSOLE, "/hook/", "wsfed"))
    text = caddyfile(paths, ["admin", "wsfed"])
    assert destination(text, Host.CONSOLE, "/hook/x") == "wsfed"
    assert destination(text, Host.CONSOLE, "/hooks") == "admin"
    assert destination(text, Host.CONSOLE, "/static/approval/x") == FRONT


def test_a_service_that_is_not_there_leads_nowhere() -> None:
    text = caddyfile(PATHS, ["wsfed"])
    assert destination(text, Host.SIGNIN, "/key/") == FRONT
    assert "approval" not in text


def test_whether_a_service_is_ready_is_not_for_the_public() -> None:
    for host in Host:
        assert destination(TEXT, host, "/readyz") == FRONT


def test_no_service_sees_the_cookies_of_another() -> None:
    cookies = {
        "wsfed": ("__Host-blok365-browser=b", "__Host-blok365-a-0123=s"),
        "approval": ("__Host-blok365-key=k",),
    }
    sent = "; ".join(["theme=dark", *cookies["wsfed"], *cookies["approval"], cookies["approval"][0]])
    for service in ("wsfed", "approval", "admin"):
        reaches = shown(TEXT, service, sent)
        assert reaches.startswith("theme=dark; ")
        for owner, own in cookies.items():
            for cookie in own:
                assert (cookie in reaches) is (owner == service), (service, cookie)


def test_caddy_knows_every_cookie_of_the_services() -> None:
    for service in tree.names("app"):
        source = "".join(path.read_text() for path in (ROOT / "services" / service).rglob("*.py"))
        for name in re.findall(r'HostCookie\("([^"]+)"\)', source):
            assert any(f"__Host-{name}=".startswith(known) for known in COOKIES.get(service, ())), (
                service,
                name,
            )


def test_replacements_are_not_empty_since_caddy_would_then_send_the_pattern() -> None:
    assert not re.search(r'header_up Cookie "[^"]*" ""', TEXT)


def test_the_compose_file_has_the_replicas_that_caddy_asks() -> None:
    services = re.findall(r"^  ([a-z0-9-]+):", (ROOT / "docker-compose.yml").read_text(), re.MULTILINE)
    for service in {mount.service for mount in PATHS} & set(tree.names("app")):
        ours = [name for name in services if re.fullmatch(rf"{service}(-[0-9]+)?", name) and name in services]
        assert set(upstreams(service)) <= set(ours)
        assert f"{service}-{len(upstreams(service)) + 1}" not in services
