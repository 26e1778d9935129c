"""The sign-in pages in Chromium: accessible, narrow, by keyboard, live, without script, under the policy."""

import dataclasses
from collections.abc import Callable, Iterator, Mapping

import pytest
from playwright.sync_api import Browser, BrowserContext, ConsoleMessage, Page, Route, expect

from services.wsfed.domain.authentication import DeviceMethod
from services.wsfed.domain.options import PageState
from services.wsfed.pages.views import TokenForm
from services.wsfed.routes.view_models import qr_picture
from tests.pages.axe import RUN, axe_script
from tests.pages.browser import AUTHENTICATOR, BUTTON_NAMES, Shown
from tests.pages.samples import OWN_PAGES, TOKEN, TRIALS, TXN, VIEWS, in_state, view

pytestmark = [pytest.mark.integration, pytest.mark.xdist_group("chromium")]


@pytest.fixture(scope="module")
def axe() -> str:
    return axe_script()


Open = Callable[..., Page]
TOUCH: Mapping[str, object] = {
    "viewport": {"width": 390, "height": 844},
    "is_mobile": True,
    "has_touch": True,
}
"""A phone: perhaps the one that has the key."""


def complains(message: ConsoleMessage) -> bool:
    """Errors and warnings, except that Chromium notes every page that comes with a status from 400."""
    return message.type in ("error", "warning") and "Failed to load resource" not in message.text


@pytest.fixture
def open_page(browser: Browser, shown: Shown) -> Iterator[Open]:
    """Open the page that is shown; any complaint on the console or uncaught error fails the test."""
    contexts: list[BrowserContext] = []
    complaints: list[str] = []

    def begin(path: str = f"/signin/{TXN}", **options: object) -> Page:
        context = browser.new_context(**{"viewport": {"width": 1280, "height": 800}, **options})  # type: ignore[arg-type]
        context.set_default_timeout(10_000)
        contexts.append(context)
        page = context.new_page()
        page.on("console", lambda message: complaints.append(message.text) if complains(message) else None)
        page.on("pageerror", lambda error: complaints.append(str(error)))
        page.goto(shown.origin + path)
        return page

    yield begin
    for context in contexts:
        context.close()
    assert complaints == []


@pytest.mark.parametrize("theme", ["light", pytest.param("dark", marks=pytest.mark.slow)])
def test_axe_finds_nothing_in_any_state(browser: Browser, shown: Shown, axe: str, theme: str) -> None:
    context = browser.new_context(bypass_csp=True, color_scheme=theme, service_workers="block")  # type: ignore[arg-type]
    page = context.new_page()
    found: dict[str, object] = {}
    for name, sample in VIEWS.items():
        shown.view = in_state(sample, PageState.FINISHED) if name == "proved" else sample
        page.goto(f"{shown.origin}/signin/{TXN}")
        page.evaluate(axe)
        violations = page.evaluate(RUN)
        if violations:
            found[name] = violations
    others = (*(f"/own/{name}" for name in OWN_PAGES), *(f"/trial/{name}" for name in TRIALS))
    for path in ("/signed-out", "/problem", "/added", *others):
        page.goto(shown.origin + path)
        page.evaluate(axe)
        violations = page.evaluate(RUN)
        if violations:
            found[path] = violations
    context.close()
    assert found == {}


@pytest.mark.parametrize("outcome", ["asking", "stopped", "refused"])
def test_axe_finds_nothing_around_the_passkeys_dialog(
    browser: Browser, shown: Shown, axe: str, outcome: str
) -> None:
    shown.view = VIEWS["push-waiting"]
    context = browser.new_context(bypass_csp=True, service_workers="block")
    page = context.new_page()
    page.goto(f"{shown.origin}/signin/{TXN}")
    press_passkey(page, outcome)
    page.evaluate(axe)
    assert page.evaluate("axe.run().then(r => r.violations.map(v => v.id))") == []
    context.close()


