"""Who exists: tenants, accounts, invitations, authenticators; and what was asked of other services about them.

Each document is one aggregate; each write is one conditional update, no transaction.

The collection `errands` keeps the name that it was first stored under, because renaming a collection would need a
migration. In code they are admin commands.
"""

from collections.abc import Callable, Sequence
from datetime import datetime
from typing import Any

from services.admin.domain.accounts import Account, AccountId, same_profile
from services.admin.domain.authenticators import Authenticator
from services.admin.domain.contacts import same_contact
from services.admin.domain.devices import AdminCommand
from services.admin.domain.invitations import Invitation
from services.admin.domain.search import prefixes, words_of
from services.admin.domain.tenants import Tenant
from shared.contracts.admin import (
    AccountChanged,
    AccountStatus,
    AuthenticatorChanged,
    AuthenticatorStatus,
    ContactChanged,
    InvitationChanged,
    ProfileChanged,
    TenantConfigured,
)
from shared.contracts.envelope import Envelope, MessageSigner, OutgoingMessage
from shared.errors import Conflict
from shared.replication import Row, Source
from shared.store.aggregate import Aggregate
from shared.store.codec import from_document, to_document
from shared.store.port import Database, Document, Filter, Index

VERSION = "version"
"""The field that guards each write. It belongs to the aggregates, whose announcements carry it."""
BATCH = 200
"""Documents that are read at once."""
SEARCH = "search"
"""The beginnings of an account's words (`domain.search`), derived for the index. A release that does not know the field
leaves it as it is when it renames somebody; the next change by this one makes it right."""
LIVE = "live"
"""True on an account that holds its user name; absent on a removed one, so that the unique index frees it."""


class TenantRepository:
    """Implements `ports.Tenants`. `_id` is the slug."""

    def __init__(self, database: Database, signer: MessageSigner) -> None:
        collection = database.collection(
            "tenants",
            indexes=[
                # Unique over all tenants: one that held another's domain or issuer could speak to Entra in its name.
                Index((("domains.name", 1),), unique=True, partial={"domains.name": {"$exists": True}}),
                Index((("domains.issuer", 1),), unique=True, partial={"domains.issuer": {"$exists": True}}),
            ],
            outbox=True,
            state=True,
        )
        self._tenants = Aggregate(collection, _tenant_document, _tenant, signer=signer, revision=VERSION)
        self.source = Source(collection, [TenantConfigured], _tenant_row)
        """All tenants, for the services that follow admin."""

    async def add(self, tenant: Tenant) -> bool:
        return await self._tenants.insert(tenant, [tenant.announced()])

    async def get(self, slug: str) -> Tenant | None:
        found = await self._tenants.load(slug)
        return None if found is None else found.value

    async def change(
        self, slug: str, step: Callable[[Tenant], Tenant], *, busy: Conflict | None = None
    ) -> Tenant | None:
        return await self._tenants.change_value(slug, step, lambda after, _: [after.announced()], busy=busy)

    async def page(self, after: str, limit: int) -> Sequence[Tenant]:
        found = await self._tenants.find({"_id": {"$gt": after}}, sort=[("_id", 1)], limit=limit)
        return [stored.value for stored in found]


