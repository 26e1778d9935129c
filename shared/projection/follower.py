"""The follower's side: what it has of each owner, whether that is enough to act on, and how it catches up."""

import asyncio
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from functools import partial
from typing import Any

import structlog
from pydantic import ValidationError

from shared.bus.port import Handler, Handlers, Reject, Retry
from shared.clock import Clock
from shared.contracts import Message, contracts
from shared.contracts.envelope import Packet, PacketSigner, Received
from shared.contracts.state import StateItem, StatePaged, StreamAdvanced, advanced_of, paged_of, resync_of
from shared.ids import Ids, new_id
from shared.projection.ledger import Ledger
from shared.projection.owner import NO_TENANT
from shared.projection.records import ALARM_AFTER, Covered, OwnerRecord, Resync, StreamRecord
from shared.store.port import Database

log = structlog.get_logger(__name__)

LOOK_EVERY = 2.0
PATIENCE = timedelta(seconds=15)
"""How long a page may take before it is asked for again."""
RESYNC_EVERY = timedelta(seconds=30)
"""At most so often after gaps; an operator's wish and the first one do not wait."""
AT_ONCE = 16
"""Items of a page that are handled at the same time: their writes share the disk's flushes."""


@dataclass(frozen=True, slots=True)
class View:
    """What a replica knows of an owner without asking its database."""

    synced: bool = False
    heard_at: datetime | None = None
    doubt_since: datetime | None = None
    """Since when something is missing, or a process of the owner has been silent without a farewell."""
    alarm: str = ""


