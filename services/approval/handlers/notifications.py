"""Push subscriptions of phones (docs/flows/notification.md)."""

from pydantic import ValidationError

from services.approval.domain import notifications
from services.approval.domain.account import Subscription
from services.approval.domain.ids import check_ids
from services.approval.handlers.sessions import SignedIn
from services.approval.ports import Dependencies
from shared.contracts.envelope import VerifiedMessage
from shared.contracts.notify import (
    MAX_SEALED,
    PushFailed,
    PushSubscription,
    SubscriptionGone,
    push_associated_data,
)
from shared.errors import BadInput
from shared.ids import new_id


async def subscribe(deps: Dependencies, who: SignedIn, raw: object) -> Subscription:
    """Step 2: keep this phone's subscription, sealed for notify: from here on we cannot read it either.

    `raw`: the browser's `PushSubscription.toJSON()`. Raises BadInput. Not checked: that its endpoint is a push
    service; notify decides that, and says `gone` of what it never speaks to.
    """
    subscription = _read(raw)
    made_id = new_id(deps.ids)
    associated_data = push_associated_data(who.account.tenant, who.account.id, made_id)
    sealed = deps.notify_sealer.seal(subscription.model_dump_json().encode(), associated_data)
    if len(sealed) > MAX_SEALED:
        raise _unusable()
    made = Subscription(id=made_id, sealed=sealed, since=deps.clock.now())
    await deps.accounts.change(
        who.account.tenant,
        who.account.id,
        lambda account: notifications.subscribe(account, who.session.device, made),
        first=who.stored,
    )
    return made


async def unsubscribe(deps: Dependencies, who: SignedIn) -> None:
    """Forget this phone's subscription, if there is one."""
    await deps.accounts.change(
        who.account.tenant,
        who.account.id,
        lambda account: notifications.unsubscribe(account, who.session.device),
        first=who.stored,
    )


async def subscription_gone(deps: Dependencies, received: VerifiedMessage[SubscriptionGone]) -> None:
    """Step 7: the push service knows it no longer. The phone and followers see that its notifications ended."""
    news = received.message
    check_ids(received.tenant, news.account)
    await deps.accounts.change(
        received.tenant,
        news.account,
        lambda account: notifications.subscription_gone(account, news.subscription),
    )


async def push_failed(deps: Dependencies, received: VerifiedMessage[PushFailed]) -> None:
    """Step 7: a push did not go out. wsfed is told when no phone was notified of a request."""
    news = received.message
    check_ids(received.tenant, news.account)
    await deps.accounts.change(
        received.tenant,
        news.account,
        lambda account: notifications.push_failed(account, news.delivery, deps.clock.now()),
    )


def subscription_of(who: SignedIn) -> Subscription | None:
    """The subscription of the phone that asks, so that its page sees whether it is the one that it made."""
    return who.account.subscriptions.get(who.session.device)


def _read(raw: object) -> PushSubscription:
    if not isinstance(raw, dict) or not isinstance(keys := raw.get("keys"), dict):
        raise _unusable()
    try:
        return PushSubscription.model_validate(
            {
                "endpoint": raw.get("endpoint"),
                "p256dh": keys.get("p256dh"),
                "auth": keys.get("auth"),
            }
        )
    except ValidationError as error:
        raise _unusable() from error


def _unusable() -> BadInput:
    return BadInput("approval.subscription.malformed", code="subscription")
