"""What a person really proved, and what may be claimed about it to Entra ID.

The one rule about MFA is `counts_as_mfa`: the claims of a token and `shortfall` both go by it.
"""

from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import StrEnum

from shared.clock import iso_millis
from shared.errors import Forbidden

MULTIPLE_AUTHN = "http://schemas.microsoft.com/claims/multipleauthn"
UNSPECIFIED = "urn:oasis:names:tc:SAML:1.0:am:unspecified"  # SAML 1.1 core section 7.1.11

# How far replicas' clocks may differ; also how far a token's validity starts in the past.
CLOCK_SKEW = timedelta(seconds=60)


class Method(StrEnum):
    """How somebody proved who they are."""

    BLOKKEY_PUSH = "blokkey_push"
    BLOKKEY_QR = "blokkey_qr"
    PASSKEY = "passkey"
    BLOKBADGE = "blokbadge"


class DeviceMethod(StrEnum):
    """The ways that lead through BlokKey on a phone, as addresses, contexts and the tenant's application name them."""

    PUSH = "push"
    QR = "qr"

    @property
    def proves(self) -> Method:
        """What an approval by this way counts as."""
        return Method.BLOKKEY_PUSH if self is DeviceMethod.PUSH else Method.BLOKKEY_QR


@dataclass(frozen=True, slots=True, kw_only=True)
class VerifiedAuthentication:
    """An authentication whose proof wsfed checked itself; the only thing a token can be made from.

    Made by the proof checks alone, or read back from an SSO session that was made by them.

    `user_verified`: the device checked face, finger or PIN (the UV flag of WebAuthn); for a badge, the PIN
    took part in the signature. `registered_kiosk`: an enrolled kiosk's own key took part. `authenticated_at`:
    the moment wsfed accepted the proof, aware UTC; a session keeps it, so it may lie hours back. `session_epoch`:
    that of the account when the proof was asked for; it counts only while the account still has the same one.
    """

    tenant: str
    account: str
    method: Method
    user_verified: bool
    registered_kiosk: bool
    authenticated_at: datetime
    session_epoch: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class AuthenticationPolicy:
    """What a tenant decided about authentication. Microsoft counts its own QR code and PIN as one factor."""

    badge_counts_as_mfa: bool = False


@dataclass(frozen=True, slots=True)
class Attribute:
    """One SAML 1.1 attribute (core section 2.4.4): AttributeName, AttributeNamespace, one value."""

    name: str
    namespace: str
    value: str


@dataclass(frozen=True, slots=True)
class AuthenticationClaims:
    """What the token says about the authentication: SAML AuthenticationMethod, and attributes."""

    authentication_method: str
    attributes: tuple[Attribute, ...]

    @property
    def mfa(self) -> bool:
        """Whether these claims say that MFA was done."""
        return self.authentication_method == MULTIPLE_AUTHN


_IDENTITY_2008 = "http://schemas.microsoft.com/ws/2008/06/identity/claims"
_IDENTITY_2017 = "http://schemas.microsoft.com/ws/2017/04/identity/claims"
_MFA = (
    Attribute("authnmethodsreferences", "http://schemas.microsoft.com/claims", MULTIPLE_AUTHN),
    Attribute("authenticationmethod", _IDENTITY_2008, MULTIPLE_AUTHN),
)


def counts_as_mfa(auth: VerifiedAuthentication, policy: AuthenticationPolicy) -> bool:
    """The MFA truth table: whether this authentication was multi-factor. Its age is not looked at.

    | method                   | user verified | registered kiosk | policy counts badges | MFA |
    |--------------------------|---------------|------------------|----------------------|-----|
    | passkey, BlokKey         | yes           | any              | any                  | yes |
    | BlokBadge                | yes           | yes              | yes                  | yes |
    | anything else            |               |                  |                      | no  |
    """
    if not auth.user_verified:
        return False
    match auth.method:
        case Method.BLOKKEY_PUSH | Method.BLOKKEY_QR | Method.PASSKEY:
            return True
        case Method.BLOKBADGE:
            return policy.badge_counts_as_mfa and auth.registered_kiosk


