"""The signed SAML 1.1 assertion, inside the RequestSecurityTokenResponse that Entra ID expects.

The assertion is written in exclusive canonical form at once (namespaces where they are used, attributes in
order, no empty-element tags), so its octets are hashed and signed as they stand. Tests compare every octet
with lxml's canonicalization and every signature with signxml's.

SAML 1.1 core (oasis-sstc-saml-core-1.1), WS-Trust February 2005, XML Signature 1.0, Exclusive C14N 1.0.
"""

import base64
import hashlib
import re
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime, timedelta

from services.wsfed.domain.authentication import (
    CLOCK_SKEW,
    Attribute,
    AuthenticationClaims,
    AuthenticationPolicy,
    VerifiedAuthentication,
    authentication_claims,
)
from services.wsfed.domain.keys import SigningKey, certificate_base64
from services.wsfed.domain.xmltext import attribute_text, element_text, require_xml_text
from shared.clock import iso_millis
from shared.errors import BadInput, Forbidden
from shared.ids import Ids, new_id

DEFAULT_LIFETIME = timedelta(minutes=10)
MAXIMUM_LIFETIME = timedelta(minutes=60)
MAXIMUM_IMMUTABLE_ID = 64

_ASSERTION_ID = re.compile(r"_[A-Za-z0-9_-]{16,80}", re.ASCII)

_WSU = "http://docs.oasis-open.org/wss/2004/01/oasis-200401-wss-wssecurity-utility-1.0.xsd"
_DS = ' xmlns:ds="http://www.w3.org/2000/09/xmldsig#"'
# Signature comes last (core section 2.3.2); it is put before the end tag once the rest is hashed.
_ASSERTION_END = "</saml:Assertion>"


@dataclass(frozen=True, slots=True, kw_only=True)
class TokenSubject:
    """About whom a token speaks. Cannot be made with a value that a token may not hold.

    `issuer`: from `issuer_for`. `immutable_id`: at most 64 characters, how Entra ID finds the user.
    `inside_corporate_network`: only from an administrator's own list of networks and the address that a
    trusted proxy added; administrators skip MFA on it. Not verified here: that UPN and ImmutableID belong
    to the account (they come from admin's events).

    Raises BadInput (`not_xml`, `subject_incomplete`, `immutable_id_too_long`).
    """

    tenant: str
    account: str
    issuer: str
    upn: str
    immutable_id: str
    inside_corporate_network: bool = False

    def __post_init__(self) -> None:
        for name, value in (
            ("issuer", self.issuer),
            ("user name", self.upn),
            ("ImmutableID", self.immutable_id),
        ):
            if not value:
                raise BadInput("wsfed.subject.incomplete", name=name, code="subject_incomplete")
            require_xml_text(value, name)
        if len(self.immutable_id) > MAXIMUM_IMMUTABLE_ID:
            raise BadInput(
                "wsfed.subject.immutable_id_too_long",
                longest=MAXIMUM_IMMUTABLE_ID,
                code="immutable_id_too_long",
            )


@dataclass(frozen=True, slots=True, kw_only=True)
class ReplyForm:
    """The form that the browser posts to Entra ID. Values are raw: the page template escapes them."""

    action: str
    fields: tuple[tuple[str, str], ...]


@dataclass(frozen=True, slots=True)
class FederatedDomain:
    """A domain of one tenant, as configured in Entra ID: its name and its issuerUri."""

    name: str
    issuer: str


def new_assertion_id(ids: Ids) -> str:
    """`_` and a 128-bit id: an NCName, as xs:ID wants, and unguessable (core section 1.2.3)."""
    return f"_{new_id(ids)}"


def domain_for(upn: str, domains: Iterable[FederatedDomain]) -> FederatedDomain:
    """The domain that the UPN's suffix belongs to, out of one tenant's `domains`: its issuer speaks for the person.

    Equal name first, then the nearest configured parent: Entra ID lets subdomains use their root's issuer.
    Case of ASCII letters does not matter. Raises Forbidden `domain_not_federated` when nothing matches, and
    for a UPN with no or two `@` or a suffix beyond ASCII (Unicode case rules would make K of a Kelvin sign).
    """
    local, _, suffix = upn.partition("@")
    if local and suffix.isascii():
        by_name = {domain.name.lower(): domain for domain in domains}
        labels = suffix.lower().split(".")
        if all(labels) and "@" not in suffix:
            for start in range(len(labels)):
                if found := by_name.get(".".join(labels[start:])):
                    return found
    raise Forbidden("wsfed.domain.not_federated", code="domain_not_federated")


def issuer_for(upn: str, domains: Iterable[FederatedDomain]) -> str:
    """The issuer of the domain that the UPN's suffix belongs to. Raises as `domain_for` does."""
    return domain_for(upn, domains).issuer


