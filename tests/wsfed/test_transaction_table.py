"""TRANSITIONS is the enforcement: the store takes each step in the states of the table, and in no other."""

from collections.abc import Awaitable, Callable
from dataclasses import replace

import pytest

from services.wsfed.domain import transaction as domain
from services.wsfed.domain.own_page import MAX_ACTS, Act, ActKind
from services.wsfed.domain.transaction import TRANSITIONS, Step, Transaction, TransactionState, Transition
from services.wsfed.domain.trial import TrialResult
from services.wsfed.ports import Transactions
from services.wsfed.store import TransactionRepository
from shared.clock import ManualClock
from shared.store.memory import MemoryDatabase
from tests.world import START
from tests.wsfed.test_sign_in_figures import an_attempt
from tests.wsfed.test_store import AUTHENTICATION, PROOF, USERNAME, a_challenge, a_context, a_transaction

NAME = "transaction-1"
NOT_STEPS = {"add", "get", "recent", "forget", "uncounted", "uncounted_of", "mark_counted"}
OPEN = replace(
    a_challenge("open"), handle="handle", context=replace(a_challenge("open").context, known_browser=True)
)

RESULT = TrialResult(
    made_at=START,
    issuer="https://id.example/contoso",
    audience="https://id.example/t/contoso/try",
    subject="immutable",
    authentication_method="",
    authenticated_at="",
    not_before="",
    not_on_or_after="",
    claims=(),
    certificate="",
    certificate_ends=START,
    failed=(),
)

ALL = pytest.mark.parametrize("step", list(Step))
EVERYWHERE = pytest.mark.parametrize("state", list(TransactionState))

TAKE: dict[Step, Callable[[TransactionRepository], Awaitable[Transaction | None]]] = {
    Step.BIND: lambda store: store.bind(NAME, "b" * 64),
    Step.NAME_ACCOUNT: lambda store: store.name_account(NAME, "bob@contoso.example"),
    Step.OPEN_CHALLENGE: lambda store: store.open_challenge(NAME, USERNAME, "ada", a_challenge("new"), []),
    Step.RENEW_CHALLENGE: lambda store: store.renew_challenge(NAME, "ada", OPEN, a_challenge("new"), []),
    Step.CLAIM_CHALLENGE: lambda store: store.claim_challenge(NAME, OPEN),
    Step.MARK_UNNOTIFIED: lambda store: store.mark_unnotified(NAME, OPEN.id),
    Step.END_CHALLENGE: lambda store: store.end_challenge(NAME, OPEN.id, TransactionState.DENIED),
    Step.SUPERSEDE: lambda store: store.supersede(NAME, OPEN.id),
    Step.PROVE: lambda store: store.prove(NAME, OPEN.id, AUTHENTICATION, PROOF),
    Step.ASK_PASSKEY: lambda store: store.ask_passkey(NAME, USERNAME, a_context("asked"), 0),
    Step.PROVE_BY_PASSKEY: lambda store: store.prove_by_passkey(NAME, "passkey", AUTHENTICATION, PROOF),
    Step.SPEND_PASSKEY: lambda store: _spend(store),
    Step.ISSUE: lambda store: store.issue(NAME, "_a", START),
    Step.NOTE_REFUSAL: lambda store: store.note_refusal(NAME, an_attempt("refused")),
    Step.ACT: lambda store: store.act(NAME, Act(kind=ActKind.SIGN_OUT, at=START), []),
    Step.ANSWER: lambda store: store.answer(NAME, "_a", START),
    Step.KEEP_RESULT: lambda store: store.keep_result(NAME, RESULT),
}


async def _spend(store: TransactionRepository) -> Transaction | None:
    await store.spend_passkey(NAME, "passkey")
    after = await store.get(NAME)
    return after if after is not None and after.passkey is None else None


async def in_state(state: TransactionState, step: Step) -> TransactionRepository:
    """A transaction in that state, in which everything but the state lets every step be taken."""
    clock = ManualClock(START)
    store = TransactionRepository(MemoryDatabase(clock=clock), clock)
    browser = domain.UNBOUND if step is Step.BIND else "b" * 64
    passkey = None if step is Step.ASK_PASSKEY else a_context("passkey")
    own_page = "your account" if step is Step.ACT else ""
    trial = "Test sign-in" if step is Step.KEEP_RESULT else ""
    await store.add(
        a_transaction(
            state=state, browser=browser, challenge=OPEN, passkey=passkey, own_page=own_page, trial=trial
        )
    )
    return store


async def took(state: TransactionState, step: Step) -> TransactionState | None:
    """The state after the step; None if it was not taken, and then nothing was changed."""
    store = await in_state(state, step)
    before = await store.get(NAME)
    after = await TAKE[step](store)
    now = await store.get(NAME)
    assert now == (after or before)
    return None if after is None else after.state


