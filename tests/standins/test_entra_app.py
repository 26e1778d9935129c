"""The stand-in as a browser meets it: start, come back, sign out. Needs a socket on 127.0.0.1."""

import re
from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from datetime import timedelta
from io import BytesIO
from urllib.parse import parse_qsl, urlencode, urlsplit

import pytest
from aiohttp import ClientResponse
from aiohttp.test_utils import TestClient, TestServer
from aiohttp.web import Application, Request
from lxml import html

from deploy.standins.entra.app import MAX_BODY, REQUEST_LIFE, build_app
from deploy.standins.entra.errors import WORDS, Code
from deploy.standins.entra.requests import MULTIPLEAUTHN, VARIANTS, WAUTH_PASSWORD
from deploy.standins.entra.settings import Directory, Federations, SettingsError
from shared.clock import ManualClock
from shared.ids import SeededIds
from tests.standins.entra_attempts import FABRIKAM, USERS, federation
from tests.standins.entra_tokens import NOW, Token

pytestmark = pytest.mark.integration

CONTOSO = federation(sign_out_uri="https://idp.example/t/contoso/out")
JSON = {"Accept": "application/json"}
FORM = {"Content-Type": "application/x-www-form-urlencoded"}
CONTENT_OF_STAND_IN = "This is a stand-in for tests."


@dataclass
class Source:
    """Settings that a test can change."""

    federations: Federations = field(default_factory=lambda: Federations.of(CONTOSO, FABRIKAM))
    directory: Directory = USERS
    broken: bool = False

    async def current(self) -> tuple[Federations, Directory]:
        if self.broken:
            raise SettingsError("entra.json: not <JSON>")
        return self.federations, self.directory


@dataclass
class Entra:
    client: TestClient[Request, Application]
    clock: ManualClock
    source: Source

    async def get(self, path: str, **query: str) -> ClientResponse:
        return await self.client.get(path, params=query, allow_redirects=False)

    async def start(self, **query: str) -> dict[str, str]:
        """The fields of the request the browser is sent away with."""
        response = await self.get("/start", username="ada@contoso.example", **query)
        assert response.status == 302
        location = response.headers["Location"]
        assert location.startswith("https://idp.example/t/contoso/wsfed?")
        return dict(parse_qsl(urlsplit(location).query, keep_blank_values=True))

    async def answer(
        self, wctx: str, token: Token | None = None, headers: dict[str, str] | None = None
    ) -> ClientResponse:
        form = {"wa": "wsignin1.0", "wresult": (token or Token()).response(), "wctx": wctx}
        return await self.client.post("/login.srf", data=form, headers=headers)


@pytest.fixture
async def entra() -> AsyncIterator[Entra]:
    clock, source = ManualClock(NOW), Source()
    app = build_app(source, clock=clock, ids=SeededIds("entra"))
    async with TestClient(TestServer(app, host="127.0.0.1")) as client:
        yield Entra(client, clock, source)


async def code_of(response: ClientResponse) -> str:
    assert response.status == 400
    return str((await response.json())["error"]["code"])


async def test_signs_in_and_shows_the_claims(entra: Entra) -> None:
    fields = await entra.start()
    assert fields["wreply"] == str(entra.client.make_url("/login.srf"))
    response = await entra.answer(fields["wctx"])
    text = await response.text()
    assert response.status == 200
    assert "Signed in as <strong>ada@contoso.example</strong>" in text
    assert "http://schemas.xmlsoap.org/claims/UPN" in text
    assert CONTENT_OF_STAND_IN in text


async def test_back_and_reload_want_no_form_again(entra: Entra) -> None:
    fields = await entra.start()
    posted = await entra.client.post(
        "/login.srf",
        data={"wa": "wsignin1.0", "wresult": Token().response(), "wctx": fields["wctx"]},
        allow_redirects=False,
    )
    assert (posted.status, posted.headers["Location"]) == (303, "/login.srf")
    for _ in range(2):
        assert "ada@contoso.example" in await (await entra.get("/login.srf")).text()
    await entra.get("/signout", domain="contoso.example")
    gone = await (await entra.get("/signedout")).text()
    after = await (await entra.get("/login.srf")).text()
    assert after == gone
    assert "ada@contoso.example" not in after