def press_passkey(page: Page, outcome: str) -> None:
    """Press it on a device that does so; the page says it, to eyes and ears."""
    page.evaluate(f"{AUTHENTICATOR}; window.dialog = '{outcome}'")
    page.get_by_role("button", name="Use a passkey").click()
    expect(page.locator(f"[data-passkey={outcome}]")).to_be_visible()
    expect(page.locator("#status")).to_have_text(page.locator(f"[data-passkey={outcome}]").inner_text())


@pytest.mark.slow
def test_passkey_is_offered_in_every_state_with_a_way_on_and_in_no_other(
    open_page: Open, shown: Shown
) -> None:
    offered = {}
    for name, shown.view in VIEWS.items():
        if name != "proved":
            offered[name] = open_page().get_by_role("button", name="Use a passkey").count() == 1
    without = {"account", "account-problem", "finished", "loop"}
    assert {name for name, seen in offered.items() if not seen} == without


def test_second_press_while_the_device_asks_does_nothing(open_page: Open, shown: Shown) -> None:
    page = open_page()
    press_passkey(page, "asking")
    never = "() => { window.calls += 1; return new Promise(() => {}); }"
    calls = f"window.calls = 0; navigator.credentials.get = {never}; 0"
    page.evaluate(calls)
    page.get_by_role("button", name="Use a passkey").click(force=True)  # it calls itself disabled
    expect(page.locator("[data-passkey=asking]")).to_be_visible()
    assert page.evaluate("window.calls") == 0


def test_stopped_dialog_offers_another_try_and_sends_nothing(open_page: Open, shown: Shown) -> None:
    page = open_page()
    press_passkey(page, "stopped")
    assert shown.posts == []
    shown.passkey = 200
    page.evaluate("window.dialog = 'signs'")
    shown.on_post = lambda action, fields: None
    page.get_by_role("button", name="Use a passkey").click()
    expect(page.locator("#status")).to_have_text("Passkey accepted. Continuing.")
    assert [action for action, _ in shown.posts] == ["passkey"]
    assert set(shown.posts[0][1]) == {
        "csrf",
        "credential_id",
        "authenticator_data",
        "client_data_json",
        "signature",
    }


def test_news_of_the_phone_come_through_while_the_device_asks(open_page: Open, shown: Shown) -> None:
    shown.view = VIEWS["push-waiting"]
    page = open_page()
    with page.expect_response("**/events"):
        page.reload(wait_until="commit")
    press_passkey(page, "asking")
    shown.become(PageState.DENIED)
    expect(page.get_by_role("heading", level=1)).to_have_text("Request declined")
    expect(page.locator("[data-passkey=asking]")).to_be_visible()  # its dialog is still there


def test_renewed_qr_code_leaves_the_focus_on_the_passkey_and_its_notice(
    open_page: Open, shown: Shown
) -> None:
    shown.view = dataclasses.replace(VIEWS["qr-waiting"], expires_in=2)
    later = dataclasses.replace(
        VIEWS["qr-waiting"], version=4, qr=qr_picture("https://key.id.example/#q=other")
    )
    shown.on_post = lambda action, fields: shown.set(later)
    page = open_page()
    press_passkey(page, "stopped")
    button = page.get_by_role("button", name="Use a passkey")
    button.focus()
    expect(page.locator("#page")).to_have_attribute("data-version", "4")
    expect(button).to_be_focused()
    expect(page.locator("[data-passkey=stopped]")).to_be_visible()


def test_server_that_cannot_just_now_is_said(open_page: Open, shown: Shown) -> None:
    page = open_page()
    shown.passkey = 503
    page.evaluate(f"{AUTHENTICATOR}; window.dialog = 'signs'")
    page.get_by_role("button", name="Use a passkey").click()
    expect(page.locator("#offline")).to_be_visible()
    expect(page.get_by_role("button", name="Use a passkey")).to_be_enabled()


