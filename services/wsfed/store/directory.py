"""What wsfed knows of tenants, accounts, invitations and devices: projections, newest version only.

Ids carry the tenant, so a document of one tenant cannot be found under another. Removed things stay as
tombstones: a message that arrives late must not bring them back.
"""

from collections.abc import Sequence
from datetime import datetime

from services.wsfed.domain.trust import AddedDevice, Invitation, TrustedDevice
from services.wsfed.ports import Account, Tenant
from shared.clock import Clock
from shared.contracts.admin import AccountChanged, AccountStatus, InvitationChanged, TenantConfigured
from shared.contracts.approval import DeviceChanged
from shared.contracts.envelope import Envelope, Origin, SignedMessage, VerifiedMessage
from shared.ids import unb64u
from shared.replication import Projection
from shared.replication.projection import BATCH, LAPSED
from shared.store.port import Collection, Database, Document, Index, Position
from shared.store.query import same

CLAIM_KEPT = 8 * 24 * 3600
"""Seconds. Longer than any invitation lives: afterwards nobody can vouch for the device any more."""
MAX_NEWS = 10
"""Added devices that a person is told of on one page."""
FRESH_FOR = 5.0
"""Seconds that a replica holds a tenant's configuration."""


class WaitingClaims:
    """Devices that wait for their invitation. Implements `shared.replication.Lapsing`: a claim that approval's
    database no longer says is dropped, or a late invitation would make a device trusted that approval cannot remove.
    """

    def __init__(self, collection: Collection) -> None:
        self.collection = collection

    async def lapse(self, before: Position) -> int:
        count = 0
        while found := await self.collection.unconfirmed(before, {}, BATCH):
            for claim in found:
                count += await self.collection.delete({"_id": claim["_id"], "order": claim["order"]})
        return count