def made_within(
    auth: VerifiedAuthentication,
    max_age: timedelta | None,
    *,
    now: datetime,
    requested_at: datetime | None = None,
) -> bool:
    """Whether the authentication is at most `max_age` old. No limit: always.

    One that was made at or after `requested_at`, for this very request, is never too old; otherwise a
    limit of zero could not be met by anybody and the browser would loop.
    """
    if max_age is None or (requested_at is not None and auth.authenticated_at >= requested_at):
        return True
    return now - auth.authenticated_at <= max_age


def authentication_claims(
    auth: VerifiedAuthentication,
    policy: AuthenticationPolicy,
    *,
    now: datetime,
    mfa_max_age: timedelta | None,
    requested_at: datetime | None = None,
) -> AuthenticationClaims:
    """What may be said about `auth` at `now`: when it was, and MFA when it really was, and is not older than
    `mfa_max_age`.

    All factors of a method are proved in one signature, so the instant of MFA ([MS-MWBF] section 2.2.3) is that of
    the authentication. Never a password method. Raises Forbidden `authenticated_in_future` when `authenticated_at`
    is more than a minute ahead of `now`: such an authentication would stay fresh for as long as somebody liked.
    """
    _refuse_future(auth, now)
    counts = _counts_as_mfa_now(auth, policy, now=now, mfa_max_age=mfa_max_age, requested_at=requested_at)
    instant = iso_millis(auth.authenticated_at)
    authenticated = Attribute("authenticationinstant", _IDENTITY_2008, instant)
    if not counts:
        return AuthenticationClaims(UNSPECIFIED, (authenticated,))
    mfa_done = Attribute("multifactorauthenticationinstant", _IDENTITY_2017, instant)
    return AuthenticationClaims(MULTIPLE_AUTHN, (*_MFA, authenticated, mfa_done))


def _counts_as_mfa_now(
    auth: VerifiedAuthentication,
    policy: AuthenticationPolicy,
    *,
    now: datetime,
    mfa_max_age: timedelta | None,
    requested_at: datetime | None,
) -> bool:
    return counts_as_mfa(auth, policy) and made_within(auth, mfa_max_age, now=now, requested_at=requested_at)


def _refuse_future(auth: VerifiedAuthentication, now: datetime) -> None:
    if auth.authenticated_at - now > CLOCK_SKEW:
        raise Forbidden("wsfed.authentication.in_future", code="authenticated_in_future")


class Shortfall(StrEnum):
    """Why an authentication does not answer a request."""

    FRESHNESS = "freshness"  # authenticate again
    MFA = "mfa"  # step up


def shortfall(
    auth: VerifiedAuthentication,
    policy: AuthenticationPolicy,
    *,
    now: datetime,
    requested_at: datetime,
    fresh_required: bool,
    max_age: timedelta | None,
    mfa_wanted: bool,
    mfa_max_age: timedelta | None,
) -> Shortfall | None:
    """What is missing before `auth` (usually an SSO session's) may answer a request made at `requested_at`.

    `fresh_required`: only an authentication made at or after the request will do (wfresh=0, prompt=login,
    wauth password). `max_age`: wfresh. None means nothing is missing. Whose account it is, is not checked.
    Raises Forbidden as `authentication_claims` does, so that it is refused before anything is written.
    """
    _refuse_future(auth, now)
    if fresh_required and auth.authenticated_at < requested_at:
        return Shortfall.FRESHNESS
    if not made_within(auth, max_age, now=now, requested_at=requested_at):
        return Shortfall.FRESHNESS
    if mfa_wanted and not _counts_as_mfa_now(
        auth, policy, now=now, mfa_max_age=mfa_max_age, requested_at=requested_at
    ):
        return Shortfall.MFA
    return None
