"""How sign-ins ended, as wsfed announces it, and what administrators are told by mail."""

from collections.abc import Sequence
from datetime import date, datetime

from services.admin.domain.accounts import AccountId
from services.admin.domain.alerts import KEPT, Alert, AlertMails
from services.admin.domain.sign_ins import DayCounts
from shared.contracts.envelope import MessageSigner, OutgoingMessage, VerifiedMessage
from shared.contracts.wsfed import OutcomeCount, SignInAttempt, SignInsCounted, SignInsListed
from shared.replication import Projection
from shared.store.aggregate import Aggregate, Changed, Stored
from shared.store.codec import from_document, to_document
from shared.store.port import Database, Document, Index, Position

BATCH = 200


class ForgottenRows:
    """Implements `shared.replication.Lapsing`: wsfed removes rows when their time is over, so those that a full pull
    did not bring are removed here too, and are no loss.
    """

    def __init__(self, projection: Projection) -> None:
        self._projection = projection

    async def lapse(self, before: Position) -> int:
        """Remove them. None is counted as missing."""
        while found := await self._projection.collection.unconfirmed(before, {}, BATCH):
            for row in found:
                await self._projection.collection.delete({"_id": row["_id"], "version": row["version"]})
        return 0


class SignInRepository:
    """Implements `ports.SignIns`. `_id` is `tenant/day` and `tenant/account`."""

    def __init__(self, database: Database) -> None:
        by_day = Index((("tenant", 1), ("day", 1)))
        self._days = Projection(database.collection("sign_in_days", indexes=[by_day]))
        self._accounts = Projection(database.collection("sign_ins"))
        self.projections = (ForgottenRows(self._days), ForgottenRows(self._accounts))

    async def keep_day(self, received: VerifiedMessage[SignInsCounted]) -> None:
        said = received.message
        fields = {
            "tenant": received.tenant,
            "day": said.day.isoformat(),
            "counts": [each.model_dump(mode="json") for each in said.counts],
        }
        await self._days.keep(f"{received.tenant}/{said.day.isoformat()}", received, fields)

    async def keep_account(self, received: VerifiedMessage[SignInsListed]) -> None:
        said = received.message
        fields = {
            "tenant": received.tenant,
            "attempts": [each.model_dump(mode="json") for each in said.attempts],
        }
        await self._accounts.keep(f"{received.tenant}/{said.account}", received, fields)

    async def knows_account(self, received: VerifiedMessage[SignInsListed]) -> bool:
        row = await self._accounts.find(f"{received.tenant}/{received.message.account}")
        return row is not None and row["version"] >= received.message.order

    async def days(self, tenant: str, first: date) -> Sequence[DayCounts]:
        where = {"tenant": tenant, "day": {"$gte": first.isoformat()}}
        rows = await self._days.collection.find(where, sort=[("day", 1)], limit=BATCH)
        return [
            DayCounts(
                date.fromisoformat(row["day"]), [OutcomeCount.model_validate(each) for each in row["counts"]]
            )
            for row in rows
        ]

    async def of(self, tenant: str, account: AccountId) -> Sequence[SignInAttempt]:
        row = await self._accounts.find(f"{tenant}/{account}")
        return () if row is None else [SignInAttempt.model_validate(each) for each in row["attempts"]]


class AlertRepository:
    """Implements `ports.Alerts`."""

    def __init__(self, database: Database, signer: MessageSigner) -> None:
        self._alerts = database.collection(
            "alerts",
            indexes=[
                Index((("tenant", 1), ("at", -1))),
                Index((("tenant", 1), ("at", 1)), partial={"mailed": False}),
                Index((("remove_at", 1),), expire_after=0),
            ],
        )
        collection = database.collection("alert_mails", outbox=True)
        self._mails = Aggregate(collection, _mails_document, _mails, signer=signer, revision="revision")

    async def add(self, alert: Alert) -> bool:
        return await self._alerts.insert({**to_document(alert, key="id"), "remove_at": alert.at + KEPT})

    async def recent(self, tenant: str, since: datetime, limit: int) -> Sequence[Alert]:
        where = {"tenant": tenant, "at": {"$gte": since}}
        found = await self._alerts.find(where, sort=[("at", -1)], limit=limit)
        return [from_document(Alert, each, key="id") for each in found]

    async def next_tenant(self, after: str) -> str | None:
        where = {"mailed": False, "tenant": {"$gt": after}}
        found = await self._alerts.find(where, sort=[("tenant", 1), ("at", 1)], limit=1)
        return str(found[0]["tenant"]) if found else None

    async def unmailed(self, tenant: str, limit: int) -> Sequence[Alert]:
        where = {"mailed": False, "tenant": tenant}
        found = await self._alerts.find(where, sort=[("at", 1)], limit=limit)
        return [from_document(Alert, each, key="id") for each in found]

    async def mark_mailed(self, alerts: Sequence[str]) -> None:
        for alert in alerts:
            await self._alerts.update({"_id": alert, "mailed": False}, {"$set": {"mailed": True}})

    async def mails(self, tenant: str) -> AlertMails:
        found = await self._mails.load(tenant)
        return AlertMails(tenant=tenant) if found is None else found.value

    async def send(self, before: AlertMails, after: AlertMails, messages: Sequence[OutgoingMessage]) -> bool:
        def step(stored: AlertMails) -> Changed[AlertMails] | None:
            return Changed(after, messages) if stored.revision == before.revision else None

        first = Stored(before, before.revision)
        return await self._mails.change(before.tenant, step, first=first, empty=before) is not None


def _mails_document(mails: AlertMails) -> Document:
    return to_document(mails, key="tenant")


def _mails(document: Document) -> AlertMails:
    return from_document(AlertMails, document, key="tenant")
