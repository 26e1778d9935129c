"""Pictures of every state of the sign-in page into docs/pictures/: `python -m tests.pages.pictures [name ...]`.

Phone (390x844) and desktop (1280x800), light and dark, English; two in French. Reduced to few colours, so that
the folder stays small.
"""

import sys
from pathlib import Path

from playwright.sync_api import Browser

from tests.pages.browser import AUTHENTICATOR, Shown, chromium, sample_server
from tests.pages.png import shrink
from tests.pages.samples import TXN, VIEWS

OUT = Path(__file__).parents[2] / "docs/pictures/signin"
EXTRA = {"problem": "/problem", "token": "/token", "signed-out": "/signed-out"}
PASSKEY = ("passkey-asking", "passkey-stopped", "passkey-refused")
"""The start page after a press on "Use a passkey"."""
STILL = ("proved", "token", "passkey-missing")
"""Without scripts: the first two would go on by themselves; the last is what a browser without WebAuthn shows."""
SIZES = {"phone": (390, 844), "desktop": (1280, 800)}


def take(browser: Browser, shown: Shown, name: str, size: str, theme: str, lang: str) -> Path:
    width, height = SIZES[size]
    context = browser.new_context(
        viewport={"width": width, "height": height},
        color_scheme=theme,  # type: ignore[arg-type]
        reduced_motion="reduce",
        has_touch=size == "phone",
        is_mobile=size == "phone",
        java_script_enabled=name not in STILL,
    )
    page = context.new_page()
    sample = {"passkey-missing": "passkey-only"}.get(name, "start" if name in PASSKEY else name)
    shown.view, shown.lang = VIEWS.get(sample), lang
    page.goto(f"{shown.origin}{EXTRA.get(name, f'/signin/{TXN}')}")
    if name in PASSKEY:
        outcome = name.partition("-")[2]
        page.evaluate(f"{AUTHENTICATOR}; window.dialog = '{outcome}'")
        page.locator("#passkey button").click()
        page.locator(f"[data-passkey={outcome}]").wait_for()
    suffix = "" if lang == "en" else f"-{lang}"
    file = OUT / f"{name}-{size}-{theme}{suffix}.png"
    page.screenshot(path=file)
    context.close()
    return file


def main(names: list[str]) -> None:
    OUT.mkdir(parents=True, exist_ok=True)
    with sample_server() as shown, chromium() as browser:
        for name in names or [*VIEWS, *PASSKEY, "passkey-missing", *EXTRA]:
            for size in SIZES:
                for theme in ("light", "dark"):
                    shrink(take(browser, shown, name, size, theme, "en"))
        for name in ("start", "push-waiting", "passkey-stopped"):
            shrink(take(browser, shown, name, "phone", "light", "fr"))
    total = sum(file.stat().st_size for file in OUT.glob("*.png"))
    print(f"{len(list(OUT.glob('*.png')))} pictures, {total / 1e6:.2f} MB")


if __name__ == "__main__":
    main(sys.argv[1:])
