"""notify in a world of its own, what admin and approval would ask of it, and an outside that obeys the test."""

import asyncio
import json
from collections import defaultdict
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import timedelta
from email.message import EmailMessage
from pathlib import Path
from typing import Any

from cryptography.hazmat.primitives.asymmetric import ec
from pydantic import BaseModel

from services.notify.app import build
from services.notify.config import NotifySettings
from services.notify.domain.delivery import Outcome, Sent
from services.notify.handlers.delivery_loop import DeliveryLoop
from services.notify.ports import Dependencies
from shared.assembly import Wired
from shared.contracts import Message
from shared.contracts.envelope import VerifiedMessage
from shared.contracts.notify import (
    AlertsMail,
    InvitationMail,
    PushFailed,
    PushSubscription,
    SendMail,
    SendPush,
    SubscriptionGone,
    TeamInvitationMail,
    mail_associated_data,
    push_associated_data,
)
from shared.crypto.sealed_box import Sealer, load_sealer
from shared.crypto.vapid import public_point
from shared.ids import b64u, new_id
from shared.store.outbox import Relay
from shared.store.port import Database
from tests.world import InMemorySystem, make_system

SECRET = "c2VjcmV0LW9mLXRoZS1saW5rLW5vYm9keS1tYXktcmVhZA"
LINK = f"http://key.id.localhost:8365/#i=mS0i1_yPPUmN1G5ZpLz1TQ.{SECRET}"
HOST = "updates.push.services.mozilla.com"


def invitation(to: str = "ada@private.example", **fields: Any) -> InvitationMail:
    values: dict[str, Any] = {
        "to": to,
        "name": "Ada Lovelace",
        "language": "en",
        "organisation": "Contoso",
        "upn": "ada@contoso.example",
        "link": LINK,
        "expires_at": "2026-03-03T08:00:00Z",
    }
    return InvitationMail.model_validate(values | fields)


def team_invitation(**fields: Any) -> TeamInvitationMail:
    values = invitation().model_dump() | {"kind": "team_invitation", "invited_by": "Olga Owner"}
    return TeamInvitationMail.model_validate(values | fields)


def alerts(*, detail: str = "Firefox on Windows", **fields: Any) -> AlertsMail:
    lines = [
        {"kind": "not_me", "at": "2026-03-02T07:00:00Z", "upn": "ada@contoso.example", "detail": detail},
        {
            "kind": "device_refused",
            "at": "2026-03-02T07:30:00Z",
            "upn": "bob@contoso.example",
            "detail": "",
            "reason": "used",
        },
    ]
    values = invitation().model_dump() | {"kind": "alerts", "device_refused": 2, "not_me": 1, "lines": lines}
    return AlertsMail.model_validate(values | fields)


def subscription(endpoint: str = f"https://{HOST}/wpush/v2/capability", **fields: Any) -> PushSubscription:
    key = ec.derive_private_key(7, ec.SECP256R1())
    values = {"endpoint": endpoint, "p256dh": b64u(public_point(key.public_key())), "auth": b64u(bytes(16))}
    return PushSubscription.model_validate(values | fields)


@dataclass
class Outside:
    """Mail server and push services in one: `says` the outcomes in turn, then Sent. `holds` answers nobody yet."""

    says: dict[str, list[Outcome | Exception]] = field(default_factory=lambda: defaultdict(list))
    """By mail address or endpoint."""
    holds: dict[str, asyncio.Event] = field(default_factory=dict)
    mails: list[EmailMessage] = field(default_factory=list)
    pushes: list[tuple[str, bytes, timedelta]] = field(default_factory=list)
    tried: list[str] = field(default_factory=list)
    most: int = 0
    _now: int = 0

    async def answer(self, to: str) -> Outcome:
        self.tried.append(to)
        self._now += 1
        self.most = max(self.most, self._now)
        try:
            if to in self.holds:
                await self.holds[to].wait()
            said = self.says[to].pop(0) if self.says[to] else Sent()
        finally:
            self._now -= 1
        if isinstance(said, Exception):
            raise said
        return said


class FakeMailer:
    def __init__(self, outside: Outside) -> None:
        self._outside = outside

    async def send(self, mail: EmailMessage) -> Outcome:
        outcome = await self._outside.answer(str(mail["To"].addresses[0].addr_spec))
        if isinstance(outcome, Sent):
            self._outside.mails.append(mail)
        return outcome


class FakePusher:
    def __init__(self, outside: Outside) -> None:
        self._outside = outside

    def destination(self, to: PushSubscription) -> str | None:
        host = to.endpoint.split("/")[2]
        return host if host.endswith("mozilla.com") else None

    async def send(
        self, to: PushSubscription, payload: bytes, lifetime: timedelta, topic: str = "request"
    ) -> Outcome:
        assert json.loads(payload)["kind"] == topic
        outcome = await self._outside.answer(to.endpoint)
        if isinstance(outcome, Sent):
            self._outside.pushes.append((to.endpoint, payload, lifetime))
        return outcome


def delivery_loops(deps: Dependencies) -> tuple[DeliveryLoop, DeliveryLoop]:
    """The loops themselves, of mails and of pushes: handlers see less of them."""
    mails, pushes = deps.mails, deps.pushes
    assert isinstance(mails, DeliveryLoop)
    assert isinstance(pushes, DeliveryLoop)
    return mails, pushes


