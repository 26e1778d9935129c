"""Setting up a phone: what is said before the tap, what is spent when, and how often the finger is asked for."""

import json

import pytest
from playwright.async_api import Route, expect

from shared.contracts.admin import AccountStatus
from tests.approval.handset import Handset
from tests.approval.test_page_hostile import COUNT_SIGNATURES

pytestmark = [
    pytest.mark.integration,
    pytest.mark.slow,
    pytest.mark.xdist_group("chromium-phone"),
    pytest.mark.asyncio(loop_scope="session"),
]

KEPT_IN_TAB = "sessionStorage.length"


async def test_organisation_and_account_are_named_before_the_tap(handset: Handset) -> None:
    await handset.approval.account()
    await handset.open(f"#i={await handset.approval.invitation()}")
    await handset.heading("Set up this phone")
    facts = handset.page.locator("[data-view=invited] dl")
    await expect(facts).to_contain_text("Contoso")
    await expect(facts).to_contain_text("ada@contoso.example")
    assert await handset.approval.devices_told() == []
    assert handset.approval.world.documents("approval", "sessions") == []


async def test_reload_before_the_tap_loses_nothing(handset: Handset) -> None:
    await handset.approval.account()
    await handset.open(f"#i={await handset.approval.invitation()}")
    await handset.heading("Set up this phone")
    assert handset.page.url == f"{handset.origin}/"
    await handset.page.reload()
    await handset.heading("Set up this phone")
    await handset.press("Set up")
    await handset.heading("This phone is ready")
    assert await handset.page.evaluate(KEPT_IN_TAB) == 0
    assert len(await handset.approval.devices_told()) == 1


async def test_not_now_spends_nothing_and_forgets_the_invitation_here(handset: Handset) -> None:
    await handset.approval.account()
    fragment = await handset.approval.invitation()
    await handset.open(f"#i={fragment}")
    await handset.press("Not now")
    await handset.heading("Unlock BlokKey")
    assert await handset.page.evaluate(KEPT_IN_TAB) == 0
    await handset.open(f"#i={fragment}")
    await handset.press("Set up")
    await handset.heading("This phone is ready")


@pytest.mark.parametrize("end", ["used", "expired"])
async def test_a_link_that_is_over_is_refused_before_the_tap(handset: Handset, end: str) -> None:
    if end == "used":
        await handset.approval.account()
        fragment = await handset.approval.invitation()
        await handset.open(f"#i={fragment}")
        await handset.press("Set up")
        await handset.heading("This phone is ready")
    else:
        await handset.approval.account()
        fragment = await handset.approval.invitation(hours=1)
        handset.approval.world.clock.advance(3601)
    await handset.open(f"#i={fragment}")
    await handset.heading("This link no longer works")
    assert await handset.page.evaluate(KEPT_IN_TAB) == 0


async def test_a_new_link_is_asked_for_where_the_old_one_no_longer_works(handset: Handset) -> None:
    """The page says no more than it knows: whether a mail was sent, only the mailbox shows."""
    await handset.approval.account(status=AccountStatus.INVITED)
    fragment = await handset.approval.invitation(hours=1)
    handset.approval.world.clock.advance(3601)
    await handset.open(f"#i={fragment}")
    await handset.heading("This link no longer works")
    await handset.page.route("**/api/new-links", lambda route: route.abort())
    await handset.press("Send a new link")
    await expect(handset.page.locator("#remark")).to_have_text(
        "No connection, so nothing was sent. Try again."
    )
    await handset.page.unroute("**/api/new-links")
    await handset.press("Send a new link")
    await handset.heading("Check your mail")
    await expect(handset.page.get_by_role("button", name="Send a new link")).to_be_hidden()
    sent = [each for each in handset.approval.world.bus.sent if each.type == "admin.invitation.renew.v1"]
    assert [fragment.partition(".")[0].encode() in each.body for each in sent] == [True]


async def test_a_page_that_was_left_open_makes_its_key_over_a_new_nonce(handset: Handset) -> None:
    """The API's nonce is good for five minutes; who reads longer than that is not sent back."""
    await handset.page.clock.install()
    await handset.approval.account()
    await handset.open(f"#i={await handset.approval.invitation()}")
    await handset.heading("Set up this phone")
    handset.approval.world.clock.advance(600)
    await handset.page.clock.fast_forward(600_000)
    await handset.press("Set up")
    await handset.heading("This phone is ready")


async def test_no_network_before_the_tap_is_said_and_tried_again(handset: Handset) -> None:
    await handset.approval.account()
    await handset.page.route("**/api/enrolments", lambda route: route.abort())
    await handset.open(f"#i={await handset.approval.invitation()}")
    await handset.heading("We can't do that right now")
    await handset.page.unroute("**/api/enrolments")
    await handset.press("Try again")
    await handset.heading("Set up this phone")


async def test_cancelled_finger_is_seen_and_the_link_is_good_for_another_try(handset: Handset) -> None:
    await handset.approval.account()
    await handset.open(f"#i={await handset.approval.invitation()}")
    verified = {"authenticatorId": handset.authenticator, "isUserVerified": False}
    await handset.devtools.send("WebAuthn.setUserVerified", verified)
    await handset.press("Set up")
    await expect(handset.page.locator("#remark")).to_have_text("That didn't finish.")
    await expect(handset.page.locator("#remark")).to_be_visible()
    await handset.devtools.send("WebAuthn.setUserVerified", verified | {"isUserVerified": True})
    await handset.press("Set up")
    await handset.heading("This phone is ready")


async def test_first_sign_in_asks_for_the_finger_twice(handset: Handset) -> None:
    """To enrol, and to approve: the phone's first session needs none of its own."""
    await handset.page.add_init_script(COUNT_SIGNATURES)
    await handset.enrol()
    assert await handset.page.evaluate("window.created !== undefined")
    asked = await handset.ask()
    await handset.heading("Are you signing in to")
    await handset.code(asked.code)
    await handset.heading("Approved")
    assert await handset.page.evaluate("window.signed.length") == 1


async def test_a_phone_whose_request_another_sent_first_unlocks_by_its_key(handset: Handset) -> None:
    """A proxy's reader puts the digest of his own token into the request: there is a phone, and no session."""

    async def change(route: Route) -> None:
        body = json.loads(route.request.post_data or "")
        await route.continue_(post_data=json.dumps({**body, "session": "A" * 43}))

    await handset.page.route("**/api/enrolments/*", change)
    await handset.enrol()
    assert len(await handset.approval.devices_told()) == 1
    assert handset.approval.world.documents("approval", "sessions") == []
    await handset.press("Back to requests")
    await handset.heading("Unlock BlokKey")
    await handset.press("Unlock")
    await handset.heading("No requests")
    assert len(handset.approval.world.documents("approval", "sessions")) == 1


async def test_a_phone_that_is_set_up_already_is_told_so(handset: Handset) -> None:
    await handset.enrol()
    await handset.open(f"#i={await handset.approval.invitation()}")
    await handset.press("Set up")
    await handset.heading("This phone is already set up")
