"""The signature and the octets under it, against code that we did not write: lxml and signxml."""

import base64
import hashlib
from dataclasses import replace
from datetime import UTC, datetime
from functools import cache

import pytest
from cryptography.hazmat.primitives.asymmetric.rsa import RSAPrivateKey
from cryptography.hazmat.primitives.serialization import load_der_private_key
from hypothesis import given, settings
from hypothesis import strategies as st
from lxml import etree
from signxml.algorithms import CanonicalizationMethod, SignatureConstructionMethod
from signxml.exceptions import InvalidDigest, InvalidSignature
from signxml.signer import XMLSigner
from signxml.verifier import SignatureConfiguration, XMLVerifier

from services.wsfed.domain.authentication import MULTIPLE_AUTHN, UNSPECIFIED
from services.wsfed.domain.keys import verify_signature
from services.wsfed.domain.token import TokenSubject
from tests.wsfed.domain_samples import (
    BADGE,
    DS,
    NOW,
    PASSKEY,
    SAML,
    SUBJECT,
    XML_TEXT,
    a_token,
    assertion_of,
    attributes,
    element_text_at,
    parse,
    pem,
    signing_key,
)

SUBJECTS = st.builds(
    TokenSubject,
    tenant=st.just("tenant-1"),
    account=st.just("account-1"),
    issuer=XML_TEXT,
    upn=XML_TEXT,
    immutable_id=XML_TEXT,
    inside_corporate_network=st.booleans(),
)
ASSERTION_IDS = st.binary(min_size=16, max_size=16).map(
    lambda octets: "_" + base64.urlsafe_b64encode(octets).decode().rstrip("=")
)
TIMES = st.datetimes(min_value=datetime(2000, 1, 1), max_value=datetime(2100, 1, 1)).map(  # noqa: DTZ001
    lambda moment: moment.replace(tzinfo=UTC)
)


def canonical(element: etree._Element) -> bytes:
    return etree.tostring(element, method="c14n", exclusive=True)


@cache
def reference_key() -> RSAPrivateKey:
    """The same key, for signxml to sign with."""
    key = load_der_private_key(signing_key().private_der(), password=None)
    assert isinstance(key, RSAPrivateKey)
    return key


def verify_with_signxml(assertion: bytes) -> etree._Element:
    """What signxml says was signed; raises when it was not."""
    result = XMLVerifier().verify(
        assertion,
        x509_cert=pem(signing_key().certificate),
        id_attribute="AssertionID",
        expect_config=SignatureConfiguration(location="./", verification_time=NOW),
    )
    assert not isinstance(result, list)
    assert result.signed_xml is not None
    return result.signed_xml


@pytest.mark.long
@pytest.mark.parametrize("examples", [200, pytest.param(2_000, marks=pytest.mark.slow)])
def test_octets_we_sign_are_the_canonical_ones(examples: int) -> None:
    @settings(max_examples=examples)
    @given(SUBJECTS, ASSERTION_IDS, TIMES)
    def holds(subject: TokenSubject, identifier: str, now: datetime) -> None:
        verified = replace(PASSKEY, authenticated_at=now)
        token = a_token(verified=verified, subject=subject, assertion_id=identifier, now=now)
        assertion = parse(token).find(f".//{SAML}Assertion")
        assert assertion is not None
        assert assertion_of(token).encode() == canonical(assertion)
        signature = assertion.find(f"{DS}Signature")
        assert signature is not None
        signed_info = signature.find(f"{DS}SignedInfo")
        assert signed_info is not None
        value = base64.b64decode(element_text_at(signature, f"{DS}SignatureValue"))
        assert verify_signature(signing_key().certificate, value, canonical(signed_info))
        assertion.remove(signature)
        digest = base64.b64encode(hashlib.sha256(canonical(assertion)).digest()).decode()
        assert element_text_at(signed_info, f"{DS}Reference/{DS}DigestValue") == digest
        # And what a reader gets is what we were given.
        assert assertion.get("Issuer") == subject.issuer
        names = {name.text for name in assertion.iter(f"{SAML}NameIdentifier")}
        assert names == {subject.immutable_id}
        assert attributes(token)[0][2] == subject.upn

    holds()


