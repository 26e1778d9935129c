"""docs/flows/replication.md: what wsfed knows is whole and recent, or it signs nothing. Comments count its steps."""

import asyncio
import copy
import json
from collections.abc import AsyncIterator, Callable
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from deploy.local.browser import Page
from services.admin import app as admin_app
from services.admin import handlers as admin
from services.admin.handlers import NewAccount
from services.approval import app as approval_app
from services.wsfed import app as wsfed_app
from shared.bus.delivery import Verdict
from shared.contracts import contracts
from shared.contracts.admin import AccountChanged, AccountStatus, AdminStatePulled
from shared.contracts.approval import ApprovalStatePulled
from shared.contracts.envelope import SignedMessage
from shared.contracts.state import StateItem
from shared.replication import Subscriptions
from shared.store.memory import MemoryDatabase
from tests.flows.support import ADA, DOMAIN, TENANT, Flow, SignIn, start_flow
from tests.world import make_system

pytestmark = pytest.mark.long

ACCOUNT = AccountChanged.TYPE
PULL, PULLED = "admin.state.pull.v1", "admin.state.pulled.v1"
Backup = dict[str, dict[str, dict[str, Any]]]


@pytest.fixture
async def flow(tmp_path: Path) -> AsyncIterator[Flow]:
    """admin, approval and wsfed, with the real limit on the age of projections."""
    async with start_flow(tmp_path, projection_max_age=300) as started:
        yield started


def follower(flow: Flow, service: str = "wsfed") -> Subscriptions:
    found = flow.world.services[service].subscriptions
    assert found is not None
    return found


def known_status(flow: Flow, account: str) -> str:
    """As wsfed knows it; `lapsed` when its owner no longer has it."""
    (found,) = (d for d in flow.world.documents("wsfed", "accounts") if d["account"] == account)
    status: str = "lapsed" if found.get("lapsed") else found["status"]
    return status


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


async def losing(flow: Flow, *types: str, step: Callable[[], Any]) -> None:
    """Take a step whose messages of these types get lost on the way."""
    flow.world.bus.loses = lambda signed: signed.type in types
    await step()
    await flow.world.settle()
    flow.world.bus.loses = lambda signed: False


async def imported(flow: Flow, count: int) -> None:
    """A bulk import: no event speaks of these accounts."""
    people = (
        NewAccount(f"person{n:04d}@{DOMAIN}", "Zoë", f"Müller {n}", f"p{n}@mail.example")
        for n in range(count)
    )
    task = asyncio.create_task(admin.create_accounts(flow.admin, TENANT, people))
    while not task.done():
        await asyncio.sleep(0)
        flow.world.clock.advance(1)  # so many a second and no more
    await task


# --- a lost event ------------------------------------------------------------------------------------------------


async def test_a_suspension_whose_event_was_lost_is_in_force_within_20_seconds(flow: Flow) -> None:
    sign_in = await proved(flow)
    ada = await flow.account()
    await flow.world.live(20)
    await losing(flow, ACCOUNT, step=lambda: admin.suspend(flow.admin, TENANT, ADA))
    assert known_status(flow, ada.id) == "active"
    # 1: the next recent pull; 2, 3, 4: what changed since; 6: the event's own handler
    for _ in range(10):
        if known_status(flow, ada.id) == "suspended":
            break
        await flow.world.live(2)
    assert known_status(flow, ada.id) == "suspended"
    assert follower(flow).alarms() == {}
    no_token(flow, await sign_in.token())


@pytest.mark.parametrize("lost", [PULL, PULLED])
async def test_a_suspension_whose_event_and_pull_were_lost_is_in_force_with_the_question_again(
    flow: Flow, lost: str
) -> None:
    await flow.phone()
    ada = await flow.account()
    await flow.world.live(20)
    await losing(flow, ACCOUNT, step=lambda: admin.suspend(flow.admin, TENANT, ADA))
    await losing(flow, lost, step=lambda: flow.world.live(10))
    assert known_status(flow, ada.id) == "active"
    await flow.world.live(14 + 2)  # 8: asked again after 15 s, at a look
    assert known_status(flow, ada.id) == "suspended"


