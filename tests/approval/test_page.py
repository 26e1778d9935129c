"""The phone's page in Chromium with a virtual authenticator: its JavaScript against the real routes."""

import re
from pathlib import Path

import pytest
from playwright.async_api import Route, expect

from shared.contracts.approval import ChallengeAccepted
from tests.approval.handset import Handset, passed_on
from tests.approval.support import Phone, decide
from tests.mmdb import COLOGNE_ADDRESS, LYON_ADDRESS

pytestmark = [
    pytest.mark.integration,
    pytest.mark.xdist_group("chromium-phone"),
    pytest.mark.asyncio(loop_scope="session"),
]


async def test_enrols_unlocks_and_approves(handset: Handset) -> None:
    await handset.enrol()
    (device,) = await handset.approval.devices_told()
    assert device.name == "Ada's phone"
    asked = await handset.ask()
    await handset.lock()
    await handset.press("Unlock")
    await handset.heading("Are you signing in to Microsoft 365?")
    await expect(handset.page.locator("section:not([hidden]) h1")).to_be_focused()
    await handset.code("482 913")
    await handset.heading("Approved")
    assert await handset.approval.outcomes() == [(asked.command.transaction, "accepted")]
    (told,) = [m for m in handset.approval.heard if isinstance(m, ChallengeAccepted)]
    assert told.proof.context == asked.with_code()


@pytest.mark.parametrize("lost", [1, 3])
async def test_lost_answer_to_an_enrolment_is_asked_for_again(handset: Handset, lost: int) -> None:
    """By itself twice, and then by a button. The server has the device since the first time."""
    asked = 0

    async def lose(route: Route) -> None:
        nonlocal asked
        asked += 1
        answer = await passed_on(route)
        await (route.abort() if asked <= lost else route.fulfill(response=answer))

    await handset.page.route("**/api/enrolments/*", lose)
    await handset.approval.account()
    await handset.open(f"#i={await handset.approval.invitation()}")
    await handset.press("Set up")
    if lost == 3:
        await handset.heading("We can't do that right now")
        await handset.press("Try again")
    await handset.heading("This phone is ready")
    assert asked == lost + 1
    assert len(await handset.approval.devices_told()) == 1
    await handset.look()
    await handset.heading("No requests")


async def test_secret_of_the_link_is_taken_out_of_the_address(handset: Handset) -> None:
    await handset.approval.account()
    await handset.open(f"#i={await handset.approval.invitation()}")
    await handset.heading("Set up this phone")
    assert handset.page.url == f"{handset.origin}/"


async def test_request_appears_by_itself(handset: Handset) -> None:
    await handset.enrol()
    await handset.look()
    await handset.heading("No requests")
    await handset.ask()
    await handset.heading("Are you signing in to")


async def test_wrong_code_is_said_at_the_field_and_the_third_ends(handset: Handset) -> None:
    await handset.enrol()
    asked = await handset.ask()
    await handset.look()
    await handset.code("")
    await expect(handset.page.get_by_role("link", name="Enter the code")).to_be_visible()
    for code in ("000000", "111111"):
        await handset.code(code)
        await expect(handset.page.locator("#code-error")).to_have_text(
            "That isn't the code for this request. Enter the one that your sign-in page shows now."
        )
        await expect(handset.page.get_by_label("Code from your sign-in page")).to_have_value("")
    await handset.code("222222")
    await handset.heading("Wrong code three times")
    assert handset.approval.state(asked) == "wrong_code"


async def test_after_a_wrong_code_the_field_and_what_is_said_stand_above_the_answers(
    handset: Handset,
) -> None:
    await handset.page.set_viewport_size({"width": 360, "height": 640})
    await handset.enrol()
    await handset.ask()
    await handset.look()
    await handset.code("000000")
    await expect(handset.page.locator("#code-error")).to_be_visible()
    await expect(handset.page.locator("[data-summary]")).to_be_focused()
    tops = await handset.page.evaluate(
        """["[data-summary]", "#code-error", "#code", ".answers"].map((selector) => {
          const { top, bottom } = document.querySelector(`[data-view=request] ${selector}`).getBoundingClientRect();
          return [top, bottom];
        })"""
    )
    assert tops[0][0] >= 0
    assert tops[1][0] >= 0
    assert tops[2][1] <= tops[3][0]


