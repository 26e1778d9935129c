"""Where the pages' scripts do not run, or only an old engine does: the sign-in goes on all the same.

EdgeHTML in the account broker of Windows, a proxy that blocks or changes files, an engine that cannot parse them: then
`<noscript>` is not shown either. So the buttons and links of the way on are in the page, and the scripts hide them.
"""

import dataclasses
import json
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from bs4 import BeautifulSoup
from playwright.sync_api import Browser, ConsoleMessage, Page, Route, expect

from services.wsfed.domain.options import PageState
from services.wsfed.pages import PACKAGE, SignInPages
from tests.pages.browser import AUTHENTICATOR, Shown, sample_server
from tests.pages.npm import node_modules
from tests.pages.samples import TOKEN, TXN, VIEWS, view

pytestmark = [pytest.mark.integration, pytest.mark.xdist_group("chromium")]

STATIC = Path(PACKAGE) / "static"
PAGES = SignInPages().pages


@pytest.fixture
def shown(shown: Shown) -> Shown:
    """And the token goes to the sample server, as to Entra."""
    shown.token = dataclasses.replace(TOKEN, action=f"{shown.elsewhere}/login.srf")
    return shown


@pytest.fixture
def page(browser: Browser) -> Iterator[Page]:
    context = browser.new_context()
    context.set_default_timeout(10_000)
    yield context.new_page()
    context.close()


# --- what an old engine can parse ----------------------------------------------------------------------------------

PARSE = """
const { parse } = require(process.argv[1]);
const texts = JSON.parse(require("fs").readFileSync(0, "utf8"));
const faults = {};
for (const [name, text] of Object.entries(texts)) {
  try { parse(text, { ecmaVersion: 2017, sourceType: "script" }); }
  catch (error) { faults[name] = error.message; }
}
console.log(JSON.stringify(faults));
"""


def faults(texts: dict[str, str]) -> dict[str, str]:
    """What a parser of ECMAScript 2017 says against each script that is no module."""
    made = subprocess.run(
        ["node", "-e", PARSE, str(node_modules() / "acorn")],
        input=json.dumps(texts),
        capture_output=True,
        text=True,
        check=True,
    )
    found: dict[str, str] = json.loads(made.stdout)
    return found


def scripts(template: str, shown: object) -> list[str]:
    """The names of a page's scripts in their order. None may be a module."""
    text = PAGES.text(template, view=shown, lang="en", nonce="N0nce")
    tags = BeautifulSoup(text, "html.parser").find_all("script")
    assert all(tag.get("type") is None and not tag.text for tag in tags)
    return [str(tag["src"]).rpartition("/")[2] for tag in tags]


def test_scripts_of_the_way_on_are_plain_scripts_in_es2017() -> None:
    pages = [scripts("signin.html", VIEWS["start"]), scripts("token.html", TOKEN)]
    names = {name for page in pages for name in page}
    # The person's own page is not on the way to a token; it uses what the others have.
    assert names == {file.name for file in STATIC.glob("*.js")} - {"own.js"}
    texts = {name: (STATIC / name).read_text("utf-8") for name in names}
    # One after the other they share one scope, so that no name may be declared twice.
    together = {" ".join(page): "\n".join(texts[name] for name in page) for page in pages}
    assert faults(texts | together) == {}


@pytest.mark.parametrize(
    "newer", ["a?.b;", "a ?? b;", "try { } catch { }", "({ ...a });", "import a from './b.js';", "1_000;"]
)
def test_control_the_parser_refuses_what_is_newer(newer: str) -> None:
    assert faults({"newer": newer}) != {}


# --- scripts that do not run ---------------------------------------------------------------------------------------

