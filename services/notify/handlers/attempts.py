"""One attempt of a delivery (docs/flows/notification.md, steps 5, 7 and 10)."""

from collections.abc import Sequence
from datetime import timedelta

import structlog

from services.notify.domain.delivery import (
    Delivery,
    Failed,
    Gone,
    Later,
    Outcome,
    State,
    claim,
    settle,
)
from services.notify.domain.webpush import payload_of
from services.notify.handlers.sealed import open_mail, open_subscription
from services.notify.ports import Dependencies
from shared.bus.port import Reject
from shared.contracts import Message
from shared.contracts.envelope import SignedMessage
from shared.contracts.notify import PushFailed, SubscriptionGone
from shared.errors import Unavailable

log = structlog.get_logger(__name__)

RECORD_AGAIN = timedelta(seconds=1)
"""How long to wait before an outcome is written again, when the database is away."""


async def attempt(deps: Dependencies, delivery: Delivery) -> State | None:
    """Claim the delivery, send it, record the outcome: two writes. None: another process had claimed it.

    Raises Unavailable when the database stays away: the delivery is due again when its lease is over.
    """
    claimed = claim(delivery, deps.clock.now())
    if not await deps.deliveries.replace(delivery, claimed):
        return None
    if claimed.state is not State.WAITING:
        _log(claimed)
        return claimed.state
    try:
        outcome = await _send(deps, claimed)
    except Exception as error:  # a fault of ours in one delivery must not stop the others
        # Only the exception's name is logged: its text may hold an address or a link.
        log.error("delivery.fault", delivery=claimed.id, error=type(error).__name__)  # noqa: TRY400
        outcome = Later(f"fault: {type(error).__name__}")
    fraction = int.from_bytes(deps.ids.random_bytes(4), "big") / 2**32
    after = settle(claimed, outcome, deps.clock.now(), fraction)
    messages = [
        deps.signer.sign(each, tenant=after.tenant, correlation_id=after.correlation)
        for each in _said_of(after)
    ]
    if not await _record(deps, claimed, after, messages):
        # The lease was over before the attempt was: another process has claimed the delivery since.
        log.warning("delivery.overtaken", delivery=claimed.id)
        return None
    _log(after)
    return after.state


def _said_of(delivery: Delivery) -> Sequence[Message]:
    """What approval is told of a push that did not go out. One whose time is over is over for approval too."""
    if delivery.channel != "push" or delivery.state not in (State.GONE, State.FAILED):
        return ()
    whose = {"account": delivery.account, "subscription": delivery.subscription}
    said: list[Message] = [PushFailed(delivery=delivery.name, **whose)]
    if delivery.state is State.GONE:
        said.append(SubscriptionGone(**whose))
    return said


async def _record(
    deps: Dependencies, claimed: Delivery, after: Delivery, messages: Sequence[SignedMessage]
) -> bool:
    """Write the outcome of an attempt. False: another process claimed the delivery meanwhile.

    An outcome that is not recorded means that the message is sent again. Therefore this tries again while the
    database is away and the lease is ours. Raises Unavailable at the end of the lease.
    """
    while True:
        try:
            return await deps.deliveries.replace(claimed, after, messages)
        except Unavailable:
            if deps.clock.now() + RECORD_AGAIN >= claimed.next_at:
                raise
        await deps.clock.sleep(RECORD_AGAIN.total_seconds())


async def _send(deps: Dependencies, delivery: Delivery) -> Outcome:
    try:
        if delivery.channel == "mail":
            mail = open_mail(deps, delivery.sealed, delivery.associated_data)
            return await deps.mailer.send(deps.composer.compose(mail, delivery.name, delivery.created_at))
        subscription = open_subscription(deps, delivery.sealed, delivery.associated_data)
    except Reject as error:  # it opened on arrival: notify's key was replaced since
        return Failed(str(error))
    if deps.pusher.destination(subscription) is None:
        return Gone("not a push service that we speak to")
    payload = payload_of(delivery)
    lifetime = delivery.expires_at - deps.clock.now()
    return await deps.pusher.send(subscription, payload, lifetime, delivery.kind)


def _log(delivery: Delivery) -> None:
    log.info(
        "delivery",
        delivery=delivery.id,
        kind=delivery.kind,
        state=delivery.state.value,
        attempts=delivery.attempts,
        reason=delivery.reason,
    )
