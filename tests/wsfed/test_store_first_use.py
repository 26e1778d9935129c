"""When a domain was first used: written once for each, whichever replica noted it, and never put later."""

from datetime import timedelta
from pathlib import Path

from services.wsfed.store import FirstUseRepository
from shared.clock import ManualClock
from shared.contracts.wsfed import DomainUsed
from shared.store.port import Database
from tests.world import START, make_system

LATER = START + timedelta(minutes=1)
DOMAIN = "contoso.example"


def replica(database: Database, tmp_path: Path) -> FirstUseRepository:
    tmp_path.mkdir(exist_ok=True)
    return FirstUseRepository(database, make_system(tmp_path).signer("wsfed"), ManualClock(START))


async def state(repository: FirstUseRepository) -> DomainUsed:
    (document,) = await repository.source.collection.find({})
    (event,) = repository.source.row(document).events
    assert isinstance(event, DomainUsed)
    return event


async def test_two_replicas_say_one_first_request_and_one_first_sign_in(
    database: Database, tmp_path: Path
) -> None:
    await database.migrate()
    here, there = replica(database, tmp_path / "1"), replica(database, tmp_path / "2")
    here.note("contoso", DOMAIN, START, signed_in=False)
    await here.flush()
    there.note("contoso", DOMAIN, LATER, signed_in=False)
    there.note("contoso", DOMAIN, LATER, signed_in=True)
    await there.flush()
    here.note("contoso", DOMAIN, LATER + timedelta(minutes=1), signed_in=True)
    await here.flush()
    known = await state(here)
    assert (known.version, known.first_request_at, known.first_sign_in_at) == (2, START, LATER)


async def test_a_sign_in_that_no_request_was_noted_of_is_both(database: Database, tmp_path: Path) -> None:
    await database.migrate()
    repository = replica(database, tmp_path)
    repository.note("contoso", DOMAIN, START, signed_in=True)
    repository.note("contoso", DOMAIN, LATER, signed_in=False)
    await repository.flush()
    known = await state(repository)
    assert (known.first_request_at, known.first_sign_in_at) == (START, START)


async def test_what_is_written_is_not_looked_at_again(database: Database, tmp_path: Path) -> None:
    await database.migrate()
    repository = replica(database, tmp_path)
    repository.note("contoso", DOMAIN, START, signed_in=True)
    await repository.flush()
    await repository.source.collection.delete({"_id": f"contoso/{DOMAIN}"})
    for signed_in in (False, True):
        repository.note("contoso", DOMAIN, LATER, signed_in=signed_in)
    await repository.flush()
    assert await repository.source.collection.find({}) == []
