"""Pictures of every state of the sign-in page into docs/pictures/: `python -m tests.pages.pictures [name ...]`.

Phone (390x844) and desktop (1280x800), light and dark, English; two in French. Reduced to few colours, so that
the folder stays small.
"""

import sys
from pathlib import Path

from playwright.sync_api import Browser

from tests.pages.browser import Shown, chromium, sample_server
from tests.pages.png import shrink
from tests.pages.samples import TXN, VIEWS

OUT = Path(__file__).parents[2] / "docs/pictures/signin"
EXTRA = {"problem": "/problem", "token": "/token", "signed-out": "/signed-out"}
SIZES = {"phone": (390, 844), "desktop": (1280, 800)}


def take(browser: Browser, shown: Shown, name: str, size: str, theme: str, lang: str) -> Path:
    width, height = SIZES[size]
    context = browser.new_context(
        viewport={"width": width, "height": height},
        color_scheme=theme,  # type: ignore[arg-type]
        reduced_motion="reduce",
        has_touch=size == "phone",
        is_mobile=size == "phone",
        # `proved` and the timer go on by themselves; a picture wants them still
        java_script_enabled=False,
    )
    page = context.new_page()
    shown.view, shown.lang = VIEWS.get(name), lang
    page.goto(f"{shown.origin}{EXTRA.get(name, f'/signin/{TXN}')}")
    suffix = "" if lang == "en" else f"-{lang}"
    file = OUT / f"{name}-{size}-{theme}{suffix}.png"
    page.screenshot(path=file)
    context.close()
    return file


def main(names: list[str]) -> None:
    OUT.mkdir(parents=True, exist_ok=True)
    with sample_server() as shown, chromium() as browser:
        for name in names or [*VIEWS, *EXTRA]:
            for size in SIZES:
                for theme in ("light", "dark"):
                    shrink(take(browser, shown, name, size, theme, "en"))
        for name in ("start", "push-waiting"):
            shrink(take(browser, shown, name, "phone", "light", "fr"))
    total = sum(file.stat().st_size for file in OUT.glob("*.png"))
    print(f"{len(list(OUT.glob('*.png')))} pictures, {total / 1e6:.2f} MB")


if __name__ == "__main__":
    main(sys.argv[1:])
