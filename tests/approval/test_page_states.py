"""The screens of the phone's page: no screen is deaf, and the machine is the one that docs/flows/phone.md draws."""

import re
from pathlib import Path

import pytest
from playwright.async_api import Route, expect

from services.approval.domain import enrolment
from tests.approval.handset import Handset, passed_on
from tests.approval.support import Phone

pytestmark = [
    pytest.mark.integration,
    pytest.mark.slow,
    pytest.mark.xdist_group("chromium-phone"),
    pytest.mark.asyncio(loop_scope="session"),
]

DRAWN = Path(__file__).parents[2] / "docs" / "flows" / "phone.md"
REQUEST = "Are you signing in to"
IN_CODE = """async () => {
  const { STATES, NEWS, CAMERA } = await import(document.querySelector("link[href$='/states.js']").href);
  return [STATES, NEWS, CAMERA];
}"""


def table(first_columns: str) -> list[dict[str, str]]:
    """The rows of the table of the drawing whose header begins with that."""
    text = DRAWN.read_text("utf-8")
    (found,) = re.findall(rf"^(\| {re.escape(first_columns)}[^\n]*)\n\|[-|]+\n((?:\|[^\n]*\n)+)", text, re.M)
    header, *rows = [
        [cell.strip() for cell in line.strip("|").split("|")] for line in (found[0], *found[1].splitlines())
    ]
    return [dict(zip(header, row, strict=True)) for row in rows]


def transitions(first_columns: str) -> dict[str, dict[str, str]]:
    """What each event leads to in each state, by such a table."""
    return {
        row.pop(first_columns.partition(" ")[0]): {event: to for event, to in row.items() if to}
        for row in table(first_columns)
    }


async def test_machine_is_the_one_that_is_drawn(handset: Handset) -> None:
    await handset.open()
    states, news, camera = await handset.page.evaluate(IN_CODE)
    assert transitions("state | none") == states
    assert transitions("camera | asked") == camera
    assert {row["state"]: row["news"] for row in table("state | news")} == news
    views = await handset.page.eval_on_selector_all("[data-view]", "all => all.map(e => e.dataset.view)")
    assert sorted(views) == sorted(states)


async def test_ready_notices_a_request(handset: Handset) -> None:
    await handset.enrol()
    await handset.ask()
    await handset.heading(REQUEST)


@pytest.mark.parametrize(
    ("button", "outcome"),
    [("Approve", "Approved"), ("Decline", "Declined"), (None, "This request has expired")],
)
async def test_an_outcome_notices_the_next_request(
    handset: Handset, button: str | None, outcome: str
) -> None:
    await handset.enrol_and_unlock()
    asked = await handset.ask()
    await handset.heading(REQUEST)
    if button == "Approve":
        await handset.code(asked.code)
    elif button is not None:
        await handset.press(button)
    else:
        handset.approval.world.clock.advance(121)
    await handset.heading(outcome)
    await handset.ask()
    await handset.heading(REQUEST)


async def test_my_phones_notice_a_request(handset: Handset) -> None:
    await handset.enrol_and_unlock()
    await handset.press("My phones")
    await handset.heading("My phones")
    await handset.ask()
    await handset.heading(REQUEST)


async def test_a_request_is_not_pushed_aside_by_another(handset: Handset) -> None:
    """What the person is answering stays; the other one is a tap away."""
    await handset.enrol_and_unlock()
    first = await handset.ask(browser="a")
    await handset.heading(REQUEST)
    await handset.page.get_by_label("Code from your sign-in page").fill("482")
    await handset.ask(browser="b")
    await expect(handset.page.get_by_text("Another sign-in request is waiting.").first).to_be_visible()
    await expect(handset.page.get_by_label("Code from your sign-in page")).to_have_value("482")
    await handset.press("Show")
    await handset.heading("Your requests")
    assert handset.approval.state(first) == "open"


@pytest.mark.parametrize("screen", ["invited", "remove"])
async def test_a_question_stays_and_says_that_a_request_waits(handset: Handset, screen: str) -> None:
    await handset.enrol_and_unlock()
    if screen == "invited":
        await handset.approval.account("grace")
        await handset.open(f"#i={await handset.approval.invitation('grace')}")
    else:
        await handset.press("My phones")
        await handset.page.get_by_role("button", name="Remove Ada's phone").click()
    section = handset.page.locator(f"[data-view={screen}]")
    await expect(section).to_be_visible()
    asked = await handset.ask()
    await expect(handset.page.locator("#more")).to_be_visible()
    await expect(section).to_be_visible()
    await handset.press("Show")
    await handset.heading(REQUEST)
    await expect(handset.page.locator("#more")).to_be_hidden()
    assert handset.approval.state(asked) == "open"


