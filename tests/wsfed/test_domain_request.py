"""Passive requests: every row of what Entra ID sends, and what somebody else might send."""

from dataclasses import replace
from datetime import timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from services.wsfed.domain.request import (
    SignInRequest,
    SignOutCleanupRequest,
    SignOutRequest,
    parse_sign_in,
    parse_sign_out,
)
from shared.clouds import CLOUDS, Cloud
from shared.errors import BadInput, Blok365Error, TooLarge

REALM = "urn:federation:MicrosoftOnline"
PASSWORD = "schemas.microsoft.com/ws/2008/06/identity/authenticationmethod/password"
MULTIPLE = "http://schemas.microsoft.com/claims/multipleauthn"
DEFAULT = "https://login.microsoftonline.com/login.srf"


WORLDWIDE = CLOUDS["worldwide"]


def parse(
    *pairs: tuple[str, str], cloud: Cloud = WORLDWIDE
) -> SignInRequest | SignOutRequest | SignOutCleanupRequest:
    """As the route does it: a sign-out is looked for first, whatever else there is."""
    return parse_sign_out(pairs, reply_urls=cloud.reply_urls) or parse_sign_in(pairs, cloud=cloud)


def sign_in(*pairs: tuple[str, str]) -> SignInRequest:
    request = parse(("wa", "wsignin1.0"), ("wtrealm", REALM), *pairs)
    assert isinstance(request, SignInRequest)
    return request


def refusal(*pairs: tuple[str, str]) -> Blok365Error:
    with pytest.raises((BadInput, TooLarge)) as caught:
        parse(*pairs)
    assert caught.value.detail
    assert caught.value.remedy
    return caught.value


def sign_in_refusal(*pairs: tuple[str, str]) -> Blok365Error:
    return refusal(("wa", "wsignin1.0"), ("wtrealm", REALM), *pairs)


def test_smallest_sign_in_goes_to_the_default_and_asks_for_nothing_special() -> None:
    request = sign_in()
    assert request == SignInRequest(wreply=DEFAULT, wtrealm=REALM)
    assert not request.fresh_required
    assert not request.mfa_wanted
    assert request.max_age is None


def test_request_as_entra_sends_it() -> None:
    request = sign_in(
        ("client-request-id", "5f8b6a3e-53b1-4a5c-9a0e-2d1f6f1b0a11"),
        ("username", "ada@contoso.example"),
        ("wctx", "LoginOptions=3&estsredirect=2&estsrequest=rQQIARAA"),
        ("cbcxt", ""),
        ("lc", ""),
        ("mkt", "nl-NL"),
        ("wct", "2026-11-21T20:49:00Z"),
        ("popupui", ""),
    )
    assert request.correlation == "5f8b6a3e-53b1-4a5c-9a0e-2d1f6f1b0a11"
    assert request.username == "ada@contoso.example"
    assert request.wctx == "LoginOptions=3&estsredirect=2&estsrequest=rQQIARAA"
    assert request.locale == "nl-NL"


@pytest.mark.parametrize("wa", ["", "wsignin1.0 ", "WSIGNIN1.0", "wattr1.0", "wsignin1.1"])
def test_rejects_unknown_wa(wa: str) -> None:
    assert refusal(("wa", wa), ("wtrealm", REALM)).code == "wa_unknown"


def test_rejects_missing_wa() -> None:
    assert refusal(("wtrealm", REALM)).code == "wa_unknown"


@pytest.mark.parametrize(
    "realm", ["", "urn:federation:microsoftonline", f"{REALM}/", f" {REALM}", "urn:federation:Other"]
)
def test_rejects_realm_confusion(realm: str) -> None:
    assert refusal(("wa", "wsignin1.0"), ("wtrealm", realm)).code == "wtrealm_unknown"


@pytest.mark.parametrize("wreply", WORLDWIDE.reply_urls)
def test_answers_every_allowed_reply_address(wreply: str) -> None:
    assert sign_in(("wreply", wreply)).wreply == wreply