async def test_afterwards_each_follower_goes_on_asking_every_ten_seconds_and_hears_it_twice(
    flow: Flow,
) -> None:
    await flow.phone()
    await flow.world.live(30)
    await losing(flow, ACCOUNT, step=lambda: admin.suspend(flow.admin, TENANT, ADA))
    before, messages = len(flow.sent(PULL)), len(flow.world.bus.sent)
    await flow.world.live(600)
    assert len(flow.sent(PULL)) == before + 2 * 60  # 1: wsfed and approval
    pages = [p for p in flow.world.bus.sent[messages:] if p.type == PULLED]
    for reader in ("wsfed", "approval"):  # 7
        assert sum(ACCOUNT.encode() in p.body for p in pages if p.to == reader) == 2
    assert follower(flow).fresh("admin")
    assert flow.world.bus.dead_letters == []


async def test_a_removed_phone_whose_event_was_lost_opens_nothing(flow: Flow) -> None:
    sign_in = await proved(flow)
    await sign_in.take()
    await flow.world.live(20)

    async def remove() -> None:
        await admin.remove_device(flow.admin, TENANT, ADA, None)

    await losing(flow, "admin.authenticator.changed.v1", "approval.device.changed.v1", step=remove)
    await flow.world.live(20)
    (device,) = flow.world.documents("wsfed", "devices")
    assert device["removed"]
    (decision,) = flow.world.documents("wsfed", "authenticators")
    assert decision["status"] == "revoked"
    url, _ = flow.entra.request(ADA)
    assert "wresult" not in (await sign_in.browser.get(url)).text


# --- silence -----------------------------------------------------------------------------------------------------


async def test_silence_alarms_in_readyz_and_stops_no_requests(flow: Flow) -> None:
    await flow.world.live(10)
    await flow.world.live(40, silent=frozenset({"admin"}))
    browser = await flow.browser()
    page = await browser.get(f"{flow.origin}/readyz", headers={"Accept": "application/json"})
    assert page.status == 200, page.text
    assert "silent since" in page.text


@pytest.mark.parametrize("owner", ["admin", "approval"])
async def test_sign_ins_are_refused_after_300_seconds_of_silence_and_resume_with_the_next_pull(
    flow: Flow, owner: str
) -> None:
    phone = await flow.phone()
    await flow.world.live(10)
    await flow.world.live(300, silent=frozenset({owner}))
    sign_in = await flow.begin()
    await sign_in.push()  # 300 s are still allowed
    assert "silent" in follower(flow).alarms()[owner]
    await flow.world.live(1, silent=frozenset({owner}))
    late = await flow.begin()
    page = await late.post("push")  # 9
    assert page.status == 503
    assert "up-to-date data" in page.words()
    answer = await late.browser.post(
        f"{late.url}/push", {"csrf": late.csrf}, headers={"Accept": "application/json"}
    )
    assert (answer.status, "stale" in answer.text) == (503, True)
    await flow.world.live(62)  # the longest that a question waits
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
    await flow.world.live(62)
    assert (await flow.entra.verify(await sign_in.take(), sign_in.pending)).upn == ADA


async def test_no_token_from_a_session_on_old_knowledge(flow: Flow) -> None:
    sign_in = await proved(flow)
    await sign_in.take()
    flow.world.clock.advance(301)
    url, _ = flow.entra.request(ADA)
    page = await sign_in.browser.get(url)
    assert page.status == 503
    assert "wresult" not in page.text


async def test_answers_that_never_come_count_as_silence(flow: Flow) -> None:
    """Questions are heard and events go on arriving: without a complete pull nothing is known to be whole."""
    await flow.phone()
    await flow.world.live(10)
    flow.world.bus.loses = lambda signed: signed.type == PULLED
    await flow.world.live(299)
    await admin.suspend(flow.admin, TENANT, ADA)
    await flow.world.settle()
    assert known_status(flow, (await flow.account()).id) == "suspended"
    assert follower(flow).fresh("admin")
    await flow.world.live(2)
    assert not follower(flow).fresh("admin")
    flow.world.bus.loses = lambda signed: False
    await flow.world.live(62)
    assert follower(flow).fresh("admin")
    assert follower(flow).alarms() == {}