class AccountRepository:
    """Implements `ports.Accounts`."""

    def __init__(
        self, database: Database, signer: MessageSigner, contact: Callable[[Account], ContactChanged]
    ) -> None:
        self._contact = contact
        collection = database.collection(
            "accounts",
            indexes=[
                Index((("tenant", 1), ("upn", 1)), unique=True, partial={LIVE: True}),
                Index((("tenant", 1), ("upn", 1), ("_id", 1))),
                Index((("tenant", 1), ("status", 1), ("upn", 1), ("_id", 1))),
                Index((("tenant", 1), (SEARCH, 1), ("upn", 1), ("_id", 1))),
            ],
            outbox=True,
            state=True,
        )
        self._accounts = Aggregate(collection, _account_document, _account, signer=signer, revision=VERSION)
        self.source = Source(collection, [AccountChanged, ProfileChanged], _account_row)
        """All accounts of all tenants, removed ones too, for the services that follow admin."""
        self.contacts = Source(collection, [ContactChanged], self._contact_row)
        """How to reach the persons behind them, for notify. A source of its own, because each contact is sealed."""

    def _contact_row(self, document: Document) -> Row:
        account = _account(document)
        return Row(account.tenant, [self._contact(account)])

    def _news(
        self, account: Account, before: Account | None = None, cause: Envelope | None = None
    ) -> Sequence[OutgoingMessage]:
        told = [account.announced(cause)]
        if before is None or not same_contact(before, account):
            told.append(OutgoingMessage(self._contact(account), account.tenant, cause))
        if before is None or not same_profile(before, account):
            told.append(OutgoingMessage(account.profile(), account.tenant, cause))
        return told

    async def add(self, account: Account) -> bool:
        return await self._accounts.insert(account, self._news(account))

    async def add_many(self, accounts: Sequence[Account]) -> None:
        await self._accounts.collection.insert_many([_account_document(account) for account in accounts])

    async def get(self, tenant: str, account: AccountId) -> Account | None:
        return await self._find_one({"_id": account, "tenant": tenant})

    async def many(self, tenant: str, accounts: Sequence[AccountId]) -> Sequence[Account]:
        where = {"_id": {"$in": list(accounts)}, "tenant": tenant}
        found = await self._accounts.find(where, sort=[("_id", 1)], limit=len(accounts))
        return [stored.value for stored in found]

    async def by_upn(self, tenant: str, upn: str) -> Account | None:
        return await self._find_one({"tenant": tenant, "upn": upn, LIVE: True})

    async def _find_one(self, where: Filter) -> Account | None:
        found = await self._accounts.find_one(where)
        return None if found is None else found.value

    async def change(
        self,
        tenant: str,
        account: AccountId,
        step: Callable[[Account], Account | None],
        *,
        cause: Envelope | None = None,
        busy: Conflict | None = None,
    ) -> Account | None:
        first = await self._accounts.find_one({"_id": account, "tenant": tenant})
        if first is None:
            return None
        return await self._accounts.change_value(
            account, step, lambda after, before: self._news(after, before, cause), first=first, busy=busy
        )

    async def page(
        self,
        tenant: str,
        *,
        after: tuple[str, AccountId] | None,
        status: AccountStatus | None,
        limit: int,
        live: bool = False,
        beginnings: Sequence[str] = (),
    ) -> Sequence[Account]:
        where: dict[str, Any] = {"tenant": tenant}
        if live:
            where[LIVE] = True
        if beginnings:
            where[SEARCH] = {"$all": list(beginnings)}
        if status is not None:
            where["status"] = status.value
        if after is not None:
            upn, account = after
            where["$or"] = [{"upn": {"$gt": upn}}, {"upn": upn, "_id": {"$gt": account}}]
        found = await self._accounts.find(where, sort=[("upn", 1), ("_id", 1)], limit=limit)
        return [stored.value for stored in found]

    async def index_words(self, limit: int) -> int:
        collection = self._accounts.collection
        found = await collection.find({SEARCH: {"$exists": False}}, limit=limit)
        for document in found:
            change = {"$set": {SEARCH: prefixes(words_of(_account(document)))}}
            await collection.update({"_id": document["_id"], VERSION: document[VERSION]}, change)
        return len(found)


class InvitationRepository:
    """Implements `ports.Invitations`. Documents have no field for the secret, which is in the link only."""

    def __init__(self, database: Database, signer: MessageSigner) -> None:
        collection = database.collection(
            "invitations",
            indexes=[
                Index((("tenant", 1), ("account", 1)), unique=True, partial={"status": "open"}),
                Index((("tenant", 1), ("account", 1), ("issued_at", -1))),
                Index((("status", 1), ("expires_at", 1))),
            ],
            outbox=True,
            state=True,
        )
        self._invitations = Aggregate(
            collection, _invitation_document, _invitation, signer=signer, revision=VERSION
        )
        self.source = Source(collection, [InvitationChanged], _invitation_row)
        """All invitations, for the services that follow admin. Used ones too: chains of devices' keys begin there."""

    async def add(self, invitation: Invitation, *messages: OutgoingMessage) -> bool:
        return await self._invitations.insert(invitation, [invitation.announced(), *messages])

    async def get(self, tenant: str, invitation: str) -> Invitation | None:
        return await self._find_one({"_id": invitation, "tenant": tenant})

    async def over(self, expired_before: datetime, limit: int) -> Sequence[Invitation]:
        where = {"status": "open", "expires_at": {"$lt": expired_before}}
        found = await self._invitations.find(where, sort=[("expires_at", 1)], limit=limit)
        return [stored.value for stored in found]

    async def used_without_key(self) -> bool:
        return await self._find_one({"status": "used", "key_sha256": None}) is not None

    async def open_of(self, tenant: str, account: AccountId) -> Invitation | None:
        return await self._find_one({"tenant": tenant, "account": account, "status": "open"})

    async def latest_of(self, tenant: str, account: AccountId) -> Invitation | None:
        found = await self.open_of(tenant, account)
        if found is not None:
            return found
        where = {"tenant": tenant, "account": account}
        latest = await self._invitations.find(where, sort=[("issued_at", -1)], limit=1)
        return latest[0].value if latest else None

    async def _find_one(self, where: Filter) -> Invitation | None:
        found = await self._invitations.find_one(where)
        return None if found is None else found.value

    async def change(
        self,
        tenant: str,
        invitation: str,
        step: Callable[[Invitation], Invitation | None],
        *messages: OutgoingMessage,
        cause: Envelope | None = None,
    ) -> Invitation | None:
        first = await self._invitations.find_one({"_id": invitation, "tenant": tenant})
        if first is None:
            return None
        return await self._invitations.change_value(
            invitation, step, lambda after, _: [after.announced(cause), *messages], first=first
        )