def test_only_a_passkey_and_a_browser_without_it(open_page: Open, shown: Shown) -> None:
    shown.view = VIEWS["passkey-only"]
    page = open_page()
    assert page.eval_on_selector_all("button", BUTTON_NAMES) == ["Use a passkey"]
    expect(page.locator("[data-without-passkey]")).to_be_hidden()
    page = open_page(java_script_enabled=False)
    assert page.eval_on_selector_all("button", BUTTON_NAMES) == []
    expect(page.get_by_text("can't use passkeys")).to_be_visible()
    expect(page.get_by_role("link", name="Start again at Microsoft 365")).to_be_visible()


@pytest.mark.parametrize("name", [n for n in VIEWS if n != "proved"])
def test_nothing_is_cut_off_at_320_px_or_at_200_percent(open_page: Open, shown: Shown, name: str) -> None:
    long = dataclasses.replace(
        VIEWS[name],
        account=VIEWS[name].account
        and "maximiliane.featherstonehaugh-cholmondeley@verwaltung.contoso.example",
        organisation="Contoso Rückversicherungsgesellschaft",
    )
    for shown.view, lang in ((VIEWS[name], "en"), (long, "fr")):
        shown.lang = lang
        page = open_page(viewport={"width": 320, "height": 640})
        assert page.evaluate("document.documentElement.scrollWidth") <= 320
        page.evaluate("document.documentElement.style.fontSize = '200%'")
        assert page.evaluate("document.documentElement.scrollWidth") <= 320


@pytest.mark.parametrize(
    "path", ["own/own", "own/own-problem", "own/own-slow", "own/own-remove", "trial/trial-failed"]
)
def test_nothing_of_the_own_page_or_a_trial_is_cut_off_at_320_px_or_at_200_percent(
    open_page: Open, shown: Shown, path: str
) -> None:
    for shown.lang in ("en", "fr"):
        page = open_page(viewport={"width": 320, "height": 640})
        page.goto(f"{shown.origin}/{path}")
        assert page.evaluate("document.documentElement.scrollWidth") <= 320
        page.evaluate("document.documentElement.style.fontSize = '200%'")
        assert page.evaluate("document.documentElement.scrollWidth") <= 320


def test_targets_are_at_least_48_px_high(open_page: Open, shown: Shown) -> None:
    for name, device in (
        *((name, {}) for name in ("start", "push-waiting", "expired", "account")),
        *((name, TOUCH) for name in ("push-waiting", "qr-waiting")),
    ):
        shown.view = VIEWS[name]
        page = open_page(**device)
        heights = page.eval_on_selector_all(
            ".button, input:not([type=hidden]), summary",
            "all => all.filter(e => e.offsetParent).map(e => e.getBoundingClientRect().height)",
        )
        assert heights
        assert min(heights) >= 48


NAME = """(() => {
  const held = document.activeElement;
  return (held.querySelector(".name") || held).textContent.trim();
})()"""
"""What the focused control is called: a row has a line of text below its name."""


def tab_order(page: Page, count: int) -> list[str]:
    stops = []
    for _ in range(count):
        page.keyboard.press("Tab")
        stops.append(page.evaluate(NAME))
    return stops


def test_focus_order(open_page: Open, shown: Shown) -> None:
    page = open_page()
    assert tab_order(page, 6) == [
        "Skip to main content",
        "Use another account",
        "Send a request to my phone",
        "Scan a QR code instead",
        "Use a passkey",
        "Can't use your phone?",
    ]
    shown.view = VIEWS["push-waiting"]
    page = open_page()
    assert tab_order(page, 6)[1:] == [
        "Use another account",
        "Send again",
        "Scan a QR code instead",
        "Use a passkey",
        "Can't use your phone?",
    ]
    order = page.evaluate("[...document.querySelectorAll('h1, h1 + p, .who, .code, .waiting, button, summary')]"
                          ".map(e => e.className || e.localName)")  # fmt: skip
    assert order == ["h1", "muted", "who", "code", "waiting muted small", "button secondary",
                     "button way secondary", "waiting", "button way secondary", "summary"]  # fmt: skip


def test_the_text_names_the_way_that_comes_first(open_page: Open, shown: Shown) -> None:
    expect(open_page().locator("[data-passkey-first]")).to_contain_text("Approve the sign-in in BlokKey")
    expect(open_page(**TOUCH).locator("[data-passkey-first]")).to_contain_text("Use a passkey, or approve")


