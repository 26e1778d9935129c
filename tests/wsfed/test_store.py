"""Sign-ins in wsfed's database, on both databases: what is kept comes back, and of many writers the right one wins."""

import asyncio
from dataclasses import fields, replace
from datetime import datetime, timedelta
from typing import Any

import pytest

from services.wsfed.domain.authentication import Method, VerifiedAuthentication
from services.wsfed.domain.context import SignInContext
from services.wsfed.domain.request import SignInRequest
from services.wsfed.domain.transaction import LIFETIME, Challenge, DeviceProof, Transaction, TransactionState
from services.wsfed.store import TransactionRepository
from services.wsfed.store.transactions import HELD_AT_MOST, HELD_FOR
from shared.clock import ManualClock
from shared.store.memory import MemoryDatabase
from shared.store.port import Database
from tests.world import START

CLOCK = ManualClock(START)


def a_context(challenge: str) -> SignInContext:
    """Every field filled with something of its kind."""
    kinds: dict[str, Any] = {"bool": False, "datetime": START, "str": "text", "int": 1}
    made: dict[str, Any] = {}
    for field in fields(SignInContext):
        kind = field.type if isinstance(field.type, str) else getattr(field.type, "__name__", "str")
        made[field.name] = kinds.get(kind, "text")
    made |= {"method": "push", "challenge": challenge, "upn": "zoë'<&>\u2028@contoso.example"}
    made |= {"expires_at": START + timedelta(seconds=120)}
    return SignInContext(**made)


def a_challenge(name: str = "challenge-1") -> Challenge:
    return Challenge(context=a_context(name), code="482913")


USERNAME = "ada@contoso.example"


def a_transaction(name: str = "transaction-1", **changes: Any) -> Transaction:
    made = Transaction(
        id=name,
        tenant="contoso",
        application="app",
        request=SignInRequest(
            wreply="https://login.microsoftonline.com/login.srf",
            wtrealm="urn:federation:MicrosoftOnline",
            wctx="\"'<>&\u2028é",
            wfresh=0,
            mfa_wanted=True,
            mfa_max_age=timedelta(seconds=3600),
            username="ada@contoso.example",
            locale="fr-FR",
            correlation="c",
        ),
        username=USERNAME,
        browser="b" * 64,
        created_at=START,
        expires_at=START + LIFETIME,
    )
    return replace(made, **changes)


AUTHENTICATION = VerifiedAuthentication(
    tenant="contoso",
    account="ada",
    method=Method.BLOKKEY_PUSH,
    user_verified=True,
    registered_kiosk=False,
    authenticated_at=START + timedelta(milliseconds=7),
)
PROOF = DeviceProof(
    context='{"a":"é"}',
    authenticator_data=bytes(37),
    client_data_json=b"{}",
    signature=b"\xff\x00",
    public_key=b"\x30",
    device="device-1",
)


async def test_a_transaction_comes_back_as_it_was_in_every_state(database: Database) -> None:
    store = TransactionRepository(database, CLOCK)
    started = a_transaction()
    await store.add(started)
    assert await store.get(started.id) == started
    waiting = await store.open_challenge(started.id, USERNAME, "ada", a_challenge(), [])
    assert waiting is not None
    assert waiting == await store.get(started.id)
    assert waiting.challenge == a_challenge()
    assert waiting.state is TransactionState.WAITING
    proved = await store.prove(started.id, "challenge-1", AUTHENTICATION, PROOF)
    assert proved is not None
    assert proved == await store.get(started.id)
    assert (proved.authentication, proved.proof) == (AUTHENTICATION, PROOF)
    issued = await store.issue(started.id, "_assertion", START)
    assert issued is not None
    assert issued == await store.get(started.id)
    assert replace(issued, state=TransactionState.PROVED, assertion_id=None) == proved


async def test_unknown_transaction_is_none_for_every_step(database: Database) -> None:
    store = TransactionRepository(database, CLOCK)
    assert await store.get("none") is None
    assert await store.open_challenge("none", USERNAME, "ada", a_challenge(), []) is None
    assert await store.end_challenge("none", "challenge-1", TransactionState.DENIED) is None
    assert await store.prove("none", "challenge-1", AUTHENTICATION, PROOF) is None
    assert await store.issue("none", "_a", START) is None
    assert await store.name_account("none", "x") is None
    assert await store.bind("none", "x") is None


async def test_a_hundred_issues_at_once_succeed_once(database: Database) -> None:
    store = TransactionRepository(database, CLOCK)
    await store.add(a_transaction())
    await store.open_challenge("transaction-1", USERNAME, "ada", a_challenge(), [])
    await store.prove("transaction-1", "challenge-1", AUTHENTICATION, PROOF)
    results = await asyncio.gather(*(store.issue("transaction-1", f"_{n}", START) for n in range(100)))
    (winner,) = (r for r in results if r is not None)
    kept = await store.get("transaction-1")
    assert kept is not None
    assert kept.assertion_id == winner.assertion_id


async def test_proof_of_a_replaced_challenge_proves_nothing(database: Database) -> None:
    store = TransactionRepository(database, CLOCK)
    await store.add(a_transaction())
    await store.open_challenge("transaction-1", USERNAME, "ada", a_challenge("one"), [])
    await store.open_challenge("transaction-1", USERNAME, "ada", a_challenge("two"), [])
    assert await store.prove("transaction-1", "one", AUTHENTICATION, PROOF) is None
    assert await store.end_challenge("transaction-1", "one", TransactionState.DENIED) is None
    assert await store.prove("transaction-1", "two", AUTHENTICATION, PROOF) is not None