@pytest.mark.long
@pytest.mark.parametrize("examples", [100, pytest.param(500, marks=pytest.mark.slow)])
def test_signxml_signs_the_same_and_verifies_ours(examples: int) -> None:
    @settings(max_examples=examples)
    @given(SUBJECTS, ASSERTION_IDS)
    def holds(subject: TokenSubject, identifier: str) -> None:
        ours = assertion_of(a_token(subject=subject, assertion_id=identifier))
        unsigned = parse(ours)
        signature = unsigned.find(f"{DS}Signature")
        assert signature is not None
        unsigned.remove(signature)
        theirs = XMLSigner(
            method=SignatureConstructionMethod.enveloped,
            c14n_algorithm=CanonicalizationMethod.EXCLUSIVE_XML_CANONICALIZATION_1_0,
        ).sign(
            unsigned,
            key=reference_key(),
            cert=pem(signing_key().certificate),
            reference_uri=f"#{identifier}",
            id_attribute="AssertionID",
        )
        for path in (f".//{DS}DigestValue", f".//{DS}SignatureValue"):
            assert theirs.findtext(path) == signature.findtext(path)
        verified = verify_with_signxml(ours.encode())
        assert verified.tag == f"{SAML}Assertion"
        assert verified.get("AssertionID") == identifier

    holds()


def test_signature_survives_the_newlines_that_browsers_post() -> None:
    """HTML form submission turns every LF, CR and CRLF of a value into CRLF."""
    subject = replace(SUBJECT, upn="a\nb\r\nc\rd", issuer="x\ny\r")
    posted = assertion_of(a_token(subject=subject)).replace("\n", "\r\n")
    assert "\r\n" in posted
    verify_with_signxml(posted.encode())


def test_signature_survives_being_cut_out_of_the_response() -> None:
    inner = parse(a_token()).find(f".//{SAML}Assertion")
    assert inner is not None
    verify_with_signxml(etree.tostring(inner, with_tail=False))


@pytest.mark.parametrize(
    ("old", "new"),
    [
        (SUBJECT.upn, "mallory@contoso.example"),
        (SUBJECT.upn, "ada@<!-- -->contoso.example.evil.example"),
        (SUBJECT.immutable_id, "b3RoZXI="),
        (SUBJECT.issuer, f"{SUBJECT.issuer}x"),
        (UNSPECIFIED, MULTIPLE_AUTHN),
        ("2026-11-21T20:58:00.123Z", "2027-11-21T20:58:00.123Z"),
        ("urn:federation:MicrosoftOnline", "urn:federation:Other"),
    ],
)
def test_signxml_refuses_what_was_changed(old: str, new: str) -> None:
    assertion = assertion_of(a_token(verified=BADGE))
    verify_with_signxml(assertion.encode())
    assert old in assertion
    with pytest.raises((InvalidDigest, InvalidSignature)):
        verify_with_signxml(assertion.replace(old, new).encode())


def test_signxml_refuses_another_key() -> None:
    with pytest.raises(InvalidSignature):
        verify_with_signxml(assertion_of(a_token(key=signing_key(1))).encode())


@pytest.mark.parametrize(
    "hostile",
    [
        '"/><saml:Attribute AttributeName="x"/>',
        "</saml:AttributeValue></saml:Attribute><saml:Attribute>",
        "a@b.example<!-- comment -->.evil.example",
        "<![CDATA[x]]>",
        "<?pi x?>",
        "&lt;&#x41;&amp;amp;",
        "{assertion_id}{0}%s",
    ],
)
def test_markup_in_a_value_stays_text(hostile: str) -> None:
    token = a_token(subject=replace(SUBJECT, upn=hostile, issuer=hostile, immutable_id=hostile))
    assertion = parse(assertion_of(token))
    plain = parse(assertion_of(a_token()))
    assert [e.tag for e in assertion.iter()] == [e.tag for e in plain.iter()]
    assert assertion.get("Issuer") == hostile
    assert attributes(token)[0][2] == hostile
    verify_with_signxml(assertion_of(token).encode())