@pytest.mark.parametrize(
    "wreply",
    [
        f"{DEFAULT}.evil.example",
        f"{DEFAULT}?x=1",
        f"{DEFAULT}/",
        f"{DEFAULT}#",
        f" {DEFAULT}",
        "https://login.microsoftonline.com.evil.example/login.srf",
        "https://login.microsoftonline.com@evil.example/login.srf",
        "https://login.microsoftonline.com:443/login.srf",
        "https://LOGIN.microsoftonline.com/login.srf",
        "https://login.microsoftonline.com/login.srf/../evil",
        "https://login.microsoftonline.com",
        "http://login.microsoftonline.com/login.srf",
        "//login.microsoftonline.com/login.srf",
        "javascript:alert(1)",
    ],
)
def test_rejects_open_redirect_by_wreply(wreply: str) -> None:
    assert sign_in_refusal(("wreply", wreply)).code == "wreply_not_allowed"


def test_allow_list_is_the_callers() -> None:
    only = replace(WORLDWIDE, reply_urls=("https://one.example/login",))
    pairs = [("wa", "wsignin1.0"), ("wtrealm", REALM)]
    assert parse_sign_in(pairs, cloud=only).wreply == "https://one.example/login"
    with pytest.raises(BadInput):
        parse_sign_in([*pairs, ("wreply", DEFAULT)], cloud=only)


@given(st.text(st.characters(exclude_categories=["Cc", "Cs"], exclude_characters="\ufffd"), max_size=500))
def test_wctx_comes_through_as_it_was(wctx: str) -> None:
    assert sign_in(("wctx", wctx)).wctx == wctx


def test_script_in_wctx_is_data() -> None:
    wctx = "\"><script>alert(1)</script>&#x27;'"
    assert sign_in(("wctx", wctx)).wctx == wctx


def test_absent_and_empty_wctx_are_different() -> None:
    assert sign_in().wctx is None
    assert sign_in(("wctx", "")).wctx == ""


def test_wctx_limit_counts_octets() -> None:
    assert sign_in(("wctx", "x" * 8192)).wctx == "x" * 8192
    assert sign_in_refusal(("wctx", "x" * 8193)).code == "wctx_too_long"
    assert sign_in_refusal(("wctx", "é" * 4097)).code == "wctx_too_long"


@pytest.mark.parametrize("name", ["wa", "wtrealm", "wreply", "wctx", "wfresh", "wauth", "username", "prompt"])
def test_rejects_doubled_parameter(name: str) -> None:
    values = {"wa": "wsignin1.0", "wtrealm": REALM, "wreply": DEFAULT, "wfresh": "0"}
    pairs = [("wa", "wsignin1.0"), ("wtrealm", REALM)]
    if name not in ("wa", "wtrealm"):
        pairs.append((name, values.get(name, "a")))
    assert refusal(*pairs, (name, values.get(name, "a"))).code == "parameter_repeated"


def test_unknown_parameters_are_ignored_even_when_doubled() -> None:
    assert sign_in(("whr", "a"), ("whr", "b"), ("cxhflow", "\x00"), ("WCTX", "x")) == sign_in()


@pytest.mark.parametrize(
    "bad", ["\x00", "\r\n", "\t", "\x1b", "\x7f", "\x85", chr(0xD800), chr(0xDCFF), "\ufffd"]
)
@pytest.mark.parametrize("name", ["wctx", "wreply", "wfresh", "wauth", "username", "login_hint", "mkt"])
def test_rejects_control_characters_and_broken_utf8(name: str, bad: str) -> None:
    assert sign_in_refusal((name, f"a{bad}b")).code == "parameter_garbled"


@pytest.mark.parametrize(
    ("wfresh", "fresh", "age"),
    [
        ("", False, None),
        ("0", True, timedelta(0)),
        ("00", True, timedelta(0)),
        ("60", False, timedelta(hours=1)),
    ],
)
def test_wfresh_is_minutes_and_zero_means_again(wfresh: str, fresh: bool, age: timedelta | None) -> None:
    request = sign_in(("wfresh", wfresh))
    assert (request.fresh_required, request.max_age) == (fresh, age)


@pytest.mark.parametrize("name", ["wfresh", "mfa_max_age"])
@pytest.mark.parametrize("value", ["-1", "+1", "1.5", "x", " 1", "1e3", "٣", "1" * 10])
def test_rejects_numbers_that_are_none(name: str, value: str) -> None:
    assert sign_in_refusal((name, value)).code == "parameter_invalid"


