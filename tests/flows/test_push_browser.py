"""A sign-in request wakes BlokKey: a real round trip through a push service that we did not write.

notify encrypts and signs, npm's `web-push-testing` verifies and decrypts, and the service worker of the phone's page in
a real Chromium gets what came out. docs/flows/notification.md, steps 1 to 7, and docs/flows/sign-in.md.
"""

import asyncio
import json
import subprocess
from collections.abc import AsyncIterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import aiohttp
import pytest
import pytest_asyncio
from playwright.async_api import Worker, expect

from deploy.setup.node import node
from deploy.standins.push.chromium import Delivery, allow_notifications, give_push_service
from services.admin import handlers as admin
from shared.testing.waiting import eventually
from tests.flows.conftest import LocalSystem
from tests.flows.test_phone_browser import Pair, pair
from tests.pages.npm import node_modules

__all__ = ["pair"]  # a fixture

pytestmark = [
    pytest.mark.integration,
    pytest.mark.slow,
    pytest.mark.xdist_group("chromium"),
    pytest.mark.asyncio(loop_scope="session"),
]

HERE = Path(__file__).parent / "push_service"
READY = "async () => { await navigator.serviceWorker.ready; }"
SHOWN = """async () => {
  const found = await self.registration.getNotifications();
  return found.map(({ title, body, tag, lang }) => ({ title, body, tag, lang }));
}"""
TAP = """async () => {
  self.opened = [];
  self.clients.openWindow = async (url) => { self.opened.push(url); return null; };
  const [notification] = await self.registration.getNotifications({ tag: "request" });
  self.dispatchEvent(new NotificationEvent("notificationclick", { notification }));
  for (let turn = 0; turn < 50 && self.opened.length === 0; turn += 1) await new Promise((go) => setTimeout(go, 20));
  return [self.opened, (await self.registration.getNotifications()).length];
}"""
"""Nobody can tap on a notification here, and only after a tap a browser opens a window."""


@dataclass
class PushService:
    """The push service's own interface."""

    port: int
    http: aiohttp.ClientSession
    names: list[str] = field(default_factory=list)
    """Of its subscriptions, the newest last."""

    async def _post(self, path: str, body: Mapping[str, Any]) -> Any:
        async with self.http.post(f"http://localhost:{self.port}{path}", json=body) as answer:
            assert answer.status == 200, await answer.text()
            return await answer.json() if answer.content_type == "application/json" else None

    async def subscribe(self, key: str) -> dict[str, Any]:
        """It takes `userVisibleOnly` as text only."""
        made = await self._post("/subscribe", {"userVisibleOnly": "true", "applicationServerKey": key})
        self.names.append(made["data"].pop("clientHash"))
        subscription: dict[str, Any] = made["data"]
        return subscription

    async def messages(self) -> list[str]:
        """What it got for the newest subscription, verified and decrypted."""
        got = await self._post("/get-notifications", {"clientHash": self.names[-1]})
        messages: list[str] = got["data"]["messages"]
        return messages

    async def expire(self) -> None:
        """From now on it answers 410 for the newest subscription."""
        await self._post(f"/expire-subscription/{self.names[-1]}", {})


@pytest_asyncio.fixture(loop_scope="session")
async def push_service(local_system: LocalSystem) -> AsyncIterator[PushService]:
    modules = await asyncio.to_thread(node_modules, HERE)
    server = modules / "web-push-testing/src/bin/server.js"
    process = await asyncio.create_subprocess_exec(
        node().node, str(server), str(local_system.push_port), stdout=subprocess.PIPE
    )
    try:
        assert process.stdout is not None
        async with asyncio.timeout(20):
            assert b"Server running" in await process.stdout.readline()
        async with aiohttp.ClientSession() as http:
            yield PushService(local_system.push_port, http)
    finally:
        process.terminate()
        await process.wait()


@dataclass
class Woken:
    """A phone with notifications, and what its service worker was given."""

    pair: Pair
    service: PushService
    delivery: Delivery

    async def worker(self) -> Worker:
        """The service worker, started when it has something to do."""

        async def found() -> Worker | None:
            workers = self.pair.phone.context.service_workers
            return workers[-1] if workers else None

        return await eventually(found, "the service worker runs")

    async def pushed(self, number: int) -> None:
        """The push service has so many messages; the newest is given to the service worker."""

        async def come() -> list[str] | None:
            messages = await self.service.messages()
            return messages if len(messages) >= number else None

        messages = await eventually(come, "notify has pushed")
        assert len(messages) == number
        assert json.loads(messages[-1]).keys() == {"v", "kind", "id"}
        assert json.loads(messages[-1])["kind"] == "request"
        await self.delivery.deliver(messages[-1])

    async def shown(self, number: int = 1) -> list[dict[str, str]]:
        """The notifications that the phone shows."""

        async def come() -> list[dict[str, str]] | None:
            found: list[dict[str, str]] = await (await self.worker()).evaluate(SHOWN)
            return found if len(found) == number else None

        return await eventually(come, f"{number} notifications")

    async def notifications(self) -> str:
        """As `blok365 account devices` lists them."""
        running = self.pair.running_system
        (phone,) = await admin.list_devices(running.admin, "contoso", self.pair.person)
        return phone.notifications


