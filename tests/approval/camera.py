"""A camera for Chromium: a film (YUV4MPEG2) that shows a picture of the sign-in page's own QR code."""

import io
from pathlib import Path

from PIL import Image
from playwright.async_api import Browser

from tests.pages.browser import Shown
from tests.pages.samples import TXN, VIEWS, replace_qr

WIDTH, HEIGHT = 640, 480
FRAMES = 5
GREY = 128
FLAGS = ("--use-fake-device-for-media-stream", "--use-fake-ui-for-media-stream")
"""There is a camera, and whoever asks for it gets it."""


def film(picture: bytes, file: Path) -> None:
    """Write a film in which that picture (PNG) stands in the middle of a grey wall."""
    with Image.open(io.BytesIO(picture)) as image:
        code = image.convert("L")
    wall = Image.new("L", (WIDTH, HEIGHT), GREY)
    wall.paste(code, ((WIDTH - code.width) // 2, (HEIGHT - code.height) // 2))
    # Brightness for each pixel, then the two colours, which are grey, for each square of four.
    frame = b"FRAME\n" + wall.tobytes() + bytes([GREY]) * (WIDTH * HEIGHT // 2)
    file.write_bytes(f"YUV4MPEG2 W{WIDTH} H{HEIGHT} F10:1 Ip A1:1 C420jpeg\n".encode() + frame * FRAMES)


async def picture_of(shown: Shown, browser: Browser, text: str) -> bytes:
    """The QR code of that text as the sign-in page shows it, as PNG."""
    shown.set(replace_qr(VIEWS["qr-waiting"], text))
    context = await browser.new_context(viewport={"width": 800, "height": 900})
    page = await context.new_page()
    await page.goto(f"{shown.origin}/signin/{TXN}")
    picture = await page.locator(".qr").screenshot()
    await context.close()
    return picture
