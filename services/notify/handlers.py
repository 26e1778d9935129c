"""What notify does: take a command on, attempt a delivery, keep many under way without one blocking another."""

import asyncio
import hashlib
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import timedelta

import structlog
from pydantic import ValidationError

from services.notify.domain.delivery import (
    Channel,
    Delivery,
    Failed,
    Gone,
    Later,
    Outcome,
    State,
    claim,
    settle,
)
from services.notify.ports import Parts
from shared.bus.port import Reject
from shared.contracts.envelope import SignedMessage, VerifiedMessage
from shared.contracts.notify import (
    LETTER,
    DeviceAddedLetter,
    InvitationLetter,
    PushSubscription,
    SendMail,
    SendPush,
    SubscriptionGone,
    mail_associated_data,
    push_associated_data,
)
from shared.crypto.sealed_box import CannotOpen
from shared.errors import Unavailable
from shared.ids import b64u

log = structlog.get_logger(__name__)

BATCH = 100
RECORD_AGAIN = timedelta(seconds=1)
DUE_EVERY = 1.0
"""Seconds between looks for deliveries whose time has come."""
STOP_WITHIN = 8.0
"""Seconds that running attempts get when the process stops."""


# Taking a command on


async def accept_mail(parts: Parts, received: VerifiedMessage[SendMail]) -> Delivery | None:
    """`notify.mail.send.v1`: keep the delivery; None when it is kept already. Raises Reject."""
    command, envelope = received.message, received.envelope
    place = mail_associated_data(received.tenant, command.delivery)
    letter = _letter(parts, command.sealed, place)
    if letter.kind != command.kind:
        raise Reject("the letter is of another kind")
    domain = letter.to.rpartition("@")[2].lower()
    return await _add(
        parts,
        Delivery(
            id=f"{envelope.sender}/{received.tenant}/{command.delivery}",
            tenant=received.tenant,
            channel="mail",
            kind=command.kind,
            destination=b64u(hashlib.sha256(domain.encode()).digest()[:9]),
            place=place,
            sealed=command.sealed,
            correlation=envelope.correlation_id,
            created_at=parts.clock.now(),
            next_at=parts.clock.now(),
            expires_at=command.expires_at,
        ),
    )


async def accept_push(parts: Parts, received: VerifiedMessage[SendPush]) -> Delivery | None:
    """`notify.push.send.v1`: keep the delivery; None when it is kept already. Raises Reject."""
    command, envelope = received.message, received.envelope
    place = push_associated_data(received.tenant, command.account, command.subscription)
    subscription = _subscription(parts, command.sealed, place)
    return await _add(
        parts,
        Delivery(
            id=f"{envelope.sender}/{received.tenant}/{command.delivery}",
            tenant=received.tenant,
            channel="push",
            kind="request",
            destination=parts.pusher.destination(subscription) or "nowhere",
            place=place,
            sealed=command.sealed,
            correlation=envelope.correlation_id,
            created_at=parts.clock.now(),
            next_at=parts.clock.now(),
            expires_at=command.expires_at,
            account=command.account,
            subscription=command.subscription,
        ),
    )


async def _add(parts: Parts, delivery: Delivery) -> Delivery | None:
    return delivery if await parts.deliveries.add(delivery) else None


def _letter(parts: Parts, sealed: str, place: str) -> InvitationLetter | DeviceAddedLetter:
    # `from None`: the faults of pydantic quote what they found, and that would be in the log.
    try:
        letter = LETTER.validate_json(parts.opener.open(sealed, place))
    except CannotOpen as error:
        raise Reject(str(error)) from None
    except ValidationError as error:
        raise Reject(f"not a letter: {error.error_count()} faults") from None
    if isinstance(letter, InvitationLetter) and not letter.link.startswith(parts.link_prefix):
        raise Reject("the link leads elsewhere")
    return letter


def _subscription(parts: Parts, sealed: str, place: str) -> PushSubscription:
    try:
        return PushSubscription.model_validate_json(parts.opener.open(sealed, place))
    except CannotOpen as error:
        raise Reject(str(error)) from None
    except ValidationError as error:
        raise Reject(f"not a subscription: {error.error_count()} faults") from None


# One attempt


async def attempt(parts: Parts, delivery: Delivery) -> State | None:
    """Claim it, send it, record what came of it: two writes. None: somebody else had claimed it.

    Raises Unavailable when the database stays away: the delivery is due again when its lease is over.
    """
    claimed = claim(delivery, parts.clock.now())
    if not await parts.deliveries.replace(delivery, claimed):
        return None
    if claimed.state is not State.WAITING:
        _tell(claimed)
        return claimed.state
    try:
        outcome = await _send(parts, claimed)
    except Exception as error:  # a fault of ours in one delivery must not stop the others
        # Only its name: the words of an exception may hold an address or a link.
        log.error("delivery.fault", delivery=claimed.id, error=type(error).__name__)  # noqa: TRY400
        outcome = Later(f"fault: {type(error).__name__}")
    fraction = int.from_bytes(parts.ids.random_bytes(4), "big") / 2**32
    after = settle(claimed, outcome, parts.clock.now(), fraction)
    messages = []
    if after.state is State.GONE:
        gone = SubscriptionGone(account=after.account, subscription=after.subscription)
        messages = [parts.signer.sign(gone, tenant=after.tenant, correlation_id=after.correlation)]
    if not await _record(parts, claimed, after, messages):
        log.warning("delivery.overtaken", delivery=claimed.id)  # the lease was over before the attempt was
        return None
    _tell(after)
    return after.state


