"""What a person can look back on: how the last requests ended, and how few of them are kept."""

from dataclasses import replace
from datetime import datetime, timedelta

import pytest

from services.approval.domain import challenges, enrolment, history
from services.approval.domain.account import Account, Challenge
from services.approval.domain.lifecycle import ChallengeAction, ChallengeState
from shared.contracts.admin import AccountChanged, AccountStatus
from tests.approval.test_domain_challenges import ADA, NOW, challenge, opened

FACTS = '{"agent":"Firefox on Windows","application_name":"Microsoft 365","place":"Lyon, France"}'


def asked(name: str, *, at: datetime = NOW, method: str = "push") -> Challenge:
    return replace(challenge(name, at=at, method=method), context=FACTS)


def states(account: Account, at: datetime = NOW) -> list[tuple[str, str]]:
    return [(each.id, each.state.value) for each in history.look_back(account, at)]


@pytest.mark.parametrize(
    ("action", "state"), [(ChallengeAction.DENY, "denied"), (ChallengeAction.REPORT, "not_me")]
)
def test_an_answer_is_kept_with_what_was_shown(action: ChallengeAction, state: str) -> None:
    account = challenges.refuse(opened(ADA, asked("a")), "a", "phone", action, NOW).value
    (past,) = history.look_back(account, NOW)
    assert (past.state, past.agent, past.place) == (state, "Firefox on Windows", "Lyon, France")
    assert (past.application_name, past.address, past.opened_at, past.ended_at) == (
        "Microsoft 365",
        "",
        NOW,
        NOW,
    )


def test_what_ended_without_an_answer_is_kept_too() -> None:
    account = opened(ADA, replace(asked("a"), browser="x"), replace(asked("b"), browser="x"))
    later = NOW + timedelta(seconds=121)
    change = challenges.expire(account, later)
    assert change is not None
    assert states(change.value, later) == [("b", "expired"), ("a", "superseded")]


def test_a_qr_code_is_kept_only_if_a_phone_has_scanned_it() -> None:
    """Anybody can have codes shown for somebody's name, and each is renewed ten times: no phone has seen them."""
    seen, unseen = asked("seen", method="qr"), asked("unseen", method="qr")
    account = opened(ADA, seen, unseen)
    account = account.with_challenge(replace(seen, claimed_by="d1"))
    later = NOW + timedelta(seconds=121)
    change = challenges.expire(account, later)
    assert change is not None
    assert states(change.value, later) == [("seen", "expired")]


def test_a_request_for_which_there_was_no_room_is_not_kept() -> None:
    account = opened(ADA, *(asked(str(number)) for number in range(challenges.MAX_LISTED + 1)))
    assert ChallengeState.LIMITED in {each.state for each in account.challenges.values()}
    assert states(account) == []


def test_a_flood_pushes_out_no_answer_and_the_document_stays_small() -> None:
    account = challenges.refuse(opened(ADA, asked("mine")), "mine", "phone", ChallengeAction.DENY, NOW).value
    at = NOW
    for number in range(200):
        at += timedelta(seconds=1)
        account = opened(account, replace(asked(str(number), at=at), browser="x"))
    assert ("mine", "denied") in states(account, at)
    assert len(account.history) == history.MAX_UNANSWERED + 1
    assert states(account, at)[0] == ("198", "superseded")


def test_only_the_newest_answers_are_kept() -> None:
    account = ADA
    for number in range(history.MAX_ANSWERED + 5):
        at = NOW + timedelta(minutes=number)
        account = opened(account, asked(str(number), at=at))
        account = challenges.refuse(account, str(number), "phone", ChallengeAction.DENY, at).value
    assert [name for name, _ in states(account, at)] == [str(number) for number in range(24, 4, -1)]


def test_nothing_is_kept_or_shown_for_more_than_its_time() -> None:
    account = challenges.refuse(opened(ADA, asked("old")), "old", "phone", ChallengeAction.DENY, NOW).value
    later = NOW + history.KEPT
    assert states(account, later - timedelta(seconds=1)) == [("old", "denied")]
    assert states(account, later) == []
    account = challenges.refuse(
        opened(account, asked("new", at=later)), "new", "phone", ChallengeAction.DENY, later
    ).value
    assert set(account.history) == {"new"}


@pytest.mark.parametrize("context", ["", "[]", "{", '{"agent":7}'])
def test_a_context_without_the_facts_leaves_them_empty(context: str) -> None:
    account = opened(ADA, replace(challenge("a"), context=context))
    (past,) = challenges.refuse(account, "a", "phone", ChallengeAction.DENY, NOW).value.history.values()
    assert (past.agent, past.place) == ("", "")


def test_a_long_fact_is_cut() -> None:
    account = opened(ADA, replace(challenge("a"), context='{"agent":"' + "x" * 5000 + '"}'))
    (past,) = challenges.refuse(account, "a", "phone", ChallengeAction.DENY, NOW).value.history.values()
    assert len(past.agent) == history.MAX_FACT


def test_a_removed_account_has_no_history() -> None:
    account = challenges.refuse(opened(ADA, asked("a")), "a", "phone", ChallengeAction.DENY, NOW).value
    news = AccountChanged(
        version=2, account="ada", upn="u", display_name="", immutable_id="ada", status=AccountStatus.REMOVED
    )
    change = enrolment.account_changed(account, news, NOW)
    assert change is not None
    assert change.value.history == {}
