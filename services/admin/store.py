"""admin's collections. Each document is one aggregate; each write is one conditional update, no transaction."""

from collections.abc import Mapping, Sequence
from typing import Any, TypeVar

from services.admin.domain import Account, AccountId, Errand, Invitation, Phone, Tenant
from shared.contracts.admin import (
    AccountChanged,
    AccountStatus,
    Application,
    Domain,
    InvitationChanged,
    Policy,
    TenantConfigured,
)
from shared.contracts.approval import DeviceChanged
from shared.contracts.envelope import SignedMessage, VerifiedMessage
from shared.replication import Projection, Row, Source
from shared.replication.projection import LAPSED
from shared.store.codec import from_document, to_document
from shared.store.port import Collection, Database, Document, Index

T = TypeVar("T")

LIVE = "live"
"""True on an account that holds its user name; absent on a removed one, so that the unique index frees it."""


class StoredTenants:
    """Implements `ports.Tenants`. `_id` is the slug."""

    def __init__(self, database: Database) -> None:
        self._tenants: Collection = database.collection(
            "tenants",
            indexes=[
                # Over all tenants: whoever had another's domain or issuer could speak in its name to Entra.
                Index((("domains.name", 1),), unique=True, partial={"domains.name": {"$exists": True}}),
                Index((("domains.issuer", 1),), unique=True, partial={"domains.issuer": {"$exists": True}}),
            ],
            outbox=True,
            state=True,
        )
        self.source = Source(self._tenants, [TenantConfigured], _tenant_row)
        """All tenants, for followers."""

    async def add(self, tenant: Tenant, signed: SignedMessage) -> bool:
        return await self._tenants.insert({"_id": tenant.slug, **_tenant_fields(tenant)}, outbox=[signed])

    async def get(self, slug: str) -> Tenant | None:
        found = await self._tenants.find_one({"_id": slug})
        return None if found is None else _tenant(found)

    async def replace(self, tenant: Tenant, signed: SignedMessage) -> bool:
        where = {"_id": tenant.slug, "version": tenant.version - 1}
        return (
            await self._tenants.update(where, {"$set": _tenant_fields(tenant)}, outbox=[signed]) is not None
        )

    async def page(self, after: str, limit: int) -> Sequence[Tenant]:
        found = await self._tenants.find({"_id": {"$gt": after}}, sort=[("_id", 1)], limit=limit)
        return [_tenant(document) for document in found]


class StoredAccounts:
    """Implements `ports.Accounts`."""

    def __init__(self, database: Database) -> None:
        self._accounts: Collection = database.collection(
            "accounts",
            indexes=[
                Index((("tenant", 1), ("upn", 1)), unique=True, partial={LIVE: True}),
                Index((("tenant", 1), ("upn", 1), ("_id", 1))),
            ],
            outbox=True,
            state=True,
        )
        self.source = Source(self._accounts, [AccountChanged], _account_row)
        """All accounts of all tenants, removed ones too, for followers."""

    async def add(self, account: Account, signed: SignedMessage) -> bool:
        return await self._accounts.insert(_living(account), outbox=[signed])

    async def add_many(self, accounts: Sequence[Account]) -> None:
        await self._accounts.insert_many([_living(account) for account in accounts])

    async def get(self, tenant: str, account: str) -> Account | None:
        found = await self._accounts.find_one({"_id": account, "tenant": tenant})
        return None if found is None else _account(found)

    async def by_upn(self, tenant: str, upn: str) -> Account | None:
        found = await self._accounts.find_one({"tenant": tenant, "upn": upn, LIVE: True})
        return None if found is None else _account(found)

    async def replace(self, account: Account, signed: SignedMessage) -> bool:
        where = {"_id": account.id, "tenant": account.tenant, "version": account.version - 1}
        change: dict[str, Mapping[str, Any]] = {"$set": _fields(account)}
        if account.status is AccountStatus.REMOVED:
            change["$unset"] = {LIVE: ""}
        return await self._accounts.update(where, change, outbox=[signed]) is not None

    async def page(
        self, tenant: str, *, after: tuple[str, AccountId] | None, status: AccountStatus | None, limit: int
    ) -> Sequence[Account]:
        where: dict[str, Any] = {"tenant": tenant}
        if status is not None:
            where["status"] = status.value
        if after is not None:
            upn, account = after
            where["$or"] = [{"upn": {"$gt": upn}}, {"upn": upn, "_id": {"$gt": account}}]
        found = await self._accounts.find(where, sort=[("upn", 1), ("_id", 1)], limit=limit)
        return [_account(document) for document in found]


