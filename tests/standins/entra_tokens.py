"""Tokens for the tests of the Entra stand-in, made here from text and signed with signxml.

Nothing of the services and nothing of the stand-in's own reading is used, so that three hands (signxml,
the stand-in, and in one test xmlsec1) must agree on what a good token is.
"""

import base64
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from functools import cache
from xml.sax.saxutils import escape, quoteattr

from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import rsa
from cryptography.hazmat.primitives.asymmetric.padding import PKCS1v15
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.serialization import Encoding
from cryptography.x509.oid import NameOID
from lxml import etree
from signxml.signer import XMLSigner

NOW = datetime(2026, 11, 21, 20, 49, tzinfo=UTC)
MFA = "http://schemas.microsoft.com/claims/multipleauthn"
NO_METHOD = "urn:oasis:names:tc:SAML:1.0:am:unspecified"
UPN = ("UPN", "http://schemas.xmlsoap.org/claims")
IMMUTABLE_ID = ("ImmutableID", "http://schemas.microsoft.com/LiveID/Federation/2008/05")
REFERENCES = ("authnmethodsreferences", "http://schemas.microsoft.com/claims")
METHOD = ("authenticationmethod", "http://schemas.microsoft.com/ws/2008/06/identity/claims")
AUTHENTICATED = ("authenticationinstant", "http://schemas.microsoft.com/ws/2008/06/identity/claims")
MFA_DONE = (
    "multifactorauthenticationinstant",
    "http://schemas.microsoft.com/ws/2017/04/identity/claims",
)
INSIDE = ("insidecorporatenetwork", "http://schemas.microsoft.com/ws/2012/01")


@cache
def key_of(name: str, bits: int) -> rsa.RSAPrivateKey:
    """One RSA key per name and size in a test run."""
    return rsa.generate_private_key(public_exponent=65537, key_size=bits)


@cache
def certificate_of(name: str, bits: int = 2048) -> x509.Certificate:
    """A self-signed certificate of that key."""
    subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, f"{name} token signing")])
    return (
        x509.CertificateBuilder(subject, subject, key_of(name, bits).public_key(), 1 + len(name))
        .not_valid_before(NOW - timedelta(days=1))
        .not_valid_after(NOW + timedelta(days=365))
        .sign(key_of(name, bits), SHA256())
    )


def certificate_text(name: str, bits: int = 2048) -> str:
    """As Graph wants it: base64 DER on one line."""
    return base64.b64encode(certificate_of(name, bits).public_bytes(Encoding.DER)).decode()


def instant(moment: datetime) -> str:
    return f"{moment:%Y-%m-%dT%H:%M:%S}.{moment.microsecond // 1000:03d}Z"


class Signer(XMLSigner):
    """Also signs what nobody should accept."""

    def check_deprecated_methods(self) -> None: ...


