"""What Entra's address makes of what Entra would never send. Every refusal is a page that says what to do next.

One system serves the whole file: a refused request leaves nothing behind, which the tests check.
"""

from collections.abc import AsyncIterator
from urllib.parse import quote

import pytest
import pytest_asyncio

from tests.flows.support import LOGIN, Flow, start_flow
from tests.wsfed.raw_http import FORM, WSFED, Answer, ask, assert_helpful, assert_safe, request

pytestmark = pytest.mark.asyncio(loop_scope="module")


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def flow(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Flow]:
    """In place of the one for each test."""
    async with start_flow(tmp_path_factory.mktemp("flow")) as started:
        yield started


async def refused(flow: Flow, target: str | bytes, status: int, **options: object) -> Answer:
    """A page of that status, and no transaction was made."""
    before = len(flow.world.documents("wsfed", "transactions"))
    answer = await ask(flow, target, **options)  # type: ignore[arg-type]
    assert answer.status == status, answer.text
    assert_helpful(answer)
    assert not answer.has("set-cookie")
    assert len(flow.world.documents("wsfed", "transactions")) == before
    return answer


async def taken(flow: Flow, target: str, **options: object) -> Answer:
    """The control: the request is good."""
    answer = await ask(flow, target, **options)  # type: ignore[arg-type]
    assert answer.status == 303, answer.text
    assert_safe(answer)
    return answer


async def test_control_a_good_request_is_taken(flow: Flow) -> None:
    answer = await taken(flow, request())
    assert answer.header("location").startswith("/signin/")


@pytest.mark.parametrize(
    "slug",
    [
        "nobody",
        "CONTOSO",
        "contoso.",
        "contoso%20",
        "contoso%00",
        "..",
        "%2e%2e",
        "contoso%2f..",
        "a" * 300,
        "é",
    ],
)
async def test_unknown_tenant_is_404(flow: Flow, slug: str) -> None:
    target = request().replace("/t/contoso/", f"/t/{quote(slug, safe='%.')}/")
    answer = await ask(flow, target)
    assert answer.status in (400, 404)
    assert_safe(answer)
    assert "wresult" not in answer.text


async def test_unknown_tenants_page_says_what_to_do(flow: Flow) -> None:
    await refused(flow, request().replace("contoso/", "nobody/", 1), 404)


@pytest.mark.parametrize(
    "wa", [None, "", "wsignin2.0", "WSIGNIN1.0", "wsignin1.0 ", "wsignin1.0\x00", "x" * 5000]
)
async def test_unknown_wa_is_400_or_413(flow: Flow, wa: str | None) -> None:
    await refused(flow, request(wa=wa), 413 if wa and len(wa) > 2048 else 400)


@pytest.mark.parametrize(
    "realm",
    [None, "", "urn:federation:microsoftonline", "urn:federation:MicrosoftOnline ", "urn:federation:MicrosoftOnlinee",
     "urn:federation:MicrosoftOnline%00", "https://evil.example"],
)  # fmt: skip
async def test_unknown_realm_is_400(flow: Flow, realm: str | None) -> None:
    """Realm confusion: a token for one relying party is not given to another."""
    await refused(flow, request(wtrealm=realm), 400)