def test_by_keyboard_alone_from_start_to_code(open_page: Open, shown: Shown) -> None:
    shown.on_post = lambda action, fields: shown.set(view(PageState.PUSH_WAITING, version=4))
    page = open_page()
    for _ in range(3):
        page.keyboard.press("Tab")
    page.keyboard.press("Enter")
    expect(page.get_by_role("heading", level=1)).to_have_text("Check your phone")
    expect(page.get_by_role("heading", level=1)).to_be_focused()
    assert shown.posts == [("push", {"csrf": "c" * 43})]
    expect(page).to_have_title("Check your phone – Contoso Ltd")
    expect(page.locator("#status")).to_have_text("Open BlokKey on your phone.")


def test_copied_code_is_plain_digits(open_page: Open, shown: Shown) -> None:
    shown.view = VIEWS["push-waiting"]
    page = open_page()
    page.locator("#code [data-code]").click()
    assert page.evaluate("getSelection().toString().trim()") == "482913"
    page.evaluate("getSelection().selectAllChildren(document.querySelector('.code-box'))")
    assert "482913" in page.evaluate("getSelection().toString()")
    gap = page.eval_on_selector_all(
        ".group", "([a, b]) => b.getBoundingClientRect().left - a.getBoundingClientRect().right"
    )
    assert gap > 8  # the eye sees two groups all the same


def test_stream_brings_the_next_state_and_moves_the_focus(open_page: Open, shown: Shown) -> None:
    shown.view = VIEWS["push-waiting"]
    page = open_page()
    with page.expect_response("**/events"):
        page.reload(wait_until="commit")
    shown.become(PageState.DENIED)
    expect(page.get_by_role("heading", level=1)).to_have_text("Request declined")
    expect(page.get_by_role("heading", level=1)).to_be_focused()
    expect(page.locator("#status")).to_have_text("The request was declined on the phone.")


def test_polling_covers_a_missing_stream(browser: Browser, shown: Shown) -> None:
    shown.streams = False
    shown.view = VIEWS["push-waiting"]
    context = browser.new_context()
    page = context.new_page()
    page.clock.install()
    page.goto(f"{shown.origin}/signin/{TXN}")
    shown.become(PageState.EXPIRED)
    page.clock.run_for(4_000)
    expect(page.get_by_role("heading", level=1)).to_have_text("Request expired")
    context.close()


def test_coming_back_to_the_page_asks_at_once(open_page: Open, shown: Shown) -> None:
    shown.streams = True
    shown.view = VIEWS["push-waiting"]
    page = open_page()
    # changed without waking the stream: what a phone that froze the page would have missed
    shown.view = in_state(shown.view, PageState.SUPERSEDED, version=9)
    page.evaluate("document.dispatchEvent(new Event('visibilitychange'))")
    expect(page.get_by_role("heading", level=1)).to_have_text("Continued in another tab")


def test_timer_counts_and_speaks_at_60_and_20_seconds(open_page: Open, shown: Shown) -> None:
    shown.view = VIEWS["push-waiting"]
    context_page = open_page()
    context_page.clock.install()
    context_page.reload()
    status = context_page.locator("#status")
    context_page.clock.run_for(10_000)
    expect(context_page.locator("[data-left]")).to_have_text("1:37")
    expect(status).to_have_text("")
    context_page.clock.run_for(37_500)
    expect(status).to_have_text("One minute left.")
    context_page.clock.run_for(40_000)
    expect(status).to_have_text("20 seconds left.")
    shown.view = in_state(shown.view, PageState.EXPIRED, version=4)
    context_page.clock.run_for(25_000)
    expect(context_page.get_by_role("heading", level=1)).to_have_text("Request expired")
    assert shown.posts == []  # never an automatic second push