@pytest.mark.parametrize("first", ["prove", "end"])
async def test_prove_and_end_at_once_one_of_them_counts(database: Database, first: str) -> None:
    """The one that counts is the one that is stored; the other one changes nothing."""
    store = TransactionRepository(database, CLOCK)
    for n in range(10):
        name = f"t{n}"
        await store.add(a_transaction(name))
        await store.open_challenge(name, USERNAME, "ada", a_challenge(), [])
        steps = {
            "prove": store.prove(name, "challenge-1", AUTHENTICATION, PROOF),
            "end": store.end_challenge(name, "challenge-1", TransactionState.NOT_ME),
        }
        order = sorted(steps, key=lambda step: step != first)
        ended = dict(zip(order, await asyncio.gather(*(steps[step] for step in order)), strict=True))
        (counts,) = (step for step, result in ended.items() if result is not None)
        kept = await store.get(name)
        assert kept is not None
        assert kept.state is {"prove": TransactionState.PROVED, "end": TransactionState.NOT_ME}[counts]
        assert (kept.authentication is not None) == (counts == "prove")


async def test_posted_transaction_is_bound_once(database: Database) -> None:
    store = TransactionRepository(database, CLOCK)
    await store.add(a_transaction(browser=""))
    results = await asyncio.gather(*(store.bind("transaction-1", f"{n:064d}") for n in range(20)))
    assert sum(result is not None for result in results) == 1
    assert await store.bind("transaction-1", "x" * 64) is None


async def test_what_is_held_is_read_again_after_four_seconds_or_when_told(database: Database) -> None:
    clock = ManualClock(START)
    ours, another = TransactionRepository(database, clock), TransactionRepository(database, clock)
    await ours.add(a_transaction())
    await another.open_challenge("transaction-1", USERNAME, "ada", a_challenge(), [])
    assert (await ours.recent("transaction-1")) == a_transaction()
    clock.advance(HELD_FOR)
    after = await ours.recent("transaction-1")
    assert after is not None
    assert after.state is TransactionState.WAITING
    await another.end_challenge("transaction-1", "challenge-1", TransactionState.DENIED)
    ours.forget("transaction-1")
    assert await ours.recent("transaction-1") == await another.get("transaction-1")


async def test_a_step_on_what_another_replica_has_changed_is_not_taken_and_read_anew(
    database: Database,
) -> None:
    ours, another = TransactionRepository(database, CLOCK), TransactionRepository(database, CLOCK)
    await ours.add(a_transaction())
    await another.name_account("transaction-1", "bob@contoso.example")
    assert await ours.open_challenge("transaction-1", USERNAME, "ada", a_challenge(), []) is None
    now = await ours.recent("transaction-1")
    assert now is not None
    assert (now.username, now.state) == ("bob@contoso.example", TransactionState.STARTED)


@pytest.mark.long
async def test_memory_stays_small_whatever_strangers_begin() -> None:
    clock = ManualClock(START)
    store = TransactionRepository(MemoryDatabase(clock=clock), clock)
    for n in range(HELD_AT_MOST + 100):
        await store.add(a_transaction(f"t{n}"))
    assert len(store._held) == HELD_AT_MOST
    clock.advance(HELD_FOR)
    await store.add(a_transaction("last"))
    assert list(store._held) == ["last"]
    assert not store._alone


async def test_a_browser_and_a_name_that_another_replica_took_are_seen_at_once(database: Database) -> None:
    ours, another = TransactionRepository(database, CLOCK), TransactionRepository(database, CLOCK)
    await ours.add(a_transaction(browser="", username=""))
    await another.bind("transaction-1", "b" * 64)
    bound = await ours.recent("transaction-1")
    assert bound is not None
    assert bound.browser == "b" * 64
    await another.name_account("transaction-1", USERNAME)
    named = await ours.recent("transaction-1")
    assert named is not None
    assert named.username == USERNAME


async def test_a_transaction_goes_soon_whatever_strangers_do_until_a_device_answers() -> None:
    clock = ManualClock(START)
    memory = MemoryDatabase(clock=clock)
    store = TransactionRepository(memory, clock)
    collection = memory.collection("transactions")

    async def kept(transaction: str) -> timedelta:
        found = await collection.find_one({"_id": transaction})
        assert found is not None
        remove_at: datetime = found["remove_at"]
        return remove_at - START

    soon, a_day = timedelta(minutes=20), timedelta(minutes=1, days=1)
    await store.add(a_transaction("untouched"))
    assert await kept("untouched") == soon
    clock.advance(60)
    for name in ("approved", "denied", "by-passkey"):
        await store.add(a_transaction(name, browser="", username=""))
        await store.bind(name, "b" * 64)
        await store.name_account(name, USERNAME)
        await store.open_challenge(name, USERNAME, "ada", a_challenge(), [])
        await store.end_challenge(name, a_challenge().id, TransactionState.SUPERSEDED)
        await store.open_challenge(name, USERNAME, "ada", a_challenge(), [])
        await store.ask_passkey(name, USERNAME, a_context("passkey-1"), 0)
        await store.spend_passkey(name, "passkey-1")
        assert await kept(name) == soon
    await store.prove("approved", a_challenge().id, AUTHENTICATION, PROOF)
    await store.end_challenge("denied", a_challenge().id, TransactionState.DENIED)
    await store.ask_passkey("by-passkey", USERNAME, a_context("passkey-2"), 0)
    await store.prove_by_passkey("by-passkey", "passkey-2", AUTHENTICATION, PROOF)
    assert {await kept(name) for name in ("approved", "denied", "by-passkey")} == {a_day}