async def test_an_owner_that_was_away_for_an_hour_is_caught_up_with_in_a_minute(flow: Flow) -> None:
    await flow.phone()
    await flow.world.live(10)
    flow.world.bus.loses = lambda signed: signed.type.startswith("admin.")
    await flow.world.live(1800, silent=frozenset({"admin"}))
    await admin.suspend(flow.admin, TENANT, ADA)
    await flow.person("bob@contoso.example")
    await flow.world.live(1800, silent=frozenset({"admin"}))
    flow.world.bus.loses = lambda signed: False
    assert not follower(flow).fresh("admin")
    await flow.world.live(62)
    assert follower(flow).fresh("admin")
    assert known_status(flow, (await flow.account()).id) == "suspended"
    assert known_status(flow, (await flow.account("bob@contoso.example")).id) == "invited"
    assert follower(flow).alarms() == {}


# --- the first pull ----------------------------------------------------------------------------------------------


async def test_a_new_wsfed_with_an_empty_database_becomes_ready_with_everything(flow: Flow) -> None:
    phone = await flow.phone()
    new = NewAccount("bob@contoso.example", "Bob", "Berg", "bob@private.example")
    bob = await admin.create_account(flow.admin, TENANT, new)
    await admin.remove(flow.admin, TENANT, bob.id)
    await flow.world.live(10)
    old = flow.world.databases["wsfed"]
    fresh = await flow.world.restart(wsfed_app.build, "wsfed", empty=True)
    assert fresh.subscriptions is not None
    assert dict(fresh.subscriptions.ready()) == {"admin": False, "approval": False}
    assert not fresh.subscriptions.fresh("admin")
    checks = await fresh.ready()
    assert checks["admin_known"] is False  # 9: not ready
    assert checks["approval_known"] == "not yet"  # ready without it
    await flow.world.live(1)
    assert dict(fresh.subscriptions.ready()) == {"admin": True, "approval": True}
    now = flow.world.databases["wsfed"].data
    assert now is not old.data

    own = ("confirmed", "added", "accepted_at")  # when this database learned it

    def kept(data: Backup, name: str) -> dict[str, Any]:
        return {i: {k: v for k, v in d.items() if k not in own} for i, d in data[name].items()}

    for collection in ("tenants", "accounts", "invitations", "devices"):
        assert kept(now, collection) == kept(old.data, collection)
    (device,) = now["devices"].values()
    assert device["public_key"] == phone.key.spki


async def test_a_service_that_is_added_to_a_running_system_pulls_what_was_there_before_it(
    tmp_path: Path,
) -> None:
    """No event of the past reaches its queue: it did not exist."""
    world = make_system(tmp_path, projection_max_age=300)
    wired = admin_app.build(world.platform)
    await world.begin(wired.service)
    await world.start(approval_app.build)
    await admin.create_tenant(wired.dependencies, TENANT, "Contoso")
    await admin.add_domain(wired.dependencies, TENANT, DOMAIN)
    await admin.create_account(
        wired.dependencies, TENANT, NewAccount(ADA, "Ada", "Lovelace", "ada@private.example")
    )
    await world.live(3600)
    await world.start(wsfed_app.build)
    (known,) = world.documents("wsfed", "accounts")
    assert known["upn"] == ADA
    added = world.services["wsfed"].subscriptions
    assert added is not None
    assert dict(added.ready()) == {"admin": True, "approval": True}
    assert all(added.fresh(owner) for owner in ("admin", "approval"))


