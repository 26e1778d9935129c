"""A trial (docs/flows/try-it.md): a token of ours, read as the relying party would read it.

The token is read with lxml and signxml, which did not write it (`domain.token` does). Pure.
"""

import base64
from collections.abc import Mapping
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from enum import StrEnum

from cryptography.hazmat.primitives.serialization import Encoding
from cryptography.x509 import load_der_x509_certificate
from lxml import etree
from signxml.exceptions import SignXMLException
from signxml.verifier import SignatureConfiguration, XMLVerifier

from services.wsfed.domain.authentication import MULTIPLE_AUTHN
from services.wsfed.domain.keys import certificate_validity, thumbprint

APPLICATION = "try"
"""The application's id in a context that is signed for a trial."""
RESULT_SHOWN = timedelta(minutes=15)
"""How long after the token the result is shown."""

_SAML = "{urn:oasis:names:tc:SAML:1.0:assertion}"


def trial_address(origin: str, tenant: str) -> str:
    """Where a trial begins; the relying party in its context, and the audience of its token."""
    return f"{origin}/t/{tenant}/try"


class Check(StrEnum):
    """What is asked of the token. The values are stored, and are keys of words."""

    SIGNATURE = "signature"
    """It verifies with the certificate that the metadata publishes as the current one."""
    CERTIFICATE = "certificate"
    """The certificate in the token is that one, and it is valid now."""
    ISSUER = "issuer"
    """It is the one of the account's domain."""
    AUDIENCE = "audience"
    """It is that of the trial."""
    SUBJECT = "subject"
    """NameIdentifier and the claim ImmutableID are the account's ImmutableID."""
    UPN = "upn"
    """It is the account's user name."""
    TIMES = "times"
    """The token is valid now, and the authentication does not lie in the future."""
    MFA = "mfa"
    """AuthenticationMethod and the claim authnmethodsreferences say multipleauthn."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ReadClaim:
    """One SAML 1.1 attribute, as it was read."""

    name: str
    namespace: str
    value: str


@dataclass(frozen=True, slots=True, kw_only=True)
class TrialResult:
    """What was read from the token, and which checks it did not pass. The instants are the token's own texts."""

    made_at: datetime
    issuer: str
    audience: str
    subject: str
    """NameIdentifier."""
    authentication_method: str
    authenticated_at: str
    not_before: str
    not_on_or_after: str
    claims: tuple[ReadClaim, ...]
    certificate: str
    """SHA-256 of the certificate that the signature was verified with, 64 upper-case hex digits."""
    certificate_ends: datetime
    failed: tuple[Check, ...]

    @property
    def checks(self) -> Mapping[Check, bool]:
        """Every check, and whether it was passed."""
        return {each: each not in self.failed for each in Check}

    def shown(self, now: datetime) -> bool:
        """Whether the result is shown still."""
        return self.made_at <= now < self.made_at + RESULT_SHOWN


@dataclass(frozen=True, slots=True, kw_only=True)
class Expected:
    """What the token must say. `certificate`: DER, the one that the metadata publishes as the current one."""

    certificate: bytes
    issuer: str
    audience: str
    upn: str
    immutable_id: str


def examine(wresult: str, expected: Expected, now: datetime) -> TrialResult:
    """Read a RequestSecurityTokenResponse of ours, and check it. CPU for some milliseconds.

    `now`: aware UTC. What does not pass is in the result. Raises ValueError for what is no such response.
    """
    assertion = _assertion(wresult)
    failed = [] if _verifies(assertion, expected.certificate, now) else [Check.SIGNATURE]
    claims = tuple(
        ReadClaim(
            name=each.get("AttributeName", ""),
            namespace=each.get("AttributeNamespace", ""),
            value=_text(each, "AttributeValue"),
        )
        for each in assertion.iter(f"{_SAML}Attribute")
    )
    values = {each.name: each.value for each in claims}
    conditions = _only(assertion, "Conditions")
    statement = _only(assertion, "AuthenticationStatement")
    subjects = {each.text or "" for each in assertion.iter(f"{_SAML}NameIdentifier")}
    result = TrialResult(
        made_at=now,
        issuer=assertion.get("Issuer", ""),
        audience=_text(conditions, "Audience"),
        subject=_text(statement, "NameIdentifier"),
        authentication_method=statement.get("AuthenticationMethod", ""),
        authenticated_at=statement.get("AuthenticationInstant", ""),
        not_before=conditions.get("NotBefore", ""),
        not_on_or_after=conditions.get("NotOnOrAfter", ""),
        claims=claims,
        certificate=thumbprint(expected.certificate),
        certificate_ends=certificate_validity(expected.certificate)[1],
        failed=(),
    )
    passed = {
        Check.CERTIFICATE: _is_current(assertion, expected.certificate, now),
        Check.ISSUER: result.issuer == expected.issuer,
        Check.AUDIENCE: result.audience == expected.audience,
        Check.SUBJECT: subjects == {expected.immutable_id} == {values.get("ImmutableID")},
        Check.UPN: values.get("UPN") == expected.upn,
        Check.TIMES: _valid(result, now),
        Check.MFA: {result.authentication_method, values.get("authnmethodsreferences")} == {MULTIPLE_AUTHN},
    }
    failed += [each for each, held in passed.items() if not held]
    return replace(result, failed=tuple(failed))


def _assertion(wresult: str) -> etree._Element:
    parser = etree.XMLParser(resolve_entities=False, no_network=True)
    try:
        response = etree.fromstring(wresult.encode(), parser)
    except etree.XMLSyntaxError as error:
        raise ValueError("not XML") from error
    return _only(response, "Assertion")


def _verifies(assertion: etree._Element, certificate: bytes, now: datetime) -> bool:
    """Whether the enveloped signature is that certificate's, and covers the whole assertion."""
    pem = load_der_x509_certificate(certificate).public_bytes(Encoding.PEM).decode()
    try:
        verified = XMLVerifier().verify(
            assertion,
            x509_cert=pem,
            id_attribute="AssertionID",
            expect_config=SignatureConfiguration(location="./", verification_time=now),
        )
    except (SignXMLException, ValueError):
        return False
    signed = None if isinstance(verified, list) else verified.signed_xml
    return signed is not None and signed.tag == assertion.tag and signed.attrib == assertion.attrib


def _is_current(assertion: etree._Element, certificate: bytes, now: datetime) -> bool:
    texts = [
        each.text or "" for each in assertion.iter("{http://www.w3.org/2000/09/xmldsig#}X509Certificate")
    ]
    begins, ends = certificate_validity(certificate)
    return [base64.b64decode(each) for each in texts] == [certificate] and begins <= now < ends


def _valid(result: TrialResult, now: datetime) -> bool:
    begins, ends, authenticated = (
        datetime.fromisoformat(each)
        for each in (result.not_before, result.not_on_or_after, result.authenticated_at)
    )
    return begins <= now < ends and authenticated < ends and authenticated <= now + timedelta(minutes=1)


def _only(element: etree._Element, name: str) -> etree._Element:
    found = list(element.iter(f"{_SAML}{name}"))
    if len(found) != 1:
        raise ValueError(f"{len(found)} times {name}")
    return found[0]


def _text(element: etree._Element, name: str) -> str:
    return _only(element, name).text or ""
