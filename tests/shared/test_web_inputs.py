"""What clients send: parameters, JSON, addresses, cookies, CSRF, languages."""

from collections.abc import Sequence

import pytest
from aiohttp import web
from aiohttp.test_utils import make_mocked_request
from hypothesis import given
from hypothesis import strategies as st

from shared.addresses import ClientNetworks, networks
from shared.errors import BadInput, Forbidden
from shared.web import i18n
from shared.web.cookies import Csrf, HostCookie, check_same_origin
from shared.web.inputs import check_request, client_address, parse_parameters

ORIGIN = "https://id.example"


def request(path: str = "/", **headers: str) -> web.Request:
    return make_mocked_request("POST", path, headers={k.replace("_", "-"): v for k, v in headers.items()})


class Peer:
    """As much of a request as `client_address` reads."""

    def __init__(self, remote: str | None, forwarded: Sequence[str] = ()) -> None:
        self.remote = remote
        self.headers = request().headers.copy()
        for value in forwarded:
            self.headers.add("X-Forwarded-For", value)


def address(
    remote: str | None, *forwarded: str, trusted: Sequence[str] = ("10.0.0.0/8",), own: Sequence[str] = ()
) -> str:
    known = ClientNetworks(proxies=networks(trusted), own=networks(own))
    return client_address(Peer(remote, forwarded), known)  # type: ignore[arg-type]


def test_address_is_the_peer_without_a_proxy() -> None:
    assert address("203.0.113.9") == "203.0.113.9"


def test_forged_x_forwarded_for_from_a_stranger_is_ignored() -> None:
    assert address("203.0.113.9", "198.51.100.1") == "203.0.113.9"


def test_address_is_the_hop_that_the_trusted_proxy_added() -> None:
    assert address("10.0.0.2", "198.51.100.1") == "198.51.100.1"


def test_forged_entry_before_the_trusted_hop_is_ignored() -> None:
    assert address("10.0.0.2", "127.0.0.1, 10.9.9.9, 198.51.100.1") == "198.51.100.1"


def test_forged_header_line_before_the_proxys_own_is_ignored() -> None:
    assert address("10.0.0.2", "8.8.8.8", "198.51.100.1") == "198.51.100.1"


def test_chain_of_trusted_proxies_is_followed() -> None:
    assert address("10.0.0.2", "1.1.1.1, 198.51.100.1, 10.0.0.3") == "198.51.100.1"


@pytest.mark.parametrize("entry", ["<script>", "198.51.100.2:4711", "unknown", "_hidden", "198.51.100"])
def test_entry_that_is_no_address_ends_the_reading_and_nobody_is_known(entry: str) -> None:
    """Everybody would have the proxy's address, and be on one network with everybody else."""
    assert address("10.0.0.2", f"198.51.100.1, {entry}") == "unknown"


@pytest.mark.parametrize(
    "peer",
    ["10.1.2.3", "172.18.0.1", "192.168.1.1", "127.0.0.1", "169.254.0.1", "100.64.0.1", "fd00::1", "::1"],
)
def test_private_peer_is_a_proxy_that_was_not_named(peer: str) -> None:
    assert address(peer, trusted=()) == "unknown"
    assert address(peer, "198.51.100.1", trusted=()) == "unknown"


def test_unnamed_proxy_before_a_named_one_is_nobodys_address() -> None:
    assert address("10.0.0.2", "198.51.100.1, 192.168.7.7") == "unknown"
    assert address("10.0.0.2", "192.168.7.7") == "unknown"


def test_named_proxy_that_says_nothing_is_nobodys_address() -> None:
    assert address("10.0.0.2") == "unknown"
    assert address("203.0.113.2", trusted=["203.0.113.2/32"]) == "unknown"
    assert address("10.0.0.2", "10.0.0.3") == "unknown"


def test_private_address_in_an_own_network_is_a_clients() -> None:
    own = ["192.168.0.0/16", "127.0.0.0/8"]
    assert address("10.0.0.2", "192.168.7.7", own=own) == "192.168.7.7"
    assert address("192.168.7.7", own=own) == "192.168.7.7"
    assert address("127.0.0.1", "127.0.0.1", trusted=["127.0.0.1/32"], own=own) == "127.0.0.1"


def test_client_cannot_put_itself_into_an_own_network() -> None:
    assert address("203.0.113.9", "192.168.7.7", own=["192.168.0.0/16"]) == "203.0.113.9"
    assert address("10.0.0.2", "192.168.7.7, 203.0.113.9", own=["192.168.0.0/16"]) == "203.0.113.9"


def test_ipv6_and_mapped_addresses() -> None:
    assert address("::ffff:10.0.0.2", "[2001:db8::1]") == "2001:db8::1"
    assert address(None) == "unknown"


def test_parameters_keep_every_byte() -> None:
    wctx = "LoginOptions=3&estsredirect=2&x=<\">'\n\t é+%"
    assert parse_parameters("wa=wsignin1.0&wctx=" + _encode(wctx) + "&empty=") == {
        "wa": "wsignin1.0",
        "wctx": wctx,
        "empty": "",
    }