async def test_a_link_within_the_page_moves_the_focus_and_begins_nothing(handset: Handset) -> None:
    await handset.enrol()
    await handset.ask()
    await handset.look()
    await handset.code("000000")
    await handset.page.get_by_role("link", name="That isn't the code").click()
    await expect(handset.page.get_by_label("Code from your sign-in page")).to_be_focused()
    await handset.page.locator(".skip-link").focus()
    await handset.page.keyboard.press("Enter")
    await expect(handset.page.locator("#main")).to_be_focused()
    await handset.page.evaluate("location.hash = 'main'")
    await expect(handset.page.locator("#code-error")).to_be_visible()
    await handset.heading("Are you signing in to")


async def test_an_unknown_place_is_said_to_be_one_beside_the_address(handset: Handset) -> None:
    await handset.enrol()
    await handset.ask(address="127.0.0.1", place="")
    await handset.look()
    await expect(handset.page.locator("[data-view=request] [data-fact=place]")).to_have_text("Unknown")
    await expect(handset.page.locator("[data-view=request] [data-fact=address]")).to_have_text("127.0.0.1")


async def test_dates_are_written_as_the_reader_of_that_language_does(handset: Handset) -> None:
    await handset.enrol()
    for tag, form in (("en-GB", r"since \d{1,2} [A-Z]"), ("fr-CA,en-GB", r"depuis \d{1,2} ")):
        override = {"userAgent": "Test", "acceptLanguage": tag}
        await handset.devtools.send("Emulation.setUserAgentOverride", override)
        await handset.open()
        await handset.page.locator("[data-do=devices]:visible").first.click()
        await expect(handset.page.locator("[data-devices]")).to_contain_text(re.compile(form))


@pytest.mark.parametrize(
    ("button", "heading", "outcome"),
    [("Decline", "Declined", "denied"), ("This isn't me", "Thank you for telling us", "not_me")],
)
async def test_says_no(handset: Handset, button: str, heading: str, outcome: str) -> None:
    await handset.enrol()
    asked = await handset.ask()
    await handset.look()
    await handset.heading("Are you signing in to")
    await handset.press(button)
    await handset.heading(heading)
    assert handset.approval.state(asked) == outcome


async def test_the_browser_is_named_in_french_and_what_is_signed_stays_as_it_came(handset: Handset) -> None:
    await handset.enrol()
    asked = await handset.ask()
    agent = {"userAgent": "Test", "acceptLanguage": "fr"}
    await handset.devtools.send("Emulation.setUserAgentOverride", agent)
    await handset.open()
    await expect(handset.page.locator("[data-fact=agent]")).to_have_text("Firefox sous Windows")
    await handset.page.get_by_label("Code de votre page de connexion").fill(asked.code)
    await handset.press("Approuver")
    await handset.heading("Connexion approuvée")
    assert handset.approval.state(asked) == "accepted"  # over the text with "Firefox on Windows"


@pytest.mark.parametrize(
    ("agent", "words"),
    [
        ("Unknown browser", "Navigateur inconnu"),
        ("Unknown browser on Linux", "Navigateur inconnu sous Linux"),
        ("Samsung Internet on Android", "Samsung Internet sous Android"),
        ("Safari on iPhone", "Safari sur iPhone"),
        ("Chrome", "Chrome"),
        ("Chrome on <b>Linux</b>", "Chrome on <b>Linux</b>"),
        ("", ""),
    ],
)
async def test_only_what_wsfed_writes_of_a_browser_is_translated(
    handset: Handset, agent: str, words: str
) -> None:
    await handset.devtools.send(
        "Emulation.setUserAgentOverride", {"userAgent": "Test", "acceptLanguage": "fr"}
    )
    await handset.open()
    said = await handset.page.evaluate(
        """async (agent) => {
          const { agentInWords } = await import(document.querySelector("link[href$='/agent.js']").href);
          const words = document.getElementById("words").content;
          return agentInWords(agent, (key) => words.querySelector(`[data-word="${key}"]`).textContent);
        }""",
        agent,
    )
    assert said == words


