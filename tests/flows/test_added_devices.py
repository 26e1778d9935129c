"""docs/flows/notification.md, step 13: the person sees on the page which phones were added, and nobody else does."""

import pytest

from deploy.local.browser import Page
from services.wsfed.handlers.added_devices import SHOWN_FOR
from tests.flows.support import BOB, BrowserWindow, Flow, Phone, token_form

HEADING = "A phone was added to your account"


async def signed_in(flow: Flow, phone: Phone, browser: BrowserWindow | None = None) -> Page:
    """By push, up to what the browser gets for its first request for the token."""
    flow.world.clock.advance(60)
    sign_in = await flow.begin(browser=browser, prompt="login")
    await phone.approve(await sign_in.push())
    return await sign_in.post("token")


async def on_with(browser: BrowserWindow, page: Page) -> Page:
    """What the person presses on that page."""
    return await browser.submit(page.form("/token"))


async def test_the_first_page_after_a_proof_tells_of_a_phone_that_was_added_since(flow: Flow) -> None:
    mine, browser = await flow.phone(), await flow.browser()
    assert "wresult" in token_form(await signed_in(flow, mine, browser)).fields
    flow.world.clock.advance(3600)
    added = await flow.bare_phone()
    await added.enrol(await flow.invite(), name="Somebody's phone")
    page = await signed_in(flow, mine, browser)
    assert HEADING in page.words()
    assert "“Somebody's phone”, on 2 March 2026, 09:01 UTC" in page.words()
    assert "If it wasn't you, tell your administrator at once" in page.words()
    assert "wresult" not in page.text
    assert len(flow.issuances()) == 1  # nothing was used up
    assert "wresult" in token_form(await on_with(browser, page)).fields
    assert "wresult" in token_form(await signed_in(flow, mine, browser)).fields  # and it is told once here


async def test_a_known_browser_tells_it_before_anything_is_asked(flow: Flow) -> None:
    mine, browser = await flow.phone(), await flow.browser()
    await signed_in(flow, mine, browser)
    flow.world.clock.advance(3600)
    await flow.phone()
    known = await flow.begin(browser=browser, prompt="login")
    assert HEADING in (await known.page()).words()
    stranger = await flow.begin(prompt="login")
    assert HEADING not in (await stranger.page()).words()


async def test_whoever_adds_a_phone_and_signs_in_with_it_takes_nobodys_page_away(flow: Flow) -> None:
    mine, browser = await flow.phone(), await flow.browser()
    await signed_in(flow, mine, browser)
    flow.world.clock.advance(3600)
    thief = await flow.phone()
    elsewhere = await flow.browser()
    first = await signed_in(flow, thief, elsewhere)
    await on_with(elsewhere, first)
    await signed_in(flow, thief, elsewhere)
    assert HEADING in (await signed_in(flow, mine, browser)).words()


async def test_a_new_browser_tells_of_the_last_thirty_days(flow: Flow) -> None:
    mine = await flow.phone()
    flow.world.clock.advance(3600)
    await flow.phone()
    assert HEADING in (await signed_in(flow, mine)).words()
    flow.world.clock.advance(SHOWN_FOR.total_seconds())
    assert "wresult" in token_form(await signed_in(flow, mine)).fields


async def test_the_phone_that_proves_is_no_news_and_neither_is_one_that_was_removed(flow: Flow) -> None:
    mine, other = await flow.phone(), await flow.phone()
    assert HEADING in (await signed_in(flow, mine)).words()
    await mine.remove_device(other.key.device)
    assert "wresult" in token_form(await signed_in(flow, mine)).fields


async def test_it_tells_nobody_of_somebody_elses_phones(flow: Flow) -> None:
    await flow.person(BOB)
    mine = await flow.phone()
    await flow.phone(BOB)
    assert "wresult" in token_form(await signed_in(flow, mine)).fields


async def test_a_phones_name_is_text_on_the_page(flow: Flow) -> None:
    mine, evil = await flow.phone(), await flow.bare_phone()
    await evil.enrol(await flow.invite(), name="<script>alert(1)</script>")
    page = await signed_in(flow, mine)
    assert "<script>alert(1)" not in page.text
    assert "<script>alert(1)</script>" in page.words()


async def test_in_french(flow: Flow) -> None:
    mine = await flow.phone()
    await flow.phone()
    sign_in = await flow.begin()
    await mine.approve(await sign_in.push())
    page = await sign_in.browser.get(f"{sign_in.url}/added", headers={"Accept-Language": "fr"})
    assert "Un téléphone a été ajouté à votre compte" in page.words()


async def test_the_page_is_shown_only_between_proof_and_token_and_to_its_own_browser(flow: Flow) -> None:
    mine = await flow.phone()
    await flow.phone()
    sign_in = await flow.begin()
    before = await sign_in.browser.get(f"{sign_in.url}/added")
    assert before.url == sign_in.url
    await mine.approve(await sign_in.push())
    assert (await (await flow.browser()).get(f"{sign_in.url}/added")).status == 404
    await sign_in.take()
    after = await sign_in.browser.get(f"{sign_in.url}/added")
    assert "This sign-in is finished" in after.words()


@pytest.mark.parametrize("told", ["", "0", "x"])
async def test_the_answer_to_the_page_needs_the_forms_token_like_every_post(flow: Flow, told: str) -> None:
    mine = await flow.phone()
    await flow.phone()
    sign_in = await flow.begin()
    await mine.approve(await sign_in.push())
    refused = await sign_in.browser.post(f"{sign_in.url}/token", {"csrf": "x" * 43, "told": told})
    assert refused.status == 403
    assert "wresult" not in refused.text