@given(st.text())
def test_any_text_comes_through_a_parameter_unchanged(text: str) -> None:
    assert parse_parameters("a=" + _encode(text)) == {"a": text}


def _encode(text: str) -> str:
    return "".join(f"%{octet:02X}" for octet in text.encode())


def test_doubled_parameter_is_refused() -> None:
    with pytest.raises(BadInput):
        parse_parameters("wa=wsignin1.0&wa=wsignout1.0")


@pytest.mark.parametrize("raw", ["a=%FF", "%C3=1", "a=%ED%A0%80", "a=%C0%AF"])
def test_invalid_utf8_is_refused(raw: str) -> None:
    with pytest.raises(BadInput):
        parse_parameters(raw)
    with pytest.raises(BadInput):
        check_request(request("/x?" + raw))


def test_too_many_parameters_are_refused() -> None:
    with pytest.raises(BadInput):
        parse_parameters("&".join(f"p{n}=1" for n in range(65)))
    assert len(parse_parameters("&".join(f"p{n}=1" for n in range(64)))) == 64


@pytest.mark.parametrize("path", ["/a%00b", "/a%0Ab", "/%FF", "/t/%C3%28"])
def test_path_with_control_characters_or_bad_utf8_is_refused(path: str) -> None:
    with pytest.raises(BadInput):
        check_request(request(path))


KEY = b"k" * 32


def test_csrf_token_is_bound_to_browser_and_purpose() -> None:
    csrf = Csrf(KEY, ORIGIN)
    token = csrf.token("browser-one", "txn-1")
    csrf.check(request(Sec_Fetch_Site="same-origin", Origin="null"), token, "browser-one", "txn-1")
    for cookie, purpose in (
        ("browser-two", "txn-1"),
        ("browser-one", "txn-2"),
        (None, "txn-1"),
        ("", "txn-1"),
    ):
        with pytest.raises(Forbidden):
            csrf.check(request(), token, cookie, purpose)
    for given_token in (None, "", token[:-1], token + "A", "é" * 43):
        with pytest.raises(Forbidden):
            csrf.check(request(), given_token, "browser-one", "txn-1")


def test_csrf_cookie_and_purpose_cannot_be_shifted_into_each_other() -> None:
    csrf = Csrf(KEY, ORIGIN)
    assert csrf.token("ab", "c") != csrf.token("a", "bc")


def test_csrf_key_must_be_long() -> None:
    with pytest.raises(ValueError, match="32 octets"):
        Csrf(b"short", ORIGIN)


@pytest.mark.parametrize(
    "headers",
    [
        {"Sec_Fetch_Site": "cross-site"},
        {"Sec_Fetch_Site": "same-site"},  # console.example posting to the sign-in host
        {"Sec_Fetch_Site": "same-origin", "Origin": "https://evil.example"},
        {"Origin": "https://evil.example"},
        {"Origin": "https://id.example.evil.example"},
        {"Origin": "http://id.example"},
    ],
)
def test_post_from_another_site_is_refused(headers: dict[str, str]) -> None:
    with pytest.raises(Forbidden):
        check_same_origin(request(**headers), ORIGIN)


@pytest.mark.parametrize(
    "headers",
    [{}, {"Origin": ORIGIN}, {"Sec_Fetch_Site": "same-origin", "Origin": ORIGIN}, {"Origin": "null"}],
)
def test_post_of_our_own_page_passes(headers: dict[str, str]) -> None:
    check_same_origin(request(**headers), ORIGIN)


def test_host_cookie_has_every_attribute() -> None:
    response = web.Response()
    HostCookie("browser").set(response, "abc", max_age=60)
    morsel = response.cookies["__Host-browser"]
    assert morsel["secure"]
    assert morsel["httponly"]
    assert (morsel["samesite"], morsel["path"], morsel["domain"]) == ("Lax", "/", "")


def test_host_cookie_refuses_what_could_break_the_header() -> None:
    for value in ("", "a;b", "a\r\nSet-Cookie: x=y", "a b", "é"):
        with pytest.raises(ValueError, match="URL-safe"):
            HostCookie("browser").set(web.Response(), value)
    assert HostCookie("browser").read(request(Cookie="__Host-browser=a%20b; browser=stray")) is None
    assert HostCookie("browser").read(request(Cookie="browser=stray; __Host-browser=right")) == "right"


@pytest.mark.parametrize(
    ("path", "accept", "expected"),
    [
        ("/?mkt=fr-CA", "en", "fr"),
        ("/?lc=1036", "en", "fr"),
        ("/?lc=3084", "en", "fr"),  # French (Canada)
        ("/?lc=1033", "fr", "en"),
        ("/?mkt=de-DE", "fr-FR,fr;q=0.9,en;q=0.1", "fr"),
        ("/", "de, en;q=0.2, fr;q=0.5", "fr"),
        ("/", "fr;q=0, de", "en"),
        ("/", "fr;q=nonsense", "en"),
        ("/?mkt=<script>&lc=99999999999", "", "en"),
    ],
)
def test_language_by_mkt_then_lc_then_browser(path: str, accept: str, expected: str) -> None:
    assert i18n.choose(request(path, Accept_Language=accept)) == expected
