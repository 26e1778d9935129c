"""Requests: how they come, are refused, superseded, expire, and are scanned (docs/flows/sign-in.md, 4, 5, 7)."""

import asyncio

import pytest

from services.approval.domain.lifecycle import ChallengeAction
from services.approval.handlers import challenges
from services.approval.handlers.challenges import end_overdue
from shared.errors import Blok365Error, Forbidden, Gone, NotFound
from tests.approval.support import Approval, Phone, decide, replica

# --- other answers ------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("answer", "outcome", "frozen"),
    [(ChallengeAction.DENY, "denied", False), (ChallengeAction.REPORT, "not_me", True)],
)
async def test_refusal_is_told_and_final(
    approval: Approval, answer: ChallengeAction, outcome: str, frozen: bool
) -> None:
    phone = await approval.phone()
    asked = await approval.ask()
    await challenges.refuse(approval.deps, await phone.who(), asked.id, answer)
    assert await approval.outcomes() == [(asked.command.transaction, outcome)]
    assert (approval.document()["frozen_at"] is not None) is frozen
    with pytest.raises(Gone):
        await phone.approve(asked)


@pytest.mark.parametrize("answer", [ChallengeAction.DENY, ChallengeAction.REPORT])
async def test_phone_that_admin_has_not_decided_on_refuses_nothing(
    approval: Approval, answer: ChallengeAction
) -> None:
    """It may have been made with a withdrawn link: it could keep its owner out, and stay unpunished once refused."""
    phone = await approval.phone(confirmed=False)
    asked, who = await approval.ask(), await phone.who()
    for _ in range(2):
        with pytest.raises(Forbidden) as refused:
            await challenges.refuse(approval.deps, who, asked.id, answer)
        assert refused.value.code == "unconfirmed"
    assert approval.state(asked) == "open"
    assert approval.document()["frozen_at"] is None
    await decide(approval, phone.device, "trusted", version=1)
    await challenges.refuse(approval.deps, await phone.who(), asked.id, answer)
    assert approval.state(asked) in ("denied", "not_me")


@pytest.mark.parametrize("answer", [ChallengeAction.DENY, ChallengeAction.REPORT])
async def test_refused_phone_refuses_nothing(approval: Approval, answer: ChallengeAction) -> None:
    phone = await approval.phone(confirmed=False)
    asked, who = await approval.ask(), await phone.who()
    await decide(approval, phone.device, "refused", version=1)
    with pytest.raises(Forbidden):
        await challenges.refuse(approval.deps, who, asked.id, answer)
    assert approval.state(asked) == "open"


async def test_cannot_refuse_another_accounts_request(approval: Approval) -> None:
    await approval.phone()
    grace = await approval.phone("grace")
    asked = await approval.ask("ada")
    with pytest.raises(NotFound):
        await challenges.refuse(approval.deps, await grace.who(), asked.id, ChallengeAction.DENY)


async def test_approve_and_deny_at_once_leave_one_outcome(approval: Approval) -> None:
    phone = await approval.phone()
    asked = await approval.ask()
    who = await phone.who()
    results = await asyncio.gather(
        challenges.refuse(replica(approval.world), who, asked.id, ChallengeAction.DENY),
        phone.approve(asked),
        return_exceptions=True,
    )
    assert len([result for result in results if isinstance(result, Blok365Error)]) == 1
    assert len(await approval.outcomes()) == 1


async def test_sweeper_records_expired_and_tells(approval: Approval) -> None:
    await approval.phone()
    asked = await approval.ask(lifetime=60)
    approval.world.clock.advance(59)
    assert await end_overdue(approval.deps) == 0
    approval.world.clock.advance(1)
    assert await end_overdue(approval.deps) == 1
    assert await approval.outcomes() == [(asked.command.transaction, "expired")]
    assert await end_overdue(approval.deps) == 0


async def test_running_service_sweeps_within_seconds(approval: Approval) -> None:
    await approval.phone()
    asked = await approval.ask(lifetime=60)
    sweep, *_ = approval.world.services["approval"].background
    running = asyncio.ensure_future(sweep())
    for _ in range(61):
        await asyncio.sleep(0)
        approval.world.clock.advance(1)
    await asyncio.sleep(0)
    running.cancel()
    assert await approval.outcomes() == [(asked.command.transaction, "expired")]


async def test_two_sweepers_tell_once(approval: Approval) -> None:
    await approval.phone()
    asked = await approval.ask(lifetime=60)
    approval.world.clock.advance(60)
    await asyncio.gather(end_overdue(approval.deps), end_overdue(replica(approval.world)))
    assert await approval.outcomes() == [(asked.command.transaction, "expired")]


