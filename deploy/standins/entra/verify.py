"""Is this answer good enough to sign somebody in? Entra's checks, in Entra's order, and some more.

Order: message and its layout, issuer, signature, assertion's layout, time window, audience, user by
ImmutableID, the user's domain against the federated domain, MFA and age of authentication, replay.

NOT verified, because Entra can't or doesn't: that the person is the one hinted at in the request, that the
browser is the one the request was given to (wctx alone binds them), whether the certificate has expired.
"""

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta

from deploy.standins.entra.errors import Code, EntraError
from deploy.standins.entra.requests import MULTIPLEAUTHN, WTREALM, PendingRequest
from deploy.standins.entra.settings import (
    MAX_IMMUTABLE_ID,
    Directory,
    Federations,
    FederationSettings,
    User,
    domain_of,
)
from deploy.standins.entra.tokens import (
    ADDRESSING,
    ASSERTION_SHAPES,
    SAML,
    TRUST,
    UTILITY,
    Element,
    check_version,
    issuer_of,
    parse_response,
    verify_signature,
)

__all__ = [
    "Directory",
    "EntraError",
    "FederationSettings",
    "Federations",
    "PendingRequest",
    "ReplayMemory",
    "SignedInUser",
    "User",
    "verify_response",
]

MAX_LIFETIME = timedelta(minutes=60)
TOKEN_TYPE = "urn:oasis:names:tc:SAML:1.0:assertion"  # noqa: S105 - a name
REQUEST_TYPE = "http://schemas.xmlsoap.org/ws/2005/02/trust/Issue"
KEY_TYPE = "http://schemas.xmlsoap.org/ws/2005/05/identity/NoProofKey"
UNSPECIFIED_FORMAT = "urn:oasis:names:tc:SAML:1.1:nameid-format:unspecified"
BEARER = "urn:oasis:names:tc:SAML:1.0:cm:bearer"
UNSPECIFIED_METHOD = "urn:oasis:names:tc:SAML:1.0:am:unspecified"

Claim = tuple[str, str]  # AttributeNamespace, AttributeName
UPN: Claim = ("http://schemas.xmlsoap.org/claims", "UPN")
IMMUTABLE_ID: Claim = ("http://schemas.microsoft.com/LiveID/Federation/2008/05", "ImmutableID")
METHODS_REFERENCES: Claim = ("http://schemas.microsoft.com/claims", "authnmethodsreferences")
METHOD: Claim = ("http://schemas.microsoft.com/ws/2008/06/identity/claims", "authenticationmethod")
INSIDE_NETWORK: Claim = ("http://schemas.microsoft.com/ws/2012/01", "insidecorporatenetwork")
AUTHENTICATED: Claim = ("http://schemas.microsoft.com/ws/2008/06/identity/claims", "authenticationinstant")
MFA_DONE: Claim = (
    "http://schemas.microsoft.com/ws/2017/04/identity/claims",
    "multifactorauthenticationinstant",
)
KNOWN_CLAIMS = {UPN, IMMUTABLE_ID, METHODS_REFERENCES, METHOD, INSIDE_NETWORK, AUTHENTICATED, MFA_DONE}

_INSTANT = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z", re.ASCII)
_ASSERTION_ID = re.compile(r"_[A-Za-z0-9_.-]{22,128}", re.ASCII)  # `_` and 128 random bits or more


@dataclass(frozen=True)
class SignedInUser:
    """Who is signed in, as far as the token says and Entra accepts it. `mfa` = claimed and accepted.

    `key` is the registered key's name: `current`, `next` or `previous`. Times are aware, in UTC.
    """

    upn: str
    immutable_id: str
    domain: str
    tenant: str
    issuer: str
    assertion_id: str
    mfa: bool
    authentication_method: str
    authentication_instant: datetime
    issue_instant: datetime
    not_before: datetime
    not_on_or_after: datetime
    key: str
    claims: dict[Claim, str]


