"""Paths, headers, static files and the pages that every service shares."""

from pathlib import Path

import pytest
from pydantic import ValidationError

from shared.services import Host
from shared.settings import Settings, invalid_settings
from shared.web import i18n
from shared.web.frame import unbroken
from shared.web.headers import Csp, HeaderPolicy
from shared.web.paths import Origins, Own, destination
from shared.web.static import StaticFiles

LOCAL = Origins(
    signin="http://id.localhost:8365",
    console="http://console.localhost:8365",
    kiosk="http://kiosk.localhost:8365",
)


@pytest.mark.parametrize(
    ("host", "path", "answers"),
    [
        (Host.SIGNIN, "/t/contoso/FederationMetadata/2007-06/FederationMetadata.xml", "wsfed"),
        (Host.SIGNIN, "/signin/abc/events", "wsfed"),
        (Host.SIGNIN, "/key", Own.LEAD),
        (Host.SIGNIN, "/key/", Own.LEAD),
        (Host.SIGNIN, "/key/api/requests", Own.LEAD),
        (Host.SIGNIN, "/keys", Own.NOTHING),
        (Host.SIGNIN, "/me/", Own.NOTHING),
        (Host.SIGNIN, "/push/key", Own.NOTHING),
        (Host.SIGNIN, "/", Own.NOTHING),
        (Host.SIGNIN, "/go/phone", Own.NOTHING),
        (Host.SIGNIN, "/api/challenges", Own.NOTHING),  # the phone's API is on its own host
        (Host.SIGNIN, "/static/wsfed/0/x.js", Own.STATIC),
        (Host.PHONE, "/", Own.PAGE),
        (Host.PHONE, "/sw.js", Own.PAGE),
        (Host.PHONE, "/api/requests", "approval"),
        (Host.PHONE, "/api", Own.NOTHING),
        (Host.PHONE, "/t/contoso/wsfed", Own.NOTHING),
        (Host.PHONE, "/key/", Own.NOTHING),
        (Host.CONSOLE, "/", "admin"),
        (Host.CONSOLE, "/t/contoso/people", "admin"),
        (Host.CONSOLE, "/static/admin/0/x.js", Own.STATIC),
        (Host.CONSOLE, "/go/front", Own.LEAD),
        (Host.CONSOLE, "/healthz", Own.HEALTH),
        (Host.KIOSK, "/", Own.PAGE),
        (Host.KIOSK, "/static/approval/0/x.js", Own.STATIC),
        (Host.FRONT, "/", Own.PAGE),
        (Host.FRONT, "/readyz", Own.HEALTH),
        (Host.FRONT, "/go/microsoft-365", Own.LEAD),
        (Host.FRONT, "/api/requests", Own.NOTHING),
    ],
)
def test_table_of_hosts_and_paths(host: Host, path: str, answers: str) -> None:
    assert destination(host, path) == answers


def test_host_header_decides_the_kind_of_host() -> None:
    assert LOCAL.host_of("id.localhost:8365") is Host.SIGNIN
    assert LOCAL.host_of("Console.LOCALHOST:8365") is Host.CONSOLE
    assert LOCAL.host_of("id.localhost:8365.evil.example") is None
    for this_machine in ("localhost", "localhost:8365", "LOCALHOST:1", "127.0.0.1", "127.0.0.1:8365"):
        assert LOCAL.host_of(this_machine) is Host.FRONT
    for other in (
        "localhost.",
        "localhost.evil.example",
        "127.0.0.1.evil.example",
        "localhost:x",
        "localhost:",
        "127.0.0.2",
        "",
    ):
        assert LOCAL.host_of(other) is None
    public = Origins(signin="https://id.example", console="https://c.example", kiosk="https://k.example")
    assert public.host_of("id.example:443") is Host.SIGNIN
    assert public.host_of("key.id.example") is Host.PHONE
    assert public.phone == "https://key.id.example"
    assert LOCAL.phone == "http://key.id.localhost:8365"


@pytest.mark.parametrize(
    ("signin", "says"),
    [
        ("id.example", "scheme://host"),
        ("https://id.example/", "nothing more"),
        ("https://id.example?x", "nothing more"),
        ("ftp://id.localhost", "scheme://host"),
        ("https://", "scheme://host"),
        ("https://ada@id.example", "no user"),
        ("https://Id.Example", "small"),
        ("https://id.example.", "no dot at the end"),
        ("https://bücher.example", "ASCII"),
        ("https://id.example:443", "leave it out"),
        ("http://id.localhost:80", "leave it out"),
        ("https://id.example:99999", "[Pp]ort"),
        ("http://id.example", "https everywhere but on localhost"),
        ("http://localhost:8365", r"such as id\.localhost"),
        ("https://intranet", r"such as id\.intranet"),
        ("https://192.0.2.1", "no address"),
        ("https://[2001:db8::1]", "no address"),
        ("http://127.0.0.1:8365", "no address"),
        (f"https://{'.'.join(['a' * 61] * 4)}.example", "must fit"),
        ("https://c.example", "host of its own"),
        ("https://example", "such as"),
    ],
)
def test_refuses_a_sign_in_origin_that_cannot_work(signin: str, says: str) -> None:
    with pytest.raises(ValueError, match=says):
        Origins(signin=signin, console="https://c.example", kiosk="https://k.example")
    with pytest.raises(ValidationError, match=says):
        Settings(origin=signin, console_origin="https://c.example", kiosk_origin="https://k.example")


