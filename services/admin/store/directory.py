"""Who exists: tenants, accounts, invitations, authenticators; and what was asked of other services about them.

Each document is one aggregate; each write is one conditional update, no transaction.

The collection `errands` keeps the name that it was first stored under, because renaming a collection would need a
migration. In code they are admin commands.
"""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from datetime import datetime
from functools import partial
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

Holds = Callable[[AccountId], Awaitable[bool | None]]
VERSION = "version"
"""The field that guards each write. It belongs to the aggregates, whose announcements carry it."""
BATCH = 200
"""Documents that are read at once."""
SEARCH = "search"
"""The beginnings of an account's words (`domain.search`), derived for the index. A release that does not know the field
leaves it as it is when it renames somebody; the next change by this one makes it right."""
LIVE = "live"
"""True on an account that holds its user name; absent on one that was removed for good, so that the unique index frees
it."""
FINAL_AT = "removal.final_at"
HOSTS = "hosts"
"""The host of an account's user name and every domain above it, derived for the index."""
HOLDS = "holds"
"""Whether the account has an authenticator that counts; missing where that has to be looked for. See
`AccountRepository.settling`."""
WRITERS, WRITES = "authenticator_writers", "authenticator_writes"
"""How many writes to the account's authenticators are under way, and how many there were."""
COMMANDS_KEPT = 30 * 24 * 3600
"""Seconds that a command is kept after it was asked for, sent or not: longer than any service takes it (`MAX_AGE`).
What an administrator asked for stays in the changes.
"""
SIGNS_IN = [AccountStatus.INVITED.value, AccountStatus.ACTIVE.value]


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
                Index(((FINAL_AT, 1),), partial={FINAL_AT: {"$exists": True}}),
                Index((("tenant", 1), (HOSTS, 1), ("status", 1), (HOLDS, 1), ("upn", 1), ("_id", 1))),
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
        where: dict[str, Any] = {"tenant": tenant, LIVE: True}
        if live:
            where["status"] = {"$ne": AccountStatus.REMOVED.value}
        if beginnings:
            where[SEARCH] = {"$all": list(beginnings)}
        if status is not None:
            where["status"] = status.value
        if after is not None:
            upn, account = after
            where["$or"] = [{"upn": {"$gt": upn}}, {"upn": upn, "_id": {"$gt": account}}]
        found = await self._accounts.find(where, sort=[("upn", 1), ("_id", 1)], limit=limit)
        return [stored.value for stored in found]

    async def removals_over(self, now: datetime, limit: int) -> Sequence[Account]:
        found = await self._accounts.find({FINAL_AT: {"$lte": now}}, sort=[(FINAL_AT, 1)], limit=limit)
        return [stored.value for stored in found]

    async def named_tombstones(self, limit: int) -> Sequence[Account]:
        where = {"status": AccountStatus.REMOVED.value, "removal": None, "upn": {"$gt": ""}}
        return [stored.value for stored in await self._accounts.find(where, limit=limit)]

    async def index_words(self, limit: int) -> int:
        collection = self._accounts.collection
        missing = [{name: {"$exists": False}} for name in (SEARCH, HOSTS)]
        found = await collection.find({"$or": missing}, limit=limit)
        for document in found:
            account = _account(document)
            change = {"$set": {SEARCH: prefixes(words_of(account)), HOSTS: hosts(account)}}
            await collection.update({"_id": document["_id"], VERSION: document[VERSION]}, change)
        return len(found)

    async def lacks_hosts(self, tenant: str) -> bool:
        where = {"tenant": tenant, HOSTS: {"$exists": False}}
        return await self._accounts.collection.find_one(where) is not None

    async def count_signing_in(self, tenant: str, domain: str, *, but: Sequence[str], holds: bool) -> int:
        # Each status by itself is one range of the index, which mongod counts without making anything of its entries: a
        # quarter of the time that it takes for both in one question.
        where = {**_of_domain(tenant, domain, but), HOLDS: holds}
        counts = (self._accounts.collection.count({**where, "status": status}) for status in SIGNS_IN)
        return sum(await asyncio.gather(*counts))

    async def maybe_without(
        self,
        tenant: str,
        domain: str,
        *,
        but: Sequence[str],
        after: tuple[str, AccountId] | None,
        limit: int,
        unknown: bool = False,
    ) -> Sequence[Account]:
        where = _of_domain(tenant, domain, but)
        where[HOLDS] = {"$exists": False} if unknown else {"$in": [None, False]}
        if after is not None:
            upn, account = after
            where["$or"] = [{"upn": {"$gt": upn}}, {"upn": upn, "_id": {"$gt": account}}]
        found = await self._accounts.find(where, sort=[("upn", 1), ("_id", 1)], limit=limit)
        return [stored.value for stored in found]

    async def settle(self, tenant: str, after: AccountId, limit: int, holds: Holds) -> AccountId | None:
        collection = self._accounts.collection
        where = {"tenant": tenant, LIVE: True, HOLDS: {"$exists": False}, "_id": {"$gt": after}}
        found = await collection.find(where, sort=[("_id", 1)], limit=limit)
        for document in found:
            change = _known(await holds(document["_id"]))
            same = {"_id": document["_id"], WRITES: document.get(WRITES), WRITERS: document.get(WRITERS)}
            await collection.update(same, {**change, "$set": {**change.get("$set", {}), WRITERS: 0}})
        return found[-1]["_id"] if found else None

    @asynccontextmanager
    async def settling(self, tenant: str, account: AccountId, holds: Holds) -> AsyncIterator[None]:
        """Around a write to an authenticator of the account: keeps `HOLDS` right, or missing where it might not be.

        While one is under way it is missing. The last of those that were at it at the same time says what holds, if
        nobody wrote since it began; otherwise it stays missing, as it does for good after a process that was killed in
        here, and is looked for whenever it is asked. So what is written there was true when nobody was writing.
        """
        collection = self._accounts.collection
        begun = await collection.update(
            {"_id": account, "tenant": tenant}, {"$inc": {WRITERS: 1, WRITES: 1}, "$unset": {HOLDS: ""}}
        )
        try:
            yield
        finally:
            if begun is not None:  # otherwise it is nobody whom admin knows
                alone = {"_id": account, WRITERS: 1, WRITES: begun[WRITES]}
                known = {**_known(await holds(account)), "$inc": {WRITERS: -1}}
                if await collection.update(alone, known) is None:
                    given_up = {"$inc": {WRITERS: -1, WRITES: 1}, "$unset": {HOLDS: ""}}
                    await collection.update({"_id": account}, given_up)