@dataclass
class ReplayMemory:
    """The assertions that were used, until they expire by themselves."""

    _used: dict[tuple[str, str], datetime] = field(default_factory=dict)

    def use(self, issuer: str, assertion_id: str, expires: datetime, now: datetime) -> bool:
        """Use up an assertion id; False when it was used before."""
        if len(self._used) >= 1000:
            self._used = {key: until for key, until in self._used.items() if until > now}
        if (issuer, assertion_id) in self._used:
            return False
        self._used[(issuer, assertion_id)] = expires
        return True


def verify_response(
    form: Mapping[str, str] | Iterable[tuple[str, str]],
    *,
    federations: Federations,
    directory: Directory,
    replays: ReplayMemory,
    pending: PendingRequest | None,
    now: datetime,
) -> SignedInUser:
    """Verify the form posted to login.srf as the answer to `pending`. Raises EntraError, else signs in.

    `form` is decoded name-value pairs; `now` is aware. Only a success uses the assertion up.
    """
    wresult = _check_form(form, pending)
    root, assertion = parse_response(wresult)
    assert pending is not None
    _check_response(root)

    federation = federations.by_issuer.get(issuer_of(assertion))
    if federation is None:
        raise EntraError(Code.ISSUER_UNKNOWN, f"issuer {issuer_of(assertion)[:200]!r}")
    signed, key = verify_signature(root, assertion, federation.registered_keys())
    user = _read(signed, federation, key)

    _check_times(user, root, now)
    audience = _text(signed, "Conditions", "AudienceRestrictionCondition", "Audience")
    if audience != WTREALM:
        raise EntraError(Code.BAD_ASSERTION, f"audience {audience[:200]!r}")
    account = _find(user, directory, federations, federation)
    if federations.for_domain(pending.domain) is not federation:
        raise EntraError(Code.UPN_DOMAIN, f"the request was for {pending.domain}, another federated domain")
    user = _check_demands(user, federation, pending, now)
    if not account.enabled:
        raise EntraError(Code.USER_DISABLED, account.upn)
    if not replays.use(user.issuer, user.assertion_id, user.not_on_or_after, now):
        raise EntraError(Code.BAD_ASSERTION, "this assertion has been used before")
    return user


def _check_form(form: Mapping[str, str] | Iterable[tuple[str, str]], pending: PendingRequest | None) -> str:
    """The wresult of a well-formed answer to our request."""
    pairs: list[tuple[str, str]] = list(form.items() if isinstance(form, Mapping) else form)
    fields = dict(pairs)
    if len(fields) != len(pairs) or set(fields) != {"wa", "wresult", "wctx"}:
        raise EntraError(Code.BAD_MESSAGE, "the form must have wa, wresult and wctx, each once, and no more")
    if fields["wa"] != "wsignin1.0":
        raise EntraError(Code.BAD_MESSAGE, f"wa is {fields['wa'][:50]!r}")
    if pending is None or fields["wctx"] != pending.wctx:
        raise EntraError(Code.BAD_MESSAGE, "wctx is not that of a request of ours, byte for byte")
    return fields["wresult"]


def _check_response(root: Element) -> None:
    """The unsigned values around the token."""
    for value, expected in (
        (root[1][0].findtext(f"{{{ADDRESSING}}}Address"), WTREALM),
        (root.findtext(f"{{{TRUST}}}TokenType"), TOKEN_TYPE),
        (root.findtext(f"{{{TRUST}}}RequestType"), REQUEST_TYPE),
        (root.findtext(f"{{{TRUST}}}KeyType"), KEY_TYPE),
    ):
        if value != expected:
            raise EntraError(Code.BAD_MESSAGE, f"{(value or '')[:200]!r} instead of {expected}")