async def test_scanned_code_opens_its_request_after_unlocking(handset: Handset) -> None:
    await handset.enrol()
    asked = await handset.ask(method="qr")
    await handset.lock()
    await handset.open(f"#q={asked.handle}")
    await handset.heading("Unlock BlokKey")
    await handset.press("Unlock")
    await handset.heading("Are you signing in to")
    await handset.code(asked.code)
    await handset.heading("Approved")


async def test_rejects_a_scanned_code_for_another_account(handset: Handset) -> None:
    await handset.enrol()
    await handset.approval.phone("grace")
    asked = await handset.ask(account="grace", method="qr")
    await handset.open(f"#q={asked.handle}")
    await handset.heading("This code is for another account")


async def test_a_code_that_is_over_is_said_once_and_is_no_dead_end(handset: Handset) -> None:
    await handset.enrol()
    await handset.open("#q=unknown")
    await handset.heading("This request has expired")
    await handset.press("Back to requests")
    await handset.heading("No requests")


async def test_several_requests_are_chosen_from(handset: Handset) -> None:
    await handset.enrol()
    await handset.ask(browser="a")
    known = await handset.ask(browser="b", known=True)
    await handset.look()
    await handset.heading("Your requests")
    await handset.page.locator("[data-requests] button").first.click()
    await handset.code(known.code)
    await handset.heading("Approved")
    assert handset.approval.state(known) == "accepted"


async def test_known_browsers_code_is_approved_without_typing(handset: Handset) -> None:
    await handset.enrol()
    asked = await handset.ask(method="qr", known=True, code="")
    await handset.open(f"#q={asked.handle}")
    await handset.heading("Are you signing in to")
    await expect(handset.page.get_by_label("Code from your sign-in page")).to_be_hidden()
    await handset.press("Approve")
    await handset.heading("Approved")
    assert handset.approval.state(asked) == "accepted"


async def test_a_test_sign_in_is_called_one_by_the_relying_party_that_is_signed(handset: Handset) -> None:
    await handset.enrol()
    origin = handset.approval.world.platform.settings.origin
    said = handset.page.get_by_text("This is only a test")
    for realm in (
        "urn:federation",
        f"{origin}/t/fabrikam/try",
        f"{origin}/t/contoso/try/",
        "https://x/t/contoso/try",
    ):
        await handset.ask(realm=realm)
        await handset.look()
        await handset.heading("Are you signing in to Microsoft 365?")
        await expect(said).to_be_hidden()
        await handset.press("Decline")
        await handset.press("Back to requests")
    asked = await handset.ask(realm=f"{origin}/t/contoso/try")
    await handset.look()
    await handset.heading("Did you start a test sign-in?")
    await expect(said).to_be_visible()
    await handset.code(asked.code)
    await handset.heading("Approved")


@pytest.mark.parametrize(("address", "warned"), [("5.1.0.99", False), ("198.51.100.7", True)])
async def test_different_networks_are_said_in_words(handset: Handset, address: str, warned: bool) -> None:
    await handset.enrol()
    await handset.ask(address=address)
    await handset.page.set_extra_http_headers({"X-Forwarded-For": COLOGNE_ADDRESS})
    await handset.look()
    await handset.heading("Are you signing in to")
    warning = handset.page.get_by_text("are on different networks")
    await expect(warning).to_be_visible(visible=warned)


