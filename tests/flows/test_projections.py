"""docs/flows/replication.md: what wsfed knows is whole and recent, or it signs nothing."""

from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest
from shared.projection import Follower

from deploy.local.browser import Page
from services.admin import app as admin_app
from services.admin import handlers as admin
from services.admin.handlers import NewAccount
from services.wsfed import app as wsfed_app
from shared.contracts.admin import AccountChanged, AccountStatus, AdminStatePaged
from shared.contracts.approval import ApprovalStatePaged
from shared.contracts.envelope import SignedMessage
from shared.contracts.state import StateItem
from tests.flows.support import ADA, DOMAIN, TENANT, Flow, SignIn, start_flow

SUSPENDED = "admin.account.changed.v1"


@pytest.fixture
async def flow(tmp_path: Path) -> AsyncIterator[Flow]:
    """admin, approval and wsfed, with the real limit on the age of projections."""
    async with start_flow(tmp_path, projection_max_age=300) as started:
        yield started


def wsfed_follower(flow: Flow) -> Follower:
    follower = flow.world.services["wsfed"].follower
    assert follower is not None
    return follower


def known_status(flow: Flow, account: str) -> str:
    """As wsfed knows it."""
    (found,) = (d for d in flow.world.documents("wsfed", "accounts") if d["account"] == account)
    status: str = found["status"]
    return status


def sent(flow: Flow, message_type: str) -> int:
    return sum(signed.type == message_type for signed in flow.world.bus.sent)


def no_token(flow: Flow, page: Page) -> None:
    assert "wresult" not in page.text
    assert flow.issuances() == []


async def proved(flow: Flow) -> SignIn:
    """A sign-in that waits only for its token."""
    phone = await flow.phone()
    sign_in = await flow.begin()
    code = await sign_in.push()
    (request,) = await phone.list()
    await phone.approve(code, request)
    return sign_in


async def test_a_suspended_account_whose_event_was_lost_is_refused_after_the_resync(flow: Flow) -> None:
    sign_in = await proved(flow)
    ada = await flow.account()
    # 1, 2: admin numbers its events and says how far it is; one of them gets lost on the way
    await flow.world.live(20)
    flow.world.bus.loses = lambda signed: signed.type == SUSPENDED
    await admin.suspend(flow.admin, TENANT, ADA)
    await flow.world.settle()
    flow.world.bus.loses = lambda signed: False
    assert known_status(flow, ada.id) == "active"
    # 3: the next heartbeat claims it; 30 s later that is a gap
    await flow.world.live(10)
    assert wsfed_follower(flow).alarms() == {}
    asked = sent(flow, "admin.state.resync.v1")
    await flow.world.live(20)
    assert sent(flow, "admin.state.resync.v1") == asked
    # 4, 5, 6: wsfed asks, admin answers with its whole state
    await flow.world.live(10)
    assert known_status(flow, ada.id) == "suspended"
    assert wsfed_follower(flow).alarms() == {}
    no_token(flow, await sign_in.token())


async def test_after_the_resync_the_gap_is_closed_and_nothing_is_asked_again(flow: Flow) -> None:
    await flow.phone()
    await flow.world.live(10)
    flow.world.bus.loses = lambda signed: signed.type == SUSPENDED
    await admin.suspend(flow.admin, TENANT, ADA)
    await flow.world.settle()
    flow.world.bus.loses = lambda signed: False
    before = sent(flow, "admin.state.resync.v1")
    await flow.world.live(600)
    # one question of each follower that missed it, wsfed and approval, for the only page there is
    assert sent(flow, "admin.state.resync.v1") == before + 2
    assert wsfed_follower(flow).fresh("admin")


async def test_a_gap_alarms_in_readyz_and_stops_no_requests(flow: Flow) -> None:
    await flow.world.live(10)
    flow.world.bus.loses = lambda signed: signed.type in (SUSPENDED, "admin.state.paged.v1")
    await admin.suspend(flow.admin, TENANT, ADA)
    await flow.world.settle()
    await flow.world.live(40)
    browser = await flow.browser()
    page = await browser.get(f"{flow.origin}/readyz", headers={"Accept": "application/json"})
    assert page.status == 200, page.text
    assert "a message has been missing since" in page.text


