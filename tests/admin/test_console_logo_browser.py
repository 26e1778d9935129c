"""Step 1 of docs/flows/logo.md in Chromium: which files become a logo, and what is left of an SVG with a script."""

import io
import socket
from collections.abc import AsyncIterator
from dataclasses import dataclass
from pathlib import Path

import pytest
from PIL import Image
from playwright.async_api import Page, expect

from shared.picture import MAX_PNG
from shared.web.server import serve
from tests.admin.conftest import CONTOSO, AdminSystem, open_system
from tests.admin.console import link_for
from tests.approval.handset import virtual_authenticator
from tests.pages.browser import async_chromium
from tests.static_route import static_route
from tests.world import make_system

pytestmark = [pytest.mark.integration, pytest.mark.slow, pytest.mark.xdist_group("chromium")]

SVG = b"""<svg xmlns="http://www.w3.org/2000/svg" width="400" height="100" onload="document.title='run'">
<script>document.title = 'run'; fetch('/run')</script><image href="/run" width="1" height="1"/>
<rect width="400" height="100" fill="#0b57a4"/></svg>"""


@dataclass
class Form:
    """The page with the form, in a browser that is signed in."""

    system: AdminSystem
    page: Page
    origin: str
    asked: list[str]

    async def open(self) -> None:
        await self.page.goto(f"{self.origin}/t/{CONTOSO}/logo")

    async def choose(self, name: str, kind: str, octets: bytes) -> None:
        await self.page.set_input_files("#file", {"name": name, "mimeType": kind, "buffer": octets})

    async def saved(self) -> Image.Image:
        """Press Save; the picture that admin has then."""
        await self.page.get_by_role("button", name="Save").click()
        await self.page.get_by_role("img", name="The logo as it is now").wait_for()
        logo = await self.system.deps.logos.get(CONTOSO)
        assert logo is not None
        assert len(logo.png) <= MAX_PNG
        return Image.open(io.BytesIO(logo.png))


@pytest.fixture
async def form(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[Form]:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    origin = f"http://console.localhost:{port}"
    monkeypatch.setenv("BLOK365_CONSOLE_ORIGIN", origin)
    system = await open_system(make_system(tmp_path))
    system.web.add_routes([static_route()])
    runner, _ = await serve(system.web, "127.0.0.1", port)
    try:
        async with async_chromium() as chromium:
            page = await (await chromium.new_context(locale="en-GB")).new_page()
            asked: list[str] = []
            page.on("request", lambda request: asked.append(request.url))
            await virtual_authenticator(page)
            await page.goto((await link_for(system)).url)
            await page.get_by_role("button", name="Create a passkey").click()
            await page.wait_for_url(f"**/t/{CONTOSO}**")
            made = Form(system, page, origin, asked)
            await made.open()
            yield made
    finally:
        await runner.cleanup()


def encoded(picture: Image.Image, kind: str) -> bytes:
    made = io.BytesIO()
    picture.save(made, kind)
    return made.getvalue()


async def test_pictures_become_a_logo_and_nothing_of_a_script_survives(form: Form) -> None:
    half = Image.new("RGBA", (800, 400), (0, 0, 0, 0))
    half.paste((200, 0, 0, 255), (0, 0, 400, 400))
    for kind, size in (("PNG", (192, 96)), ("WEBP", (192, 96)), ("JPEG", (192, 96))):
        picture = half if kind != "JPEG" else half.convert("RGB")
        await form.choose(f"logo.{kind.lower()}", f"image/{kind.lower()}", encoded(picture, kind))
        saved = await form.saved()
        assert saved.size == size
        red, green, blue, alpha = saved.convert("RGBA").getpixel((20, 40))  # type: ignore[misc]
        assert (red > 180, green < 20, blue < 20, alpha) == (True, True, True, 255)
        assert (saved.getpixel((180, 40))[3] == 0) is (kind != "JPEG")  # type: ignore[index]
    await form.choose("small.png", "image/png", encoded(Image.new("RGB", (7, 5), "white"), "PNG"))
    assert (await form.saved()).size == (7, 5)
    await form.choose("logo.svg", "image/svg+xml", SVG)
    saved = await form.saved()
    assert saved.size == (320, 80)
    assert saved.getpixel((160, 40)) == (11, 87, 164, 255)
    assert await form.page.title() != "run"
    assert [url for url in form.asked if url.endswith("/run")] == []
    # noise takes more room: it is drawn smaller until it fits
    await form.choose(
        "noise.png", "image/png", encoded(Image.effect_noise((640, 192), 90).convert("RGB"), "PNG")
    )
    assert (await form.saved()).size[0] < 320


async def test_what_is_no_picture_is_said_in_words_and_cannot_be_saved(form: Form) -> None:
    save = form.page.get_by_role("button", name="Save")
    await expect(save).to_be_disabled()
    for name, octets, said in (
        ("text.png", b"not a picture", "Your browser can't read this picture"),
        ("cut.png", encoded(Image.new("RGB", (9, 9)), "PNG")[:30], "Your browser can't read this picture"),
        ("large.png", bytes(2 * 1024 * 1024 + 1), "The file is larger than 2 MB"),
    ):
        await form.choose(name, "image/png", octets)
        await expect(form.page.locator("#problem")).to_contain_text(said)
        await expect(save).to_be_disabled()
    await form.choose("good.png", "image/png", encoded(Image.new("RGB", (9, 9)), "PNG"))
    await expect(save).to_be_enabled()
    await expect(form.page.locator("#problem")).to_be_empty()
