"""The owner's side: a page of its state for whoever is among the readers and asks (docs/flows/replication.md)."""

import asyncio
import json
from collections import Counter, defaultdict
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import NamedTuple

import structlog

from shared.bus.port import Handlers, Publisher, Reject
from shared.contracts import StateEvent
from shared.contracts.envelope import MessageSigner, VerifiedMessage
from shared.contracts.state import PullState, StateItem, pull_of, pulled_of
from shared.store.port import Collection, Database, Document, Position

log = structlog.get_logger(__name__)

NO_TENANT = "-"
MAX_PAGE_OCTETS = 160_000
"""Octets of a page's items as JSON, at most. Canonical JSON is no larger, and a message is at most 256 KiB."""
MAX_PAGE_ITEMS = 250
MAX_PAGE_ROWS = 2_500
"""Documents that are looked at for one page. Many may have nothing to say (accounts without a device): a page without
items that leads on is better than an answer that takes longer than its handler may.
"""
BATCH = 100
"""Documents that are read at once."""
MAX_OPEN = 20
"""Questions of one asker that are answered or wait at once, in a process that handles `PREFETCH` messages at once. An
honest one has two, and asks again.
"""


@dataclass(frozen=True, slots=True)
class Row:
    """What one document says to followers: state events of one tenant, which stay on one page."""

    tenant: str
    events: Sequence[StateEvent]


@dataclass(frozen=True, slots=True)
class Source:
    """A collection of state: which events its documents can say, and what one document says now."""

    collection: Collection
    types: Sequence[type[StateEvent]]
    row: Callable[[Document], Row]


class _Cursor(NamedTuple):
    """How far a pull has come. As text: `source`, `source/position/id`; in a full pull the position is empty."""

    source: int = 0
    position: Position | None = None
    document_id: str = ""

    def __str__(self) -> str:
        at = "" if self.position is None else text_of(self.position)
        return f"{self.source}/{at}/{self.document_id}"


class StatePublisher:
    """Answers pulls. `sources`: everything that the service owns, in the order in which followers need it.

    Nothing about followers is kept: the answer is made from the question alone. Raises ValueError when a source
    has an event that is not this service's state.
    """

    def __init__(
        self, sources: Sequence[Source], *, database: Database, signer: MessageSigner, bus: Publisher
    ) -> None:
        self._sources = sources
        self._database = database
        self._signer = signer
        self._bus = bus
        self._turns: defaultdict[str, asyncio.Lock] = defaultdict(asyncio.Lock)
        self._open: Counter[str] = Counter()
        for contract in (each for source in sources for each in source.types):
            if contract.owner() != signer.service:
                raise ValueError(f"{contract.TYPE} is not state of {signer.service}")

    def consumers(self) -> Handlers:
        """The handlers of followers' questions, to be added to the service's table."""
        return {pull_of(self._signer.service): self.answer}

    async def load_generation(self) -> None:
        """Read the database's generation, which goes into every state event from now on. Raises Unavailable."""
        self._signer.generation = await self._database.generation()

    async def answer(self, received: VerifiedMessage[PullState]) -> None:
        """Steps 2 to 5: one page, for the service that asked. One at a time for each, so that whoever asks faster
        than we answer waits for its own questions only, and has those beyond MAX_OPEN dropped. Raises Reject,
        Unavailable.
        """
        asker = received.envelope.sender
        if self._open[asker] >= MAX_OPEN:
            log.warning("state.question_dropped", asker=asker)
            return
        self._open[asker] += 1
        try:
            await self._answer(received, asker)
        finally:
            self._open[asker] -= 1

    async def _answer(self, received: VerifiedMessage[PullState], asker: str) -> None:
        asked = received.message
        async with self._turns[asker]:
            at, since, wanted = _read_question(asked, len(self._sources))
            if wanted is not None:
                until, generation = wanted, await self._database.generation()
            else:
                until, generation = await self._database.fence()
            self._signer.generation = generation
            items, following = await self._page(at, since, until, asker)
            page = pulled_of(self._signer.service)(
                request=asked.request,
                to=asker,
                after=asked.after,
                items=tuple(items),
                next=None if following is None else str(following),
                until=text_of(until),
                generation=generation,
            )
            signed = self._signer.sign(page, tenant=NO_TENANT, cause=received.envelope)
            if not await self._bus.publish([signed]):
                log.info("state.page_unconfirmed", to=asker)  # it will be asked for again

    async def _page(
        self, at: _Cursor, since: Position | None, until: Position, asker: str
    ) -> tuple[list[StateItem], _Cursor | None]:
        items: list[StateItem] = []
        octets = looked_at = 0
        while at.source < len(self._sources):
            if looked_at >= MAX_PAGE_ROWS:
                return items, at
            source = self._sources[at.source]
            readable = [contract for contract in source.types if asker in contract.READERS]
            rows = await _read(source.collection, at, since, until) if readable else []
            for position, document in rows:
                more = self._items(source.row(document), readable)
                size = sum(len(json.dumps(item.model_dump(), ensure_ascii=False).encode()) for item in more)
                if items and (octets + size > MAX_PAGE_OCTETS or len(items) + len(more) > MAX_PAGE_ITEMS):
                    return items, at
                items += more
                octets += size
                at = _Cursor(at.source, position, document["_id"])
            looked_at += len(rows)
            if len(rows) < BATCH:
                at = _Cursor(at.source + 1)
        return items, None

    def _items(self, row: Row, readable: Sequence[type[StateEvent]]) -> list[StateItem]:
        return [
            StateItem(
                type=event.TYPE, tenant=row.tenant, body=self._signer.dated(event).model_dump(mode="json")
            )
            for event in row.events
            if type(event) in readable
        ]


def _read_question(asked: PullState, sources: int) -> tuple[_Cursor, Position | None, Position | None]:
    """Where the page begins, `since` and `until`. Raises Reject for what is no position or no `next` of ours."""
    try:
        since = position_of(asked.since) if asked.since else None
        until = position_of(asked.until) if asked.until else None
        if not asked.after:
            return _Cursor(), since, until
        source, position, document_id = asked.after.split("/", 2)
        at = _Cursor(int(source), position_of(position) if position else None, document_id)
    except ValueError as error:
        raise Reject(f"no such page: {asked.after[:80]!r} since {asked.since!r}") from error
    wrong_kind = bool(at.document_id) and (at.position is None) is (since is not None)
    if not 0 <= at.source < sources or wrong_kind or until is None:
        raise Reject(f"no such page: {asked.after[:80]!r}")
    return at, since, until


async def _read(
    collection: Collection, at: _Cursor, since: Position | None, until: Position
) -> list[tuple[Position | None, Document]]:
    """The next documents: all by `_id`, or with `since` those that changed, by when they did."""
    if since is None:
        return [(None, document) for document in await collection.all_after(at.document_id, BATCH)]
    after = None if at.position is None else (at.position, at.document_id)
    return [*await collection.changed(since, until, after=after, limit=BATCH)]


def text_of(position: Position) -> str:
    """A position as it stands in messages, e.g. `1764201234.0000000007`."""
    return f"{position[0]:010d}.{position[1]:010d}"


def position_of(text: str) -> Position:
    """The position that was written by `text_of`. Raises ValueError, also for one that no database can have."""
    seconds, _, counter = text.partition(".")
    position = int(seconds), int(counter)
    if not all(0 <= part < 2**32 for part in position):
        raise ValueError(f"{text} is no position")
    return position
