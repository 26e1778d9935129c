"""Who is told that a request waits. The message to notify holds nothing of the request but when it ends."""

from dataclasses import replace
from datetime import datetime

from services.approval.domain.account import (
    Account,
    Challenge,
    Change,
    Subscription,
    active_device,
)
from shared.contracts.envelope import OutgoingMessage
from shared.contracts.notify import SendPush


def subscribe(account: Account, device: str, subscription: Subscription) -> Change:
    """Keep a phone's subscription in place of its older one. Raises Forbidden when the phone was removed."""
    active_device(account, device)
    return Change(replace(account, subscriptions={**account.subscriptions, device: subscription}))


def unsubscribe(account: Account, device: str) -> Change | None:
    """Forget a phone's subscription; None when it has none."""
    if device not in account.subscriptions:
        return None
    return Change(without(account, device))


def subscription_gone(account: Account, subscription: str) -> Change | None:
    """Forget the subscription that a push service does not know any more; None when it was replaced since."""
    for device, kept in account.subscriptions.items():
        if kept.id == subscription:
            return Change(without(account, device))
    return None


def without(account: Account, device: str) -> Account:
    """The account without that phone's subscription."""
    return replace(account, subscriptions={d: s for d, s in account.subscriptions.items() if d != device})


def pushes(account: Account, challenge: Challenge, now: datetime) -> tuple[OutgoingMessage, ...]:
    """One message for each phone of the account, unless the challenge is silenced."""
    if challenge.silenced or not challenge.is_open(now):
        return ()
    return tuple(
        OutgoingMessage(
            SendPush(
                delivery=f"{challenge.id}.{subscription.id}",
                account=account.id,
                subscription=subscription.id,
                expires_at=challenge.deadline,
                sealed=subscription.sealed,
            ),
            account.tenant,
            correlation_id=challenge.correlation,
        )
        for device, subscription in sorted(account.subscriptions.items())
        if (known := account.devices.get(device)) is not None and known.active
    )
