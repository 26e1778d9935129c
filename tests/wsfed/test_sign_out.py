"""Sign-out at a shared computer: every session of the browser ends, whatever else the request holds."""

from unittest import mock

import pytest

from services.wsfed.domain.session import cookie_name
from services.wsfed.store import SessionRepository
from shared.errors import Unavailable
from tests.flows.support import ADA, LOGIN, TENANT, Flow, SignIn
from tests.wsfed.raw_http import FORM, WSFED, Answer, ask, assert_safe, request

REQUEST = WSFED + "?wa=wsignout1.0"


async def signed_in(flow: Flow) -> SignIn:
    """Ada has signed in, and her browser has a session."""
    phone = await flow.phone()
    sign_in = await flow.begin()
    await phone.approve(await sign_in.push())
    await sign_in.take()
    return sign_in


def cookies(sign_in: SignIn, *before: str) -> str:
    """The browser's Cookie line, with other cookies before its own."""
    own = (f"{name}={value}" for name, value in sign_in.browser.cookies.items())
    return "Cookie: " + "; ".join((*before, *own))


async def still_signed_in(flow: Flow, sign_in: SignIn) -> bool:
    """Whether Entra's next request is answered from the session."""
    answer = await ask(flow, request(), lines=(cookies(sign_in),))
    assert answer.status in (200, 303)
    return "wresult" in answer.text


def says_signed_out(answer: Answer) -> bool:
    return "signed out" in answer.text.lower()


async def test_control_without_sign_out_the_session_answers(flow: Flow) -> None:
    assert await still_signed_in(flow, await signed_in(flow))


async def test_sign_out_ends_the_session_behind_170_others(flow: Flow) -> None:
    """Fifty older cookies once left the newest person of a shared computer signed in."""
    sign_in = await signed_in(flow)
    others = [f"__Host-{cookie_name(TENANT, f'person{i}@contoso.example')}={'a' * 43}" for i in range(170)]
    answer = await ask(flow, REQUEST, lines=(cookies(sign_in, *others),))
    assert answer.status == 200
    assert says_signed_out(answer)
    assert not await still_signed_in(flow, sign_in)


@pytest.mark.parametrize("wreply", ["", f"&wreply={LOGIN}"])
@pytest.mark.parametrize("approved", ["before", "after"])
async def test_next_person_gets_no_token_of_a_sign_in_that_was_not_finished(
    flow: Flow, approved: str, wreply: str
) -> None:
    """Ada asked twice, in two tabs, and signs out at a shared computer. The next person opens the page that is left."""
    phone = await flow.phone()
    sign_in = await flow.begin()
    code = await sign_in.push()
    if approved == "before":
        await phone.approve(code)
    left = await sign_in.browser.get(f"{flow.origin}{REQUEST}{wreply}", follow=False)
    assert left.status == (303 if wreply else 200)
    if approved == "after":
        await phone.approve(code)
    for _ in range(2):
        assert (await sign_in.page()).status == 404
        assert "wresult" not in (await sign_in.token()).text
    assert flow.issuances() == []
    again = await flow.begin(browser=sign_in.browser)
    await phone.approve(await again.push())
    await again.take()


UNREADABLE = {
    "wreply of three kilobytes": f"&wreply={LOGIN}{'x' * 3000}",
    "wreply twice": f"&wreply={LOGIN}&wreply={LOGIN}",
    "wctx twice": "&wctx=a&wctx=b",
    "wctx with a line feed": "&wctx=a%0Ab",
    "wreply that is not UTF-8": "&wreply=%E9",
    "seventy parameters": "".join(f"&x{i}=1" for i in range(70)),
    "three hundred parameters": "".join(f"&x{i}=1" for i in range(300)),
    "login_hint of three kilobytes": "&login_hint=" + "x" * 3000,
    "another realm": "&wtrealm=urn:federation:Evil",
    "wa twice": "&wa=wsignout1.0",
    "foreign wreply": "&wreply=https://evil.example/",
    "broken escape": "&wctx=%",
}


@pytest.mark.parametrize("more", UNREADABLE.values(), ids=UNREADABLE)
async def test_sign_out_with_anything_else_in_the_request(flow: Flow, more: str) -> None:
    sign_in = await signed_in(flow)
    answer = await ask(flow, REQUEST + more, lines=(cookies(sign_in),))
    assert_safe(answer)
    assert answer.status == 200
    assert says_signed_out(answer)
    assert not answer.has("location")
    assert not await still_signed_in(flow, sign_in)


async def test_sign_out_goes_back_to_microsoft_where_it_may(flow: Flow) -> None:
    sign_in = await signed_in(flow)
    answer = await ask(flow, f"{REQUEST}&wreply={LOGIN}", lines=(cookies(sign_in),))
    assert (answer.status, answer.header("location")) == (303, LOGIN)
    assert not await still_signed_in(flow, sign_in)


async def test_sign_out_at_an_address_of_no_tenant_ends_the_session_too(flow: Flow) -> None:
    sign_in = await signed_in(flow)
    answer = await ask(flow, REQUEST.replace(TENANT, "nobody"), lines=(cookies(sign_in),))
    assert says_signed_out(answer)
    assert not await still_signed_in(flow, sign_in)


@pytest.mark.parametrize("wa", ["wsignout1.0", "wsignoutcleanup1.0"])
async def test_posted_sign_out_ends_at_our_own_get(flow: Flow, wa: str) -> None:
    """A POST from Microsoft's page brings no Lax cookies: it could end nothing and must not say that it did."""
    sign_in = await signed_in(flow)
    body = f"wa={wa}&wreply={LOGIN}&wctx=%E9".encode()
    posted = await ask(flow, WSFED, method="POST", body=body, lines=(f"Content-Type: {FORM}",))
    assert posted.status == 303
    assert not says_signed_out(posted)
    assert await still_signed_in(flow, sign_in)
    answer = await ask(flow, posted.header("location"), lines=(cookies(sign_in),))
    if wa == "wsignout1.0":
        assert (answer.status, answer.header("location")) == (303, LOGIN)
    else:
        assert answer.status == 200
    assert not await still_signed_in(flow, sign_in)


async def test_page_does_not_say_signed_out_when_a_session_could_not_be_ended(flow: Flow) -> None:
    sign_in = await signed_in(flow)
    with mock.patch.object(SessionRepository, "end", side_effect=Unavailable()):
        answer = await ask(flow, f"{REQUEST}&wreply={LOGIN}", lines=(cookies(sign_in),))
    assert answer.status == 503
    assert not says_signed_out(answer)
    assert not answer.has("location")
    assert await still_signed_in(flow, sign_in)


@pytest.mark.parametrize("target", ["passive", "page"])
async def test_head_issues_nothing(flow: Flow, target: str) -> None:
    sign_in = await signed_in(flow)
    transaction = await flow.begin("")
    assert transaction.browser is not sign_in.browser
    fresh = await ask(flow, request(username="", wctx="x"), lines=(cookies(sign_in),))
    named = request(username=ADA)
    before, made = len(flow.issuances()), len(flow.world.documents("wsfed", "transactions"))
    address = named if target == "passive" else fresh.header("location")
    answer = await ask(flow, address, method="HEAD", lines=(cookies(sign_in),))
    assert answer.status == 405
    assert_safe(answer)
    assert "GET" in answer.header("allow")
    assert len(flow.issuances()) == before
    assert len(flow.world.documents("wsfed", "transactions")) == made
