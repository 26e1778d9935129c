"""The phone's scanner: the camera reads the sign-in page's own code (docs/flows/phone.md, "The scanner")."""

from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import pytest
import pytest_asyncio
from playwright.async_api import Browser, Page, async_playwright, expect

from shared.testing.waiting import eventually
from shared.web.static_pages import PAGES
from tests.approval import camera
from tests.approval.handset import Handset, open_handset
from tests.pages.axe import RUN, axe_script
from tests.pages.browser import CHROMIUM, FLAGS, OLD_HEADLESS, Shown, sample_server

pytestmark = [
    pytest.mark.integration,
    pytest.mark.slow,
    pytest.mark.xdist_group("chromium-phone"),
    pytest.mark.asyncio(loop_scope="session"),
]

REQUEST = "Are you signing in to"
KEEP_STREAMS = """
(() => {
  if (!navigator.mediaDevices) return; // about:blank
  window.streams = [];
  const get = navigator.mediaDevices.getUserMedia.bind(navigator.mediaDevices);
  navigator.mediaDevices.getUserMedia = async (wanted) => {
    const stream = await get(wanted);
    window.streams.push(stream);
    return stream;
  };
})();
"""
RUNNING = (
    "window.streams.flatMap((each) => each.getTracks()).filter((each) => each.readyState === 'live').length"
)
FAIL = (
    "(name) => { navigator.mediaDevices.getUserMedia = async () => { throw new DOMException('', name); }; }"
)


