"""What may happen next on a sign-in page: the policy's table, and what each state of the page offers."""

from dataclasses import replace
from datetime import timedelta

import pytest

from services.wsfed.domain.authentication import DeviceMethod, Method
from services.wsfed.domain.options import PageState, SignInOptions, page_options, policy_allows
from services.wsfed.domain.transaction import (
    ENDED_CHALLENGE,
    HANDLE_LIFETIME,
    MAX_RENEWALS,
    TransactionState,
)
from shared.contracts.admin import SignInPolicy
from tests.world import START
from tests.wsfed.test_store import a_challenge, a_transaction

BOTH = (DeviceMethod.QR, DeviceMethod.PUSH)
NEW_TRY = (
    *(PageState.START, PageState.DENIED),
    *(PageState.WRONG_CODE, PageState.EXPIRED, PageState.SUPERSEDED),
)
RUNNING = {
    PageState.PUSH_WAITING: DeviceMethod.PUSH,
    PageState.PUSH_UNNOTIFIED: DeviceMethod.PUSH,
    PageState.QR_WAITING: DeviceMethod.QR,
    PageState.QR_SCANNED: DeviceMethod.QR,
}
OVER = (PageState.PROVED, PageState.FINISHED, PageState.LOOP)


@pytest.mark.parametrize(
    ("policy", "anywhere", "enrolled"),
    [("open", True, True), ("known_browsers", False, True), ("passkeys_only", False, False)],
)
def test_a_policy_refuses_every_method_but_a_passkey_where_no_passkey_vouches(
    policy: SignInPolicy, anywhere: bool, enrolled: bool
) -> None:
    for method in set(Method) - {Method.PASSKEY}:
        assert policy_allows(policy, method, enrolled=False) is anywhere
        assert policy_allows(policy, method, enrolled=True) is enrolled
    assert policy_allows(policy, Method.PASSKEY, enrolled=False)


@pytest.mark.parametrize("state", list(PageState))
def test_each_state_offers_a_way_on_or_is_over(state: PageState) -> None:
    options = SignInOptions(state=state, methods=BOTH)
    assert options.ways is (state not in OVER)
    assert options.live is (state in RUNNING)
    assert options.offers == (BOTH if state in NEW_TRY else ())
    if state in RUNNING:
        assert options.others == tuple(method for method in BOTH if method is not RUNNING[state])
    elif state in NEW_TRY:
        assert options.others == BOTH[1:]
    else:
        assert options.others == BOTH  # after "This isn't me" the QR code comes first: no notification leaves
    bare = SignInOptions(state=state)
    assert (bare.offers, bare.others) == ((), ())
    assert bare.passkey_only is options.ways


@pytest.mark.parametrize("known", [True, False])
@pytest.mark.parametrize("methods", [BOTH, BOTH[::-1], ()])
@pytest.mark.parametrize("from_entra", [True, False])
def test_only_a_push_in_a_known_browser_that_comes_from_entra_starts_by_itself(
    known: bool, methods: tuple[DeviceMethod, ...], from_entra: bool
) -> None:
    transaction = a_transaction(from_entra=from_entra)
    options = page_options(transaction, START, methods=methods, known=known)
    assert options.autostart is (known and from_entra and methods == BOTH[::-1])
    assert not page_options(replace(transaction, username=""), START, methods=methods, known=known).autostart
    assert not replace(options, state=PageState.DENIED).autostart


@pytest.mark.parametrize("known", [True, False])
@pytest.mark.parametrize("methods", [BOTH, BOTH[::-1], (DeviceMethod.QR,), ()])
def test_where_no_phone_gets_notifications_a_known_browser_offers_the_qr_code_first(
    known: bool, methods: tuple[DeviceMethod, ...]
) -> None:
    """And no browser that is not known, because only phones of an account that exists get any."""
    transaction = a_transaction(from_entra=True)
    told = page_options(transaction, START, methods=methods, known=known)
    options = page_options(transaction, START, methods=methods, known=known, unnotified=True)
    assert set(options.methods) == set(methods)
    if known:
        assert options.unnotified is (DeviceMethod.PUSH in methods)
        assert options.methods in (BOTH, (DeviceMethod.QR,), ())
        assert not options.autostart
    else:
        assert options == told