def _read(signed: Element, federation: FederationSettings, key: str) -> SignedInUser:
    """Layout and consistency of the assertion (SAML 1.1 core, section 2.3), and what it says."""
    check_version(signed, ASSERTION_SHAPES, Code.BAD_ASSERTION)
    if (signed.get("MajorVersion"), signed.get("MinorVersion")) != ("1", "1"):
        raise EntraError(Code.BAD_ASSERTION, "not version 1.1")
    assertion_id = signed.get("AssertionID", "")
    if not _ASSERTION_ID.fullmatch(assertion_id):
        raise EntraError(Code.BAD_ASSERTION, "AssertionID must be `_` and at least 22 random characters")
    claims = _claims(signed)
    immutable_id = claims[IMMUTABLE_ID]
    if len(immutable_id) > MAX_IMMUTABLE_ID:
        raise EntraError(Code.BAD_ASSERTION, f"ImmutableID is longer than {MAX_IMMUTABLE_ID} characters")
    for statement in ("AttributeStatement", "AuthenticationStatement"):
        _check_subject(signed, statement, immutable_id)
    authentication = _child(signed, "AuthenticationStatement")
    method = authentication.get("AuthenticationMethod", "")
    if claims.get(AUTHENTICATED, authentication.get("AuthenticationInstant")) != authentication.get(
        "AuthenticationInstant"
    ):
        raise EntraError(Code.BAD_ASSERTION, "authenticationinstant is not the AuthenticationInstant")
    return SignedInUser(
        upn=claims[UPN],
        immutable_id=immutable_id,
        domain=federation.domain,
        tenant=federation.tenant,
        issuer=federation.issuer_uri,
        assertion_id=assertion_id,
        mfa=_mfa_claimed(method, claims),
        authentication_method=method,
        authentication_instant=_instant(authentication.get("AuthenticationInstant"), Code.BAD_ASSERTION),
        issue_instant=_instant(signed.get("IssueInstant"), Code.BAD_ASSERTION),
        not_before=_instant(_child(signed, "Conditions").get("NotBefore"), Code.BAD_ASSERTION),
        not_on_or_after=_instant(_child(signed, "Conditions").get("NotOnOrAfter"), Code.BAD_ASSERTION),
        key=key,
        claims=claims,
    )


def _claims(signed: Element) -> dict[Claim, str]:
    claims: dict[Claim, str] = {}
    for attribute in signed.iter(f"{{{SAML}}}Attribute"):
        claim = (attribute.get("AttributeNamespace", ""), attribute.get("AttributeName", ""))
        if claim in claims or claim not in KNOWN_CLAIMS:
            raise EntraError(Code.BAD_ASSERTION, f"claim {claim} is unknown or there twice")
        claims[claim] = attribute[0].text or ""
    if UPN not in claims or IMMUTABLE_ID not in claims:
        raise EntraError(Code.BAD_ASSERTION, "UPN and ImmutableID are both needed")
    if claims.get(INSIDE_NETWORK, "true") not in ("true", "false"):
        raise EntraError(Code.BAD_ASSERTION, "insidecorporatenetwork is `true` or `false`")
    return claims


def _check_subject(signed: Element, statement: str, immutable_id: str) -> None:
    identifier = _child(signed, statement, "Subject", "NameIdentifier")
    confirmation = _text(signed, statement, "Subject", "SubjectConfirmation", "ConfirmationMethod")
    if identifier.text != immutable_id or identifier.get("Format") != UNSPECIFIED_FORMAT:
        raise EntraError(Code.BAD_ASSERTION, f"{statement}: the NameIdentifier is not the ImmutableID")
    if confirmation != BEARER:
        raise EntraError(Code.BAD_ASSERTION, f"{statement}: confirmation {confirmation[:200]!r}")


def _mfa_claimed(method: str, claims: dict[Claim, str]) -> bool:
    """MFA is said in three places, which must agree; no other method is ours to claim, least a password."""
    said = (method, claims.get(METHODS_REFERENCES), claims.get(METHOD))
    if said == (MULTIPLEAUTHN, MULTIPLEAUTHN, MULTIPLEAUTHN):
        return True
    if said == (UNSPECIFIED_METHOD, None, None) and MFA_DONE not in claims:
        return False
    raise EntraError(Code.BAD_ASSERTION, f"authentication methods {said} are not allowed or do not agree")