@ALL
@EVERYWHERE
async def test_a_step_is_taken_where_the_table_has_it_and_nowhere_else(
    step: Step, state: TransactionState
) -> None:
    transition = TRANSITIONS[step]
    after = await took(state, step)
    if state not in transition.sources:
        assert after is None
    else:
        assert after is not None
        assert after in (transition.targets or {state})


@ALL
@EVERYWHERE
async def test_no_method_has_a_guard_of_its_own_beside_the_table(
    monkeypatch: pytest.MonkeyPatch, step: Step, state: TransactionState
) -> None:
    """A table that says the opposite is followed to the letter."""
    right = TRANSITIONS[step]
    opposite = replace(right, sources=frozenset(TransactionState) - right.sources)
    monkeypatch.setitem(TRANSITIONS, step, opposite)
    assert (await took(state, step) is None) == (state in right.sources)


async def test_acts_are_kept_for_the_own_page_alone_and_up_to_their_limit() -> None:
    act = Act(kind=ActKind.SIGN_OUT, at=START)
    store = await in_state(TransactionState.PROVED, Step.ACT)
    for _ in range(MAX_ACTS + 1):
        await store.act(NAME, act, [])
    kept = await store.get(NAME)
    assert kept is not None
    assert kept.acts == (act,) * MAX_ACTS
    other = await in_state(TransactionState.PROVED, Step.ISSUE)
    assert await other.act(NAME, act, []) is None


async def test_a_result_is_kept_for_a_trial_alone_and_once() -> None:
    store = await in_state(TransactionState.ISSUED, Step.KEEP_RESULT)
    kept = await store.keep_result(NAME, RESULT)
    assert kept is not None
    assert kept.result == RESULT
    assert await store.keep_result(NAME, replace(RESULT, subject="another")) is None
    other = await in_state(TransactionState.ISSUED, Step.ISSUE)
    assert await other.keep_result(NAME, RESULT) is None


def test_every_method_that_changes_a_transaction_is_a_step_of_the_table() -> None:
    methods = {name for name in vars(Transactions) if not name.startswith("_")}
    assert methods - NOT_STEPS == {step.value for step in Step} == {step.value for step in TRANSITIONS}
    assert set(TAKE) == set(Step)


@pytest.mark.parametrize("end", sorted(set(TransactionState) - domain.ENDED_CHALLENGE))
async def test_a_challenge_ends_only_in_an_end(end: TransactionState) -> None:
    """approval says how it ended: no word of its leads to `proved` or `issued`."""
    store = await in_state(TransactionState.WAITING, Step.END_CHALLENGE)
    with pytest.raises(ValueError, match="no transition"):
        await store.end_challenge(NAME, OPEN.id, end)
    now = await store.get(NAME)
    assert now is not None
    assert now.state is TransactionState.WAITING


def test_a_token_needs_a_proof_or_a_session_and_nothing_follows_it() -> None:
    """Written out by hand: whoever changes the table has to change this, too."""
    leads_to = {
        state: {
            (step, source) for step, t in TRANSITIONS.items() if state in t.targets for source in t.sources
        }
        for state in TransactionState
    }
    assert leads_to[TransactionState.ISSUED] == {
        (Step.ISSUE, TransactionState.PROVED),
        (Step.ANSWER, TransactionState.STARTED),
        (Step.ANSWER, TransactionState.WAITING),
        (Step.ANSWER, TransactionState.EXPIRED),
        (Step.ANSWER, TransactionState.SUPERSEDED),
    }
    before_proof = set(TransactionState) - {TransactionState.PROVED, TransactionState.ISSUED}
    assert leads_to[TransactionState.PROVED] == {
        (Step.PROVE, TransactionState.WAITING),
        *((Step.PROVE_BY_PASSKEY, state) for state in before_proof),
    }
    after_issued = {s for s, t in TRANSITIONS.items() if TransactionState.ISSUED in t.sources}
    assert after_issued == {Step.KEEP_RESULT}
    assert TRANSITIONS[Step.KEEP_RESULT].targets == frozenset()
    assert [s for s, t in TRANSITIONS.items() if TransactionState.PROVED in t.sources] == [
        Step.ISSUE,
        Step.NOTE_REFUSAL,
        Step.ACT,
    ]


def test_a_choice_among_several_ends_has_to_be_made() -> None:
    several = Transition(frozenset({TransactionState.WAITING}), domain.ENDED_CHALLENGE)
    with pytest.raises(ValueError, match="no transition"):
        several.to(None)
    assert several.to(TransactionState.DENIED) is TransactionState.DENIED
    assert Transition(frozenset({TransactionState.WAITING})).to(None) is None