@pytest.fixture(scope="module")
def film(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """What the camera sees: a test writes it before the camera is asked for."""
    return tmp_path_factory.mktemp("camera") / "film.y4m"


@pytest_asyncio.fixture(scope="module", loop_scope="session")
async def browser(film: Path) -> AsyncIterator[Browser]:
    args = [*FLAGS, *camera.FLAGS, f"--use-file-for-fake-video-capture={film}"]
    async with async_playwright() as playwright:
        launched = await playwright.chromium.launch(
            executable_path=CHROMIUM, args=args, ignore_default_args=OLD_HEADLESS
        )
        yield launched
        await launched.close()


@pytest.fixture(scope="module")
def shown() -> Iterator[Shown]:
    with sample_server() as started:
        yield started


class Scanning:
    """A phone, and what is before its camera."""

    def __init__(self, handset: Handset, browser: Browser, shown: Shown, film: Path) -> None:
        self.handset = handset
        self._browser, self._shown, self._film = browser, shown, film

    @property
    def page(self) -> Page:
        return self.handset.page

    async def hold(self, text: str) -> None:
        """Hold the sign-in page before the camera, with a code that holds this text."""
        camera.film(await camera.picture_of(self._shown, self._browser, text), self._film)

    async def running(self) -> int:
        """How many cameras are on."""
        return int(await self.page.evaluate(RUNNING))


@pytest_asyncio.fixture(loop_scope="session")
async def scanning(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, browser: Browser, shown: Shown, film: Path
) -> AsyncIterator[Scanning]:
    async with open_handset(tmp_path, monkeypatch, browser) as handset:
        await handset.page.add_init_script(KEEP_STREAMS)
        yield Scanning(handset, browser, shown, film)


async def test_reads_the_code_of_the_sign_in_page_and_puts_the_camera_out(scanning: Scanning) -> None:
    handset = scanning.handset
    await handset.enrol_and_unlock()
    asked = await handset.ask(method="qr")
    await scanning.hold(f"{handset.origin}/#q={asked.handle}")
    assert await scanning.page.evaluate("window.streams.length") == 0  # nothing is asked for before the tap
    await handset.press("Scan a code")
    await handset.heading(REQUEST)
    assert await scanning.running() == 0
    await handset.code(asked.code)
    await handset.heading("Approved")
    assert await handset.approval.outcomes() == [(asked.command.transaction, "accepted")]


async def test_a_code_that_was_scanned_while_locked_waits_for_unlocking(scanning: Scanning) -> None:
    handset = scanning.handset
    await handset.enrol_and_unlock()
    asked = await handset.ask(method="qr")
    await handset.press("Lock")
    await scanning.hold(f"{handset.origin}/#q={asked.handle}")
    await handset.press("Scan a code")
    await handset.heading("Unlock BlokKey")
    await handset.press("Unlock")
    await handset.heading(REQUEST)


async def test_an_invitation_can_be_scanned(scanning: Scanning) -> None:
    handset = scanning.handset
    await handset.approval.account()
    await scanning.hold(f"{handset.origin}/#i={await handset.approval.invitation()}")
    await handset.open()
    await handset.press("Scan a code")
    await handset.heading("Set up this phone")


FOREIGN = (
    "https://evil.example/#q=abc",
    "{origin}.evil.example/#q=abc",
    "{origin}@evil.example/#q=abc",
    "{signin}/#q=abc",
    "{origin}/elsewhere#q=abc",
    "{origin}/?a#q=abc",
    "{origin}/#x=abc",
    "{origin}/#q=",
    "{origin}/#q=a%20b",
    "{origin}/#q=a#q=b",
    "{origin}/",
    "javascript:alert(1)",
    "WIFI:S:guest;T:nopass;;",
)
OURS = """async (texts) => {
  const { ours } = await import(document.querySelector("link[href$='/scanner.js']").href);
  return texts.map(ours);
}"""


async def test_no_other_code_than_a_link_to_this_very_page_is_taken(scanning: Scanning) -> None:
    handset = scanning.handset
    await handset.open()
    signin = handset.origin.replace("//key.", "//")
    texts = [text.format(origin=handset.origin, signin=signin) for text in FOREIGN]
    assert await scanning.page.evaluate(OURS, texts) == [None] * len(texts)
    own = [f"{handset.origin}/#q=Ab-_9", f"{handset.origin}/#i=a.b"]
    assert await scanning.page.evaluate(OURS, own) == ["q=Ab-_9", "i=a.b"]


async def test_a_foreign_code_is_said_and_not_opened_and_the_next_one_is_read(scanning: Scanning) -> None:
    handset = scanning.handset
    await handset.enrol_and_unlock()
    await scanning.hold("https://evil.example/#q=abc")
    await handset.press("Scan a code")
    await expect(scanning.page.get_by_text("That isn't a BlokKey code").first).to_be_visible()
    await expect(scanning.page.locator("#status")).to_contain_text("That isn't a BlokKey code")
    assert scanning.page.url == f"{handset.origin}/"
    assert await scanning.running() == 1
    await scanning.page.evaluate(axe_script())
    assert await scanning.page.evaluate(RUN) == []
    await handset.press("Stop scanning")
    await handset.heading("No requests")
    assert await scanning.running() == 0


async def test_a_request_that_comes_meanwhile_puts_the_camera_out(scanning: Scanning) -> None:
    handset = scanning.handset
    await handset.enrol_and_unlock()
    await scanning.hold("nothing of ours")
    await handset.press("Scan a code")
    await expect(scanning.page.locator("video")).to_be_visible()
    await handset.ask()
    await handset.heading(REQUEST)
    assert await scanning.running() == 0


async def test_another_tab_puts_the_camera_out_and_coming_back_puts_it_on(scanning: Scanning) -> None:
    handset = scanning.handset
    await handset.enrol_and_unlock()
    await scanning.hold("nothing of ours")
    await handset.press("Scan a code")
    await expect(scanning.page.locator("video")).to_be_visible()
    for state, running in (("hidden", 0), ("visible", 1)):
        await scanning.page.evaluate(
            """(state) => {
              Object.defineProperty(document, "visibilityState", { get: () => state, configurable: true });
              document.dispatchEvent(new Event("visibilitychange"));
            }""",
            state,
        )

        async def reached(wanted: int = running) -> bool:
            return await scanning.running() == wanted

        await eventually(reached, f"{running} cameras are on")


@pytest.mark.parametrize(
    ("error", "said"),
    [
        ("NotAllowedError", "isn't allowed to use the camera"),
        ("NotFoundError", "no camera that BlokKey can use"),
        ("NotReadableError", "can't be used right now"),
    ],
)
async def test_trouble_with_the_camera_says_what_to_do(scanning: Scanning, error: str, said: str) -> None:
    handset = scanning.handset
    await handset.enrol_and_unlock()
    await scanning.page.evaluate(FAIL, error)
    await handset.press("Scan a code")
    await expect(scanning.page.locator("[data-view=scan] .notice:visible")).to_contain_text(said)
    await expect(scanning.page.get_by_text("open your phone's camera app")).to_be_visible()
    await handset.press("Try again")
    await expect(scanning.page.locator("[data-view=scan] .notice:visible")).to_contain_text(said)


async def test_without_the_reader_no_camera_is_asked_for(scanning: Scanning) -> None:
    handset = scanning.handset
    await handset.enrol_and_unlock()
    await scanning.page.context.set_offline(True)
    await handset.press("Scan a code")
    await expect(scanning.page.locator("[data-view=scan] .notice:visible")).to_contain_text("didn't load")
    assert await scanning.page.evaluate("window.streams.length") == 0


async def test_only_the_phones_page_may_use_the_camera() -> None:
    assert {(page.host.value, page.path) for page in PAGES if "camera" in page.features} == {("phone", "/")}
