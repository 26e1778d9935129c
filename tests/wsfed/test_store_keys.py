"""Signing keys in wsfed's database: sealed, announced with each change, and changed by one writer at a time."""

import asyncio
import json
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
import structlog

from services.wsfed.domain.keys import RsaSigningKey, certificate_base64
from services.wsfed.store import SigningKeyRepository
from services.wsfed.store import keys as keys_module
from shared.clock import ManualClock
from shared.contracts.wsfed import KeysChanged
from shared.crypto.key_file import make_key
from shared.ids import SeededIds
from shared.store.memory import MemoryDatabase
from shared.store.mongo import MongoDatabase
from shared.store.port import Database
from shared.store.sealing import SealingKey
from tests.world import START, make_system

CLOCK = ManualClock(START)


async def test_two_replicas_that_need_a_first_key_agree_on_one(database: Database, tmp_path: Path) -> None:
    make_key(tmp_path / "seal", SeededIds("seal"))
    signer = make_system(tmp_path).signer("wsfed")
    stores = [
        SigningKeyRepository(
            database, SealingKey.from_file(tmp_path / "seal", SeededIds(str(n))), CLOCK, signer
        )
        for n in range(4)
    ]
    if isinstance(database, MongoDatabase):
        await database.migrate()
    keys = await asyncio.gather(*(store.current("contoso") for store in stores))
    assert len({key.certificate for key in keys}) == 1
    assert (await stores[0].current("fabrikam")).certificate != keys[0].certificate


async def test_each_change_of_the_keys_is_announced_and_two_at_once_do_not_overwrite_each_other(
    database: Database, tmp_path: Path
) -> None:
    make_key(tmp_path / "seal", SeededIds("seal"))
    signer = make_system(tmp_path).signer("wsfed")
    one, other = (
        SigningKeyRepository(
            database, SealingKey.from_file(tmp_path / "seal", SeededIds(str(n))), CLOCK, signer
        )
        for n in range(2)
    )
    if isinstance(database, MongoDatabase):
        await database.migrate()
    first = await one.ring("contoso")
    assert sorted(
        await asyncio.gather(*(each.add_next("contoso", first.version) for each in (one, other)))
    ) == [False, True]
    upcoming = (await one.ring("contoso")).next
    assert not await one.switch("contoso", first.version)  # decided on what was there before
    assert await one.switch("contoso", 2)
    assert not await other.switch("contoso", 2)
    assert not await other.drop_previous("contoso", 2)
    assert await other.drop_previous("contoso", 3)
    await one.replace_all("contoso")
    last = await one.ring("contoso")
    waiting = await database.collection("signing_keys", outbox=True, state=True).stale_outbox(
        CLOCK.now() + timedelta(days=1), 10, skip=0
    )
    said = [KeysChanged.model_validate(json.loads(each.body)["body"]) for _, sent in waiting for each in sent]
    assert [each.version for each in said] == [1, 2, 3, 4, 5]
    assert upcoming is not None
    assert last.next is not None
    text = certificate_base64
    assert [(each.current, each.next, each.previous) for each in said] == [
        (text(first.current), None, None),
        (text(first.current), text(upcoming), None),
        (text(upcoming), None, text(first.current)),
        (text(upcoming), None, None),
        (text(last.current), text(last.next), None),
    ]


async def test_keys_from_before_they_were_announced_are_told_and_change(tmp_path: Path) -> None:
    database = MemoryDatabase(clock=CLOCK)
    make_key(tmp_path / "seal", SeededIds("seal"))
    sealing = SealingKey.from_file(tmp_path / "seal", SeededIds("nonce"))
    store = SigningKeyRepository(database, sealing, CLOCK, make_system(tmp_path).signer("wsfed"))
    await store.ring("contoso")
    (document,) = database.data["signing_keys"].values()
    del document["version"]
    (event,) = store.source.row(document).events
    assert isinstance(event, KeysChanged)
    assert event.version == 1
    assert await store.add_next("contoso", 1)
    (document,) = database.data["signing_keys"].values()
    assert document["version"] == 2


async def test_unsealed_keys_are_held_of_so_many_tenants_and_the_log_says_which_one_went(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(keys_module, "MAX_HELD", 2)
    log = structlog.testing.CapturingLogger()
    monkeypatch.setattr(keys_module, "log", log)
    make_key(tmp_path / "seal", SeededIds("seal"))
    sealing = SealingKey.from_file(tmp_path / "seal", SeededIds("nonce"))
    store = SigningKeyRepository(
        MemoryDatabase(clock=CLOCK), sealing, CLOCK, make_system(tmp_path).signer("wsfed")
    )
    contoso = await store.current("contoso")
    await store.current("fabrikam")
    assert await store.current("contoso") is contoso
    await store.current("northwind")
    assert [(call.args, call.kwargs["tenant"]) for call in log.calls] == [(("keys.let_go",), "fabrikam")]
    assert await store.current("contoso") is contoso
    again = await store.current("contoso")
    assert again.certificate == contoso.certificate


async def test_no_private_key_is_readable_in_the_database(tmp_path: Path) -> None:
    database = MemoryDatabase(clock=CLOCK)
    make_key(tmp_path / "seal", SeededIds("seal"))
    sealing = SealingKey.from_file(tmp_path / "seal", SeededIds("nonce"))
    key = await SigningKeyRepository(database, sealing, CLOCK, make_system(tmp_path).signer("wsfed")).current(
        "contoso"
    )
    assert isinstance(key, RsaSigningKey)
    private = key.private_der()
    middle = private[len(private) // 2 :][:32]  # of the secret numbers; the public ones come first
    assert middle not in b"".join(octets(database.data["signing_keys"]))


def octets(value: Any) -> list[bytes]:
    """All octet strings in a document."""
    if isinstance(value, bytes):
        return [value]
    inside = value.values() if isinstance(value, dict) else value if isinstance(value, list) else ()
    return [found for each in inside for found in octets(each)]
