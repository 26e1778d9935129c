"""wsfed's addresses as browsers meet them: cookies, forms, headers, languages, the live stream."""

import asyncio
import base64
import html
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import pytest

from tests.flows.support import ADA, LOGIN, Flow, SignIn, assert_no_token, known_browser, token_form
from tests.wsfed.raw_http import FORM, WSFED, ask, assert_safe, request

EVIL = "\"'<>&<script>alert(1)</script>&amp;&#39;</textarea>+%20 \u00e9\u2028"


# --- step 1 ----------------------------------------------------------------------------------------------------


async def test_browser_cookie_cannot_be_read_by_scripts_or_set_by_neighbours(flow: Flow) -> None:
    answer = await ask(flow, request())
    name, _, rest = answer.header("set-cookie").partition("=")
    value, *attributes = rest.split("; ")
    assert name.startswith("__Host-")
    assert len(value) >= 43
    assert {a.lower() for a in attributes} == {"path=/", "secure", "httponly", "samesite=lax"}


async def test_known_browser_keeps_its_cookie(flow: Flow) -> None:
    sign_in = await flow.begin()
    before = dict(sign_in.browser.cookies)
    await flow.begin(browser=sign_in.browser)
    assert sign_in.browser.cookies == before


@pytest.mark.parametrize("value", ["", "x" * 5000, "a,b", "é", "<script>", "../x", "a:b"])
async def test_malformed_cookie_counts_as_none(flow: Flow, value: str) -> None:
    answer = await ask(flow, request(), lines=(f"Cookie: __Host-blok365-browser={value}",))
    assert_safe(answer)
    if answer.status == 303:
        fresh = answer.header("set-cookie").partition("=")[2].partition(";")[0]
        assert fresh != value
        assert len(fresh) >= 43


async def test_post_of_entras_request_becomes_a_get_of_ours(flow: Flow) -> None:
    """A POST from another site carries no Lax cookies; a redirect to our own GET does."""
    body = request().partition("?")[2].encode()
    lines = (
        f"Content-Type: {FORM}",
        "Origin: https://login.microsoftonline.com",
        "Sec-Fetch-Site: cross-site",
    )
    answer = await ask(flow, WSFED, method="POST", body=body, lines=lines)
    assert answer.status == 303
    assert_safe(answer)
    address = flow.origin + answer.header("location")
    first, second = await flow.browser(), await flow.browser()
    page = await first.get(address)
    assert page.status == 200
    assert ADA in page.words()
    # it belongs to the browser that opened it, for good
    assert (await second.get(address)).status == 404
    assert (await first.get(address)).status == 200
    assert "/push" in "".join(form.action for form in page.forms())


async def test_posted_request_that_nobody_opened_answers_nobody(flow: Flow) -> None:
    body = request().partition("?")[2].encode()
    answer = await ask(flow, WSFED, method="POST", body=body, lines=(f"Content-Type: {FORM}",))
    location = answer.header("location")
    for ending in ("/state", "/events"):
        assert (await ask(flow, location + ending)).status == 404
    for ending in ("/push", "/qr", "/token", "/account"):
        posted = await ask(
            flow, location + ending, method="POST", body=b"csrf=x", lines=(f"Content-Type: {FORM}",)
        )
        assert posted.status == 404


async def test_two_browsers_race_for_a_posted_request_and_one_gets_it(flow: Flow) -> None:
    body = request().partition("?")[2].encode()
    answer = await ask(flow, WSFED, method="POST", body=body, lines=(f"Content-Type: {FORM}",))
    browsers = [await flow.browser() for _ in range(8)]
    address = flow.origin + answer.header("location")
    pages = await asyncio.gather(*(browser.get(address) for browser in browsers))
    assert sorted(page.status for page in pages) == [200] + [404] * 7


# --- forms -----------------------------------------------------------------------------------------------------


async def posted(sign_in: SignIn, action: str, csrf: str | None, *lines: str) -> int:
    """The status of a post from the right browser with that token and those headers."""
    cookies = "; ".join(f"{name}={value}" for name, value in sign_in.browser.cookies.items())
    body = b"" if csrf is None else f"csrf={csrf}".encode()
    target = f"/signin/{sign_in.id}/{action}"
    head = (f"Cookie: {cookies}", f"Content-Type: {FORM}", *lines)
    answer = await ask(sign_in.flow, target, method="POST", body=body, lines=head)
    assert_safe(answer)
    return answer.status


