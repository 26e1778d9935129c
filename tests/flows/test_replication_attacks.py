"""A taken-over approval answers wsfed's pulls (docs/flows/replication.md) and wants a token, or a lost phone back.

What it says is delivered twice and again after the state moved on.
"""

from collections.abc import AsyncIterator, Sequence
from dataclasses import replace
from pathlib import Path

import pytest
from structlog.testing import capture_logs

from services.wsfed.projections import CLAIMS_AT_ONCE
from shared.contracts.admin import InvitationChanged
from shared.contracts.approval import ApprovalStatePulled, DeviceChanged, Endorsement
from shared.contracts.envelope import SignedMessage
from shared.contracts.state import StateItem
from shared.contracts.wsfed import AuthenticatorAccepted
from shared.ids import b64u
from tests.flows.support import TENANT, Flow, said_active_again, start_flow
from tests.flows.test_enrolment_attacks import Link, Thief

pytestmark = pytest.mark.long

DEVICE = DeviceChanged.TYPE


@pytest.fixture
async def flow(tmp_path: Path) -> AsyncIterator[Flow]:
    async with start_flow(tmp_path, projection_max_age=300) as started:
        yield started


@pytest.fixture
async def thief(flow: Flow) -> Thief:
    return Thief(flow, (await flow.account()).id)


def item(event: DeviceChanged, tenant: str = TENANT) -> StateItem:
    return StateItem(type=DEVICE, tenant=tenant, body=event.model_dump(mode="json"))


async def answer(flow: Flow, *items: StateItem, kind: str, generation: int) -> SignedMessage:
    """The page that approval's attacker sends for the pull of that kind under way, which the honest one never heard."""
    world = flow.world
    if kind == "full":
        subscriptions = world.services["wsfed"].subscriptions
        assert subscriptions is not None
        await subscriptions.want_all(["approval"])
    await world.live(16, silent=frozenset({"approval"}))
    (record,) = (d for d in world.documents("wsfed", "subscriptions") if d["_id"] == "approval")
    page = ApprovalStatePulled(
        request=record[kind]["request"],
        to="wsfed",
        after=record[kind]["after"],
        items=items,
        next=None,
        until="4000000000.0000000001",
        generation=generation,
    )
    signed = world.signer("approval").sign(page, tenant="-")
    for _ in range(2):
        await flow.publish(signed)
    return signed


async def all_ways(flow: Flow, *items: StateItem) -> Sequence[SignedMessage]:
    """In a recent pull, in full ones, before and after everything lapsed, in new generations."""
    return [
        await answer(flow, *items, kind="recent", generation=0),
        await answer(flow, *items, kind="full", generation=0),
        await answer(flow, kind="full", generation=1),
        await answer(flow, *items, kind="full", generation=2),
        await answer(flow, *items, kind="recent", generation=2),
    ]


async def honest(flow: Flow, late: Sequence[SignedMessage]) -> None:
    """approval itself again, restored as after such a break-in; and the attacker's pages once more."""
    await flow.world.databases["approval"].raise_generation(3)
    await flow.world.live(60)
    for signed in late:
        await flow.publish(signed)
    await flow.world.live(20)


async def test_a_key_that_nobody_invited_is_in_no_page(flow: Flow, thief: Thief) -> None:
    link = Link.of(await flow.invite())
    nobodys = Endorsement(kind="invitation", by=link.id, signature=b64u(bytes(64)))
    events = [
        thief.enrolled(nobodys),
        thief.enrolled(nobodys).model_copy(update={"version": 2**31 - 1, "device": "b"}),
    ]
    pages = await all_ways(
        flow, *(item(e, t) for e in events for t in (TENANT, "fabrikam", f"{TENANT}/x", ""))
    )
    await honest(flow, pages)
    await thief.assert_worth_nothing()


async def test_a_removed_phone_comes_back_by_no_page(flow: Flow, thief: Thief) -> None:
    """Lapsed or not, in whatever generation, under its own device id or another, from its own invitation or a claim."""
    lost, kept = await flow.phone(), await flow.phone()
    await kept.remove_device(lost.key.device)
    again = said_active_again(flow, lost)
    renamed = again.model_copy(update={"device": "another-name"})
    strange = again.model_copy(
        update={"endorsement": Endorsement(kind="invitation", by="later", signature="AA")}
    )
    pages = await all_ways(flow, *(item(event) for event in (again, renamed, strange)))
    rows = flow.world.databases["wsfed"].data["devices"]
    assert rows[f"{TENANT}/{lost.key.device}"]["removed"]
    assert not await flow.counts(replace(lost.key, device="another-name"))
    await honest(flow, pages)
    for device_id in (lost.key.device, "another-name"):
        thief.key = replace(lost.key, device=device_id)
        await flow.world.live(20)
        await thief.assert_worth_nothing()
    await flow.world.live(20)
    sign_in = await flow.begin()
    await kept.approve(await sign_in.push())  # and whoever has a phone goes on signing in
    await sign_in.take()


async def test_claims_by_the_thousand_keep_out_nobody_who_is_invited(flow: Flow, thief: Thief) -> None:
    """All of them wait for an invitation that wsfed does not know yet. Each is decided and dropped, or lapses."""
    phone = await flow.phone()
    wsfed, signer = flow.world.databases["wsfed"].data, flow.world.signer("approval")
    issued, used = (s for s in flow.world.bus.sent if s.type == InvitationChanged.TYPE)
    (device,) = (s for s in flow.world.bus.sent if s.type == DEVICE)
    wsfed["devices"].clear()
    wsfed["invitations"].clear()
    (account,) = flow.world.documents("approval", "accounts")
    by = account["devices"][phone.key.device]["invitation"]
    false = thief.enrolled(Endorsement(kind="invitation", by=by, signature=b64u(bytes(64))))
    for number in range(1000):
        event = false.model_copy(update={"device": f"claim{number:04d}"})
        await flow.world.bus.publish([signer.sign(event, tenant=TENANT)])
    await flow.publish(device)
    assert len(wsfed["claims"]) == 1001
    with capture_logs() as logs:
        for signed in (issued, used, issued):
            await flow.publish(signed)
    # No more are decided at once than admin's page can wait for, and the log says that some are left.
    assert len(wsfed["claims"]) == 1001 - 3 * CLAIMS_AT_ONCE
    assert [log["event"] for log in logs if log["event"] == "device.claims_left"] == [
        "device.claims_left"
    ] * 3
    await honest(flow, [])
    assert list(wsfed["devices"]) == [f"{TENANT}/{phone.key.device}"]
    assert wsfed["claims"] == {}


async def test_a_phone_that_is_hidden_from_admin_counts_for_nothing(flow: Flow, thief: Thief) -> None:
    """Whoever has approval and an invitation's link tells wsfed alone, in a page of its own: the chain holds, and admin
    has not decided. Once it has, the person is told and the console lists the phone.
    """
    link = Link.of(await flow.invite())
    enrolled = thief.enrolled(thief.endorsed_by(link))
    for _ in range(2):
        await answer(flow, item(enrolled), kind="recent", generation=0)
        await thief.assert_worth_nothing()
    assert flow.world.documents("admin", "phones") == []
    sent = len(flow.world.bus.sent)
    await flow.say("approval", enrolled)
    assert await flow.decision(thief.key.device) == ("trusted", "")
    assert AuthenticatorAccepted.TYPE in [signed.type for signed in flow.world.bus.sent[sent:]]
    assert await flow.counts(thief.key)