def _known(holds: bool | None) -> dict[str, dict[str, Any]]:
    """The change that keeps what was found out; with None it stays to be looked for."""
    return {"$unset": {HOLDS: ""}} if holds is None else {"$set": {HOLDS: holds}}


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

    def __init__(self, database: Database, signer: MessageSigner, accounts: AccountRepository) -> None:
        self._accounts = accounts
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
        async with self._settling(authenticator.tenant, authenticator.account):
            return await self._authenticators.insert(authenticator, [authenticator.announced(cause)])

    def _settling(self, tenant: str, account: AccountId) -> AbstractAsyncContextManager[None]:
        return self._accounts.settling(tenant, account, partial(self._holds, tenant))

    async def _holds(self, tenant: str, account: AccountId) -> bool | None:
        """Whether it has one that counts; None where that depends on the moment."""
        where = {"tenant": tenant, "account": account, "status": AuthenticatorStatus.TRUSTED.value}
        if await self._authenticators.find_one({**where, "not_after": None}) is not None:
            return True
        return False if await self._authenticators.find_one(where) is None else None

    async def settle(self, tenant: str, after: AccountId, limit: int) -> AccountId | None:
        return await self._accounts.settle(tenant, after, limit, partial(self._holds, tenant))

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
        first = await self._authenticators.load(f"{tenant}/{authenticator}")
        if first is None:
            return None
        async with self._settling(tenant, first.value.account):
            return await self._authenticators.change_value(
                f"{tenant}/{authenticator}", step, lambda after, _: [after.announced(cause)], first=first
            )


class AdminCommandRepository:
    """Implements `ports.AdminCommands`."""

    def __init__(self, database: Database, signer: MessageSigner) -> None:
        gone = Index((("asked_at", 1),), expire_after=COMMANDS_KEPT)
        self._commands = database.collection("errands", indexes=[gone], outbox=True)
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
    document = {
        **to_document(account, key="id"),
        SEARCH: prefixes(words_of(account)),
        HOSTS: hosts(account),
        HOLDS: False,  # of a new one; never written again from here, since it is the same before and after a change
    }
    return document if account.is_tombstone else {**document, LIVE: True}


def hosts(account: Account) -> list[str]:
    """The host of the user name and each domain above it; of `ada@emea.contoso.example` three."""
    labels = account.upn.partition("@")[2].split(".")
    return [".".join(labels[start:]) for start in range(len(labels))] if account.upn else []


def _of_domain(tenant: str, domain: str, but: Sequence[str]) -> dict[str, Any]:
    """People who sign in at that domain, without those whose host is at or under one of `but`."""
    at = {"$all": [domain], "$nin": list(but)} if but else domain
    return {"tenant": tenant, HOSTS: at, "status": {"$in": SIGNS_IN}}


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
