"""The follower's bookkeeping in its own database: collection `subscriptions`, one document for each owner.

Replicas of a service share its queue, so any of them goes on with any page. Every change is read, compute, write on
condition of `revision`; the replica whose write succeeds asks the next question.
"""

from collections.abc import Callable, Sequence
from typing import Any

from shared.contracts.envelope import Origin
from shared.errors import Unavailable
from shared.replication.records import Pull, Refused, Subscription
from shared.store.codec import from_document, to_document
from shared.store.port import Database, Document

ATTEMPTS = 20


class SubscriptionStore:
    """Implements no port: only `Subscriptions` uses it."""

    def __init__(self, database: Database) -> None:
        self._subscriptions = database.collection("subscriptions")

    async def load(self, owner: str) -> Subscription:
        """What is recorded of that owner. Raises Unavailable."""
        return (await self._load(owner))[1]

    async def load_all(self, owners: Sequence[str]) -> dict[str, Subscription]:
        """The same for several. Raises Unavailable."""
        found = await self._subscriptions.find({"_id": {"$in": list(owners)}})
        known = {document["_id"]: _subscription(document) for document in found}
        return {owner: known.get(owner, Subscription(owner)) for owner in owners}

    async def change(
        self, owner: str, step: Callable[[Subscription], Subscription | None]
    ) -> Subscription | None:
        """Take a step, which may be computed again when another replica wrote first.

        Returns what was written; None when `step` says that nothing is to be done. Raises Unavailable.
        """
        for _ in range(ATTEMPTS):
            revision, before = await self._load(owner)
            after = step(before)
            if after is None:
                return None
            fields = to_document(after) | {"revision": revision + 1}
            if revision == 0:
                written = await self._subscriptions.insert({"_id": owner, **fields})
            else:
                where = {"_id": owner, "revision": revision}
                written = await self._subscriptions.update(where, {"$set": fields}) is not None
            if written:
                return after
        raise Unavailable("shared.replication.busy", owner=owner)

    async def _load(self, owner: str) -> tuple[int, Subscription]:
        found = await self._subscriptions.find_one({"_id": owner})
        return (0, Subscription(owner)) if found is None else (found["revision"], _subscription(found))


def _subscription(document: Document) -> Subscription:
    parts = {
        "recent": _pull(document["recent"]),
        "full": _pull(document["full"]),
        "refused": tuple(from_document(Refused, each) for each in document["refused"]),
    }
    return from_document(Subscription, {**document, **parts})


def _pull(document: dict[str, Any] | None) -> Pull | None:
    if document is None:
        return None
    seconds, counter = document["fence"]
    return from_document(Pull, {**document, "fence": (seconds, counter)})


ORIGINS = (Origin.RECENT_PULL, Origin.FULL_PULL)
"""The two kinds of pull, in the order in which they are looked after."""