class StoredInvitations:
    """Implements `ports.Invitations`. There is no field for a secret."""

    def __init__(self, database: Database) -> None:
        self._invitations: Collection = database.collection(
            "invitations",
            indexes=[Index((("tenant", 1), ("account", 1)), unique=True, partial={"status": "open"})],
            outbox=True,
            state=True,
        )
        self.source = Source(self._invitations, [InvitationChanged], _invitation_row)
        """All invitations, used ones too, because devices' chains begin there. For followers."""

    async def add(self, invitation: Invitation, *messages: SignedMessage) -> bool:
        document = {"_id": invitation.id, **_fields(invitation)}
        return await self._invitations.insert(document, outbox=messages)

    async def get(self, tenant: str, invitation: str) -> Invitation | None:
        found = await self._invitations.find_one({"_id": invitation, "tenant": tenant})
        return None if found is None else _aggregate(Invitation, found)

    async def open_of(self, tenant: str, account: str) -> Invitation | None:
        found = await self._invitations.find_one({"tenant": tenant, "account": account, "status": "open"})
        return None if found is None else _aggregate(Invitation, found)

    async def replace(self, invitation: Invitation, *messages: SignedMessage) -> bool:
        where = {"_id": invitation.id, "tenant": invitation.tenant, "version": invitation.version - 1}
        change = {"$set": _fields(invitation)}
        return await self._invitations.update(where, change, outbox=messages) is not None


class StoredPhones:
    """Implements `ports.Phones`."""

    def __init__(self, database: Database) -> None:
        self.projection = Projection(
            database.collection(
                "phones", indexes=[Index((("tenant", 1), ("account", 1), ("enrolled_at", 1)))]
            )
        )

    async def knows(self, received: VerifiedMessage[DeviceChanged]) -> bool:
        return await self.projection.knows(_phone_key(received), received, _phone_fields(received))

    async def keep(self, received: VerifiedMessage[DeviceChanged]) -> None:
        await self.projection.keep(_phone_key(received), received, _phone_fields(received))

    async def of(self, tenant: str, account: AccountId) -> Sequence[Phone]:
        where = {"tenant": tenant, "account": account, LAPSED: {"$ne": True}}
        found = await self.projection.collection.find(where, sort=[("enrolled_at", 1), ("_id", 1)])
        return [from_document(Phone, {**each, "id": each["_id"].partition("/")[2]}) for each in found]


class StoredErrands:
    """Implements `ports.Errands`."""

    def __init__(self, database: Database) -> None:
        self._errands: Collection = database.collection("errands", outbox=True)

    async def add(self, errand: Errand, signed: SignedMessage) -> None:
        await self._errands.insert({"_id": errand.id, **_fields(errand)}, outbox=[signed])


def _tenant_fields(tenant: Tenant) -> Document:
    return {
        "name": tenant.name,
        "applications": [application.model_dump() for application in tenant.applications],
        "domains": [domain.model_dump() for domain in tenant.domains],
        "policy": tenant.policy.model_dump(),
        "version": tenant.version,
    }


def _tenant(document: Document) -> Tenant:
    return Tenant(
        slug=document["_id"],
        name=document["name"],
        applications=tuple(Application.model_validate(a) for a in document["applications"]),
        domains=tuple(Domain.model_validate(d) for d in document["domains"]),
        policy=Policy.model_validate(document["policy"]),
        version=document["version"],
    )


def _tenant_row(document: Document) -> Row:
    tenant = _tenant(document)
    return Row(tenant.slug, [tenant.event()])


def _account_row(document: Document) -> Row:
    account = _account(document)
    return Row(account.tenant, [account.event()])


def _invitation_row(document: Document) -> Row:
    invitation = _aggregate(Invitation, document)
    return Row(invitation.tenant, [invitation.event()])


def _phone_key(received: VerifiedMessage[DeviceChanged]) -> str:
    return f"{received.tenant}/{received.message.device}"


def _phone_fields(received: VerifiedMessage[DeviceChanged]) -> Document:
    device = received.message
    return {
        "tenant": received.tenant,
        "account": device.account,
        "name": device.name,
        "enrolled_at": device.enrolled_at,
        "backed_up": device.backed_up,
        "active": device.status == "active",
    }


def _living(account: Account) -> Document:
    return {"_id": account.id, LIVE: True, **_fields(account)}


def _account(document: Document) -> Account:
    return _aggregate(Account, {**document, "status": AccountStatus(document["status"])})


def _fields(aggregate: Account | Invitation | Errand) -> Document:
    """All but the id, which is the document's own."""
    fields = to_document(aggregate)
    del fields["id"]
    return fields


def _aggregate(kind: type[T], document: Document) -> T:
    return from_document(kind, {**document, "id": document["_id"]})
