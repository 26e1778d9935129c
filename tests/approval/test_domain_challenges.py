"""Supersession, places, quotas and freeze, as pure steps."""

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from services.approval.domain import challenges, freezing
from services.approval.domain.account import Account, Challenge, Change, Device
from services.approval.domain.lifecycle import ChallengeAction, ChallengeState
from shared.contracts.admin import AccountStatus
from shared.contracts.approval import ChallengeEnded

NOW = datetime(2026, 3, 2, 8, 0, tzinfo=UTC)
PHONE = Device("phone", 1, "c", b"", b"", 0, "", NOW, "i", "", backup_eligible=False, backed_up=False)
ADA = Account("contoso", "ada", 1, AccountStatus.ACTIVE, devices={"phone": PHONE})


def challenge(
    name: str, *, at: datetime = NOW, browser: str = "", known: bool = False, method: Any = "push"
) -> Challenge:
    return Challenge(
        id=name,
        transaction=f"t-{name}",
        correlation="c",
        method=method,
        context="{}",
        expected_digest=bytes(32),
        browser=browser or f"browser of {name}",
        browser_known=known,
        handle_digest=f"h-{name}" if method == "qr" else None,
        opened_at=at,
        deadline=at + timedelta(seconds=120),
    )


def opened(account: Account, *made: Challenge) -> Account:
    for each in made:
        change = challenges.open_challenge(account, each, each.opened_at)
        assert change is not None
        account = change.value
    return account


def answered(account: Account, name: str, answer: ChallengeAction, at: datetime) -> Change:
    return challenges.refuse(account, name, "phone", answer, at)


def ends(change: Change | None) -> dict[str, str]:
    assert change is not None
    messages = [said.message for said in change.messages]
    return {m.challenge: m.outcome for m in messages if isinstance(m, ChallengeEnded)}


def listed(account: Account, at: datetime = NOW) -> list[str]:
    return [each.id for each in challenges.listed(account, at)]


def test_second_delivery_changes_nothing() -> None:
    account = opened(ADA, challenge("a"))
    assert challenges.open_challenge(account, challenge("a"), NOW) is None


def test_second_delivery_after_the_end_does_not_open_again() -> None:
    account = answered(opened(ADA, challenge("a")), "a", ChallengeAction.DENY, NOW).value
    assert challenges.open_challenge(account, challenge("a"), NOW + timedelta(minutes=10)) is None


def test_newer_request_of_the_same_browser_supersedes() -> None:
    account = opened(ADA, challenge("a", browser="x"))
    change = challenges.open_challenge(account, challenge("b", browser="x", method="qr"), NOW)
    assert ends(change) == {"a": "superseded"}


def test_request_of_another_browser_supersedes_nothing() -> None:
    account = opened(ADA, challenge("a", browser="x"), challenge("b", browser="y"))
    assert set(listed(account)) == {"a", "b"}


def test_known_browsers_come_first_then_the_newest() -> None:
    later = NOW + timedelta(seconds=5)
    account = opened(ADA, challenge("k", known=True), challenge("a"), challenge("b", at=later))
    assert listed(account, later) == ["k", "b", "a"]


def test_fourth_unknown_browser_takes_the_place_of_the_oldest_unknown() -> None:
    account = opened(
        ADA, *(challenge(n, at=NOW + timedelta(seconds=i), known=n == "k") for i, n in enumerate("kab"))
    )
    change = challenges.open_challenge(account, challenge("c", at=NOW + timedelta(seconds=9)), NOW)
    assert ends(change) == {"a": "limited"}
    assert change is not None
    assert listed(change.value) == ["k", "c", "b"]


def test_unknown_browser_never_takes_a_known_ones_place() -> None:
    account = opened(ADA, *(challenge(name, known=True) for name in "abc"))
    change = challenges.open_challenge(account, challenge("stranger"), NOW)
    assert ends(change) == {"stranger": "limited"}
    assert change is not None
    assert set(listed(change.value)) == {"a", "b", "c"}


def test_known_browser_takes_an_unknown_ones_place() -> None:
    account = opened(ADA, *(challenge(name) for name in "abc"))
    change = challenges.open_challenge(account, challenge("k", known=True), NOW)
    assert ends(change) == {"a": "limited"}


def test_qr_requests_take_no_place_in_the_list() -> None:
    account = opened(
        ADA, *(challenge(name, method="qr") for name in "abcdef"), challenge("p"), challenge("q")
    )
    assert set(listed(account)) == {"p", "q"}


def test_flood_of_qr_requests_is_bounded() -> None:
    account = opened(ADA, challenge("p"), *(challenge(f"q{i}", method="qr") for i in range(60)))
    still = [c for c in account.challenges.values() if c.state is ChallengeState.OPEN and c.method == "qr"]
    assert len(still) == challenges.MAX_SCANNABLE
    assert listed(account) == ["p"]


def silenced(account: Account) -> list[bool]:
    return [c.silenced for c in account.challenges.values()]


