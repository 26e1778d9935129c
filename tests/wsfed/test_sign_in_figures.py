"""How sign-ins are counted: the rules, and that each attempt is counted once whatever happens in between."""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from services.wsfed.domain.authentication import Method
from services.wsfed.domain.sign_in_figures import (
    COUNTED_AFTER,
    MAX_ANSWERED,
    MAX_UNANSWERED,
    AccountSignIns,
    Attempt,
    AttemptOutcome,
    DayFigures,
    day_of,
    ended,
    unanswered,
)
from services.wsfed.domain.transaction import LIFETIME, Challenge, TransactionState
from services.wsfed.handlers.sign_in_figures import count_sign_ins
from services.wsfed.store import SignInFigureRepository, TransactionRepository
from shared.clock import ManualClock
from shared.contracts.envelope import MessageSigner
from shared.crypto.keys import key_from_seed
from shared.ids import SeededIds
from shared.store.port import Database
from tests.world import START
from tests.wsfed.test_store import AUTHENTICATION, PROOF, USERNAME, a_challenge, a_transaction

NOW = START + timedelta(seconds=30)


def a_request(name: str) -> Challenge:
    made = a_challenge(name)
    return replace(made, context=replace(made.context, tenant="contoso"))


WAITING = a_transaction(state=TransactionState.WAITING, account="ada", challenge=a_request("c"), challenges=1)


def an_attempt(name: str, at: datetime = NOW, **changes: Any) -> Attempt:
    made = Attempt(
        id=name,
        at=at,
        tenant="contoso",
        account="ada",
        method=Method.BLOKKEY_PUSH,
        outcome=AttemptOutcome.SIGNED_IN,
    )
    return replace(made, **changes)


# the rules


def test_what_a_device_said_is_the_outcome() -> None:
    said = {state: ended(WAITING, "c", state, NOW) for state in TransactionState}
    assert {state.value: each.outcome.value for state, each in said.items() if each} == {
        "denied": "denied",
        "not_me": "not_me",
        "wrong_code": "wrong_code",
    }
    assert ended(WAITING, "another", TransactionState.DENIED, NOW) is None


def test_a_name_without_an_account_is_only_counted() -> None:
    nobody = replace(WAITING, account=None)
    attempt = ended(nobody, "c", TransactionState.DENIED, NOW)
    assert attempt is not None
    assert (attempt.account, attempt.outcome) == (None, AttemptOutcome.NO_ACCOUNT)


def test_a_request_is_unanswered_once_its_time_is_over() -> None:
    assert WAITING.challenge is not None
    over = WAITING.challenge.context.expires_at
    assert unanswered(WAITING, over - timedelta(seconds=1)) is None
    attempt = unanswered(WAITING, over)
    assert attempt is not None
    assert (attempt.outcome, attempt.at) == (AttemptOutcome.UNANSWERED, over)
    for state in set(TransactionState) - {TransactionState.WAITING}:
        assert unanswered(replace(WAITING, state=state), over) is None


@pytest.mark.parametrize(("claimed", "counts"), [(False, False), (True, True)])
def test_a_qr_code_that_nobody_scanned_has_asked_nobody(claimed: bool, counts: bool) -> None:
    shown = replace(a_request("c"), handle="handle", claimed=claimed)
    late = START + LIFETIME
    assert (unanswered(replace(WAITING, challenge=shown), late) is not None) is counts


def test_the_day_is_that_of_utc() -> None:
    assert day_of(an_attempt("a", datetime.fromisoformat("2026-03-02T00:30:00+02:00"))) == "2026-03-01"


@given(
    st.lists(
        st.tuples(
            st.integers(0, 90),
            st.integers(-5000, 5000),
            st.sampled_from(list(AttemptOutcome)),
            st.integers(1, 9),
        ),
        max_size=150,
    )
)
def test_the_list_keeps_the_last_ones_in_any_order_and_however_often(
    made: list[tuple[int, int, AttemptOutcome, int]],
) -> None:
    attempts = {
        str(number): an_attempt(str(number), NOW + timedelta(seconds=seconds), outcome=outcome)
        for number, seconds, outcome, _ in made
    }
    listed = AccountSignIns(tenant="contoso", account="ada")
    for number, _, _, times in made:
        for _ in range(times % 3 + 1):
            listed = listed.with_attempts([attempts[str(number)]]) or listed
    everything = AccountSignIns(tenant="contoso", account="ada").with_attempts(list(attempts.values()))
    assert listed.attempts == (everything.attempts if everything else ())
    answered = [
        each
        for each in listed.attempts
        if each.outcome.value in ("signed_in", "denied", "not_me", "wrong_code")
    ]
    assert len(answered) <= MAX_ANSWERED
    assert len(listed.attempts) - len(answered) <= MAX_UNANSWERED
    assert list(listed.attempts) == sorted(listed.attempts, key=lambda each: (each.at, each.id), reverse=True)