@dataclass(frozen=True)
class Token:
    """A token to be; the defaults make a good one for Ada. Change one thing with `but`."""

    issuer: str = "https://idp.example/t/contoso"
    immutable_id: str = "q83vEjRWeJA="
    upn: str = "ada@contoso.example"
    audience: str = "urn:federation:MicrosoftOnline"
    assertion_id: str = "_aaaaaaaaaaaaaaaaaaaaaa-1"
    version: tuple[str, str] = ("1", "1")
    issued: datetime = NOW
    not_before: datetime = NOW - timedelta(seconds=45)
    not_on_or_after: datetime = NOW + timedelta(minutes=10)
    authenticated: datetime = NOW - timedelta(seconds=5)
    method: str = NO_METHOD
    claims: tuple[tuple[tuple[str, str], str], ...] = ()
    name_format: str = "urn:oasis:names:tc:SAML:1.1:nameid-format:unspecified"
    confirmation: str = "urn:oasis:names:tc:SAML:1.0:cm:bearer"
    second_subject: str | None = None
    signer: str = "current"
    embedded: str | None = None
    algorithm: str = "rsa-sha256"
    digest: str = "sha256"
    c14n: str = "http://www.w3.org/2001/10/xml-exc-c14n#"
    edits: tuple[tuple[str, str], ...] = field(default=())
    """Replacements in the text of the assertion before it is signed; each must match exactly once."""

    def but(self, **changes: object) -> "Token":
        return replace(self, **changes)  # type: ignore[arg-type]

    def with_mfa(self) -> "Token":
        return self.but(method=MFA, claims=((REFERENCES, MFA), (METHOD, MFA)))

    def unsigned(self) -> str:
        """The assertion's text without a signature, declaring all its namespaces."""

        def subject(identifier: str) -> str:
            return (
                f"<saml:Subject><saml:NameIdentifier Format={quoteattr(self.name_format)}>{escape(identifier)}"
                "</saml:NameIdentifier><saml:SubjectConfirmation><saml:ConfirmationMethod>"
                f"{escape(self.confirmation)}</saml:ConfirmationMethod></saml:SubjectConfirmation></saml:Subject>"
            )

        attributes = "".join(
            f'<saml:Attribute AttributeName="{name}" AttributeNamespace="{namespace}">'
            f"<saml:AttributeValue>{escape(value)}</saml:AttributeValue></saml:Attribute>"
            for (name, namespace), value in ((UPN, self.upn), (IMMUTABLE_ID, self.immutable_id), *self.claims)
        )
        text = (
            '<saml:Assertion xmlns:saml="urn:oasis:names:tc:SAML:1.0:assertion"'
            f' MajorVersion="{self.version[0]}" MinorVersion="{self.version[1]}"'
            f' AssertionID="{self.assertion_id}" Issuer={quoteattr(self.issuer)}'
            f' IssueInstant="{instant(self.issued)}">'
            f'<saml:Conditions NotBefore="{instant(self.not_before)}"'
            f' NotOnOrAfter="{instant(self.not_on_or_after)}"><saml:AudienceRestrictionCondition>'
            f"<saml:Audience>{escape(self.audience)}</saml:Audience>"
            "</saml:AudienceRestrictionCondition></saml:Conditions>"
            f"<saml:AttributeStatement>{subject(self.immutable_id)}{attributes}</saml:AttributeStatement>"
            f'<saml:AuthenticationStatement AuthenticationMethod="{self.method}"'
            f' AuthenticationInstant="{instant(self.authenticated)}">'
            f"{subject(self.second_subject or self.immutable_id)}</saml:AuthenticationStatement>"
            "</saml:Assertion>"
        )
        for old, new in self.edits:
            text = once(text, old, new)
        return text

    def assertion(self) -> str:
        """The signed assertion's text."""
        signer = Signer(
            signature_algorithm=self.algorithm, digest_algorithm=self.digest, c14n_algorithm=self.c14n
        )
        element = etree.fromstring(self.unsigned())
        signed = signer.sign(
            element,
            key=key_of(self.signer, 2048),
            cert=[certificate_of(self.embedded or self.signer)],
            reference_uri=f"#{self.assertion_id}",
            id_attribute="AssertionID",
        )
        return etree.tostring(signed, encoding="unicode")

    def response(self, assertion: str | None = None) -> str:
        """The RequestSecurityTokenResponse around it."""
        return (
            '<t:RequestSecurityTokenResponse xmlns:t="http://schemas.xmlsoap.org/ws/2005/02/trust"><t:Lifetime>'
            '<wsu:Created xmlns:wsu="http://docs.oasis-open.org/wss/2004/01/oasis-200401-wss-wssecurity-utility-1.0.xsd">'
            f"{instant(self.issued)}</wsu:Created>"
            '<wsu:Expires xmlns:wsu="http://docs.oasis-open.org/wss/2004/01/oasis-200401-wss-wssecurity-utility-1.0.xsd">'
            f"{instant(self.not_on_or_after)}</wsu:Expires></t:Lifetime>"
            '<wsp:AppliesTo xmlns:wsp="http://schemas.xmlsoap.org/ws/2004/09/policy">'
            '<wsa:EndpointReference xmlns:wsa="http://www.w3.org/2005/08/addressing">'
            "<wsa:Address>urn:federation:MicrosoftOnline</wsa:Address></wsa:EndpointReference></wsp:AppliesTo>"
            "<t:RequestedSecurityToken>"
            f"{self.assertion() if assertion is None else assertion}</t:RequestedSecurityToken>"
            "<t:TokenType>urn:oasis:names:tc:SAML:1.0:assertion</t:TokenType>"
            "<t:RequestType>http://schemas.xmlsoap.org/ws/2005/02/trust/Issue</t:RequestType>"
            "<t:KeyType>http://schemas.xmlsoap.org/ws/2005/05/identity/NoProofKey</t:KeyType>"
            "</t:RequestSecurityTokenResponse>"
        )


def resigned(assertion: str, signer: str = "current") -> str:
    """The assertion with a new SignatureValue over its SignedInfo as it stands; the digest stays."""
    signed_info = etree.fromstring(assertion).find(".//{http://www.w3.org/2000/09/xmldsig#}SignedInfo")
    assert signed_info is not None
    octets = etree.tostring(signed_info, method="c14n", exclusive=True)
    value = base64.b64encode(key_of(signer, 2048).sign(octets, PKCS1v15(), SHA256())).decode()
    tag = "<ds:SignatureValue>"
    rest, _ = cut(assertion, tag, "</ds:SignatureValue>")
    place = assertion.index(tag)
    return f"{rest[:place]}{tag}{value}</ds:SignatureValue>{rest[place:]}"


def once(text: str, old: str, new: str) -> str:
    """Replace the one place; a mutation that changes nothing, or more, is a mistake in the test."""
    assert text.count(old) == 1, f"{text.count(old)} times: {old}"
    return text.replace(old, new)


def cut(text: str, start: str, end: str) -> tuple[str, str]:
    """`text` without what lies from `start` to `end` (both included), and what was cut."""
    begin = text.index(start)
    stop = text.index(end, begin) + len(end)
    return text[:begin] + text[stop:], text[begin:stop]
