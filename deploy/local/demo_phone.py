"""The phone of `make demo`: BlokKey's own page in Chromium, woken by a push; without Chromium, the software phone.

The page, its service worker and the key's protocol are real. Stand-ins are the authenticator (Chromium's virtual one)
and the push service, since headless Chromium has none: it checks what a push service and a browser check.
"""

import base64
import json
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import Protocol

from aiohttp import web
from cryptography.hazmat.primitives.serialization import (
    Encoding,
    PublicFormat,
    load_der_private_key,
)
from playwright.async_api import Browser, CDPSession, Page

from deploy.standins.chromium import chromium, virtual_authenticator
from deploy.standins.phone.phone import SoftPhone
from deploy.standins.push.app import PushService
from deploy.standins.push.chromium import Delivery, allow_notifications, give_push_service
from shared.clock import SystemClock
from shared.ids import SystemIds, b64u
from shared.testing.waiting import eventually

Say = Callable[[str], None]
"""Tells whoever watches what the phone did besides its steps."""
SHOWN = """async () => {
  const found = await (await navigator.serviceWorker.ready).getNotifications();
  return found.map(({ title }) => title);
}"""


class DemoPhone(Protocol):
    """What the demo has a phone do."""

    async def enrol(self, link: str) -> str:
        """Enrol with the invitation, as soon as that has come; the credential's id."""
        ...

    async def approve(self, code: str) -> dict[str, str]:
        """Approve the request that comes, with that code; the proof: see `SoftPhone.approve`."""
        ...


class SoftwarePhone:
    """Implements `DemoPhone` without a screen."""

    def __init__(self, phone: SoftPhone) -> None:
        self._phone = phone

    async def enrol(self, link: str) -> str:
        return (await self._phone.enrol_once_invited(link)).credential_id

    async def approve(self, code: str) -> dict[str, str]:
        async def attempt() -> dict[str, str] | None:
            try:
                return await self._phone.approve(code)
            except LookupError:
                return None  # the request is still on its way

        return await eventually(attempt, "the request reaches the phone")


class ChromiumPhone:
    """Implements `DemoPhone` with BlokKey's page."""

    def __init__(
        self, page: Page, authenticator: tuple[CDPSession, str], push: PushService, say: Say
    ) -> None:
        self._page = page
        self._devtools, self._authenticator = authenticator
        self._push = push
        self._say = say
        self._origin = ""
        self._delivery: Delivery

    async def enrol(self, link: str) -> str:
        self._origin = link.partition("/#")[0]
        self._delivery = Delivery(self._devtools, self._origin)
        await self._delivery.begin()
        await allow_notifications(self._page.context, self._origin)
        invited = self._page.locator("[data-view=invited]:not([hidden])")

        async def arrived() -> bool:
            """An invitation that is still on its way is as good as none."""
            await self._page.goto("about:blank")
            await self._page.goto(link)
            await self._page.locator("[data-view]:not([data-view=start]):not([hidden])").wait_for()
            return await invited.is_visible()

        await eventually(arrived, "the invitation reaches approval", every=0.5)
        await invited.locator("form .button:not(.quiet)").click()
        said = self._page.locator("[data-view=said]:not([hidden])")
        await said.locator("[data-do=push-on]").click()
        await said.locator("p[data-push=on]").wait_for()
        self._say("BlokKey in Chromium: the phone is set up, and notifications are on")
        found = await self._credentials()
        return b64u(base64.b64decode(found["credentialId"]))

    async def _credentials(self) -> dict[str, str]:
        found = await self._devtools.send("WebAuthn.getCredentials", {"authenticatorId": self._authenticator})
        (credential,) = found["credentials"]
        made: dict[str, str] = credential
        return made

    async def approve(self, code: str) -> dict[str, str]:
        await self._page.goto("about:blank")  # BlokKey is closed

        async def pushed() -> str | None:
            found = [message for messages in self._push.messages.values() for message in messages]
            return found[-1].plaintext.decode() if found else None

        message = await eventually(pushed, "a push reaches the push service")
        await self._delivery.deliver(message)
        await self._page.goto(f"{self._origin}/")  # what a tap on the notification does
        (title,) = await eventually(self._shown, "the notification is shown")
        self._say(f"the push is {message}; the phone shows “{title}”")
        await self._page.locator("#code").fill(code)
        async with self._page.expect_request("**/approve") as sent:
            await self._page.locator("[data-form=approve] .button").first.click()
        await self._page.locator("[data-view=said]:not([hidden])").wait_for()
        return await self._proof(json.loads((await sent.value).post_data or ""))

    async def _shown(self) -> list[str] | None:
        found: list[str] = await self._page.evaluate(SHOWN)
        return found or None

    async def _proof(self, body: dict[str, object]) -> dict[str, str]:
        """Of what the page has sent, and the authenticator's own public key."""
        credential = body["credential"]
        assert isinstance(credential, dict)
        response: dict[str, str] = credential["response"]
        key = load_der_private_key(base64.b64decode((await self._credentials())["privateKey"]), None)
        spki = key.public_key().public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)
        return {
            "context": b64u(str(body["context"]).encode()),
            "authenticator_data": response["authenticatorData"],
            "client_data_json": response["clientDataJSON"],
            "signature": response["signature"],
            "public_key": b64u(spki),
        }


@asynccontextmanager
async def chromium_phone(push_port: int, say: Say) -> AsyncIterator[ChromiumPhone]:
    """BlokKey in Chromium, with the push service's stand-in on that port of this machine."""
    push = PushService(SystemClock(), SystemIds(), f"http://127.0.0.1:{push_port}")
    runner = web.AppRunner(push.app(), shutdown_timeout=1)
    await runner.setup()
    try:
        await web.TCPSite(runner, "127.0.0.1", push_port).start()
        async with chromium() as browser:
            yield await _phone_in(browser, push, say)
    finally:
        await runner.cleanup()


async def _phone_in(browser: Browser, push: PushService, say: Say) -> ChromiumPhone:
    context = await browser.new_context(viewport={"width": 390, "height": 844}, locale="en-GB")
    page = await context.new_page()
    await give_push_service(page, push.subscribe)
    return ChromiumPhone(page, await virtual_authenticator(page), push, say)