Break = Callable[[Route], None]
BROKEN: dict[str, Break] = {
    "blocked": lambda route: route.abort(),
    "not found": lambda route: route.fulfill(status=404, content_type="text/html", body="<h1>Not found"),
    "does not parse": lambda route: route.fulfill(content_type="text/javascript", body="const a = b?.?c;"),
    "fails at once": lambda route: route.fulfill(content_type="text/javascript", body="throw new Error();"),
    "served as text": lambda route: route.fulfill(
        headers={"Content-Type": "text/plain", "X-Content-Type-Options": "nosniff"}, body="'use strict';"
    ),
}


@pytest.mark.parametrize("how", BROKEN)
def test_token_page_without_its_script_has_its_button(page: Page, shown: Shown, how: str) -> None:
    page.route("**/static/**/*.js", BROKEN[how])
    shown.view = VIEWS["proved"]
    page.goto(f"{shown.origin}/signin/{TXN}")
    page.get_by_role("button", name="Continue").click()
    expect(page.get_by_role("heading", level=1)).to_have_text("Signing you in")
    page.get_by_role("button", name="Continue").click()
    page.wait_for_url("**/login.srf")
    assert shown.posts[-1] == ("login.srf", dict(TOKEN.fields))


@pytest.mark.parametrize("state", ["push-waiting", "qr-waiting", "qr-scanned"])
@pytest.mark.parametrize("how", BROKEN)
def test_waiting_page_without_its_scripts_can_be_looked_at_again(
    page: Page, shown: Shown, how: str, state: str
) -> None:
    shown.view = VIEWS[state]
    page.route("**/static/**/*.js", BROKEN[how])
    page.goto(f"{shown.origin}/signin/{TXN}")
    page.get_by_role("link", name="Check again").click()
    expect(page.get_by_role("link", name="Check again")).to_be_visible()  # nothing has happened yet
    shown.view = VIEWS["proved"]
    page.get_by_role("link", name="Check again").click()
    page.get_by_role("button", name="Continue").click()
    expect(page.get_by_role("heading", level=1)).to_have_text("Signing you in")
    page.get_by_role("button", name="Continue").click()
    page.wait_for_url("**/login.srf")
    assert [action for action, _ in shown.posts] == ["token", "login.srf"]


@pytest.mark.parametrize("missing", ["timer.js", "watch.js", "page.js", "passkey.js", "signin.js"])
def test_waiting_page_without_one_of_its_scripts_can_be_looked_at_again(
    page: Page, shown: Shown, missing: str
) -> None:
    shown.view = VIEWS["push-waiting"]
    page.route(f"**/static/**/{missing}", BROKEN["blocked"])
    page.goto(f"{shown.origin}/signin/{TXN}")
    shown.view = VIEWS["proved"]
    page.get_by_role("link", name="Check again").click()
    expect(page.get_by_role("heading", level=1)).not_to_have_text("Check your phone")


def test_scripts_that_run_hide_what_is_for_those_that_do_not(page: Page, shown: Shown) -> None:
    shown.view = VIEWS["push-waiting"]
    page.goto(f"{shown.origin}/signin/{TXN}")
    expect(page.locator("[data-look-again]")).to_be_hidden()
    page.route("**/login.srf", lambda route: route.fulfill(status=204))  # leaves the browser on the page
    with page.expect_request("**/login.srf"):
        shown.become(PageState.PROVED)
    expect(page.get_by_role("heading", level=1)).to_have_text("Signing you in")
    expect(page.locator("#token button")).to_be_hidden()


# --- what follows login.srf ----------------------------------------------------------------------------------------


def violations(page: Page) -> list[str]:
    """Filled with what the content security policy forbids on that page."""
    said: list[str] = []

    def note(message: ConsoleMessage) -> None:
        if "Content Security Policy" in message.text:
            said.append(message.text)

    page.on("console", note)
    return said


