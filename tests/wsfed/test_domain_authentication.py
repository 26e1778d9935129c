"""The MFA truth table and what may be claimed."""

from dataclasses import replace
from datetime import timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from services.wsfed.domain.authentication import (
    MULTIPLE_AUTHN,
    UNSPECIFIED,
    AuthenticationPolicy,
    Method,
    Shortfall,
    VerifiedAuthentication,
    authentication_claims,
    counts_as_mfa,
    made_within,
    shortfall,
)
from shared.clock import iso_millis
from shared.errors import Forbidden
from tests.wsfed.domain_samples import BADGE, BADGE_POLICY, NOW, PASSKEY, POLICY

AGES = st.timedeltas(min_value=timedelta(0), max_value=timedelta(days=2))
AUTHENTICATIONS = st.builds(
    VerifiedAuthentication,
    tenant=st.just("tenant-1"),
    account=st.just("account-1"),
    method=st.sampled_from(Method),
    user_verified=st.booleans(),
    registered_kiosk=st.booleans(),
    authenticated_at=AGES.map(lambda age: NOW - age),
)
POLICIES = st.builds(AuthenticationPolicy, badge_counts_as_mfa=st.booleans())

PHONE_OR_PASSKEY = [Method.BLOKKEY_PUSH, Method.BLOKKEY_QR, Method.PASSKEY]


@pytest.mark.parametrize("method", PHONE_OR_PASSKEY)
@pytest.mark.parametrize("policy", [POLICY, BADGE_POLICY])
def test_key_with_user_verification_is_mfa_and_without_is_not(
    method: Method, policy: AuthenticationPolicy
) -> None:
    assert counts_as_mfa(replace(PASSKEY, method=method), policy)
    assert not counts_as_mfa(replace(PASSKEY, method=method, user_verified=False), policy)
    kiosk_only = replace(PASSKEY, method=method, user_verified=False, registered_kiosk=True)
    assert not counts_as_mfa(kiosk_only, policy)


def test_badge_is_one_factor_by_default() -> None:
    assert AuthenticationPolicy() == AuthenticationPolicy(badge_counts_as_mfa=False)
    assert not counts_as_mfa(BADGE, AuthenticationPolicy())


@pytest.mark.parametrize("counted", [False, True])
@pytest.mark.parametrize("kiosk", [False, True])
@pytest.mark.parametrize("pin", [False, True])
def test_badge_is_mfa_only_with_policy_and_registered_kiosk_and_pin(
    counted: bool, kiosk: bool, pin: bool
) -> None:
    badge = replace(BADGE, registered_kiosk=kiosk, user_verified=pin)
    policy = AuthenticationPolicy(badge_counts_as_mfa=counted)
    assert counts_as_mfa(badge, policy) is (counted and kiosk and pin)


@given(AUTHENTICATIONS, POLICIES)
def test_nothing_is_mfa_without_user_verification(
    auth: VerifiedAuthentication, policy: AuthenticationPolicy
) -> None:
    assert not counts_as_mfa(replace(auth, user_verified=False), policy)


@given(AUTHENTICATIONS)
def test_policy_can_only_add_badges(auth: VerifiedAuthentication) -> None:
    if auth.method is not Method.BLOKBADGE:
        assert counts_as_mfa(auth, POLICY) == counts_as_mfa(auth, BADGE_POLICY)
    else:
        assert not counts_as_mfa(auth, POLICY)


@given(AUTHENTICATIONS, POLICIES, st.none() | AGES)
def test_claims_say_mfa_exactly_when_it_was_and_is_young_enough(
    auth: VerifiedAuthentication, policy: AuthenticationPolicy, mfa_max_age: timedelta | None
) -> None:
    claims = authentication_claims(auth, policy, now=NOW, mfa_max_age=mfa_max_age)
    young = mfa_max_age is None or NOW - auth.authenticated_at <= mfa_max_age
    expected = counts_as_mfa(auth, policy) and young
    assert claims.mfa is expected
    assert claims.authentication_method == (MULTIPLE_AUTHN if expected else UNSPECIFIED)
    instant = iso_millis(auth.authenticated_at)
    identity = "http://schemas.microsoft.com/ws/2008/06/identity/claims"
    mfa = [
        ("http://schemas.microsoft.com/claims", "authnmethodsreferences", MULTIPLE_AUTHN),
        (identity, "authenticationmethod", MULTIPLE_AUTHN),
    ]
    done = (
        "http://schemas.microsoft.com/ws/2017/04/identity/claims",
        "multifactorauthenticationinstant",
        instant,
    )
    when = (identity, "authenticationinstant", instant)
    said = [(a.namespace, a.name, a.value) for a in claims.attributes]
    assert said == ([*mfa, when, done] if expected else [when])