@dataclass
class Notify:
    """The service under test."""

    world: InMemorySystem
    outside: Outside
    wired: Wired[Dependencies]
    settings: NotifySettings
    heard: list[SubscriptionGone] = field(default_factory=list)
    failed: list[PushFailed] = field(default_factory=list)

    @property
    def mails(self) -> DeliveryLoop:
        return delivery_loops(self.wired.dependencies)[0]

    @property
    def pushes(self) -> DeliveryLoop:
        return delivery_loops(self.wired.dependencies)[1]

    @property
    def sealer(self) -> Sealer:
        return load_sealer(self.world.platform.settings.keys, "notify")

    async def say(self, service: str, message: Message, tenant: str = "contoso") -> None:
        await self.world.say(service, message, tenant)
        await self.done()

    async def done(self) -> None:
        """Until no attempt is under way, and what was said is heard."""
        await self.mails.idle()
        await self.pushes.idle()
        await self.world.settle()

    async def round(self) -> None:
        """What the background loops do every second."""
        await self.mails.round()
        await self.pushes.round()
        await self.done()

    async def later(self, seconds: float, *, rounds: int = 1) -> None:
        for _ in range(rounds):
            self.world.clock.advance(seconds)
            await self.round()

    def restart(self) -> None:
        """Another process on the same data; the old one takes no part any more."""
        self.wired = build(
            self.world.platform,
            self.settings,
            mailer=FakeMailer(self.outside),
            pusher=FakePusher(self.outside),
        )

    def mail(
        self,
        written: BaseModel | None = None,
        *,
        delivery: str | None = None,
        tenant: str = "contoso",
        hours: float = 24,
        kind: Any = "invitation",
        octets: bytes | None = None,
    ) -> SendMail:
        """admin's command."""
        delivery = delivery or new_id(self.world.ids)
        secret = octets if octets is not None else (written or invitation()).model_dump_json().encode()
        return SendMail(
            delivery=delivery,
            kind=kind,
            expires_at=self.world.clock.now() + timedelta(hours=hours),
            sealed=self.sealer.seal(secret, mail_associated_data(tenant, delivery)),
        )

    def push(
        self,
        to: PushSubscription | None = None,
        *,
        delivery: str | None = None,
        name: str = "subscription",
        seconds: float = 120,
    ) -> SendPush:
        """approval's command."""
        place = push_associated_data("contoso", "ada", name)
        return SendPush(
            delivery=delivery or new_id(self.world.ids),
            account="ada",
            subscription=name,
            expires_at=self.world.clock.now() + timedelta(seconds=seconds),
            sealed=self.sealer.seal((to or subscription()).model_dump_json().encode(), place),
        )

    def documents(self) -> list[dict[str, Any]]:
        return self.world.documents("notify", "deliveries")

    def document(self, command: SendMail | SendPush) -> dict[str, Any]:
        (found,) = (d for d in self.documents() if d["_id"].endswith(f"/{command.delivery}"))
        return found

    def states(self) -> list[str]:
        return sorted(d["state"] for d in self.documents())

    def reasons(self) -> list[str]:
        return [each.reason for each in self.world.bus.dead_letters if each.service == "notify"]


async def make_notify(
    folder: Path,
    *,
    open_database: Callable[[str, Relay], Database] | None = None,
    real: bool = False,
    **settings: Any,
) -> Notify:
    """notify as it starts. `real`: with its own gateways."""
    world = make_system(folder)
    kept: dict[str, Database] = {}
    first = open_database or world.platform.open_database

    def same_database(service: str, relay: Relay) -> Database:
        if service not in kept:
            kept[service] = first(service, relay)
        return kept[service]

    object.__setattr__(world.platform, "open_database", same_database)
    made = NotifySettings(mail_folder=folder / "mail", **settings)
    outside = Outside()
    wired = (
        build(world.platform, made)
        if real
        else build(world.platform, made, mailer=FakeMailer(outside), pusher=FakePusher(outside))
    )
    world.services["notify"] = wired.service
    await wired.service.database.migrate()
    notify = Notify(world, outside, wired, made)

    async def handle(received: VerifiedMessage[Any]) -> None:
        table = notify.wired.service.handlers
        await table[type(received.message)](received)

    async def hear(received: VerifiedMessage[SubscriptionGone]) -> None:
        notify.heard.append(received.message)

    async def hear_failed(received: VerifiedMessage[PushFailed]) -> None:
        notify.failed.append(received.message)

    await world.bus.consume("notify", dict.fromkeys(wired.service.handlers, handle))
    await world.bus.consume("approval", {SubscriptionGone: hear, PushFailed: hear_failed})
    return notify


def everything(world: InMemorySystem) -> str:
    """All documents of all services, as text."""
    texts = []
    for database in world.databases.values():
        for documents in database.data.values():
            texts += [repr(document) for document in documents.values()]
    return "\n".join(texts)


def text_of(mail: EmailMessage, kind: str) -> str:
    part = mail.get_body((kind,))
    assert part is not None
    return str(part.get_content())


def said(payload: bytes) -> dict[str, Any]:
    fields: dict[str, Any] = json.loads(payload)
    return fields
