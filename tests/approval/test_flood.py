"""A thousand at once on one account, by two processes: one acceptance for each sign-in, every quota exact."""

import asyncio
from collections import Counter
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from itertools import cycle
from pathlib import Path
from typing import Any

import pytest

from services.approval.consumers import consumers
from services.approval.domain.account import Account, Change, Subscription
from services.approval.domain.challenges import listed
from services.approval.handlers import challenges
from services.approval.ports import Dependencies
from shared.bus.port import Reject
from shared.contracts.envelope import SignedMessage, VerifiedMessage, verify_message
from shared.errors import Blok365Error, Unavailable
from shared.store.memory import MemoryDatabase
from shared.store.mongo import MongoDatabase
from shared.store.port import Collection, Database
from tests.approval.support import Approval, Asked, Phone, replica
from tests.world import make_system

MANY = {"memory": 1_000, "mongo": 300}
"""Pushes, and approvals, at once: the full number in memory, a smaller one where each costs two round trips."""


@dataclass
class Written:
    """In the relay's place: keeps the messages of every write that happened, and empties the outbox as it goes."""

    messages: list[SignedMessage] = field(default_factory=list)
    _sent: list[str] = field(default_factory=list)
    _pulling: set[asyncio.Task[None]] = field(default_factory=set)

    def written(self, collection: Collection, document_id: str, messages: Sequence[SignedMessage]) -> None:
        self.messages += messages
        self._sent += [signed.id for signed in messages]
        if len(self._sent) >= 50:
            task = asyncio.create_task(collection.pull_outbox({document_id: self._sent}))
            self._pulling.add(task)
            task.add_done_callback(self._pulling.discard)
            self._sent = []

    async def end(self) -> None:
        await asyncio.gather(*self._pulling)

    def watch(self, collection: Collection) -> None:
        pass


@dataclass
class Flood:
    """Two processes on one database, an account with a phone that wants notifications, and what was said."""

    approval: Approval
    replicas: Sequence[Dependencies]
    written: Written
    phone: Phone
    many: int

    def said(self, kind: str) -> list[Any]:
        trusted, clock = self.approval.world.platform.trusted, self.approval.world.clock
        messages = [p for p in self.written.messages if p.type == kind]
        return [verify_message(p, trusted=trusted, now=clock.now()).message for p in messages]

    async def asked(self, count: int, **more: Any) -> list[Asked]:
        return [await self.approval.ask(deliver=False, browser=f"{more}{i}", **more) for i in range(count)]

    async def open(self, asked: Asked, deps: Dependencies) -> None:
        """Asked for a millisecond after the one before, which is as exact as messages are.

        One that other processes overtook by so many that it could be a copy of an ended one is refused aloud.
        """
        self.approval.world.clock.advance(0.001)
        signed = self.approval.world.signer("wsfed").sign(asked.command, tenant="contoso")
        world = self.approval.world
        received: VerifiedMessage[Any] = verify_message(
            signed, trusted=world.platform.trusted, now=world.clock.now()
        )
        with suppress(Reject):
            await persist(lambda: challenges.open_challenge(deps, received))

    async def account(self) -> Account:
        stored = await self.replicas[0].accounts.load("contoso", "ada")
        assert stored is not None
        return stored.value


async def persist(step: Callable[[], Awaitable[Any]]) -> Any:
    """As the bus does with a message: again, while others are faster."""
    while True:
        try:
            return await step()
        except Unavailable:
            continue


@pytest.fixture(params=["memory", pytest.param("mongo", marks=pytest.mark.integration)])
async def flood(request: pytest.FixtureRequest, tmp_path: Path) -> AsyncIterator[Flood]:
    world, written = make_system(tmp_path), Written()
    database: Database
    if request.param == "memory":
        database = MemoryDatabase(clock=world.clock, listener=written)
    else:
        url, name = request.getfixturevalue("mongo_url"), request.getfixturevalue("mongo_database")
        database = MongoDatabase(url, name, clock=world.clock, listener=written)
    replicas = [replica(world, database), replica(world, database)]
    await database.migrate()
    approval = Approval(world, replicas[0])
    await world.bus.consume("approval", consumers(replicas[0]))
    phone = await approval.phone(counts=False)  # a counter would refuse repeats before the rules do
    (device,) = (await approval_account(replicas[0])).devices

    def subscribe(account: Account) -> Change:
        kept = Subscription("s", "sealed", world.clock.now())
        return Change(Account(**{**_fields(account), "subscriptions": {device: kept}}))

    await replicas[0].accounts.change("contoso", "ada", subscribe)
    written.messages.clear()
    yield Flood(approval, replicas, written, phone, MANY[request.param])
    await written.end()
    await database.close()


