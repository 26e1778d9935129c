"""Commands: checked, kept as deliveries, and offered for an attempt (docs/flows/notification.md, steps 4 and 9)."""

from services.notify.domain.delivery import Delivery
from services.notify.domain.notices import mail_destination
from services.notify.handlers.sealed import open_mail, open_subscription
from services.notify.ports import Dependencies
from shared.bus.port import Reject
from shared.contracts.envelope import VerifiedMessage
from shared.contracts.notify import SendMail, SendPush, mail_associated_data, push_associated_data


async def accept_mail(deps: Dependencies, received: VerifiedMessage[SendMail]) -> None:
    """`notify.mail.send.v1`: keep the delivery, then attempt it. A delivery that is kept already changes nothing.

    The attempt runs on its own: the command is done when its delivery is kept. Raises Reject for a mail that does
    not open, is not of the kind that was announced, or leads elsewhere than to our own sign-in host.
    """
    command, envelope = received.message, received.envelope
    associated_data = mail_associated_data(received.tenant, command.delivery)
    mail = open_mail(deps, command.sealed, associated_data)
    if mail.kind != command.kind:
        raise Reject("the mail is of another kind")
    delivery = Delivery(
        id=f"{envelope.sender}/{received.tenant}/{command.delivery}",
        tenant=received.tenant,
        channel="mail",
        kind=command.kind,
        destination=mail_destination(mail.to),
        associated_data=associated_data,
        sealed=command.sealed,
        correlation=envelope.correlation_id,
        created_at=deps.clock.now(),
        next_at=deps.clock.now(),
        expires_at=command.expires_at,
    )
    if await deps.deliveries.add(delivery):
        deps.mails.offer(delivery)


async def accept_push(deps: Dependencies, received: VerifiedMessage[SendPush]) -> None:
    """`notify.push.send.v1`: keep the delivery, then attempt it. A delivery that is kept already changes nothing.

    The attempt runs on its own: the command is done when its delivery is kept. Raises Reject for a subscription that
    does not open.
    """
    command, envelope = received.message, received.envelope
    associated_data = push_associated_data(received.tenant, command.account, command.subscription)
    subscription = open_subscription(deps, command.sealed, associated_data)
    delivery = Delivery(
        id=f"{envelope.sender}/{received.tenant}/{command.delivery}",
        tenant=received.tenant,
        channel="push",
        kind=command.kind,
        destination=deps.pusher.destination(subscription) or "nowhere",
        associated_data=associated_data,
        sealed=command.sealed,
        correlation=envelope.correlation_id,
        created_at=deps.clock.now(),
        next_at=deps.clock.now(),
        expires_at=command.expires_at,
        account=command.account,
        subscription=command.subscription,
    )
    if await deps.deliveries.add(delivery):
        deps.pushes.offer(delivery)
