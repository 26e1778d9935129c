"""Hypothesis plays every caller of a transaction at once: no step but those of TRANSITIONS, one token at most."""

import asyncio
from collections.abc import Coroutine
from contextvars import ContextVar
from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, rule

from services.wsfed.domain.transaction import (
    ENDED_CHALLENGE,
    LIFETIME,
    MAX_CHALLENGES,
    MAX_PASSKEYS,
    TRANSITIONS,
    Challenge,
    Step,
    Transaction,
    TransactionState,
)
from services.wsfed.store import TransactionRepository
from shared.clock import ManualClock
from shared.store.memory import MemoryDatabase
from shared.store.port import Change, Collection, Document, Filter
from tests.world import START
from tests.wsfed.test_store import AUTHENTICATION, PROOF, a_challenge, a_context, a_transaction

NAME = "transaction-1"
TAKING: ContextVar[Step] = ContextVar("TAKING")
"""The step that this caller is taking; each runs in a task, and so in a context, of its own."""


class Watched:
    """A collection that lets others run before each operation, and writes down every change of state."""

    def __init__(self, inner: Collection) -> None:
        self._inner = inner
        self.changes: list[tuple[Step, TransactionState, TransactionState]] = []
        self._turn = 0

    def __getattr__(self, name: str) -> Any:
        return getattr(self._inner, name)

    async def find_one(self, where: Filter) -> Document | None:
        await self._wait()
        found = await self._inner.find_one(where)
        await self._wait()
        return found

    async def update(self, where: Filter, change: Change, **options: Any) -> Document | None:
        await self._wait()
        before = await self._inner.find_one({"_id": where["_id"]})
        after = await self._inner.update(where, change, **options)
        if before is not None and after is not None:
            states = TransactionState(before["state"]), TransactionState(after["state"])
            self.changes.append((TAKING.get(), *states))
        await self._wait()
        return after

    async def _wait(self) -> None:
        """Answers overtake each other, always in the same way."""
        self._turn += 1
        for _ in range(self._turn * 7 % 5):
            await asyncio.sleep(0)


CHALLENGES = st.integers(0, 4).map(lambda n: f"challenge-{n}")
PASSKEYS = st.integers(0, 2).map(lambda n: f"passkey-{n}")
NAMES = st.sampled_from(["ada@contoso.example", "bob@contoso.example"])
STEP = st.one_of(
    st.tuples(st.just(Step.BIND)),
    st.tuples(st.just(Step.NAME_ACCOUNT), NAMES),
    st.tuples(st.just(Step.OPEN_CHALLENGE), CHALLENGES, st.booleans()),
    st.tuples(st.just(Step.RENEW_CHALLENGE), CHALLENGES, CHALLENGES),
    st.tuples(st.just(Step.CLAIM_CHALLENGE), CHALLENGES),
    st.tuples(st.just(Step.END_CHALLENGE), CHALLENGES, st.sampled_from(list(TransactionState))),
    st.tuples(st.just(Step.SUPERSEDE), CHALLENGES),
    st.tuples(st.just(Step.PROVE), CHALLENGES),
    st.tuples(st.just(Step.ASK_PASSKEY), PASSKEYS, NAMES),
    st.tuples(st.just(Step.PROVE_BY_PASSKEY), PASSKEYS),
    st.tuples(st.just(Step.SPEND_PASSKEY), PASSKEYS),
    st.tuples(st.just(Step.ISSUE)),
    st.tuples(st.just(Step.ANSWER)),
    st.tuples(st.just("look")),
)


def a_qr(challenge: str) -> Challenge:
    return replace(a_challenge(challenge), handle=f"handle of {challenge}")