async def test_who_signed_in_is_forgotten_after_half_an_hour(entra: Entra) -> None:
    await entra.answer((await entra.start())["wctx"])
    entra.clock.advance(REQUEST_LIFE.total_seconds())
    assert "ada@contoso.example" not in await (await entra.get("/login.srf")).text()


async def test_signs_in_as_json(entra: Entra) -> None:
    fields = await entra.start(variant="mfa")
    assert fields["wauth"] == MULTIPLEAUTHN
    response = await entra.answer(fields["wctx"], Token().with_mfa(), JSON)
    user = (await response.json())["signed_in"]
    assert response.status == 200
    assert (user["upn"], user["mfa"], user["key"]) == ("ada@contoso.example", True, "current")
    assert user["authentication_instant"] == "2026-11-21T20:48:55.000Z"
    assert {
        "namespace": "http://schemas.xmlsoap.org/claims",
        "name": "UPN",
        "value": "ada@contoso.example",
    } in user["claims"]


async def test_shows_the_error_page_with_code_and_correlation(entra: Entra) -> None:
    fields = await entra.start()
    response = await entra.answer(fields["wctx"], Token(issuer="<script>alert(1)</script>"))
    text = await response.text()
    assert response.status == 400
    assert "AADSTS50107" in text
    assert fields["client-request-id"] in text
    assert "<script" not in text


async def test_an_mfa_request_is_not_answered_by_one_factor(entra: Entra) -> None:
    fields = await entra.start(variant="mfa")
    assert await code_of(await entra.answer(fields["wctx"], headers=JSON)) == "AADSTS50074"


async def test_a_forced_request_wants_an_authentication_after_it(entra: Entra) -> None:
    fields = await entra.start(prompt="login")
    assert fields["prompt"] == "login"
    assert await code_of(await entra.answer(fields["wctx"], headers=JSON)) == "AADSTS70044"
    fresh = await entra.answer(fields["wctx"], Token(authenticated=NOW), JSON)
    assert fresh.status == 200


async def test_prompt_follows_the_domain(entra: Entra) -> None:
    translated = federation(prompt_login_behavior="translateToFreshPasswordAuthentication")
    entra.source.federations = Federations.of(translated)
    fields = await entra.start(prompt="login")
    assert (fields["wauth"], fields["wfresh"]) == (WAUTH_PASSWORD, "0")
    assert "prompt" not in fields


async def test_rejects_replayed_assertion_and_foreign_wctx(entra: Entra) -> None:
    first, second = await entra.start(), await entra.start()
    assert (await entra.answer(first["wctx"], headers=JSON)).status == 200
    assert await code_of(await entra.answer(first["wctx"], headers=JSON)) == "AADSTS50008"
    assert await code_of(await entra.answer(second["wctx"], headers=JSON)) == "AADSTS50008"
    other = Token(assertion_id="_bbbbbbbbbbbbbbbbbbbbbb-1")
    assert await code_of(await entra.answer(first["wctx"] + "x", other, JSON)) == "AADSTS20012"
    assert (await entra.answer(second["wctx"], other, JSON)).status == 200


async def test_a_request_lives_for_half_an_hour(entra: Entra) -> None:
    fields = await entra.start()
    entra.clock.advance(REQUEST_LIFE.total_seconds())
    late = NOW + REQUEST_LIFE
    token = Token(
        issued=late, not_before=late - timedelta(seconds=45), not_on_or_after=late + timedelta(minutes=5)
    )
    assert await code_of(await entra.answer(fields["wctx"], token, JSON)) == "AADSTS20012"
    again = await entra.start()
    assert (await entra.answer(again["wctx"], token, JSON)).status == 200