async def approval_account(deps: Dependencies) -> Account:
    stored = await deps.accounts.load("contoso", "ada")
    assert stored is not None
    return stored.value


def _fields(account: Account) -> dict[str, Any]:
    return {name: getattr(account, name) for name in account.__slots__}


async def notified_since_success(flood: Flood) -> int:
    """Notifications since the last success, counted from what was said; never more than three at any moment.

    Two processes on a real database may tell of their writes in another order than they happened in, so there only
    the account's own count is taken.
    """
    if flood.many < MANY["memory"]:
        return len((await flood.account()).pushes_known)
    count = 0
    for signed in flood.written.messages:
        if signed.type == "approval.challenge.accepted.v1":
            count = 0
        elif signed.type == "notify.push.send.v1":
            count += 1
            assert count <= 3
    return count


@pytest.mark.long
async def test_thousand_pushes_at_once_notify_exactly_what_each_class_may(flood: Flood) -> None:
    known: set[str] = set()
    for of_known in (False, True):  # strangers first: once known browsers wait, they get no place at all
        pushes = await flood.asked(flood.many // 2, known=of_known)
        known |= {each.id for each in pushes if of_known}
        await asyncio.gather(
            *(flood.open(each, deps) for each, deps in zip(pushes, cycle(flood.replicas), strict=False))
        )
    sent = Counter(push.delivery.partition(".")[0] in known for push in flood.said("notify.push.send.v1"))
    assert sent == {True: 3, False: 3}
    account = await flood.account()
    assert (len(account.pushes_known), len(account.pushes_unknown)) == (3, 3)
    shown = listed(account, flood.approval.world.clock.now())
    assert {c.browser_known for c in shown} == {True}


@pytest.mark.long
async def test_thousand_approvals_at_once_of_one_request_are_one(flood: Flood) -> None:
    (asked,) = await flood.asked(1)
    await flood.open(asked, flood.replicas[0])
    context = asked.with_code()
    answers = [flood.phone.answer(context) for _ in range(flood.many)]

    async def approve(answer: Any, deps: Dependencies) -> bool:
        try:
            await persist(lambda: challenges.approve(deps, asked.id, context, answer))
        except Blok365Error:
            return False
        return True

    done = await asyncio.gather(
        *(approve(answer, deps) for answer, deps in zip(answers, cycle(flood.replicas), strict=False))
    )
    assert sum(done) == 1
    (told,) = flood.said("approval.challenge.accepted.v1")
    assert told.transaction == asked.command.transaction


@pytest.mark.long
async def test_pushes_and_approvals_together_leave_one_end_for_each_sign_in(flood: Flood) -> None:
    """A hundred sign-ins, each asked for ten times over by the bus and answered ten times over by the phone."""
    requests = await flood.asked(flood.many // 10, known=True)

    async def answered(asked: Asked, deps: Dependencies) -> None:
        context = asked.with_code()
        answer = flood.phone.answer(context)
        try:
            await persist(lambda: challenges.approve(deps, asked.id, context, answer))
        except Blok365Error:
            return  # over already

    async def signed_in(asked: Asked) -> None:
        pairs = list(zip(range(10), cycle(flood.replicas), strict=False))
        await asyncio.gather(*(flood.open(asked, deps) for _, deps in pairs))
        await asyncio.gather(*(answered(asked, deps) for _, deps in pairs))

    await asyncio.gather(*(signed_in(asked) for asked in requests))
    accepted = Counter(m.transaction for m in flood.said("approval.challenge.accepted.v1"))
    ended = Counter(m.transaction for m in flood.said("approval.challenge.ended.v1"))
    assert accepted
    assert max(accepted.values()) == 1
    assert max((accepted + ended).values()) == 1
    account = await flood.account()
    assert await notified_since_success(flood) == len(account.pushes_known) <= 3
    still_open = {c.transaction for c in account.challenges.values() if c.state.value == "open"}
    assert set(accepted) | set(ended) | still_open == {r.command.transaction for r in requests}
    assert not still_open & (set(accepted) | set(ended))
