"""The only wiring of notify."""

from dataclasses import dataclass

from services.notify.config import NotifySettings
from services.notify.consumers import consumers
from services.notify.gateways.letters import WrittenLetters
from services.notify.gateways.mail import FolderMailer, SmtpMailer
from services.notify.gateways.push import WebPush
from services.notify.handlers import Dispatcher
from services.notify.ports import Mailer, Parts, Pusher
from services.notify.store import StoredDeliveries
from shared.crypto.sealed_box import load_opener
from shared.crypto.vapid import load_vapid_key
from shared.run import Platform, Service
from shared.store.outbox import Relay

NAME = "notify"
EVERY = 1.0
"""Seconds between looks for deliveries whose time has come."""
PATIENCE = 8.0
"""Seconds that running attempts get when the process stops."""


@dataclass(frozen=True)
class Wired:
    """The service, and its dispatchers: tests take their rounds themselves."""

    service: Service
    mails: Dispatcher
    pushes: Dispatcher
    parts: Parts


def wire(
    platform: Platform,
    settings: NotifySettings | None = None,
    *,
    mailer: Mailer | None = None,
    pusher: Pusher | None = None,
) -> Wired:
    """Everything that notify is made of."""
    settings = settings or NotifySettings()
    relay = Relay(platform.bus, platform.clock)
    database = platform.open_database(NAME, relay)
    keys = platform.settings.keys
    push = WebPush(
        load_vapid_key(keys),
        contact=settings.contact,
        hosts=settings.push_hosts,
        local=settings.push_local,
        clock=platform.clock,
        ids=platform.ids,
    )
    mail = SmtpMailer(settings) if settings.smtp_host else FolderMailer(settings.mail_folder, platform.clock)
    parts = Parts(
        deliveries=StoredDeliveries(database),
        opener=load_opener(keys, NAME),
        letters=WrittenLetters(sender=settings.sender, reply_to=settings.reply_to),
        mailer=mailer or mail,
        pusher=pusher or push,
        signer=platform.signer(NAME),
        clock=platform.clock,
        ids=platform.ids,
        link_prefix=f"{platform.settings.origin}/key/#i=",
    )
    mails = Dispatcher(parts, "mail", settings.mails_at_once)
    pushes = Dispatcher(parts, "push", settings.pushes_at_once)

    async def stop_mails() -> None:
        await mails.stop(PATIENCE)

    async def stop_pushes() -> None:
        await pushes.stop(PATIENCE)
        await push.close()

    service = Service(
        name=NAME,
        database=database,
        relay=relay,
        handlers=consumers(parts, mails, pushes),
        background=[lambda: mails.run(EVERY), lambda: pushes.run(EVERY)],
        on_stop=[stop_mails, stop_pushes],
    )
    return Wired(service, mails, pushes, parts)


def build(platform: Platform, settings: NotifySettings | None = None) -> Service:
    """The service, wired, not yet running."""
    return wire(platform, settings).service
