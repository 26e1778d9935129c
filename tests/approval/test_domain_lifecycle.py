"""The table of a challenge's states, walked: what it says is what the functions do, and nothing else is done."""

from collections.abc import Callable, Mapping
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from itertools import product

import pytest

from services.approval.domain import challenges
from services.approval.domain.account import Account, Challenge, Change, Device
from services.approval.domain.ceremony import VerifiedAnswer
from services.approval.domain.lifecycle import (
    BY_DEVICE,
    ENDED_BY_DEVICE,
    TRANSITIONS,
    ChallengeAction,
    ChallengeState,
)
from shared.contracts.admin import AccountStatus
from shared.contracts.approval import Proof
from shared.errors import Blok365Error

NOW = datetime(2026, 3, 2, 8, 0, tzinfo=UTC)
LATE = NOW + timedelta(seconds=120)
RIGHT, WRONG = bytes(32), bytes(31) + b"\1"
PHONE = Device("phone", 1, "c", b"", b"", 0, "", NOW, "i", "", backup_eligible=False, backed_up=False)


def challenge(
    name: str, *, browser: str = "firefox", state: ChallengeState = ChallengeState.OPEN
) -> Challenge:
    return Challenge(
        id=name,
        transaction=f"t-{name}",
        correlation="c",
        method="push",
        context="{}",
        expected_digest=RIGHT,
        browser=browser,
        browser_known=False,
        handle_digest=None,
        opened_at=NOW,
        deadline=LATE,
        state=state,
        ended_at=None if state is ChallengeState.OPEN else NOW,
    )


def account(one: Challenge, *more: Challenge) -> Account:
    made = Account("contoso", "ada", 1, AccountStatus.ACTIVE, devices={"phone": PHONE})
    return made.with_challenge(one, *more)


def approve(one: Challenge, digest: bytes, at: datetime = NOW) -> Change:
    proof = Proof(context="{}", authenticator_data="", client_data_json="", signature="")
    answer = VerifiedAnswer(digest=digest, proof=proof, sign_count=0, backed_up=False)
    return challenges.approve(account(one), one.id, "phone", answer, at)


def claim(one: Challenge, at: datetime = NOW) -> Change:
    return challenges.claim(account(replace(one, method="qr", handle_digest="h")), one.id, "phone", at)


def refuse(one: Challenge, answer: ChallengeAction) -> Change:
    return challenges.refuse(account(one), one.id, "phone", answer, NOW)


def supersede(one: Challenge) -> Change | None:
    return challenges.open_challenge(account(one), challenge("newer", browser=one.browser), NOW)


def limit(one: Challenge) -> Change | None:
    oldest = replace(one, opened_at=NOW - timedelta(seconds=1))
    others = [challenge(name, browser=name) for name in ("a", "b")]
    return challenges.open_challenge(account(oldest, *others), challenge("c", browser="c"), NOW)


PUBLIC: Mapping[ChallengeAction, Callable[[Challenge], Change | None]] = {
    ChallengeAction.CLAIM: claim,
    ChallengeAction.APPROVE: lambda one: approve(one, RIGHT),
    ChallengeAction.MISTYPE: lambda one: approve(one, WRONG),
    ChallengeAction.MISTYPE_LAST: lambda one: approve(replace(one, tries=challenges.MAX_TRIES - 1), WRONG),
    ChallengeAction.DENY: lambda one: refuse(one, ChallengeAction.DENY),
    ChallengeAction.REPORT: lambda one: refuse(one, ChallengeAction.REPORT),
    ChallengeAction.EXPIRE: lambda one: challenges.expire(account(one), LATE),
    ChallengeAction.SUPERSEDE: supersede,
    ChallengeAction.LIMIT: limit,
}
"""How each action comes about, through the functions that the handlers call."""


def test_every_action_comes_about_somehow() -> None:
    assert set(PUBLIC) == set(ChallengeAction) == {action for _, action in TRANSITIONS}


@pytest.mark.parametrize(("state", "action"), list(product(ChallengeState, ChallengeAction)))
def test_every_pair_of_the_table_is_walked(state: ChallengeState, action: ChallengeAction) -> None:
    one = challenge("one", state=state)
    expected = TRANSITIONS.get((state, action), state)
    try:
        change = PUBLIC[action](one)
    except Blok365Error:
        assert (state, action) not in TRANSITIONS
        with pytest.raises(Blok365Error):
            challenges.advance(one, action, NOW)
        return
    assert (state, action) in TRANSITIONS or action not in BY_DEVICE
    after = one if change is None else change.value.challenges["one"]
    assert after.state is expected
    if (state, action) in TRANSITIONS:
        assert challenges.advance(one, action, NOW).state is expected


@pytest.mark.parametrize("action", sorted(BY_DEVICE))
def test_a_phone_that_is_too_late_changes_nothing(action: ChallengeAction) -> None:
    with pytest.raises(Blok365Error) as refused:
        challenges.advance(challenge("one"), action, LATE)
    assert refused.value.code == "expired"


def test_only_open_has_a_way_out() -> None:
    assert {state for state, _ in TRANSITIONS} == {ChallengeState.OPEN}
    assert set(TRANSITIONS.values()) == set(ChallengeState)


def test_what_a_phone_ended_is_remembered_before_what_time_or_a_flood_ended() -> None:
    assert {state.value for state in ENDED_BY_DEVICE} == {"accepted", "denied", "not_me", "wrong_code"}
