"""A push service for a headless Chromium, which has none of its own.

The page's `pushManager` is a double with the Push API's shapes, which subscribes where it is told to. What the push
service then gets for that subscription is handed to the real service worker by DevTools, as the browser would hand it.
"""

import asyncio
from collections.abc import Awaitable, Callable, Mapping
from typing import Any
from urllib.parse import urlsplit

from playwright.async_api import BrowserContext, CDPSession, Page

Subscribe = Callable[[str], Mapping[str, Any] | Awaitable[Mapping[str, Any]]]
"""From `applicationServerKey`, base64url, to what `PushSubscription.toJSON()` gives."""

PUSH_MANAGER = """(() => {
  const NAME = "double of pushManager";
  const decoded = (text) => Uint8Array.from(
    atob(text.replaceAll("-", "+").replaceAll("_", "/")), (each) => each.charCodeAt(0),
  );
  const encoded = (octets) => btoa(String.fromCharCode(...octets))
    .replaceAll("+", "-").replaceAll("/", "_").replaceAll("=", "");
  const kept = () => {
    const { json, key } = JSON.parse(localStorage.getItem(NAME) ?? "{}");
    return json === undefined ? null : {
      endpoint: json.endpoint,
      options: { applicationServerKey: decoded(key).buffer, userVisibleOnly: true },
      toJSON: () => json,
      unsubscribe: async () => { localStorage.removeItem(NAME); return true; },
    };
  };
  PushManager.prototype.getSubscription = async () => kept();
  PushManager.prototype.subscribe = async ({ userVisibleOnly, applicationServerKey }) => {
    if (userVisibleOnly !== true) throw new DOMException("", "NotAllowedError");
    if (Notification.permission !== "granted") throw new DOMException("", "NotAllowedError");
    const key = encoded(applicationServerKey);
    localStorage.setItem(NAME, JSON.stringify({ json: await window.subscribeThere(key), key }));
    return kept();
  };
})()"""


async def give_push_service(page: Page, subscribe: Subscribe) -> None:
    """The page, from its next load on, subscribes there."""
    await page.expose_function("subscribeThere", subscribe)
    await page.add_init_script(PUSH_MANAGER)


async def allow_notifications(context: BrowserContext, origin: str) -> None:
    """As if the person had allowed them."""
    await context.grant_permissions(["notifications"], origin=origin)


class Delivery:
    """Hands messages to the service worker of one origin."""

    def __init__(self, devtools: CDPSession, origin: str) -> None:
        self._devtools = devtools
        self._origin = origin
        self._registration: asyncio.Future[str] = asyncio.get_running_loop().create_future()

    async def begin(self) -> None:
        """Learn of the origin's service worker, now or when it is registered."""
        self._devtools.on("ServiceWorker.workerRegistrationUpdated", self._updated)
        await self._devtools.send("ServiceWorker.enable")

    def _updated(self, event: Mapping[str, Any]) -> None:
        for each in event["registrations"]:
            parts = urlsplit(each["scopeURL"])
            if f"{parts.scheme}://{parts.netloc}" == self._origin and not self._registration.done():
                self._registration.set_result(each["registrationId"])

    async def deliver(self, message: str) -> None:
        """A push message, decrypted. Raises TimeoutError where no service worker was registered."""
        async with asyncio.timeout(10):
            registration = await asyncio.shield(self._registration)
        fields = {"origin": f"{self._origin}/", "registrationId": registration, "data": message}
        await self._devtools.send("ServiceWorker.deliverPushMessage", fields)
