"""Requests to nobody (docs/flows/sign-in.md, step 4): the same work as for an account, and no phone ever sees one."""

from datetime import timedelta
from unittest import mock

import pytest

from services.approval.domain.challenges import MAX_LISTED, REMEMBER
from services.approval.handlers.challenges import end_overdue, open_challenge
from services.approval.store import DecoyRepository
from shared.bus.port import Retry
from shared.errors import Blok365Error, Forbidden, Gone
from shared.store.memory import MemoryCollection
from shared.store.memory import MemoryDatabase as Database
from tests.approval.support import Approval
from tests.received import received

NOBODY = "nobodys-id"


async def test_decoy_is_kept_apart_from_accounts(approval: Approval) -> None:
    await approval.phone()
    before = approval.world.documents("approval", "accounts")
    asked = await approval.ask(NOBODY, decoy=True)
    assert approval.world.documents("approval", "accounts") == before
    (kept,) = approval.world.documents("approval", "decoys")
    assert list(kept["challenges"]) == [asked.id]
    assert approval.world.bus.dead_letters == []


async def test_decoy_under_an_accounts_id_reaches_no_phone(approval: Approval) -> None:
    """wsfed was taken over, or is wrong: the account's own request stays as it is, and nothing is added to it."""
    phone = await approval.phone()
    mine = await approval.ask()
    decoy = await approval.ask(decoy=True)
    assert await phone.listed() == [mine.id]
    with pytest.raises(Blok365Error):
        await phone.approve(decoy)
    assert await approval.outcomes() == []


@pytest.mark.parametrize("method", ["push", "qr"])
async def test_a_flood_of_decoys_is_treated_as_a_flood_of_requests(approval: Approval, method: str) -> None:
    """The same ends in the same order, and as many documents: whoever floods a name measures nothing."""
    await approval.phone()
    told, sizes = [], []
    for account, decoy in (("ada", False), (NOBODY, True)):
        approval.heard.clear()
        crowd = []
        for n in range(70):
            approval.world.clock.advance(0.001)  # as exact as a message's time
            crowd.append(await approval.ask(account, method=method, browser=f"browser-{n % 60}", decoy=decoy))
        approval.world.clock.advance(120)
        assert await end_overdue(approval.deps) == 1
        numbers = {asked.command.transaction: number for number, asked in enumerate(crowd)}
        told.append([(numbers[transaction], outcome) for transaction, outcome in await approval.outcomes()])
        where = "decoys" if decoy else "accounts"
        (document,) = approval.world.documents("approval", where)
        sizes.append(len(document["challenges"]))
    assert told[0] == told[1]
    assert len(told[0]) == 70
    assert sizes[0] == sizes[1]
    assert MAX_LISTED < sizes[0]


async def test_decoy_said_twice_and_late_changes_nothing(approval: Approval) -> None:
    asked = await approval.ask(NOBODY, decoy=True)
    (before,) = approval.world.documents("approval", "decoys")
    await approval.world.say("wsfed", asked.command)
    assert approval.world.documents("approval", "decoys") == [before]
    newer = await approval.ask(NOBODY, decoy=True)
    await approval.world.say("wsfed", asked.command)
    assert await approval.outcomes() == [(asked.command.transaction, "superseded")]
    (kept,) = approval.world.documents("approval", "decoys")
    assert {id_: c["state"] for id_, c in kept["challenges"].items()} == {
        asked.id: "superseded",
        newer.id: "open",
    }


async def test_scanned_decoy_is_another_accounts_code(approval: Approval) -> None:
    """Somebody with a phone of their own shows it the codes of names: each seems to be another account's."""
    phone = await approval.phone()
    await approval.phone("grace")
    graces = await approval.ask("grace", method="qr")
    nobodys = await approval.ask(NOBODY, method="qr", decoy=True)
    said = []
    for asked in (graces, nobodys):
        find_one = MemoryCollection.find_one
        with (
            mock.patch.object(MemoryCollection, "find_one", autospec=True, side_effect=find_one) as reads,
            pytest.raises(Forbidden) as refused,
        ):
            await phone.scan(asked)
        said.append((refused.value.code, refused.value.detail, reads.call_count))
    assert said[0] == said[1]
    approval.world.clock.advance(120)
    for asked in (graces, nobodys):
        with pytest.raises(Gone):
            await phone.scan(asked)


async def test_decoys_go_half_an_hour_after_the_last_request(approval: Approval) -> None:
    """By an index of the database, which removes what is older than that."""
    with mock.patch.object(Database, "collection") as opened:
        DecoyRepository(approval.world.databases["approval"], approval.world.signer("approval"))
    (index,) = [each for each in opened.call_args.kwargs["indexes"] if each.expire_after is not None]
    assert (index.keys, timedelta(seconds=index.expire_after)) == ((("asked_at", 1),), REMEMBER)
    await approval.ask(NOBODY, decoy=True)
    approval.world.clock.advance(60)
    await approval.ask(NOBODY, decoy=True)
    (kept,) = approval.world.documents("approval", "decoys")
    assert kept["asked_at"] == approval.world.clock.now()


async def test_an_account_without_news_still_waits_for_them(approval: Approval) -> None:
    """Only what is called a decoy may be one: a request that overtakes its account is tried again."""
    asked = await approval.ask("later", deliver=False)
    with pytest.raises(Retry):
        await open_challenge(approval.deps, received(asked.command))
    assert approval.world.documents("approval", "decoys") == []
