"""The database as stores see it, whichever implementation runs.

One aggregate is one document, and a step is one conditional update: the expected state in the filter, the new
state and the outgoing messages in the change. `update` with `outbox` does all of that in one write; the relay
sends the messages afterwards, at least once.

Filters and changes are MongoDB's own language, but only the part that `shared/store/memory.py` understands too;
it refuses anything else, and one conformance suite holds both to the same behaviour.

Two fields belong to the store and are never set by its callers: `changed`, when an aggregate's state was last
written, and `confirmed`, when a projection's row was last written or confirmed. Both are positions: timestamps of the
database itself, which never go back, whatever any clock says (docs/flows/replication.md).
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple, Protocol

from shared.contracts.envelope import SignedMessage

Document = dict[str, Any]
Filter = Mapping[str, Any]
Change = Mapping[str, Any]
Sort = Sequence[tuple[str, int]]
Position = tuple[int, int]
"""A timestamp of the database (in MongoDB a BSON timestamp: seconds and a counter). Later ones compare greater."""


class Fence(NamedTuple):
    """A position that separates what is visible to a majority now from later writes, and the database's generation.

    `generation` is raised when an operator has put the database back to a backup (`blok365 restore`).
    """

    position: Position
    generation: int


@dataclass(frozen=True, slots=True)
class Index:
    """An index that `blok365 migrate` builds and every replica checks for.

    `expire_after` (seconds, on a date field) only removes documents long after their final state; whether
    something is still valid is always in the query itself.
    """

    keys: tuple[tuple[str, int], ...]
    unique: bool = False
    partial: Filter | None = None
    expire_after: int | None = None

    @property
    def name(self) -> str:
        return "_".join(f"{field}_{order}" for field, order in self.keys)


class Collection(Protocol):
    """One kind of document. Every document has `v`, its shape's version."""

    name: str

    async def insert(
        self, document: Document, *, outbox: Sequence[SignedMessage] = (), confirm: bool = False
    ) -> bool:
        """Add it. False when its `_id` or a unique key is taken. `confirm`: see `update`."""
        ...

    async def find_one(self, where: Filter) -> Document | None:
        """One document, or None."""
        ...

    async def find(self, where: Filter, *, sort: Sort = (), limit: int = 200) -> list[Document]:
        """At most `limit` documents that match, in the order of `sort`."""
        ...

    async def count(self, where: Filter) -> int:
        """How many documents match. It looks at each of them, in an index where one fits: not for the hot path."""
        ...

    async def update(
        self,
        where: Filter,
        change: Change,
        *,
        outbox: Sequence[SignedMessage] = (),
        upsert: bool = False,
        confirm: bool = False,
    ) -> Document | None:
        """Change the one document that matches and return it as it is afterwards; None when none matched.

        A state event in `outbox` also sets `changed`, which needs a collection opened with `state=True`; `confirm`
        also sets `confirmed`, and then the change itself may be empty. Raises ValueError.

        A document of the shape before keeps it, unless the change's `$set` says `v`: the step that rewrites it does.

        With `upsert`, a document that does not match is made; when that collides with one that exists under
        the same unique key (a newer version, say), None.
        """
        ...

    async def put(self, where: Filter, change: Change) -> bool:
        """`update` with `upsert` and `confirm`, of which nobody needs the document: whether it was written.

        `where` names the `_id`. Those that are asked for at the same time go together, each with its own outcome.
        """
        ...

    async def confirm(self, where: Filter) -> None:
        """Set `confirmed` on the document that matches, if one does, together with others as in `put`."""
        ...

    async def delete(self, where: Filter) -> int:
        """Remove all documents that match, and return how many they were."""
        ...

    async def insert_many(self, documents: Sequence[Document]) -> None:
        """Add all, in order; one that is already there under its `_id` is left as it is (a repeated write).

        In a collection of state each gets its `changed`, though no event speaks of it: a bulk import reaches the
        other services by their pulls alone.
        """
        ...

    async def changed(
        self, since: Position, until: Position, *, after: tuple[Position, str] | None, limit: int
    ) -> list[tuple[Position, Document]]:
        """Documents of state with since < `changed` <= until, in the order of (`changed`, `_id`), behind `after`.

        Only what a majority has is returned, so that nothing is told that might be rolled back.
        """
        ...

    async def all_after(self, document_id: str, limit: int) -> list[Document]:
        """All documents in the order of their `_id`, behind that one. Only what a majority has."""
        ...

    async def unconfirmed(self, before: Position, where: Filter, limit: int) -> list[Document]:
        """Documents that match and whose `confirmed` is older than `before`, or missing."""
        ...

    async def pull_outbox(self, sent: Mapping[str, Sequence[str]]) -> None:
        """Remove messages (ids, by document `_id`) that the bus has confirmed. One bulk write."""
        ...

    async def stale_outbox(
        self, older_than: Any, limit: int, *, skip: int
    ) -> list[tuple[str, list[SignedMessage]]]:
        """Messages still waiting since before that moment, by document `_id`: of at most `limit` documents, past
        the first `skip`. Their order is the same from one call to the next.
        """
        ...


class Database(Protocol):
    """One service's own database. Nobody else reads it."""

    def collection(
        self,
        name: str,
        *,
        v: int = 1,
        writes: int | None = None,
        indexes: Sequence[Index] = (),
        outbox: bool = False,
        state: bool = False,
    ) -> Collection:
        """A collection whose documents are read in shapes `v` and `v - 1` and made in shape `writes`: `v`, unless
        the release before cannot read that yet (docs/adr/0007-shapes-change-in-two-releases.md).

        `state`: state events about its documents are sent, so each such write sets `changed`, with an index on it.
        """
        ...

    async def fence(self) -> Fence:
        """A new position, later than every one that was given out so far, and durable before it is returned.

        What is visible to a majority then has an earlier `changed`. Raises Unavailable.
        """
        ...

    async def generation(self) -> int:
        """The database's generation, 0 from the start. Raises Unavailable."""
        ...

    async def raise_generation(self, at_least: int) -> int:
        """Make the generation higher than it is and no lower than `at_least`; the new one. Raises Unavailable."""
        ...

    async def migrate(self) -> list[str]:
        """Build missing indexes; names of what was built. Safe to repeat and to interrupt."""
        ...

    async def check(self) -> None:
        """Raises Unavailable when the database does not answer or an index is missing (it says which)."""
        ...

    async def close(self) -> None: ...
