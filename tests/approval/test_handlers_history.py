"""The last sign-ins as a phone sees them (docs/flows/phone.md)."""

import pytest

from services.approval.domain.lifecycle import ChallengeAction
from services.approval.handlers import challenges
from services.approval.handlers.sessions import SignedIn
from services.approval.routes.representations import history_json
from shared.errors import Blok365Error
from tests.approval.support import Approval, Phone, decide


async def confirmed(approval: Approval, account: str = "ada") -> Phone:
    """A phone that the organisation has confirmed."""
    phone = await approval.phone(account)
    (device,) = [each.device for each in await approval.devices_told() if each.account == account]
    await decide(approval, device, "trusted", account=account)
    return phone


def past(approval: Approval, who: SignedIn) -> list[tuple[str, str]]:
    return [(each.id, each.state.value) for each in challenges.past_requests(approval.deps, who)]


async def test_newest_first_and_only_of_the_own_account(approval: Approval) -> None:
    phone, other = await confirmed(approval), await confirmed(approval, "grace")
    first = await approval.ask()
    await phone.approve(first)
    approval.world.clock.advance(1)
    second = await approval.ask()
    await challenges.refuse(approval.deps, await phone.who(), second.id, ChallengeAction.DENY)
    assert past(approval, await phone.who()) == [(second.id, "denied"), (first.id, "accepted")]
    assert past(approval, await other.who()) == []


async def test_three_wrong_codes_are_seen(approval: Approval) -> None:
    phone = await confirmed(approval)
    asked = await approval.ask()
    for _ in range(3):
        with pytest.raises(Blok365Error):
            await phone.approve(asked, code="000000")
    assert past(approval, await phone.who()) == [(asked.id, "wrong_code")]


async def test_a_phone_that_is_not_confirmed_learns_nothing_of_before(approval: Approval) -> None:
    """Whoever got hold of an invitation has such a phone for a moment."""
    phone = await confirmed(approval)
    await phone.approve(await approval.ask())
    thief = Phone(approval)
    await thief.enrol(await approval.invitation())
    who = await thief.who()
    assert who.waiting
    assert past(approval, who) == []


async def test_answer_says_how_many_are_kept_and_when(approval: Approval) -> None:
    phone = await confirmed(approval)
    asked = await approval.ask()
    await phone.approve(asked)
    answer = history_json(challenges.past_requests(approval.deps, await phone.who()))
    assert answer["kept"] == {"answered": 20, "unanswered": 10, "days": 90}
    (shown,) = answer["history"]
    assert (shown["id"], shown["state"], shown["agent"], shown["place"], shown["address"]) == (
        asked.id, "accepted", "Firefox on Windows", "Lyon, France", "192.0.2.17",
    )  # fmt: skip
    assert shown["ended_at"].endswith("Z")
