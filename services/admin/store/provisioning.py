"""What admin asks of provisioning, and what provisioning says of directories."""

from collections.abc import Callable, Sequence

from services.admin.domain.accounts import AccountId
from services.admin.domain.directory import DirectorySettings
from shared.contracts.envelope import MessageSigner, OutgoingMessage, VerifiedMessage
from shared.contracts.provisioning import ConnectionChanged, PersonChanged
from shared.replication import Projection
from shared.replication.projection import LAPSED
from shared.store.aggregate import Aggregate, Changed
from shared.store.codec import from_document, to_document
from shared.store.port import Database, Document, Index


class DirectorySettingsRepository:
    """Implements `ports.DirectorySettingsStore`. `_id` is the tenant."""

    def __init__(self, database: Database, signer: MessageSigner) -> None:
        collection = database.collection("directory_settings", outbox=True)
        self._settings = Aggregate(
            collection, _settings_document, _settings, signer=signer, revision="revision"
        )

    async def get(self, tenant: str) -> DirectorySettings:
        found = await self._settings.load(tenant)
        return DirectorySettings(tenant) if found is None else found.value

    async def change(
        self,
        tenant: str,
        step: Callable[[DirectorySettings], DirectorySettings],
        command: Callable[[DirectorySettings], OutgoingMessage],
    ) -> DirectorySettings:
        def take(before: DirectorySettings) -> Changed[DirectorySettings]:
            after = step(before)
            return Changed(after, [command(after)])

        changed = await self._settings.change(tenant, take, empty=DirectorySettings(tenant))
        assert changed is not None
        return changed.value


class DirectoryRepository:
    """Implements `ports.Directory`."""

    def __init__(self, database: Database) -> None:
        self.connections = Projection(database.collection("directory_connections"))
        by_state = Index((("tenant", 1), ("state", 1), ("_id", 1)))
        self.people = Projection(database.collection("directory_people", indexes=[by_state]))

    async def keep_connection(self, received: VerifiedMessage[ConnectionChanged]) -> None:
        fields = {"seen_version": received.message.version, "said": _said(received.message)}
        await self.connections.keep(received.tenant, received, fields)

    async def keep_person(self, received: VerifiedMessage[PersonChanged]) -> None:
        person = received.message
        fields = {
            "tenant": received.tenant,
            "state": person.state,
            "seen_version": person.version,
            "said": _said(person),
        }
        await self.people.keep(f"{received.tenant}/{person.account}", received, fields)

    async def connection(self, tenant: str) -> ConnectionChanged | None:
        row = await self.connections.find(tenant)
        return None if row is None else ConnectionChanged(version=row["seen_version"], **row["said"])

    async def person(self, tenant: str, account: AccountId) -> PersonChanged | None:
        row = await self.people.find(f"{tenant}/{account}")
        return None if row is None else _person_said(row)

    async def failed(self, tenant: str, after: AccountId, limit: int) -> Sequence[PersonChanged]:
        where = {"tenant": tenant, "state": "failed", "_id": {"$gt": f"{tenant}/{after}"}}
        where[LAPSED] = {"$ne": True}
        rows = await self.people.collection.find(where, sort=[("_id", 1)], limit=limit)
        return [_person_said(row) for row in rows]


def _said(message: ConnectionChanged | PersonChanged) -> Document:
    """What a state event says, without its place in the order, which a restored owner raises without saying more."""
    return message.model_dump(mode="json", exclude={"version", "generation"})


def _person_said(row: Document) -> PersonChanged:
    return PersonChanged(version=row["seen_version"], **row["said"])


def _settings_document(settings: DirectorySettings) -> Document:
    return to_document(settings, key="tenant")


def _settings(document: Document) -> DirectorySettings:
    return from_document(DirectorySettings, document, key="tenant")
