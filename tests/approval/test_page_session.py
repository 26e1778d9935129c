"""The session on the phone's page: where it is kept, how it ends and what is shown then; and the service worker."""

import pytest
from playwright.async_api import Page, expect

from services.approval.domain import enrolment
from tests.approval.handset import Handset, virtual_authenticator

pytestmark = [
    pytest.mark.integration,
    pytest.mark.slow,
    pytest.mark.xdist_group("chromium-phone"),
    pytest.mark.asyncio(loop_scope="session"),
]

KEPT = """() => new Promise((resolve) => {
  indexedDB.open("blokkey").onsuccess = ({ target }) => {
    const all = target.result.transaction("accounts").objectStore("accounts").getAll();
    all.onsuccess = () => {
      target.result.close();
      resolve(all.result.map((each) => Object.keys(each).filter((name) => each[name] !== null).sort()));
    };
  };
})"""
"""Names of what the page has in IndexedDB, for each account."""
EVICT = """() => new Promise((resolve) => {
  indexedDB.open("blokkey").onsuccess = ({ target }) => {
    const clearing = target.result.transaction("accounts", "readwrite");
    clearing.objectStore("accounts").clear();
    clearing.oncomplete = () => { target.result.close(); resolve(); };
  };
})"""
REMEMBER_ANOTHER = """() => new Promise((resolve) => {
  indexedDB.open("blokkey").onsuccess = ({ target }) => {
    const writing = target.result.transaction("accounts", "readwrite");
    const store = writing.objectStore("accounts");
    const all = store.getAll();
    all.onsuccess = () => {
      store.clear();
      all.result.forEach((each) => store.put({ ...each, credential: "YW5vdGhlcg" }));
    };
    writing.oncomplete = () => { target.result.close(); resolve(); };
  };
})"""
LOCKED = ["account", "credential", "organisation"]
UNLOCKED = [*LOCKED, "token"]
CACHED = """async () => {
  await navigator.serviceWorker.ready;
  const cache = await caches.open("blokkey");
  return (await cache.keys()).map(({ url }) => new URL(url).pathname);
}"""


async def heading(page: Page, text: str) -> None:
    await expect(page.locator("section:not([hidden]) h1")).to_contain_text(text)


async def another_tab(handset: Handset) -> Page:
    page = await handset.page.context.new_page()
    await virtual_authenticator(page)  # Chromium's belong to one tab: this one has no key
    await page.goto(handset.origin)
    return page


async def test_session_is_a_token_in_indexeddb_and_no_cookie(handset: Handset) -> None:
    await handset.enrol_and_unlock()
    assert await handset.page.evaluate(KEPT) == [UNLOCKED]
    assert await handset.page.context.cookies() == []
    assert await handset.page.evaluate("localStorage.length + sessionStorage.length") == 0


async def test_two_tabs_share_the_session(handset: Handset) -> None:
    await handset.enrol_and_unlock()
    await handset.page.reload()
    await handset.heading("No requests")
    other = await another_tab(handset)
    await heading(other, "No requests")
    await handset.press("Lock")
    await handset.heading("Unlock BlokKey")
    await heading(other, "Unlock BlokKey")  # by its next look
    assert handset.approval.world.documents("approval", "sessions") == []


async def test_a_request_answered_in_one_tab_is_over_in_the_other(handset: Handset) -> None:
    await handset.enrol_and_unlock()
    other = await another_tab(handset)
    asked = await handset.ask()
    await heading(other, "Are you signing in to")
    await handset.heading("Are you signing in to")
    await handset.code(asked.code)
    await handset.heading("Approved")
    await heading(other, "Already approved")  # by its next look
    assert await handset.approval.outcomes() == [(asked.command.transaction, "accepted")]


async def test_back_shows_what_is_true_now_and_sends_nothing_again(handset: Handset) -> None:
    await handset.enrol_and_unlock()
    asked = await handset.ask()
    await handset.heading("Are you signing in to")
    await handset.code(asked.code)
    await handset.heading("Approved")
    await handset.page.goto("about:blank")
    await handset.page.go_back()
    await expect(handset.page.locator("section:not([hidden]) h1")).to_contain_text("No requests")
    assert handset.page.url == f"{handset.origin}/"
    assert await handset.approval.outcomes() == [(asked.command.transaction, "accepted")]


