"""How sign-ins ended: one document for each tenant and day, and one for each account that was asked for anything."""

from collections.abc import Sequence

from services.wsfed.domain.sign_in_figures import AccountSignIns, Attempt, DayFigures
from shared.contracts.envelope import MessageSigner
from shared.contracts.wsfed import SignInsCounted, SignInsListed
from shared.replication import Row, Source
from shared.store.aggregate import Aggregate, Changed, Stored
from shared.store.codec import from_document, to_document
from shared.store.port import Database, Document, Index


class SignInFigureRepository:
    """Implements `services.wsfed.ports.SignInFigures`."""

    def __init__(self, database: Database, signer: MessageSigner) -> None:
        expiry = Index((("remove_at", 1),), expire_after=0)
        days = database.collection("sign_in_days", indexes=[expiry], outbox=True, state=True)
        accounts = database.collection("sign_ins", indexes=[expiry], outbox=True, state=True)
        self._days = Aggregate(days, _day_document, _day, signer=signer, revision="version")
        self._accounts = Aggregate(accounts, _account_document, _account, signer=signer, revision="version")
        self.sources = (
            Source(days, [SignInsCounted], _day_row),
            Source(accounts, [SignInsListed], _account_row),
        )
        """All counts and all accounts' attempts, for admin."""

    async def day(self, tenant: str, day: str) -> DayFigures:
        empty = DayFigures(tenant=tenant, day=day)
        found = await self._days.load(empty.id)
        return empty if found is None else found.value

    async def write_day(self, before: DayFigures, after: DayFigures) -> bool:
        def step(stored: DayFigures) -> Changed[DayFigures] | None:
            return Changed(after, [after.announced()]) if stored.version == before.version else None

        first = Stored(before, before.version)
        return await self._days.change(before.id, step, first=first, empty=before) is not None

    async def list_attempts(self, tenant: str, account: str, attempts: Sequence[Attempt]) -> None:
        def step(before: AccountSignIns) -> Changed[AccountSignIns] | None:
            after = before.with_attempts(attempts)
            return None if after is None else Changed(after, [after.announced()])

        empty = AccountSignIns(tenant=tenant, account=account)
        await self._accounts.change(empty.id, step, empty=empty)


def _day_document(figures: DayFigures) -> Document:
    return {"_id": figures.id, **to_document(figures), "remove_at": figures.remove_at}


def _day(document: Document) -> DayFigures:
    return from_document(DayFigures, document)


def _day_row(document: Document) -> Row:
    figures = _day(document)
    return Row(figures.tenant, [figures.event()])


def _account_document(listed: AccountSignIns) -> Document:
    document = {"_id": listed.id, **to_document(listed)}
    return document if not listed.attempts else {**document, "remove_at": listed.remove_at}


def _account(document: Document) -> AccountSignIns:
    return from_document(AccountSignIns, document)


def _account_row(document: Document) -> Row:
    listed = _account(document)
    return Row(listed.tenant, [listed.event()])
