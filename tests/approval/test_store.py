"""Accounts as documents: what was saved is what is read, in memory and in MongoDB."""

from collections.abc import AsyncIterator
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from services.approval.domain.account import (
    Account,
    Challenge,
    Change,
    Device,
    Forgotten,
    Invitation,
    PastRequest,
)
from services.approval.domain.lifecycle import ChallengeState
from services.approval.ports import Ceremony, Session, StoredAccount
from services.approval.store import AccountRepository, CeremonyRepository, SessionRepository
from shared.clock import ManualClock
from shared.contracts.admin import AccountStatus
from shared.contracts.envelope import MessageSigner
from shared.crypto.keys import key_from_seed
from shared.crypto.statement import Purpose
from shared.ids import SeededIds
from shared.store.aggregate import NotUnique, Stored
from shared.store.memory import MemoryDatabase
from shared.store.mongo import MongoDatabase
from shared.store.port import Database

NOW = datetime(2026, 3, 2, 8, 0, tzinfo=UTC)

DEVICE = Device(
    id="d1",
    version=1,
    credential_id="c1",
    cose_key=b"\xa1\x00",
    public_key=b"\x30\x00",
    sign_count=3,
    name="phone",
    enrolled_at=NOW,
    invitation="i1",
    endorsement="e",
    backup_eligible=True,
    backed_up=False,
)
CHALLENGE = Challenge(
    id="q1",
    transaction="t1",
    correlation="c",
    method="qr",
    context="{}",
    expected_digest=bytes(32),
    browser="b",
    browser_known=False,
    handle_digest="h1",
    opened_at=NOW,
    deadline=NOW + timedelta(seconds=60),
)
PAST = PastRequest(
    id="q0",
    state=ChallengeState.DENIED,
    method="push",
    application_name="Microsoft 365",
    agent="Firefox on Windows",
    place="",
    address="192.0.2.17",
    known_browser=True,
    opened_at=NOW,
    ended_at=NOW,
)
ADA = Account(
    "contoso",
    "ada",
    2,
    AccountStatus.ACTIVE,
    "ada@contoso.example",
    "Ada",
    devices={"d1": DEVICE},
    invitations={"i1": Invitation("i1", 1, bytes(32), NOW, "open", "d1")},
    challenges={"q1": CHALLENGE},
    history={"q0": PAST},
    pushes_known=(NOW,),
    frozen_at=NOW,
    freeze="c1",
    freeze_version=1,
    forgotten=(Forgotten(True, None, NOW), Forgotten(False, "192.0.2.0/24", NOW)),
)


@pytest.fixture(params=["memory", pytest.param("mongo", marks=pytest.mark.integration)])
async def database(request: pytest.FixtureRequest) -> AsyncIterator[Database]:
    clock = ManualClock(NOW)
    made: Any
    if request.param == "memory":
        made = MemoryDatabase(clock=clock)
    else:
        url, name = request.getfixturevalue("mongo_url"), request.getfixturevalue("mongo_database")
        made = MongoDatabase(url, name, clock=clock)
    yield made
    await made.close()


@pytest.fixture
async def accounts(database: Database) -> AccountRepository:
    signer = MessageSigner("approval", key_from_seed(bytes(32)), ManualClock(NOW), SeededIds("store"))
    store = AccountRepository(database, signer)
    await database.migrate()
    await database.check()
    return store


async def saved(accounts: AccountRepository, account: Account) -> StoredAccount:
    await accounts.change(account.tenant, account.id, lambda _: Change(account))
    found = await accounts.load(account.tenant, account.id)
    assert found is not None
    return found


async def test_what_was_saved_is_read(accounts: AccountRepository) -> None:
    found = await saved(accounts, ADA)
    assert found == Stored(ADA, 1)


async def test_account_from_before_there_was_a_history_has_none(accounts: AccountRepository) -> None:
    await saved(accounts, ADA)
    await accounts._accounts.collection.update({"_id": "contoso/ada"}, {"$unset": {"history": ""}})
    assert await accounts.load("contoso", "ada") == Stored(replace(ADA, history={}), 1)


