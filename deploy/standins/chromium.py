"""A headless Chromium, and a platform authenticator for one of its tabs: for tests and the demo."""

import shutil
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from playwright.async_api import Browser, CDPSession, Page, async_playwright

CHROMIUM = "/usr/bin/chromium"
FLAGS = [
    "--headless=new", "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run",
    "--disable-background-networking", "--disable-component-update", "--disable-sync", "--hide-scrollbars",
    "--disable-lcd-text",
]  # fmt: skip
OLD_HEADLESS = ["--headless"]
"""Playwright's own flag asks for the old headless mode; FLAGS ask for the new one, which is the whole browser."""


def is_there() -> bool:
    """Whether this machine has Chromium."""
    return shutil.which(CHROMIUM) is not None


@asynccontextmanager
async def chromium() -> AsyncIterator[Browser]:
    """A fresh one."""
    async with async_playwright() as playwright:
        browser = await playwright.chromium.launch(
            executable_path=CHROMIUM, args=FLAGS, ignore_default_args=OLD_HEADLESS
        )
        try:
            yield browser
        finally:
            await browser.close()


async def virtual_authenticator(page: Page) -> tuple[CDPSession, str]:
    """A platform authenticator that verifies its user, for that tab; and its id."""
    devtools = await page.context.new_cdp_session(page)
    await devtools.send("WebAuthn.enable")
    options = {
        "protocol": "ctap2",
        "transport": "internal",
        "hasResidentKey": True,
        "hasUserVerification": True,
        "isUserVerified": True,
    }
    made = await devtools.send("WebAuthn.addVirtualAuthenticator", {"options": options})
    return devtools, made["authenticatorId"]