def _check_times(user: SignedInUser, root: Element, now: datetime) -> None:
    """No skew is allowed: the provider's NotBefore already lies 30 to 60 s back."""
    if not user.not_before <= now < user.not_on_or_after:
        raise EntraError(
            Code.BAD_ASSERTION, f"valid from {user.not_before} until {user.not_on_or_after}, and it is {now}"
        )
    back = user.issue_instant - user.not_before
    if not timedelta(seconds=30) <= back <= timedelta(seconds=60):
        raise EntraError(Code.BAD_ASSERTION, f"NotBefore lies {back} before IssueInstant, not 30 to 60 s")
    if user.not_on_or_after - user.issue_instant > MAX_LIFETIME:
        raise EntraError(Code.BAD_ASSERTION, "it is valid for more than 60 minutes")
    if not user.authentication_instant <= user.issue_instant <= now:
        raise EntraError(Code.BAD_ASSERTION, "AuthenticationInstant, IssueInstant and now are out of order")
    created, expires = (
        _instant(root[0].findtext(f"{{{UTILITY}}}{name}"), Code.BAD_MESSAGE)
        for name in ("Created", "Expires")
    )
    if not user.not_before <= created <= user.issue_instant or not created < expires <= user.not_on_or_after:
        raise EntraError(Code.BAD_MESSAGE, "Lifetime is not within the assertion's own")


def _find(
    user: SignedInUser, directory: Directory, federations: Federations, federation: FederationSettings
) -> User:
    """The directory's user, whose domain must be ruled by the issuer's own federation."""
    account = directory.find(federation.tenant, user.immutable_id)
    if account is None:
        raise EntraError(Code.USER_NOT_FOUND, f"ImmutableID {user.immutable_id!r}")
    for upn in (user.upn, account.upn):
        if federations.for_domain(domain_of(upn)) is not federation:
            raise EntraError(Code.UPN_DOMAIN, f"{upn[:200]!r} is not in {federation.domain}")
    if user.upn.casefold() != account.upn.casefold():
        raise EntraError(
            Code.USER_NOT_FOUND, f"this ImmutableID belongs to another UPN than {user.upn[:200]!r}"
        )
    return account


def _check_demands(
    user: SignedInUser, federation: FederationSettings, pending: PendingRequest, now: datetime
) -> SignedInUser:
    """Was it done as the request wanted it: MFA, and recently enough?"""
    if federation.federated_idp_mfa_behavior == "rejectMfaByFederatedIdp":
        if pending.mfa_wanted:
            raise EntraError(Code.MFA_REQUIRED_HERE, "rejectMfaByFederatedIdp")
        user = replace(user, mfa=False)
    if pending.mfa_wanted and not user.mfa:
        raise EntraError(Code.MFA_REQUIRED, federation.federated_idp_mfa_behavior)
    if pending.mfa_wanted and pending.mfa_max_age_seconds is not None:
        oldest = min(now - timedelta(seconds=pending.mfa_max_age_seconds), pending.created)
        said = user.claims.get(MFA_DONE)
        done = user.authentication_instant if said is None else _instant(said, Code.BAD_ASSERTION)
        if done < oldest:
            raise EntraError(Code.MFA_TOO_OLD, f"more than {pending.mfa_max_age_seconds} s")
    if pending.max_age_seconds is not None:
        oldest = pending.created - timedelta(seconds=pending.max_age_seconds)
        if user.authentication_instant < oldest:
            raise EntraError(Code.AUTHENTICATION_TOO_OLD, f"authenticated before {oldest}")
    return user


def _child(element: Element, *path: str) -> Element:
    found = element.find("/".join(f"{{{SAML}}}{name}" for name in path))
    assert found is not None, "check_shape has seen it"
    return found


def _text(element: Element, *path: str) -> str:
    return _child(element, *path).text or ""


def _instant(text: str | None, code: Code) -> datetime:
    """Exactly `2026-11-21T20:49:00.000Z`."""
    if text is None or not _INSTANT.fullmatch(text):
        raise EntraError(code, f"{(text or '')[:50]!r} is not UTC with milliseconds and Z")
    try:
        return datetime.fromisoformat(text).astimezone(UTC)
    except ValueError as error:
        raise EntraError(code, f"{text!r} is no date") from error