def issue_token(
    verified: VerifiedAuthentication,
    subject: TokenSubject,
    key: SigningKey,
    *,
    policy: AuthenticationPolicy,
    audience: str,
    now: datetime,
    assertion_id: str,
    lifetime: timedelta = DEFAULT_LIFETIME,
    mfa_wanted: bool = False,
    mfa_max_age: timedelta | None = None,
    requested_at: datetime | None = None,
) -> str:
    """A signed token for `subject`, who is the person of `verified`, as `wresult`. CPU for about a millisecond.

    `audience`: the realm of the request. `now`: aware UTC. `assertion_id`: from `new_assertion_id`. `lifetime`:
    NotOnOrAfter minus NotBefore, more than 1 and at most 60 minutes; NotBefore lies a minute back, for clocks that
    differ. `mfa_wanted`, `mfa_max_age`, `requested_at`: from the request.

    Raises Forbidden `subject_not_authenticated` when tenant or account differ, `mfa_not_satisfied` when MFA
    is wanted and was not done (never a token without the claim, that loops, nor with a false one),
    `authenticated_in_future`; ValueError for a time, lifetime or id that no caller of ours may pass. Not
    verified: freshness (see `shortfall`), that the key is the issuer's registered one, that the issuance
    record is durable.
    """
    if (verified.tenant, verified.account) != (subject.tenant, subject.account):
        raise Forbidden("wsfed.authentication.other_account", code="subject_not_authenticated")
    if not CLOCK_SKEW < lifetime <= MAXIMUM_LIFETIME:
        raise ValueError("lifetime out of range")
    if now.tzinfo is None or verified.authenticated_at.tzinfo is None:
        raise ValueError("times must be aware")
    if not _ASSERTION_ID.fullmatch(assertion_id):
        raise ValueError("not an assertion id of ours")
    claims = authentication_claims(
        verified, policy, now=now, mfa_max_age=mfa_max_age, requested_at=requested_at
    )
    if mfa_wanted and not claims.mfa:
        raise Forbidden("wsfed.authentication.no_mfa", code="mfa_not_satisfied")
    not_before = now - CLOCK_SKEW
    valid = (iso_millis(not_before), iso_millis(not_before + lifetime))
    assertion = _assertion(
        assertion_id,
        subject,
        claims,
        audience=audience,
        issued=iso_millis(now),
        valid=valid,
        authenticated=iso_millis(verified.authenticated_at),
    )
    return _response(_signed(assertion, assertion_id, key), audience, valid)


def reply_form(wresult: str, *, wreply: str, wctx: str | None) -> ReplyForm:
    """The answer as a form (WS-Federation 1.2 section 13.2.2).

    `wreply` must come from the parsed request, which took it from the allow-list; it is not checked again.
    """
    fields = (("wa", "wsignin1.0"), ("wresult", wresult))
    return ReplyForm(action=wreply, fields=fields if wctx is None else (*fields, ("wctx", wctx)))


# The texts below are f-strings and not templates: that halved what a token costs besides its signature.


def _assertion(
    assertion_id: str,
    subject: TokenSubject,
    claims: AuthenticationClaims,
    *,
    audience: str,
    issued: str,
    valid: tuple[str, str],
    authenticated: str,
) -> str:
    """The assertion without its signature (core sections 2.3 and 2.4)."""
    about = _subject(subject)
    return (
        f'<saml:Assertion xmlns:saml="urn:oasis:names:tc:SAML:1.0:assertion" AssertionID="{assertion_id}"'
        f' IssueInstant="{issued}" Issuer="{attribute_text(subject.issuer)}" MajorVersion="1" MinorVersion="1">'
        f'<saml:Conditions NotBefore="{valid[0]}" NotOnOrAfter="{valid[1]}">'
        f"<saml:AudienceRestrictionCondition><saml:Audience>{element_text(audience)}</saml:Audience>"
        "</saml:AudienceRestrictionCondition></saml:Conditions>"
        f"<saml:AttributeStatement>{about}{_identity(subject)}{_attributes(claims.attributes)}"
        "</saml:AttributeStatement>"
        f'<saml:AuthenticationStatement AuthenticationInstant="{authenticated}"'
        f' AuthenticationMethod="{claims.authentication_method}">{about}</saml:AuthenticationStatement>'
        f"{_ASSERTION_END}"
    )


def _subject(subject: TokenSubject) -> str:
    return (
        '<saml:Subject><saml:NameIdentifier Format="urn:oasis:names:tc:SAML:1.1:nameid-format:unspecified">'
        f"{element_text(subject.immutable_id)}</saml:NameIdentifier><saml:SubjectConfirmation>"
        "<saml:ConfirmationMethod>urn:oasis:names:tc:SAML:1.0:cm:bearer</saml:ConfirmationMethod>"
        "</saml:SubjectConfirmation></saml:Subject>"
    )


