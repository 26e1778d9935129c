"""The follower's bookkeeping in its own database: collection `subscriptions`, one document for each owner.

Replicas of a service share its queue, so any of them goes on with any page. Every change is one step on an aggregate;
the replica whose write succeeds asks the next question.
"""

from collections.abc import Callable, Sequence

from shared.contracts.envelope import Origin
from shared.errors import Unavailable
from shared.replication.records import Subscription
from shared.store.aggregate import Aggregate, Changed
from shared.store.codec import from_document, to_document
from shared.store.port import Database, Document

ORIGINS = (Origin.RECENT_PULL, Origin.FULL_PULL)
"""The two kinds of pull, in the order in which they are looked after."""


class SubscriptionStore:
    """Implements no port: only `Subscriptions` uses it."""

    def __init__(self, database: Database) -> None:
        self._subscriptions = Aggregate(database.collection("subscriptions"), _document, _subscription)

    async def load(self, owner: str) -> Subscription:
        """The subscription to that owner, a new one when nothing is recorded. Raises Unavailable."""
        found = await self._subscriptions.load(owner)
        return Subscription(owner) if found is None else found.value

    async def load_all(self, owners: Sequence[str]) -> dict[str, Subscription]:
        """The subscriptions to several owners, by owner. Raises Unavailable."""
        found = await self._subscriptions.find({"_id": {"$in": list(owners)}})
        known = {stored.value.owner: stored.value for stored in found}
        return {owner: known.get(owner, Subscription(owner)) for owner in owners}

    async def change(
        self, owner: str, step: Callable[[Subscription], Subscription | None]
    ) -> Subscription | None:
        """Take a step, which may be computed again when another replica wrote first.

        Returns what was written; None when `step` says that nothing is to be done. Raises Unavailable.
        """

        def change(before: Subscription) -> Changed[Subscription] | None:
            after = step(before)
            return None if after is None else Changed(after)

        busy = Unavailable("shared.replication.busy", owner=owner)
        changed = await self._subscriptions.change(owner, change, empty=Subscription(owner), busy=busy)
        return None if changed is None else changed.value


def _document(subscription: Subscription) -> Document:
    return {"_id": subscription.owner, **to_document(subscription)}


def _subscription(document: Document) -> Subscription:
    return from_document(Subscription, document)
