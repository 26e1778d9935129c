"""Which phones get notifications, and which are told of a request, or of a phone that was added or removed.

The message to notify holds nothing of either but what kind it is and when it ends. Whether a phone gets notifications
is part of its device's state, which followers know: every change of it raises the device's version.
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
from shared.contracts.approval import ChallengeUnnotified
from shared.contracts.envelope import OutgoingMessage
from shared.contracts.notify import PushKind, SendPush

NOTICE_LIFETIME = timedelta(days=1)
"""For how long a phone that is off is to be told that another one was added or removed."""


def subscribe(account: Account, device: str, subscription: Subscription) -> Change:
    """Keep a phone's subscription in place of its older one. Raises Forbidden when the phone was removed."""
    known = replace(active_device(account, device), subscription_ended=False)
    after = replace(account.with_device(known), subscriptions={**account.subscriptions, device: subscription})
    return _announced(account, after, device)


def unsubscribe(account: Account, device: str) -> Change | None:
    """Forget a phone's subscription; None when it has none."""
    known = account.devices.get(device)
    if known is None or account.notifications_of(known) == "off":
        return None
    after = without(account.with_device(replace(known, subscription_ended=False)), device)
    return _announced(account, after, device)


def unsubscribe_all(account: Account) -> Change:
    """Forget the subscriptions of all its phones."""
    change = Change(account)
    for device in account.devices:
        change = change.then(unsubscribe(change.value, device) or Change(change.value))
    return Change(replace(change.value, subscriptions={}), change.messages)


def subscription_gone(account: Account, subscription: str) -> Change | None:
    """Forget the subscription that a push service does not know any more; None when it was replaced since."""
    for device, kept in account.subscriptions.items():
        if kept.id == subscription:
            after = without(account, device)
            if (known := account.devices.get(device)) is not None:
                after = after.with_device(replace(known, subscription_ended=True))
            return _announced(account, after, device)
    return None


def push_failed(account: Account, delivery: str, now: datetime) -> Change | None:
    """Take note that a push did not go out; None when it was of nothing that is open, or was noted before.

    With the last one that failed, no phone was notified of the challenge.
    """
    for challenge in account.challenges.values():
        left = tuple(each for each in challenge.notifying if _delivery(challenge.id, each) != delivery)
        if left != challenge.notifying:
            noted = account.with_challenge(replace(challenge, notifying=left))
            told = () if left or not challenge.is_open(now) else _unnotified(account, challenge)
            return Change(noted, told)
    return None


def _announced(before: Account, after: Account, device: str) -> Change:
    """The change, with the event of a device whose notifications are another way now."""
    was, known = before.devices.get(device), after.devices.get(device)
    if was is None or known is None or before.notifications_of(was) == after.notifications_of(known):
        return Change(after)
    known = replace(known, version=known.version + 1)
    after = after.with_device(known)
    return Change(after, (OutgoingMessage(known.changed(after), after.tenant),))


def without(account: Account, device: str) -> Account:
    """The account without that phone's subscription."""
    return replace(account, subscriptions={d: s for d, s in account.subscriptions.items() if d != device})


def notify_of(account: Account, challenge: Challenge) -> Change:
    """The challenge kept, and a message to notify for each phone that is to be told of it; where there is none, one to
    wsfed that says so (`_unnotified`).
    """
    if challenge.silenced:
        return Change(account.with_challenge(challenge), _unnotified(account, challenge))
    asked = _push_all(account, "request", challenge.id, challenge.deadline, correlation=challenge.correlation)
    notifying = tuple(each.message.subscription for each in asked if isinstance(each.message, SendPush))
    kept = account.with_challenge(replace(challenge, notifying=notifying))
    return Change(kept, asked or _unnotified(account, challenge))


def _unnotified(account: Account, challenge: Challenge) -> tuple[OutgoingMessage, ...]:
    """What is said of a challenge of which no phone was notified: nothing where the page must not show it."""
    if not (challenge.browser_known and challenge.expects_push):
        return ()
    said = ChallengeUnnotified(challenge=challenge.id, transaction=challenge.transaction, account=account.id)
    return (OutgoingMessage(said, account.tenant, correlation_id=challenge.correlation),)


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
                delivery=_delivery(about, subscription.id),
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


def _delivery(about: str, subscription: str) -> str:
    """The name of the push that tells a phone of that."""
    return f"{about}.{subscription}"