@pytest.mark.parametrize("owner", ["admin", "approval"])
async def test_sign_ins_are_refused_after_300_seconds_of_silence_and_resume_with_the_next_heartbeat(
    flow: Flow, owner: str
) -> None:
    phone = await flow.phone()
    await flow.world.live(10)
    await flow.world.live(300, silent=frozenset({owner}))
    sign_in = await flow.begin()
    await sign_in.push()  # 300 s are still allowed
    assert "silent" in wsfed_follower(flow).alarms()[owner]
    await flow.world.live(1, silent=frozenset({owner}))
    late = await flow.begin()
    page = await late.post("push")
    assert page.status == 503
    assert "current data" in page.words()
    speaker = flow.world.services[owner].owner
    assert speaker is not None
    await speaker.beat()
    await flow.world.settle()
    code = await late.push()
    (request,) = (r for r in await phone.list() if r.facts["transaction"] == late.id)
    await phone.approve(code, request)
    user = await flow.entra.verify(await late.take(), late.pending)
    assert user.upn == ADA


async def test_no_token_for_a_proved_sign_in_on_old_knowledge(flow: Flow) -> None:
    await flow.world.live(10)
    await flow.world.live(295, silent=frozenset({"admin"}))
    sign_in = await proved(flow)
    flow.world.clock.advance(6)
    page = await sign_in.token()
    assert page.status == 503
    no_token(flow, page)
    await flow.world.live(1)
    assert (await flow.entra.verify(await sign_in.take(), sign_in.pending)).upn == ADA


async def test_no_token_from_a_session_on_old_knowledge(flow: Flow) -> None:
    sign_in = await proved(flow)
    await sign_in.take()
    flow.world.clock.advance(301)
    url, _ = flow.entra.request(ADA)
    page = await sign_in.browser.get(url)
    assert page.status == 503
    assert "wresult" not in page.text


async def test_past_300_seconds_of_an_open_gap_sign_ins_are_refused(flow: Flow) -> None:
    await flow.phone()
    await flow.world.live(10)
    flow.world.bus.loses = lambda signed: signed.type in (SUSPENDED, "admin.state.paged.v1")
    await admin.suspend(flow.admin, TENANT, ADA)
    await flow.world.settle()
    await flow.world.live(10)
    await flow.world.live(300)
    assert wsfed_follower(flow).fresh("admin")
    await flow.world.live(1)
    assert not wsfed_follower(flow).fresh("admin")
    flow.world.bus.loses = lambda signed: False
    await flow.world.live(20)
    assert wsfed_follower(flow).fresh("admin")


async def test_a_new_wsfed_with_an_empty_database_becomes_ready_with_everything(flow: Flow) -> None:
    phone = await flow.phone()
    new = NewAccount("bob@contoso.example", "Bob", "Berg", "bob@private.example")
    bob = await admin.create_account(flow.admin, TENANT, new)
    await admin.remove(flow.admin, TENANT, bob.id)
    await flow.world.live(10)
    old = flow.world.databases["wsfed"]
    fresh = await flow.world.restart(wsfed_app.build, "wsfed", empty=True)
    assert fresh.follower is not None
    assert dict(fresh.follower.ready()) == {"admin": False, "approval": False}
    assert not fresh.follower.fresh("admin")
    await flow.world.live(1)
    assert dict(fresh.follower.ready()) == {"admin": True, "approval": True}
    now = flow.world.databases["wsfed"].data
    assert now is not old.data

    def kept(data: dict[str, dict[str, Any]], name: str) -> dict[str, Any]:
        return {i: {k: v for k, v in d.items() if k != "outbox"} for i, d in data[name].items()}

    for collection in ("tenants", "accounts", "invitations", "devices"):
        assert kept(now, collection) == kept(old.data, collection)
    (device,) = now["devices"].values()
    assert device["public_key"] == phone.key.spki


@pytest.mark.long
async def test_1000_accounts_arrive_in_pages(flow: Flow) -> None:
    people = (
        NewAccount(f"person{n:04d}@{DOMAIN}", "Zoë", f"Müller {n}", f"p{n}@mail.example") for n in range(1000)
    )
    await admin.create_accounts(
        flow.admin, TENANT, people
    )  # their events wait for the sweeper, which does not run
    assert len(flow.world.documents("wsfed", "accounts")) == 1
    before = sent(flow, "admin.state.paged.v1")
    await wsfed_follower(flow).want(["admin"])
    await flow.world.live(10)
    assert len(flow.world.documents("wsfed", "accounts")) == 1001
    pages = [p for p in flow.world.bus.sent if p.type == "admin.state.paged.v1"][before:]
    assert len(pages) == 5
    assert max(len(page.body) for page in pages) < 200_000
    assert flow.world.bus.dead_letters == []


async def test_many_accounts_at_once_raise_no_alarm(flow: Flow) -> None:
    people = (NewAccount(f"person{n:03d}@{DOMAIN}", "A", f"B {n}", f"p{n}@mail.example") for n in range(300))
    await admin.create_accounts(flow.admin, TENANT, people)
    before = sent(flow, "admin.state.resync.v1")
    await flow.world.live(200)
    assert wsfed_follower(flow).alarms() == {}
    assert sent(flow, "admin.state.resync.v1") == before