@pytest.mark.long
async def test_1000_accounts_arrive_in_pages(flow: Flow) -> None:
    await imported(flow, 1000)
    assert len(flow.world.documents("wsfed", "accounts")) == 1
    await flow.world.live(10)  # no event speaks of them, the recent pull does
    assert len(flow.world.documents("wsfed", "accounts")) == 1001
    messages = len(flow.world.bus.sent)
    await follower(flow).want_all(["admin"])
    await flow.world.live(2)
    pages = [p for p in flow.world.bus.sent[messages:] if p.type == PULLED and b'"since"' not in p.body]
    assert len(pages) == 5  # a tenant and 1001 accounts, 250 to a page
    assert max(len(page.body) for page in pages) < 200_000
    assert flow.world.bus.dead_letters == []
    assert follower(flow).alarms() == {}


async def test_many_accounts_at_once_raise_no_alarm(flow: Flow) -> None:
    await imported(flow, 300)
    await flow.world.live(200)
    assert follower(flow).alarms() == {}
    assert len(flow.world.documents("wsfed", "accounts")) == 301


@pytest.mark.long
@pytest.mark.parametrize("which", [1, 2, 4])
async def test_a_page_lost_in_the_middle_is_asked_for_again(flow: Flow, which: int) -> None:
    await imported(flow, 800)
    fresh = await flow.world.restart(wsfed_app.build, "wsfed", empty=True)
    assert fresh.subscriptions is not None
    ready, seen = fresh.subscriptions.ready, 0

    def lose_one(signed: SignedMessage) -> bool:
        nonlocal seen
        page = signed.type == PULLED and signed.to == "wsfed" and not ready()["admin"]
        seen += page
        return page and seen == which

    flow.world.bus.loses = lose_one
    await flow.world.live(10)
    assert seen == which
    assert len(flow.world.documents("wsfed", "accounts")) < 801
    await flow.world.live(8)
    assert len(flow.world.documents("wsfed", "accounts")) == 801
    assert seen == 5
    assert ready()["admin"]


# --- forged pages ------------------------------------------------------------------------------------------------


async def suspended_page(flow: Flow, **changes: Any) -> AdminStatePulled:
    ada = await flow.account()
    news = AccountChanged(
        version=99,
        account=ada.id,
        upn=ada.upn,
        display_name=ada.display_name,
        immutable_id=ada.immutable_id,
        status=AccountStatus.REMOVED,
    )
    item = StateItem(type=ACCOUNT, tenant=TENANT, body=news.model_dump(mode="json"))
    page = AdminStatePulled(
        request="r",
        to="wsfed",
        after="",
        next=None,
        items=(item,),
        until="4000000000.0000000001",
        generation=0,
    )
    return page.model_copy(update=changes)


async def under_way(flow: Flow, owner: str) -> str:
    """The request of a pull whose question got lost."""
    await losing(flow, f"{owner}.state.pull.v1", step=lambda: flow.world.live(10))
    (record,) = (d for d in flow.world.documents("wsfed", "subscriptions") if d["_id"] == owner)
    request: str = record["recent"]["request"]
    return request


async def test_a_page_forged_by_another_service_is_refused(flow: Flow) -> None:
    """It knows the request's name, and even so it has no key."""
    before = known_status(flow, (await flow.account()).id)
    page = await suspended_page(flow, request=await under_way(flow, "admin"))
    for key_of in ("approval", None):
        await flow.publish(flow.sign(page, sender="admin", key_of=key_of))
        await flow.publish(flow.sign(page, sender="approval", key_of=key_of))
    assert known_status(flow, (await flow.account()).id) == before
    assert len(flow.reasons()) == 4
    assert all(reason.startswith("refused") for reason in flow.reasons())


async def test_a_taken_over_approval_cannot_put_accounts_into_its_own_pages(flow: Flow) -> None:
    account = (await flow.account()).id
    before = known_status(flow, account)
    page = await suspended_page(flow, request=await under_way(flow, "approval"))
    forged = ApprovalStatePulled.model_validate(page.model_dump())
    await flow.say("approval", forged, tenant="-")
    assert known_status(flow, account) == before
    assert any(f"a page of approval with {ACCOUNT}" in reason for reason in flow.reasons())


