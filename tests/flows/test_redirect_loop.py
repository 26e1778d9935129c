"""Entra that does not accept our tokens sends the browser back for ever: a page stops that, and nothing else.

What counts is in how many different seconds Entra came back for what a token had just answered, without anything that
a person did in between.
"""

from tests.flows.support import ADA, Flow, Phone, SignIn, token_form


async def signed_in(flow: Flow) -> tuple[SignIn, Phone]:
    """Ada has just approved a sign-in; her browser has a session."""
    phone = await flow.phone()
    sign_in = await flow.begin()
    await phone.approve(await sign_in.push())
    await sign_in.take()
    return sign_in, phone


async def came_back(flow: Flow, sign_in: SignIn, **options: str) -> int:
    """Entra sends the browser back: the status of what it gets; 200 is a token."""
    url, _ = flow.entra.request(ADA, **options)
    page = await sign_in.browser.get(url)
    if page.status == 200:
        token_form(page)
    return page.status


async def test_real_loop_is_stopped_at_the_fifth_time(flow: Flow) -> None:
    sign_in, _ = await signed_in(flow)
    got = []
    for _ in range(7):
        flow.world.clock.advance(1)
        got.append(await came_back(flow, sign_in))
    assert got == [200, 200, 200, 200, 409, 409, 409]


async def test_slow_loop_is_stopped_too(flow: Flow) -> None:
    sign_in, _ = await signed_in(flow)
    got = []
    for _ in range(5):
        flow.world.clock.advance(3.5)
        got.append(await came_back(flow, sign_in))
    assert got == [200, 200, 200, 200, 409]


async def test_loop_ends_by_itself_when_what_was_wrong_is_mended(flow: Flow) -> None:
    sign_in, _ = await signed_in(flow)
    for _ in range(6):
        flow.world.clock.advance(1)
        last = await came_back(flow, sign_in)
    assert last == 409
    flow.world.clock.advance(20)
    assert await came_back(flow, sign_in) == 200


async def test_six_restored_tabs_all_get_their_tokens(flow: Flow) -> None:
    sign_in, _ = await signed_in(flow)
    flow.world.clock.advance(3600)
    assert [await came_back(flow, sign_in) for _ in range(6)] == [200] * 6
    flow.world.clock.advance(1)
    assert [await came_back(flow, sign_in) for _ in range(6)] == [200] * 6


async def test_five_true_approvals_in_a_minute_all_get_their_tokens(flow: Flow) -> None:
    sign_in, phone = await signed_in(flow)
    for _ in range(5):
        flow.world.clock.advance(8)
        again = await flow.begin(browser=sign_in.browser, wfresh="0")
        await phone.approve(await again.push())
        await flow.entra.verify(await again.take(), again.pending)


async def test_approval_in_the_middle_of_a_loop_gets_its_token_and_starts_the_count_anew(flow: Flow) -> None:
    sign_in, phone = await signed_in(flow)
    for _ in range(5):
        flow.world.clock.advance(1)
        last = await came_back(flow, sign_in)
    assert last == 409
    again = await flow.begin(browser=sign_in.browser, prompt="login")
    await phone.approve(await again.push())
    assert await again.take()
    flow.world.clock.advance(1)
    assert await came_back(flow, sign_in) == 200


async def test_applications_that_want_different_things_are_no_loop(flow: Flow) -> None:
    sign_in, _ = await signed_in(flow)
    for wfresh in ("60", "61", "62", "63", "64", "65"):
        flow.world.clock.advance(1)
        assert await came_back(flow, sign_in, wfresh=wfresh) == 200
