"""Pictures of the sign-in page in every state: phone (390x844) and desktop (1280x800), light and dark.

English, and three in French.
"""

from pathlib import Path

from playwright.sync_api import Browser

from tests.pages.browser import AUTHENTICATOR, Shown, chromium, sample_server
from tests.pages.samples import OWN_PAGES, TRIALS, TXN, VIEWS

EXTRA = {
    "added": "/added",
    "problem": "/problem",
    "token": "/token",
    "signed-out": "/signed-out",
    **{name: f"/own/{name}" for name in OWN_PAGES},
    **{name: f"/trial/{name}" for name in TRIALS},
}
PASSKEY = ("passkey-asking", "passkey-stopped", "passkey-refused")
"""The start page after a press on "Use a passkey"."""
STILL = ("proved", "token", "passkey-missing")
"""Without scripts: the first two would go on by themselves; the last is what a browser without WebAuthn shows."""
SIZES = {"phone": (390, 844), "desktop": (1280, 800)}


def take(browser: Browser, shown: Shown, out: Path, name: str, size: str, theme: str, lang: str) -> None:
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
    page.screenshot(
        path=out / f"{name}-{size}-{theme}{suffix}.png", full_page=name.startswith(("own", "trial"))
    )
    context.close()


def draw(out: Path) -> None:
    """All of them into the folder `out`, as `{state}-{size}-{theme}[-{language}].png`."""
    with sample_server() as shown, chromium() as browser:
        for name in (*VIEWS, *PASSKEY, "passkey-missing", *EXTRA):
            for size in SIZES:
                for theme in ("light", "dark"):
                    take(browser, shown, out, name, size, theme, "en")
        for name in ("start", "push-waiting", "passkey-stopped"):
            take(browser, shown, out, name, "phone", "light", "fr")