@given(AUTHENTICATIONS, POLICIES, st.none() | AGES)
def test_claims_never_name_a_password(
    auth: VerifiedAuthentication, policy: AuthenticationPolicy, mfa_max_age: timedelta | None
) -> None:
    assert "password" not in repr(authentication_claims(auth, policy, now=NOW, mfa_max_age=mfa_max_age))


@given(AUTHENTICATIONS, POLICIES, AGES, AGES)
def test_older_authentication_never_gains_mfa(
    auth: VerifiedAuthentication, policy: AuthenticationPolicy, max_age: timedelta, more: timedelta
) -> None:
    older = replace(auth, authenticated_at=auth.authenticated_at - more)
    if authentication_claims(older, policy, now=NOW, mfa_max_age=max_age).mfa:
        assert authentication_claims(auth, policy, now=NOW, mfa_max_age=max_age).mfa


def test_mfa_made_for_this_request_satisfies_a_limit_of_zero() -> None:
    asked, answered, signed = NOW, NOW + timedelta(seconds=40), NOW + timedelta(seconds=41)
    auth = replace(PASSKEY, authenticated_at=answered)
    zero = timedelta(0)
    assert not authentication_claims(auth, POLICY, now=signed, mfa_max_age=zero).mfa
    assert authentication_claims(auth, POLICY, now=signed, mfa_max_age=zero, requested_at=asked).mfa
    old = replace(PASSKEY, authenticated_at=asked - timedelta(milliseconds=1))
    assert not authentication_claims(old, POLICY, now=signed, mfa_max_age=zero, requested_at=asked).mfa


def test_refuses_authentication_from_the_future() -> None:
    skewed = replace(PASSKEY, authenticated_at=NOW + timedelta(seconds=60))
    assert authentication_claims(skewed, POLICY, now=NOW, mfa_max_age=timedelta(0)).mfa
    future = replace(PASSKEY, authenticated_at=NOW + timedelta(seconds=61))
    with pytest.raises(Forbidden) as caught:
        authentication_claims(future, POLICY, now=NOW, mfa_max_age=None)
    assert caught.value.code == "authenticated_in_future"


def test_age_limit_includes_its_end() -> None:
    auth = replace(PASSKEY, authenticated_at=NOW - timedelta(minutes=5))
    assert made_within(auth, timedelta(minutes=5), now=NOW)
    assert not made_within(auth, timedelta(minutes=5), now=NOW + timedelta(milliseconds=1))
    assert made_within(auth, None, now=NOW + timedelta(days=900))


def missing(
    auth: VerifiedAuthentication,
    *,
    fresh_required: bool = False,
    max_age: timedelta | None = None,
    mfa_wanted: bool = False,
    mfa_max_age: timedelta | None = None,
) -> Shortfall | None:
    return shortfall(
        auth,
        POLICY,
        now=NOW + timedelta(seconds=30),
        requested_at=NOW,
        fresh_required=fresh_required,
        max_age=max_age,
        mfa_wanted=mfa_wanted,
        mfa_max_age=mfa_max_age,
    )


def test_session_from_before_a_forced_request_does_not_answer_it() -> None:
    before = replace(PASSKEY, authenticated_at=NOW - timedelta(milliseconds=1))
    assert missing(before) is None
    assert missing(before, fresh_required=True) is Shortfall.FRESHNESS
    assert missing(PASSKEY, fresh_required=True, max_age=timedelta(0)) is None


def test_session_older_than_wfresh_does_not_answer() -> None:
    hour_old = replace(PASSKEY, authenticated_at=NOW - timedelta(hours=1))
    assert missing(hour_old, max_age=timedelta(minutes=60)) is Shortfall.FRESHNESS
    assert missing(hour_old, max_age=timedelta(minutes=61)) is None


def test_one_factor_does_not_answer_a_request_for_mfa() -> None:
    assert missing(BADGE) is None
    assert missing(BADGE, mfa_wanted=True) is Shortfall.MFA
    assert missing(PASSKEY, mfa_wanted=True) is None


def test_mfa_older_than_mfa_max_age_does_not_answer() -> None:
    day_old = replace(PASSKEY, authenticated_at=NOW - timedelta(days=1))
    assert missing(day_old, mfa_wanted=True) is None
    assert missing(day_old, mfa_wanted=True, mfa_max_age=timedelta(hours=12)) is Shortfall.MFA