def _identity(subject: TokenSubject) -> str:
    """UPN and ImmutableID, and the claim about the network where it was made."""
    who = (
        _attribute("UPN", "http://schemas.xmlsoap.org/claims", subject.upn),
        _attribute(
            "ImmutableID", "http://schemas.microsoft.com/LiveID/Federation/2008/05", subject.immutable_id
        ),
    )
    if not subject.inside_corporate_network:
        return f"{who[0]}{who[1]}"
    inside = _attribute("insidecorporatenetwork", "http://schemas.microsoft.com/ws/2012/01", "true")
    return f"{who[0]}{who[1]}{inside}"


def _attributes(attributes: tuple[Attribute, ...]) -> str:
    return "".join(_attribute(each.name, each.namespace, each.value) for each in attributes)


def _attribute(name: str, namespace: str, value: str) -> str:
    return (
        f'<saml:Attribute AttributeName="{name}" AttributeNamespace="{namespace}">'
        f"<saml:AttributeValue>{element_text(value)}</saml:AttributeValue></saml:Attribute>"
    )


def _signed(unsigned: str, assertion_id: str, key: SigningKey) -> str:
    """The assertion with its enveloped signature (XML Signature 1.0 sections 3.1 and 6.6.4)."""
    digest = base64.b64encode(hashlib.sha256(unsigned.encode()).digest()).decode()
    info = _signed_info(assertion_id, digest)
    # SignedInfo is canonicalized on its own, so there it carries the declaration that Signature carries otherwise.
    value = base64.b64encode(key.sign(f"<ds:SignedInfo{_DS}{info}".encode())).decode()
    return (
        f"{unsigned.removesuffix(_ASSERTION_END)}<ds:Signature{_DS}><ds:SignedInfo{info}"
        f"<ds:SignatureValue>{value}</ds:SignatureValue>"
        f"<ds:KeyInfo><ds:X509Data><ds:X509Certificate>{certificate_base64(key.certificate)}</ds:X509Certificate>"
        f"</ds:X509Data></ds:KeyInfo></ds:Signature>{_ASSERTION_END}"
    )


def _signed_info(assertion_id: str, digest: str) -> str:
    """SignedInfo from the end of its own start tag's name on."""
    return (
        ">"
        '<ds:CanonicalizationMethod Algorithm="http://www.w3.org/2001/10/xml-exc-c14n#"></ds:CanonicalizationMethod>'
        '<ds:SignatureMethod Algorithm="http://www.w3.org/2001/04/xmldsig-more#rsa-sha256"></ds:SignatureMethod>'
        f'<ds:Reference URI="#{assertion_id}">'
        "<ds:Transforms>"
        '<ds:Transform Algorithm="http://www.w3.org/2000/09/xmldsig#enveloped-signature"></ds:Transform>'
        '<ds:Transform Algorithm="http://www.w3.org/2001/10/xml-exc-c14n#"></ds:Transform>'
        "</ds:Transforms>"
        '<ds:DigestMethod Algorithm="http://www.w3.org/2001/04/xmlenc#sha256"></ds:DigestMethod>'
        f"<ds:DigestValue>{digest}</ds:DigestValue>"
        "</ds:Reference></ds:SignedInfo>"
    )


def _response(assertion: str, audience: str, valid: tuple[str, str]) -> str:
    """RequestSecurityTokenResponse (WS-Trust February 2005 section 6.2)."""
    return (
        '<t:RequestSecurityTokenResponse xmlns:t="http://schemas.xmlsoap.org/ws/2005/02/trust">'
        "<t:Lifetime>"
        f'<wsu:Created xmlns:wsu="{_WSU}">{valid[0]}</wsu:Created>'
        f'<wsu:Expires xmlns:wsu="{_WSU}">{valid[1]}</wsu:Expires>'
        "</t:Lifetime>"
        '<wsp:AppliesTo xmlns:wsp="http://schemas.xmlsoap.org/ws/2004/09/policy">'
        '<wsa:EndpointReference xmlns:wsa="http://www.w3.org/2005/08/addressing">'
        f"<wsa:Address>{element_text(audience)}</wsa:Address>"
        "</wsa:EndpointReference>"
        "</wsp:AppliesTo>"
        f"<t:RequestedSecurityToken>{assertion}</t:RequestedSecurityToken>"
        "<t:TokenType>urn:oasis:names:tc:SAML:1.0:assertion</t:TokenType>"
        "<t:RequestType>http://schemas.xmlsoap.org/ws/2005/02/trust/Issue</t:RequestType>"
        "<t:KeyType>http://schemas.xmlsoap.org/ws/2005/05/identity/NoProofKey</t:KeyType>"
        "</t:RequestSecurityTokenResponse>"
    )
