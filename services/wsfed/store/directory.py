"""What wsfed knows of tenants, accounts, invitations and devices: projections, newest version only.

Ids carry the tenant, so a document of one tenant cannot be found under another. Removed things stay as
tombstones: a message that arrives late must not bring them back.
"""

from typing import Any

from services.wsfed.domain.trust import Invitation, TrustedDevice
from services.wsfed.ports import Account, Tenant
from shared.clock import Clock
from shared.contracts.admin import AccountStatus, TenantConfigured
from shared.store.port import Collection, Database, Document, Index

FRESH_FOR = 5.0
"""Seconds that a replica holds a tenant's configuration."""


class StoredDirectory:
    """Implements `services.wsfed.ports.Directory`.

    A tenant's configuration is read at every step and changes once a year, so each replica holds it for
    `FRESH_FOR` seconds. Accounts and phones are read anew each time: a suspension counts at once.
    """

    def __init__(self, database: Database, clock: Clock) -> None:
        self._clock = clock
        self._held: dict[str, tuple[float, Tenant]] = {}
        self._tenants = database.collection("tenants")
        self._accounts = database.collection("accounts", indexes=[Index((("tenant", 1), ("upn", 1)))])
        self._invitations = database.collection("invitations")
        self._devices = database.collection("devices", indexes=[Index((("tenant", 1), ("credential_id", 1)))])

    async def tenant(self, slug: str) -> Tenant | None:
        now = self._clock.monotonic()
        held = self._held.get(slug)
        if held is not None and now - held[0] < FRESH_FOR:
            return held[1]
        found = await self._tenants.find_one({"_id": slug})
        if found is None:
            return None
        tenant = Tenant(slug, TenantConfigured.model_validate(found["configured"]))
        self._held[slug] = (now, tenant)
        return tenant

    async def account(self, tenant: str, account: str) -> Account | None:
        return _account(await self._accounts.find_one({"_id": f"{tenant}/{account}"}))

    async def account_by_upn(self, tenant: str, upn: str) -> Account | None:
        # A removed account's name may have been given to a new one: the living one counts.
        living = {"$ne": AccountStatus.REMOVED.value}
        return _account(await self._accounts.find_one({"tenant": tenant, "upn": upn, "status": living}))

    async def invitation(self, tenant: str, invitation: str) -> Invitation | None:
        found = await self._invitations.find_one({"_id": f"{tenant}/{invitation}"})
        if found is None:
            return None
        return Invitation(
            id=invitation,
            tenant=tenant,
            account=found["account"],
            public_key=bytes(found["public_key"]),
            issued_at=found["issued_at"],
            expires_at=found["expires_at"],
            status=found["status"],
            vouched_for=found.get("vouched_for"),
        )

    async def device(self, tenant: str, device: str) -> TrustedDevice | None:
        return _device(await self._devices.find_one({"_id": f"{tenant}/{device}"}))

    async def device_of_credential(
        self, tenant: str, account: str, credential_id: str
    ) -> TrustedDevice | None:
        # With the account: somebody else's device that claims the same credential id cannot stand before it.
        return _device(
            await self._devices.find_one(
                {"tenant": tenant, "credential_id": credential_id, "account": account}
            )
        )

    async def device_used(self, device: TrustedDevice, sign_count: int) -> bool:
        lower = [{"sign_count": None}, {"sign_count": {"$lt": sign_count}}]
        after = await self._devices.update(
            {"_id": f"{device.tenant}/{device.id}", "removed": False, "$or": lower},
            {"$set": {"sign_count": sign_count}},
        )
        return after is not None

    async def keep_tenant(self, slug: str, configured: TenantConfigured) -> bool:
        fields = {"configured": configured.model_dump(mode="json")}
        kept = await _keep(self._tenants, slug, configured.version, fields)
        self._held.pop(slug, None)
        return kept

    async def keep_account(self, account: Account, version: int) -> bool:
        return await _keep(
            self._accounts,
            f"{account.tenant}/{account.id}",
            version,
            {
                "tenant": account.tenant,
                "account": account.id,
                "upn": account.upn,
                "immutable_id": account.immutable_id,
                "status": account.status.value,
            },
        )

    async def keep_invitation(self, invitation: Invitation, version: int) -> bool:
        return await _keep(
            self._invitations,
            f"{invitation.tenant}/{invitation.id}",
            version,
            {
                "account": invitation.account,
                "public_key": invitation.public_key,
                "issued_at": invitation.issued_at,
                "expires_at": invitation.expires_at,
                "status": invitation.status,
            },
        )

    async def vouch(self, tenant: str, invitation: str, device: str) -> bool:
        after = await self._invitations.update(
            {"_id": f"{tenant}/{invitation}", "vouched_for": {"$in": [None, device]}},
            {"$set": {"vouched_for": device}},
        )
        return after is not None

    async def keep_device(self, device: TrustedDevice, version: int) -> bool:
        document_id = f"{device.tenant}/{device.id}"
        fields = {"account": device.account, "public_key": device.public_key, "removed": device.removed}
        found_by = {"tenant": device.tenant, "credential_id": device.credential_id}
        if await self._devices.insert({"_id": document_id, "version": version, **fields, **found_by}):
            return True
        where: dict[str, Any] = {"_id": document_id, "version": {"$lt": version}, "removed": False}
        change = {"removed": device.removed, "version": version}
        if device.removed:
            return await self._devices.update(where, {"$set": change}) is not None
        # Key and owner never change, whatever version approval claims: the invitation has vouched for the
        # first key only. And a removed phone never comes back under its id.
        where |= {
            "account": device.account,
            "public_key": device.public_key,
            "credential_id": {"$in": [None, device.credential_id]},
        }
        if await self._devices.update(where, {"$set": {**change, **found_by}}) is not None:
            return True
        # From before credential ids were kept: a resync brings the same version again, with it.
        lacking = {**where, "version": version, "credential_id": None}
        await self._devices.update(lacking, {"$set": found_by})
        return False


async def _keep(
    collection: Collection,
    document_id: str,
    version: int,
    fields: dict[str, Any],
) -> bool:
    """Accept a higher version only. False when what is kept is as new or newer."""
    where = {"_id": document_id, "version": {"$lt": version}}
    after = await collection.update(where, {"$set": {**fields, "version": version}}, upsert=True)
    return after is not None


def _account(found: Document | None) -> Account | None:
    if found is None:
        return None
    return Account(
        found["tenant"],
        found["account"],
        found["upn"],
        found["immutable_id"],
        AccountStatus(found["status"]),
    )


def _device(found: Document | None) -> TrustedDevice | None:
    if found is None:
        return None
    tenant, _, device = found["_id"].partition("/")
    return TrustedDevice(
        id=device,
        tenant=tenant,
        account=found["account"],
        public_key=bytes(found["public_key"]),
        credential_id=found.get("credential_id", ""),
        sign_count=found.get("sign_count", 0),
        removed=found["removed"],
    )
