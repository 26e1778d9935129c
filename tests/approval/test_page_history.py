"""Recent sign-ins on the phone's page (docs/flows/phone.md, "Recent sign-ins")."""

import re
from typing import Any

import pytest
from playwright.async_api import expect

from tests.approval.handset import Handset
from tests.approval.support import decide

pytestmark = [
    pytest.mark.integration,
    pytest.mark.slow,
    pytest.mark.xdist_group("chromium-phone"),
    pytest.mark.asyncio(loop_scope="session"),
]


async def confirm(handset: Handset, account: str = "ada", tenant: str = "contoso") -> None:
    """The organisation confirms the phone that was enrolled last."""
    device = (await handset.approval.devices_told())[-1].device
    await decide(handset.approval, device, "trusted", account=account, tenant=tenant)


async def open_history(handset: Handset) -> None:
    await handset.press("Recent sign-ins")
    await handset.heading("Recent sign-ins")


async def test_what_was_answered_is_listed_newest_first(handset: Handset) -> None:
    await handset.enrol_and_unlock()
    await confirm(handset)
    asked = await handset.ask()
    await handset.code(asked.code)
    await handset.heading("Approved")
    handset.approval.world.clock.advance(60)
    await handset.ask()
    await handset.press("This isn't me")
    await handset.press("Back to requests")
    await open_history(handset)
    rows = handset.page.locator("[data-past] li")
    await expect(rows).to_have_count(2)
    await expect(rows.first).to_contain_text("You said it wasn't you")
    await expect(rows.last).to_contain_text(
        re.compile("Approved.*Microsoft 365 · Firefox on Windows.*Lyon, France .approximate. · 192.0.2.17")
    )
    await expect(handset.page.locator("[data-kept]")).to_contain_text("last 20 requests")
    await expect(handset.page.locator("[data-kept]")).to_contain_text("90 days")


async def test_without_any_it_says_what_will_be_there_and_notices_a_request(handset: Handset) -> None:
    await handset.enrol_and_unlock()
    await open_history(handset)
    await expect(handset.page.locator("[data-nothing]")).to_be_visible()
    await expect(handset.page.get_by_text("Tell your administrator at once")).to_be_hidden()
    await handset.ask()
    await handset.heading("Are you signing in to")


async def test_two_accounts_are_told_apart(handset: Handset) -> None:
    approval = handset.approval
    await handset.enrol()
    await confirm(handset)
    await approval.account("grace", tenant="fabrikam")
    await handset.open(f"#i={await approval.invitation('grace', tenant='fabrikam')}")
    await handset.press("Set up")
    await handset.heading("This phone is ready")
    await confirm(handset, "grace", "fabrikam")
    for account, tenant in (("ada", "contoso"), ("grace", "fabrikam")):
        await handset.ask(account=account, tenant=tenant)
        await handset.look()
        await handset.press("Decline")
        await handset.heading("Declined")
        approval.world.clock.advance(1)
    await handset.press("Back to requests")
    await open_history(handset)
    rows = handset.page.locator("[data-past] li")
    await expect(rows).to_have_text([re.compile("grace@fabrikam.example"), re.compile("ada@contoso.example")])


@pytest.mark.parametrize(
    "answer",
    [
        {},
        {"history": "x"},
        {"history": [None, 7, {}, {"state": "accepted"}], "kept": {"answered": "<b>"}},
        {
            "history": [
                {
                    "state": "x",
                    "application_name": "",
                    "agent": "",
                    "place": "",
                    "address": "",
                    "ended_at": "now",
                }
            ]
        },
    ],
)
async def test_an_answer_of_another_shape_breaks_nothing(handset: Handset, answer: dict[str, Any]) -> None:
    await handset.enrol_and_unlock()
    await handset.page.route("**/api/history", lambda route: route.fulfill(json=answer))
    await handset.press("Recent sign-ins")
    heading = "Recent sign-ins" if isinstance(answer.get("history"), list) else "That didn't work"
    await handset.heading(heading)
    await expect(handset.page.locator("[data-past] li")).to_have_count(0)
    await expect(handset.page.locator("[data-kept]")).to_have_text("")


async def test_a_list_of_requests_that_is_none_is_a_failure_and_nothing_else(handset: Handset) -> None:
    """It goes on asking, and shows the request when the answer is one again."""
    await handset.enrol_and_unlock()
    await handset.page.route("**/api/challenges", lambda route: route.fulfill(json={"challenges": {"a": 1}}))
    await handset.press("My phones")
    await handset.press("Back to requests")
    await handset.heading("That didn't work")
    await handset.page.unroute("**/api/challenges")
    await handset.ask()
    await handset.heading("Are you signing in to")


async def test_a_phone_without_a_screen_lock_is_told_so(handset: Handset) -> None:
    await handset.page.add_init_script(
        """if (window.PublicKeyCredential)
             PublicKeyCredential.isUserVerifyingPlatformAuthenticatorAvailable = async () => false;"""
    )
    await handset.open("#i=x.y")
    heading = handset.page.locator("section:not([hidden]) h1")
    await expect(heading).to_have_text("Set up a screen lock first", use_inner_text=True)
    await expect(handset.page.get_by_text("Copy the link")).to_be_hidden()
    await handset.press("Try again")
    await expect(heading).to_have_text("Set up a screen lock first", use_inner_text=True)
    assert handset.page.url.endswith("#i=x.y")