class TransactionMachine(RuleBasedStateMachine):
    """One transaction in the store, any number of callers."""

    def __init__(self) -> None:
        super().__init__()
        self.loop = asyncio.new_event_loop()
        self.clock = ManualClock(START)
        self.store = TransactionRepository(MemoryDatabase(clock=self.clock), self.clock)
        self.watched = Watched(self.store._collection)
        self.store._collection = self.watched
        self.tokens: list[Transaction] = []
        self.proofs: list[Transaction] = []
        self.run(self.store.add(a_transaction()))

    def run(self, step: Coroutine[Any, Any, Any]) -> Any:
        return self.loop.run_until_complete(step)

    def teardown(self) -> None:
        self.loop.close()

    @property
    def now(self) -> Transaction:
        found = self.run(self.store.get(NAME))
        assert isinstance(found, Transaction)
        return found

    async def take(self, step: tuple[Any, ...]) -> None:
        if step == ("look",):
            await self.store.recent(NAME)
            return
        TAKING.set(step[0])
        match step:
            case (Step.BIND,):
                assert await self.store.bind(NAME, "another browser") is None
            case (Step.NAME_ACCOUNT, upn):
                named = await self.store.name_account(NAME, upn)
                assert named is None or named.state is TransactionState.STARTED
            case (Step.OPEN_CHALLENGE, challenge, qr):
                made = a_qr(challenge) if qr else a_challenge(challenge)
                now = await self.store.get(NAME)
                assert now is not None
                opened = await self.store.open_challenge(NAME, now.username, "ada", made, [])
                assert opened is None or opened.state is TransactionState.WAITING
            case (Step.RENEW_CHALLENGE, previous, challenge):
                renewed = await self.store.renew_challenge(NAME, "ada", a_qr(previous), a_qr(challenge), [])
                assert renewed is None or renewed.state is TransactionState.WAITING
            case (Step.CLAIM_CHALLENGE, challenge):
                claimed = await self.store.claim_challenge(NAME, a_qr(challenge))
                assert claimed is None or claimed.state is TransactionState.WAITING
            case (Step.END_CHALLENGE, challenge, state):
                if state not in ENDED_CHALLENGE:
                    with pytest.raises(ValueError, match="no transition"):
                        await self.store.end_challenge(NAME, challenge, state)
                    return
                ended = await self.store.end_challenge(NAME, challenge, state)
                assert ended is None or ended.state is state
            case (Step.SUPERSEDE, challenge):
                left = await self.store.supersede(NAME, challenge)
                assert left is None or left.state is TransactionState.SUPERSEDED
            case (Step.PROVE, challenge):
                proved = await self.store.prove(NAME, challenge, AUTHENTICATION, PROOF)
                if proved is not None:
                    assert proved.challenge is not None
                    assert proved.challenge.id == challenge
                    self.proofs.append(proved)
            case (Step.ASK_PASSKEY, challenge, upn):
                asked = await self.store.ask_passkey(NAME, upn, a_context(challenge), 0)
                assert asked is None or (asked.username == upn and asked.passkey == a_context(challenge))
            case (Step.PROVE_BY_PASSKEY, challenge):
                proved = await self.store.prove_by_passkey(NAME, challenge, AUTHENTICATION, PROOF)
                if proved is not None:
                    assert proved.passkey is None
                    assert self.clock.now() < a_context(challenge).expires_at
                    self.proofs.append(proved)
            case (Step.SPEND_PASSKEY, challenge):
                await self.store.spend_passkey(NAME, challenge)
            case (Step.ISSUE,):
                issued = await self.store.issue(NAME, f"_{len(self.tokens)}", self.clock.now())
                if issued is not None:
                    assert issued.proof is not None
                    self.tokens.append(issued)
            case (Step.ANSWER,):
                answered = await self.store.answer(NAME, f"_{len(self.tokens)}", self.clock.now())
                if answered is not None:
                    assert answered.proof is None
                    self.tokens.append(answered)
            case _:
                raise AssertionError(step)

    @rule(steps=st.lists(STEP, min_size=1, max_size=8))
    def at_once(self, steps: list[tuple[Any, ...]]) -> None:
        async def together() -> None:
            await asyncio.gather(*(self.take(step) for step in steps))

        self.run(together())

    @rule(seconds=st.sampled_from([1, 60, 121, 600]))
    def time_passes(self, seconds: int) -> None:
        self.clock.advance(seconds)

    @rule()
    def nothing_is_opened_after_the_end_of_the_transaction(self) -> None:
        if self.clock.now() >= START + LIFETIME:
            assert (
                self.run(self.store.open_challenge(NAME, self.now.username, "ada", a_challenge("late"), []))
                is None
            )

    @invariant()
    def no_step_was_taken_that_the_table_does_not_allow(self) -> None:
        for step, before, after in self.watched.changes:
            assert before in TRANSITIONS[step].sources
            assert after in (TRANSITIONS[step].targets or {before})

    @invariant()
    def one_token_at_most_and_only_after_one_proof_or_none(self) -> None:
        assert len(self.tokens) <= 1
        assert len(self.proofs) <= 1
        if self.tokens:
            assert self.now.state is TransactionState.ISSUED
            assert (self.tokens[0].proof is not None) == bool(self.proofs)

    @invariant()
    def what_is_held_is_what_is_stored(self) -> None:
        assert self.run(self.store.recent(NAME)) == self.now

    @invariant()
    def limits_hold(self) -> None:
        now = self.now
        assert now.challenges <= MAX_CHALLENGES
        assert now.passkeys <= MAX_PASSKEYS
        assert (now.state is TransactionState.STARTED) <= (now.challenge is None)
        assert now.expires_at == START + LIFETIME
        if now.state is TransactionState.WAITING:
            assert now.challenge is not None
            late = now.challenge.context.expires_at + timedelta(seconds=1)
            assert now.effective_state(late) is TransactionState.EXPIRED


TransactionMachine.TestCase.settings = settings(max_examples=60, stateful_step_count=20, deadline=None)
TestTransactionMachine = TransactionMachine.TestCase
