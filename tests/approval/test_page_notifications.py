"""Notifications on the phone's page: what each state says, and what of it is kept at the server.

Headless Chromium has no push service, so the browser's side is a double with the Push API's own shapes; the real round
trip is in tests/flows/test_push_browser.py.
"""

import json
from typing import Any

import pytest
from playwright.async_api import expect

from deploy.standins.push.app import PushService
from services.approval.handlers import notifications
from shared.clock import SystemClock
from shared.contracts.notify import SubscriptionGone
from shared.ids import SystemIds
from tests.approval.handset import Handset
from tests.approval.support import Phone

pytestmark = [
    pytest.mark.integration,
    pytest.mark.slow,
    pytest.mark.xdist_group("chromium-phone"),
    pytest.mark.asyncio(loop_scope="session"),
]

DOUBLE = """(() => {
  let answer = "default"; // of the person, until asked
  const kept = () => JSON.parse(localStorage.getItem("double") ?? "null");
  const octets = (text) => Uint8Array.from(
    atob(text.replaceAll("-", "+").replaceAll("_", "/")), (each) => each.charCodeAt(0),
  );
  const made = (json) => json && {
    endpoint: json.endpoint,
    options: { applicationServerKey: octets(json.key).buffer, userVisibleOnly: true },
    toJSON: () => json,
    unsubscribe: async () => { localStorage.removeItem("double"); return true; },
  };
  Object.defineProperty(Notification, "permission", { get: () => localStorage.getItem("permission") ?? "default" });
  Notification.requestPermission = async () => {
    window.asked = (window.asked ?? 0) + 1;
    if (!navigator.userActivation.isActive) return "default";
    const said = localStorage.getItem("answer") ?? "granted";
    if (said !== "default") localStorage.setItem("permission", said);
    return said;
  };
  PushManager.prototype.getSubscription = async () => made(kept());
  PushManager.prototype.subscribe = async ({ userVisibleOnly, applicationServerKey }) => {
    if (userVisibleOnly !== true) throw new DOMException("", "NotAllowedError");
    if (localStorage.getItem("answer") === "broken") throw new DOMException("no push service", "AbortError");
    const key = btoa(String.fromCharCode(...applicationServerKey))
      .replaceAll("+", "-").replaceAll("/", "_").replaceAll("=", "");
    localStorage.setItem("double", JSON.stringify({ ...await window.subscribeThere(key), key }));
    return made(kept());
  };
})()"""
ON = "This phone notifies you"
OFF = "Be notified on this phone"
ENDED = "no longer reach this phone"


async def prepare(handset: Handset) -> None:
    """A browser that can be pushed to, whose person has not been asked yet."""
    service = PushService(SystemClock(), SystemIds(), "https://updates.push.services.mozilla.com")
    await handset.page.expose_function("subscribeThere", service.subscribe)
    await handset.page.add_init_script(DOUBLE)


async def shows(handset: Handset, text: str) -> None:
    block = handset.page.locator("section:not([hidden]) [data-notifications] p:not([hidden])")
    await expect(block).to_contain_text(text)


async def answer(handset: Handset, said: str) -> None:
    """What the person, or the browser, will say when asked."""
    await handset.page.evaluate("(said) => localStorage.setItem('answer', said)", said)


def subscriptions(handset: Handset, account: str = "ada", tenant: str = "contoso") -> dict[str, Any]:
    found: dict[str, Any] = handset.approval.document(account, tenant).get("subscriptions", {})
    return found


async def told(handset: Handset) -> list[str]:
    """What followers were told of the phone, in order."""
    return [each.notifications for each in await handset.approval.devices_told()]


async def turned_on(handset: Handset) -> None:
    await prepare(handset)
    await handset.enrol()
    await shows(handset, OFF)
    await handset.press("Turn on notifications")
    await shows(handset, ON)


async def test_offered_after_enrolment_asked_by_a_tap_and_off_again(handset: Handset) -> None:
    await prepare(handset)
    await handset.enrol()
    await shows(handset, OFF)
    assert await handset.page.evaluate("window.asked") is None
    await handset.press("Turn on notifications")
    await shows(handset, ON)
    await expect(handset.page.locator("#status")).to_have_text("Notifications are on.")
    focused = await handset.page.evaluate("document.activeElement.textContent")
    assert focused == "Notifications"
    assert len(subscriptions(handset)) == 1
    await handset.look()
    await handset.heading("No requests")
    await shows(handset, ON)
    await handset.press("My phones")
    await expect(handset.page.locator("[data-devices] li")).to_contain_text("notifications on")
    await handset.press("Back to requests")
    await handset.press("Turn off notifications")
    await shows(handset, OFF)
    assert subscriptions(handset) == {}
    assert await told(handset) == ["off", "on", "off"]


@pytest.mark.parametrize(
    ("said", "text", "button"),
    [
        ("denied", "Notifications are blocked.", False),
        ("default", OFF, True),
        ("broken", "Notifications couldn't be turned on.", True),
    ],
)
async def test_what_did_not_come_about_is_not_said_to_be(
    handset: Handset, said: str, text: str, button: bool
) -> None:
    await prepare(handset)
    await handset.enrol()
    await answer(handset, said)
    if said == "broken":
        await handset.page.evaluate("localStorage.setItem('permission', 'granted')")
        await handset.page.evaluate("Notification.requestPermission = async () => 'granted'")
    await shows(handset, OFF)
    await handset.press("Turn on notifications")
    await shows(handset, text)
    again = handset.page.locator("section:not([hidden])").get_by_role("button", name="Turn on notifications")
    await expect(again).to_be_visible(visible=button)
    assert subscriptions(handset) == {}


