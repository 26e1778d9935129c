"""Sample values for the tests of wsfed's domain. Keys are made once per process: making one is slow."""

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from functools import cache
from typing import Any

from cryptography import x509
from cryptography.hazmat.primitives.serialization import Encoding
from hypothesis import strategies as st
from lxml import etree

from services.wsfed.domain.authentication import AuthenticationPolicy, Method, VerifiedAuthentication
from services.wsfed.domain.keys import RsaSigningKey, create_signing_key
from services.wsfed.domain.token import TokenSubject, issue_token
from shared.clouds import CLOUDS

SAML = "{urn:oasis:names:tc:SAML:1.0:assertion}"
DS = "{http://www.w3.org/2000/09/xmldsig#}"

NOW = datetime(2026, 11, 21, 20, 49, 0, 123_000, tzinfo=UTC)
ASSERTION_ID = "_" + "Ab9-" * 5 + "_x"
POLICY = AuthenticationPolicy()
BADGE_POLICY = AuthenticationPolicy(badge_counts_as_mfa=True)

PASSKEY = VerifiedAuthentication(
    tenant="tenant-1",
    account="account-1",
    method=Method.PASSKEY,
    user_verified=True,
    registered_kiosk=False,
    authenticated_at=NOW,
)
BADGE = replace(PASSKEY, method=Method.BLOKBADGE, registered_kiosk=True)
SUBJECT = TokenSubject(
    tenant="tenant-1",
    account="account-1",
    issuer="https://id.example/t/tenant-1/contoso.example",
    upn="ada@contoso.example",
    immutable_id="dGhlIHNhbWUgYXMgaW4gRW50cmE=",
)

# XML 1.0 production [2] Char, with those that escape differently in text and attributes drawn often.
_NOT_XML = "".join(chr(code) for code in range(32) if chr(code) not in "\t\n\r") + "\ufffe\uffff"
XML_CHARACTERS = st.one_of(
    st.sampled_from("&<>\"'\t\n\r ]{}%\x85\u2028\ufeff\ufffd\U0010ffff"),
    st.characters(exclude_categories=["Cs"], exclude_characters=_NOT_XML),
)
XML_TEXT = st.text(XML_CHARACTERS, min_size=1, max_size=64)


@cache
def signing_key(number: int = 0) -> RsaSigningKey:
    """The same key for the same number, valid from a day before NOW."""
    return create_signing_key(f"Blok365 test {number}", NOW - timedelta(days=1), 3)


def pem(certificate: bytes) -> str:
    return x509.load_der_x509_certificate(certificate).public_bytes(Encoding.PEM).decode()


def a_token(**changes: Any) -> str:
    """A token for SUBJECT after PASSKEY; `changes` are arguments of issue_token."""
    arguments: dict[str, Any] = {
        "verified": PASSKEY,
        "subject": SUBJECT,
        "key": signing_key(),
        "policy": POLICY,
        "audience": CLOUDS["worldwide"].realm,
        "now": NOW,
        "assertion_id": ASSERTION_ID,
    }
    return issue_token(**(arguments | changes))


def assertion_of(wresult: str) -> str:
    """The assertion exactly as it stands in the response."""
    start, end = "<t:RequestedSecurityToken>", "</t:RequestedSecurityToken>"
    assert wresult.count(start) == wresult.count(end) == 1
    return wresult.partition(start)[2].partition(end)[0]


def parse(xml: str) -> etree._Element:
    return etree.fromstring(xml.encode())


def element_text_at(element: etree._Element, path: str) -> str:
    found = element.findtext(path)
    assert found is not None
    return found


def attributes(wresult: str) -> list[tuple[str | None, str | None, str | None]]:
    return [
        (a.get("AttributeNamespace"), a.get("AttributeName"), a.findtext(f"{SAML}AttributeValue"))
        for a in parse(wresult).iter(f"{SAML}Attribute")
    ]
