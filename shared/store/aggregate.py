"""One aggregate is one document, and this is the one way in which it changes:

    load --> change (pure) --> save with the outbox, if the revision is still the one that was read
     ^                                      |
     +-------- somebody else was first -----+

The revision is a number in the document that every change raises by one. It may be a field of the aggregate itself
(admin's `version`, which its state events carry), or one that only the store knows (approval's `revision`).
"""

import asyncio
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Generic, TypeVar
from weakref import WeakValueDictionary

from shared.contracts.envelope import MessageSigner, OutgoingMessage, SignedMessage
from shared.errors import Blok365Error, Conflict, Unavailable
from shared.store.port import Collection, Document, Filter, Sort

T = TypeVar("T")

MAX_ATTEMPTS = 20
"""How often a change is computed again. Within one process changes of an aggregate wait for each other, so only other
replicas can be faster."""
PAUSE = 0.001
"""Seconds, at most, before the second attempt; before the third twice as long, and so on."""


class NotUnique(Conflict):
    """A unique index refused the change: another document has the value already. Nothing was written."""

    id = "shared.store.not_unique"


@dataclass(frozen=True, slots=True)
class Stored(Generic[T]):
    """An aggregate as it was read. `revision` guards the write; 0: there is no document yet."""

    value: T
    revision: int


@dataclass(frozen=True, slots=True)
class Changed(Generic[T]):
    """What a change makes of an aggregate, and the messages that tell of it: all of it is written in one step.

    `refusal` is raised to the caller after the write: a wrong code, say, is counted first and then refused.
    A service may add to it what its handlers need to know of the change.
    """

    value: T
    messages: Sequence[OutgoingMessage] = ()
    refusal: Blok365Error | None = None


S = TypeVar("S", bound=Changed[Any])