@pytest.mark.parametrize(
    ("language", "says", "browser", "phone"),
    [
        (
            "en",
            "The browser seems to be in another country",
            "Browser requesting sign-in: France",
            "This phone: Germany",
        ),
        (
            "fr",
            "Le navigateur semble être dans un autre pays",
            "Navigateur qui demande la connexion\u00a0: France",
            "Allemagne",
        ),
    ],
)
async def test_different_countries_are_said_before_the_facts(
    handset: Handset, language: str, says: str, browser: str, phone: str
) -> None:
    await handset.enrol()
    await handset.ask(address=LYON_ADDRESS)
    await handset.look()
    await handset.page.set_extra_http_headers({"X-Forwarded-For": COLOGNE_ADDRESS})
    agent = {"userAgent": "Test", "acceptLanguage": language}
    await handset.devtools.send("Emulation.setUserAgentOverride", agent)
    await handset.open()
    warning = handset.page.locator("#countries")
    await expect(warning.get_by_role("heading")).to_have_text(says)
    await expect(warning).to_contain_text(browser)
    await expect(warning).to_contain_text(phone)
    heading = handset.page.locator("section:not([hidden]) h1")
    await expect(heading).to_be_focused()
    await expect(heading).to_have_accessible_description(re.compile(re.escape(says)))  # read with the heading
    await expect(handset.page.locator("[data-network]")).to_be_hidden()  # said better already
    card, box = await handset.page.locator("main").bounding_box(), await warning.bounding_box()
    facts = await handset.page.locator("[data-view=request] dl.facts").bounding_box()
    assert card is not None
    assert box is not None
    assert facts is not None
    assert (box["x"], box["width"]) == (card["x"], card["width"])
    assert box["y"] + box["height"] <= facts["y"]


async def test_one_country_is_not_warned_of(handset: Handset) -> None:
    """Not even after a request from another country was on the screen."""
    await handset.enrol()
    far = await handset.ask(address=LYON_ADDRESS)
    await handset.page.set_extra_http_headers({"X-Forwarded-For": COLOGNE_ADDRESS})
    await handset.look()
    await expect(handset.page.locator("#countries")).to_be_visible()
    await handset.press("Decline")
    await handset.heading("Declined")
    assert handset.approval.state(far) == "denied"
    await handset.ask(address=COLOGNE_ADDRESS)
    await handset.heading("Are you signing in to")
    await expect(handset.page.locator("#countries")).to_be_hidden()
    heading = handset.page.locator("section:not([hidden]) h1")
    await expect(heading).to_have_accessible_description("")


KEYBOARD_OVERLAYS = """
const room = new EventTarget();
Object.assign(room, { offsetTop: 0, height: innerHeight, scale: 1 });
Object.defineProperty(window, "visualViewport", { value: room });
window.keyboard = (height) => { room.height = height; room.dispatchEvent(new Event("resize")); };
"""


COVERED = """async () => {
  for (let frame = 0; ; frame++) {
    const covered = [...document.querySelectorAll("[data-view=request] .facts > div, #code")].filter((e) => {
      const box = e.getBoundingClientRect();
      return box.top < 0 || box.bottom > 420;
    });
    if (!covered.length || frame === 30) return covered.map((e) => e.textContent.trim() + e.id);
    await new Promise(requestAnimationFrame);
  }
}"""
"""Facts and field that do not come to lie wholly in the upper 420 px."""


@pytest.mark.parametrize("overlays", [False, True])
async def test_keyboard_does_not_cover_the_facts(handset: Handset, overlays: bool) -> None:
    """On some phones the page gets smaller, on others (iOS) the keyboard lies over it."""
    if overlays:
        await handset.page.add_init_script(KEYBOARD_OVERLAYS)
    await handset.enrol()
    await handset.ask(address=LYON_ADDRESS)
    await handset.page.set_extra_http_headers({"X-Forwarded-For": COLOGNE_ADDRESS})
    await handset.look()
    await expect(handset.page.locator("#countries")).to_be_visible()
    await handset.page.get_by_label("Code from your sign-in page").click()
    if overlays:
        await handset.page.evaluate("keyboard(420)")
    else:
        await handset.page.set_viewport_size({"width": 390, "height": 420})
    assert await handset.page.evaluate(COVERED) == []
    await expect(handset.page.get_by_label("Code from your sign-in page")).to_be_focused()