BEGINS_LIKE = [
    "https://login.microsoftonline.com/login.srf.evil.example",
    "https://login.microsoftonline.com.evil.example/login.srf",
    "https://login.microsoftonline.com@evil.example/login.srf",
    "https://login.microsoftonline.com:443/login.srf",
    "https://login.microsoftonline.com:8443/login.srf",
    "https://login.microsoftonline.com./login.srf",
    "https://login.microsoftonline.com/login.srf?",
    "https://login.microsoftonline.com/login.srf?next=https://evil.example",
    "https://login.microsoftonline.com/login.srf#x",
    "https://login.microsoftonline.com/login.srf/",
    "https://login.microsoftonline.com/login.srf ",
    " https://login.microsoftonline.com/login.srf",
    "https://login.microsoftonline.com/LOGIN.SRF",
    "https://LOGIN.microsoftonline.com/login.srf",
    "HTTPS://login.microsoftonline.com/login.srf",
    "http://login.microsoftonline.com/login.srf",
    "//login.microsoftonline.com/login.srf",
    "https:/login.microsoftonline.com/login.srf",
    "https://login.microsoftonline.com\\@evil.example/login.srf",
    "https://login.microsoftonline.com/x/../login.srf",
    "https://login.microsoftonline.com/%6cogin.srf",
    "https://user:password@login.microsoftonline.com/login.srf",
    "https://evil.example/https://login.microsoftonline.com/login.srf",
    "https://login.mıcrosoftonline.com/login.srf",
    "https://login.microsoftonline.com/",
    "javascript:alert(1)",
    "data:text/html,x",
    "/login.srf",
]


@pytest.mark.parametrize("wreply", BEGINS_LIKE)
async def test_open_redirect_by_wreply(flow: Flow, wreply: str) -> None:
    answer = await refused(flow, request(wreply=wreply), 400)
    assert "evil.example" not in answer.text


@pytest.mark.parametrize("wreply", BEGINS_LIKE)
async def test_sign_out_follows_no_foreign_wreply(flow: Flow, wreply: str) -> None:
    answer = await ask(flow, request(wa="wsignout1.0", wreply=wreply))
    assert_safe(answer)
    assert answer.status == 200
    assert not answer.has("location")
    assert "evil.example" not in answer.text


POSTED_ORGANISATIONS = {
    "nobody": 303,
    "%24ne": 303,
    "%3f%23": 303,
    "%2f%2fevil.example": 303,
    "a%0d%0ab:c": 400,
}


@pytest.mark.parametrize(("name", "status"), POSTED_ORGANISATIONS.items())
async def test_sign_out_by_post_stays_at_the_path_that_was_asked_for(
    flow: Flow, name: str, status: int
) -> None:
    lines = (f"Content-Type: {FORM}",)
    answer = await ask(flow, f"/t/{name}/wsfed", method="POST", body=b"wa=wsignout1.0", lines=lines)
    assert_safe(answer)
    assert answer.status == status
    if status == 303:
        assert answer.header("location").lower() == f"/t/{name}/wsfed?wa=wsignout1.0"


@pytest.mark.parametrize("wreply", ["", LOGIN, "https://stamp2.login.microsoftonline.com/login.srf"])
async def test_wreply_on_the_list_is_taken(flow: Flow, wreply: str) -> None:
    await taken(flow, request(wreply=wreply))


@pytest.mark.parametrize("size", [8 * 1024 + 1, 10_000])
async def test_wctx_over_8_kilobytes_is_refused(flow: Flow, size: int) -> None:
    await refused(flow, request(wctx="x" * size), 400)


async def test_wctx_of_64_kilobytes_is_refused_by_get_and_by_post(flow: Flow) -> None:
    target = request(wctx="x" * 65536)
    answer = await ask(flow, target)
    assert answer.status in (400, 413, 414, 431)
    assert_safe(answer)
    body = target.partition("?")[2].encode()
    posted = await ask(flow, WSFED, method="POST", body=body, lines=(f"Content-Type: {FORM}",))
    assert posted.status in (400, 413)
    assert_safe(posted)


@pytest.mark.parametrize("character", ["\n", "\r\n", "\x00", "\x1b", "\x7f", "\x85"])
@pytest.mark.parametrize("name", ["wctx", "username", "wreply", "mkt", "client_request_id"])
async def test_control_characters_are_refused_or_dropped(flow: Flow, name: str, character: str) -> None:
    answer = await ask(flow, request(**{name: f"a{character}Set-Cookie: x=y"}))
    assert answer.status == 400
    assert_helpful(answer)


