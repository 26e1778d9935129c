"""The federation metadata document: what Entra ID polls to learn our certificates.

WS-Federation 1.2 section 3.1 inside a SAML 2.0 EntityDescriptor, signed with signxml. It is made rarely (per
domain and key change), so speed does not matter here.
"""

import hashlib
from collections.abc import Sequence
from typing import NamedTuple, cast

from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric.padding import PKCS1v15
from cryptography.hazmat.primitives.asymmetric.rsa import RSAPrivateKey
from lxml import etree
from signxml.algorithms import CanonicalizationMethod, SignatureConstructionMethod
from signxml.signer import XMLSigner

from services.wsfed.domain.keys import SigningKey, certificate_base64, check_certificate
from services.wsfed.domain.xmltext import require_xml_text

PROTOCOLS = "http://schemas.xmlsoap.org/ws/2005/02/trust http://docs.oasis-open.org/wsfed/federation/200706"
TOKEN_TYPE = "urn:oasis:names:tc:SAML:1.0:assertion"  # noqa: S105 - the name of a format

_MD = "urn:oasis:names:tc:SAML:2.0:metadata"
_DS = "http://www.w3.org/2000/09/xmldsig#"
_FED = "http://docs.oasis-open.org/wsfed/federation/200706"
_AUTH = "http://docs.oasis-open.org/wsfed/authorization/200706"
_WSA = "http://www.w3.org/2005/08/addressing"
_XSI = "http://www.w3.org/2001/XMLSchema-instance"
_NAMESPACES = {None: _MD, "fed": _FED, "auth": _AUTH, "wsa": _WSA, "xsi": _XSI, "ds": _DS}
_EXCLUSIVE_C14N = CanonicalizationMethod.EXCLUSIVE_XML_CANONICALIZATION_1_0


class ClaimType(NamedTuple):
    """One offered claim: its URI and a name for people."""

    uri: str
    display_name: str


# In metadata a SAML 1.1 claim is named by AttributeNamespace, `/`, AttributeName.
CLAIM_TYPES = (
    ClaimType("http://schemas.xmlsoap.org/claims/UPN", "User principal name"),
    ClaimType("http://schemas.microsoft.com/LiveID/Federation/2008/05/ImmutableID", "ImmutableID"),
    ClaimType("http://schemas.microsoft.com/claims/authnmethodsreferences", "Authentication methods"),
    ClaimType("http://schemas.microsoft.com/ws/2008/06/identity/claims/authenticationmethod", "Method"),
    ClaimType(
        "http://schemas.microsoft.com/ws/2008/06/identity/claims/authenticationinstant",
        "Time of authentication",
    ),
    ClaimType(
        "http://schemas.microsoft.com/ws/2017/04/identity/claims/multifactorauthenticationinstant",
        "Time of MFA",
    ),
    ClaimType("http://schemas.microsoft.com/ws/2012/01/insidecorporatenetwork", "Inside the own network"),
)


def federation_metadata(
    *,
    issuer: str,
    display_name: str,
    passive_url: str,
    key: SigningKey,
    next_certificates: Sequence[bytes] = (),
) -> bytes:
    """The signed EntityDescriptor of one domain as UTF-8 XML.

    `issuer` becomes the entityID. The certificate of `key` comes first, then `next_certificates` (DER) that
    roll-over will use. The same input gives the same octets. Raises BadInput (`not_xml`,
    `signing_key_refused`).
    """
    for name, value in (("issuer", issuer), ("name", display_name), ("sign-in address", passive_url)):
        require_xml_text(value, name)
    certificates = (key.certificate, *next_certificates)
    for certificate in certificates:
        check_certificate(certificate)
    identifier = _identifier(issuer, display_name, passive_url, *map(certificate_base64, certificates))
    root = etree.Element(_q(_MD, "EntityDescriptor"), nsmap=_NAMESPACES, ID=identifier, entityID=issuer)
    etree.SubElement(root, _q(_DS, "Signature"), Id="placeholder")  # comes first by the schema
    role = etree.SubElement(root, _q(_MD, "RoleDescriptor"), protocolSupportEnumeration=PROTOCOLS)
    role.set(_q(_XSI, "type"), "fed:SecurityTokenServiceType")
    role.set("ServiceDisplayName", display_name)
    for certificate in certificates:
        _key_descriptor(role, certificate)
    offered = etree.SubElement(role, _q(_FED, "TokenTypesOffered"))
    etree.SubElement(offered, _q(_FED, "TokenType"), Uri=TOKEN_TYPE)
    claims = etree.SubElement(role, _q(_FED, "ClaimTypesOffered"))
    for uri, claim_name in CLAIM_TYPES:
        claim = etree.SubElement(claims, _q(_AUTH, "ClaimType"), Uri=uri, Optional="true")
        etree.SubElement(claim, _q(_AUTH, "DisplayName")).text = claim_name
    # The schema asks for the first; there is no active endpoint, so both name the passive one.
    for endpoint in ("SecurityTokenServiceEndpoint", "PassiveRequestorEndpoint"):
        reference = etree.SubElement(
            etree.SubElement(role, _q(_FED, endpoint)), _q(_WSA, "EndpointReference")
        )
        etree.SubElement(reference, _q(_WSA, "Address")).text = passive_url
    signer = XMLSigner(method=SignatureConstructionMethod.enveloped, c14n_algorithm=_EXCLUSIVE_C14N)
    signed = signer.sign(
        root,
        key=cast(RSAPrivateKey, _SignxmlKey(key)),
        cert=[x509.load_der_x509_certificate(key.certificate)],
        reference_uri=f"#{identifier}",
        id_attribute="ID",
    )
    return etree.tostring(signed, xml_declaration=True, encoding="utf-8")


class _SignxmlKey:
    """A SigningKey in the form that signxml calls, so that a key in a PKCS#11 module works as well."""

    def __init__(self, key: SigningKey) -> None:
        self._key = key

    def sign(self, data: bytes, *, padding: PKCS1v15, algorithm: hashes.HashAlgorithm) -> bytes:
        if not isinstance(padding, PKCS1v15) or not isinstance(algorithm, hashes.SHA256):
            raise TypeError("only RSASSA-PKCS1-v1_5 with SHA-256")
        return self._key.sign(data)


def _key_descriptor(role: "etree._Element", certificate: bytes) -> None:
    descriptor = etree.SubElement(role, _q(_MD, "KeyDescriptor"), use="signing")
    info = etree.SubElement(descriptor, _q(_DS, "KeyInfo"))
    data = etree.SubElement(info, _q(_DS, "X509Data"))
    etree.SubElement(data, _q(_DS, "X509Certificate")).text = certificate_base64(certificate)


def _identifier(*parts: str) -> str:
    """An NCName that changes with the content and with nothing else."""
    return "_" + hashlib.sha256("\n".join(parts).encode()).hexdigest()[:40]


def _q(namespace: str, name: str) -> "etree.QName":
    return etree.QName(namespace, name)