async def test_new_settings_hold_at_once(entra: Entra) -> None:
    fields = await entra.start()
    entra.source.directory = Directory.of()
    assert await code_of(await entra.answer(fields["wctx"], headers=JSON)) == "AADSTS51004"
    entra.source.directory = USERS
    assert (await entra.answer(fields["wctx"], headers=JSON)).status == 200


@pytest.mark.parametrize(
    ("body", "headers"),
    [
        (b"wa=wsignin1.0&wresult=x" + b"x" * MAX_BODY, FORM),
        (b"wa=wsignin1.0&wresult=%ff&wctx=x", FORM),
        (b"wa=wsignin1.0&wresult=\xff&wctx=x", FORM),
        (b"wa=wsignin1.0&nothing", FORM),
        (urlencode([(f"f{number}", "x") for number in range(50)]).encode(), FORM),
        (b"", FORM),
        (b"{}", {"Content-Type": "application/json"}),
    ],
    ids=["too large", "no UTF-8", "raw octets", "no pairs", "too many fields", "empty", "not a form"],
)
async def test_rejects_malformed_form(entra: Entra, body: bytes, headers: dict[str, str]) -> None:
    response = await entra.client.post("/login.srf", data=BytesIO(body), headers=headers | JSON)
    assert await code_of(response) == "AADSTS20012"


@pytest.mark.parametrize("variant", VARIANTS)
async def test_every_variant_comes_back_here(entra: Entra, variant: str) -> None:
    fields = await entra.start(variant=variant)
    assert fields["wreply"] == str(entra.client.make_url("/login.srf"))
    response = await entra.answer(fields["wctx"], Token(authenticated=NOW).with_mfa(), JSON)
    assert response.status == 200


async def test_the_post_variant_is_a_form_that_posts_itself(entra: Entra) -> None:
    response = await entra.get("/start", username="ada@contoso.example", method="post")
    form = html.fromstring(await response.text()).forms[0]
    fields = dict(form.form_values())
    assert (form.method, form.action) == ("POST", CONTOSO.passive_sign_in_uri)
    assert (await entra.answer(str(fields["wctx"]), headers=JSON)).status == 200
    policy = response.headers["Content-Security-Policy"]
    assert "script-src 'sha256-" in policy
    assert "unsafe" not in policy


async def test_pages_have_no_scripts_and_say_what_they_are(entra: Entra) -> None:
    for path in ("/", "/signedout", "/nowhere", "/start"):
        response = await entra.get(path)
        text = await response.text()
        assert "style=" not in text
        assert CONTENT_OF_STAND_IN in text, path
        assert "<script" not in text
        assert response.headers["Content-Security-Policy"].startswith(
            "default-src 'none'; style-src 'self'; frame-ancestors"
        )
        assert response.headers["Cache-Control"] == "no-store"


async def test_script_in_username_stays_text(entra: Entra) -> None:
    response = await entra.get(
        "/start", username='"><script>alert(1)</script>@contoso.example', method="post"
    )
    text = await response.text()
    assert response.status == 200
    assert text.count("<script") == 1
    assert "&quot;&gt;&lt;script&gt;" in text


@pytest.mark.parametrize(
    ("query", "status"),
    [
        ({}, 404),
        ({"username": "ada"}, 404),
        ({"username": "ada@nowhere.example"}, 404),
        ({"username": "ada@contoso.example", "variant": "unknown"}, 400),
    ],
)
async def test_start_refuses_what_it_cannot_send(entra: Entra, query: dict[str, str], status: int) -> None:
    assert (await entra.get("/start", **query)).status == status


