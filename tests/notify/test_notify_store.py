"""Deliveries on both kinds of database; how MongoDB finds replaced addresses."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import closing
from dataclasses import replace
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from pymongo import MongoClient

from services.notify.domain.delivery import Sent, claim, settle
from services.notify.store import ContactRepository, DeliveryRepository
from shared.clock import ManualClock
from shared.ids import SeededIds
from shared.store.memory import MemoryDatabase
from shared.store.mongo import MongoDatabase
from shared.store.outbox import Relay
from shared.store.port import Database
from shared.store.sealing import SealingKey
from tests.notify.support import make_notify
from tests.notify.test_notify_delivery import NOW, delivery


@pytest.fixture(params=["memory", pytest.param("mongo", marks=pytest.mark.integration)])
async def deliveries(request: pytest.FixtureRequest) -> AsyncIterator[DeliveryRepository]:
    clock = ManualClock(NOW)
    database: Database
    if request.param == "memory":
        database = MemoryDatabase(clock=clock)
    else:
        url, name = request.getfixturevalue("mongo_url"), request.getfixturevalue("mongo_database")
        database = MongoDatabase(url, name, clock=clock)
    made = DeliveryRepository(database)
    await database.migrate()
    await database.check()
    yield made
    await database.close()


async def test_what_was_written_is_read(deliveries: DeliveryRepository) -> None:
    made = delivery(account="ada", subscription="s")
    assert await deliveries.add(made)
    assert await deliveries.due("mail", NOW, busy=(), limit=10) == [made]


async def test_one_of_that_id_is_kept(deliveries: DeliveryRepository) -> None:
    results = await asyncio.gather(*(deliveries.add(delivery()) for _ in range(5)))
    assert sorted(results) == [False] * 4 + [True]


async def test_only_what_is_due_and_not_busy_the_longest_waiting_first(
    deliveries: DeliveryRepository,
) -> None:
    for name, ago, host in (("a", 1, "x"), ("b", 3, "x"), ("c", 2, "busy"), ("d", -1, "x")):
        await deliveries.add(delivery(id=name, next_at=NOW - timedelta(seconds=ago), destination=host))
    await deliveries.add(delivery(id="push", channel="push"))
    found = await deliveries.due("mail", NOW, busy=["busy"], limit=10)
    assert [each.id for each in found] == ["b", "a"]
    assert [each.id for each in await deliveries.due("mail", NOW, busy=(), limit=1)] == ["b"]


async def test_one_claim_wins(deliveries: DeliveryRepository) -> None:
    made = delivery()
    await deliveries.add(made)
    claims = await asyncio.gather(*(deliveries.replace(made, claim(made, NOW)) for _ in range(10)))
    assert claims.count(True) == 1


async def test_the_outcome_of_an_older_attempt_is_not_written(deliveries: DeliveryRepository) -> None:
    first = claim(delivery(), NOW)
    await deliveries.add(delivery())
    await deliveries.replace(delivery(), first)
    second = claim(first, first.next_at)
    assert await deliveries.replace(first, second)
    assert not await deliveries.replace(first, settle(first, Sent(), NOW, 0.0))


async def test_nothing_sealed_is_left_of_what_has_ended(deliveries: DeliveryRepository) -> None:
    made = delivery()
    await deliveries.add(made)
    claimed = claim(made, NOW)
    await deliveries.replace(made, claimed)
    assert await deliveries.replace(claimed, settle(claimed, Sent(), NOW, 0.0))
    stored = await deliveries._deliveries.find_one({"_id": made.id})
    assert stored is not None
    assert "sealed" not in stored
    assert stored["ended_at"] == NOW
    assert await deliveries.due("mail", NOW + timedelta(days=1), busy=(), limit=10) == []
    assert not await deliveries.add(replace(made, sealed="again"))


@pytest.mark.integration
async def test_a_whole_delivery_on_mongodb(tmp_path: Path, mongo_url: str, mongo_database: str) -> None:
    def open_database(service: str, relay: Relay) -> Database:
        return MongoDatabase(mongo_url, mongo_database, clock=ManualClock(NOW), listener=relay)

    notify = await make_notify(tmp_path, open_database=open_database)
    await notify.world.say("admin", notify.mail())
    await notify.mails.idle()
    await notify.round()
    assert len(notify.outside.mails) == 1
    await notify.wired.service.relay.flush()
    await notify.wired.service.database.close()


@pytest.mark.integration
async def test_replaced_addresses_are_read_in_the_order_of_an_index(
    mongo_url: str, mongo_database: str
) -> None:
    """However often a taken-over admin replaces an address, a notice costs what it costs otherwise."""
    database = MongoDatabase(mongo_url, mongo_database, clock=ManualClock(NOW))
    contacts = ContactRepository(database, SealingKey(bytes(32), SeededIds("contacts")), ManualClock(NOW))
    await database.migrate()
    with closing(MongoClient[dict[str, Any]](mongo_url)) as client:
        others = [{"account": "contoso/bob", "until": NOW + timedelta(days=day)} for day in range(1, 31)]
        client[mongo_database]["former_addresses"].insert_many(others)
        client[mongo_database].command("profile", 2)
        assert await contacts.of("contoso", "ada", NOW) == []
        client[mongo_database].command("profile", 0)
        query = {"command.find": "former_addresses"}
        (profiled,) = client[mongo_database]["system.profile"].find(query)
    assert profiled["planSummary"] == "IXSCAN { account: 1, until: 1 }"
    assert "hasSortStage" not in profiled
    assert profiled["docsExamined"] == 0
    await database.close()
