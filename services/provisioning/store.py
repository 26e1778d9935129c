"""provisioning's collections. A job is one document, and each of its steps one conditional update, no transaction.

A number that only the store knows guards each write: `revision`, and in connections `writes`, since their `revision` is
admin's. Rows of admin's state are projections.
"""

from collections.abc import Callable, Mapping, Sequence
from datetime import datetime
from typing import Any

import structlog
from pydantic import ValidationError

from services.provisioning.domain.connection import Connection, versioned
from services.provisioning.domain.person import Person, State, begun
from services.provisioning.domain.progress import Counts
from services.provisioning.domain.wanted import Account, Profile
from services.provisioning.ports import StoredPerson
from shared.clouds import CloudName
from shared.contracts.admin import AccountChanged, AccountStatus, ProfileChanged, TenantConfigured
from shared.contracts.envelope import MessageSigner, OutgoingMessage, VerifiedMessage
from shared.contracts.provisioning import ConnectionChanged, ConnectionSecrets, PersonChanged
from shared.replication import Projection, Row, Source
from shared.replication.projection import LAPSED
from shared.store.aggregate import Aggregate, Changed, Stored
from shared.store.codec import from_document, to_document
from shared.store.port import Database, Document, Index
from shared.store.sealing import CannotUnseal, SealingKey

log = structlog.get_logger(__name__)

OPEN = "open"
"""True on a job that is not done: what the index of due jobs holds."""
UNKNOWN = -1
"""The revision of a job that was written after somebody else's write: it is read again before the next."""
MAX_CONNECTIONS = 200
"""Connections that are read at once."""


class ConnectionRepository:
    """Implements `ports.Connections`. `_id` is the tenant."""

    def __init__(self, database: Database, signer: MessageSigner, sealing: SealingKey) -> None:
        collection = database.collection(
            "connections", indexes=(Index((("enabled", 1), ("_id", 1))),), outbox=True, state=True
        )
        self._connections = Aggregate(
            collection, _connection_document, _connection, signer=signer, revision="writes"
        )
        self._sealing = sealing
        self.source = Source(collection, [ConnectionChanged], _connection_row)
        """All connections, for the services that follow provisioning."""

    async def get(self, tenant: str) -> Connection | None:
        found = await self._connections.load(tenant)
        return None if found is None else found.value

    async def enabled(self) -> Sequence[Connection]:
        found: list[Connection] = []
        after = ""
        while True:
            where = {"enabled": True, "_id": {"$gt": after}}
            page = await self._connections.find(where, sort=(("_id", 1),), limit=MAX_CONNECTIONS)
            found += [stored.value for stored in page]
            if len(page) < MAX_CONNECTIONS:
                return found
            after = found[-1].tenant

    async def change(self, tenant: str, step: Callable[[Connection], Connection | None]) -> Connection | None:
        def take(before: Connection) -> Changed[Connection] | None:
            after = step(before)
            if after is None:
                return None
            after = versioned(after, before)
            return Changed(after, [after.announced()] if after.version != before.version else ())

        changed = await self._connections.change(tenant, take, empty=Connection(tenant))
        return None if changed is None else changed.value

    def seal(self, secret: bytes, tenant: str, revision: int) -> bytes:
        return self._sealing.seal(secret, f"connections/{tenant}/{revision}")

    def unseal(self, connection: Connection) -> ConnectionSecrets | None:
        bound_to = f"connections/{connection.tenant}/{connection.secrets_of}"
        try:
            return ConnectionSecrets.model_validate_json(self._sealing.unseal(connection.sealed, bound_to))
        except CannotUnseal:
            log.error("connection.sealed_by_another_key", tenant=connection.tenant)  # noqa: TRY400
        except ValidationError:  # its text would quote what it refuses
            log.error("connection.secrets_malformed", tenant=connection.tenant)  # noqa: TRY400
        return None