class Aggregate(Generic[T]):
    """Loads and changes the aggregates of one collection, by the one optimistic loop.

    `encode` makes the whole document of an aggregate, `_id` included; fields that are there to be indexed are
    derived in it. `decode` is its inverse; it is given the store's own fields too and leaves them alone. `revision`
    names the field that guards the write: when `encode` makes it, the aggregate raises it by one in every change.
    `signer` signs the messages; a collection whose changes say nothing needs none.
    """

    def __init__(
        self,
        collection: Collection,
        encode: Callable[[T], Document],
        decode: Callable[[Document], T],
        *,
        signer: MessageSigner | None = None,
        revision: str = "revision",
    ) -> None:
        self.collection = collection
        self._encode = encode
        self._decode = decode
        self._signer = signer
        self._revision = revision
        self._turns: WeakValueDictionary[str, asyncio.Lock] = WeakValueDictionary()

    async def load(self, key: str) -> Stored[T] | None:
        """The aggregate with that `_id`. Raises Unavailable."""
        return await self.find_one({"_id": key})

    async def find_one(self, where: Filter) -> Stored[T] | None:
        """An aggregate that matches the filter; None when there is none. Raises Unavailable."""
        found = await self.collection.find_one(where)
        return None if found is None else self._stored(found)

    async def find(self, where: Filter, *, sort: Sort = (), limit: int = 200) -> list[Stored[T]]:
        """At most `limit` that match, in that order. Raises Unavailable."""
        found = await self.collection.find(where, sort=sort, limit=limit)
        return [self._stored(document) for document in found]

    async def insert(
        self, value: T, messages: Sequence[OutgoingMessage] = (), *, confirm: bool = False
    ) -> bool:
        """Add it. False when its `_id` or a unique value is taken. `confirm`: see `Collection.update`.

        Raises Unavailable when the result is unknown.
        """
        document = {self._revision: 1, **self._encode(value)}
        return await self.collection.insert(document, outbox=self._signed(messages), confirm=confirm)

    async def change(
        self,
        key: str,
        step: Callable[[T], S | None],
        *,
        first: Stored[T] | None = None,
        empty: T | None = None,
        confirm: bool = False,
        busy: Blok365Error | None = None,
    ) -> S | None:
        """Take one step on the aggregate with that `_id`; what `step` returned, once that is written.

        `step` is called again when somebody else wrote first, so it has no effects; what it raises reaches the
        caller and nothing is written. None: `step` returned None because there is nothing to do, or there is no such
        document. `empty` is given to `step` in the place of a document that is missing, which is made then.
        `first`: the aggregate as the caller has just read it, so that it is not read twice. `confirm`: see
        `Collection.update`.

        Raises the step's refusal after its write; NotUnique; Unavailable when the result is unknown; `busy`
        (by default Unavailable) when other replicas were faster each time.
        """
        turn = self._turns.setdefault(key, asyncio.Lock())
        async with turn:  # this only spares collisions within the process; the condition of the write decides
            before = first or await self._load_or(key, empty)
            for attempt in range(1, MAX_ATTEMPTS + 1):
                changed = None if before is None else step(before.value)
                if before is None or changed is None:
                    return None
                if await self._save(key, before, changed, confirm):
                    if changed.refusal is not None:
                        raise changed.refusal
                    return changed
                await _pause(attempt)
                now = await self._load_or(key, empty)
                if now is not None and now.revision == before.revision:
                    raise NotUnique
                before = now
        raise busy or Unavailable("shared.store.contended", collection=self.collection.name)

    async def change_value(
        self,
        key: str,
        step: Callable[[T], T | None],
        announce: Callable[[T, T], Sequence[OutgoingMessage]],
        *,
        first: Stored[T] | None = None,
        busy: Blok365Error | None = None,
    ) -> T | None:
        """`change`, for a step from one value to the next; the new value, once it is written.

        `announce` makes the messages that tell of it, from the new value and the one before.
        """

        def take(before: T) -> Changed[T] | None:
            after = step(before)
            return None if after is None else Changed(after, announce(after, before))

        changed = await self.change(key, take, first=first, busy=busy)
        return None if changed is None else changed.value

    async def _load_or(self, key: str, empty: T | None) -> Stored[T] | None:
        found = await self.load(key)
        return found if found is not None or empty is None else Stored(empty, 0)

    async def _save(self, key: str, before: Stored[T], changed: Changed[T], confirm: bool) -> bool:
        if before.revision == 0:
            return await self.insert(changed.value, changed.messages, confirm=confirm)
        change = self._update(before, changed.value)
        where = {"_id": key, self._revision: before.revision}
        outbox = self._signed(changed.messages)
        return await self.collection.update(where, change, outbox=outbox, confirm=confirm) is not None

    def _update(self, before: Stored[T], after: T) -> dict[str, dict[str, Any]]:
        old, new = self._encode(before.value), self._encode(after)
        if old["_id"] != new["_id"]:
            raise ValueError(f"{old['_id']} became {new['_id']}")
        update = difference(old, new)
        if self._revision not in new:
            update["$inc"] = {self._revision: 1}
        elif new[self._revision] != before.revision + 1:
            raise ValueError(f"{new['_id']}: {self._revision} {before.revision} became {new[self._revision]}")
        return update

    def _signed(self, messages: Sequence[OutgoingMessage]) -> Sequence[SignedMessage]:
        if not messages:
            return ()
        if self._signer is None:
            raise ValueError(f"{self.collection.name} has no signer for its messages")
        return [self._signer.sign_outgoing(message) for message in messages]

    def _stored(self, document: Document) -> Stored[T]:
        return Stored(self._decode(document), document[self._revision])


async def _pause(attempt: int) -> None:
    """Two replicas in the same rhythm would overtake each other in the same order each time; the one that always
    loses would give up. The last digits of a clock are no chance, and uneven enough to put them out of step.
    """
    fraction = asyncio.get_running_loop().time() * 1e6 % 1000 / 1000
    await asyncio.sleep(fraction * attempt * PAUSE)


def difference(old: Mapping[str, Any], new: Mapping[str, Any]) -> dict[str, dict[str, Any]]:
    """The update that makes one document of the other: whole fields, and of documents within it single entries.

    Only one level deep: an entry that differs is written whole. So a change of one challenge among many writes that
    one, and leaves alone what a newer release has added beside the entries.
    """
    put: dict[str, Any] = {}
    drop: dict[str, Any] = dict.fromkeys(old.keys() - new.keys(), "")
    for name, value in new.items():
        was = old.get(name)
        if name in old and was == value:
            continue
        if isinstance(was, dict) and isinstance(value, dict) and all(map(_is_plain_key, (*was, *value))):
            put |= {
                f"{name}.{key}": each for key, each in value.items() if key not in was or was[key] != each
            }
            drop |= {f"{name}.{key}": "" for key in was.keys() - value.keys()}
        else:
            put[name] = value
    return {operator: part for operator, part in (("$set", put), ("$unset", drop)) if part}


def _is_plain_key(key: str) -> bool:
    """Whether it can stand in a path, where a dot and a dollar mean something."""
    return bool(key) and "." not in key and not key.startswith("$")