async def test_a_request_that_is_replaced_leads_to_the_newer_one(handset: Handset) -> None:
    await handset.enrol_and_unlock()
    first = await handset.ask()
    await handset.heading(REQUEST)
    await handset.page.get_by_label("Code from your sign-in page").fill("482")
    newer = await handset.ask()  # the same browser
    await expect(handset.page.locator("#remark")).to_contain_text("This browser asked again")
    assert handset.approval.state(first) == "superseded"
    await expect(handset.page.get_by_label("Code from your sign-in page")).to_have_value("")
    await handset.code(newer.code)
    await handset.heading("Approved")
    assert (newer.command.transaction, "accepted") in await handset.approval.outcomes()


async def test_another_browsers_request_is_not_taken_for_the_newer_one(handset: Handset) -> None:
    """Its own was replaced by a QR code, which no list shows; somebody else's request waits beside it."""
    await handset.enrol_and_unlock()
    await handset.ask(browser="a")
    await handset.heading(REQUEST)
    await handset.ask(browser="b", address="198.51.100.7")
    await handset.ask(browser="a", method="qr")
    await handset.heading("This request is over")


async def test_a_request_expires_by_the_phones_own_counter_without_a_network(handset: Handset) -> None:
    await handset.enrol_and_unlock()
    await handset.ask(lifetime=4)
    await handset.heading(REQUEST)
    await handset.page.context.set_offline(True)
    heading = handset.page.locator("section:not([hidden]) h1")
    await expect(heading).to_have_text(
        "This request has expired", timeout=15_000
    )  # four seconds on a machine at rest


async def test_time_left_is_seen_and_spoken_twice(handset: Handset) -> None:
    await handset.enrol_and_unlock()
    await handset.ask(lifetime=90)
    await handset.heading(REQUEST)
    counter = handset.page.locator("[data-left]")
    await expect(counter).to_have_text(re.compile(r"1:[0-3]\d"))
    assert await counter.evaluate("each => each.closest('[aria-hidden=true]') !== null")
    status = handset.page.locator("#status")
    handset.approval.world.clock.advance(35)
    await expect(status).to_have_text("1 minute left.")
    handset.approval.world.clock.advance(36)
    await expect(status).to_have_text("20 seconds left.")


async def test_tries_left_are_said(handset: Handset) -> None:
    await handset.enrol_and_unlock()
    await handset.ask()
    field = handset.page.get_by_label("Code from your sign-in page")
    for wrong, left in (("000000", "2 tries left."), ("111111", "1 try left.")):
        await handset.code(wrong)
        await expect(handset.page.locator("#code-tries")).to_have_text(left)
        await expect(field).to_have_accessible_description(re.compile(re.escape(left)))
    await handset.look()
    await handset.heading(REQUEST)
    await expect(handset.page.locator("#code-tries")).to_have_text("1 try left.")  # the API's word


async def test_approval_without_a_network_keeps_the_code_and_is_sent_later(handset: Handset) -> None:
    """One finger for it, and the answer that was lost in the middle is no failure either."""
    await handset.enrol_and_unlock()
    asked = await handset.ask()
    await handset.heading(REQUEST)
    sent: list[str] = []

    async def lose_the_answer(route: Route) -> None:
        sent.append(route.request.post_data or "")
        answer = await passed_on(route)
        await (route.abort() if len(sent) == 1 else route.fulfill(response=answer))

    await handset.page.route("**/approve", lose_the_answer)
    await handset.page.context.set_offline(True)
    await expect(handset.page.locator("#offline")).to_be_visible()
    await handset.code("482 913")
    await expect(handset.page.locator("#remark")).to_contain_text("Your approval will be sent")
    await expect(handset.page.get_by_label("Code from your sign-in page")).to_have_value("482 913")
    await handset.page.context.set_offline(False)
    await handset.heading("Approved")
    await expect(handset.page.locator("#offline")).to_be_hidden()
    assert len(set(sent)) == 1
    assert await handset.approval.outcomes() == [(asked.command.transaction, "accepted")]


async def test_lost_connection_is_shown_and_recovers(handset: Handset) -> None:
    await handset.enrol_and_unlock()
    await handset.page.route("**/api/challenges", lambda route: route.abort())
    await expect(handset.page.locator("#offline")).to_be_visible()
    await handset.page.reload()
    await handset.heading("We can't do that right now")
    await handset.page.unroute("**/api/challenges")
    await handset.heading("No requests")
    await expect(handset.page.locator("#offline")).to_be_hidden()