def test_whoever_knows_a_name_pushes_nothing_out_that_the_person_did() -> None:
    own = [an_attempt(f"own-{n}", NOW + timedelta(seconds=n)) for n in range(MAX_ANSWERED)]
    flood = [
        an_attempt(f"flood-{n}", NOW + timedelta(hours=n), outcome=AttemptOutcome.UNANSWERED)
        for n in range(1, 500)
    ]
    listed = AccountSignIns(tenant="contoso", account="ada").with_attempts([*own, *flood])
    assert listed is not None
    assert {each.id for each in own} <= {each.id for each in listed.attempts}
    assert len(listed.attempts) == MAX_ANSWERED + MAX_UNANSWERED


def test_a_full_list_fits_a_message() -> None:
    long = [
        an_attempt(
            f"{n}", NOW + timedelta(seconds=n), agent="é" * 100, application="é" * 120, reason="r" * 40
        )
        for n in range(100)
    ]
    listed = AccountSignIns(tenant="contoso", account="a" * 64).with_attempts(long)
    assert listed is not None
    assert len(listed.event().model_dump_json().encode()) < 64 * 1024


# the counting, on both databases


class Killed(Exception):
    """The process ends here."""


@dataclass
class Replica:
    """One process: what it counts with, and where it is killed."""

    transactions: TransactionRepository
    figures: SignInFigureRepository
    clock: ManualClock
    killed_before: str = ""

    async def count(self) -> int:
        return await count_sign_ins(self)  # type: ignore[arg-type]


class Killable:
    """Stands before a store; the named method never gets to it."""

    def __init__(self, inner: Any, name: str) -> None:
        self._inner, self._name = inner, name

    def __getattr__(self, name: str) -> Any:
        if name == self._name:
            raise Killed(name)
        return getattr(self._inner, name)


@dataclass
class Counted:
    """A database with sign-ins in it."""

    database: Database
    clock: ManualClock

    def replica(self, *, killed_before: str = "") -> Any:
        signer = MessageSigner("wsfed", key_from_seed(bytes(32)), self.clock, SeededIds("figures"))
        transactions: Any = TransactionRepository(self.database, self.clock)
        figures: Any = SignInFigureRepository(self.database, signer)
        if killed_before:
            transactions, figures = Killable(transactions, killed_before), Killable(figures, killed_before)
        return Replica(transactions, figures, self.clock)

    async def signed_in(self, name: str) -> None:
        store = TransactionRepository(self.database, self.clock)
        await store.add(a_transaction(name))
        await store.open_challenge(
            name, USERNAME, "ada", a_request(f"c-{name}"), [], count_at=START + LIFETIME + COUNTED_AFTER
        )
        await store.prove(name, f"c-{name}", AUTHENTICATION, PROOF)
        await store.issue(name, "_a", NOW, an_attempt(name))

    async def counts(self) -> dict[str, int]:
        return dict((await self.replica().figures.day("contoso", "2026-03-02")).counts)

    async def listed(self) -> Sequence[str]:
        found = await self.database.collection("sign_ins").find_one({"_id": "contoso/ada"})
        return [] if found is None else [each["id"] for each in found["attempts"]]


@pytest.fixture
async def counted(database: Database) -> Counted:
    clock: ManualClock = database._clock  # type: ignore[attr-defined]
    return Counted(database, clock)


async def test_each_sign_in_is_counted_once_and_listed(counted: Counted) -> None:
    for name in ("one", "two"):
        await counted.signed_in(name)
    replica = counted.replica()
    assert await replica.count() == 2
    assert await replica.count() == 0
    assert await counted.counts() == {"blokkey_push/signed_in": 2}
    assert sorted(await counted.listed()) == ["one", "two"]


@pytest.mark.parametrize("where", ["list_attempts", "day", "uncounted_of", "write_day", "mark_counted"])
async def test_a_process_killed_anywhere_counts_nothing_twice_and_loses_nothing(
    counted: Counted, where: str
) -> None:
    await counted.signed_in("one")
    with pytest.raises(Killed):
        await counted.replica(killed_before=where).count()
    await counted.signed_in("two")
    with pytest.raises(Killed):
        await counted.replica(killed_before=where).count()
    other = counted.replica()
    while await other.count():
        pass
    assert await counted.counts() == {"blokkey_push/signed_in": 2}
    assert sorted(await counted.listed()) == ["one", "two"]


class Between:
    """Lets another replica count between two steps of this one."""

    def __init__(self, inner: Any, name: str, other: Any) -> None:
        self._inner, self._name, self._other = inner, name, other

    def __getattr__(self, name: str) -> Any:
        method = getattr(self._inner, name)
        if name != self._name:
            return method

        async def after_the_other(*values: Any) -> Any:
            self._name = ""
            await self._other()
            return await method(*values)

        return after_the_other


@pytest.mark.parametrize(
    "where", ["uncounted", "list_attempts", "day", "uncounted_of", "write_day", "mark_counted"]
)
async def test_two_replicas_at_once_count_nothing_twice(counted: Counted, where: str) -> None:
    for name in ("one", "two", "three"):
        await counted.signed_in(name)
    other, replica = counted.replica(), counted.replica()

    async def the_other_counts() -> None:
        await other.count()
        await counted.signed_in("four")

    replica.transactions = Between(replica.transactions, where, the_other_counts)
    replica.figures = Between(replica.figures, where, the_other_counts)
    if where in ("list_attempts", "day", "write_day"):
        replica.transactions = replica.transactions._inner
    else:
        replica.figures = replica.figures._inner
    for _ in range(6):
        await replica.count()
    assert await replica.count() == 0
    assert await counted.counts() == {"blokkey_push/signed_in": 4}
    assert len(await counted.listed()) == 4


