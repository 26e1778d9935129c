"""The sign-in pages as text: words, escaping, forms, and nothing that the policy would have to allow."""

import dataclasses
import json
import re
from pathlib import Path
from string import Formatter

import pytest
from aiohttp import web
from aiohttp.test_utils import make_mocked_request
from bs4 import BeautifulSoup

from services.wsfed.domain.authentication import DeviceMethod, Method
from services.wsfed.domain.options import PageState
from services.wsfed.domain.own_page import ActKind, Outcome, VisitEnd
from services.wsfed.domain.trial import Check
from services.wsfed.pages import PACKAGE, SIGN_IN_CSP, SignInPages
from services.wsfed.pages.views import SignIn, TokenForm, initials
from shared.web.frame import NONCE, REQUEST_ID
from shared.web.headers import CSP, Csp
from tests.pages.samples import TOKEN, TXN, VIEWS, view

PAGES = SignInPages()
EVIL = "\"'><script>alert(1)</script>&amp;{{7*7}}"


def page(shown: SignIn, lang: str = "en") -> str:
    return PAGES.pages.text("signin.html", view=shown, lang=lang, nonce="N0nce")


def token(shown: TokenForm) -> str:
    return PAGES.pages.text("token.html", view=shown, lang="en", nonce="N0nce")


def soup(text: str) -> BeautifulSoup:
    return BeautifulSoup(text, "html.parser")


def test_both_languages_have_the_same_keys_and_the_same_values_in_them() -> None:
    en, fr = (json.loads((PACKAGE / "pages" / f"{lang}.json").read_text("utf-8")) for lang in ("en", "fr"))
    assert en.keys() == fr.keys()
    for key in en:
        names = [{name for _, name, _, _ in Formatter().parse(words[key]) if name} for words in (en, fr)]
        assert names[0] == names[1], key
        assert bool(en[key]) == bool(fr[key]), key


def test_no_words_are_left_unused() -> None:
    routes = [PACKAGE / "routes" / name for name in ("own_page.py", "trial.py")]
    files = [*(PACKAGE / "pages").glob("*.html"), *routes]
    used = "".join(file.read_text("utf-8") for file in files)
    for key in json.loads((PACKAGE / "pages" / "en.json").read_text("utf-8")):
        parts = key.split(".")
        assert key in used or (
            (parts[:2] == ["trial", "check"] and parts[2] in set(Check) and parts[3:] in ([], ["no"]))
            or (
                len(parts) == 3
                and (
                    _said(parts[1], parts[2], used)
                    if parts[0] == "signin"
                    else _said_of_own_page(parts[0], parts[1], parts[2], used)
                )
            )
        ), key


def _said_of_own_page(page: str, group: str, word: str, used: str) -> bool:
    """Whether templates build that key: me.{act}.{outcome}, or me.{group}.{word of the group}."""
    if page != "me":
        return False
    if group in set(ActKind):
        return word in set(Outcome)
    return f'"me.{group}."' in used and word in {*VisitEnd, *Method}


def _said(group: str, word: str, used: str) -> bool:
    """Whether templates build that key: signin.{state or method or group}.{word}."""
    built = f".{word}" in used or f'"signin.{group}."' in used or f"'signin.{group}.'" in used
    return built and (group in {*PageState, *DeviceMethod} or group == "problem")


@pytest.mark.parametrize("lang", ["en", "fr"])
@pytest.mark.parametrize("name", VIEWS)
def test_every_state_is_a_whole_page(name: str, lang: str) -> None:
    found = soup(page(VIEWS[name], lang))
    assert found.html is not None
    assert found.html["lang"] == lang
    assert len(found.find_all("h1")) == 1
    assert found.title is not None
    assert "Contoso Ltd" in (found.title.string or "")
    ids = [tag["id"] for tag in found.find_all(id=True)]
    assert len(ids) == len(set(ids))
    status = found.find(id="status")
    assert status is not None
    assert status["role"] == "status"
    assert not status.text  # empty from load, so that what comes into it is spoken


@pytest.mark.parametrize("name", VIEWS)
def test_nothing_inline_and_nothing_from_elsewhere(name: str) -> None:
    found = soup(page(VIEWS[name]))
    for tag in found.find_all(True):
        assert "style" not in tag.attrs
        assert not [attribute for attribute in tag.attrs if attribute.startswith("on")]
        for attribute in ("src", "href", "action"):
            value = str(tag.get(attribute, "/"))
            external = tag.name == "a" and value in (VIEWS[name].start_url, VIEWS[name].key_url)
            assert value.startswith(("/", "#")) or external, value
    assert not found.find_all("style")
    for script in found.find_all("script"):
        assert script["nonce"] == "N0nce"
        assert not script.text