@pytest.mark.parametrize("host", ["localhost", "127.0.0.1"])
def test_redirect_to_an_applications_loopback_address_arrives(page: Page, shown: Shown, host: str) -> None:
    """Command-line tools and desktop applications listen there (RFC 8252, section 7.3)."""
    said = violations(page)
    with sample_server() as application:
        address = f"http://{host}:{application.origin.rpartition(':')[2]}/?code=1"
        shown.onward, shown.view = address, VIEWS["proved"]
        page.goto(f"{shown.origin}/signin/{TXN}")
        page.wait_for_url(address)
    assert [action for action, _ in shown.posts] == ["token", "login.srf"]
    assert said == []


SCHEMES = ["msauth.com.microsoft.outlook://auth?code=1", "ms-appx-web://microsoft.aad.brokerplugin/1?code=1"]


@pytest.mark.parametrize("onward", SCHEMES)
def test_redirect_to_an_applications_own_scheme_is_not_blocked(page: Page, shown: Shown, onward: str) -> None:
    said = violations(page)
    shown.onward, shown.view = onward, VIEWS["proved"]
    with page.expect_request(onward):  # nothing here can open it, but the browser has set out for it
        page.goto(f"{shown.origin}/signin/{TXN}", wait_until="commit")
    assert [action for action, _ in shown.posts] == ["token", "login.srf"]
    assert said == []


@pytest.mark.parametrize("onward", SCHEMES)
def test_control_a_limit_on_forms_would_block_such_a_redirect(page: Page, shown: Shown, onward: str) -> None:
    limited = {
        "Content-Security-Policy": f"form-action {shown.elsewhere} https:",
        "Content-Type": "text/html",
    }
    form = f'<form method="post" action="{shown.elsewhere}/login.srf"><button>Continue</button></form>'
    page.route("**/limited", lambda route: route.fulfill(headers=limited, body=form))
    shown.onward = onward
    page.goto(f"{shown.origin}/limited")
    asked: list[str] = []
    page.on("request", lambda request: asked.append(request.url))
    with page.expect_console_message(lambda message: "form-action" in message.text):
        page.get_by_role("button", name="Continue").click(no_wait_after=True)
    assert onward not in asked


# --- the passkey's gesture -----------------------------------------------------------------------------------------

WATCHED = (
    AUTHENTICATOR
    + """
(() => {
  const { get } = navigator.credentials;
  const fetching = window.fetch;
  let fetched = 0;
  window.fetch = (...all) => { fetched += 1; return fetching(...all); };
  document.addEventListener("submit", () => { fetched = 0; }, true);
  navigator.credentials.get = (asked) => {
    const { challenge, rpId } = asked.publicKey;
    window.asked = { fetched, active: navigator.userActivation.isActive, octets: challenge.length, rpId };
    return get(asked);
  };
})();
"""
)
"""The device, which notes what had been fetched since the press, and whether the press still counts."""


def test_device_is_asked_before_anything_is_fetched(page: Page, shown: Shown) -> None:
    """Safari takes the press for forgotten once a script has waited for the network."""
    shown.view = view(PageState.PUSH_WAITING)
    page.goto(f"{shown.origin}/signin/{TXN}")
    page.evaluate(WATCHED)
    page.get_by_role("button", name="Use a passkey").click()
    expect(page.locator("[data-passkey=refused]")).to_be_visible()
    asked = {"fetched": 0, "active": True, "octets": 32, "rpId": "id.localhost"}
    assert page.evaluate("window.asked") == asked
    assert [action for action, _ in shown.posts] == ["passkey"]


def test_refusal_brings_the_challenge_for_another_try(page: Page, shown: Shown) -> None:
    page.goto(f"{shown.origin}/signin/{TXN}")
    page.evaluate(AUTHENTICATOR)
    assert shown.view is not None
    assert shown.view.passkey is not None
    next_one = dataclasses.replace(shown.view.passkey, challenge="B" * 42 + "A")
    shown.view = dataclasses.replace(shown.view, passkey=next_one)
    page.get_by_role("button", name="Use a passkey").click()
    expect(page.locator("#passkey form")).to_have_attribute("data-challenge", next_one.challenge)
    expect(page.locator("[data-passkey=refused]")).to_be_visible()