async def test_an_unanswered_request_is_counted_when_its_transaction_is_over(counted: Counted) -> None:
    store = TransactionRepository(counted.database, counted.clock)
    await store.add(a_transaction("one"))
    end = START + LIFETIME + COUNTED_AFTER
    await store.open_challenge("one", USERNAME, "ada", a_request("c"), [], count_at=end)
    replica = counted.replica()
    counted.clock.advance(300)
    assert await replica.count() == 0
    counted.clock.advance((end - counted.clock.now()).total_seconds())
    assert await replica.count() == 1
    assert await replica.count() == 0
    assert await counted.counts() == {"blokkey_push/unanswered": 1}
    assert await counted.listed() == ["c"]


async def test_asking_again_does_not_put_off_what_was_answered(counted: Counted) -> None:
    """Whoever holds the page asks at once again, so that "This isn't me" would not be heard of for a quarter of an
    hour.
    """
    store = TransactionRepository(counted.database, counted.clock)
    await store.add(a_transaction("one"))
    end = START + LIFETIME + COUNTED_AFTER
    await store.open_challenge("one", USERNAME, "ada", a_request("c"), [], count_at=end)
    said = an_attempt("c", outcome=AttemptOutcome.NOT_ME)
    await store.end_challenge("one", "c", TransactionState.NOT_ME, said)
    await store.open_challenge("one", USERNAME, "ada", a_request("d"), [], count_at=end)
    replica = counted.replica()
    assert await replica.count() == 1
    assert await counted.counts() == {"blokkey_push/not_me": 1}
    assert await replica.count() == 0, "the new request waits until its transaction is over"
    counted.clock.advance((end - counted.clock.now()).total_seconds())
    assert await replica.count() == 1
    assert await counted.counts() == {"blokkey_push/not_me": 1, "blokkey_push/unanswered": 1}


async def test_an_outcome_of_a_newer_release_is_in_nobodys_way(counted: Counted) -> None:
    await counted.signed_in("newer")
    changed = {"$set": {"attempts.newer.outcome": "beamed_in"}}
    transactions = counted.database.collection("transactions", outbox=True)
    assert await transactions.update({"_id": "newer"}, changed)
    await counted.signed_in("one")
    assert await counted.replica().count() == 1
    assert await counted.counts() == {"blokkey_push/signed_in": 1}
    assert await transactions.find_one({"_id": "newer", "attempts.newer.outcome": "beamed_in"}) is not None


async def test_names_without_an_account_make_one_number_and_no_list(counted: Counted) -> None:
    store = TransactionRepository(counted.database, counted.clock)
    end = START + LIFETIME + COUNTED_AFTER
    for n in range(5):
        await store.add(a_transaction(f"t{n}", username=f"nobody{n}@contoso.example"))
        await store.open_challenge(
            f"t{n}", f"nobody{n}@contoso.example", None, a_request(f"c{n}"), [], count_at=end
        )
    counted.clock.advance((end - counted.clock.now()).total_seconds())
    assert await counted.replica().count() == 5
    assert await counted.counts() == {"blokkey_push/no_account": 5}
    assert await counted.database.collection("sign_ins").find({}) == []


async def test_attempts_of_two_days_are_counted_on_each(counted: Counted) -> None:
    store = TransactionRepository(counted.database, counted.clock)
    await store.add(a_transaction("one"))
    await store.open_challenge("one", USERNAME, "ada", a_request("c"), [])
    early = an_attempt("c", datetime.fromisoformat("2026-03-01T23:59:59Z"), outcome=AttemptOutcome.DENIED)
    await store.end_challenge("one", "c", TransactionState.DENIED, early)
    await store.open_challenge("one", USERNAME, "ada", a_request("d"), [])
    await store.prove("one", "d", AUTHENTICATION, PROOF)
    await store.issue("one", "_a", NOW, an_attempt("one"))
    replica = counted.replica()
    assert await replica.count() == 1
    assert await replica.count() == 0
    assert dict((await replica.figures.day("contoso", "2026-03-01")).counts) == {"blokkey_push/denied": 1}
    assert await counted.counts() == {"blokkey_push/signed_in": 1}


def test_the_row_of_a_day_says_what_its_last_write_added_and_no_more() -> None:
    row = DayFigures(tenant="contoso", day="2026-03-02")
    for start in range(0, 1000, 100):
        row = row.counted([(f"t{n}", an_attempt(f"a{n}")) for n in range(start, start + 100)])
    assert row.counts == {"blokkey_push/signed_in": 1000}
    assert len(row.just_counted) == 100
    said = Counter({each.outcome: each.count for each in row.event().counts})
    assert said == {"signed_in": 1000}
