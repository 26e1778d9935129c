"""Jobs and connections on both kinds of database."""

import asyncio
from collections.abc import AsyncIterator
from dataclasses import dataclass, replace
from datetime import timedelta
from typing import Any

import pytest

from services.provisioning.domain.connection import Connection
from services.provisioning.domain.person import Person, advanced, claimed, finished, touched
from services.provisioning.domain.wanted import Facts
from services.provisioning.store import AccountRepository, ConnectionRepository, PeopleRepository
from shared.clock import ManualClock
from shared.contracts.envelope import MessageSigner
from shared.ids import SeededIds
from shared.store.memory import MemoryDatabase
from shared.store.mongo import MongoDatabase
from shared.store.port import Database
from shared.store.sealing import SealingKey
from tests.provisioning.support import SECRETS
from tests.world import START, make_system


@dataclass
class Stores:
    connections: ConnectionRepository
    people: PeopleRepository
    accounts: AccountRepository
    database: Database

    async def add(
        self, account: str, *, urgent: bool = False, minutes: int = 0, tenant: str = "contoso"
    ) -> Person:
        at = START + timedelta(minutes=minutes)
        made = await self.people.touch(
            tenant, account, lambda before: touched(before, 1, 1, at, urgent=urgent), at
        )
        assert made is not None
        return made


@pytest.fixture(params=["memory", pytest.param("mongo", marks=pytest.mark.integration)])
async def stores(request: pytest.FixtureRequest, tmp_path: Any) -> AsyncIterator[Stores]:
    clock = ManualClock(START)
    database: Database
    if request.param == "memory":
        database = MemoryDatabase(clock=clock)
    else:
        url, name = request.getfixturevalue("mongo_url"), request.getfixturevalue("mongo_database")
        database = MongoDatabase(url, name, clock=clock)
    signer: MessageSigner = make_system(tmp_path).signer("provisioning")
    sealing = SealingKey(bytes(32), SeededIds("store"))
    made = Stores(
        ConnectionRepository(database, signer, sealing),
        PeopleRepository(database, signer),
        AccountRepository(database),
        database,
    )
    await database.migrate()
    await database.check()
    yield made
    await database.close()


async def test_what_is_due_urgent_ones_first_then_who_waits_longest(stores: Stores) -> None:
    await stores.add("later", minutes=60)
    await stores.add("new", minutes=2)
    await stores.add("old", minutes=1)
    await stores.add("out", minutes=3, urgent=True)
    await stores.add("other", tenant="fabrikam")
    now = START + timedelta(minutes=5)
    due = await stores.people.due("contoso", now, 10)
    assert [each.value.account for each in due] == ["out", "old", "new"]
    assert [each.value.account for each in await stores.people.due("contoso", now, 2)] == ["out", "old"]


async def test_one_claim_wins_and_what_is_done_is_due_no_more(stores: Stores) -> None:
    await stores.add("ada")
    (stored,) = await stores.people.due("contoso", START, 10)
    mine = claimed(stored.value, START, creating=True)
    won = await asyncio.gather(*(stores.people.claim(stored, mine) for _ in range(5)))
    (kept,) = (each for each in won if each is not None)
    assert kept.value == mine
    assert await stores.people.due("contoso", START, 10) == []
    done = await stores.people.settle(kept, lambda person: finished(person, START))
    assert done is not None
    assert await stores.people.due("contoso", START + timedelta(days=1), 10) == []
    assert await stores.people.get("contoso", "ada") == done.value


async def test_the_outcome_of_an_older_claim_is_not_written(stores: Stores) -> None:
    await stores.add("ada")
    (stored,) = await stores.people.due("contoso", START, 10)
    first = claimed(stored.value, START, creating=True)
    kept = await stores.people.claim(stored, first)
    assert kept is not None
    (again,) = await stores.people.due("contoso", first.next_at, 10)
    second = claimed(again.value, first.next_at, creating=True)
    assert await stores.people.claim(again, second)
    assert await stores.people.settle(kept, lambda person: finished(person, START)) is None


async def test_news_during_a_claim_do_not_take_it_away(stores: Stores) -> None:
    await stores.add("ada")
    (stored,) = await stores.people.due("contoso", START, 10)
    mine = claimed(stored.value, START, creating=True)
    kept = await stores.people.claim(stored, mine)
    assert kept is not None
    await stores.people.touch("contoso", "ada", lambda before: touched(before, 2, 1, START), START)
    going_on = await stores.people.settle(kept, lambda person: advanced(person, START, "r-1"))
    assert going_on is not None
    assert going_on.value.seen_account == 2
    done = await stores.people.settle(going_on, lambda person: finished(person, START))
    assert done is not None
    assert (done.value.seen_account, done.value.request_id) == (2, "r-1")
    assert await stores.people.get("contoso", "ada") == done.value


async def test_everything_of_a_job_is_kept(stores: Stores) -> None:
    facts = Facts("ada@contoso.example", "Ada", "Ada", "Lovelace", "FR", enabled=True, licences=("a", "b"))
    await stores.add("ada")

    def learn(before: Person) -> Person:
        return replace(
            before, object_id="o", applied=facts, sure=True, linked_at=START, to_revoke=("x",), epoch=2**40
        )

    written = await stores.people.touch("contoso", "ada", learn, START)
    assert await stores.people.get("contoso", "ada") == written
    assert await stores.people.by_object("contoso", "o") == written
    assert await stores.people.by_object("fabrikam", "o") is None
    assert list(await stores.people.many("contoso", ["ada", "bob"])) == [written]
    assert list(await stores.people.many("contoso", [])) == []


async def test_a_connections_secrets_open_for_it_alone(stores: Stores) -> None:
    sealed = stores.connections.seal(SECRETS.model_dump_json().encode(), "contoso", 3)
    written = await stores.connections.change(
        "contoso", lambda before: replace(before, enabled=True, revision=3, secrets_of=3, sealed=sealed)
    )
    assert written is not None
    read = await stores.connections.get("contoso")
    assert read == written
    assert stores.connections.unseal(written) == SECRETS
    assert stores.connections.unseal(replace(written, secrets_of=2)) is None
    assert stores.connections.unseal(Connection("fabrikam", secrets_of=3, sealed=sealed)) is None
    assert list(await stores.connections.enabled()) == [written]


async def test_a_change_that_says_nothing_is_told_to_nobody(stores: Stores) -> None:
    first = await stores.connections.change("contoso", lambda before: replace(before, enabled=True))
    again = await stores.connections.change("contoso", lambda before: replace(before, sweep="x"))
    assert first is not None
    assert again is not None
    assert (first.version, again.version) == (1, 1)