class DirectoryRepository:
    """Implements `services.wsfed.ports.Directory`.

    A tenant's configuration is read at every step and changes once a year, so each replica holds it for
    `FRESH_FOR` seconds. Accounts and phones are read anew each time: a suspension counts at once.
    """

    def __init__(self, database: Database, clock: Clock) -> None:
        self._clock = clock
        self._held: dict[str, tuple[float, Tenant]] = {}
        self.tenants = Projection(database.collection("tenants"))
        self.accounts = Projection(
            database.collection("accounts", indexes=[Index((("tenant", 1), ("upn", 1)))])
        )
        self.invitations = Projection(database.collection("invitations"))
        self.devices = Projection(
            database.collection(
                "devices",
                indexes=[
                    Index((("tenant", 1), ("credential_id", 1))),
                    Index((("tenant", 1), ("account", 1))),
                ],
                outbox=True,
            )
        )
        self.claims_waiting = WaitingClaims(
            database.collection(
                "claims",
                indexes=[
                    Index((("invitation", 1),)),
                    Index((("received_at", 1),), expire_after=CLAIM_KEPT),
                ],
            )
        )
        self._claims = self.claims_waiting.collection

    async def tenant(self, slug: str) -> Tenant | None:
        now = self._clock.monotonic()
        held = self._held.get(slug)
        if held is not None and now - held[0] < FRESH_FOR:
            return held[1]
        found = await self.tenants.find(slug)
        if found is None:
            return None
        tenant = Tenant(slug, TenantConfigured.model_validate(found["configured"]))
        self._held[slug] = (now, tenant)
        return tenant

    async def account(self, tenant: str, account: str) -> Account | None:
        return _account(await self.accounts.find(f"{tenant}/{account}"))

    async def account_by_upn(self, tenant: str, upn: str) -> Account | None:
        # A removed account's name may have been given to a new one: the living one counts.
        living = {"$ne": AccountStatus.REMOVED.value}
        where = {"tenant": tenant, "upn": upn, "status": living, LAPSED: {"$ne": True}}
        return _account(await self.accounts.collection.find_one(where))

    async def invitation(self, tenant: str, invitation: str) -> Invitation | None:
        found = await self.invitations.find(f"{tenant}/{invitation}")
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
        return _device(await self.devices.find(f"{tenant}/{device}"))

    async def trusted_device(self, tenant: str, account: str, device: str) -> TrustedDevice | None:
        found = await self.device(tenant, device)
        return found if found is not None and not found.removed and found.account == account else None

    async def device_of_credential(
        self, tenant: str, account: str, credential_id: str
    ) -> TrustedDevice | None:
        # With the account: somebody else's device that claims the same credential id cannot stand before it.
        where = {"tenant": tenant, "credential_id": credential_id, "account": account, LAPSED: {"$ne": True}}
        return _device(await self.devices.collection.find_one(where))

    async def devices_since(self, tenant: str, account: str, since: datetime) -> Sequence[AddedDevice]:
        where = {
            "tenant": tenant,
            "account": account,
            "removed": False,
            "accepted_at": {"$gt": since},
            LAPSED: {"$ne": True},
        }
        found = await self.devices.collection.find(where, sort=[("accepted_at", 1)], limit=MAX_NEWS)
        return [
            AddedDevice(each["_id"].partition("/")[2], each.get("name", ""), each["accepted_at"])
            for each in found
        ]

    async def device_used(self, device: TrustedDevice, sign_count: int) -> bool:
        lower = [{"sign_count": None}, {"sign_count": {"$lt": sign_count}}]
        after = await self.devices.collection.update(
            {"_id": f"{device.tenant}/{device.id}", "removed": False, "$or": lower},
            {"$set": {"sign_count": sign_count}},
        )
        return after is not None

    async def keep_tenant(self, received: VerifiedMessage[TenantConfigured]) -> None:
        # Neither the generation nor the version is of the tenant's configuration.
        fields = {"configured": received.message.model_dump(mode="json", exclude={"generation"})}
        await self.tenants.keep(received.tenant, received, fields)
        self._held.pop(received.tenant, None)

    async def keep_account(self, received: VerifiedMessage[AccountChanged]) -> None:
        account = received.message
        fields = {
            "tenant": received.tenant,
            "account": account.account,
            "upn": account.upn,
            "immutable_id": account.immutable_id,
            "status": account.status.value,
        }
        await self.accounts.keep(f"{received.tenant}/{account.account}", received, fields)

    async def keep_invitation(self, received: VerifiedMessage[InvitationChanged]) -> None:
        invitation = received.message
        fields = {
            "account": invitation.account,
            "public_key": unb64u(invitation.public_key),
            "issued_at": invitation.issued_at,
            "expires_at": invitation.expires_at,
            "status": invitation.status,
        }
        await self.invitations.keep(f"{received.tenant}/{invitation.invitation}", received, fields)

    async def vouch(self, tenant: str, invitation: str, device: str) -> bool:
        after = await self.invitations.collection.update(
            {
                "_id": f"{tenant}/{invitation}",
                "vouched_for": {"$in": [None, device]},
                "status": {"$ne": "withdrawn"},
            },
            {"$set": {"vouched_for": device}},
        )
        return after is not None

    async def distrust(self, invitation: Invitation) -> bool:
        # With the account: approval chose the device's id, and could have chosen that of somebody else's device.
        after = await self.devices.collection.update(
            {
                "_id": f"{invitation.tenant}/{invitation.vouched_for}",
                "account": invitation.account,
                "removed": False,
            },
            {"$set": {"removed": True}},
        )
        return after is not None

    async def knows_device(self, received: VerifiedMessage[DeviceChanged]) -> bool:
        fields = {**_identity(received), **_condition(received)}
        return await self.devices.knows(_device_key(received), received, fields)

    async def keep_device(
        self, received: VerifiedMessage[DeviceChanged], accepted: SignedMessage | None = None
    ) -> bool:
        key, identity, condition = _device_key(received), _identity(received), _condition(received)
        known = await self.devices.collection.find_one({"_id": key})
        if received.message.status == "removed":
            # A removal needs no chain, so it must not give a device that is known another key or owner.
            await self.devices.keep(key, received, condition if known else {**identity, **condition})
            return True
        # A device that was kept before credential ids were has none yet.
        if known is not None and not _is_same_device({**identity, **known}, identity):
            return False
        only = {"account": identity["account"], "public_key": identity["public_key"], "removed": False}
        # The account first, so that it never lacks a device that counts already.
        now = self._clock.now()
        if known is None:
            await self.accounts.collection.update(
                {"_id": f"{received.tenant}/{identity['account']}"},
                {
                    "$push": {
                        "added": {
                            "$each": [{"device": received.message.device, "at": now}],
                            "$slice": -MAX_NEWS,
                        }
                    }
                },
            )
        if await self.devices.keep(
            key,
            received,
            {**identity, **condition},
            only=only,
            at_first={"accepted_at": now, "name": received.message.name},
            outbox=[accepted] if known is None and accepted is not None else [],
        ):
            return True
        kept = await self.devices.collection.find_one({"_id": key})
        return kept is not None and _is_same_device(kept, identity)

    async def keep_claim(self, received: VerifiedMessage[DeviceChanged]) -> None:
        fields = {
            "invitation": f"{received.tenant}/{received.message.endorsement.by}",
            "envelope": received.envelope.model_dump(mode="json"),
            "message": received.message.model_dump(mode="json"),
            "origin": received.origin.value,
            "received_at": self._clock.now(),
        }
        # What approval's own database says again is confirmed, and takes the place of what an event said.
        newer = "$lt" if received.origin is Origin.SENT else "$lte"
        where = {"_id": _device_key(received), "order": {newer: received.message.order}}
        change = {"$set": {**fields, "order": received.message.order}}
        await self._claims.update(where, change, upsert=True, confirm=True)

    async def claims(
        self, tenant: str, invitation: str, limit: int
    ) -> Sequence[VerifiedMessage[DeviceChanged]]:
        found = await self._claims.find({"invitation": f"{tenant}/{invitation}"}, limit=limit)
        return [
            VerifiedMessage(
                DeviceChanged.model_validate(each["message"]),
                Envelope.model_validate(each["envelope"]),
                Origin(each.get("origin", Origin.SENT)),
            )
            for each in found
        ]

    async def drop_claim(self, claim: VerifiedMessage[DeviceChanged]) -> None:
        await self._claims.delete({"_id": _device_key(claim), "order": claim.message.order})


def _device_key(received: VerifiedMessage[DeviceChanged]) -> str:
    return f"{received.tenant}/{received.message.device}"


def _identity(received: VerifiedMessage[DeviceChanged]) -> Document:
    """The fields of a device that never change, whatever approval sends: its invitation has vouched for them."""
    return {
        "tenant": received.tenant,
        "account": received.message.account,
        "public_key": unb64u(received.message.public_key),
        "credential_id": received.message.credential_id,
    }


def _is_same_device(row: Document, identity: Document) -> bool:
    return all(same(row.get(name), value) for name, value in identity.items())


def _condition(received: VerifiedMessage[DeviceChanged]) -> Document:
    return {"removed": received.message.status == "removed"}


def _account(found: Document | None) -> Account | None:
    if found is None:
        return None
    return Account(
        found["tenant"],
        found["account"],
        found["upn"],
        found["immutable_id"],
        AccountStatus(found["status"]),
        tuple((each["device"], each["at"]) for each in found.get("added", ())),
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