@pytest.mark.parametrize("scheme", ["http", "https"])
def test_wauth_password_means_authenticate_again(scheme: str) -> None:
    request = sign_in(("wauth", f"{scheme}://{PASSWORD}"))
    assert request.fresh_required
    assert not request.mfa_wanted


def test_wauth_multipleauthn_means_mfa() -> None:
    request = sign_in(("wauth", MULTIPLE), ("mfa_max_age", "43200"))
    assert request.mfa_wanted
    assert not request.fresh_required
    assert request.mfa_max_age == timedelta(hours=12)


@pytest.mark.parametrize("separator", [" ", ",", ", "])
def test_wauth_may_hold_several_methods(separator: str) -> None:
    request = sign_in(("wauth", separator.join(["urn:other", MULTIPLE, f"http://{PASSWORD}"])))
    assert request.mfa_wanted
    assert request.fresh_required


def test_unknown_wauth_asks_for_nothing() -> None:
    request = sign_in(("wauth", f"{MULTIPLE}x http://evil.example/{PASSWORD}"))
    assert not request.mfa_wanted
    assert not request.fresh_required


@pytest.mark.parametrize(
    ("prompt", "fresh"), [("login", True), ("login consent", True), ("none", False), ("", False)]
)
def test_prompt_login_means_authenticate_again(prompt: str, fresh: bool) -> None:
    assert sign_in(("prompt", prompt)).fresh_required is fresh


def test_username_wins_over_login_hint_unless_empty() -> None:
    assert sign_in(("username", "a@x.example"), ("login_hint", "b@x.example")).username == "a@x.example"
    assert sign_in(("username", "  "), ("login_hint", " b@x.example ")).username == "b@x.example"
    assert sign_in(("username", "")).username is None


def test_username_loses_what_cannot_be_seen() -> None:
    assert sign_in(("username", "\u202eada\u200b@contoso.example\ufeff")).username == "ada@contoso.example"


def test_username_that_is_too_long_is_dropped() -> None:
    assert sign_in(("username", "a" * 320)).username == "a" * 320
    assert sign_in(("username", "a" * 321)).username is None


@pytest.mark.parametrize(
    ("mkt", "lc", "locale"),
    [
        ("de-DE", "", "de-DE"),
        ("", "fr", "fr"),
        ("zh-Hans-CN", "en", "zh-Hans-CN"),
        ("../../etc", "1033", "1033"),
        ("", "1036", "1036"),
        ("", "103600", None),
        ("en_US", "", None),
    ],
)
def test_locale_comes_from_mkt_then_lc(mkt: str, lc: str, locale: str | None) -> None:
    assert sign_in(("mkt", mkt), ("lc", lc)).locale == locale


@pytest.mark.parametrize("value", ["", "a b", "x" * 65, "<b>", "a/b"])
def test_odd_client_request_id_is_not_kept_for_the_log(value: str) -> None:
    assert sign_in(("client-request-id", value)).correlation is None


def test_rejects_too_many_parameters() -> None:
    assert sign_in_refusal(*[("x", "")] * 63).code == "too_many_parameters"
    assert sign_in(*[("x", "")] * 62) == sign_in()


def test_rejects_oversized_input() -> None:
    assert sign_in_refusal(("unknown", "x" * 40_000)).code == "parameters_too_long"
    assert sign_in_refusal(("username", "x" * 2049)).code == "parameters_too_long"
    assert sign_in_refusal(("wauth", "é" * 1025)).status == 413


def test_sign_out_follows_only_an_allowed_address() -> None:
    assert parse(("wa", "wsignout1.0"), ("wreply", DEFAULT)) == SignOutRequest(wreply=DEFAULT)


@pytest.mark.parametrize("wreply", ["https://evil.example/", f"{DEFAULT}.evil.example", ""])
def test_sign_out_happens_without_redirect_when_the_address_is_foreign(wreply: str) -> None:
    assert parse(("wa", "wsignout1.0"), ("wreply", wreply)) == SignOutRequest(wreply=None)


def test_cleanup_never_redirects() -> None:
    request = parse(("wa", "wsignoutcleanup1.0"), ("wreply", "https://evil.example/"))
    assert request == SignOutCleanupRequest()