@pytest.mark.parametrize(
    ("installed", "text"), [(False, "add BlokKey to your home screen"), (True, "This phone can't receive")]
)
async def test_a_browser_without_push_says_what_to_do(handset: Handset, installed: bool, text: str) -> None:
    await handset.page.add_init_script("delete window.PushManager")
    if installed:
        await handset.page.add_init_script(
            "window.matchMedia = (query) => ({ matches: query.includes('standalone'), addEventListener() {} })"
        )
    await handset.enrol()
    await shows(handset, text)
    block = handset.page.locator("section:not([hidden]) [data-notifications]")
    await expect(block.get_by_role("button")).to_have_count(0)


async def test_a_subscription_that_has_ended_is_said_to_have_and_is_made_anew(handset: Handset) -> None:
    await turned_on(handset)
    (before,) = subscriptions(handset).values()
    gone = SubscriptionGone(account="ada", subscription=before["id"])
    for _ in range(2):
        await handset.approval.world.say("notify", gone)
    await handset.look()
    await shows(handset, ENDED)
    assert subscriptions(handset) == {}  # the dead one was not sent again
    await handset.press("My phones")
    await expect(handset.page.locator("[data-devices] li")).to_contain_text("notifications no longer arrive")
    await handset.press("Back to requests")
    await handset.press("Turn on notifications")
    await shows(handset, ON)
    (after,) = subscriptions(handset).values()
    await handset.approval.world.say("notify", gone)  # late: it names the one before
    assert subscriptions(handset)[next(iter(subscriptions(handset)))]["id"] == after["id"]
    assert await told(handset) == ["off", "on", "ended", "on"]


async def test_a_subscription_that_the_browser_has_renewed_is_sent_by_itself(handset: Handset) -> None:
    await turned_on(handset)
    (before,) = subscriptions(handset).values()
    await handset.page.evaluate(
        """async () => {
          const old = JSON.parse(localStorage.getItem("double"));
          const made = await window.subscribeThere(old.key);
          localStorage.setItem("double", JSON.stringify({ ...made, key: old.key }));
        }"""
    )
    await handset.look()
    await shows(handset, ON)
    (after,) = subscriptions(handset).values()
    assert after["id"] != before["id"]
    assert await told(handset) == ["off", "on"]


async def test_what_a_stolen_session_has_subscribed_is_replaced_when_the_phone_looks(
    handset: Handset,
) -> None:
    """Whoever has the token can take the notifications away, until the page is opened again."""
    await turned_on(handset)
    own = next(iter(subscriptions(handset).values()))["id"]
    service = PushService(SystemClock(), SystemIds(), "https://updates.push.services.mozilla.com")
    thiefs = service.subscribe(handset.approval.deps.push_key)
    await handset.page.evaluate(
        """async (body) => {
          const { accounts } = await import(document.querySelector("link[href$='/storage.js']").href);
          const [{ token }] = await accounts();
          const headers = { Authorization: `Bearer ${token}`, "Content-Type": "application/json" };
          await fetch("/api/push-subscription", { method: "POST", headers, body });
        }""",
        json.dumps(thiefs),
    )
    assert next(iter(subscriptions(handset).values()))["id"] != own
    thief = next(iter(subscriptions(handset).values()))["id"]
    await handset.look()
    await shows(handset, ON)
    assert next(iter(subscriptions(handset).values()))["id"] not in (own, thief)


async def test_another_account_of_the_phone_gets_them_too(handset: Handset) -> None:
    await turned_on(handset)
    await handset.approval.account("grace", tenant="fabrikam")
    await handset.open(f"#i={await handset.approval.invitation('grace', tenant='fabrikam')}")
    await handset.press("Set up")
    await handset.heading("This phone is ready")
    await shows(handset, ON)
    assert len(subscriptions(handset)) == 1
    assert len(subscriptions(handset, "grace", "fabrikam")) == 1


async def test_locking_stops_them_until_the_phone_is_unlocked(handset: Handset) -> None:
    await turned_on(handset)
    await handset.look()
    await shows(handset, ON)
    await expect(handset.page.get_by_text("Locking BlokKey stops notifications")).to_be_visible()
    await handset.press("Lock")
    await handset.heading("Unlock BlokKey")
    assert subscriptions(handset) == {}
    await handset.press("Unlock")
    await handset.heading("No requests")
    await shows(handset, ON)
    assert len(subscriptions(handset)) == 1


async def test_a_key_that_the_server_does_not_push_with_any_more_is_noticed(handset: Handset) -> None:
    await turned_on(handset)
    other = handset.approval.deps.push_key[:-2] + "AA"
    await handset.page.evaluate(
        """(key) => {
          const old = JSON.parse(localStorage.getItem("double"));
          localStorage.setItem("double", JSON.stringify({ ...old, key }));
        }""",
        other,
    )
    await handset.look()
    await shows(handset, ENDED)


async def test_a_removed_phone_gets_none_any_more(handset: Handset) -> None:
    await turned_on(handset)
    other = Phone(handset.approval)
    await other.enrol(await handset.approval.invitation(), name="Old phone")
    (this,) = subscriptions(handset)
    who = await other.who()
    assert notifications.subscription_of(who) is None
    await handset.look()
    await handset.press("My phones")
    await handset.page.get_by_role("button", name="Remove Ada's phone").click()
    await handset.press("Remove")
    await handset.heading("This phone was removed")
    assert this not in subscriptions(handset)