class PeopleRepository:
    """Implements `ports.People`. `_id` is `<tenant>/<account>`."""

    def __init__(self, database: Database, signer: MessageSigner) -> None:
        collection = database.collection(
            "people",
            indexes=(
                Index((("tenant", 1), ("urgent", -1), ("next_at", 1)), partial={OPEN: True}),
                Index((("tenant", 1), ("object_id", 1))),
                Index((("tenant", 1), ("state", 1))),
            ),
            outbox=True,
            state=True,
        )
        self._people = Aggregate(collection, _person_document, _person, signer=signer)
        self.source = Source(collection, [PersonChanged], _person_row)
        """All persons of all tenants, for the services that follow provisioning."""

    async def get(self, tenant: str, account: str) -> Person | None:
        found = await self._people.load(f"{tenant}/{account}")
        return None if found is None else found.value

    async def many(self, tenant: str, accounts: Sequence[str]) -> Sequence[Person]:
        if not accounts:
            return []
        where = {"_id": {"$in": [f"{tenant}/{account}" for account in accounts]}}
        return [stored.value for stored in await self._people.find(where, limit=len(accounts))]

    async def due(self, tenant: str, now: datetime, limit: int) -> Sequence[StoredPerson]:
        found: list[StoredPerson] = []
        for urgent in (True, False):
            where = {"tenant": tenant, OPEN: True, "urgent": urgent, "next_at": {"$lte": now}}
            if len(found) < limit:
                found += await self._people.find(where, sort=(("next_at", 1),), limit=limit - len(found))
        return found

    async def next_at(self, tenant: str) -> datetime | None:
        times: list[datetime] = []
        for urgent in (True, False):
            where = {"tenant": tenant, OPEN: True, "urgent": urgent}
            found = await self._people.find(where, sort=(("next_at", 1),), limit=1)
            times += [stored.value.next_at for stored in found]
        return min(times, default=None)

    async def counts(self, tenant: str) -> Counts:
        collection = self._people.collection
        waiting, working, done, failed = [
            await collection.count({"tenant": tenant, "state": state.value})
            for state in (State.WAITING, State.WORKING, State.DONE, State.FAILED)
        ]
        return Counts(waiting=waiting + working, done=done, failed=failed)

    async def by_object(self, tenant: str, object_id: str) -> Person | None:
        found = await self._people.find_one({"tenant": tenant, "object_id": object_id})
        return None if found is None else found.value

    async def touch(
        self, tenant: str, account: str, step: Callable[[Person], Person | None], now: datetime
    ) -> Person | None:
        changed = await self._change(f"{tenant}/{account}", step, empty=begun(tenant, account, now))
        return None if changed is None else changed.value

    async def claim(self, stored: StoredPerson, claimed: Person) -> StoredPerson | None:
        def take(before: Person) -> Person | None:
            return claimed if before == stored.value else None

        return await self._change(claimed.id, take, first=stored)

    async def settle(self, claimed: StoredPerson, step: Callable[[Person], Person]) -> StoredPerson | None:
        def take(before: Person) -> Person | None:
            return step(before) if before.claims == claimed.value.claims else None

        known = claimed if claimed.revision != UNKNOWN else None
        return await self._change(claimed.value.id, take, first=known)

    async def _change(
        self,
        key: str,
        step: Callable[[Person], Person | None],
        *,
        first: StoredPerson | None = None,
        empty: Person | None = None,
    ) -> StoredPerson | None:
        attempts = 0

        def take(before: Person) -> Changed[Person] | None:
            nonlocal attempts
            attempts += 1
            after = step(before)
            if after is None:
                return None
            return Changed(after, _news(after, before))

        changed = await self._people.change(key, take, first=first, empty=empty)
        if changed is None:
            return None
        if first is None or attempts > 1:
            return Stored(changed.value, UNKNOWN)
        return Stored(changed.value, first.revision + 1)


def _news(after: Person, before: Person) -> Sequence[OutgoingMessage]:
    return [after.announced()] if after.told.version != before.told.version else ()


