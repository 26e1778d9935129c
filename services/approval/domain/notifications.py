"""Which phones are told of a request, or of a phone that was added or removed. The message to notify holds nothing of
either but what kind it is and when it ends.
"""

from dataclasses import replace
from datetime import datetime, timedelta

from services.approval.domain.account import (
    Account,
    Challenge,
    Change,
    Device,
    Subscription,
    active_device,
)
from shared.contracts.envelope import OutgoingMessage
from shared.contracts.notify import PushKind, SendPush

NOTICE_LIFETIME = timedelta(days=1)
"""For how long a phone that is off is to be told that another one was added or removed."""


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
    return _push_all(account, "request", challenge.id, challenge.deadline, correlation=challenge.correlation)


def telling(before: Account, change: Change | None, now: datetime) -> Change | None:
    """The change, and in the same write a push to each other phone for every phone that it adds or removes.

    Whoever adds a phone of their own, or removes the person's, does not keep that from the phones that are left. A
    phone is added once admin has decided that it counts; one that was refused has neither been added nor removed.
    """
    if change is None:
        return None
    after, messages = change.value, list(change.messages)
    for device in after.devices.values():
        was = before.devices.get(device.id)
        counted = was is not None and _counts(was)
        if _counts(device) and not counted:
            kind: PushKind = "device_added"
        elif counted and not _counts(device):
            kind = "device_removed"
        else:
            continue
        messages += _push_all(after, kind, f"{device.id}.{kind}", now + NOTICE_LIFETIME, besides=device.id)
    return replace(change, messages=tuple(messages))


def _counts(device: Device) -> bool:
    return device.active and device.decision == "trusted"


def _push_all(
    account: Account,
    kind: PushKind,
    about: str,
    expires_at: datetime,
    *,
    besides: str = "",
    correlation: str | None = None,
) -> tuple[OutgoingMessage, ...]:
    """One message for each phone of the account that is in use and wants to be told. `about` names what it is about."""
    return tuple(
        OutgoingMessage(
            SendPush(
                delivery=f"{about}.{subscription.id}",
                kind=kind,
                account=account.id,
                subscription=subscription.id,
                expires_at=expires_at,
                sealed=subscription.sealed,
            ),
            account.tenant,
            correlation_id=correlation,
        )
        for device, subscription in sorted(account.subscriptions.items())
        if (known := account.devices.get(device)) is not None and known.active and device != besides
    )
