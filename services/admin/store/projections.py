"""What approval and wsfed announce: devices, freezes, browsers, certificates, first uses. `provisioning` has its own.

The collection `phones` keeps the name that it was first stored under, because renaming a collection would need a
migration. In code they are devices.
"""

from collections.abc import Sequence

from services.admin.domain.accounts import AccountId
from services.admin.domain.browsers import Browser
from services.admin.domain.devices import Freeze, KnownDevice
from services.admin.domain.federation import Certificates, FirstUse
from shared.clock import Clock
from shared.contracts import version_of
from shared.contracts.approval import DeviceChanged, FreezeChanged
from shared.contracts.envelope import VerifiedMessage
from shared.contracts.wsfed import BrowserChanged, DomainUsed, KeysChanged
from shared.replication import Projection
from shared.replication.projection import LAPSED
from shared.store.codec import from_document
from shared.store.port import Database, Document, Index, Position

BATCH = 200
"""Documents that are read at once."""


class DeviceRepository:
    """Implements `ports.Devices`."""

    def __init__(self, database: Database) -> None:
        self.projection = Projection(
            database.collection(
                "phones", indexes=[Index((("tenant", 1), ("account", 1), ("enrolled_at", 1)))]
            )
        )

    async def knows(self, received: VerifiedMessage[DeviceChanged]) -> bool:
        return await self.projection.knows(_device_key(received), received, _device_fields(received))

    async def keep(self, received: VerifiedMessage[DeviceChanged]) -> None:
        await self.projection.keep(_device_key(received), received, _device_fields(received))

    async def of(self, tenant: str, account: AccountId) -> Sequence[KnownDevice]:
        where = {"tenant": tenant, "account": account, LAPSED: {"$ne": True}}
        found = await self.projection.collection.find(where, sort=[("enrolled_at", 1), ("_id", 1)])
        return [from_document(KnownDevice, {**each, "id": each["_id"].partition("/")[2]}) for each in found]


class FreezeRepository:
    """Implements `ports.Freezes`."""

    def __init__(self, database: Database) -> None:
        self.projection = Projection(database.collection("freezes"))

    async def of(self, tenant: str, account: AccountId) -> Freeze | None:
        found = await self.projection.find(f"{tenant}/{account}")
        in_force = found is not None and found["freeze"] and found["since"]
        return Freeze(found["freeze"], found["since"]) if found is not None and in_force else None

    async def keep(self, received: VerifiedMessage[FreezeChanged]) -> None:
        frozen = received.message
        fields = {"freeze": frozen.freeze, "since": frozen.since}
        await self.projection.keep(f"{received.tenant}/{frozen.account}", received, fields)


class BrowserRepository:
    """Implements `ports.Browsers`, and `shared.replication.Lapsing`: wsfed removes the documents of browsers that are
    known no longer, so rows that a full pull did not bring are removed here too.
    """

    def __init__(self, database: Database, clock: Clock) -> None:
        self._clock = clock
        self._projection = Projection(
            database.collection(
                "browsers", indexes=[Index((("tenant", 1), ("account", 1), ("last_seen", -1)))]
            )
        )

    async def keep(self, received: VerifiedMessage[BrowserChanged]) -> None:
        fields = {
            "tenant": received.tenant,
            **received.message.model_dump(exclude={"version", "generation", "browser"}),
            "seen_version": received.message.version,
        }
        await self._projection.keep(f"{received.tenant}/{received.message.browser}", received, fields)

    async def of(self, tenant: str, account: AccountId) -> Sequence[Browser]:
        where = {"tenant": tenant, "account": account}
        found = await self._projection.collection.find(where, sort=[("last_seen", -1), ("_id", 1)])
        return [from_document(Browser, {**each, "id": each["_id"].partition("/")[2]}) for each in found]

    async def lapse(self, before: Position) -> int:
        """Remove them. Counted are those that should still be there: wsfed has lost them."""
        collection, now, count = self._projection.collection, self._clock.now(), 0
        while found := await collection.unconfirmed(before, {}, BATCH):
            for row in found:
                gone = await collection.delete({"_id": row["_id"], "version": row["version"]})
                count += gone * (not row["removed"] and now < row["known_until"])
        return count


class SigningCertificateRepository:
    """Implements `ports.SigningCertificates`. `_id` is the tenant's slug."""

    def __init__(self, database: Database) -> None:
        self.projection = Projection(database.collection("certificates"))

    async def keep(self, received: VerifiedMessage[KeysChanged]) -> None:
        fields = received.message.model_dump(exclude={"version", "generation"})
        await self.projection.keep(received.tenant, received, fields)

    async def of(self, tenant: str) -> Certificates | None:
        found = await self.projection.find(tenant)
        if found is None:
            return None
        return from_document(Certificates, {**found, "version": version_of(found["version"])})


class FirstUseRepository:
    """Implements `ports.FirstUses`. Domains' names hold no slash, so `_id` is `tenant/domain`."""

    def __init__(self, database: Database) -> None:
        self.projection = Projection(database.collection("first_uses"))

    async def keep(self, received: VerifiedMessage[DomainUsed]) -> None:
        used = received.message
        fields = {"first_request_at": used.first_request_at, "first_sign_in_at": used.first_sign_in_at}
        await self.projection.keep(f"{received.tenant}/{used.domain}", received, fields)

    async def of(self, tenant: str, domain: str) -> FirstUse | None:
        found = await self.projection.find(f"{tenant}/{domain}")
        return None if found is None else from_document(FirstUse, found)


def _device_key(received: VerifiedMessage[DeviceChanged]) -> str:
    return f"{received.tenant}/{received.message.device}"


def _device_fields(received: VerifiedMessage[DeviceChanged]) -> Document:
    device = received.message
    return {
        "tenant": received.tenant,
        "account": device.account,
        "name": device.name,
        "enrolled_at": device.enrolled_at,
        "backed_up": device.backed_up,
        "active": device.status == "active",
        # Empty for `off`: so rows from before there were any are the same as what approval says of them now.
        "notifications": None if device.notifications == "off" else device.notifications,
    }
