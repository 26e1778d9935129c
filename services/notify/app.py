"""The only wiring of notify."""

from functools import partial

from services.notify.config import NotifySettings
from services.notify.consumers import consumers
from services.notify.gateways.letters import WrittenLetters
from services.notify.gateways.mail import FolderMailer, SmtpMailer
from services.notify.gateways.push import WebPush
from services.notify.handlers import DUE_EVERY, STOP_WITHIN, Dispatcher, Dispatchers
from services.notify.ports import Mailer, Parts, Pusher
from services.notify.store import StoredDeliveries
from shared.assembly import Platform, Wired
from shared.crypto.sealed_box import load_opener
from shared.crypto.vapid import load_vapid_key


def build(
    platform: Platform,
    settings: NotifySettings | None = None,
    *,
    mailer: Mailer | None = None,
    pusher: Pusher | None = None,
) -> Wired[Dispatchers]:
    """The service, not yet running, with its dispatchers. `mailer`, `pusher`: a test's own."""
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
    parts = Parts(
        deliveries=StoredDeliveries(assembly.database),
        opener=load_opener(keys, "notify"),
        letters=WrittenLetters(sender=settings.sender, reply_to=settings.reply_to),
        mailer=mailer or mail,
        pusher=pusher or push,
        signer=assembly.signer,
        clock=platform.clock,
        ids=platform.ids,
        link_prefix=f"{platform.settings.origin}/key/#i=",
    )
    mails = Dispatcher(parts, "mail", settings.mails_at_once)
    pushes = Dispatcher(parts, "push", settings.pushes_at_once)
    service = assembly.service(
        consumers(parts, mails, pushes),
        background=[partial(mails.run, DUE_EVERY), partial(pushes.run, DUE_EVERY)],
        on_stop=[partial(mails.stop, STOP_WITHIN), partial(pushes.stop, STOP_WITHIN), push.close],
    )
    return Wired(service, Dispatchers(parts, mails, pushes))