async def test_superseded_is_told(approval: Approval) -> None:
    phone = await approval.phone()
    old = await approval.ask(browser="x")
    new = await approval.ask(browser="x")
    assert await approval.outcomes() == [(old.command.transaction, "superseded")]
    with pytest.raises(Gone):
        await phone.approve(old)
    await phone.approve(new)


async def test_request_delivered_twice_is_one(approval: Approval) -> None:
    phone = await approval.phone()
    asked = await approval.ask()
    await phone.approve(asked)
    await approval.world.say("wsfed", asked.command)
    assert await phone.listed() == []
    assert await approval.outcomes() == [(asked.command.transaction, "accepted")]


# --- QR -----------------------------------------------------------------------------------------------------


async def test_scanned_request_is_not_listed_and_can_be_approved(approval: Approval) -> None:
    phone = await approval.phone()
    asked = await approval.ask(method="qr")
    assert asked.handle is not None
    assert await phone.listed() == []
    found = await phone.scan(asked)
    assert (found.id, found.context) == (asked.id, asked.command.context)
    await phone.approve(asked)
    assert await approval.outcomes() == [(asked.command.transaction, "accepted")]


async def test_success_by_qr_ends_the_freeze(approval: Approval) -> None:
    phone = await approval.phone()
    bad = await approval.ask()
    await challenges.refuse(approval.deps, await phone.who(), bad.id, ChallengeAction.REPORT)
    asked = await approval.ask(method="qr")
    await phone.scan(asked)
    await phone.approve(asked)
    assert approval.document()["frozen_at"] is None


async def test_rejects_a_code_for_another_account_and_says_so(approval: Approval) -> None:
    await approval.phone("ada")
    grace = await approval.phone("grace")
    asked = await approval.ask("ada", method="qr")
    assert asked.handle is not None
    with pytest.raises(Forbidden) as refused:
        await grace.scan(asked)
    assert refused.value.code == "other_account"
    assert "ada" not in refused.value.detail.replace("grace", "")
    assert await approval.claims() == []


@pytest.mark.parametrize("why", ["unknown", "expired", "used"])
async def test_rejects_a_dead_code(approval: Approval, why: str) -> None:
    phone = await approval.phone()
    asked = await approval.ask(method="qr", lifetime=120, handle_lifetime=60)
    if why == "expired":
        approval.world.clock.advance(60)
    elif why == "used":
        await phone.scan(asked)
    else:
        asked.handle = "another"
    with pytest.raises(Gone):
        await phone.scan(asked)


# --- what wsfed sends ---------------------------------------------------------------------------------------


async def test_request_that_comes_before_its_account_is_tried_again(approval: Approval) -> None:
    asked = await approval.ask(deliver=False)
    signed = approval.world.signer("wsfed").sign(asked.command, tenant="contoso")
    delivery = asyncio.create_task(approval.world.bus.publish([signed]))
    await asyncio.sleep(0)
    await approval.world.bus.drain()
    phone: Phone = await approval.phone()
    approval.world.clock.advance(1)
    assert await delivery == {signed.id}
    assert await phone.listed() == [asked.id]


BROKEN = {
    "digest that is none": {"expected_digest": "AAAA"},
    "digest that is no base64url": {"expected_digest": "!"},
    "context that is not canonical": {"context": "{ }"},
    "context with a code": {"context": '{"code":"1"}'},
    "QR without a handle": {"method": "qr"},
    "push with a handle": {"handle_digest": "x"},
    "challenge that is no id": {"challenge": "a.b"},
    "challenge that is an operator": {"challenge": "$where"},
    "account with a slash": {"account": "ada/x"},
}


@pytest.mark.parametrize("fields", BROKEN.values(), ids=BROKEN)
async def test_broken_request_is_a_dead_letter(approval: Approval, fields: dict[str, str]) -> None:
    await approval.phone()
    asked = await approval.ask(deliver=False)
    await approval.world.say("wsfed", asked.command.model_copy(update=fields))
    (dead,) = approval.world.bus.dead_letters
    assert dead.reason.startswith("rejected")


async def test_forged_request_is_a_dead_letter(approval: Approval) -> None:
    await approval.phone()
    asked = await approval.ask(deliver=False)
    signed = approval.world.signer("wsfed").sign(asked.command, tenant="contoso")
    forged = type(signed)(signed.id, signed.type, signed.body.replace(b"ada", b"eve"), signed.signature)
    await approval.world.bus.publish([forged])
    (dead,) = approval.world.bus.dead_letters
    assert "signature" in dead.reason