async def test_writer_who_read_before_another_wrote_computes_again(accounts: AccountRepository) -> None:
    found = await saved(accounts, ADA)
    await accounts.change("contoso", "ada", lambda a: Change(replace(a, frozen_at=None)), first=found)
    await accounts.change("contoso", "ada", lambda a: Change(replace(a, upn="late")), first=found)
    assert await accounts.load("contoso", "ada") == Stored(replace(ADA, frozen_at=None, upn="late"), 3)


async def test_only_one_of_two_makers_makes_the_account(accounts: AccountRepository) -> None:
    await saved(accounts, ADA)
    nothing = Stored(Account("contoso", "ada"), 0)
    await accounts.change("contoso", "ada", lambda a: Change(replace(a, upn="late")), first=nothing)
    assert await accounts.load("contoso", "ada") == Stored(replace(ADA, upn="late"), 2)


async def test_change_touches_single_entries_and_derived_fields(accounts: AccountRepository) -> None:
    found = await saved(accounts, ADA)
    ended = replace(CHALLENGE, state=ChallengeState.ACCEPTED, handle_digest=None, ended_at=NOW)
    more = replace(CHALLENGE, id="q2", handle_digest="h2", deadline=NOW + timedelta(seconds=90))
    after = replace(ADA, challenges={"q1": ended, "q2": more})
    await accounts.change("contoso", "ada", lambda _: Change(after), first=found)
    assert await accounts.by_handle("h1") is None
    assert await accounts.by_handle("h2") == Stored(after, 2)
    assert await accounts.overdue(NOW + timedelta(seconds=89), 10) == []
    assert len(await accounts.overdue(NOW + timedelta(seconds=90), 10)) == 1
    gone = replace(after, challenges={})
    await accounts.change("contoso", "ada", lambda _: Change(gone))
    assert await accounts.load("contoso", "ada") == Stored(gone, 3)
    assert await accounts.overdue(NOW + timedelta(days=1), 10) == []


async def test_is_found_by_credential_and_invitation(accounts: AccountRepository) -> None:
    found = await saved(accounts, ADA)
    assert await accounts.by_credential("c1") == found
    assert await accounts.by_invitation("i1") == found
    assert await accounts.by_credential("i1") is None


async def test_credential_id_belongs_to_one_account(accounts: AccountRepository) -> None:
    await saved(accounts, ADA)
    eve = Account("fabrikam", "eve", 1, AccountStatus.ACTIVE)
    found = await saved(accounts, eve)
    thief = replace(eve, devices={"d9": replace(DEVICE, id="d9")})
    with pytest.raises(NotUnique):
        await accounts.change("fabrikam", "eve", lambda _: Change(thief), first=found)
    made = replace(thief, id="mallory")
    with pytest.raises(NotUnique):
        await accounts.change("fabrikam", "mallory", lambda _: Change(made))
    assert await accounts.load("fabrikam", "eve") == found
    assert await accounts.load("fabrikam", "mallory") is None


async def test_accounts_without_devices_do_not_collide(accounts: AccountRepository) -> None:
    for name in ("ada", "grace", "edsger"):
        await saved(accounts, Account("contoso", name))


async def test_ceremony_is_taken_once(database: Database) -> None:
    ceremonies = CeremonyRepository(database)
    made = Ceremony("x", Purpose.ENROL, "nonce", NOW, "contoso", "ada", "i1")
    await ceremonies.add(made)
    assert await ceremonies.take("x") == made
    assert await ceremonies.take("x") is None


async def test_session_is_seen_and_removed(database: Database) -> None:
    sessions = SessionRepository(database)
    made = Session("digest", "contoso", "ada", "d1", NOW, NOW + timedelta(hours=12))
    await sessions.add(made)
    await sessions.seen("digest", NOW + timedelta(minutes=5))
    await sessions.seen("digest", NOW)
    assert await sessions.find("digest") == replace(made, seen_at=NOW + timedelta(minutes=5))
    await sessions.remove("digest")
    assert await sessions.find("digest") is None
