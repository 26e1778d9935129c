"""The stand-in as a web application, and as an object that tests hold in hand.

| URL | what it is |
|---|---|
| POST /subscribe | `{applicationServerKey}` to what `PushSubscription.toJSON()` gives |
| POST /push/{id} | a push message (RFC 8030) |
| GET /messages/{id} | what the browser got so far, as text; `?wait=S` waits for the next |
| POST /misbehave/{id} | `{how, times, retry_after}`; `*` for all subscriptions |
"""

import asyncio
import base64
from collections import defaultdict
from dataclasses import dataclass, field
from typing import Any, Literal, get_args

from aiohttp import web
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

from deploy.standins.push.verify import Browser, PushRefused, Received, verify_push
from shared.clock import Clock
from shared.ids import Ids, b64u, new_id

How = Literal["gone", "not_found", "too_many", "fault", "redirect", "silent", "cut"]
FOREVER = 10**9
LONGEST_WAIT = 30.0


@dataclass
class Mood:
    """How the push service will answer the next `times` messages."""

    how: How
    times: int
    retry_after: str


@dataclass
class PushService:
    """Subscriptions, what they got, and what was refused. `origin` is where it is reached."""

    clock: Clock
    ids: Ids
    origin: str = ""
    browsers: dict[str, Browser] = field(default_factory=dict)
    messages: dict[str, list[Received]] = field(default_factory=lambda: defaultdict(list))
    refused: list[str] = field(default_factory=list)
    attempts: dict[str, int] = field(default_factory=lambda: defaultdict(int))
    moods: dict[str, Mood] = field(default_factory=dict)
    redirected: int = 0
    """Requests to where a redirect led: nobody may follow it."""
    _news: asyncio.Condition = field(default_factory=asyncio.Condition)
    _end: asyncio.Event = field(default_factory=asyncio.Event)

    def subscribe(self, application_server_key: str) -> dict[str, Any]:
        """As `pushManager.subscribe` and `toJSON`. Raises ValueError when that is no P-256 key."""
        server = base64.urlsafe_b64decode(application_server_key + "=" * (-len(application_server_key) % 4))
        ec.EllipticCurvePublicKey.from_encoded_point(ec.SECP256R1(), server)
        key = ec.generate_private_key(ec.SECP256R1())
        auth = self.ids.random_bytes(16)
        name = new_id(self.ids)
        self.browsers[name] = Browser(key, auth, server)
        point = key.public_key().public_bytes(Encoding.X962, PublicFormat.UncompressedPoint)
        return {
            "endpoint": f"{self.origin}/push/{name}",
            "expirationTime": None,
            "keys": {"p256dh": b64u(point), "auth": b64u(auth)},
        }

    def misbehave(self, name: str, how: How, *, times: int = FOREVER, retry_after: str = "") -> None:
        """Answer the next `times` messages in that way. `name`: the end of a subscription's endpoint, or `*`."""
        self.moods[name] = Mood(how, times, retry_after)

    def app(self) -> web.Application:
        """The push service as a web application."""
        app = web.Application(client_max_size=1024 * 1024)
        app.add_routes(
            [
                web.post("/subscribe", self._subscribe),
                web.post("/push/{id}", self._push),
                web.get("/messages/{id}", self._messages),
                web.post("/misbehave/{id}", self._misbehave),
                web.route("*", "/elsewhere", self._elsewhere),
            ]
        )
        app.on_shutdown.append(self._stop)
        return app

    async def _stop(self, _: web.Application) -> None:
        self._end.set()

    async def _push(self, request: web.Request) -> web.StreamResponse:
        name = request.match_info["id"]
        self.attempts[name] += 1
        body = await request.read()
        if (answer := await self._moody(name, request)) is not None:
            return answer
        browser = self.browsers.get(name)
        if browser is None:
            return web.Response(status=404)
        try:
            received = verify_push(
                request.headers, body, browser=browser, origin=self.origin, now=self.clock.now()
            )
        except PushRefused as error:
            self.refused.append(str(error))
            return web.Response(status=error.status, text=str(error))
        async with self._news:
            self.messages[name].append(received)
            self._news.notify_all()
        location = f"{self.origin}/message/{new_id(self.ids)}"
        return web.Response(status=201, headers={"Location": location, "TTL": str(received.ttl)})

    async def _moody(self, name: str, request: web.Request) -> web.StreamResponse | None:
        mood = self.moods.get(name) or self.moods.get("*")
        if mood is None or mood.times <= 0:
            return None
        mood.times -= 1
        headers = {"Retry-After": mood.retry_after} if mood.retry_after else {}
        match mood.how:
            case "gone":
                return web.Response(status=410)
            case "not_found":
                return web.Response(status=404)
            case "too_many":
                return web.Response(status=429, headers=headers)
            case "fault":
                return web.Response(status=503, headers=headers)
            case "redirect":
                return web.Response(status=307, headers={"Location": f"{self.origin}/elsewhere"})
            case "silent":
                await self._end.wait()
                return web.Response(status=503)
            case "cut":
                if request.transport is not None:
                    request.transport.abort()
                return web.Response(status=503)

    async def _elsewhere(self, _: web.Request) -> web.Response:
        self.redirected += 1
        return web.Response(status=201)

    async def _subscribe(self, request: web.Request) -> web.Response:
        body = await request.json()
        return web.json_response(self.subscribe(body["applicationServerKey"]), status=201)

    async def _messages(self, request: web.Request) -> web.Response:
        name = request.match_info["id"]
        seen, patience = len(self.messages[name]), min(float(request.query.get("wait", "0")), LONGEST_WAIT)
        if patience > 0:
            try:
                async with asyncio.timeout(patience), self._news:
                    await self._news.wait_for(lambda: len(self.messages[name]) > seen)
            except TimeoutError:
                pass
        return web.json_response({"messages": [m.plaintext.decode() for m in self.messages[name]]})

    async def _misbehave(self, request: web.Request) -> web.Response:
        body = await request.json()
        if body.get("how") not in get_args(How):
            return web.Response(status=400, text=f"how: one of {get_args(How)}")
        self.misbehave(
            request.match_info["id"],
            body["how"],
            times=int(body.get("times", FOREVER)),
            retry_after=str(body.get("retry_after", "")),
        )
        return web.Response(status=204)
