"""Begins what is due: jobs of all tenants, checks, and sweeps (docs/flows/provisioning.md, step 4)."""

import asyncio
from collections import Counter
from collections.abc import Awaitable, Callable
from dataclasses import replace
from datetime import datetime, timedelta
from functools import partial

import structlog

from services.provisioning.domain.connection import Connection, failed, warned
from services.provisioning.domain.pace import FIRST, Pace, paced
from services.provisioning.domain.person import Fault, wait_after
from services.provisioning.domain.progress import EVERY as COUNT_EVERY
from services.provisioning.domain.progress import History
from services.provisioning.domain.requests import GraphAnswer
from services.provisioning.handlers.connections import check, target_of
from services.provisioning.handlers.counting import count_people
from services.provisioning.handlers.jobs import work
from services.provisioning.handlers.sweeping import sweep
from services.provisioning.ports import Dependencies, StoredPerson, Target
from shared.directory import FaultKey
from shared.errors import Unavailable

log = structlog.get_logger(__name__)

EVERY = 1.0
"""Seconds between rounds when nothing happens."""
SOON = 0.05
"""Seconds from one round to the next while there is more to begin."""
QUIET = timedelta(seconds=30)
"""Longest time for which a tenant without due jobs is not asked for: another process may have made one due."""
STOP_WITHIN = 8.0
"""Seconds that jobs under way get to finish when the process stops."""


