"""The follower's side: what is known of each owner, how recent it is, and how it is kept so."""

import asyncio
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from functools import partial
from typing import Any

import structlog
from pydantic import ValidationError

from shared.bus.port import Handler, Handlers, Publisher, Reject, Retry
from shared.clock import Clock
from shared.contracts import Message, StateEvent, contracts
from shared.contracts.envelope import MessageSigner, Origin, VerifiedMessage
from shared.contracts.state import StateItem, StatePulled, pull_of, pulled_of
from shared.errors import Unavailable
from shared.ids import Ids, new_id
from shared.replication.projection import Lapsing
from shared.replication.publisher import NO_TENANT
from shared.replication.records import ENDLESS_AFTER, MAX_WAITS, Pull, Refused, Subscription
from shared.replication.store import ORIGINS, SubscriptionStore
from shared.store.port import Database

log = structlog.get_logger(__name__)

LOOK_EVERY = 2.0
ALARM_AFTER = timedelta(seconds=30)
"""Three recent pulls."""
AT_ONCE = 16
"""Items of a page that are handled at the same time: their writes share the disk's flushes."""
UNCONFIRMED = (0.1, 0.2, 0.4, 0.8, 1.6)
"""Seconds after which a question is sent again that the bus did not take on: services that start together."""
PATIENCE, LONGEST_PATIENCE = 2, 5.0
"""A patient follower rests that many times as long as a page has taken it, and at most so many seconds."""
REASON_LENGTH = 200
NAME_LENGTH = 80
"""Of a tenant, as far as it is recorded of an item that was refused: its owner may say anything."""


@dataclass(frozen=True, slots=True)
class View:
    """What a replica knows of an owner without asking its database."""

    complete_at: datetime | None = None
    alarm: str = ""