@pytest.mark.parametrize("action", ["push", "qr", "account", "token"])
async def test_post_without_our_own_pages_token_does_nothing(flow: Flow, action: str) -> None:
    phone = await flow.phone()
    sign_in, other = await flow.begin(), await flow.begin()
    same_browser = await flow.begin(browser=sign_in.browser)
    if action == "token":
        await phone.approve(await sign_in.push())
    before = sign_in.stored
    for csrf in (None, "", "x", "é", other.csrf, same_browser.csrf, sign_in.csrf[:-1], sign_in.csrf + "A"):
        assert await posted(sign_in, action, csrf) == 403, csrf
    assert sign_in.stored == before
    assert flow.issuances() == []
    if action != "token":
        await assert_no_token(sign_in)


FOREIGN = [
    ("Origin: https://evil.example",),
    ("Origin: http://id.localhost:8365.evil.example",),
    ("Origin: https://id.localhost:8365",),
    ("Origin: http://localhost",),
    ("Origin: http://console.localhost:8365",),
    ("Sec-Fetch-Site: cross-site",),
    ("Sec-Fetch-Site: same-site",),
    ("Sec-Fetch-Site: cross-site", "Origin: http://id.localhost:8365"),
    ("Sec-Fetch-Site: same-origin", "Origin: https://evil.example"),
]


@pytest.mark.parametrize("lines", FOREIGN, ids=" ".join)
async def test_post_from_a_foreign_page_does_nothing(flow: Flow, lines: tuple[str, ...]) -> None:
    """Even with the right token: a page that leaked it must still not be usable from elsewhere."""
    sign_in = await flow.begin()
    assert await posted(sign_in, "push", sign_in.csrf, *lines) == 403
    assert sign_in.stored["state"] == "started"


@pytest.mark.parametrize(
    "lines",
    [(), ("Sec-Fetch-Site: same-origin", "Origin: http://id.localhost:8365"),
     ("Sec-Fetch-Site: same-origin", "Origin: null")],
)  # fmt: skip
async def test_control_a_post_from_our_own_page_is_taken(flow: Flow, lines: tuple[str, ...]) -> None:
    sign_in = await flow.begin()
    assert await posted(sign_in, "push", sign_in.csrf, *lines) == 303
    assert sign_in.stored["state"] == "waiting"


async def test_doubled_or_garbled_form_fields_are_refused(flow: Flow) -> None:
    sign_in = await flow.begin()
    assert await posted(sign_in, "push", f"{sign_in.csrf}&csrf={sign_in.csrf}") == 400
    assert await posted(sign_in, "push", f"{sign_in.csrf}&x=%FF") == 400
    assert await posted(sign_in, "push", sign_in.csrf + "&x=" + "y" * 100_000) == 413
    assert sign_in.stored["state"] == "started"


@pytest.mark.parametrize(
    "typed",
    ["", " ", "ada", "@contoso.example", "ada@", "a@b@c", "ada @contoso.example", "<script>alert(1)</script>",
     "a" * 5000 + "@contoso.example", "ada@contoso.example\u202e", "ada\n@contoso.example"],
)  # fmt: skip
async def test_user_name_that_is_none_is_asked_for_again(flow: Flow, typed: str) -> None:
    sign_in = await flow.begin("")
    page = await sign_in.post("account", username=typed)
    assert page.status in (200, 400, 413)
    assert "<script>alert" not in page.text
    assert sign_in.stored["hint"] == ""


async def test_typed_user_name_is_escaped_and_kept_in_the_field(flow: Flow) -> None:
    sign_in = await flow.begin("")
    page = await sign_in.post("account", username="ada'\"<b>&")
    assert "<b>" not in page.text
    assert html.escape("ada'\"<b>&").replace("&#x27;", "&#39;").replace("&quot;", "&#34;") in page.text


async def test_script_in_the_hint_is_text(flow: Flow) -> None:
    sign_in = await flow.begin("<script>alert(1)</script>@contoso.example")
    page = await sign_in.page()
    assert "<script>alert(1)" not in page.text
    assert "<script>alert(1)" in page.words()


