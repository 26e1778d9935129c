"""When each domain was first used: one document for each domain, written at most twice in its life.

They are kept for ever, and are as many as the tenants have domains, which admin bounds.
"""

from dataclasses import replace
from datetime import datetime

from services.wsfed.domain.first_use import FirstUse
from shared.clock import Clock
from shared.contracts.envelope import MessageSigner
from shared.contracts.wsfed import DomainUsed
from shared.replication import Row, Source
from shared.store.aggregate import Aggregate
from shared.store.codec import from_document, to_document
from shared.store.port import Database, Document

WRITE_EVERY = 2.0
"""Seconds between two rounds of `write_noted`: an administrator waits for it before a page."""


class FirstUseRepository:
    """Implements `services.wsfed.ports.FirstUses`. What is noted is in memory until the next round: a sign-in never
    waits for it, and what a process loses when it ends is noted again by the next sign-in.
    """

    def __init__(self, database: Database, signer: MessageSigner, clock: Clock) -> None:
        collection = database.collection("first_use", outbox=True, state=True)
        self._uses = Aggregate(collection, _document, _use, signer=signer, revision="version")
        self._clock = clock
        self._noted: dict[str, FirstUse] = {}
        self._written: dict[str, bool] = {}
        """Domains that this process need not look at again, and whether somebody was signed in."""
        self.source = Source(collection, [DomainUsed], _row)
        """All domains that were ever used, for admin."""

    def note(self, tenant: str, domain: str, now: datetime, *, signed_in: bool) -> None:
        use = FirstUse(tenant=tenant, domain=domain, first_request_at=now)
        if self._written.get(use.id) or (use.id in self._written and not signed_in):
            return
        noted = self._noted.setdefault(use.id, use)
        if signed_in and noted.first_sign_in_at is None:
            self._noted[use.id] = replace(noted, first_sign_in_at=now)

    async def flush(self) -> None:
        """Write down what was noted. Raises Unavailable; what is not written stays noted."""
        for key, noted in list(self._noted.items()):
            written = await self._write(noted)
            self._written[key] = written.first_sign_in_at is not None
            if self._noted.get(key) == noted:
                del self._noted[key]

    async def write_noted(self) -> None:
        """`flush` for ever. Raises Unavailable."""
        while True:
            await self._clock.sleep(WRITE_EVERY)
            await self.flush()

    async def _write(self, noted: FirstUse) -> FirstUse:
        if await self._uses.insert(noted, [noted.announced()]):
            return noted
        moment = noted.first_sign_in_at
        if moment is not None:
            await self._uses.change_value(
                noted.id, lambda before: before.with_sign_in(moment), lambda after, _: [after.announced()]
            )
        there = await self._uses.load(noted.id)
        return noted if there is None else there.value


def _document(use: FirstUse) -> Document:
    return {"_id": use.id, **to_document(use)}


def _use(document: Document) -> FirstUse:
    return from_document(FirstUse, document)


def _row(document: Document) -> Row:
    use = _use(document)
    return Row(use.tenant, [use.event()])