async def test_rows_tell_requests_apart_and_all_are_declined(handset: Handset) -> None:
    await handset.enrol_and_unlock()
    first = await handset.ask(browser="a")
    handset.approval.world.clock.advance(65)
    second = await handset.ask(browser="b")
    await handset.look()
    await handset.heading("Your requests")
    rows = handset.page.locator("[data-requests] button")
    await expect(rows).to_have_text(
        [re.compile("Firefox on Windows · Lyon, France.*" + age) for age in ("now|second", "1 minute ago")]
    )
    await handset.press("Decline all")
    await handset.heading("Declined")
    assert [handset.approval.state(each) for each in (first, second)] == ["denied", "denied"]
    assert handset.approval.document()["frozen_at"] is None


async def test_a_request_that_was_not_declined_is_not_said_to_be_and_the_rest_are(handset: Handset) -> None:
    await handset.enrol_and_unlock()
    refused, declined = await handset.ask(browser="a"), await handset.ask(browser="b")
    await handset.look()
    await handset.heading("Your requests")
    fault = {"status": 500, "json": {"code": "other"}}
    await handset.page.route(f"**/challenges/{refused.id}/deny", lambda route: route.fulfill(**fault))
    await handset.press("Decline all")
    await handset.heading("That didn't work")
    assert [handset.approval.state(each) for each in (refused, declined)] == ["open", "denied"]


async def test_signing_out_in_another_tab_is_noticed_on_a_request(handset: Handset) -> None:
    await handset.enrol_and_unlock()
    await handset.ask()
    await handset.heading(REQUEST)
    other = await handset.page.context.new_page()
    await other.goto(f"{handset.origin}/")
    await other.evaluate("""async () => {
      const { accounts, forgetToken } = await import(document.querySelector("link[href$='/storage.js']").href);
      for (const each of await accounts()) await forgetToken(each);
    }""")
    await handset.heading("Unlock BlokKey")


async def test_two_accounts_of_two_organisations_on_one_phone(handset: Handset) -> None:
    """Home names both, requests of both come by themselves into one list, and each is answered with its own key."""
    approval = handset.approval
    await handset.enrol()
    await approval.account("grace", tenant="fabrikam")
    await handset.open(f"#i={await approval.invitation('grace', tenant='fabrikam')}")
    await handset.press("Set up")
    await handset.heading("This phone is ready")
    await handset.press("Back to requests")
    names = handset.page.locator("[data-view=home] [data-accounts] b")
    await expect(names).to_have_text(["ada@contoso.example", "grace@fabrikam.example"], use_inner_text=True)
    first = await handset.ask()
    second = await handset.ask(account="grace", tenant="fabrikam")
    await handset.look()
    await handset.heading("Your requests")
    await handset.page.locator("[data-requests] button", has_text="grace@fabrikam.example").click()
    await handset.code(second.code)
    await handset.heading("Approved")
    await handset.press("Back to requests")
    await handset.heading(REQUEST)
    await handset.code(first.code)
    await handset.heading("Approved")
    scanned = await handset.ask(account="grace", tenant="fabrikam", method="qr")
    await handset.open(f"#q={scanned.handle}")
    await handset.heading(REQUEST)
    await expect(handset.page.locator("[data-view=request] [data-fact=upn]")).to_have_text(
        "grace@fabrikam.example"
    )


async def test_one_account_is_unlocked_beside_another(handset: Handset) -> None:
    approval = handset.approval
    await handset.enrol()
    await approval.account("grace")
    await handset.open(f"#i={await approval.invitation('grace')}")
    await handset.press("Set up")
    await handset.heading("This phone is ready")
    session = next(
        each for each in approval.world.documents("approval", "sessions") if each["account"] == "ada"
    )
    await approval.deps.sessions.remove(session["_id"])
    await handset.press("Back to requests")
    await handset.ask()
    await handset.press("Unlock ada@contoso.example")
    await handset.heading(REQUEST)


async def test_setting_up_again_ends_the_older_key_and_its_session(handset: Handset) -> None:
    """The phone was removed and invited again: it is ready for good, and not "removed" by what it kept of before."""
    approval = handset.approval
    await handset.enrol()
    (device,) = await approval.devices_told()
    admin = Phone(approval)
    await admin.enrol(await approval.invitation())
    fragment = await approval.invitation()
    await approval.deps.accounts.change(
        "contoso", "ada", lambda account: enrolment.remove_device(account, device.device)
    )
    await handset.open(f"#i={fragment}")
    await handset.press("Set up")
    await handset.heading("This phone is ready")
    asked = await handset.ask()
    await handset.heading(REQUEST)
    await handset.code(asked.code)
    await handset.heading("Approved")