@pytest_asyncio.fixture(loop_scope="session")
async def woken(pair: Pair, push_service: PushService) -> Woken:
    phone = pair.phone
    await allow_notifications(phone.context, pair.phone_origin)
    await give_push_service(phone, push_service.subscribe)
    delivery = Delivery(pair.devtools, pair.phone_origin)
    await delivery.begin()
    return Woken(pair, push_service, delivery)


async def test_a_request_wakes_the_phone_which_approves_and_an_ended_subscription_is_said_to_be(
    woken: Woken,
) -> None:
    pair = woken.pair
    block = pair.phone.locator("section:not([hidden]) [data-notifications] p:not([hidden])")
    await pair.enrol()
    await pair.press("Turn on notifications")
    await expect(block).to_contain_text("This phone notifies you")
    await eventually(lambda: _is(woken, "on"), "admin knows that notifications are on")
    await pair.phone.goto("about:blank")  # BlokKey is closed

    code = await pair.start("Send a request to my phone")
    await woken.pushed(1)
    (shown,) = await woken.shown()
    assert shown == {
        "title": "Sign-in request",
        "body": "A sign-in request is waiting. Open BlokKey if it is yours.",
        "tag": "request",
        "lang": "en",
    }
    assert await (await woken.worker()).evaluate(TAP) == [["/"], 0]
    await pair.phone.goto(f"{pair.phone_origin}/")  # as the browser does then
    await pair.approve(code)
    await pair.arrived()

    # The browser is known now, and hears that the push service has ended the subscription.
    await pair.phone.goto("about:blank")
    await woken.service.expire()
    await pair.desk.goto(f"{pair.entra}/start?username={pair.person}&variant=forced_prompt")
    await pair.desk.get_by_role("button", name="Send a request to my phone").click()
    await expect(pair.desk.locator("h1")).to_have_text("Open BlokKey on your phone")
    await expect(pair.desk.locator("#status")).to_contain_text("No notification could be sent.")
    await expect(pair.desk.get_by_role("button", name="Scan a QR code instead")).to_be_visible()
    await eventually(lambda: _is(woken, "ended"), "admin knows that the subscription ended")
    code = "".join((await pair.desk.locator("[data-code]").inner_text()).split())
    await pair.phone.goto(f"{pair.phone_origin}/")
    await pair.approve(code)
    await pair.press("Back to requests")
    await expect(block).to_contain_text("no longer reach this phone")
    await pair.press("Turn on notifications")
    await expect(block).to_contain_text("This phone notifies you")
    assert len(woken.service.names) == 2
    assert pair.faults == []


async def _is(woken: Woken, state: str) -> bool | None:
    return await woken.notifications() == state or None


async def test_the_same_push_twice_is_one_notification_and_nothing_of_a_push_is_shown(woken: Woken) -> None:
    """Whoever has the subscription and the keys can push: the phone says only what it has words for."""
    pair = woken.pair
    await pair.enrol()
    await pair.phone.evaluate(READY)
    await pair.phone.goto("about:blank")
    request = json.dumps({"v": 1, "kind": "request", "id": "a"})
    forged = {
        "title": "Your bank",
        "body": "Call +1 555 0100",
        "url": "https://evil.example/",
        "kind": "<b>bank</b>",
    }
    for message in (request, request, json.dumps(forged), "no JSON", "", json.dumps({"kind": "toString"})):
        await woken.delivery.deliver(message)
    shown = await woken.shown(2)
    assert {each["tag"] for each in shown} == {"request", "other"}
    assert "bank" not in json.dumps(shown)
    assert "555" not in json.dumps(shown)


async def test_the_phone_speaks_the_persons_language(woken: Woken, local_system: LocalSystem) -> None:
    pair = woken.pair
    context = await pair.phone.context.browser.new_context(locale="fr-FR")  # type: ignore[union-attr]
    try:
        page = await context.new_page()
        await allow_notifications(context, pair.phone_origin)
        devtools = await context.new_cdp_session(page)
        delivery = Delivery(devtools, pair.phone_origin)
        await delivery.begin()
        await page.goto(f"{pair.phone_origin}/")
        await page.evaluate(READY)
        titles: list[str] = []

        async def new() -> list[str] | None:
            found: list[dict[str, str]] = await context.service_workers[-1].evaluate(SHOWN)
            return [each["title"] for each in found if each["title"] not in titles] or None

        for kind in ("request", "device_added", "device_removed"):
            await delivery.deliver(json.dumps({"v": 1, "kind": kind, "id": kind}))
            titles += await eventually(new, f"the notification of {kind}")
        assert titles == ["Demande de connexion", "Téléphone ajouté", "Téléphone retiré"]
    finally:
        await context.close()
