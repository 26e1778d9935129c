"""Commands that come twice, late, or after the state moved on change nothing that they were not about."""

from datetime import timedelta
from typing import Any

import pytest

from services.admin import handlers as admin
from services.approval.domain import challenges
from shared.bus.memory import DeadLetter
from shared.contracts.approval import UnfreezePush
from shared.errors import Conflict
from tests.flows.support import TENANT, Flow, Phone


def account(flow: Flow) -> dict[str, Any]:
    (found,) = flow.world.documents("approval", "accounts")
    return found


async def reported(flow: Flow, phone: Phone) -> None:
    """Somebody asks, and the person answers "Not me"."""
    await (await flow.begin()).push()
    await phone.not_me()
    await flow.world.settle()


async def scanned(flow: Flow, phone: Phone) -> None:
    """The person signs in by QR code, which ends a freeze."""
    sign_in = await flow.begin()
    code = await sign_in.qr()
    request = await phone.scan(f"{flow.phone_origin}/#q={sign_in.stored['challenge']['handle']}")
    await phone.approve(code, request)


async def test_unfreeze_ends_the_freeze_that_was_seen_and_its_copies_no_newer_one(flow: Flow) -> None:
    phone = await flow.phone()
    await reported(flow, phone)
    await admin.unfreeze(flow.admin, TENANT, "ada@contoso.example")
    await flow.world.settle()
    assert account(flow)["frozen_at"] is None
    (command,) = flow.sent("approval.push.unfreeze.v1")
    await flow.publish(command)
    await reported(flow, phone)
    for _ in range(2):
        await flow.publish(command)
    assert account(flow)["frozen_at"] is not None


async def test_unfreeze_that_was_held_up_until_the_freeze_was_over_leaves_the_next_one(flow: Flow) -> None:
    """Never delivered before: a counter of what was received would not stop it."""
    phone = await flow.phone()
    await reported(flow, phone)
    flow.world.bus.loses = lambda signed: signed.type == UnfreezePush.TYPE
    await admin.unfreeze(flow.admin, TENANT, "ada@contoso.example")
    await flow.world.settle()
    await scanned(flow, phone)
    assert account(flow)["frozen_at"] is None
    await reported(flow, phone)
    flow.world.bus.loses = lambda signed: False
    (command,) = flow.sent(UnfreezePush.TYPE)
    await flow.publish(command)
    assert account(flow)["frozen_at"] is not None


async def test_a_second_report_while_frozen_is_not_ended_by_whoever_saw_the_first(flow: Flow) -> None:
    phone = await flow.phone()
    for _ in range(2):
        await (await flow.begin()).push()
    first, second = await phone.list()
    await phone.not_me(first)
    await flow.world.settle()
    flow.world.bus.loses = lambda signed: signed.type == UnfreezePush.TYPE
    await admin.unfreeze(flow.admin, TENANT, "ada@contoso.example")
    await flow.world.settle()
    await phone.not_me(second)
    flow.world.bus.loses = lambda signed: False
    (command,) = flow.sent(UnfreezePush.TYPE)
    await flow.publish(command)
    assert account(flow)["frozen_at"] is not None


async def test_unfreeze_a_week_later_is_refused(flow: Flow) -> None:
    phone = await flow.phone()
    await reported(flow, phone)
    await admin.unfreeze(flow.admin, TENANT, "ada@contoso.example")
    await flow.world.settle()
    (command,) = flow.sent(UnfreezePush.TYPE)
    flow.world.clock.advance(7 * 24 * 3600)
    await reported(flow, phone)
    await flow.publish(command)
    assert account(flow)["frozen_at"] is not None
    assert any("old" in reason for reason in flow.reasons("approval"))


async def test_admin_has_nothing_to_name_when_nothing_is_frozen(flow: Flow) -> None:
    phone = await flow.phone()
    with pytest.raises(Conflict, match="not frozen"):
        await admin.unfreeze(flow.admin, TENANT, "ada@contoso.example")
    await reported(flow, phone)
    await scanned(flow, phone)
    await flow.world.settle()
    with pytest.raises(Conflict, match="not frozen"):
        await admin.unfreeze(flow.admin, TENANT, "ada@contoso.example")
    assert flow.sent(UnfreezePush.TYPE) == []


async def test_what_is_frozen_reaches_admin_by_pull_when_its_event_is_lost(flow: Flow) -> None:
    phone = await flow.phone()
    flow.world.bus.loses = lambda signed: signed.type == "approval.freeze.changed.v1"
    await reported(flow, phone)
    flow.world.bus.loses = lambda signed: False
    await flow.world.live(20)
    await admin.unfreeze(flow.admin, TENANT, "ada@contoso.example")
    await flow.world.settle()
    assert account(flow)["frozen_at"] is None


async def flood(flow: Flow, count: int) -> None:
    """That many requests of one stranger's browser, each of which supersedes the one before."""
    browser = await flow.browser()
    for _ in range(count):
        flow.world.clock.advance(0.5)
        await (await flow.begin(browser=browser)).push()


@pytest.mark.long
async def test_open_challenge_replayed_after_a_flood_does_not_reopen_what_has_ended(flow: Flow) -> None:
    """Superseded, so the phone's answer keeps no place for it; the flood then takes its tombstone's."""
    await flow.phone()
    mine = await flow.begin()
    await mine.push()
    ended = mine.stored["challenge"]["context"]["challenge"]
    await mine.push()
    (command, _) = flow.sent("approval.challenge.open.v1")
    await flood(flow, challenges.MAX_REMEMBERED + 10)
    assert ended not in account(flow)["challenges"]
    for _ in range(2):
        await flow.publish(command)
    assert ended not in account(flow)["challenges"]
    assert flow.reasons("approval")[-2:] == ["rejected: as old as requests that are forgotten"] * 2


@pytest.mark.long
async def test_a_strangers_flood_does_not_have_a_known_browsers_late_request_refused(flow: Flow) -> None:
    phone = await flow.phone()
    home = await flow.begin()
    await phone.approve(await home.push())
    await home.take()
    flow.world.clock.advance(60)
    known = await flow.begin(browser=home.browser, prompt="login")
    flow.world.bus.loses = lambda signed: signed.type == "approval.challenge.open.v1"
    await known.push()
    flow.world.bus.loses = lambda signed: False
    late = flow.sent("approval.challenge.open.v1")[-1]
    await flood(flow, challenges.MAX_REMEMBERED + 10)
    assert [f["known"] for f in account(flow)["forgotten"]] == [False]
    await flow.publish(late)
    (request,) = [r for r in await phone.list() if r.facts["known_browser"]]
    assert request.facts["transaction"] == known.id


async def test_open_challenge_that_comes_after_its_own_time_opens_nothing(flow: Flow) -> None:
    """120 s, and 5 minutes by which clocks may differ."""
    phone = await flow.phone()
    flow.world.bus.loses = lambda signed: signed.type == "approval.challenge.open.v1"
    await (await flow.begin()).push()
    flow.world.bus.loses = lambda signed: False
    (command,) = flow.sent("approval.challenge.open.v1")
    flow.world.clock.advance(timedelta(minutes=7).total_seconds())
    await flow.publish(command)
    assert await phone.list() == []
    (letter,) = flow.world.bus.dead_letters
    assert isinstance(letter, DeadLetter)
    assert letter.reason == "rejected: the request was over before it came"