async def test_a_page_for_another_service_and_of_no_pull_of_ours_change_nothing(flow: Flow) -> None:
    account = (await flow.account()).id
    before = known_status(flow, account)
    await flow.say("admin", await suspended_page(flow, to="approval"), tenant="-")
    await flow.say("admin", await suspended_page(flow), tenant="-")
    assert known_status(flow, account) == before
    assert flow.reasons() == []
    # it is for approval inside, and whoever carries it gave it to wsfed
    page = await suspended_page(flow, to="approval", request=await under_way(flow, "admin"))
    signed = flow.sign(page, sender="admin", key_of="admin")
    await flow.publish(SignedMessage(signed.id, signed.type, signed.body, signed.signature, "wsfed"))
    assert known_status(flow, account) == before
    assert flow.reasons() == ["rejected: a page for approval"]


# --- owners that end and start -----------------------------------------------------------------------------------


async def test_an_owner_that_crashed_may_have_taken_its_last_event_with_it(flow: Flow) -> None:
    await flow.world.live(10)
    await losing(flow, ACCOUNT, step=lambda: admin.suspend(flow.admin, TENANT, ADA))
    await flow.world.restart(admin_app.build, "admin")
    ada = (await flow.account()).id
    assert known_status(flow, ada) == "invited"
    await flow.world.live(20)
    assert known_status(flow, ada) == "suspended"
    assert follower(flow).alarms() == {}


async def test_an_owner_that_starts_again_costs_nothing(flow: Flow) -> None:
    await flow.world.live(30)
    await flow.world.restart(admin_app.build, "admin")
    messages = len(flow.world.bus.sent)
    await flow.world.live(120)
    later = flow.world.bus.sent[messages:]
    assert sum(p.type == PULL for p in later) == 2 * 12
    assert all(b'"items":[]' in p.body for p in later if p.type == PULLED)
    assert follower(flow).alarms() == {}
    assert follower(flow).fresh("admin")


# --- a backup that was put back ----------------------------------------------------------------------------------


async def put_back(flow: Flow, backup: Backup, *, command: bool = True) -> None:
    """admin's database as it was, and `blok365 restore admin` unless it is forgotten; then admin starts."""
    flow.world.bus.forget("admin")
    restored = copy.deepcopy(backup)
    if command:
        await MemoryDatabase(clock=flow.world.clock, data=restored).raise_generation(0)
    flow.world.kept["admin"] = restored
    wired = admin_app.build(flow.world.platform)
    await flow.world.begin(wired.service)
    flow.admin = wired.dependencies


async def test_followers_end_as_the_backup_says(flow: Flow) -> None:
    ada = await flow.account()
    resumed = await flow.person("resumed@contoso.example")
    await admin.suspend(flow.admin, TENANT, resumed.upn)
    await flow.world.live(20)
    backup = copy.deepcopy(flow.world.databases["admin"].data)
    # all this is no more when the backup is back
    await flow.world.live(3600)
    later = await flow.person("later@contoso.example")
    await admin.resume(flow.admin, TENANT, resumed.upn)
    for _ in range(5):
        await admin.suspend(flow.admin, TENANT, ADA)
        await admin.resume(flow.admin, TENANT, ADA)
    await admin.remove(flow.admin, TENANT, ADA)
    await flow.world.live(20)
    assert [known_status(flow, a.id) for a in (ada, resumed, later)] == ["removed", "invited", "invited"]
    await put_back(flow, backup)
    await flow.world.live(30)
    assert [known_status(flow, a.id) for a in (ada, resumed, later)] == ["invited", "suspended", "lapsed"]
    approvals = {d["id"]: d["status"] for d in flow.world.documents("approval", "accounts")}
    assert [approvals[a.id] for a in (ada, resumed, later)] == ["invited", "suspended", None]
    assert follower(flow).fresh("admin")
    # and people go on from there
    phone = await flow.phone()
    sign_in = await flow.begin()
    await phone.approve(await sign_in.push())
    assert (await flow.entra.verify(await sign_in.take(), sign_in.pending)).upn == ADA
    await admin.suspend(flow.admin, TENANT, ADA)
    await flow.world.settle()
    assert known_status(flow, ada.id) == "suspended"  # at once, by its event
    assert flow.world.bus.dead_letters == []