@pytest.mark.parametrize("known", [True, False])
def test_no_phone_was_notified_is_seen_in_a_known_browser_only(known: bool) -> None:
    challenge = a_challenge()
    context = replace(challenge.context, known_browser=known)
    waiting = a_transaction(
        state=TransactionState.WAITING, challenge=replace(challenge, context=context, unnotified=True)
    )
    shown = PageState.PUSH_UNNOTIFIED if known else PageState.PUSH_WAITING
    assert page_options(waiting, START, methods=BOTH, known=known).state is shown


def test_without_a_user_name_the_page_asks_for_it_and_offers_no_way() -> None:
    options = page_options(a_transaction(username=""), START, methods=BOTH, known=False)
    assert options.asks_account
    assert not options.ways


def test_a_qr_code_is_renewed_while_it_is_shown_and_not_scanned() -> None:
    challenge = replace(a_challenge(), handle="handle")
    waiting = a_transaction(state=TransactionState.WAITING, challenge=challenge, renewals=3)
    options = page_options(waiting, START, methods=BOTH, known=False)
    assert (options.state, options.renews) == (PageState.QR_WAITING, challenge.id)
    assert options.renewals_left == MAX_RENEWALS - 3
    over = page_options(waiting, START + HANDLE_LIFETIME, methods=BOTH, known=False)
    assert (over.state, over.renews, over.renewals_left) == (PageState.EXPIRED, "", 0)
    scanned = replace(waiting, challenge=replace(challenge, claimed=True))
    options = page_options(scanned, START + timedelta(seconds=90), methods=BOTH, known=False)
    assert (options.state, options.renews, options.renewals_left) == (PageState.QR_SCANNED, "", 0)


@pytest.mark.parametrize("handle", [None, "handle"])
def test_another_qr_code_is_a_new_one_only_after_a_qr_code(handle: str | None) -> None:
    challenge = replace(a_challenge(), handle=handle)
    declined = a_transaction(state=TransactionState.DENIED, challenge=challenge)
    assert page_options(declined, START, methods=BOTH, known=True).qr_shown is (handle is not None)
    assert not page_options(a_transaction(), START, methods=BOTH, known=True).qr_shown


def test_a_browser_may_see_what_it_has_done_in_another_tab() -> None:
    ended = a_transaction(state=TransactionState.SUPERSEDED, challenge=a_challenge())
    assert ended.effective_state(START) is TransactionState.SUPERSEDED


def test_after_this_isnt_me_no_push_comes_first() -> None:
    for methods in (BOTH, BOTH[::-1]):
        options = SignInOptions(state=PageState.NOT_ME, methods=methods)
        assert (options.offers, options.others) == ((), (DeviceMethod.QR, DeviceMethod.PUSH))


@pytest.mark.parametrize("state", list(PageState))
def test_a_page_follows_another_tab_unless_something_was_answered_or_refused(state: PageState) -> None:
    follows = {PageState.START, PageState.EXPIRED, PageState.SUPERSEDED, *RUNNING}
    assert SignInOptions(state=state).follows is (state in follows)
    assert not SignInOptions(state=state, named=False).follows


@pytest.mark.parametrize("end", sorted(ENDED_CHALLENGE - {TransactionState.SUPERSEDED}))
@pytest.mark.parametrize(
    ("known", "claimed", "shown"), [(False, False, False), (True, False, True), (False, True, True)]
)
def test_an_end_is_shown_only_where_the_account_is_no_secret(
    end: TransactionState, known: bool, claimed: bool, shown: bool
) -> None:
    """In a known browser, or one whose QR code was scanned; in any other the request waits until its time is over."""
    challenge = a_challenge()
    challenge = replace(challenge, context=replace(challenge.context, known_browser=known), claimed=claimed)
    ended = a_transaction(state=end, challenge=challenge)
    waiting = replace(ended, state=TransactionState.WAITING)
    for seconds in (0, 119, 120, 600):
        now = START + timedelta(seconds=seconds)
        same = ended.effective_state(now) is waiting.effective_state(now)
        assert same is (not shown or (end is TransactionState.EXPIRED and seconds >= 120))
        assert shown is (ended.effective_state(now) is end) or end is TransactionState.EXPIRED