def test_policy_of_the_pages_has_no_unsafe_inline() -> None:
    header = SIGN_IN_CSP.header("N0nce")
    assert "unsafe" not in header
    assert "require-trusted-types-for 'script'" in header
    assert "form-action 'self'" in header


@pytest.mark.parametrize("field", ["organisation", "application", "account"])
def test_script_in_what_is_shown_is_escaped(field: str) -> None:
    for name in VIEWS:
        text = page(dataclasses.replace(VIEWS[name], **{field: EVIL}))  # type: ignore[arg-type]
        assert "<script>alert" not in text
        assert "49" not in soup(text).text or "{{7*7}}" in soup(text).text


def test_script_in_the_typed_user_name_is_escaped() -> None:
    text = page(view(PageState.START, account=None, typed=EVIL))
    assert "<script>alert" not in text
    field = soup(text).find(id="username")
    assert field is not None
    assert field["value"] == EVIL


def test_script_in_wctx_is_escaped_and_comes_through_unchanged() -> None:
    wresult = '<t:RequestSecurityTokenResponse xmlns:t="x">é &amp; "q" \'a\'</t:RequestSecurityTokenResponse>'
    fields = (("wa", "wsignin1.0"), ("wresult", wresult), ("wctx", EVIL))
    text = token(dataclasses.replace(TOKEN, fields=fields))
    assert "<script>alert" not in text
    sent = [(tag["name"], tag["value"]) for tag in soup(text).select("#token input[type=hidden]")]
    assert sent == list(fields)


@pytest.mark.parametrize("action", ["http://login.example/", "javascript:alert(1)", "//evil.example", ""])
def test_token_goes_out_over_https_only(action: str) -> None:
    with pytest.raises(ValueError, match="https"):
        dataclasses.replace(TOKEN, action=action)


def policy_of(response: web.Response) -> Csp:
    policy = response[CSP]
    assert isinstance(policy, Csp)
    return policy


def test_only_the_token_page_may_post_elsewhere_and_its_one_form_goes_to_its_action() -> None:
    request = make_mocked_request("GET", "/")
    request[NONCE], request[REQUEST_ID] = "N0nce", "id"
    # Microsoft redirects on to applications after the post: docs/divergences.md
    assert policy_of(PAGES.token(request, TOKEN)).form_action is None
    evil = dataclasses.replace(TOKEN, fields=(("wctx", '"><form action="https://evil.example/">'),))
    for each in (TOKEN, evil):
        (form,) = soup(token(each)).find_all("form")
        assert form["action"] == TOKEN.action
    for shown in VIEWS.values():
        assert policy_of(PAGES.sign_in(request, shown)).form_action == ("'self'",)


def test_every_form_carries_the_token_against_forged_posts() -> None:
    for shown in VIEWS.values():
        for form in soup(page(shown)).find_all("form"):
            assert form["method"] == "post"
            assert str(form["action"]).startswith(f"/signin/{TXN}/")
            csrf = form.find("input", attrs={"name": "csrf"})
            assert csrf is not None
            assert csrf["value"] == shown.csrf


def test_code_in_the_page_is_plain_digits() -> None:
    code = soup(page(VIEWS["push-waiting"])).select_one("[data-code]")
    assert code is not None
    assert code.text == "482913"
    assert [group.text for group in code.find_all(class_="group")] == ["482", "913"]


@pytest.mark.parametrize(
    ("code", "groups"),
    [("482913", ("482", "913")), ("12345678", ("12", "34", "56", "78")), ("4829", ("48", "29"))],
)
def test_code_groups(code: str, groups: tuple[str, ...]) -> None:
    assert view(PageState.PUSH_WAITING, code=code).code_groups == groups


@pytest.mark.parametrize("name", VIEWS)
def test_weight_of_every_state(name: str) -> None:
    """Without compression: the page and every file that it names; the font besides; the page alone, the next time."""
    text = page(VIEWS[name])
    files = {*re.findall(r'(?:src|href)="/static/wsfed/\w+/([^"#]+)', text), "icons.svg"}
    fonts = {file for file in files if file.endswith(".woff2")}
    assert {"blok365.css", "signin.js", "inter-latin.woff2"} <= files
    sizes = {file: len(PAGES.pages.static.files[file]) for file in files}
    first = len(text.encode()) + sum(size for file, size in sizes.items() if file not in fonts)
    assert first <= 60_000
    assert first + sum(sizes[file] for file in fonts) <= 110_000
    assert len(text.encode()) <= 15_000