async def test_nobody_signs_in_with_an_account_that_was_made_after_the_backup(flow: Flow) -> None:
    await flow.world.live(20)
    backup = copy.deepcopy(flow.world.databases["admin"].data)
    await flow.person("later@contoso.example")
    phone = await flow.phone("later@contoso.example")
    sign_in = await flow.begin("later@contoso.example")
    await phone.approve(await sign_in.push())
    await put_back(flow, backup)
    await flow.world.live(30)
    no_token(flow, await sign_in.token())
    again = await flow.begin("later@contoso.example")
    await again.post("push")
    assert again.stored["account"] is None


async def test_a_second_backup_put_back_without_the_command_stops_sign_ins(flow: Flow) -> None:
    backup = copy.deepcopy(flow.world.databases["admin"].data)
    await put_back(flow, backup)
    await flow.world.live(20)
    await put_back(flow, backup, command=False)
    await flow.world.live(302)
    assert not follower(flow).fresh("admin")
    late = await flow.begin()
    assert (await late.post("push")).status == 503


# --- what comes before what it needs -----------------------------------------------------------------------------


INVITED, ENROLLED = "admin.invitation.changed.v1", "approval.device.changed.v1"


@pytest.mark.parametrize("order", ["device first", "invitation first", "each twice", "used first", "late"])
async def test_a_device_is_trusted_whichever_of_it_and_its_invitation_comes_first(
    flow: Flow, order: str
) -> None:
    phone = await flow.phone()
    (device,) = flow.sent(ENROLLED)
    issued, used = flow.sent(INVITED)
    await flow.world.restart(wsfed_app.build, "wsfed", empty=True)
    if order == "late":
        flow.world.clock.advance(3 * 24 * 3600)  # the invitation's time is over long since
    messages = {
        "device first": [device, issued],
        "invitation first": [issued, device],
        "each twice": [device, device, issued, issued, device],
        "used first": [device, used, issued],
        "late": [device, used],
    }[order]
    for signed in messages:
        await flow.publish(signed)
        if flow.world.documents("wsfed", "invitations") == []:
            assert flow.world.documents("wsfed", "devices") == []  # a claim, which nobody trusts
            assert len(flow.world.documents("wsfed", "claims")) == 1
    (kept,) = flow.world.documents("wsfed", "devices")
    assert kept["public_key"] == phone.key.spki
    assert flow.world.documents("wsfed", "claims") == []
    assert flow.world.bus.dead_letters == []


async def test_a_claim_under_a_strange_key_is_dropped_when_its_invitation_comes(flow: Flow) -> None:
    await flow.phone()
    (device,) = flow.sent(ENROLLED)
    issued, _ = flow.sent(INVITED)
    await flow.world.restart(wsfed_app.build, "wsfed", empty=True)
    true = contracts()[ENROLLED].model_validate_json(body_of(device))
    evil = true.model_copy(update={"device": "evil", "credential_id": "evil"})
    await flow.say("approval", evil)
    await flow.publish(issued)
    assert flow.world.documents("wsfed", "devices") == []
    assert flow.world.documents("wsfed", "claims") == []
    await flow.publish(device)  # and the invitation is not used up
    assert [d["_id"] for d in flow.world.documents("wsfed", "devices")] == [f"{TENANT}/{true.device}"]  # type: ignore[attr-defined]


def body_of(signed: SignedMessage) -> str:
    return json.dumps(json.loads(signed.body)["body"])


async def test_a_device_that_lapsed_with_its_invitation_is_back_when_both_owners_say_them_again(
    flow: Flow,
) -> None:
    """The device comes first and waits as a claim: that its owner's own database says it must not be forgotten."""
    await flow.phone()
    await flow.world.live(20)
    wsfed = flow.world.databases["wsfed"].data
    for collection in ("devices", "invitations"):
        (row,) = wsfed[collection].values()
        row["lapsed"] = True
    await follower(flow).want_all(["approval"])
    await flow.world.live(4)
    assert len(wsfed["claims"]) == 1
    await follower(flow).want_all(["admin"])
    await flow.world.live(4)
    assert wsfed["claims"] == {}
    assert [row.get("lapsed") for row in wsfed["devices"].values()] == [None]
    assert [row.get("lapsed") for row in wsfed["invitations"].values()] == [None]