class Follower:
    """Follows `owners`, in that order: the state of one may refer to what the ones before it own.

    `max_age`: after so much silence or doubt `fresh` says no.
    """

    def __init__(
        self,
        owners: Sequence[str],
        *,
        database: Database,
        signer: PacketSigner,
        clock: Clock,
        ids: Ids,
        max_age: timedelta,
    ) -> None:
        self._owners = tuple(owners)
        self._signer = signer
        self._clock = clock
        self._ids = ids
        self._max_age = max_age
        self._ledger = Ledger(database, clock)
        self._handlers: Handlers = {}
        self._views = dict.fromkeys(self._owners, View())
        self._started = clock.now()
        self._looking = asyncio.Lock()

    # --- for the service that follows ------------------------------------------------------------------------

    def tracked(self, handlers: Handlers) -> Handlers:
        """The service's table, with state events recorded after their handlers, heartbeats and pages."""
        self._handlers = handlers
        table: dict[type[Message], Handler] = {}
        for contract, handler in handlers.items():
            followed = contract.STATE and contract.owner() in self._owners
            table[contract] = partial(self._tracked, handler) if followed else handler
        for owner in self._owners:
            table[advanced_of(owner)] = partial(self._advanced, owner)
            table[paged_of(owner)] = partial(self._paged, owner)
        return table

    def fresh(self, owner: str) -> bool:
        """Whether what is known of that owner is recent and whole enough to act on. From memory, costs nothing."""
        view, now = self._views[owner], self._clock.now()
        if not view.synced or view.heard_at is None or now - view.heard_at > self._max_age:
            return False
        return view.doubt_since is None or now - view.doubt_since <= self._max_age

    def ready(self) -> Mapping[str, bool]:
        """For each owner whether its state was here whole at least once."""
        return {owner: view.synced for owner, view in self._views.items()}

    def alarms(self) -> Mapping[str, str]:
        """For each owner with whom something is wrong, what. A service with alarms still takes requests."""
        return {owner: view.alarm for owner, view in self._views.items() if view.alarm}

    async def want(self, owners: Sequence[str] | None = None, *, reason: str = "operator") -> None:
        """Ask those owners, or all, for their whole state again: any replica's loop does it within seconds.

        For `blok365 resync`, which needs nothing of this service but its database. Raises Unavailable.
        """
        for owner in self._owners if owners is None else owners:
            await self._ledger.change_owner(owner, lambda record: (replace(record, wanted=reason), ()))

    async def run(self) -> None:
        """Look every few seconds until cancelled."""
        while True:
            await self.look()
            await self._clock.sleep(LOOK_EVERY)

    async def look(self) -> None:
        """Read what all replicas have recorded, raise and end alarms, ask for what is missing."""
        async with self._looking:
            owners, streams = await self._ledger.live(self._owners)
            for owner in self._owners:
                mine = [stream for stream in streams if stream.owner == owner]
                self._views[owner] = self._viewed(owners[owner], mine, self._views[owner])
                await self._forget(mine)
                await self._ask_if_needed(owners[owner], mine)

    # --- messages -------------------------------------------------------------------------------------------

    async def _tracked(self, handler: Handler, received: Received[Any]) -> None:
        """Handle a state event, then record it. One that is refused for good is decided as well."""
        envelope = received.envelope
        try:
            await handler(received)
        except Reject:
            if envelope.stream is not None and envelope.number is not None:
                await self._ledger.received(envelope.sender, envelope.stream, envelope.number)
            raise
        if envelope.stream is not None and envelope.number is not None:
            await self._ledger.received(envelope.sender, envelope.stream, envelope.number)

    async def _advanced(self, owner: str, received: Received[StreamAdvanced]) -> None:
        said, said_at, now = received.message, received.envelope.occurred_at, self._clock.now()
        record = await self._ledger.change(owner, said.stream, lambda r: r.advance(said, said_at, now))
        view = self._views[owner]
        self._views[owner] = replace(view, heard_at=_latest([view.heard_at, record.heard_at]))
        if not self.fresh(owner):
            await self.look()  # do not let people wait for the next round

    async def _paged(self, owner: str, received: Received[StatePaged]) -> None:
        page = received.message
        if page.to != self._signer.service:
            return
        resync = (await self._ledger.owner(owner)).resync
        if resync is None or (resync.id, resync.after) != (page.resync, page.after):
            return  # late, doubled, or of a resync that was given up
        if page.next == page.after:
            raise Reject("a page that leads to itself")
        if not await self._apply(owner, received):
            return  # it is asked for again after a while
        now = self._clock.now()
        if page.next is not None:
            further = replace(resync, after=page.next, moved_at=now)
            await self._ledger.change_owner(owner, partial(self._next_page, resync, further))
            return
        for covered in resync.covers:
            await self._ledger.change(owner, covered.stream, partial(_cover, covered, now))
        done = partial(_done, resync, now)
        if await self._ledger.change_owner(owner, done):
            log.info("projection.synced", service=self._signer.service, owner=owner, resync=resync.id)
        await self.look()

    def _next_page(
        self, resync: Resync, further: Resync, record: OwnerRecord
    ) -> tuple[OwnerRecord, list[Packet]] | None:
        if record.resync != resync:
            return None  # a double of this page was faster
        return replace(record, resync=further), [self._request(record.owner, further)]

    async def _apply(self, owner: str, received: Received[StatePaged]) -> bool:
        """Hand the items to their handlers, as if each had come alone. False: one needs what is not here yet.

        Their version guards make an item that is older than what is here change nothing. Raises Reject, and
        what handlers raise.
        """
        work = [self._event(owner, item, received) for item in received.message.items]
        turn = asyncio.Semaphore(AT_ONCE)

        async def handle(handler: Handler, event: Received[Any]) -> None:
            async with turn:
                try:
                    await handler(event)
                except Reject as error:  # decided for good: the same happened to the event itself
                    log.warning("projection.item_rejected", type=event.envelope.type, reason=str(error))

        outcomes = await asyncio.gather(*(handle(*each) for each in work if each), return_exceptions=True)
        faults = [outcome for outcome in outcomes if outcome is not None]
        for fault in faults:
            if not isinstance(fault, Retry):
                raise fault
            log.info("projection.item_waits", owner=owner, reason=str(fault))
        return not faults

    def _event(
        self, owner: str, item: StateItem, received: Received[StatePaged]
    ) -> tuple[Handler, Received[Any]] | None:
        contract = contracts().get(item.type)
        if contract is None:
            return None  # of a newer release
        if not contract.STATE or contract.owner() != owner:
            # Otherwise one owner could speak for another: approval of accounts, say.
            raise Reject(f"a page of {owner} with {item.type}")
        handler = self._handlers.get(contract)
        if handler is None:
            return None
        try:
            message = contract.model_validate(item.body)
        except ValidationError as error:
            raise Reject(f"not a {item.type}: {error.error_count()} faults") from error
        envelope = received.envelope.model_copy(
            update={"type": item.type, "tenant": item.tenant, "body": item.body}
        )
        return handler, Received(message, envelope)

    # --- looking --------------------------------------------------------------------------------------------

    def _viewed(self, record: OwnerRecord, streams: Sequence[StreamRecord], before: View) -> View:
        now = self._clock.now()
        heard_at = _latest([before.heard_at, *(stream.heard_at for stream in streams)])
        gap = _earliest(stream.missing_since() for stream in streams)
        crashed = _earliest(stream.silent_since(now, self._started) for stream in streams)
        alarm = ""
        if now - max(heard_at or self._started, self._started) >= ALARM_AFTER:
            alarm = f"silent since {heard_at or self._started:%H:%M:%S} UTC"
        elif gap is not None and now - gap >= ALARM_AFTER:
            alarm = f"a message has been missing since {gap:%H:%M:%S} UTC"
        elif crashed is not None:
            alarm = f"a process ended without a farewell at {crashed:%H:%M:%S} UTC"
        if alarm != before.alarm:
            say = log.error if alarm else log.info
            say("projection.alarm", service=self._signer.service, owner=record.owner, alarm=alarm or "over")
        return View(record.synced_at is not None, heard_at, _earliest([gap, crashed]), alarm)

    async def _forget(self, streams: Sequence[StreamRecord]) -> None:
        for stream in streams:
            if stream.forgotten(self._clock.now()):
                await self._ledger.change(stream.owner, stream.stream, lambda r: replace(r, live=False))

    async def _ask_if_needed(self, record: OwnerRecord, streams: Sequence[StreamRecord]) -> None:
        now, heard_at = self._clock.now(), self._views[record.owner].heard_at
        if heard_at is None or now - heard_at >= ALARM_AFTER:
            return  # nobody there: questions would only pile up in its queue
        if record.resync is not None:
            if now - record.resync.moved_at >= PATIENCE:
                again = replace(record.resync, moved_at=now)
                await self._ledger.change_owner(record.owner, partial(self._next_page, record.resync, again))
            return
        reason = self._reason(record, streams)
        if not reason:
            return
        resync = Resync(
            id=new_id(self._ids),
            after="",
            moved_at=now,
            covers=tuple(
                Covered(s.stream, s.claimed, s.silent_since(now, self._started) is not None) for s in streams
            ),
        )

        def begin(found: OwnerRecord) -> tuple[OwnerRecord, list[Packet]] | None:
            if found.resync is not None or found.asked_at != record.asked_at:
                return None  # another replica was faster
            asking = replace(found, resync=resync, asked_at=now, wanted="")
            return asking, [self._request(record.owner, resync)]

        if await self._ledger.change_owner(record.owner, begin):
            log.info("projection.resync", service=self._signer.service, owner=record.owner, reason=reason)

    def _reason(self, record: OwnerRecord, streams: Sequence[StreamRecord]) -> str:
        """Why the owner's whole state is needed now, or nothing."""
        now = self._clock.now()
        if record.wanted:
            return record.wanted
        if record.synced_at is None:
            earlier = self._owners[: self._owners.index(record.owner)]
            return "first" if all(self._views[each].synced for each in earlier) else ""
        if record.asked_at is not None and now - record.asked_at < RESYNC_EVERY:
            return ""
        gap = _earliest(stream.missing_since() for stream in streams)
        if gap is not None and now - gap >= ALARM_AFTER:
            return "gap"
        if any(stream.silent_since(now, self._started) for stream in streams):
            return "crash"
        return ""

    def _request(self, owner: str, resync: Resync) -> Packet:
        message = resync_of(owner)(resync=resync.id, after=resync.after)
        return self._signer.packet(message, tenant=NO_TENANT)


def _cover(covered: Covered, now: datetime, record: StreamRecord) -> StreamRecord:
    return record.cover(covered.number, ended=covered.ended, now=now)


def _done(resync: Resync, now: datetime, record: OwnerRecord) -> tuple[OwnerRecord, list[Packet]] | None:
    if record.resync is None or record.resync.id != resync.id:
        return None
    return replace(record, resync=None, synced_at=now), []


def _latest(moments: Iterable[datetime | None]) -> datetime | None:
    return max((moment for moment in moments if moment is not None), default=None)


def _earliest(moments: Iterable[datetime | None]) -> datetime | None:
    return min((moment for moment in moments if moment is not None), default=None)
