"""Who is told that a request waits. The message to notify holds nothing of the request but when it ends."""

from dataclasses import replace
from datetime import datetime

from services.approval.domain.account import Account, Challenge, Said, Step, Subscription, active_device
from shared.contracts.notify import SendPush


def subscribe(account: Account, device: str, subscription: Subscription) -> Step:
    """Keep a phone's subscription in place of its older one. Raises Forbidden when the phone was removed."""
    active_device(account, device)
    return Step(replace(account, subscriptions={**account.subscriptions, device: subscription}))


def unsubscribe(account: Account, device: str) -> Step | None:
    """Forget a phone's subscription; None when it has none."""
    if device not in account.subscriptions:
        return None
    return Step(without(account, device))


def gone(account: Account, subscription: str) -> Step | None:
    """Forget the subscription that a push service does not know any more; None when it was replaced since."""
    for device, kept in account.subscriptions.items():
        if kept.id == subscription:
            return Step(without(account, device))
    return None


def without(account: Account, device: str) -> Account:
    """The account without that phone's subscription."""
    return replace(account, subscriptions={d: s for d, s in account.subscriptions.items() if d != device})


def pushes(account: Account, challenge: Challenge, now: datetime) -> tuple[Said, ...]:
    """One message for each phone of the account, unless the challenge is to be kept quiet."""
    if challenge.quiet or not challenge.is_open(now):
        return ()
    return tuple(
        Said(
            SendPush(
                delivery=f"{challenge.id}.{subscription.id}",
                account=account.id,
                subscription=subscription.id,
                expires_at=challenge.deadline,
                sealed=subscription.sealed,
            ),
            challenge.correlation,
        )
        for device, subscription in sorted(account.subscriptions.items())
        if (known := account.devices.get(device)) is not None and known.active
    )