async def test_a_claim_does_not_outlive_the_restored_database_that_no_longer_has_its_device(
    flow: Flow,
) -> None:
    """Otherwise a late invitation would make a phone trusted that approval does not know, and so nobody can remove."""
    await flow.phone()
    await flow.world.live(20)
    (device,) = flow.sent(ENROLLED)
    issued, used = flow.sent(INVITED)
    wsfed, approval = (flow.world.databases[name].data for name in ("wsfed", "approval"))
    wsfed["devices"].clear()
    wsfed["invitations"].clear()
    await flow.publish(device)
    assert len(wsfed["claims"]) == 1
    for account in approval["accounts"].values():
        account["devices"] = {}
    await flow.world.databases["approval"].raise_generation(0)
    await flow.world.live(30, silent=frozenset({"admin"}))
    for signed in (used, issued, used, device):
        await flow.publish(signed)
    assert wsfed["devices"] == {}
    assert wsfed["claims"] == {}


# --- during an update --------------------------------------------------------------------------------------------


async def test_the_release_before_s_heartbeats_and_pages_become_dead_letters(flow: Flow) -> None:
    (replica,) = flow.world.bus._replicas["wsfed"]
    page = await suspended_page(flow)
    old = ("admin.stream.advanced.v1", "admin.state.paged.v1", "admin.state.resync.v1")
    for message_type in old:
        assert message_type not in contracts()
        signed = flow.sign(page, sender="admin", key_of="admin", type=message_type, stream="s", number=3)
        outcome = await replica.dispatch(signed, 1)
        assert outcome.verdict is Verdict.DEAD
        assert "unknown type" in outcome.reason


@pytest.mark.parametrize("number", [7, None])
async def test_the_release_before_s_state_events_are_handled(flow: Flow, number: int | None) -> None:
    ada = await flow.account()
    news = AccountChanged(
        version=ada.version + 1,
        account=ada.id,
        upn=ada.upn,
        display_name=ada.display_name,
        immutable_id=ada.immutable_id,
        status=AccountStatus.SUSPENDED,
    )
    body = news.model_dump(mode="json", exclude={"generation"})
    await flow.publish(
        flow.sign(news, sender="admin", key_of="admin", stream="abc", number=number, body=body)
    )
    assert known_status(flow, ada.id) == "suspended"
    assert flow.world.bus.dead_letters == []


async def test_the_first_pull_after_the_update_brings_documents_from_before_positions(flow: Flow) -> None:
    await flow.phone()
    await flow.world.live(20)
    for service, collections in {
        "admin": ("tenants", "accounts", "invitations"),
        "approval": ("accounts",),
    }.items():
        for collection in collections:
            for document in flow.world.databases[service].data[collection].values():
                document.pop("changed", None)
    fresh = await flow.world.restart(wsfed_app.build, "wsfed", empty=True)
    await flow.world.live(2)
    assert fresh.subscriptions is not None
    assert dict(fresh.subscriptions.ready()) == {"admin": True, "approval": True}
    assert len(flow.world.documents("wsfed", "devices")) == 1


async def test_everything_is_told_again_daily(flow: Flow) -> None:
    """10: what nobody noticed does not stay for longer than a day."""
    await flow.phone()
    await flow.world.live(20)
    for service in ("wsfed", "approval"):
        (row,) = flow.world.databases[service].data["accounts"].values()
        row["status"] = "suspended"
    flow.world.clock.advance(timedelta(days=1).total_seconds())
    await flow.world.live(20)
    assert known_status(flow, (await flow.account()).id) == "active"
    (row,) = flow.world.documents("approval", "accounts")
    assert row["status"] == "active"
