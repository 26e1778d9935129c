"""docs/flows/sign-in.md, "Several tabs": one browser, one person, several sign-ins at once."""

import pytest

from deploy.local.browser import Page
from tests.flows.support import ADA, BOB, Flow, SignIn, normal, token_form

NOBODY = "nobody@contoso.example"
LAST = "__Host-blok365-last"


async def in_two_tabs(flow: Flow, upn: str = ADA) -> tuple[SignIn, SignIn]:
    """The same browser asks twice; the second time in another tab."""
    older = await flow.begin(upn)
    await older.push()
    flow.world.clock.advance(1)
    newer = await flow.begin(upn, browser=older.browser)
    return older, newer


async def look(sign_in: SignIn) -> Page:
    """As the page's script fetches the page."""
    return await sign_in.browser.get(sign_in.url, headers={"X-Requested-With": "fetch"})


async def test_the_older_tab_says_so_and_the_phone_approves_the_newer(flow: Flow) -> None:
    phone = await flow.phone()
    older, newer = await in_two_tabs(flow)
    code = await newer.push()
    assert await older.state() == "superseded"
    assert (await older.page()).state() == "superseded"
    assert await newer.state() == "push_waiting"
    (request,) = await phone.list()
    await phone.approve(code, request)
    assert await newer.state() == "proved"


async def test_it_looks_the_same_for_a_name_without_an_account(flow: Flow) -> None:
    """Also when the first request was refused on the phone, which an unknown browser must not learn."""
    phone = await flow.phone()
    older, newer = await in_two_tabs(flow)
    await phone.deny()
    nobodys, nobodys_newer = await in_two_tabs(flow, NOBODY)
    assert await older.state() == await nobodys.state() == "push_waiting"
    await newer.push()
    await nobodys_newer.push()
    assert await older.state() == await nobodys.state() == "superseded"
    assert normal(await older.page()) == normal(await nobodys.page())


async def test_tabs_of_two_accounts_and_of_two_browsers_leave_each_other_alone(flow: Flow) -> None:
    await flow.person(BOB)
    older, _ = await in_two_tabs(flow)
    await (await flow.begin(BOB, browser=older.browser)).push()
    await (await flow.begin()).push()
    assert await older.state() == "push_waiting"


async def test_the_older_tab_can_ask_again(flow: Flow) -> None:
    older, newer = await in_two_tabs(flow)
    await newer.push()
    assert await older.state() == "superseded"
    flow.world.clock.advance(1)
    await older.push()
    assert [await older.state(), await newer.state()] == ["push_waiting", "superseded"]


async def test_a_qr_code_that_renews_itself_takes_no_other_tabs_place(flow: Flow) -> None:
    phone = await flow.phone()
    older = await flow.begin()
    await older.qr()
    flow.world.clock.advance(1)
    newer = await flow.begin(browser=older.browser)
    code = await newer.qr()
    page = await older.post("qr", renews=older.stored["challenge"]["context"]["challenge"])
    assert page.state() == "superseded"
    await phone.approve(code, await phone.scan(newer.qr_text))
    assert await newer.state() == "proved"


async def test_what_was_approved_before_the_older_tab_looked_counts(flow: Flow) -> None:
    phone = await flow.phone()
    older, newer = await in_two_tabs(flow)
    await phone.approve((await older.page()).code())
    await newer.push()
    assert await older.state() == "proved"
    await older.take()


@pytest.mark.parametrize("value", ["", "x", "a.b.c", "Ä", "a." + "0" * 16 + "." + "9" * 16, "." * 100])
async def test_a_cookie_of_another_shape_says_nothing(flow: Flow, value: str) -> None:
    older, _ = await in_two_tabs(flow)
    older.browser.cookies[LAST] = value
    assert await older.state() == "push_waiting"


async def test_the_older_tab_follows_the_sign_in_of_the_newer(flow: Flow) -> None:
    phone = await flow.phone()
    older, newer = await in_two_tabs(flow)
    await phone.approve(await newer.push())
    assert await older.state() == "superseded"
    assert (await look(older)).state() == "superseded"
    await newer.take()
    fetched = await look(older)  # a script could not post the token on: the browser itself must come
    assert (fetched.status, fetched.text) == (204, "")
    form = token_form(await older.page())
    user = await flow.entra.verify(form, older.pending)
    assert user.upn == ADA
    assert older.stored["state"] == "issued"
    assert (await older.page()).state() == "finished"


async def test_a_tab_that_waits_follows_too_once_it_looks(flow: Flow) -> None:
    """Its state was never asked for in between, as when the browser had put it to sleep."""
    phone = await flow.phone()
    older, newer = await in_two_tabs(flow)
    await phone.approve(await newer.push())
    await newer.take()
    token_form(await older.page())


async def test_a_tab_that_was_refused_does_not_follow(flow: Flow) -> None:
    phone = await flow.phone()
    first = await flow.begin()
    await phone.approve(await first.push())
    await first.take()  # the browser is known from here on
    flow.world.clock.advance(60)
    refused = await flow.begin(browser=first.browser, wfresh="0")
    await refused.push()
    await phone.not_me()
    assert await refused.state() == "not_me"
    newer = await flow.begin(browser=first.browser, wfresh="0")
    await phone.approve(await newer.push())
    await newer.take()
    assert (await refused.page()).state() == "not_me"
    assert refused.stored["state"] == "not_me"


async def test_a_name_typed_by_script_that_a_session_answers_sends_the_browser_there(flow: Flow) -> None:
    phone = await flow.phone()
    first = await flow.begin()
    await phone.approve(await first.push())
    await first.take()
    unnamed = await flow.begin("", browser=first.browser)
    fields = {"csrf": unnamed.csrf, "username": ADA}
    script = {"X-Requested-With": "fetch"}
    typed = await unnamed.browser.post(f"{unnamed.url}/account", fields, headers=script)
    assert (typed.status, typed.url) == (204, unnamed.url)
    token_form(await unnamed.page())