@pytest.mark.parametrize(
    ("console", "kiosk"),
    [
        ("https://id.example", "https://k.example"),
        ("https://id.example:8443", "https://k.example"),  # cookies and the rp_id heed no port
        ("https://console.id.example", "https://k.example"),
        ("https://c.example", "https://key.id.example"),
        ("https://c.example", "https://c.example:8443"),
        ("https://c.example", "http://localhost:8365"),
        ("https://c.example", "http://k.example"),
    ],
)
def test_console_and_kiosk_have_hosts_of_their_own_outside_the_sign_in_host(console: str, kiosk: str) -> None:
    with pytest.raises(ValueError, match=r"host|https"):
        Origins(signin="https://id.example", console=console, kiosk=kiosk)


def test_hosts_above_and_beside_the_sign_in_host_are_outside_it() -> None:
    beside = Origins("https://id.bank.example", "https://bank.example", "https://xid.bank.example")
    assert beside.phone == "https://key.id.bank.example"


@pytest.mark.parametrize("origin", ["https://id.example", "http://id.localhost:8365", "id.example"])
def test_a_native_app_is_no_page(origin: str) -> None:
    with pytest.raises(ValidationError, match="native app"):
        Settings(native_origins=(origin,))
    app = "android:apk-key-hash:AAAA"
    assert Settings(native_origins=(app,)).approval_origins == ("http://key.id.localhost:8365", app)


def test_what_is_wrong_with_hosts_together_is_one_line() -> None:
    with pytest.raises(ValidationError) as refused:
        Settings(origin="https://id.example", console_origin="https://c.id.example")
    assert invalid_settings(refused.value).startswith("BLOK365: the console needs a host of its own")


def test_csp_has_a_nonce_and_nothing_inline() -> None:
    header = Csp().header("N0nce")
    assert "script-src 'nonce-N0nce';" in header
    assert "unsafe-inline" not in header
    assert "unsafe-eval" not in header
    for part in ("default-src 'none'", "frame-ancestors 'none'", "base-uri 'none'", "form-action 'self'"):
        assert part in header.split("; ")
    assert "http" not in header


@pytest.mark.parametrize("source", ["'unsafe-inline'", "https://a.example; script-src *", "a b", "a,b"])
def test_csp_refuses_what_would_open_it(source: str) -> None:
    with pytest.raises(ValueError, match="content security policy"):
        Csp(form_action=(source,))


def test_only_granted_features_are_allowed_and_hsts_only_on_https() -> None:
    headers: dict[str, str] = {"Cache-Control": "public"}
    HeaderPolicy(https=True, features=("camera",)).apply(headers, "csp")
    assert "camera=(self)" in headers["Permissions-Policy"]
    assert "microphone=()" in headers["Permissions-Policy"]
    assert headers["Strict-Transport-Security"].startswith("max-age=31536000")
    assert headers["Cache-Control"] == "public"
    plain: dict[str, str] = {}
    HeaderPolicy(https=False).apply(plain, "csp")
    assert "Strict-Transport-Security" not in plain
    assert plain["Cache-Control"] == "no-store"
    assert plain["Referrer-Policy"] == "no-referrer"


def test_static_hash_changes_with_content_and_unknown_types_are_refused(tmp_path: Path) -> None:
    (tmp_path / "a.js").write_text("1")
    one = StaticFiles("s", [tmp_path])
    (tmp_path / "a.js").write_text("2")
    assert StaticFiles("s", [tmp_path]).hash != one.hash
    assert one.url("a.js") == f"/static/s/{one.hash}/a.js"
    with pytest.raises(ValueError, match="no static file"):
        one.url("b.js")
    (tmp_path / "a.exe").write_text("")
    with pytest.raises(ValueError, match="content type"):
        StaticFiles("s", [tmp_path])


def test_languages_must_have_the_same_keys(tmp_path: Path) -> None:
    (tmp_path / "en.json").write_text('{"a": "A", "b": "B"}')
    (tmp_path / "fr.json").write_text('{"a": "A"}')
    with pytest.raises(ValueError, match="differ"):
        i18n.load([tmp_path])


def test_sign_in_stays_on_one_line_in_text_and_is_left_alone_in_titles_and_attributes() -> None:
    page = '<title>Sign-in</title><p aria-label="your sign-in">Sign-in, your sign-ins, the sign-in page</p>'
    assert unbroken(page) == (
        '<title>Sign-in</title><p aria-label="your sign-in"><span class="nowrap">Sign-in</span>, your '
        '<span class="nowrap">sign-ins</span>, the <span class="nowrap">sign-in</span> page</p>'
    )


def test_what_a_form_carries_comes_through_as_it_was() -> None:
    page = '<input type="hidden" name="wctx" value="a &gt; sign-in &lt;b&gt; sign-in">'
    assert unbroken(page) == page
