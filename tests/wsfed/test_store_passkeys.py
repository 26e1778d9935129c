"""What a passkey needs of wsfed's collections, on both databases."""

import asyncio
from dataclasses import replace
from datetime import timedelta

from services.wsfed.domain.session import Session
from services.wsfed.domain.transaction import MAX_PASSKEYS, TransactionState
from services.wsfed.store import DirectoryRepository, SessionRepository, TransactionRepository
from shared.clock import ManualClock
from shared.contracts.envelope import Origin
from shared.store.port import Database
from tests.world import START
from tests.wsfed.test_store import (
    AUTHENTICATION,
    PROOF,
    USERNAME,
    a_challenge,
    a_context,
    a_transaction,
)
from tests.wsfed.test_store_directory import a_device, decide, keep_device

CLOCK = ManualClock(START)
DEVICE = a_device()


async def test_a_passkeys_challenge_stands_beside_an_open_request_and_comes_back_as_it_was(
    database: Database,
) -> None:
    store = TransactionRepository(database, CLOCK)
    await store.add(a_transaction())
    await store.open_challenge("transaction-1", USERNAME, "ada", a_challenge(), [])
    asked = await store.ask_passkey("transaction-1", USERNAME, a_context("passkey-1"), 0)
    assert asked is not None
    assert await store.get("transaction-1") == asked
    assert (asked.state, asked.challenge, asked.passkey) == (
        TransactionState.WAITING,
        a_challenge(),
        a_context("passkey-1"),
    )
    proved = await store.prove_by_passkey("transaction-1", "passkey-1", AUTHENTICATION, PROOF)
    assert proved is not None
    assert await store.get("transaction-1") == proved
    assert (proved.state, proved.account, proved.passkey) == (TransactionState.PROVED, "ada", None)


async def test_fifty_answers_to_one_passkey_challenge_count_once(database: Database) -> None:
    store = TransactionRepository(database, CLOCK)
    await store.add(a_transaction())
    await store.ask_passkey("transaction-1", USERNAME, a_context("passkey-1"), 0)
    tries = [store.prove_by_passkey("transaction-1", "passkey-1", AUTHENTICATION, PROOF) for _ in range(50)]
    assert sum(each is not None for each in await asyncio.gather(*tries)) == 1


async def test_a_passkeys_challenge_that_is_late_spent_or_for_another_name_proves_nothing(
    database: Database,
) -> None:
    clock = ManualClock(START)
    store = TransactionRepository(database, clock)
    await store.add(a_transaction())
    assert await store.ask_passkey("transaction-1", "bob@contoso.example", a_context("passkey-1"), 0) is None
    await store.ask_passkey("transaction-1", USERNAME, a_context("passkey-1"), 0)
    await store.spend_passkey("transaction-1", "passkey-1")
    assert await store.prove_by_passkey("transaction-1", "passkey-1", AUTHENTICATION, PROOF) is None
    await store.ask_passkey("transaction-1", USERNAME, a_context("passkey-2"), 0)
    await store.name_account("transaction-1", "bob@contoso.example")
    assert await store.prove_by_passkey("transaction-1", "passkey-2", AUTHENTICATION, PROOF) is None
    await store.ask_passkey("transaction-1", "bob@contoso.example", a_context("passkey-3"), 0)
    clock.advance(120)
    assert await store.prove_by_passkey("transaction-1", "passkey-3", AUTHENTICATION, PROOF) is None


async def test_no_more_passkey_challenges_than_allowed_however_many_at_once(database: Database) -> None:
    store = TransactionRepository(database, CLOCK)
    await store.add(a_transaction())
    for n in range(MAX_PASSKEYS + 10):
        asked = [store.ask_passkey("transaction-1", USERNAME, a_context(f"p{n}-{i}"), 0) for i in range(3)]
        taken = [each for each in await asyncio.gather(*asked) if each is not None]
        assert len(taken) == (1 if n < MAX_PASSKEYS else 0)  # the others find that one
        for each in taken:
            assert each.passkey is not None
            await store.spend_passkey("transaction-1", each.passkey.challenge)


async def test_a_device_is_found_by_credential_within_its_tenant_and_account_only(database: Database) -> None:
    store = DirectoryRepository(database, CLOCK)
    await keep_device(store, DEVICE, 1)
    await decide(store, DEVICE, 1)
    assert await store.device_of_credential("contoso", "ada", "credential-1") == DEVICE
    for tenant, account, credential in (
        ("fabrikam", "ada", "credential-1"),
        ("contoso", "bob", "credential-1"),
        ("contoso", "ada", "credential-2"),
        ("contoso", "ada", ""),
    ):
        assert await store.device_of_credential(tenant, account, credential) is None


async def test_a_device_from_before_gets_its_credential_id_once_and_for_good(database: Database) -> None:
    store = DirectoryRepository(database, CLOCK)
    await database.collection("devices").insert(
        {"_id": "contoso/device-1", "version": 1, "account": "ada", "public_key": b"key", "removed": False}
    )
    await decide(store, DEVICE, 1)
    assert (
        await store.trusted_device("contoso", "ada", "device-1") is None
    )  # the decision is about a credential
    # An event of a version that is here brings nothing new; the first pull after the update, a full one, does.
    assert not await keep_device(store, DEVICE, 1)
    assert await store.trusted_device("contoso", "ada", "device-1") is None
    for version, credential, origin in (
        (1, "credential-1", Origin.FULL_PULL),
        (1, "other", Origin.FULL_PULL),
        (2, "other", Origin.SENT),
    ):
        await keep_device(store, replace(DEVICE, credential_id=credential), version, origin)
        assert await store.trusted_device("contoso", "ada", "device-1") == DEVICE
    assert await store.device_of_credential("contoso", "ada", "credential-1") == DEVICE


async def test_a_stranger_key_cannot_fill_in_a_credential_id(database: Database) -> None:
    store = DirectoryRepository(database, CLOCK)
    await database.collection("devices").insert(
        {"_id": "contoso/device-1", "version": 1, "account": "ada", "public_key": b"key", "removed": False}
    )
    await decide(store, replace(DEVICE, public_key=b"other"), 1)
    for version in (1, 2):
        assert not await keep_device(store, replace(DEVICE, public_key=b"other"), version)
    assert await store.device_of_credential("contoso", "ada", "credential-1") is None


async def test_the_counter_rises_once_for_many_uses_at_once_and_never_falls(database: Database) -> None:
    store = DirectoryRepository(database, CLOCK)
    await keep_device(store, DEVICE, 1)
    await decide(store, DEVICE, 1)
    used = await asyncio.gather(*(store.device_used(DEVICE, 7) for _ in range(20)))
    assert sum(used) == 1
    assert not await store.device_used(DEVICE, 6)
    assert await store.device_used(DEVICE, 8)
    kept = await store.trusted_device("contoso", "ada", "device-1")
    assert kept is not None
    assert kept.sign_count == 8
    await keep_device(store, DEVICE, 2, removed=True)
    assert not await store.device_used(DEVICE, 9)


async def test_what_vouched_for_a_browser_is_kept_with_its_session(database: Database) -> None:
    store = SessionRepository(database)
    session = Session(
        id="s" * 64,
        authentication=AUTHENTICATION,
        device="device-2",
        ends_at=START + timedelta(hours=8),
        idle_ends_at=START + timedelta(hours=2),
        enrolled_by="device-1",
    )
    await store.add(session)
    assert await store.get(session.id) == session