class AccountRepository:
    """Implements `ports.Accounts`: two projections of what admin says of one account."""

    def __init__(self, database: Database) -> None:
        by_tenant = Index((("tenant", 1), ("_id", 1)))
        self.accounts = Projection(database.collection("accounts", indexes=(by_tenant,)))
        self.profiles = Projection(database.collection("profiles"))

    async def get(self, tenant: str, account: str) -> Account | None:
        row = await self.accounts.find(f"{tenant}/{account}")
        return None if row is None else _account(row)

    async def profile(self, tenant: str, account: str) -> Profile | None:
        row = await self.profiles.find(f"{tenant}/{account}")
        return None if row is None else _profile(row)

    async def page(
        self, tenant: str, after: str, limit: int
    ) -> tuple[Sequence[tuple[Account, Profile]], str | None]:
        where: dict[str, Any] = {"tenant": tenant, "_id": {"$gt": f"{tenant}/{after}"}}
        rows = await self.accounts.collection.find(where, sort=(("_id", 1),), limit=limit)
        ids = [row["_id"] for row in rows if not row.get(LAPSED)]
        found = await self.profiles.collection.find({"_id": {"$in": ids}}, limit=limit)
        profiles = {row["_id"]: row for row in found if not row.get(LAPSED)}
        pairs = [
            (_account(row), _profile(profiles[row["_id"]]))
            for row in rows
            if row["_id"] in profiles and not row.get(LAPSED)
        ]
        return pairs, rows[-1]["account"] if len(rows) == limit else None

    async def knows(
        self, received: VerifiedMessage[AccountChanged] | VerifiedMessage[ProfileChanged]
    ) -> bool:
        key = f"{received.tenant}/{received.message.account}"
        if isinstance(received.message, AccountChanged):
            return await self.accounts.knows(
                key, received, _account_fields(received.tenant, received.message)
            )
        return await self.profiles.knows(key, received, _profile_fields(received.message))

    async def keep_account(self, received: VerifiedMessage[AccountChanged]) -> None:
        key = f"{received.tenant}/{received.message.account}"
        await self.accounts.keep(key, received, _account_fields(received.tenant, received.message))

    async def keep_profile(self, received: VerifiedMessage[ProfileChanged]) -> None:
        key = f"{received.tenant}/{received.message.account}"
        await self.profiles.keep(key, received, _profile_fields(received.message))


class TenantRepository:
    """Implements `ports.Tenants`."""

    def __init__(self, database: Database) -> None:
        self.projection = Projection(database.collection("tenants"))

    async def cloud(self, tenant: str) -> CloudName | None:
        found = await self.projection.find(tenant)
        if found is None:
            return None
        cloud: CloudName = found["cloud"]
        return cloud

    async def keep(self, received: VerifiedMessage[TenantConfigured]) -> None:
        await self.projection.keep(received.tenant, received, {"cloud": received.message.cloud})


def _account_fields(tenant: str, said: AccountChanged) -> Mapping[str, Any]:
    return {
        "tenant": tenant,
        "account": said.account,
        "upn": said.upn,
        "display_name": said.display_name,
        "immutable_id": said.immutable_id,
        "status": said.status.value,
        "epoch": said.epoch,
    }


def _account(row: Document) -> Account:
    return Account(
        tenant=row["tenant"],
        account=row["account"],
        upn=row["upn"],
        display_name=row["display_name"],
        immutable_id=row["immutable_id"],
        status=AccountStatus(row["status"]),
        epoch=row["epoch"],
        order=row["version"],
    )


def _profile_fields(said: ProfileChanged) -> Mapping[str, Any]:
    return {
        "first_name": said.first_name,
        "last_name": said.last_name,
        "usage_location": said.usage_location,
        "licences": list(said.licences),
    }


def _profile(row: Document) -> Profile:
    return Profile(
        first_name=row["first_name"],
        last_name=row["last_name"],
        usage_location=row["usage_location"],
        licences=tuple(row["licences"]),
        order=row["version"],
    )


def _connection_document(connection: Connection) -> Document:
    return to_document(connection, key="tenant")


def _connection(document: Document) -> Connection:
    return from_document(Connection, document, key="tenant")


def _connection_row(document: Document) -> Row:
    connection = _connection(document)
    return Row(connection.tenant, [connection.event()])


def _person_document(person: Person) -> Document:
    document = {"_id": person.id, **to_document(person)}
    return {**document, OPEN: True} if person.open else document


def _person(document: Document) -> Person:
    return from_document(Person, document)


def _person_row(document: Document) -> Row:
    person = _person(document)
    return Row(person.tenant, [person.event()] if person.told.version else [])