def test_fourth_push_in_ten_minutes_is_silenced_but_listed() -> None:
    times = [NOW + timedelta(minutes=3 * i) for i in range(5)]
    account = opened(ADA, *(challenge(f"c{i}", at=at, browser="x") for i, at in enumerate(times)))
    assert silenced(account) == [False, False, False, True, False]  # the fifth, 12 minutes on, is loud again
    assert listed(account, times[-1]) == ["c4"]


def test_eleventh_push_of_a_day_is_silenced() -> None:
    times = [NOW + timedelta(minutes=15 * i) for i in range(12)]
    account = opened(ADA, *(challenge(f"c{i}", at=at, browser="x") for i, at in enumerate(times)))
    assert len(account.pushes_unknown) == 10
    assert account.challenges["c10"].silenced
    account = opened(account, challenge("next day", at=NOW + timedelta(hours=24, minutes=1)))
    assert not account.challenges["next day"].silenced


def test_denials_do_not_give_the_quota_back() -> None:
    account = ADA
    for name in "abc":
        account = answered(opened(account, challenge(name)), name, ChallengeAction.DENY, NOW).value
    assert opened(account, challenge("d")).challenges["d"].silenced


def test_unknown_browsers_cannot_spend_the_quota_of_known_ones() -> None:
    account = opened(ADA, *(challenge(f"u{i}") for i in range(9)), challenge("k", known=True))
    assert not account.challenges["k"].silenced


def test_not_me_freezes_notifications_of_unknown_browsers_only() -> None:
    account = answered(opened(ADA, challenge("a")), "a", ChallengeAction.REPORT, NOW).value
    assert account.frozen_at == NOW
    account = opened(account, challenge("u"), challenge("k", known=True))
    assert account.challenges["u"].silenced
    assert not account.challenges["k"].silenced
    assert listed(account) == ["k", "u"]  # the list goes on: otherwise anybody could lock anybody out


def test_not_me_freezes_the_known_browser_that_was_refused_until_the_freeze_ends() -> None:
    stolen = replace(challenge("a", known=True), browser="stolen")
    account = answered(opened(ADA, stolen), "a", ChallengeAction.REPORT, NOW).value
    again, own = replace(challenge("b", known=True), browser="stolen"), challenge("k", known=True)
    asked = opened(account, again, own)
    assert asked.challenges["b"].silenced
    assert not asked.challenges["k"].silenced
    assert "b" in listed(asked)
    thawed = freezing.end(account)
    assert thawed is not None
    assert not opened(thawed.value, again).challenges["b"].silenced


def test_a_frozen_known_browser_is_frozen_also_without_the_cookie_of_its_sign_ins() -> None:
    """Whoever has the stolen cookies drops that one: the request comes from another `browser`, known all the same."""
    stolen = replace(challenge("a", known=True), known_as="stolen")
    account = answered(opened(ADA, stolen), "a", ChallengeAction.REPORT, NOW).value
    again, own = replace(challenge("b", known=True), known_as="stolen"), challenge("k", known=True)
    asked = opened(account, again, replace(own, known_as="own"))
    assert asked.challenges["b"].silenced
    assert not asked.challenges["k"].silenced


def test_cancel_freezes_nothing() -> None:
    account = answered(opened(ADA, challenge("a")), "a", ChallengeAction.DENY, NOW).value
    assert account.frozen_at is None


def test_expires_at_its_deadline_and_not_before() -> None:
    account = opened(ADA, challenge("a"))
    assert challenges.expire(account, NOW + timedelta(seconds=119)) is None
    assert ends(challenges.expire(account, NOW + timedelta(seconds=120))) == {"a": "expired"}


def test_nothing_that_was_signed_stays_after_the_end() -> None:
    account = answered(opened(ADA, challenge("a", method="qr")), "a", ChallengeAction.DENY, NOW).value
    kept = account.challenges["a"]
    assert (kept.context, kept.expected_digest, kept.handle_digest) == ("", b"", None)


def test_flood_makes_nothing_open_forgotten() -> None:
    """Three listed requests, one that was scanned and fifty codes stay, whatever number of others has ended."""
    names = [f"known {i}" for i in range(3)]
    account = opened(ADA, *(challenge(name, known=True) for name in names))
    codes = [challenge(f"code {i}", method="qr") for i in range(challenges.MAX_SCANNABLE)]
    account = opened(account, *codes)
    account = account.with_challenge(replace(codes[0], claimed_by="phone", handle_digest=None))
    for i in range(4 * challenges.MAX_REMEMBERED):
        account = opened(account, challenge(f"stranger {i}", at=NOW + timedelta(milliseconds=i)))
    alive = {c.id for c in account.challenges.values() if c.state is ChallengeState.OPEN}
    assert alive == {*names, *(code.id for code in codes)}
    ended = len(account.challenges) - len(alive)
    assert challenges.MAX_REMEMBERED <= ended <= challenges.MAX_REMEMBERED + 1  # and the last one