async def test_own_phones_are_listed_and_another_removed(handset: Handset) -> None:
    await handset.enrol()
    other = Phone(handset.approval)
    await other.enrol(await handset.approval.invitation(), name="Old phone")
    (this,) = [key for key, d in handset.approval.document()["devices"].items() if d["name"] == "Ada's phone"]
    await decide(handset.approval, this, "trusted", version=1)
    await handset.look()
    await handset.press("My phones")
    await handset.heading("My phones")
    await expect(handset.page.locator("[data-devices] li")).to_have_count(2)
    await handset.page.get_by_role("button", name="Remove Old phone").click()
    await handset.heading("Remove Old phone?")
    await handset.press("Keep")
    await handset.page.get_by_role("button", name="Remove Old phone").click()
    await handset.press("Remove")
    await handset.heading("Removed")
    told = await handset.approval.devices_told()
    assert [d.name for d in told if d.status == "removed"] == ["Old phone"]


async def test_dead_link(handset: Handset) -> None:
    """Said at once, before anything is tapped, and not asked for again after a reload."""
    await handset.open("#i=unknown.c2VlZA")
    await handset.heading("This link no longer works")
    await handset.page.reload()
    await handset.heading("Unlock BlokKey")


async def test_declined_user_verification_approves_nothing(handset: Handset) -> None:
    await handset.enrol()
    asked = await handset.ask()
    await handset.look()
    await handset.heading("Are you signing in to")
    await handset.devtools.send(
        "WebAuthn.setUserVerified", {"authenticatorId": handset.authenticator, "isUserVerified": False}
    )
    await handset.code(asked.code)
    await expect(handset.page.locator("#status")).to_have_text("That didn't finish.")
    await expect(handset.page.locator("#remark")).to_be_visible()
    await expect(handset.page.locator("#remark")).to_have_text("That didn't finish.")
    assert handset.approval.state(asked) == "open"


async def test_browser_without_a_key_says_how_to_go_on(handset: Handset) -> None:
    await handset.page.add_init_script("delete window.PublicKeyCredential")
    await handset.open("#i=x.y")
    await handset.heading("Open this in your browser")
    assert handset.page.url.endswith("#i=x.y")  # so that the link can be copied


async def test_the_answers_are_in_reach_and_hide_no_field_that_is_typed_in(handset: Handset) -> None:
    """On a small phone the whole question does not fit; at 200 % nothing sticks, or nothing else would be seen."""
    await handset.enrol()
    await handset.ask(address="198.51.100.7")
    await handset.look()
    await handset.heading("Are you signing in to")
    answers = [
        handset.page.get_by_role("button", name=name) for name in ("Approve", "Decline", "This isn't me")
    ]
    await handset.page.set_viewport_size({"width": 390, "height": 664})
    for button in answers:
        await expect(button).to_be_in_viewport(ratio=1)
    field = handset.page.get_by_label("Code from your sign-in page")
    await field.focus()
    await expect(field).to_be_in_viewport(ratio=1)
    below = await answers[0].bounding_box()
    box = await field.bounding_box()
    assert below is not None
    assert box is not None
    assert box["y"] + box["height"] <= below["y"]
    await handset.page.set_viewport_size({"width": 195, "height": 332})
    await handset.page.locator("section:not([hidden]) h1").focus()
    assert await answers[0].evaluate("each => getComputedStyle(each.parentElement).position") == "static"


async def test_no_sideways_scroll_at_any_width(handset: Handset, tmp_path: Path) -> None:
    await handset.enrol()
    await handset.ask()
    await handset.look()
    await handset.heading("Are you signing in to")
    for width in (320, 390, 1280):
        await handset.page.set_viewport_size({"width": width, "height": 844})
        wide = await handset.page.evaluate("document.documentElement.scrollWidth")
        assert wide <= width
        await handset.page.screenshot(path=tmp_path / f"{width}.png", full_page=True)