class AuthenticatorRepository:
    """Implements `ports.Authenticators`. Ids are the announcing service's choice, so `_id` carries the tenant."""

    def __init__(self, database: Database, signer: MessageSigner) -> None:
        collection = database.collection(
            "authenticators",
            indexes=[Index((("tenant", 1), ("account", 1), ("_id", 1)))],
            outbox=True,
            state=True,
        )
        self._authenticators = Aggregate(
            collection, _authenticator_document, _authenticator, signer=signer, revision=VERSION
        )
        self.source = Source(collection, [AuthenticatorChanged], _authenticator_row)
        """All decisions of all tenants, for the services that follow admin. Those that ended are the tombstones."""

    async def add(self, authenticator: Authenticator, *, cause: Envelope | None = None) -> bool:
        return await self._authenticators.insert(authenticator, [authenticator.announced(cause)])

    async def get(self, tenant: str, authenticator: str) -> Authenticator | None:
        found = await self._authenticators.load(f"{tenant}/{authenticator}")
        return None if found is None else found.value

    async def of(self, tenant: str, account: AccountId) -> Sequence[Authenticator]:
        found: list[Authenticator] = []
        after = ""
        while True:  # whole: what is missing here could not be removed
            where = {"tenant": tenant, "account": account, "_id": {"$gt": after}}
            page = await self._authenticators.find(where, sort=[("_id", 1)], limit=BATCH)
            found += [stored.value for stored in page]
            if len(page) < BATCH:
                return found
            after = f"{tenant}/{found[-1].id}"

    async def holders(
        self, tenant: str, accounts: Sequence[AccountId], now: datetime
    ) -> frozenset[AccountId]:
        where = {
            "tenant": tenant,
            "account": {"$in": list(accounts)},
            "status": AuthenticatorStatus.TRUSTED.value,
            "$or": [{"not_after": None}, {"not_after": {"$gt": now}}],
        }
        holders: set[AccountId] = set()
        after = ""
        while True:
            page = await self._authenticators.find(
                {**where, "_id": {"$gt": after}}, sort=[("_id", 1)], limit=BATCH
            )
            holders |= {stored.value.account for stored in page}
            if len(page) < BATCH:
                return frozenset(holders)
            after = f"{tenant}/{page[-1].value.id}"

    async def change(
        self,
        tenant: str,
        authenticator: str,
        step: Callable[[Authenticator], Authenticator | None],
        *,
        cause: Envelope | None = None,
    ) -> Authenticator | None:
        return await self._authenticators.change_value(
            f"{tenant}/{authenticator}", step, lambda after, _: [after.announced(cause)]
        )


class AdminCommandRepository:
    """Implements `ports.AdminCommands`."""

    def __init__(self, database: Database, signer: MessageSigner) -> None:
        self._commands = database.collection("errands", outbox=True)
        self._signer = signer

    async def add(self, command: AdminCommand, message: OutgoingMessage) -> None:
        await self._commands.insert(
            to_document(command, key="id"), outbox=[self._signer.sign_outgoing(message)]
        )


def _tenant_document(tenant: Tenant) -> Document:
    return to_document(tenant, key="slug")


def _tenant(document: Document) -> Tenant:
    return from_document(Tenant, document, key="slug")


def _account_document(account: Account) -> Document:
    document = {**to_document(account, key="id"), SEARCH: prefixes(words_of(account))}
    return document if account.status is AccountStatus.REMOVED else {**document, LIVE: True}


def _account(document: Document) -> Account:
    return from_document(Account, document, key="id")


def _invitation_document(invitation: Invitation) -> Document:
    return to_document(invitation, key="id")


def _invitation(document: Document) -> Invitation:
    return from_document(Invitation, document, key="id")


def _authenticator_document(authenticator: Authenticator) -> Document:
    document = to_document(authenticator)
    return {"_id": f"{authenticator.tenant}/{authenticator.id}", **document}


def _authenticator(document: Document) -> Authenticator:
    return from_document(Authenticator, document)


def _tenant_row(document: Document) -> Row:
    tenant = _tenant(document)
    return Row(tenant.slug, [tenant.event()])


def _account_row(document: Document) -> Row:
    account = _account(document)
    return Row(account.tenant, [account.event(), account.profile()])


def _invitation_row(document: Document) -> Row:
    invitation = _invitation(document)
    return Row(invitation.tenant, [invitation.event()])


def _authenticator_row(document: Document) -> Row:
    authenticator = _authenticator(document)
    return Row(authenticator.tenant, [authenticator.event()])