@pytest.mark.parametrize("answer", [ChallengeAction.DENY, ChallengeAction.REPORT])
def test_flood_does_not_make_the_phones_answer_forgotten(answer: ChallengeAction) -> None:
    """A late copy of a request that was answered must not open it again."""
    account = answered(opened(ADA, challenge("refused")), "refused", answer, NOW).value
    for i in range(2 * challenges.MAX_REMEMBERED):  # one browser: each supersedes the one before
        account = opened(account, challenge(f"s{i}", at=NOW + timedelta(seconds=i + 1), browser="stranger"))
    assert challenges.open_challenge(account, challenge("refused"), NOW + timedelta(minutes=5)) is None


def flooded(account: Account, networks: int, *, count: int = 2 * challenges.MAX_REMEMBERED) -> Account:
    """One stranger's browser for each network; each request supersedes the one before from there."""
    for i in range(count * networks):
        at = NOW + timedelta(seconds=1, milliseconds=i)
        made = challenge(f"s{i}", at=at, browser=f"stranger {i % networks}")
        account = opened(account, replace(made, network=f"bad {i % networks}"))
    return account


@pytest.mark.parametrize("networks", [1, 3, challenges.MAX_NETWORKS + 5])
def test_no_copy_opens_what_a_flood_made_forgotten(networks: int) -> None:
    first = replace(challenge("first", browser="stranger 0"), network="bad 0")
    account = flooded(opened(ADA, first), networks)
    assert "first" not in account.challenges
    with pytest.raises(challenges.TooLate):
        challenges.open_challenge(account, first, NOW + timedelta(minutes=5))
    assert len(account.forgotten) <= challenges.MAX_NETWORKS + 2


@pytest.mark.parametrize(
    ("known", "network"),
    [(True, "home"), (True, "bad 0"), (False, "home")],
    ids=["known", "known there", "unknown"],
)
def test_a_flood_from_few_networks_refuses_nobody_else_whose_command_was_held_up(
    known: bool, network: str
) -> None:
    late = replace(challenge("late", known=known), network=network)
    account = flooded(ADA, 3)
    assert opened(account, replace(late, opened_at=NOW + timedelta(minutes=1), sent_at=NOW)).challenges[
        "late"
    ]


def test_what_was_forgotten_is_forgotten_itself_when_no_copy_is_believed_any_more() -> None:
    account = flooded(ADA, 1)
    assert account.forgotten
    account = opened(account, challenge("next", at=NOW + timedelta(minutes=31)))
    assert opened(account, challenge("last", at=NOW + timedelta(minutes=62))).forgotten == ()


def test_ended_requests_are_forgotten_later() -> None:
    account = answered(opened(ADA, challenge("a")), "a", ChallengeAction.DENY, NOW).value
    account = opened(account, challenge("b", at=NOW + timedelta(hours=1)))
    assert set(account.challenges) == {"b"}


@pytest.mark.parametrize("state", [state for state in ChallengeState if state is not ChallengeState.OPEN])
def test_every_state_but_open_is_final(state: ChallengeState) -> None:
    account = ADA.with_challenge(replace(challenge("a"), state=state, ended_at=NOW))
    assert challenges.expire(account, NOW + timedelta(days=1)) is None
    with pytest.raises(Exception) as refused:
        answered(account, "a", ChallengeAction.DENY, NOW)
    assert refused.type.__name__ == ("Conflict" if state is ChallengeState.ACCEPTED else "Gone")


requests = st.tuples(
    st.integers(0, 400), st.integers(0, 5), st.booleans(), st.sampled_from(["push", "push", "qr"])
)


@settings(max_examples=200, deadline=None)
@given(st.lists(requests, max_size=40))
def test_limits_hold_under_any_traffic(traffic: list[tuple[int, int, bool, str]]) -> None:
    account, now, opened_ids, ended = ADA, NOW, set(), []
    for number, (pause, browser, known, method) in enumerate(traffic):
        now += timedelta(seconds=pause)
        made = challenge(f"c{number}", at=now, browser=f"{browser}{known}", known=known, method=method)
        change = challenges.open_challenge(account, made, now)
        assert change is not None
        account = change.value
        opened_ids.add(made.id)
        ended += list(ends(change))
        still = [c for c in account.challenges.values() if c.state is ChallengeState.OPEN]
        assert len(ended) == len(set(ended))  # each end is told once
        assert opened_ids == {c.id for c in still} | set(ended)
        assert len([c for c in still if c.method == "push"]) <= challenges.MAX_LISTED
        assert len({c.browser for c in still}) == len(still)
        assert all(c.is_open(now) for c in still)
        if known:
            assert account.challenges[made.id].state is ChallengeState.OPEN
        for pushes in (account.pushes_known, account.pushes_unknown):
            assert len(pushes) <= 10
            assert sum(now - at < timedelta(minutes=10) for at in pushes) <= 3