def test_the_ring_shows_how_much_of_the_time_is_left_without_script() -> None:
    for seconds, share in ((0, "0"), (30, "25"), (107, "89"), (500, "100")):
        left = soup(page(view(PageState.PUSH_WAITING, expires_in=seconds))).select_one(".ring .left")
        assert left is not None
        assert left["stroke-dasharray"] == f"{share} 100"


@pytest.mark.parametrize(
    ("name", "letters"),
    [
        ("Contoso Ltd", "CL"),
        ("contoso", "C"),
        ("The Contoso Group of Companies", "TC"),
        ("ada@contoso.example", "A"),
        ("Éditions Ñandú", "ÉÑ"),
        ("& Sons", "S"),
        ("<script>", ""),
        ("", ""),
    ],
)
def test_initials_of_organisations_and_people(name: str, letters: str) -> None:
    assert initials(name) == letters


def test_the_organisation_comes_first_and_our_mark_last() -> None:
    for shown in VIEWS.values():
        found = soup(page(shown))
        masthead, foot = found.select_one(".masthead"), found.select_one(".foot")
        assert masthead is not None
        assert foot is not None
        assert [part.text for part in masthead.select(".organisation > span")] == ["CL", "Contoso Ltd"]
        assert foot.text.endswith("Secured by Blok365")


def test_waiting_pages_refresh_by_themselves_without_script_and_others_never() -> None:
    for shown in VIEWS.values():
        refresh = re.search(r'<noscript><meta http-equiv="refresh" content="5"></noscript>', page(shown))
        assert bool(refresh) is (shown.options.live)


def test_neutral_refusal_says_the_one_sentence() -> None:
    sentence = "We can't sign you in this way. Try another way, or ask your administrator."
    assert sentence in soup(page(VIEWS["neutral"])).text


def test_expired_says_that_nothing_was_approved_and_offers_a_new_request() -> None:
    text = soup(page(VIEWS["expired"])).text
    assert "This request expired. Nothing was approved." in text
    assert "Send a new request" in text


@pytest.mark.parametrize(("shown", "words"), [(False, "Show a QR code"), (True, "Show a new code")])
def test_a_qr_code_is_called_new_only_where_one_was_shown(shown: bool, words: str) -> None:
    declined = view(PageState.DENIED, methods=(DeviceMethod.QR,))
    options = dataclasses.replace(declined.options, qr_shown=shown)
    button = soup(page(dataclasses.replace(declined, options=options))).select_one("form[action$=qr] .name")
    assert button is not None
    assert button.text == words


def test_field_error_is_in_title_summary_and_field() -> None:
    found = soup(page(VIEWS["account-problem"]))
    words = "Enter your user name in the form ada@contoso.example"
    assert found.title is not None
    assert (found.title.string or "").startswith("Error:")
    summary = found.select_one("#summary a")
    error = found.find(id="username-error")
    assert summary is not None
    assert error is not None
    assert (summary["href"], summary.text, error.text) == ("#username", words, words)


@pytest.mark.parametrize(
    "fields",
    [
        {"state": PageState.PUSH_WAITING, "code": ""},
        {"state": PageState.PUSH_WAITING, "code": "<b>1"},
        {"state": PageState.PUSH_WAITING, "code": "４８２９１３"},
        {"state": PageState.QR_WAITING, "qr": None},
        {"state": PageState.START, "methods": (DeviceMethod.PUSH, DeviceMethod.PUSH)},
    ],
)
def test_view_refuses_what_it_could_not_show(fields: dict[str, object]) -> None:
    with pytest.raises(ValueError, match=r"code|QR|twice"):
        view(**fields)  # type: ignore[arg-type]


def test_qr_outline_cannot_carry_markup() -> None:
    with pytest.raises(ValueError, match="outline"):
        dataclasses.replace(VIEWS["qr-waiting"].qr, path='"/><script>')  # type: ignore[type-var]


def test_browser_code_has_no_words_and_no_way_around_the_policy() -> None:
    for file in (Path(PACKAGE) / "static").glob("*.js"):
        code = file.read_text("utf-8")
        for banned in ("innerHTML", "insertAdjacentHTML", "document.write", "eval(", "localStorage"):
            assert banned not in code, (file.name, banned)
