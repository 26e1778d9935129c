"""Federation metadata and the MEX document."""

import base64
from typing import Any

import pytest
from lxml import etree
from msal.mex import Mex  # type: ignore[import-untyped]
from signxml.exceptions import InvalidDigest, InvalidSignature
from signxml.verifier import SignatureConfiguration, XMLVerifier

from services.wsfed.domain.metadata import federation_metadata
from services.wsfed.domain.mex import mex_document
from shared.errors import BadInput
from tests.wsfed.domain_samples import NOW, pem, signing_key

ISSUER = "https://id.example/t/tenant-1/contoso.example?a=1&b=<2>"
PASSIVE = "https://id.example/t/tenant-1/wsfed?x=1&y=2"

MD = "{urn:oasis:names:tc:SAML:2.0:metadata}"
DS = "{http://www.w3.org/2000/09/xmldsig#}"
FED = "{http://docs.oasis-open.org/wsfed/federation/200706}"
AUTH = "{http://docs.oasis-open.org/wsfed/authorization/200706}"
ADDRESS = (
    "{http://www.w3.org/2005/08/addressing}EndpointReference/{http://www.w3.org/2005/08/addressing}Address"
)
XSI_TYPE = "{http://www.w3.org/2001/XMLSchema-instance}type"


def metadata(*next_certificates: bytes, issuer: str = ISSUER, name: str = "Contoso & Söhne") -> bytes:
    return federation_metadata(
        issuer=issuer,
        display_name=name,
        passive_url=PASSIVE,
        key=signing_key(),
        next_certificates=next_certificates,
    )


def verified(document: bytes, certificate: bytes) -> etree._Element:
    result = XMLVerifier().verify(
        document,
        x509_cert=pem(certificate),
        id_attribute="ID",
        expect_config=SignatureConfiguration(location="./", verification_time=NOW),
    )
    assert not isinstance(result, list)
    assert result.signed_xml is not None
    return result.signed_xml


def test_metadata_is_signed_as_a_whole_by_the_current_key() -> None:
    document = metadata(signing_key(1).certificate)
    root = verified(document, signing_key().certificate)
    assert root.tag == f"{MD}EntityDescriptor"
    assert root.get("entityID") == ISSUER
    assert root.get("ID") == etree.fromstring(document).get("ID")


def test_changed_metadata_is_refused() -> None:
    changed = metadata().replace(b"contoso.example", b"fabrikam.example")
    with pytest.raises((InvalidDigest, InvalidSignature)):
        verified(changed, signing_key().certificate)
    with pytest.raises(InvalidSignature):
        verified(metadata(), signing_key(1).certificate)


def test_metadata_has_the_parts_in_the_order_of_the_schema() -> None:
    root = etree.fromstring(metadata())
    assert [child.tag for child in root] == [f"{DS}Signature", f"{MD}RoleDescriptor"]
    role = root[1]
    assert role.get(XSI_TYPE) == "fed:SecurityTokenServiceType"
    assert role.nsmap["fed"] == FED.strip("{}")
    assert FED.strip("{}") in (role.get("protocolSupportEnumeration") or "").split()
    assert role.get("ServiceDisplayName") == "Contoso & Söhne"
    assert [child.tag for child in role] == [
        f"{MD}KeyDescriptor",
        f"{FED}TokenTypesOffered",
        f"{FED}ClaimTypesOffered",
        f"{FED}SecurityTokenServiceEndpoint",
        f"{FED}PassiveRequestorEndpoint",
    ]
    assert role.findtext(f"{FED}PassiveRequestorEndpoint/{ADDRESS}") == PASSIVE
    token_types = [t.get("Uri") for t in role.iter(f"{FED}TokenType")]
    assert token_types == ["urn:oasis:names:tc:SAML:1.0:assertion"]
    claims = [claim.get("Uri") for claim in role.iter(f"{AUTH}ClaimType")]
    assert "http://schemas.xmlsoap.org/claims/UPN" in claims
    assert "http://schemas.microsoft.com/LiveID/Federation/2008/05/ImmutableID" in claims


