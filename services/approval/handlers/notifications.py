"""Push subscriptions of phones (docs/flows/notification.md)."""

from pydantic import ValidationError

from services.approval.domain import notifications
from services.approval.domain.account import Subscription
from services.approval.handlers.sessions import SignedIn
from services.approval.handlers.steps import change, check_ids
from services.approval.ports import Parts
from shared.contracts.envelope import VerifiedMessage
from shared.contracts.notify import MAX_SEALED, PushSubscription, SubscriptionGone, push_associated_data
from shared.errors import BadInput
from shared.ids import new_id


async def subscribe(parts: Parts, who: SignedIn, raw: object, language: str) -> Subscription:
    """Step 2: keep this phone's subscription, sealed for notify: from here on we cannot read it either.

    `raw`: the browser's `PushSubscription.toJSON()`. Raises BadInput. Not checked: that its endpoint is a push
    service; notify decides that, and says `gone` of what it never speaks to.
    """
    subscription = _read(raw, language)
    made_id = new_id(parts.ids)
    place = push_associated_data(who.account.tenant, who.account.id, made_id)
    sealed = parts.letterbox.seal(subscription.model_dump_json().encode(), place)
    if len(sealed) > MAX_SEALED:
        raise _unusable()
    made = Subscription(id=made_id, sealed=sealed, since=parts.clock.now())
    await change(
        parts,
        who.account.tenant,
        who.account.id,
        lambda account: notifications.subscribe(account, who.session.device, made),
        first=who.stored,
    )
    return made


async def unsubscribe(parts: Parts, who: SignedIn) -> None:
    """Forget this phone's subscription, if there is one."""
    await change(
        parts,
        who.account.tenant,
        who.account.id,
        lambda account: notifications.unsubscribe(account, who.session.device),
        first=who.stored,
    )


async def subscription_gone(parts: Parts, received: VerifiedMessage[SubscriptionGone]) -> None:
    """Step 7: the push service knows it no longer."""
    news = received.message
    check_ids(received.tenant, news.account)
    await change(
        parts, received.tenant, news.account, lambda account: notifications.gone(account, news.subscription)
    )


def _read(raw: object, language: str) -> PushSubscription:
    if not isinstance(raw, dict) or not isinstance(keys := raw.get("keys"), dict):
        raise _unusable()
    try:
        return PushSubscription.model_validate(
            {
                "endpoint": raw.get("endpoint"),
                "p256dh": keys.get("p256dh"),
                "auth": keys.get("auth"),
                "language": language,
            }
        )
    except ValidationError as error:
        raise _unusable() from error


def _unusable() -> BadInput:
    return BadInput("approval.subscription.malformed", code="subscription")