UNREADABLE = {
    "wreply of three kilobytes": [("wreply", "https://login.microsoftonline.com/" + "x" * 3000)],
    "wreply twice": [("wreply", DEFAULT), ("wreply", DEFAULT)],
    "wctx twice": [("wctx", "a"), ("wctx", "b")],
    "wctx with a line feed": [("wctx", "a\nb")],
    "wreply that is not UTF-8": [("wreply", "https://login.microsoftonline.com/\ufffd")],
    "seventy parameters": [(f"x{i}", "1") for i in range(70)],
    "login_hint of three kilobytes": [("login_hint", "x" * 3000)],
    "wfresh no number": [("wfresh", "soon")],
    "another realm": [("wtrealm", "urn:federation:Evil")],
    "wa twice": [("wa", "wsignout1.0")],
    "another wa": [("wa", "wsignin1.0")],
    "client-request-id twice": [("client-request-id", "a"), ("client-request-id", "b")],
}


@pytest.mark.parametrize("wa", ["wsignout1.0", "wsignoutcleanup1.0"])
@pytest.mark.parametrize("more", UNREADABLE.values(), ids=UNREADABLE)
def test_sign_out_is_one_whatever_else_the_request_holds(more: list[tuple[str, str]], wa: str) -> None:
    for pairs in ([("wa", wa), *more], [*more, ("wa", wa)]):
        request = parse(*pairs)
        assert isinstance(request, SignOutRequest | SignOutCleanupRequest)
        assert getattr(request, "wreply", None) is None


@pytest.mark.parametrize("name", CLOUDS)
def test_each_cloud_has_its_own_realm_and_addresses(name: str) -> None:
    cloud = next(each for key, each in CLOUDS.items() if key == name)
    request = parse(("wa", "wsignin1.0"), ("wtrealm", cloud.realm), cloud=cloud)
    assert isinstance(request, SignInRequest)
    assert (request.wtrealm, request.wreply) == (cloud.realm, cloud.reply_urls[0])
    assert parse(("wa", "wsignout1.0"), ("wreply", cloud.reply_urls[0]), cloud=cloud) == SignOutRequest(
        wreply=cloud.reply_urls[0]
    )
    for other in CLOUDS.values():
        if other is cloud:
            continue
        with pytest.raises(BadInput):
            parse(
                ("wa", "wsignin1.0"), ("wtrealm", cloud.realm), ("wreply", other.reply_urls[0]), cloud=cloud
            )
        left = parse(("wa", "wsignout1.0"), ("wreply", other.reply_urls[0]), cloud=cloud)
        assert left == SignOutRequest(wreply=None)
        if other.realm != cloud.realm:
            with pytest.raises(BadInput):
                parse(("wa", "wsignin1.0"), ("wtrealm", other.realm), cloud=cloud)


@pytest.mark.parametrize(
    "hint",
    ["contoso.example", "CONTOSO\\ada", "ada", "ada@", "@contoso.example", "a@b@c", "ada @contoso.example"],
)
def test_hint_that_is_no_user_name_names_nobody(hint: str) -> None:
    assert sign_in(("username", hint)).user_name == ""


def test_hint_that_is_a_user_name_names_the_account_in_lower_case() -> None:
    assert sign_in(("username", "Ada@Contoso.Example")).user_name == "ada@contoso.example"


@given(
    st.lists(
        st.tuples(
            st.sampled_from(["wa", "wtrealm", "wreply", "wctx", "wfresh", "wauth", "username", "mkt", "x"])
            | st.text(max_size=8),
            st.sampled_from(["wsignin1.0", "wsignout1.0", REALM, DEFAULT, "0"])
            | st.text(st.characters(), max_size=30),
        ),
        max_size=8,
    )
)
def test_any_input_gives_a_request_or_an_error_of_ours(pairs: list[tuple[str, str]]) -> None:
    try:
        request = parse(*pairs)
    except (BadInput, TooLarge):
        return
    if isinstance(request, SignInRequest):
        assert request.wreply in WORLDWIDE.reply_urls
    if isinstance(request, SignOutRequest):
        assert request.wreply is None or request.wreply in WORLDWIDE.reply_urls