# --- the token page --------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "wctx",
    [EVIL, "x", base64.b64encode(bytes(range(256)) * 6).decode(), "a=b&wresult=evil&wa=other", " lead and trail ",
     "x" * 8192],
    ids=["quotes and tags", "short", "2 KB of base64", "parameters", "spaces", "8 KB"],
)  # fmt: skip
async def test_wctx_comes_back_byte_for_byte(flow: Flow, wctx: str) -> None:
    phone = await flow.phone()
    sign_in = await flow.begin(wctx=wctx)
    await phone.approve(await sign_in.push())
    page = await sign_in.token()
    form = token_form(page)
    assert form.fields["wctx"] == wctx
    assert list(form.fields) == ["wa", "wresult", "wctx"]
    assert form.fields["wa"] == "wsignin1.0"
    assert "<script>alert(1)" not in page.text
    await flow.entra.verify(form, sign_in.pending)


@pytest.mark.parametrize("wctx", [None, ""])
async def test_no_wctx_gives_none_back_or_an_empty_one(flow: Flow, wctx: str | None) -> None:
    phone = await flow.phone()
    browser = await flow.browser()
    page = await browser.get(flow.origin + request(wctx=wctx))
    page = await browser.submit(page.form("/push"))
    await phone.approve(page.code())
    page = await browser.get(page.url)
    form = token_form(await browser.submit(page.form("/token")))
    assert form.fields.get("wctx", "") == ""


@pytest.mark.parametrize("wreply", [LOGIN, "https://ccs.login.microsoftonline.com/ccs/login.srf"])
async def test_token_page_may_post_to_microsoft_and_nowhere_else(flow: Flow, wreply: str) -> None:
    phone = await flow.phone()
    sign_in = await flow.begin(wreply=wreply)
    await phone.approve(await sign_in.push())
    page = await sign_in.token()
    assert token_form(page).action == wreply
    # No limit by the policy, which would meet the redirects that follow (docs/divergences.md): what the page holds is
    # the limit. One form, and nothing that could turn it elsewhere.
    assert "form-action" not in page.headers["Content-Security-Policy"]
    assert "base-uri 'none'" in page.headers["Content-Security-Policy"]
    (form,) = page.forms()
    assert form.action == wreply
    assert "formaction" not in page.text
    assert page.headers["Cache-Control"] == "no-store"
    # every other page posts to ourselves only
    other = (await (await flow.begin("")).page()).headers["Content-Security-Policy"]
    assert "form-action 'self'" in other


async def test_every_page_of_a_sign_in_has_the_security_headers(flow: Flow) -> None:
    sign_in = await flow.begin()
    cookies = "; ".join(f"{name}={value}" for name, value in sign_in.browser.cookies.items())
    for target in (f"/signin/{sign_in.id}", f"/signin/{sign_in.id}/state", request(), "/signin/none", "/t/none/wsfed",
                   "/t/contoso/contoso.example/mex", "/signin/finished"):  # fmt: skip
        assert_safe(await ask(flow, target, lines=(f"Cookie: {cookies}",)))


async def test_pages_load_nothing_from_elsewhere_and_carry_no_inline_handler(flow: Flow) -> None:
    sign_in = await flow.begin()
    await sign_in.push()
    text = (await sign_in.page()).text
    assert " onclick" not in text
    assert " style=" not in text
    for address in text.split('src="')[1:] + text.split('<link rel="stylesheet" href="')[1:]:
        assert address.startswith("/static/")
    assert text.count("<script") == text.count("nonce=")


# --- step 9 ----------------------------------------------------------------------------------------------------


@asynccontextmanager
async def stream(sign_in: SignIn) -> AsyncIterator[asyncio.StreamReader]:
    """The live stream, its head read."""
    reader, writer = await asyncio.open_unix_connection(str(sign_in.flow.socket))
    cookies = "; ".join(f"{name}={value}" for name, value in sign_in.browser.cookies.items())
    head = f"GET /signin/{sign_in.id}/events HTTP/1.0\r\nHost: id.localhost:8365\r\nCookie: {cookies}\r\n\r\n"
    writer.write(head.encode())
    try:
        top = await reader.readuntil(b"\r\n\r\n")
        assert b"text/event-stream" in top
        assert b"no-store" in top
        yield reader
    finally:
        writer.close()


async def event(reader: asyncio.StreamReader) -> dict[str, object]:
    """The next event's data; comments and the retry line are passed over."""
    async with asyncio.timeout(20):
        while True:
            block = (await reader.readuntil(b"\n\n")).decode()
            if block.startswith("event: state"):
                return dict(json.loads(block.partition("data: ")[2]))


