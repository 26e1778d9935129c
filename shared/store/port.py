"""What a service's store.py knows of a database.

One aggregate is one document, and a step is one conditional update: the expected state in the filter, the new
state and the outgoing messages in the change. `update` with `outbox` does all of that in one write; the relay
sends the messages afterwards, at least once.

Filters and changes are MongoDB's own language, but only the part that `shared/store/memory.py` understands too;
it refuses anything else, and one conformance suite holds both to the same behaviour.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

from shared.contracts.envelope import Packet

Document = dict[str, Any]
Filter = Mapping[str, Any]
Change = Mapping[str, Any]
Sort = Sequence[tuple[str, int]]


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

    async def insert(self, document: Document, *, outbox: Sequence[Packet] = ()) -> bool:
        """Add it. False when its `_id` or a unique key is taken."""
        ...

    async def find_one(self, where: Filter) -> Document | None:
        """One document, or None."""
        ...

    async def find(self, where: Filter, *, sort: Sort = (), limit: int = 200) -> list[Document]:
        """At most `limit` documents, in that order."""
        ...

    async def update(
        self, where: Filter, change: Change, *, outbox: Sequence[Packet] = (), upsert: bool = False
    ) -> Document | None:
        """Change the one document that matches and return it as it is afterwards; None when none matched.

        A document of the shape before keeps it, unless the change's `$set` says `v`: the step that rewrites it does.

        With `upsert`, a document that does not match is made; when that collides with one that exists under
        the same unique key (a newer version, say), None.
        """
        ...

    async def delete(self, where: Filter) -> int:
        """Remove all that match; how many."""
        ...

    async def insert_many(self, documents: Sequence[Document]) -> None:
        """Add all, in order; one that is already there under its `_id` is left as it is (a repeated write)."""
        ...

    async def pull_outbox(self, sent: Mapping[str, Sequence[str]]) -> None:
        """Remove packets (ids, by document `_id`) that the bus has confirmed. One bulk write."""
        ...

    async def stale_outbox(self, older_than: Any, limit: int, *, skip: int) -> list[tuple[str, list[Packet]]]:
        """Packets still waiting since before that moment, by document `_id`: of at most `limit` documents, past
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
    ) -> Collection:
        """A collection whose documents are read in shapes `v` and `v - 1` and made in shape `writes`: `v`, unless
        the release before cannot read that yet (docs/adr/0007-shapes-change-in-two-releases.md).
        """
        ...

    async def migrate(self) -> list[str]:
        """Build missing indexes; names of what was built. Safe to repeat and to interrupt."""
        ...

    async def check(self) -> None:
        """Raises Unavailable when the database does not answer or an index is missing (it says which)."""
        ...

    async def close(self) -> None: ...