class Subscriptions:
    """Follows `owners`, in that order: the state of one may refer to what the ones before it own.

    `projections`: what this service keeps of each owner. `max_age`: after so long without a complete pull `fresh`
    says no. `patient`: nobody waits for what this service knows, so it rests between the pages of a long answer and
    leaves database and processor to those for whose copies people's sign-ins wait.
    """

    def __init__(
        self,
        owners: Sequence[str],
        *,
        database: Database,
        bus: Publisher,
        signer: MessageSigner,
        clock: Clock,
        ids: Ids,
        max_age: timedelta,
        patient: bool = False,
    ) -> None:
        self._owners = tuple(owners)
        self._database = database
        self._bus = bus
        self._signer = signer
        self._clock = clock
        self._ids = ids
        self._max_age = max_age
        self._patient = patient
        self._store = SubscriptionStore(database)
        self._handlers: dict[str, tuple[type[Message], Handler]] = {}
        self._projections: dict[str, Sequence[Lapsing]] = {}
        self._views = dict.fromkeys(self._owners, View())
        self._started = clock.now()
        self._looking = asyncio.Lock()
        self._asking: set[asyncio.Task[None]] = set()

    # --- for the service that follows ------------------------------------------------------------------------

    def consumers(self, handlers: Handlers, projections: Mapping[str, Sequence[Lapsing]]) -> Handlers:
        """The service's table with the pages of its owners. Their items go to the table's own handlers."""
        self._handlers = {contract.TYPE: (contract, handler) for contract, handler in handlers.items()}
        self._projections = dict(projections)
        events = {
            contract: partial(self._sent, handler) if contract.STATE else handler
            for contract, handler in handlers.items()
        }
        return {**events, **{pulled_of(owner): partial(self._pulled, owner) for owner in self._owners}}

    def fresh(self, owner: str) -> bool:
        """Whether what is known of that owner is recent and whole enough to act on. From memory, costs nothing.

        A time in the future counts as old: a clock was wrong.
        """
        complete_at = self._views[owner].complete_at
        return complete_at is not None and abs(self._clock.now() - complete_at) <= self._max_age

    def ready(self) -> Mapping[str, bool]:
        """Whether each owner's whole state was here at least once, by owner."""
        return {owner: view.complete_at is not None for owner, view in self._views.items()}

    def alarms(self) -> Mapping[str, str]:
        """What is wrong, for each owner with which something is. A service with alarms still takes requests."""
        return {owner: view.alarm for owner, view in self._views.items() if view.alarm}

    async def want_all(self, owners: Sequence[str] | None = None) -> None:
        """Ask those owners, or all, for their whole state again: a replica's next look does it.

        For `blok365 resync`, which needs nothing of this service but its database. Raises Unavailable.
        """
        for owner in self._owners if owners is None else owners:
            await self._store.change(owner, lambda known: replace(known, full_at=None, full=None))

    async def run(self) -> None:
        """Look every few seconds until cancelled."""
        try:
            while True:
                await self.look()
                await self._clock.sleep(LOOK_EVERY)
        finally:
            for task in self._asking:
                task.cancel()

    async def look(self) -> None:
        """Read what all replicas have recorded, raise and end alarms, ask what is due. Raises Unavailable."""
        async with self._looking:
            known = await self._store.load_all(self._owners)
            earlier_are_here = True
            for subscription in known.values():
                self._see(subscription)
                for origin in ORIGINS:
                    if origin is Origin.RECENT_PULL or earlier_are_here:
                        await self._ask_if_due(subscription, origin)
                earlier_are_here = earlier_are_here and subscription.complete_at is not None

    # --- questions --------------------------------------------------------------------------------------------

    async def _ask_if_due(self, seen: Subscription, origin: Origin) -> None:
        now = self._clock.now()
        pull, first = seen.pull(origin), None
        due = seen.full_is_due(now) if origin is Origin.FULL_PULL else seen.recent_is_due(now)
        if due:
            fence = await self._database.fence()
            # Somebody waits for a full pull that is not the daily one.
            hurried = origin is Origin.RECENT_PULL or seen.full_at is None
            since = seen.position if origin is Origin.RECENT_PULL else ""
            first = Pull(new_id(self._ids), since, now, now, fence.position, hurried)
        elif pull is None or not pull.is_due(now):
            return

        def ask(known: Subscription) -> Subscription | None:
            if known.pull(origin) != pull or _completed_since(seen, known):
                return None  # another replica was faster
            if first is not None:
                return known.begun(origin, first)
            assert pull is not None
            return known.with_pull(origin, pull.asked(now))

        if (asked := await self._store.change(seen.owner, ask)) is not None:
            if first is not None and origin is Origin.FULL_PULL:
                log.info("state.full_pull", service=self._signer.service, owner=seen.owner)
            self._send_soon(seen.owner, asked.pull(origin))

    def _send_soon(self, owner: str, pull: Pull | None, *, rest: float = 0) -> None:
        """Send the question, after `rest` seconds, in a task of its own: on the memory bus, to send is to wait for the
        answer's handler.
        """
        assert pull is not None
        task = asyncio.create_task(self._send(owner, pull, rest), name=f"pull {owner}")
        self._asking.add(task)
        task.add_done_callback(self._asking.discard)

    async def _send(self, owner: str, pull: Pull, rest: float) -> None:
        if rest:
            await self._clock.sleep(rest)
        question = pull_of(owner)(request=pull.request, since=pull.since, after=pull.after, until=pull.until)
        for delay in UNCONFIRMED:
            if await self._bus.publish([self._signer.sign(question, tenant=NO_TENANT)]):
                return
            await self._clock.sleep(delay)

    # --- events -----------------------------------------------------------------------------------------------

    async def _sent(self, handler: Handler, received: VerifiedMessage[StateEvent]) -> None:
        """Handle an event, unless it is of a database that is no more.

        It may come after a restore (it waited in a queue, among dead letters, or somebody kept it back), and what the
        restored database does not have it must not bring back. Raises what the handler raises.
        """
        event, owner = received.message, received.envelope.sender
        if event.generation < (await self._store.load(owner)).generation:
            log.warning(
                "state.older_event", service=self._signer.service, type=event.TYPE, tenant=received.tenant
            )
            return
        await handler(received)

    # --- answers ----------------------------------------------------------------------------------------------

    async def _pulled(self, owner: str, received: VerifiedMessage[StatePulled]) -> None:
        """Steps 6 and 7: handle the items, record the page, ask for the next. Raises Reject, Unavailable."""
        page, began = received.message, self._clock.monotonic()
        if page.to != self._signer.service:
            raise Reject(f"a page for {page.to[:40]}")
        subscription = await self._store.load(owner)
        origin = next((o for o in ORIGINS if (p := subscription.pull(o)) and p.awaits(page)), None)
        if origin is None:
            return  # it came late or twice, or belongs to a pull that was given up
        if page.next == page.after:
            raise Reject("a page that leads to itself")
        if page.generation < subscription.generation:
            remedy = f"run `blok365 restore {owner}`"
            log.error("state.older_generation", service=self._signer.service, owner=owner, remedy=remedy)
            return  # what an older database says does not count, and after `max_age` nothing of its owner does
        awaited = subscription.pull(origin)
        assert awaited is not None
        refused = await self._handle_items(owner, received, origin, awaited)
        now = self._clock.now()
        if refused is None:
            await self._store.change(owner, partial(_failed, origin, awaited, now))
            return
        is_whole = page.generation == subscription.generation or not page.after
        if page.next is None and origin is Origin.FULL_PULL and is_whole:
            # A pull that a restore has cut in two says nothing of what is missing; it is begun anew.
            await self._lapse(owner, awaited)
        written = await self._store.change(owner, partial(_recorded, origin, awaited, page, refused, now))
        if written is None:
            return  # another replica has recorded this page already
        self._see(written)
        following = written.pull(origin)
        if page.next is None:
            if origin is Origin.FULL_PULL and awaited.hurried:
                await self.look()  # the owner after this one need not wait
        elif following is not None and following.request == page.request and following.hurried:
            took = self._clock.monotonic() - began
            rest = min(PATIENCE * took, LONGEST_PATIENCE) if self._patient else 0
            self._send_soon(owner, following, rest=rest)

    async def _handle_items(
        self, owner: str, received: VerifiedMessage[StatePulled], origin: Origin, pull: Pull
    ) -> tuple[Refused, ...] | None:
        """Hand the items to their handlers, as if each had come alone; those that are refused for good.

        None: the page must come again, since something needed is away, or one may still succeed. An item that
        goes on failing is passed over, so that it does not keep the others from being known. Raises Reject when
        the page is not that owner's to say.
        """
        work = [self._event(owner, item, received, origin) for item in received.message.items]
        turn = asyncio.Semaphore(AT_ONCE)

        async def handle(
            item: StateItem, event: Callable[[], VerifiedMessage[Any]], handler: Handler
        ) -> Refused | None:
            async with turn:
                try:
                    await handler(event())
                except (Unavailable, Retry, TimeoutError):
                    raise
                except Reject as error:
                    return self._refusal(owner, item, str(error))
            return None

        outcomes = await asyncio.gather(*(handle(*each) for each in work if each), return_exceptions=True)
        refused = [outcome for outcome in outcomes if isinstance(outcome, Refused)]
        items = [each[0] for each in work if each]
        for item, fault in zip(items, outcomes, strict=True):
            if not isinstance(fault, BaseException):
                continue
            if not isinstance(fault, Exception):
                raise fault
            if isinstance(fault, Unavailable) or pull.waits < MAX_WAITS:
                log.warning("state.page_waits", owner=owner, type=item.type, reason=repr(fault))
                return None
            refused.append(self._refusal(owner, item, repr(fault)))
        return tuple(refused)

    def _refusal(self, owner: str, item: StateItem, reason: str) -> Refused:
        tenant, reason = item.tenant[:NAME_LENGTH], reason[:REASON_LENGTH]
        log.error("state.item_refused", owner=owner, type=item.type, tenant=tenant, reason=reason)
        return Refused(item.type, tenant, reason, self._clock.now())

    def _event(
        self, owner: str, item: StateItem, received: VerifiedMessage[StatePulled], origin: Origin
    ) -> tuple[StateItem, Callable[[], VerifiedMessage[Any]], Handler] | None:
        contract = contracts().get(item.type)
        if contract is None:
            return None  # of a newer release
        if not contract.STATE or contract.owner() != owner:
            # Otherwise one owner could speak for another: approval of accounts, say.
            raise Reject(f"a page of {owner} with {item.type}")
        if item.type not in self._handlers:
            return None
        kind, handler = self._handlers[item.type]

        def event() -> VerifiedMessage[Any]:
            try:
                message = kind.model_validate(item.body)
            except ValidationError as error:
                raise Reject(f"not a {item.type}: {error.error_count()} faults") from error
            if getattr(message, "generation", 0) > received.message.generation:
                raise Reject("an item of a later generation than its page")
            envelope = received.envelope.model_copy(
                update={"type": item.type, "tenant": item.tenant, "body": item.body}
            )
            return VerifiedMessage(message, envelope, origin)

        return item, event, handler

    async def _lapse(self, owner: str, pull: Pull) -> None:
        """Put out of force what a full pull did not bring, and no message since it began."""
        count = 0
        for projection in self._projections.get(owner, ()):
            count += await projection.lapse(pull.fence)
        if count:
            log.error("state.lapsed", service=self._signer.service, owner=owner, rows=count)

    # --- what is seen -----------------------------------------------------------------------------------------

    def _see(self, known: Subscription) -> None:
        now = self._clock.now()
        alarm = ""
        if known.asked_at is not None:
            heard_at = max(known.heard_at or known.asked_at, self._started)
            if abs(now - heard_at) >= ALARM_AFTER:
                alarm = f"silent since {heard_at:%H:%M:%S} UTC"
            elif known.recent is not None and abs(now - known.recent.began_at) >= ENDLESS_AFTER:
                alarm = f"its answer has not ended since {known.recent.began_at:%H:%M:%S} UTC"
            elif known.refused_count:
                alarm = f"{known.refused_count} items refused, the last because: {known.refused[-1].reason}"
        self._views[known.owner] = replace(self._views[known.owner], complete_at=known.complete_at)
        self._alarm(known.owner, alarm)

    def _alarm(self, owner: str, alarm: str) -> None:
        if alarm != self._views[owner].alarm:
            say = log.error if alarm else log.info
            say("state.alarm", service=self._signer.service, owner=owner, alarm=alarm or "over")
            self._views[owner] = replace(self._views[owner], alarm=alarm)


def _completed_since(seen: Subscription, known: Subscription) -> bool:
    return (known.complete_at, known.full_at) != (seen.complete_at, seen.full_at)


def _failed(origin: Origin, awaited: Pull, now: datetime, known: Subscription) -> Subscription | None:
    return known.with_pull(origin, awaited.failed(now)) if known.pull(origin) == awaited else None


def _recorded(
    origin: Origin,
    awaited: Pull,
    page: StatePulled,
    refused: tuple[Refused, ...],
    now: datetime,
    known: Subscription,
) -> Subscription | None:
    """The subscription after a page whose items were handled; None when the pull has moved on meanwhile."""
    under_way = known.pull(origin)
    if under_way is None or not under_way.awaits(page) or under_way.request != awaited.request:
        return None
    heard = known.with_refused(refused).heard(origin, page, now)
    if heard.pull(origin) is None:
        return heard  # a new generation: this pull began in the one before, and is begun again
    if page.next is None:
        return heard.completed(origin, page)
    return heard.with_pull(origin, under_way.turned(page, now))
