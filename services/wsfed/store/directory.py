"""What wsfed knows of tenants, accounts, invitations, devices and decisions: projections, newest version only.

Ids carry the tenant, so a document of one tenant cannot be found under another. Removed things stay as
tombstones: a message that arrives late must not bring them back.
"""

from collections.abc import Sequence
from datetime import UTC, datetime
from typing import Any

from services.wsfed.domain.own_page import OwnPhone
from services.wsfed.domain.trust import (
    AddedDevice,
    Decision,
    EndorsedDevice,
    Invitation,
    Standing,
    TrustedDevice,
    key_hash,
    standing,
)
from services.wsfed.ports import Account, Tenant
from shared.clock import Clock
from shared.contracts import version_of
from shared.contracts.admin import (
    AccountChanged,
    AccountStatus,
    AuthenticatorChanged,
    AuthenticatorStatus,
    InvitationChanged,
    TenantConfigured,
)
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
MAX_DEVICES = 20
"""Devices with notifications that are looked at in one account. Those in use are fewer (`approval`'s limit is ten)."""
MAX_DECISIONS = 20
"""Decisions that are read for one device: its own, and tombstones of its key. Were there more, some are tombstones."""
BEFORE_ACCEPTANCE = datetime(1970, 1, 1, tzinfo=UTC)
"""`accepted_at` of a device that counted before acceptance was recorded: it is no news to anybody."""
FRESH_FOR = 5.0
"""Seconds that a replica holds the configuration of a tenant with an application."""


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
    `FRESH_FOR` seconds. A tenant that still waits for its application is read each time, so that the first sign-in
    after the application was added finds it at every replica. Accounts, phones and decisions are read anew each
    time: a suspension counts at once.
    `trust_without_decision`: the setting of that name.
    """

    def __init__(self, database: Database, clock: Clock, *, trust_without_decision: bool = False) -> None:
        self._clock = clock
        self._trust_without_decision = trust_without_decision
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
        self.authenticators = Projection(
            database.collection(
                "authenticators",
                indexes=[
                    Index((("tenant", 1), ("account", 1), ("credential_id", 1))),
                    Index((("tenant", 1), ("account", 1), ("key_sha256", 1))),
                ],
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
        if tenant.configured.applications:
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
        )

    async def endorsed_device(self, tenant: str, device: str) -> EndorsedDevice | None:
        row = await self.devices.find(f"{tenant}/{device}")
        # The hash is written with a verified chain; the removal of an unknown device is kept without either.
        return None if row is None or "key_sha256" not in row else EndorsedDevice(**_fields(row))

    async def standing(self, tenant: str, account: str, device: str) -> Standing:
        row = await self.devices.find(f"{tenant}/{device}")
        if row is not None and row["account"] != account:
            return Standing.ENDED
        return await self._standing(row)

    async def trusted_device(self, tenant: str, account: str, device: str) -> TrustedDevice | None:
        row = await self.devices.find(f"{tenant}/{device}")
        return await self._trusted(row if row is not None and row["account"] == account else None)

    async def device_of_credential(
        self, tenant: str, account: str, credential_id: str
    ) -> TrustedDevice | None:
        # With the account: somebody else's device that claims the same credential id cannot stand before it.
        where = {"tenant": tenant, "credential_id": credential_id, "account": account, LAPSED: {"$ne": True}}
        return await self._trusted(await self.devices.collection.find_one(where))

    async def _trusted(self, row: Document | None) -> TrustedDevice | None:
        if row is None or await self._standing(row) is not Standing.TRUSTED:
            return None
        return TrustedDevice(**_fields(row))

    async def _standing(self, row: Document | None) -> Standing:
        if row is None:
            return Standing.WAITING
        if row["removed"]:
            return Standing.ENDED
        found = await self._standing_of(row)
        return Standing.WAITING if found is Standing.TRUSTED and not _is_accepted(row) else found

    async def _standing_of(self, row: Document) -> Standing:
        """By chain and decision alone, whether it was accepted or not."""
        device = EndorsedDevice(**_fields(row))
        # A row of the release before admin decided has no hash. It was trusted by that release's rules.
        before_decisions = "key_sha256" not in row
        return standing(
            device,
            await self._decisions(device),
            now=self._clock.now(),
            without_decision=self._trust_without_decision and before_decisions,
        )

    async def _decisions(self, device: EndorsedDevice) -> Sequence[Decision]:
        """The decision on that id, and every tombstone of its credential id or key."""
        revoked = {
            "tenant": device.tenant,
            "account": device.account,
            "status": AuthenticatorStatus.REVOKED.value,
        }
        which: list[Document] = [
            {"_id": f"{device.tenant}/{device.id}"},
            {**revoked, "key_sha256": key_hash(device.public_key)},
        ]
        if device.credential_id:
            which.append({**revoked, "credential_id": device.credential_id})
        found = await self.authenticators.collection.find({"$or": which}, limit=MAX_DECISIONS)
        # What has lapsed is no decision any more; but a tombstone stays one, whatever backup admin was put back to.
        return [_decision(row) for row in found if not row.get(LAPSED) or row["status"] == revoked["status"]]

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
            if await self._standing(each) is Standing.TRUSTED
        ]

    async def gets_notifications(self, tenant: str, account: str) -> bool:
        where = {
            "tenant": tenant,
            "account": account,
            "removed": False,
            "notifications": "on",
            LAPSED: {"$ne": True},
        }
        found = await self.devices.collection.find(where, limit=MAX_DEVICES)
        for each in found:
            if await self._standing(each) is Standing.TRUSTED:
                return True
        return False

    async def own_phones(self, tenant: str, account: str) -> Sequence[OwnPhone]:
        where = {"tenant": tenant, "account": account, "removed": False, LAPSED: {"$ne": True}}
        found = await self.devices.collection.find(where, sort=[("accepted_at", 1)])
        phones = []
        for row in found:
            decided = await self.authenticators.find(row["_id"])
            if decided is None or await self._standing(row) is not Standing.TRUSTED:
                continue
            phones.append(
                OwnPhone(
                    id=row["_id"].partition("/")[2],
                    name=decided.get("name") or row.get("name", ""),
                    added_at=row["accepted_at"],
                    version=version_of(int(decided["version"])),
                )
            )
        return phones

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
            **_epoch(account),
        }
        await self.accounts.keep(f"{received.tenant}/{account.account}", received, fields)

    async def keep_invitation(self, received: VerifiedMessage[InvitationChanged]) -> None:
        invitation = received.message
        fields = {
            "account": invitation.account,
            "public_key": unb64u(invitation.public_key),
            # Not read by this release: the one before runs beside it during an update (ADR 7).
            "issued_at": invitation.issued_at,
            "expires_at": invitation.expires_at,
            "status": invitation.status,
        }
        await self.invitations.keep(f"{received.tenant}/{invitation.invitation}", received, fields)

    async def keep_decision(self, received: VerifiedMessage[AuthenticatorChanged]) -> None:
        decision = received.message
        fields = {
            "tenant": received.tenant,
            "account": decision.account,
            "credential_id": decision.credential_id,
            "key_sha256": decision.key_sha256,
            "status": decision.status.value,
            "not_after": decision.not_after,
            # There is none in rows from before there were any, which are the same as what admin says of them now.
            **({"name": decision.name} if decision.name else {}),
        }
        # A lost phone stays lost, also when admin's database is put back to a backup from before.
        revoked = AuthenticatorStatus.REVOKED
        only = {} if decision.status is revoked else {"status": {"$ne": revoked.value}}
        await self.authenticators.keep(
            f"{received.tenant}/{decision.authenticator}", received, fields, only=only
        )

    async def knows_device(self, received: VerifiedMessage[DeviceChanged]) -> bool:
        fields = {**_identity(received), **_condition(received)}
        return await self.devices.knows(_device_key(received), received, fields)

    async def acceptable(self, tenant: str, device: str) -> EndorsedDevice | None:
        row = await self.devices.find(f"{tenant}/{device}")
        if row is None or row["removed"] or _is_accepted(row):
            return None
        held = await self._standing_of(row)
        return EndorsedDevice(**_fields(row)) if held is Standing.TRUSTED else None

    async def accept(self, device: EndorsedDevice, accepted: SignedMessage) -> bool:
        # The account first, so that it never lacks a device that counts already.
        now = self._clock.now()
        added = {"$each": [{"device": device.id, "at": now}], "$slice": -MAX_NEWS}
        await self.accounts.collection.update(
            {"_id": f"{device.tenant}/{device.account}"}, {"$push": {"added": added}}
        )
        after = await self.devices.collection.update(
            {"_id": f"{device.tenant}/{device.id}", "accepted_at": None, "removed": False},
            {"$set": {"accepted_at": now}},
            outbox=[accepted],
        )
        return after is not None

    async def keep_device(self, received: VerifiedMessage[DeviceChanged]) -> bool:
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
        fields = {**identity, **condition, "key_sha256": key_hash(identity["public_key"])}
        if known is not None and "key_sha256" not in known:
            fields["accepted_at"] = BEFORE_ACCEPTANCE
        if await self.devices.keep(
            key, received, fields, only=only, at_first={"name": received.message.name}
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


def _epoch(account: AccountChanged) -> Document:
    """The field that keeps a session epoch. There is none for 0, so that rows from before there were any are the same
    as what their owner says of them now.
    """
    return {"session_epoch": account.epoch} if account.epoch else {}


def _epoch_in(row: Document) -> int:
    return int(row.get("session_epoch", 0))  # BSON gives large ones as a type of its own


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


def _is_accepted(row: Document) -> bool:
    """Whether it was said that the key counts. Of a row from before hashes were kept nothing had to be said."""
    return row.get("accepted_at") is not None or "key_sha256" not in row


def _is_same_device(row: Document, identity: Document) -> bool:
    return all(same(row.get(name), value) for name, value in identity.items())


def _condition(received: VerifiedMessage[DeviceChanged]) -> Document:
    """What becomes of a device. `notifications` is empty for `off`: so rows from before there were any are the same as
    what approval says of them now.
    """
    device = received.message
    return {
        "removed": device.status == "removed",
        "notifications": None if device.notifications == "off" else device.notifications,
    }


def _account(found: Document | None) -> Account | None:
    if found is None:
        return None
    return Account(
        found["tenant"],
        found["account"],
        found["upn"],
        found["immutable_id"],
        AccountStatus(found["status"]),
        _epoch_in(found),
        tuple((each["device"], each["at"]) for each in found.get("added", ())),
    )


def _fields(row: Document) -> dict[str, Any]:
    """Of an `EndorsedDevice`."""
    tenant, _, device = row["_id"].partition("/")
    return {
        "id": device,
        "tenant": tenant,
        "account": row["account"],
        "public_key": bytes(row["public_key"]),
        "credential_id": row.get("credential_id", ""),
        "sign_count": row.get("sign_count", 0),
        "name": row.get("name", ""),
    }


def _decision(row: Document) -> Decision:
    return Decision(
        authenticator=row["_id"].partition("/")[2],
        account=row["account"],
        credential_id=row["credential_id"],
        key_sha256=row["key_sha256"],
        status=AuthenticatorStatus(row["status"]),
        not_after=row["not_after"],
    )