async def _record(
    parts: Parts, claimed: Delivery, after: Delivery, messages: Sequence[SignedMessage]
) -> bool:
    """Write what came of an attempt. While the database is away and the lease is ours, keep trying: what is not
    recorded is sent again. Raises Unavailable at the end of the lease.
    """
    while True:
        try:
            return await parts.deliveries.replace(claimed, after, messages)
        except Unavailable:
            if parts.clock.now() + RECORD_AGAIN >= claimed.next_at:
                raise
        await parts.clock.sleep(RECORD_AGAIN.total_seconds())


async def _send(parts: Parts, delivery: Delivery) -> Outcome:
    try:
        if delivery.channel == "mail":
            letter = _letter(parts, delivery.sealed, delivery.place)
            name = delivery.id.rpartition("/")[2]
            return await parts.mailer.send(parts.letters.compose(letter, name, delivery.created_at))
        subscription = _subscription(parts, delivery.sealed, delivery.place)
    except Reject as error:  # its key was rolled over since
        return Failed(str(error))
    if parts.pusher.destination(subscription) is None:
        return Gone("not a push service that we speak to")
    payload = parts.letters.push_text(subscription.language)
    return await parts.pusher.send(subscription, payload, delivery.expires_at - parts.clock.now())


def _tell(delivery: Delivery) -> None:
    log.info(
        "delivery",
        delivery=delivery.id,
        kind=delivery.kind,
        state=delivery.state.value,
        attempts=delivery.attempts,
        reason=delivery.reason,
    )


# Many


class Dispatcher:
    """Keeps one channel's deliveries under way: at most `at_once`, and at most a quarter of that to one destination.

    So a host that answers slowly, or never, takes its own slots and nobody else's.
    """

    def __init__(self, parts: Parts, channel: Channel, at_once: int) -> None:
        self._parts = parts
        self._channel: Channel = channel
        self._at_once = at_once
        self._each = max(1, at_once // 4)
        self._running: dict[str, asyncio.Task[None]] = {}
        self._destinations: Counter[str] = Counter()
        self._stopped = False
        self._freed = asyncio.Event()

    def offer(self, delivery: Delivery | None) -> None:
        """Attempt it at once if there is a slot; otherwise `round` finds it."""
        if delivery is not None and self._has_slot(delivery):
            self._start(delivery)

    async def round(self) -> bool:
        """Start what is due and has a slot. True when more is due than there were slots for. Raises Unavailable."""
        if self._stopped or len(self._running) >= self._at_once:
            return bool(self._running)
        busy = [each for each, count in self._destinations.items() if count >= self._each]
        found = await self._parts.deliveries.due(
            self._channel, self._parts.clock.now(), busy=busy, limit=BATCH
        )
        waiting = [each for each in found if each.id not in self._running]
        for delivery in waiting:
            if self._has_slot(delivery):
                self._start(delivery)
        return len(found) == BATCH or any(each.id not in self._running for each in waiting)

    async def run(self, every: float) -> None:
        """Rounds for ever, `every` so many seconds, and sooner while there is more than there were slots for."""
        while True:
            self._freed.clear()
            more = await self.round()
            async with asyncio.TaskGroup() as first:
                # whichever comes first ends the other
                waits = [first.create_task(self._parts.clock.sleep(every))]
                if more:
                    waits.append(first.create_task(self._until_freed()))
                await asyncio.wait(waits, return_when=asyncio.FIRST_COMPLETED)
                for each in waits:
                    each.cancel()

    async def _until_freed(self) -> None:
        await self._freed.wait()

    async def idle(self) -> None:
        """Until nothing is under way."""
        while self._running:
            await asyncio.wait(list(self._running.values()))

    async def stop(self, patience: float) -> None:
        """Start no more, let what is under way finish, then cut it off: its lease makes it due again."""
        self._stopped = True
        if self._running:
            _, late = await asyncio.wait(list(self._running.values()), timeout=patience)
            for task in late:
                task.cancel()
            if late:
                await asyncio.wait(late)

    def _has_slot(self, delivery: Delivery) -> bool:
        return (
            not self._stopped
            and delivery.id not in self._running
            and len(self._running) < self._at_once
            and self._destinations[delivery.destination] < self._each
        )

    def _start(self, delivery: Delivery) -> None:
        self._destinations[delivery.destination] += 1
        task = asyncio.create_task(self._attempt(delivery), name=f"deliver {delivery.kind}")
        self._running[delivery.id] = task

        def done(_: asyncio.Task[None]) -> None:
            del self._running[delivery.id]
            self._destinations[delivery.destination] -= 1
            if not self._destinations[delivery.destination]:
                del self._destinations[delivery.destination]
            self._freed.set()

        task.add_done_callback(done)

    async def _attempt(self, delivery: Delivery) -> None:
        try:
            await attempt(self._parts, delivery)
        except Unavailable as error:
            log.warning("delivery.unavailable", delivery=delivery.id, reason=str(error))
        except Exception as error:
            log.error("delivery.fault", delivery=delivery.id, error=type(error).__name__)  # noqa: TRY400


@dataclass(frozen=True, slots=True)
class Dispatchers:
    """What notify works with: the parts, and a dispatcher for each channel."""

    parts: Parts
    mails: Dispatcher
    pushes: Dispatcher