def test_qr_is_renewed_quietly(open_page: Open, shown: Shown) -> None:
    shown.view = VIEWS["qr-waiting"]

    def renew(action: str, fields: Mapping[str, str]) -> None:
        assert shown.view is not None
        options = shown.view.options
        options = dataclasses.replace(options, renewals_left=options.renewals_left - 1)
        shown.view = dataclasses.replace(
            shown.view, version=shown.view.version + 1, options=options, qr=qr_picture("new")
        )

    shown.on_post = renew
    page = open_page()
    page.clock.install()
    page.reload()
    page.get_by_role("button", name="Send a request").focus()
    before = page.locator(".qr path").get_attribute("d")
    page.clock.run_for(61_500)
    expect(page.locator(".qr path")).not_to_have_attribute("d", before or "")
    assert shown.posts == [("qr", {"csrf": "c" * 43, "renews": VIEWS["qr-waiting"].options.renews})]
    expect(page.get_by_role("button", name="Send a request")).to_be_focused()
    expect(page.locator("#status")).to_have_text("")


def test_qr_is_at_least_240_px_with_five_a_module(open_page: Open, shown: Shown) -> None:
    shown.view = VIEWS["qr-waiting"]
    page = open_page(color_scheme="dark")
    box = page.locator(".qr svg").bounding_box()
    assert box is not None
    assert shown.view.qr is not None
    assert box["width"] >= 240
    assert box["width"] / (shown.view.qr.modules + 8) >= 5
    assert page.eval_on_selector(".qr rect", "e => getComputedStyle(e).fill") == "rgb(255, 255, 255)"


def test_proved_goes_on_once_and_back_lands_on_finished(open_page: Open, shown: Shown) -> None:
    shown.view = VIEWS["push-waiting"]
    shown.token = TokenForm(
        action=f"{shown.elsewhere}/login.srf",
        fields=(("wa", "wsignin1.0"), ("wctx", "a=1&b=<2>\"'")),
        back_url=f"/signin/{TXN}",
        organisation="Contoso Ltd",
    )
    page = open_page()
    with page.expect_response("**/events"):
        page.reload(wait_until="commit")
    shown.become(PageState.PROVED)
    page.wait_for_url("**/login.srf")
    assert [action for action, _ in shown.posts] == ["token", "login.srf"]
    assert shown.posts[1][1] == {"wa": "wsignin1.0", "wctx": "a=1&b=<2>\"'"}
    shown.become(PageState.FINISHED)
    page.go_back()
    expect(page.get_by_role("heading", level=1)).to_have_text("This sign-in is finished")
    assert [action for action, _ in shown.posts] == ["token", "login.srf"]


def test_token_page_posts_to_microsoft(browser: Browser, shown: Shown) -> None:
    shown.view, shown.token = VIEWS["proved"], TOKEN
    context = browser.new_context(java_script_enabled=False)
    context.route("https://login.microsoftonline.com/**", lambda route: route.fulfill(body="Microsoft"))
    page = context.new_page()
    page.goto(f"{shown.origin}/signin/{TXN}")
    page.get_by_role("button", name="Continue").click()
    page.get_by_role("button", name="Continue").click()
    page.wait_for_url("https://login.microsoftonline.com/login.srf")
    context.close()


def test_whole_way_without_script(open_page: Open, shown: Shown) -> None:
    def step(action: str, fields: Mapping[str, str]) -> None:
        if action == "account":
            shown.view = view(PageState.START, account=fields["username"])
        elif action in ("push", "qr"):
            shown.view = VIEWS[f"{action}-waiting"]

    shown.view, shown.on_post = VIEWS["account"], step
    shown.token = dataclasses.replace(TOKEN, action=f"{shown.elsewhere}/login.srf")
    page = open_page(java_script_enabled=False)
    page.get_by_label("User name").fill("grace@contoso.example")
    page.get_by_role("button", name="Next").click()
    page.get_by_role("button", name="Send a request to my phone").click()
    expect(page.get_by_role("heading", level=1)).to_have_text("Check your phone")
    page.get_by_role("button", name="Scan a QR code instead").click()
    expect(page.get_by_role("heading", level=1)).to_have_text("Scan with your phone")
    shown.view = VIEWS["proved"]
    expect(page.get_by_role("heading", level=1)).to_have_text("Approved", timeout=20_000)  # it asks every 5 s
    page.get_by_role("button", name="Continue").click()
    expect(page.get_by_role("heading", level=1)).to_have_text("Signing you in")
    page.get_by_role("button", name="Continue").click()
    page.wait_for_url("**/login.srf")
    assert [action for action, _ in shown.posts] == ["account", "push", "qr", "token", "login.srf"]


