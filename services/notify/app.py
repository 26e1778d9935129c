"""The only wiring of notify."""

from functools import partial

from services.notify.config import NotifySettings
from services.notify.consumers import consumers
from services.notify.domain.delivery import Delivery
from services.notify.gateways.composer import TemplateComposer
from services.notify.gateways.mail import FolderMailer, SmtpMailer
from services.notify.gateways.push import WebPush
from services.notify.handlers.attempts import attempt
from services.notify.handlers.delivery_loop import DUE_EVERY, STOP_WITHIN, DeliveryLoop
from services.notify.ports import Dependencies, Mailer, Pusher
from services.notify.store import (
    ContactRepository,
    DeliveryRepository,
    NoticeRepository,
    TenantRepository,
)
from shared.assembly import Platform, Wired
from shared.crypto.sealed_box import load_opener, load_sealer
from shared.crypto.vapid import load_vapid_key
from shared.store.sealing import SealingKey


def build(
    platform: Platform,
    settings: NotifySettings | None = None,
    *,
    mailer: Mailer | None = None,
    pusher: Pusher | None = None,
) -> Wired[Dependencies]:
    """The service, not yet running, with what its handlers work with. `mailer`, `pusher`: a test's own."""
    assembly = platform.assemble("notify")
    settings, keys = settings or NotifySettings(), platform.settings.keys
    push = WebPush(
        load_vapid_key(keys),
        contact=settings.contact,
        hosts=settings.push_hosts,
        local=settings.push_local,
        clock=platform.clock,
        ids=platform.ids,
    )
    mail = SmtpMailer(settings) if settings.smtp_host else FolderMailer(settings.mail_folder, platform.clock)
    database, sealing = assembly.database, SealingKey.from_file(keys / "notify.seal", platform.ids)
    deliveries, tenants = DeliveryRepository(database), TenantRepository(database)
    contacts = ContactRepository(database, sealing, platform.clock)

    # The loops are part of what handlers work with, so this can only look `deps` up when it runs.
    async def make_attempt(delivery: Delivery) -> None:
        await attempt(deps, delivery)

    mails = DeliveryLoop(
        "mail", settings.mails_at_once, deliveries=deliveries, clock=platform.clock, attempt=make_attempt
    )
    pushes = DeliveryLoop(
        "push", settings.pushes_at_once, deliveries=deliveries, clock=platform.clock, attempt=make_attempt
    )
    deps = Dependencies(
        deliveries=deliveries,
        contacts=contacts,
        tenants=tenants,
        notices=NoticeRepository(database),
        mails=mails,
        pushes=pushes,
        opener=load_opener(keys, "notify"),
        sealer=load_sealer(keys, "notify"),
        composer=TemplateComposer(sender=settings.sender, reply_to=settings.reply_to),
        mailer=mailer or mail,
        pusher=pusher or push,
        signer=assembly.signer,
        clock=platform.clock,
        ids=platform.ids,
        link_prefix=f"{platform.settings.origins.phone}/#i=",
        team_link_prefix=f"{platform.settings.origins.console}/join/",
        console_link_prefix=f"{platform.settings.origins.console}/t/",
    )
    service = assembly.service(
        consumers(deps),
        # Of approval nothing is kept: its news is told once.
        projections={"admin": [tenants.projection, contacts.projection], "approval": []},
        background=[partial(mails.run, DUE_EVERY), partial(pushes.run, DUE_EVERY)],
        on_stop=[partial(mails.stop, STOP_WITHIN), partial(pushes.stop, STOP_WITHIN), push.close],
    )
    return Wired(service, deps)
