"""Known browsers: one document for each account in a browser, removed some days after it is known no longer."""

from collections.abc import Callable, Sequence
from datetime import datetime

from services.wsfed.domain.browser import TOMBSTONE_KEPT, KnownBrowser
from shared.clock import Clock
from shared.contracts.envelope import Envelope, MessageSigner
from shared.contracts.wsfed import BrowserChanged
from shared.replication import Row, Source
from shared.store.aggregate import Aggregate
from shared.store.codec import from_document, to_document
from shared.store.port import Database, Document, Index

WRITE_EVERY = 60.0
"""Seconds between two rounds of `write_days`."""


class BrowserRepository:
    """Implements `services.wsfed.ports.Browsers`."""

    def __init__(self, database: Database, signer: MessageSigner, clock: Clock) -> None:
        collection = database.collection(
            "browsers",
            indexes=[
                Index((("remove_at", 1),), expire_after=0),
                Index((("tenant", 1), ("account", 1), ("last_seen", -1))),
            ],
            outbox=True,
            state=True,
        )
        self._browsers = Aggregate(collection, _document, _browser, signer=signer, revision="version")
        self._clock = clock
        self._seen: dict[str, datetime] = {}
        """Browsers that got their first token of a day, until that is written down."""
        self.source = Source(collection, [BrowserChanged], _row)
        """All known browsers of all accounts, for admin."""

    async def add(self, browser: KnownBrowser) -> None:
        await self._browsers.insert(browser, [browser.announced()])

    async def get(self, browser: str) -> KnownBrowser | None:
        found = await self._browsers.load(browser)
        return None if found is None else found.value

    async def of(self, tenant: str, account: str, limit: int) -> Sequence[KnownBrowser]:
        where = {"tenant": tenant, "account": account, "removed_at": None}
        found = await self._browsers.find(where, sort=[("last_seen", -1), ("_id", 1)], limit=limit)
        return [stored.value for stored in found]

    async def change(
        self,
        browser: str,
        step: Callable[[KnownBrowser], KnownBrowser | None],
        *,
        cause: Envelope | None = None,
    ) -> KnownBrowser | None:
        return await self._browsers.change_value(browser, step, lambda after, _: [after.announced(cause)])

    def note_seen(self, browser: str, now: datetime) -> None:
        self._seen[browser] = now

    async def flush(self) -> None:
        """Write down the days that were noted. Raises Unavailable; what is not written stays noted."""
        for browser, now in list(self._seen.items()):
            await self.change(browser, lambda before, now=now: before.seen(now))  # type: ignore[misc]
            if self._seen.get(browser) == now:
                del self._seen[browser]

    async def write_days(self) -> None:
        """`flush` for ever. Raises Unavailable."""
        while True:
            await self._clock.sleep(WRITE_EVERY)
            await self.flush()


def _document(browser: KnownBrowser) -> Document:
    over = browser.known_until if browser.removed_at is None else browser.removed_at
    return {**to_document(browser, key="id"), "remove_at": over + TOMBSTONE_KEPT}


def _browser(document: Document) -> KnownBrowser:
    return from_document(KnownBrowser, document, key="id")


def _row(document: Document) -> Row:
    browser = _browser(document)
    return Row(browser.tenant, [browser.event()])
