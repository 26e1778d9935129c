"""One tenant's directory in memory, with the indexes that uniqueness needs. No rules: those are in users, domains."""

from collections import Counter
from collections.abc import Iterable, Iterator
from dataclasses import replace
from datetime import datetime, timedelta

from deploy.standins.graph.model import SOFT_DELETED_DAYS, Application, Domain, Sku, User


class Tenant:
    """Domains, applications, subscriptions and users of one tenant."""

    def __init__(self, tenant_id: str, name: str = "Contoso") -> None:
        self.id = tenant_id
        self.name = name
        self.domains: dict[str, Domain] = {}
        self.applications: dict[str, Application] = {}
        self.skus: dict[str, Sku] = {}
        """By skuId."""
        self.changes = 0
        """Number of the last change to any user."""
        self.purged: dict[str, int] = {}
        """Users that are gone for good: id to the number of that change."""
        self._users: dict[str, User] = {}
        self._deleted: dict[str, User] = {}
        self._by_upn: dict[str, str] = {}
        self._by_immutable_id: dict[str, str] = {}
        """Also of deleted users: the real directory keeps the anchor until they are purged. Not verified."""
        self._by_address: dict[str, str] = {}
        self._units: Counter[str] = Counter()
        self._last_number = 0

    def verified_domain(self, name: str) -> Domain | None:
        """The verified domain of exactly this name; a sub-domain needs an entry of its own, as in Entra."""
        found = self.domains.get(name.lower())
        return found if found is not None and found.verified else None

    def federated(self, name: str) -> bool:
        """Is the domain federated, itself or, where it is no root, through its parent?"""
        labels = name.lower().split(".")
        for start in range(len(labels)):
            found = self.domains.get(".".join(labels[start:]))
            if found is not None and found.root:
                return found.federated
        return False

    def next_number(self) -> int:
        """The place of a new user in the order of creation."""
        self._last_number += 1
        return self._last_number

    def put(self, user: User) -> User:
        """Keep this state of the user; gives it with the number of the change."""
        self._forget(user.id)
        self.changes += 1
        kept = replace(user, changed=self.changes)
        (self._users if kept.deleted is None else self._deleted)[kept.id] = kept
        if kept.immutable_id is not None:
            self._by_immutable_id[kept.immutable_id] = kept.id
        if kept.deleted is None:
            self._by_upn[kept.upn.lower()] = kept.id
            for address in addresses(kept):
                self._by_address[address] = kept.id
            self._units.update({licence.sku_id for licence in kept.licences})
        return kept

    def purge(self, user_id: str) -> None:
        """The user is gone for good."""
        self._forget(user_id)
        self.changes += 1
        self.purged[user_id] = self.changes

    def purge_expired(self, now: datetime) -> None:
        """What was deleted 30 days ago can no longer be restored."""
        limit = now - timedelta(days=SOFT_DELETED_DAYS)
        while self._deleted:
            oldest = next(iter(self._deleted.values()))  # they stand in the order of their deletion
            if oldest.deleted is None or oldest.deleted > limit:
                return
            self.purge(oldest.id)

    def _forget(self, user_id: str) -> None:
        was = self._users.pop(user_id, None)
        if was is not None:
            self._by_upn.pop(was.upn.lower(), None)
            for address in addresses(was):
                self._by_address.pop(address, None)
            self._units.subtract({licence.sku_id for licence in was.licences})
        was = was or self._deleted.pop(user_id, None)
        if was is not None and was.immutable_id is not None:
            self._by_immutable_id.pop(was.immutable_id, None)

    def user(self, user_id: str) -> User | None:
        """A living user by object id, in whatever case it is written."""
        return self._users.get(user_id) or self._users.get(user_id.lower())

    def deleted_user(self, user_id: str) -> User | None:
        """A deleted user by object id."""
        return self._deleted.get(user_id) or self._deleted.get(user_id.lower())

    def user_by_upn(self, upn: str) -> User | None:
        """A living user by user principal name; case does not count."""
        found = self._by_upn.get(upn.lower())
        return self._users[found] if found is not None else None

    def holder_of_immutable_id(self, immutable_id: str) -> User | None:
        """The user, deleted or not, with exactly this onPremisesImmutableId."""
        found = self._by_immutable_id.get(immutable_id)
        return None if found is None else self._users.get(found) or self._deleted.get(found)

    def holder_of_address(self, address: str) -> User | None:
        """The living user with this address among its proxyAddresses or as its mail."""
        found = self._by_address.get(address.lower())
        return self._users[found] if found is not None else None

    def users(self) -> Iterator[User]:
        """Living users in no promised order."""
        yield from self._users.values()

    def deleted_users(self) -> Iterator[User]:
        """Deleted users that can be restored."""
        yield from self._deleted.values()

    def consumed(self, sku_id: str) -> int:
        """Units of the subscription that living users hold."""
        return self._units[sku_id]

    @property
    def size(self) -> int:
        """Number of living users."""
        return len(self._users)


def addresses(user: User) -> Iterable[str]:
    """Mail addresses of a user in lower case, without their scheme."""
    written = [*user.properties.get("proxyAddresses", ()), user.properties.get("mail")]
    return {each.removeprefix("SMTP:").removeprefix("smtp:").lower() for each in written if each}
