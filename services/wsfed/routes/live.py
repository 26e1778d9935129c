"""How a page learns that its transaction changed (docs/flows/sign-in.md, step 9): a live stream, or polling."""

import asyncio
from collections.abc import AsyncIterator
from dataclasses import dataclass

from aiohttp import web

from services.wsfed.domain.options import PageState
from services.wsfed.domain.transaction import Transaction, TransactionState
from services.wsfed.handlers.signing_in import leave_to_other_tab
from services.wsfed.ports import Watch
from services.wsfed.routes.context import RouteContext
from services.wsfed.routes.cookies import last_request
from services.wsfed.routes.view_models import page_version_of
from shared.errors import Gone, NotFound, Unavailable
from shared.web import sse
from shared.web.limits import StreamLimit

POLL_SECONDS = 5.0
MAX_STREAMS = 4
"""Live streams of one transaction: a page needs one, and a reload may overlap with it."""


@dataclass(frozen=True, slots=True)
class LiveRoutes:
    """`/signin/{transaction}/events` and `/state`."""

    context: RouteContext
    watch: Watch
    limit: StreamLimit

    def routes(self) -> list[web.RouteDef]:
        """The routes of the live stream and of polling."""
        return [
            web.get("/signin/{transaction}/events", self.events),
            web.get("/signin/{transaction}/state", self.state),
        ]

    async def state(self, request: web.Request) -> web.Response:
        """The state now, for pages whose live stream does not work."""
        return web.json_response(self._state(await self._load(request)))

    async def events(self, request: web.Request) -> web.StreamResponse:
        """The live stream: the state at once, then at each change. 204 when nothing more can change.

        Raises Unavailable when too many are open; the page then polls.
        """
        # First listen, then read: a change in between would be lost the other way round.
        async with self.watch(request.match_info["transaction"]) as woken:
            transaction = await self._load(request)
            if transaction.state is TransactionState.ISSUED:
                return web.Response(status=204)
            with self.limit.hold(transaction.id):
                changes = self._changes(request, transaction, woken)
                return await sse.stream(request, changes, clock=self.context.deps.clock)

    async def _changes(
        self, request: web.Request, transaction: Transaction, woken: asyncio.Event
    ) -> AsyncIterator[sse.Event]:
        sent: dict[str, object] = {}
        now = self._state(transaction)
        while True:
            if now != sent:
                sent = now
                yield sse.Event("state", now)
            if now["state"] in (PageState.PROVED, PageState.FINISHED):
                return
            was_woken = True
            try:
                async with asyncio.timeout(POLL_SECONDS):
                    await woken.wait()
            except TimeoutError:
                was_woken = False
            woken.clear()
            try:
                # Who woke us either wrote it here or had us forget what was held.
                now = self._state(await self.context.load(request, recent=was_woken))
            except (Gone, NotFound):
                return  # over: the page finds out when it comes back
            except Unavailable:
                continue  # the database is away: the page waits with us

    async def _load(self, request: web.Request) -> Transaction:
        """The transaction, for its own browser, which may have gone on in another tab. Raises NotFound, Gone."""
        transaction = await self.context.load(request)
        return await leave_to_other_tab(self.context.deps, transaction, last_request(request))

    def _state(self, transaction: Transaction) -> dict[str, object]:
        state, version = page_version_of(transaction, self.context.deps.clock.now())
        return {"state": state, "version": version}