class Worker:
    """Implements `ports.Queue`. `dependencies` is asked when it runs: it is one of the dependencies itself."""

    def __init__(self, dependencies: Callable[[], Dependencies]) -> None:
        self._dependencies = dependencies
        self._paces: dict[str, Pace] = {}
        self._holds: Counter[str] = Counter()
        self._running: dict[str, asyncio.Task[None]] = {}
        self._under_way: Counter[str] = Counter()
        self._quiet: dict[str, datetime] = {}
        """Until when nothing of a tenant is due, as far as is known here: most tenants have nothing to do."""
        self._uncounted: set[str] = set()
        """Tenants in which something has happened since their people were counted."""
        self._counted_at: dict[str, datetime] = {}
        self._histories: dict[str, History] = {}
        self._woken = asyncio.Event()
        self._stopped = False

    def wake(self, tenant: str) -> None:
        self._quiet.pop(tenant, None)
        self._uncounted.add(tenant)
        self._woken.set()

    def heard(self, tenant: str, answer: GraphAnswer) -> None:
        deps = self._dependencies()
        self._paces[tenant] = paced(self._pace(tenant), answer, deps.clock.now())
        if answer.ok:
            self._holds.pop(tenant, None)

    def hold(self, tenant: str) -> datetime:
        deps = self._dependencies()
        pace, now = self._pace(tenant), deps.clock.now()
        if pace.not_before is None or pace.not_before <= now:  # others that were under way meet the same
            self._holds[tenant] += 1
            until = now + wait_after(self._holds[tenant], None, deps.fraction())
            self._paces[tenant] = replace(pace, not_before=until)
            return until
        return pace.not_before

    def _pace(self, tenant: str) -> Pace:
        most = self._dependencies().people_at_once
        return self._paces.get(tenant) or Pace(most, min(FIRST, float(most)))

    async def round(self) -> bool:
        """Begin what may be begun now. True when there may be more at once. Raises Unavailable."""
        more = False
        if not self._stopped:
            for connection in await self._dependencies().connections.enabled():
                more = await self._round_of(connection) or more
        return more

    async def run(self) -> None:
        """A round every second, until cancelled; sooner when something may be due."""
        while True:
            self._woken.clear()
            more = await self.round()
            async with asyncio.TaskGroup() as first:
                waits = [
                    first.create_task(self._dependencies().clock.sleep(SOON if more else EVERY)),
                    first.create_task(self._until_woken()),
                ]
                await asyncio.wait(waits, return_when=asyncio.FIRST_COMPLETED)
                for each in waits:
                    each.cancel()

    async def _until_woken(self) -> None:
        await self._woken.wait()
        await self._dependencies().clock.sleep(SOON)  # one round for many that end together

    async def idle(self) -> None:
        """Wait until nothing is under way. For tests."""
        while self._running:
            await asyncio.wait(list(self._running.values()))

    async def stop(self) -> None:
        """Begin nothing more, give what is under way some time, then cancel it: its lease ends by itself."""
        self._stopped = True
        if self._running:
            _, late = await asyncio.wait(list(self._running.values()), timeout=STOP_WITHIN)
            for task in late:
                task.cancel()
            if late:
                await asyncio.wait(late)

    async def _round_of(self, connection: Connection) -> bool:
        deps, tenant = self._dependencies(), connection.tenant
        if warned(connection, deps.clock.now()) is not None:
            self._begin(f"warning/{tenant}", lambda: self._warn(tenant))
        if connection.check_due:
            self._begin(f"check/{tenant}", lambda: check(deps, connection))
        if connection.state == "off":
            return False
        self._count(connection)
        if connection.sweep is not None:
            self._uncounted.add(tenant)
            self._begin(f"sweep/{tenant}", lambda: sweep(deps, connection))
        now = deps.clock.now()
        if not connection.may_try(now) or now < self._quiet.get(tenant, now):
            return False
        free = self._pace(tenant).free(self._under_way[tenant], now)
        if connection.state == "failed":  # one, to see whether it works again
            free = min(free, 1 - min(1, self._under_way[tenant]))
        if free == 0:
            return False
        # Those that are under way here are not due: their lease is ahead.
        due = await deps.people.due(tenant, now, free)
        if not due:
            self._quiet[tenant] = min(now + QUIET, await deps.people.next_at(tenant) or now + QUIET)
            return False
        target = await target_of(deps, connection)
        if target is None:
            await self._cannot_open(connection)
            return False
        for stored in due:
            self._begin(stored.value.id, partial(self._work, connection, target, stored))
        return len(due) == free or connection.sweep is not None

    async def _work(self, connection: Connection, target: Target, stored: StoredPerson) -> None:
        self._under_way[connection.tenant] += 1
        try:
            await work(self._dependencies(), connection, target, stored)
        finally:
            self._under_way[connection.tenant] -= 1
            self._uncounted.add(connection.tenant)
            self._quiet.pop(connection.tenant, None)

    def _count(self, connection: Connection) -> None:
        """Count the tenant's people if something has happened since, and not more often than every few seconds."""
        tenant, now = connection.tenant, self._dependencies().clock.now()
        name, before = f"count/{tenant}", self._counted_at.get(tenant)
        if tenant not in self._uncounted or name in self._running:
            return
        if before is not None and now - before < COUNT_EVERY:
            return
        self._uncounted.discard(tenant)
        self._counted_at[tenant] = now

        async def count() -> None:
            history = self._histories.get(tenant, ())
            try:
                self._histories[tenant] = await count_people(self._dependencies(), connection, history)
            except Unavailable:
                self._uncounted.add(tenant)
                raise

        self._begin(name, count)

    async def _warn(self, tenant: str) -> None:
        """Say that the tenant's credential ends soon, or has ended."""
        deps = self._dependencies()
        now = deps.clock.now()
        after = await deps.connections.change(tenant, lambda before: warned(before, now))
        if after is not None and after.ends_within is not None:
            log.warning("connection.credential_ends", tenant=tenant, within_days=after.ends_within)

    async def _cannot_open(self, connection: Connection) -> None:
        deps = self._dependencies()
        if await deps.tenants.cloud(connection.tenant) is None:
            return  # admin's word of the tenant has not come yet
        now, revision = deps.clock.now(), connection.revision
        fault = Fault(FaultKey.SECRET_UNREADABLE, now)
        await deps.connections.change(connection.tenant, lambda before: failed(before, fault, revision, now))

    def _begin(self, name: str, what: Callable[[], Awaitable[None]]) -> None:
        if name in self._running:
            return
        task = asyncio.create_task(self._guarded(name, what), name=name)
        self._running[name] = task
        task.add_done_callback(lambda _: self._ended(name))

    def _ended(self, name: str) -> None:
        del self._running[name]
        self._woken.set()

    async def _guarded(self, name: str, what: Callable[[], Awaitable[None]]) -> None:
        """One job's fault stops no other."""
        try:
            await what()
        except Unavailable as error:
            log.warning("job.unavailable", job=name, reason=str(error))
        except Exception as error:
            # Only the exception's name is logged: its text may hold a secret.
            log.error("job.fault", job=name, error=type(error).__name__)  # noqa: TRY400