def test_user_name_problem_is_focused_and_leads_to_the_field(open_page: Open, shown: Shown) -> None:
    shown.view = VIEWS["account"]
    shown.on_post = lambda action, fields: shown.set(VIEWS["account-problem"])
    page = open_page()
    page.get_by_label("User name").fill("ada")
    page.keyboard.press("Enter")
    expect(page.locator("#summary")).to_be_focused()
    page.keyboard.press("Tab")
    page.keyboard.press("Enter")
    expect(page.get_by_label("User name")).to_be_focused()


def test_second_press_does_not_send_twice(open_page: Open, shown: Shown) -> None:
    shown.on_post = lambda action, fields: shown.set(
        view(PageState.PUSH_WAITING, version=len(shown.posts) + 3)
    )
    page = open_page()
    page.get_by_role("button", name="Send a request").dblclick()
    expect(page.get_by_role("heading", level=1)).to_have_text("Check your phone")
    assert [action for action, _ in shown.posts] == ["push"]


def test_post_without_an_answer_is_not_sent_again_by_itself(browser: Browser, shown: Shown) -> None:
    context = browser.new_context()
    page = context.new_page()
    page.goto(f"{shown.origin}/signin/{TXN}")
    context.set_offline(True)
    page.get_by_role("button", name="Send a request").click()
    expect(page.locator("#offline")).to_be_visible()
    expect(page.locator("#status")).to_contain_text("Check your connection")
    context.set_offline(False)
    assert shown.posts == []
    with page.expect_response(lambda answer: answer.request.method == "POST"):
        page.get_by_role("button", name="Send a request").click()
    expect(page.locator("#offline")).to_be_hidden()
    assert [action for action, _ in shown.posts] == ["push"]
    context.close()


def test_refusal_of_a_post_is_shown_in_place(browser: Browser, shown: Shown) -> None:
    shown.on_post = lambda action, fields: (_ for _ in ()).throw(RuntimeError("broken"))
    context = browser.new_context()
    page = context.new_page()
    page.goto(f"{shown.origin}/signin/{TXN}")
    page.get_by_role("button", name="Send a request").click()
    expect(page.get_by_role("heading", level=1)).to_have_text("We can't do that right now")
    context.close()


def test_on_a_phone_opening_blokkey_comes_before_the_qr_code(open_page: Open, shown: Shown) -> None:
    shown.view = VIEWS["qr-waiting"]
    page = open_page(viewport={"width": 390, "height": 844}, has_touch=True, is_mobile=True)
    here = page.get_by_role("link", name="Open BlokKey on this phone")
    expect(here).to_be_visible()
    link, code = here.bounding_box(), page.locator(".qr").bounding_box()
    assert link is not None
    assert code is not None
    assert link["y"] < code["y"]
    expect(open_page().get_by_role("link", name="Open BlokKey on this phone")).to_be_hidden()


def test_forced_colours_and_reduced_motion(open_page: Open, shown: Shown) -> None:
    page = open_page(forced_colors="active", reduced_motion="reduce")
    border = page.eval_on_selector(".button", "e => getComputedStyle(e).borderTopWidth")
    assert border == "1px"
    assert page.eval_on_selector(".button", "e => getComputedStyle(e).transitionProperty") in ("none", "all")
    assert page.eval_on_selector(".button", "e => getComputedStyle(e).transitionDuration") == "0s"