@pytest.mark.parametrize(
    "octets", [b"%FF", b"%C3", b"%C0%AF", b"%ED%A0%80", b"%F4%90%80%80", b"\xff", b"\xc3\xa9"]
)
@pytest.mark.parametrize("place", ["wctx", "unknown", "path"])
async def test_invalid_utf8_in_the_address(flow: Flow, octets: bytes, place: str) -> None:
    target = request().encode()
    if place == "path":
        target = target.replace(b"/wsfed?", b"/" + octets + b"?")
    else:
        target += b"&" + place.encode() + b"=" + octets
    answer = await ask(flow, target)
    assert answer.status in (400, 404)
    assert_safe(answer)


@pytest.mark.parametrize("octets", [b"%FF", b"%C0%AF", b"\xff\xfe", b"\xc3\xa9"])
async def test_invalid_utf8_in_a_posted_form(flow: Flow, octets: bytes) -> None:
    body = request(wctx=None).partition("?")[2].encode() + b"&wctx=" + octets
    await refused(flow, WSFED, 400, method="POST", body=body, lines=(f"Content-Type: {FORM}",))


@pytest.mark.parametrize("name", ["wa", "wtrealm", "wctx", "wreply", "username", "wfresh", "wauth", "mkt"])
async def test_doubled_parameters(flow: Flow, name: str) -> None:
    """Also when both say the same: two readers must never be able to differ."""
    values = {"wa": "wsignin1.0", "wtrealm": "urn:federation:MicrosoftOnline", "wreply": LOGIN}
    value = quote(values.get(name, "x"), safe="")
    target = request(**{name: None}) + f"&{name}={value}&{name}={value}"
    await refused(flow, target, 400)


async def test_refusal_is_wholly_french_for_who_reads_french(flow: Flow) -> None:
    answer = await refused(flow, request(mkt="fr-FR") + "&wctx=a&wctx=b", 400)
    assert "Le paramètre wctx est présent deux fois." in answer.text
    assert 'lang="en"' not in answer.text


async def test_doubled_unknown_parameter_is_ignored(flow: Flow) -> None:
    await taken(flow, request() + "&cxhflow=TB&cxhflow=TB")


@pytest.mark.parametrize(
    ("name", "value"), [("wfresh", "-1"), ("wfresh", "1e3"), ("wfresh", "٣"), ("mfa_max_age", "x")]
)
async def test_numbers_that_are_none(flow: Flow, name: str, value: str) -> None:
    target = request() + f"&{name}={quote(value)}"
    await refused(flow, target, 400)


async def test_too_many_parameters(flow: Flow) -> None:
    answer = await ask(flow, request() + "".join(f"&p{i}=x" for i in range(300)))
    assert answer.status in (400, 413)
    assert_helpful(answer)


@pytest.mark.parametrize(
    "line", ["X: " + "a" * 20_000, "Cookie: " + "a=b; " * 5000, "Accept-Language: " + "fr," * 8000]
)
async def test_header_lines_over_the_limit(flow: Flow, line: str) -> None:
    answer = await ask(flow, request(), lines=(line,))
    assert answer.status in (400, 431)
    assert_safe(answer)


@pytest.mark.parametrize("announced", [True, False])
async def test_ten_megabytes_body(flow: Flow, announced: bool) -> None:
    size = 10 * 1024 * 1024
    lines = [f"Content-Type: {FORM}"]
    body = b"wctx=" + b"x" * size
    if not announced:
        lines.append("Transfer-Encoding: chunked")
        body = b"%x\r\n%s\r\n0\r\n\r\n" % (len(body), body)
    answer = await ask(flow, WSFED, method="POST", body=body, lines=tuple(lines))
    assert answer.status == 413
    assert_safe(answer)


@pytest.mark.parametrize("kind", ["application/json", "multipart/form-data; boundary=x", "text/xml", ""])
async def test_post_of_another_kind(flow: Flow, kind: str) -> None:
    lines = (f"Content-Type: {kind}",) if kind else ()
    await refused(flow, WSFED, 400, method="POST", body=b"{}", lines=lines)