@pytest.mark.long
@pytest.mark.parametrize("which", [1, 2, 4])
async def test_a_page_lost_in_the_middle_is_asked_for_again(flow: Flow, which: int) -> None:
    people = (NewAccount(f"person{n:04d}@{DOMAIN}", "A", f"B {n}", f"p{n}@mail.example") for n in range(800))
    await admin.create_accounts(flow.admin, TENANT, people)
    seen = 0

    def lose_one(signed: SignedMessage) -> bool:
        nonlocal seen
        seen += signed.type == "admin.state.paged.v1"
        return signed.type == "admin.state.paged.v1" and seen == which

    flow.world.bus.loses = lose_one
    await wsfed_follower(flow).want(["admin"])
    await flow.world.live(10)
    assert seen == which
    assert len(flow.world.documents("wsfed", "accounts")) < 801
    await flow.world.live(20)
    assert len(flow.world.documents("wsfed", "accounts")) == 801
    assert seen == 5


async def suspended_page(flow: Flow, **changes: Any) -> AdminStatePaged:
    ada = await flow.account()
    news = AccountChanged(
        version=99,
        account=ada.id,
        upn=ada.upn,
        display_name=ada.display_name,
        immutable_id=ada.immutable_id,
        status=AccountStatus.REMOVED,
    )
    item = StateItem(type=SUSPENDED, tenant=TENANT, body=news.model_dump(mode="json"))
    page = AdminStatePaged(resync="r", to="wsfed", after="", next=None, items=(item,))
    return page.model_copy(update=changes)


async def test_a_page_forged_by_another_service_is_refused(flow: Flow) -> None:
    before = known_status(flow, (await flow.account()).id)
    page = await suspended_page(flow)
    for key_of in ("approval", None):
        signed = flow.sign(page, sender="admin", key_of=key_of)
        await flow.publish(signed)
        signed = flow.sign(page, sender="approval", key_of=key_of)
        await flow.publish(signed)
    assert known_status(flow, (await flow.account()).id) == before
    assert len(flow.reasons()) == 4
    assert all(reason.startswith("refused") for reason in flow.reasons())


async def test_a_taken_over_approval_cannot_put_accounts_into_its_own_pages(flow: Flow) -> None:
    account = (await flow.account()).id
    before = known_status(flow, account)
    page = await suspended_page(flow)
    flow.world.bus.loses = lambda signed: signed.type == "approval.state.resync.v1"
    await wsfed_follower(flow).want(["approval"])
    await flow.world.live(1)
    (record,) = (d for d in flow.world.documents("wsfed", "follows") if d["_id"] == "approval")
    forged = page.model_copy(update={"resync": record["resync"]["id"]}).model_dump()
    await flow.say("approval", type_of_approval_page(forged), tenant="-")
    assert known_status(flow, account) == before
    assert any("a page of approval with admin.account.changed.v1" in reason for reason in flow.reasons())


def type_of_approval_page(fields: dict[str, Any]) -> Any:
    return ApprovalStatePaged.model_validate(fields)


async def test_pages_for_another_service_and_of_no_resync_of_ours_change_nothing(flow: Flow) -> None:
    account = (await flow.account()).id
    before = known_status(flow, account)
    await flow.say("admin", await suspended_page(flow, to="approval"), tenant="-")
    await flow.say("admin", await suspended_page(flow), tenant="-")
    assert known_status(flow, account) == before
    assert flow.reasons() == []


async def test_an_owner_that_crashed_may_have_taken_its_last_event_with_it(flow: Flow) -> None:
    await flow.world.live(10)
    flow.world.bus.loses = lambda signed: signed.type == SUSPENDED
    await admin.suspend(flow.admin, TENANT, ADA)
    await flow.world.settle()
    flow.world.bus.loses = lambda signed: False
    await flow.world.restart(admin_app.build, "admin")
    await flow.world.live(20)
    ada = (await flow.account()).id
    assert known_status(flow, ada) == "invited"
    await flow.world.live(20)
    assert known_status(flow, ada) == "suspended"
    assert wsfed_follower(flow).alarms() == {}


async def test_an_owner_that_ends_in_good_order_and_starts_again_costs_no_resync(flow: Flow) -> None:
    await flow.world.live(10)
    ended = flow.world.services["admin"]
    assert ended.owner is not None
    await ended.owner.close()
    await flow.world.settle()
    await flow.world.restart(admin_app.build, "admin")
    before = sent(flow, "admin.state.resync.v1")
    await flow.world.live(120)
    assert sent(flow, "admin.state.resync.v1") == before
    assert wsfed_follower(flow).alarms() == {}
    assert wsfed_follower(flow).fresh("admin")