def test_injected_script_does_not_run(browser: Browser, shown: Shown) -> None:
    shown.view = view(
        PageState.START, account='<img src=x onerror="window.hit=1"><script>window.hit=1</script>'
    )
    context = browser.new_context()
    page = context.new_page()
    page.goto(f"{shown.origin}/signin/{TXN}")
    attempts = [
        "document.body.innerHTML = '<img src=x onerror=window.hit=1>'",
        "document.body.append(Object.assign(document.createElement('script'), {text: 'window.hit = 1'}))",
        "document.body.append(Object.assign(document.createElement('script'), {src: '/x.js'}))",
        "document.createElement('img').setAttribute('onerror', 'window.hit = 1')",
        "trustedTypes.createPolicy('mine', {createHTML: html => html})",
    ]
    for attempt in attempts:
        refused = "() => { try { " + attempt + "; return 'ran'; } catch (error) { return error.name; } }"
        assert page.evaluate(refused) == "TypeError", attempt
    assert page.evaluate("window.hit") is None
    assert page.locator("main img").count() == 0
    context.close()


def test_methods_are_what_the_view_says(open_page: Open, shown: Shown) -> None:
    shown.view = view(PageState.NOT_ME, methods=(DeviceMethod.QR,))
    page = open_page()
    names = page.eval_on_selector_all("button", BUTTON_NAMES)
    assert names == ["Use a passkey", "Show a QR code"]


def test_lost_connection_is_said_and_recovered_from(open_page: Open, shown: Shown) -> None:
    shown.view = VIEWS["push-waiting"]
    page = open_page()
    page.route("**/events", lambda route: None)
    page.reload()
    notice, status = page.locator("#lost"), page.locator("#status")
    expect(notice).to_be_hidden()
    page.context.set_offline(True)
    expect(notice).to_be_visible()
    expect(status).to_have_text("Connection lost. This page continues as soon as you're back online.")
    expect(page.locator("[data-code]")).to_be_visible()  # the phone may have a connection
    shown.view = in_state(shown.view, PageState.PUSH_WAITING)
    page.context.set_offline(False)
    expect(notice).to_be_hidden()
    expect(status).to_have_text("You're back online.")


def test_what_happened_while_the_connection_was_lost_is_shown_afterwards(
    open_page: Open, shown: Shown
) -> None:
    shown.view = VIEWS["push-waiting"]
    page = open_page()
    page.route("**/events", lambda route: None)
    page.reload()
    page.context.set_offline(True)
    expect(page.locator("#lost")).to_be_visible()
    shown.view = in_state(shown.view, PageState.DENIED, version=4)
    page.context.set_offline(False)
    expect(page.get_by_role("heading", level=1)).to_have_text("Request declined")


def test_server_that_answers_with_errors_is_a_lost_connection(browser: Browser, shown: Shown) -> None:
    """The network is there, so the browser says nothing: two questions without an answer do."""
    shown.streams, shown.view = False, VIEWS["push-waiting"]
    context = browser.new_context()
    page = context.new_page()
    page.clock.install()
    page.goto(f"{shown.origin}/signin/{TXN}")
    page.route("**/state", lambda route: route.fulfill(status=503))
    with page.expect_response("**/state"):
        page.clock.run_for(3_500)
    expect(page.locator("#lost")).to_be_hidden()
    page.clock.run_for(3_500)
    expect(page.locator("#lost")).to_be_visible()
    page.unroute("**/state")
    page.clock.run_for(3_500)
    expect(page.locator("#lost")).to_be_hidden()
    context.close()


def test_other_tabs_look_when_one_asks_or_signs_in(open_page: Open, shown: Shown) -> None:
    shown.view = VIEWS["push-waiting"]
    older = open_page()
    older.route("**/events", lambda route: None)  # a stream that says nothing
    older.reload()
    shown.view = in_state(shown.view, PageState.SUPERSEDED, version=9)
    newer = older.context.new_page()
    newer.goto(f"{shown.origin}/signin/another")  # shows no request, so it says nothing
    expect(older.get_by_role("heading", level=1)).to_have_text("Check your phone")
    newer.evaluate("new BroadcastChannel('blok365-signin').postMessage('asked')")
    expect(older.get_by_role("heading", level=1)).to_have_text("Continued in another tab")