@pytest.mark.parametrize(
    "method", ["PUT", "DELETE", "PATCH", "OPTIONS", "TRACE", "CONNECT", "PROPFIND", "BREW"]
)
async def test_unknown_method(flow: Flow, method: str) -> None:
    answer = await ask(flow, WSFED, method=method)
    assert answer.status in (400, 404, 405)
    assert_safe(answer)


async def test_head_answers_without_a_body_and_without_a_fault(flow: Flow) -> None:
    for target in (request(), "/signin/AAAAAAAAAAAAAAAAAAAAAA", WSFED):
        answer = await ask(flow, target, method="HEAD")
        assert answer.status in (200, 303, 400, 404, 405)
        assert_safe(answer)
        assert answer.body == b""


@pytest.mark.parametrize(
    "transaction",
    ["..", "../../etc/passwd", "%2e%2e%2f%2e%2e%2fetc%2fpasswd", "..%5c..%5c", "%00", "%ff", "a" * 5000, "*",
     "%7b%24ne%3anull%7d", "%22%3e%3cscript%3e", "AAAAAAAAAAAAAAAAAAAAAA%0d%0aSet-Cookie:x=y", "finished/events"],
)  # fmt: skip
async def test_path_traversal_and_injection_in_the_transaction_id(flow: Flow, transaction: str) -> None:
    for ending in ("", "/state", "/events"):
        answer = await ask(flow, f"/signin/{transaction}{ending}")
        assert answer.status in (400, 404)
        assert_safe(answer)
        assert not answer.has("set-cookie")
        assert "<script>" not in answer.text
        assert "root:" not in answer.text


async def test_host_of_nobody_gets_no_sign_in(flow: Flow) -> None:
    for host in (
        "evil.example",
        "id.localhost:8365.evil.example",
        "console.localhost:8365",
        "",
        "id.localhost:8365@x",
    ):
        answer = await ask(flow, request(), host=host)
        assert answer.status in (400, 404, 421)
        assert "signin" not in dict(answer.headers).get("location", "")


async def test_refusal_repeats_nothing_of_what_was_sent(flow: Flow) -> None:
    """Script in wctx or username never reaches a page that refuses."""
    evil = "\"'><script>alert(1)</script>"
    for changed in (
        {"wa": evil},
        {"wtrealm": evil},
        {"wreply": evil},
        {"wfresh": evil},
        {"wctx": evil * 400},
    ):
        answer = await ask(flow, request(**changed))
        assert answer.status in (400, 413)
        assert "alert(1)" not in answer.text


@pytest.mark.parametrize("language", ["fr-FR", "fr", "1036"])
async def test_refusal_speaks_the_language_of_the_request(flow: Flow, language: str) -> None:
    name = "lc" if language.isdigit() else "mkt"
    answer = await refused(flow, request(wa="x", **{name: language}), 400)
    assert '<html lang="fr">' in answer.text


@pytest.mark.parametrize("wa", ["wsignout1.0", "wsignoutcleanup1.0"])
async def test_sign_out_passes_over_a_cookie_that_is_none_of_ours(flow: Flow, wa: str) -> None:
    cookie = f"Cookie: __Host-blok365-a-x=\xff\xfe; __Host-blok365-a-y={'a' * 43}"
    answer = await ask(flow, request(wa=wa), lines=(cookie,))
    assert answer.status == 200, answer.text
    assert_safe(answer)


async def test_an_expectation_that_nobody_knows_is_refused(flow: Flow) -> None:
    """aiohttp refuses it before any code of ours is asked; its answer has our headers all the same."""
    answer = await ask(flow, request(), lines=("Expect: nonsense",))
    assert answer.status == 417
    assert_safe(answer)


async def test_a_cookie_that_is_not_utf8_beside_one_that_is_filtered(flow: Flow) -> None:
    """The proxy's rule copies the request when it takes a header away; what it copies may be anything."""
    lines = ("Cookie: a=b; ;;=", "Cookie: =\x80\xff", "Upgrade: websocket")
    await taken(flow, request(), lines=lines)
