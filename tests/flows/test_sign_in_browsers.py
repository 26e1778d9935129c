"""docs/flows/sign-in.md: what other browsers and strangers get, and who wins when many ask at once."""

import asyncio

import pytest

from tests.flows.support import ADA, Flow, normal

# --- two browsers with one transaction -------------------------------------------------------------------------


@pytest.mark.parametrize("cookie", ["none", "its own", "the transaction's digest", "empty", "two kinds"])
async def test_another_browser_sees_and_changes_nothing(flow: Flow, cookie: str) -> None:
    phone = await flow.phone()
    sign_in = await flow.begin()
    code = await sign_in.push()
    stranger = await flow.browser()
    if cookie == "its own":
        await flow.begin(browser=stranger)
    elif cookie == "the transaction's digest":  # what somebody who read the database would try
        stranger.cookies["__Host-blok365-browser"] = sign_in.stored["browser"]
    elif cookie == "empty":
        stranger.cookies["__Host-blok365-browser"] = ""
    elif cookie == "two kinds":
        stranger.cookies["blok365-browser"] = sign_in.browser.cookies["__Host-blok365-browser"]
    before = sign_in.stored
    pages = [
        await stranger.get(sign_in.url),
        await stranger.get(f"{sign_in.url}/state"),
        await stranger.get(f"{sign_in.url}/events"),
        *[
            await stranger.post(
                f"{sign_in.url}/{action}", {"csrf": sign_in.csrf, "username": "x@contoso.example"}
            )
            for action in ("push", "qr", "account", "token")
        ],
    ]
    assert [page.status for page in pages] == [404] * 7
    assert not any(code in page.text or ADA in page.text for page in pages)
    assert sign_in.stored == before
    # once more when there would be a token to steal
    await phone.approve(code)
    stolen = await stranger.post(f"{sign_in.url}/token", {"csrf": sign_in.csrf})
    assert stolen.status == 404
    assert flow.issuances() == []
    assert sign_in.stored["state"] == "proved"
    await sign_in.take()


async def test_another_browser_gets_the_same_words_as_for_no_transaction(flow: Flow) -> None:
    sign_in = await flow.begin()
    stranger = await flow.browser()
    theirs = await stranger.get(sign_in.url)
    nobodys = await stranger.get(f"{flow.origin}/signin/AAAAAAAAAAAAAAAAAAAAAA")
    assert normal(theirs) == normal(nobodys)
    assert theirs.status == nobodys.status == 404


async def test_transaction_id_in_a_link_fixes_no_session(flow: Flow) -> None:
    """Session fixation: the victim opens the attacker's transaction; it is not theirs, and gives no cookie."""
    attackers = await flow.begin()
    victim = await flow.browser()
    page = await victim.get(attackers.url)
    assert page.status == 404
    assert "Set-Cookie" not in page.headers


async def test_a_cookie_chosen_by_somebody_else_is_not_kept_as_it_is_written(flow: Flow) -> None:
    """The database holds no cookie value: who reads it can't take over a browser."""
    sign_in = await flow.begin()
    for value in sign_in.browser.cookies.values():
        assert value not in str(flow.world.databases["wsfed"].data)


# --- many at once ----------------------------------------------------------------------------------------------


async def test_fifty_posts_of_one_approval_give_one_token(flow: Flow) -> None:
    phone = await flow.phone()
    sign_in = await flow.begin()
    await phone.approve(await sign_in.push())
    pages = await asyncio.gather(*(sign_in.token() for _ in range(50)))
    assert sum("wresult" in page.text for page in pages) == 1
    assert len(flow.issuances()) == 1
    assert {page.status for page in pages} == {200}


async def test_fifty_approvals_of_one_request_count_once(flow: Flow) -> None:
    phone = await flow.phone()
    sign_in = await flow.begin()
    code = await sign_in.push()
    (request,) = await phone.list()
    answers = await asyncio.gather(*(phone.approve(code, request) for _ in range(50)), return_exceptions=True)
    assert sum(isinstance(answer, dict) for answer in answers) == 1
    assert await sign_in.state() == "proved"


async def test_fifty_pushes_at_once_leave_one_request(flow: Flow) -> None:
    phone = await flow.phone()
    sign_in = await flow.begin()
    pages = await asyncio.gather(*(sign_in.post("push") for _ in range(50)))
    assert all(page.status in (200, 410) for page in pages)
    requests = await phone.list()
    assert len(requests) <= 1
    assert sign_in.stored["challenges"] <= 12
    shown = (await sign_in.page()).code()
    if requests:
        assert requests[0].id == sign_in.stored["challenge"]["context"]["challenge"]
        await phone.approve(shown)
        assert await sign_in.state() == "proved"


async def test_push_and_approval_at_once_end_in_one_known_state(flow: Flow) -> None:
    """Ada approves while her page asks again: either counts, nothing in between."""
    phone = await flow.phone()
    sign_in = await flow.begin()
    code = await sign_in.push()
    await asyncio.gather(phone.approve(code), sign_in.post("push"), return_exceptions=True)
    state = await sign_in.state()
    assert state in ("proved", "push_waiting")
    assert ("wresult" in (await sign_in.token()).text) == (state == "proved")