def test_a_tab_that_asks_tells_the_others_once(open_page: Open, shown: Shown) -> None:
    page = open_page()
    listener = page.context.new_page()
    listener.goto(f"{shown.origin}/problem")
    listener.evaluate(
        "window.heard = []; new BroadcastChannel('blok365-signin').onmessage = e => heard.push(e.data); 0"
    )
    waiting = VIEWS["push-waiting"]
    shown.on_post = lambda action, fields: shown.set(dataclasses.replace(waiting, txn=TXN))
    page.get_by_role("button", name="Send a request to my phone").click()
    expect(page.locator("[data-code]")).to_be_visible()
    listener.wait_for_function("heard.length === 1")
    page.evaluate("document.dispatchEvent(new Event('visibilitychange'))")  # looks again: nothing is new
    page.wait_for_load_state("networkidle")
    assert listener.evaluate("heard") == ["asked"]


def test_page_that_a_session_answers_is_left_for_it(open_page: Open, shown: Shown) -> None:
    """A script cannot post the token to Microsoft; the browser itself goes to where the server has it."""
    shown.view = VIEWS["superseded"]
    page = open_page()
    fetched: list[str] = []

    def answer(route: Route) -> None:
        if route.request.headers.get("x-requested-with") == "fetch":
            fetched.append(route.request.url)
            route.fulfill(status=204)
        else:
            route.fulfill(content_type="text/html", body="<title>t</title><h1>Signing you in</h1>")

    page.route(f"**/signin/{TXN}", answer)
    page.evaluate("document.dispatchEvent(new Event('visibilitychange'))")
    expect(page.get_by_role("heading", level=1)).to_have_text("Signing you in")
    assert len(fetched) == 1


def test_the_phone_itself_is_never_shown_a_code_to_scan(open_page: Open, shown: Shown) -> None:
    shown.view = dataclasses.replace(VIEWS["qr-waiting"], expires_in=5)
    later = dataclasses.replace(VIEWS["qr-waiting"], version=4, qr=qr_picture("new"))
    shown.on_post = lambda action, fields: shown.set(later)
    page = open_page(**TOUCH)
    link = page.get_by_role("link", name="Open BlokKey on this phone")
    expect(link).to_have_attribute("href", shown.view.key_url)
    expect(page.get_by_role("heading", level=1)).to_have_text("Approve in BlokKey")
    expect(page.locator(".qr")).to_be_hidden()
    expect(page.get_by_text("Scan this code")).to_be_hidden()
    page.get_by_text("BlokKey is on another phone").click()
    expect(page.locator(".qr")).to_be_visible()
    expect(page.locator("#page")).to_have_attribute("data-version", "4", timeout=10_000)
    expect(page.locator(".qr")).to_be_visible()  # renewed, and still open


def test_on_the_phone_itself_the_passkey_comes_first_and_no_way_speaks_of_scanning(
    open_page: Open, shown: Shown
) -> None:
    ways = ["Use a passkey", "Send a request to my phone", "Open BlokKey on this phone"]
    assert open_page(**TOUCH).eval_on_selector_all("button", BUTTON_NAMES) == ways
    for name, ways in {
        "push-waiting": ["Send again", "Use a passkey"],
        "push-unnotified": ["Use a passkey"],
    }.items():
        shown.view = VIEWS[name]
        page = open_page(**TOUCH)
        assert page.eval_on_selector_all("button", BUTTON_NAMES) == ways
        expect(page.get_by_role("link", name="Open BlokKey on this phone")).to_be_visible()


def test_after_this_isnt_me_the_first_way_is_one_that_still_works(open_page: Open, shown: Shown) -> None:
    shown.view = view(PageState.NOT_ME)
    page = open_page()
    ways = ["Use a passkey", "Show a QR code", "Send a request to my phone"]
    assert page.eval_on_selector_all("button", BUTTON_NAMES) == ways
    primary = page.locator("button.button:not(.secondary)")
    expect(primary).to_have_count(1)
    expect(primary).to_contain_text("Use a passkey")
