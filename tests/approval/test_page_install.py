"""The phone's page as an app: manifest, icons, the button."""

import io
import json
import re
from urllib.parse import urlsplit

import pytest
from PIL import Image
from playwright.async_api import expect

from deploy.pages import built
from shared.services import Host
from shared.web.static_pages import static_page
from tests.approval.handset import Handset
from tests.pages.icons import FOLDER, ICONS, drawn

pytestmark = [
    pytest.mark.integration,
    pytest.mark.slow,
    pytest.mark.xdist_group("chromium-phone"),
    pytest.mark.asyncio(loop_scope="session"),
]

OFFER = """() => {
  const offer = new Event("beforeinstallprompt", { cancelable: true });
  offer.prompt = async () => { window.prompted = true; };
  window.dispatchEvent(offer);
  return offer.defaultPrevented;
}"""


async def test_icons_are_drawn_from_the_mark() -> None:
    """Pixel for pixel; the compression may differ between versions of a library."""
    for name, data in drawn().items():
        now, kept = Image.open(io.BytesIO(data)), Image.open(FOLDER / name)
        assert kept.size == (ICONS[name][0],) * 2
        assert now.tobytes() == kept.convert(now.mode).tobytes(), f"{name}: python -m tests.pages.icons"


async def test_icon_of_a_notification_is_there_and_may_be_shown() -> None:
    worker = built()["pages/sw.js"].decode()
    (icon,) = re.findall(r'const icon = "/(static/[^"]+)"', worker)
    assert icon in built()
    page = static_page(Host.PHONE, "/sw.js")
    assert page is not None
    assert "img-src {origin}/static/" in page.csp


async def test_browser_finds_nothing_wrong_with_the_manifest(handset: Handset) -> None:
    await handset.open()
    found = await handset.devtools.send("Page.getAppManifest")
    assert found["errors"] == []
    manifest = json.loads(found["data"])
    assert (manifest["name"], manifest["display"]) == ("BlokKey", "standalone")
    folder = urlsplit(found["url"]).path.rpartition("/")[0].removeprefix("/")
    assert {f"{folder}/{icon['src']}" for icon in manifest["icons"]} <= built().keys()
    missing = await handset.devtools.send("Page.getInstallabilityErrors")
    reasons = {each["errorId"] for each in missing["installabilityErrors"]}
    assert reasons <= {"in-incognito"}  # as every context of a test is


async def test_button_where_the_browser_offers_it_and_words_where_not(handset: Handset) -> None:
    await handset.enrol()
    await handset.look()
    await handset.heading("No requests")
    button = handset.page.get_by_role("button", name="Add to home screen")
    hint = handset.page.locator("[data-view=home] [data-install]")
    await expect(button).to_be_hidden()
    await expect(hint).to_be_visible()
    assert await handset.page.evaluate(OFFER)
    await expect(hint).to_be_hidden()
    await button.click()
    await expect(button).to_be_hidden()
    assert await handset.page.evaluate("window.prompted")