async def test_stream_says_the_state_and_then_proved(flow: Flow) -> None:
    phone = await flow.phone()
    sign_in = await flow.begin()
    code = await sign_in.push()
    async with stream(sign_in) as reader:
        first = await event(reader)
        assert first["state"] == "push_waiting"
        await phone.approve(code)
        second = await event(reader)
        assert second["state"] == "proved"
        assert second["version"] != first["version"]
        async with asyncio.timeout(20):
            await reader.read()  # nothing more can change: the stream ends by itself


@pytest.mark.parametrize(("answer", "state"), [("deny", "denied"), ("not_me", "not_me")])
async def test_stream_says_a_refusal(flow: Flow, answer: str, state: str) -> None:
    phone = await flow.phone()
    sign_in = await known_browser(flow, phone)
    await sign_in.push()
    async with stream(sign_in) as reader:
        await event(reader)
        await getattr(phone, answer)()
        assert (await event(reader))["state"] == state


async def test_stream_of_a_finished_sign_in_is_204(flow: Flow) -> None:
    """The browser's EventSource then stops coming back."""
    phone = await flow.phone()
    sign_in = await flow.begin()
    await phone.approve(await sign_in.push())
    await sign_in.take()
    assert (await sign_in.browser.get(f"{sign_in.url}/events")).status == 204


async def test_stream_holds_no_secret(flow: Flow) -> None:
    """Code, QR handle and nonce are on the page only; what polls may be cached or logged by something between."""
    sign_in = await flow.begin()
    code = await sign_in.qr()
    polled = (await sign_in.browser.get(f"{sign_in.url}/state")).text
    assert set(json.loads(polled)) == {"state", "version"}
    async with stream(sign_in) as reader:
        said = json.dumps(await event(reader))
    for secret in (
        code,
        sign_in.stored["challenge"]["handle"],
        sign_in.stored["challenge"]["context"]["nonce"],
    ):
        assert f'"{secret}"' not in said + polled


# --- languages -------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("parameters", "language"),
    [({"mkt": "fr-FR"}, "fr"), ({"lc": "1036"}, "fr"), ({"mkt": "en-US"}, "en"), ({"mkt": "de-DE"}, "en"),
     ({"mkt": "fr-CA", "lc": "1033"}, "fr"), ({"mkt": "", "lc": ""}, "en"), ({}, "en")],
)  # fmt: skip
async def test_page_speaks_the_language_that_microsoft_asks_for(
    flow: Flow, parameters: dict[str, str], language: str
) -> None:
    options: dict[str, Any] = dict(parameters)
    sign_in = await flow.begin(**options)
    assert f'<html lang="{language}">' in (await sign_in.page()).text
    assert f'<html lang="{language}">' in (await sign_in.post("push")).text


async def test_page_speaks_the_browsers_language_when_microsoft_names_none(flow: Flow) -> None:
    sign_in = await flow.begin()
    page = await sign_in.browser.get(sign_in.url, headers={"Accept-Language": "fr;q=0.9, en;q=0.5"})
    assert '<html lang="fr">' in page.text


# --- metadata --------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "path",
    ["FederationMetadata/2007-06/FederationMetadata.xml", "federationmetadata/2007-06/federationmetadata.xml",
     "FEDERATIONMETADATA/2007-06/FEDERATIONMETADATA.XML"],
)  # fmt: skip
async def test_metadata_in_any_case_and_of_this_tenant_only(flow: Flow, path: str) -> None:
    await flow.tenant("fabrikam", "fabrikam.example")
    answer = await ask(flow, f"/t/contoso/contoso.example/{path}")
    assert answer.status == 200
    assert_safe(answer, cache="no-cache")
    for target in (f"/t/contoso/fabrikam.example/{path}", f"/t/nobody/contoso.example/{path}",
                   f"/t/fabrikam/contoso.example/{path}"):  # fmt: skip
        assert (await ask(flow, target)).status == 404


async def test_mex_advertises_no_password_endpoint(flow: Flow) -> None:
    answer = await ask(flow, "/t/contoso/contoso.example/mex")
    assert answer.status == 200
    assert "usernamemixed" not in answer.text.lower()
    assert "UsernameToken" not in answer.text