async def test_an_expired_session_asks_to_unlock(handset: Handset) -> None:
    await handset.enrol_and_unlock()
    handset.approval.world.clock.advance(13 * 3600)
    await handset.heading("Unlock BlokKey")
    assert await handset.page.evaluate(KEPT) == [LOCKED]
    await handset.press("Unlock")
    await handset.heading("No requests")


async def test_evicted_storage_asks_to_unlock_and_finds_the_key_again(handset: Handset) -> None:
    await handset.enrol_and_unlock()
    await handset.page.evaluate(EVICT)
    await handset.page.reload()
    await handset.heading("Unlock BlokKey")
    await handset.press("Unlock")
    await handset.heading("No requests")
    assert await handset.page.evaluate(KEPT) == [UNLOCKED]


async def test_a_key_that_the_phone_lost_is_no_dead_end(handset: Handset) -> None:
    """The page remembers a key that is not there any more; browsers do not say why nothing was signed."""
    await handset.enrol_and_unlock()
    await handset.press("Lock")
    await handset.heading("Unlock BlokKey")
    await handset.page.evaluate(REMEMBER_ANOTHER)
    await handset.press("Unlock")
    await expect(handset.page.locator("#status")).to_have_text("That didn't finish.")
    await handset.press("Unlock")
    await handset.heading("No requests")


async def test_locking_without_a_network_forgets_the_session(handset: Handset) -> None:
    await handset.enrol_and_unlock()
    await handset.page.route("**/api/sessions", lambda route: route.abort())
    await handset.press("Lock")
    await handset.heading("Unlock BlokKey")
    assert await handset.page.evaluate(KEPT) == [LOCKED]


async def test_a_removed_phone_is_told_and_can_go_on(handset: Handset) -> None:
    await handset.enrol_and_unlock()
    (device,) = await handset.approval.devices_told()
    await handset.approval.deps.accounts.change(
        "contoso", "ada", lambda account: enrolment.remove_device(account, device.device)
    )
    await handset.heading("This phone was removed")
    assert await handset.page.evaluate(KEPT) == []
    await handset.press("Back to requests")
    await handset.heading("Unlock BlokKey")
    await handset.open(f"#i={await handset.approval.invitation()}")
    await handset.press("Set up")
    await handset.heading("This phone is ready")
    await handset.look()
    await handset.heading("No requests")


async def test_worker_keeps_the_page_and_its_files_and_nothing_of_the_api(handset: Handset) -> None:
    await handset.enrol_and_unlock()
    cached = await handset.page.evaluate(CACHED)
    assert "/" in cached
    assert {path.rpartition("/")[2] for path in cached} >= {
        "agent.js",
        "phone.js",
        "storage.js",
        "phone.css",
        "blok365.css",
    }
    await handset.page.reload()
    await handset.heading("No requests")
    cached = await handset.page.evaluate(CACHED)
    assert [path for path in cached if path != "/" and not path.startswith("/static/")] == []


async def test_page_opens_without_a_network(handset: Handset) -> None:
    await handset.enrol_and_unlock()
    await handset.page.evaluate(CACHED)
    await handset.stop()
    await handset.page.reload()
    await handset.heading("We can't do that right now")
    await handset.page.evaluate(EVICT)
    await handset.page.reload()
    await handset.heading("Unlock BlokKey")


async def test_worker_forgets_files_of_an_earlier_version(handset: Handset) -> None:
    await handset.enrol()  # and no second visit: files in Chromium's memory would not be asked for again
    await handset.press("Back to requests")
    await handset.heading("No requests")
    names = await handset.page.evaluate(CACHED)
    older = "/static/phone/0123456789abcdef/phone.js"
    await handset.page.evaluate(
        "async (path) => (await caches.open('blokkey')).put(path, new Response('older'))", older
    )
    fresh = next(name for name in names if name.endswith("/phone.js"))
    await handset.page.evaluate("async (path) => (await caches.open('blokkey')).delete(path)", fresh)
    await handset.page.reload()
    await handset.heading("No requests")
    kept = await handset.page.evaluate(CACHED)
    assert fresh in kept
    assert older not in kept
