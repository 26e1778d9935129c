"""Which of a browser's tabs asked a phone last, by a cookie."""

from dataclasses import replace
from datetime import timedelta

import pytest

from services.wsfed.domain.tabs import LastRequest, continued_elsewhere
from services.wsfed.domain.transaction import Transaction, TransactionState
from tests.world import START
from tests.wsfed.test_store import a_challenge, a_transaction


def asked(transaction: str, seconds: int = 0) -> Transaction:
    """A transaction that has asked a phone, so long after the start."""
    challenge, at = a_challenge(), START + timedelta(seconds=seconds)
    context = replace(challenge.context, issued_at=at, expires_at=at + timedelta(seconds=120))
    return a_transaction(
        id=transaction, state=TransactionState.WAITING, challenge=replace(challenge, context=context)
    )


def last(transaction: Transaction) -> LastRequest:
    found = LastRequest.of(transaction)
    assert found is not None
    return found


def test_the_cookie_carries_the_request() -> None:
    request = last(asked("older"))
    assert LastRequest.read(request.value) == request


@pytest.mark.parametrize("value", [None, "", "older", "older.0123456789abcdef", "older.0123456789abcdef.-1"])
def test_anything_else_is_no_request(value: str | None) -> None:
    assert LastRequest.read(value) is None


def test_a_later_request_of_another_tab_takes_the_place() -> None:
    older, newer = asked("older"), asked("newer", 5)
    now = START + timedelta(seconds=6)
    assert continued_elsewhere(older, last(newer), now)
    assert not continued_elsewhere(newer, last(newer), now)
    assert not continued_elsewhere(older, None, now)


def test_a_cookie_from_before_this_tab_asked_again_says_nothing() -> None:
    """A poll that was on its way while the person pressed the button must not end the new request."""
    again, other = asked("older", 10), asked("newer", 5)
    assert not continued_elsewhere(again, last(other), START + timedelta(seconds=11))


def test_another_name_or_another_tenant_takes_no_place() -> None:
    older, newer = asked("older"), asked("newer", 5)
    now = START + timedelta(seconds=6)
    for other in (replace(newer, username="bob@contoso.example"), replace(newer, tenant="fabrikam")):
        assert not continued_elsewhere(older, last(other), now)


def test_what_is_over_or_never_asked_stays_as_it_is() -> None:
    newer = last(asked("newer", 5))
    older = asked("older")
    assert not continued_elsewhere(older, newer, START + timedelta(seconds=121))
    for state in (TransactionState.PROVED, TransactionState.ISSUED):
        assert not continued_elsewhere(replace(older, state=state), newer, START)
    assert not continued_elsewhere(a_transaction(id="older"), newer, START)