async def test_a_subdomain_goes_to_its_root(entra: Entra) -> None:
    response = await entra.get("/start", username="sue@shop.contoso.example")
    assert response.headers["Location"].startswith(CONTOSO.passive_sign_in_uri)
    wctx = dict(parse_qsl(urlsplit(response.headers["Location"]).query))["wctx"]
    token = Token(immutable_id="sub", upn="sue@shop.contoso.example")
    assert (await entra.answer(wctx, token, JSON)).status == 200


async def test_sign_out_goes_to_the_domain_and_back(entra: Entra) -> None:
    response = await entra.get("/signout", domain="contoso.example")
    assert response.status == 302
    assert response.headers["Location"].startswith("https://idp.example/t/contoso/out?wa=wsignout1.0&")
    cleanup = await entra.get("/signout", domain="contoso.example", cleanup="1")
    assert "wa=wsignoutcleanup1.0" in cleanup.headers["Location"]
    assert (await entra.get("/signout", domain="fabrikam.example")).status == 400
    assert (await entra.get("/signout", domain="nowhere.example")).status == 404


async def test_broken_settings_are_said_plainly(entra: Entra) -> None:
    entra.source.broken = True
    page = await entra.get("/")
    assert page.status == 503
    assert "not &lt;JSON&gt;" in await page.text()
    answer = await entra.answer("x", headers=JSON)
    assert answer.status == 503
    assert "entra.json" in (await answer.json())["error"]["message"]


@pytest.mark.parametrize(
    ("accept", "mkt", "heading"),
    [
        ("", "en-US", "Sign in"),
        ("fr", "fr", "Connexion"),
        ("fr-ca,en;q=0.5", "fr-CA", "Connexion"),
        ("de-DE,fr;q=0.9", "de-DE", "Sign in"),
        ("'><script>", "en-US", "Sign in"),
    ],
)
async def test_pages_and_requests_take_the_browsers_language(
    entra: Entra, accept: str, mkt: str, heading: str
) -> None:
    headers = {"Accept-Language": accept} if accept else {}
    page = html.fromstring(await (await entra.client.get("/", headers=headers)).text())
    assert [each.text for each in page.xpath("//h1")] == [heading]
    assert page.get("lang") == ("fr" if heading == "Connexion" else "en")
    start = await entra.client.get(
        "/start", params={"username": "ada@contoso.example"}, headers=headers, allow_redirects=False
    )
    assert dict(parse_qsl(urlsplit(start.headers["Location"]).query))["mkt"] == mkt


def test_both_languages_say_the_same_things() -> None:
    english, french = WORDS["en"], WORDS["fr"]
    assert english.keys() == french.keys()
    assert english["meaning"].keys() == french["meaning"].keys() == {str(code.value) for code in Code}
    for name, text in english.items():
        if isinstance(text, str):
            assert set(re.findall(r"{\w+}", text)) == set(re.findall(r"{\w+}", french[name]))


async def test_an_account_is_chosen_with_one_press(entra: Entra) -> None:
    page = html.fromstring(await (await entra.get("/")).text())
    link = page.xpath("//a[contains(., 'ada@contoso.example')]/@href")[0]
    response = await entra.client.get(link, allow_redirects=False)
    assert response.headers["Location"].startswith(CONTOSO.passive_sign_in_uri)


async def test_the_signed_in_page_signs_out(entra: Entra) -> None:
    fields = await entra.start()
    page = html.fromstring(await (await entra.answer(fields["wctx"])).text())
    link = page.xpath("//a[normalize-space()='Sign out']/@href")[0]
    response = await entra.client.get(link, allow_redirects=False)
    assert "wa=wsignout1.0" in response.headers["Location"]


async def test_public_url_is_where_answers_come_back() -> None:
    app = build_app(Source(), clock=ManualClock(NOW), ids=SeededIds("x"), public_url="https://entra.test")
    async with TestClient(TestServer(app, host="127.0.0.1")) as client:
        response = await client.get("/start", params={"username": "a@contoso.example"}, allow_redirects=False)
    assert "&wreply=https%3a%2f%2fentra.test%2flogin.srf" in response.headers["Location"]