def test_metadata_offers_the_current_certificate_first_and_then_the_next() -> None:
    root = etree.fromstring(metadata(signing_key(1).certificate))
    descriptors = root.findall(f"{MD}RoleDescriptor/{MD}KeyDescriptor")
    assert [d.get("use") for d in descriptors] == ["signing", "signing"]
    offered = [d.findtext(f"{DS}KeyInfo/{DS}X509Data/{DS}X509Certificate") or "" for d in descriptors]
    assert [base64.b64decode(text) for text in offered] == [
        signing_key().certificate,
        signing_key(1).certificate,
    ]


def test_metadata_changes_only_with_its_content() -> None:
    assert metadata() == metadata()
    identifiers = {
        etree.fromstring(document).get("ID")
        for document in (metadata(), metadata(signing_key(1).certificate), metadata(issuer="urn:other"))
    }
    assert len(identifiers) == 3


@pytest.mark.parametrize(("issuer", "name"), [(ISSUER, "a\x00"), (chr(0xD800), "a"), ("\x0b", "a")])
def test_metadata_refuses_what_xml_cannot_hold(issuer: str, name: str) -> None:
    with pytest.raises(BadInput) as caught:
        metadata(issuer=issuer, name=name)
    assert caught.value.code == "not_xml"


def test_metadata_refuses_a_next_certificate_that_is_none() -> None:
    with pytest.raises(BadInput) as caught:
        metadata(b"junk")
    assert caught.value.code == "signing_key_refused"


# --- MEX ------------------------------------------------------------------------------------------------------

WITH_PASSWORD_ENDPOINT = """
<d:definitions xmlns:d="http://schemas.xmlsoap.org/wsdl/"
  xmlns:p="http://schemas.xmlsoap.org/ws/2004/09/policy"
  xmlns:sp="http://docs.oasis-open.org/ws-sx/ws-securitypolicy/200702"
  xmlns:u="http://docs.oasis-open.org/wss/2004/01/oasis-200401-wss-wssecurity-utility-1.0.xsd"
  xmlns:a="http://www.w3.org/2005/08/addressing" xmlns:s="http://schemas.xmlsoap.org/wsdl/soap12/">
<p:Policy u:Id="pw"><p:ExactlyOne><p:All><sp:TransportBinding/><sp:SignedEncryptedSupportingTokens><p:Policy>
<sp:UsernameToken><p:Policy><sp:WssUsernameToken10/></p:Policy></sp:UsernameToken></p:Policy>
</sp:SignedEncryptedSupportingTokens></p:All></p:ExactlyOne></p:Policy>
<d:binding name="b"><p:PolicyReference URI="#pw"/>
<s:binding transport="http://schemas.xmlsoap.org/soap/http"/><d:operation name="o">
<s:operation soapAction="http://docs.oasis-open.org/ws-sx/ws-trust/200512/RST/Issue"/></d:operation></d:binding>
<d:service name="s"><d:port name="p" binding="b"><a:EndpointReference><a:Address>https://x.example/pw</a:Address>
</a:EndpointReference></d:port></d:service>
</d:definitions>
"""


def test_microsofts_own_reader_finds_no_password_endpoint_in_mex() -> None:
    reader: Any = Mex

    def found(document: str) -> Any:
        return reader(document).get_wstrust_username_password_endpoint()

    assert found(WITH_PASSWORD_ENDPOINT)["address"] == "https://x.example/pw"  # this reader can find one
    assert found(mex_document(issuer=ISSUER, passive_url=PASSIVE).decode()) is None


def test_mex_is_a_wsdl_without_ports_bindings_or_policies() -> None:
    root = etree.fromstring(mex_document(issuer=ISSUER, passive_url=PASSIVE))
    assert root.tag == "{http://schemas.xmlsoap.org/wsdl/}definitions"
    assert root.get("targetNamespace") == ISSUER
    names = [etree.QName(element).localname for element in root.iter()]
    assert names == ["definitions", "documentation", "service"]


def test_mex_refuses_what_xml_cannot_hold() -> None:
    with pytest.raises(BadInput):
        mex_document(issuer="\x00", passive_url=PASSIVE)
    with pytest.raises(BadInput):
        mex_document(issuer=ISSUER, passive_url="\x0b")
