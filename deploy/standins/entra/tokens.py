"""From wresult to the octets that were signed, and from those to claims. No network, no clock, no settings.

Guards against signature wrapping: no comment, DTD, CDATA section or processing instruction at all; one
Assertion and one Signature in the whole document; the Signature is the Assertion's own last child; its one
Reference names the Assertion's own id; no other element may carry any id; only the two transforms. And
what is read afterwards is parsed anew from the very octets whose digest was signed, never the document.
"""

import base64
import binascii
import copy
import hashlib
from dataclasses import dataclass
from typing import Literal

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.padding import PKCS1v15
from cryptography.hazmat.primitives.asymmetric.rsa import RSAPublicKey
from cryptography.hazmat.primitives.hashes import SHA256
from lxml import etree

from deploy.standins.entra.errors import Code, EntraError

MAX_WRESULT = 256 * 1024  # characters; a real token has about 6,000

SAML = "urn:oasis:names:tc:SAML:1.0:assertion"
DS = "http://www.w3.org/2000/09/xmldsig#"
TRUST = "http://schemas.xmlsoap.org/ws/2005/02/trust"
POLICY = "http://schemas.xmlsoap.org/ws/2004/09/policy"
ADDRESSING = "http://www.w3.org/2005/08/addressing"
UTILITY = "http://docs.oasis-open.org/wss/2004/01/oasis-200401-wss-wssecurity-utility-1.0.xsd"

EXC_C14N = "http://www.w3.org/2001/10/xml-exc-c14n#"
ENVELOPED = "http://www.w3.org/2000/09/xmldsig#enveloped-signature"
RSA_SHA256 = "http://www.w3.org/2001/04/xmldsig-more#rsa-sha256"
SHA_256 = "http://www.w3.org/2001/04/xmlenc#sha256"

ASSERTION = f"{{{SAML}}}Assertion"
SIGNATURE = f"{{{DS}}}Signature"
REQUESTED_TOKEN = f"{{{TRUST}}}RequestedSecurityToken"

Element = etree._Element


@dataclass(frozen=True)
class Shape:
    """What one element looks like: exactly these attributes and these children, in this order.

    `repeated` may follow the children once or more. Kinds: `elements` (white space between them at most),
    `tight` (no white space either), `text` (not empty), `empty`, `opaque` (looked at elsewhere).
    """

    children: tuple[str, ...] = ()
    attributes: frozenset[str] = frozenset()
    repeated: str = ""
    kind: Literal["elements", "tight", "text", "empty", "opaque"] = "elements"


def _names(namespace: str, *names: str) -> tuple[str, ...]:
    return tuple(f"{{{namespace}}}{name}" for name in names)


_TEXT = Shape(kind="text")
_ALGORITHM = Shape(attributes=frozenset({"Algorithm"}), kind="empty")

RESPONSE_SHAPES: dict[str, Shape] = {
    f"{{{TRUST}}}RequestSecurityTokenResponse": Shape(
        (
            *_names(TRUST, "Lifetime"),
            *_names(POLICY, "AppliesTo"),
            REQUESTED_TOKEN,
            *_names(TRUST, "TokenType", "RequestType", "KeyType"),
        )
    ),
    f"{{{TRUST}}}Lifetime": Shape(_names(UTILITY, "Created", "Expires")),
    f"{{{UTILITY}}}Created": _TEXT,
    f"{{{UTILITY}}}Expires": _TEXT,
    f"{{{POLICY}}}AppliesTo": Shape(_names(ADDRESSING, "EndpointReference")),
    f"{{{ADDRESSING}}}EndpointReference": Shape(_names(ADDRESSING, "Address")),
    f"{{{ADDRESSING}}}Address": _TEXT,
    REQUESTED_TOKEN: Shape((ASSERTION,), kind="tight"),
    ASSERTION: Shape(kind="opaque"),
    f"{{{TRUST}}}TokenType": _TEXT,
    f"{{{TRUST}}}RequestType": _TEXT,
    f"{{{TRUST}}}KeyType": _TEXT,
}

_SUBJECT = f"{{{SAML}}}Subject"
ASSERTION_SHAPES: dict[str, Shape] = {
    ASSERTION: Shape(  # the Signature, last in the document, is not part of what it signs
        _names(SAML, "Conditions", "AttributeStatement", "AuthenticationStatement"),
        frozenset({"MajorVersion", "MinorVersion", "AssertionID", "Issuer", "IssueInstant"}),
    ),
    f"{{{SAML}}}Conditions": Shape(
        _names(SAML, "AudienceRestrictionCondition"), frozenset({"NotBefore", "NotOnOrAfter"})
    ),
    f"{{{SAML}}}AudienceRestrictionCondition": Shape(_names(SAML, "Audience")),
    f"{{{SAML}}}Audience": _TEXT,
    f"{{{SAML}}}AttributeStatement": Shape((_SUBJECT,), repeated=f"{{{SAML}}}Attribute"),
    f"{{{SAML}}}Attribute": Shape(
        _names(SAML, "AttributeValue"), frozenset({"AttributeName", "AttributeNamespace"})
    ),
    f"{{{SAML}}}AttributeValue": _TEXT,
    f"{{{SAML}}}AuthenticationStatement": Shape(
        (_SUBJECT,), frozenset({"AuthenticationMethod", "AuthenticationInstant"})
    ),
    _SUBJECT: Shape(_names(SAML, "NameIdentifier", "SubjectConfirmation")),
    f"{{{SAML}}}NameIdentifier": Shape(attributes=frozenset({"Format"}), kind="text"),
    f"{{{SAML}}}SubjectConfirmation": Shape(_names(SAML, "ConfirmationMethod")),
    f"{{{SAML}}}ConfirmationMethod": _TEXT,
}

SIGNATURE_SHAPES: dict[str, Shape] = {
    SIGNATURE: Shape(_names(DS, "SignedInfo", "SignatureValue", "KeyInfo")),
    f"{{{DS}}}SignedInfo": Shape(_names(DS, "CanonicalizationMethod", "SignatureMethod", "Reference")),
    f"{{{DS}}}CanonicalizationMethod": _ALGORITHM,
    f"{{{DS}}}SignatureMethod": _ALGORITHM,
    f"{{{DS}}}Reference": Shape(_names(DS, "Transforms", "DigestMethod", "DigestValue"), frozenset({"URI"})),
    f"{{{DS}}}Transforms": Shape(_names(DS, "Transform", "Transform")),
    f"{{{DS}}}Transform": _ALGORITHM,
    f"{{{DS}}}DigestMethod": _ALGORITHM,
    f"{{{DS}}}DigestValue": _TEXT,
    f"{{{DS}}}SignatureValue": _TEXT,
    f"{{{DS}}}KeyInfo": Shape(_names(DS, "X509Data")),
    f"{{{DS}}}X509Data": Shape(_names(DS, "X509Certificate")),
    f"{{{DS}}}X509Certificate": _TEXT,
}


def check_version(element: Element, shapes: dict[str, Shape], code: Code) -> None:
    """Walk the tree against the table. Raises EntraError(code) at the first difference."""
    name = _local(element)
    shape = shapes.get(str(element.tag))
    if shape is None:
        raise EntraError(code, f"{name} does not belong there")
    if shape.kind == "opaque":
        return
    if set(element.attrib) != shape.attributes:
        raise EntraError(code, f"{name} must have exactly the attributes {sorted(shape.attributes)}")
    found = [str(child.tag) for child in element]
    fixed, more = found[: len(shape.children)], found[len(shape.children) :]
    if (
        tuple(fixed) != shape.children
        or any(tag != shape.repeated for tag in more)
        or bool(more) != bool(shape.repeated)
    ):
        raise EntraError(
            code, f"{name} has the wrong children or the wrong order: {[_local(c) for c in element]}"
        )
    text = "".join([element.text or "", *(child.tail or "" for child in element)])
    if shape.kind == "text" and not text:
        raise EntraError(code, f"{name} is empty")
    if shape.kind in ("tight", "empty") and text:
        raise EntraError(code, f"{name} must not have text or white space")
    if shape.kind == "elements" and text.strip(" \t\r\n"):
        raise EntraError(code, f"{name} must not have text between its elements")
    for child in element:
        check_version(child, shapes, code)


def _local(element: Element) -> str:
    return etree.QName(element).localname


def parse_response(wresult: str) -> tuple[Element, Element]:
    """The RequestSecurityTokenResponse and the one Assertion in it. Raises EntraError.

    `<!` begins a comment, DTD or CDATA section and `<?` a declaration or instruction, and neither can be
    anything else in XML, so they are refused before any parser has seen them: no entities, no encodings,
    no text that one reader joins and another cuts (comments in a UPN: CVE-2025-47949 and kin).
    """
    if len(wresult) > MAX_WRESULT:
        raise EntraError(Code.BAD_MESSAGE, f"wresult is longer than {MAX_WRESULT} characters")
    if "<!" in wresult or "<?" in wresult:
        raise EntraError(Code.BAD_MESSAGE, "wresult has a comment, DTD, CDATA section or instruction")
    parser = etree.XMLPullParser(
        events=("start-ns", "start", "end"),
        resolve_entities=False,
        load_dtd=False,
        no_network=True,
        huge_tree=False,
        recover=False,
    )
    try:
        parser.feed(wresult.encode())
        root = parser.close()
    except (etree.XMLSyntaxError, UnicodeEncodeError) as error:
        raise EntraError(Code.BAD_MESSAGE, "wresult is not well-formed XML") from error
    assertions = list(root.iter("{*}Assertion"))
    if len(assertions) != 1 or assertions[0].tag != ASSERTION:
        raise EntraError(Code.BAD_ASSERTION, f"{len(assertions)} assertions, or none of SAML 1.1")
    check_version(root, RESPONSE_SHAPES, Code.BAD_MESSAGE)
    if root.tag != f"{{{TRUST}}}RequestSecurityTokenResponse":
        raise EntraError(Code.BAD_MESSAGE, f"{_local(root)} instead of a bare RequestSecurityTokenResponse")
    _check_own_namespaces(parser)
    return root, assertions[0]


def _check_own_namespaces(parser: "etree.XMLPullParser[Element]") -> None:
    """The Assertion must be readable when it is cut out: every prefix it uses is declared inside it."""
    scopes: list[set[str]] = []  # one per open element from the Assertion down
    declared: set[str] = set()
    for event, value in parser.read_events():
        if event == "start-ns":
            declared.add(str(value[0] or ""))
        elif event == "start":
            if scopes or value.tag == ASSERTION:
                scopes.append(declared | (scopes[-1] if scopes else set()))
                if (value.prefix or "") not in scopes[-1]:
                    raise EntraError(Code.BAD_ASSERTION, f"{_local(value)} uses a namespace from outside")
            declared = set()
        elif scopes:
            scopes.pop()


def issuer_of(assertion: Element) -> str:
    """The Issuer as claimed: nothing is verified yet, it only chooses the keys to verify with."""
    return assertion.get("Issuer", "")


def verify_signature(
    root: Element, assertion: Element, keys: dict[bytes, tuple[str, RSAPublicKey]]
) -> tuple[Element, str]:
    """The Assertion without its Signature, parsed from the signed octets, and the name of the key used.

    `keys`: certificate DER -> (name, key). The certificate in KeyInfo only names one of them; its own key
    is never used. Raises EntraError. NOT verified: the certificate's dates (nor does Entra, as far as known).
    """
    signatures = list(root.iter("{*}Signature"))
    if len(signatures) != 1 or signatures[0].tag != SIGNATURE:
        raise EntraError(Code.BAD_SIGNATURE, f"{len(signatures)} signatures instead of one")
    signature = signatures[0]
    if signature.getparent() is not assertion:
        raise EntraError(Code.BAD_SIGNATURE, "the Signature is not the Assertion's own child")
    if signature is not assertion[-1] or signature.tail:
        raise EntraError(Code.BAD_ASSERTION, "the Signature must be the last in the Assertion")
    check_version(signature, SIGNATURE_SHAPES, Code.BAD_SIGNATURE)
    signed_info = signature[0]
    reference = signed_info[2]
    algorithms = [element.get("Algorithm") for element in signed_info.iter() if "Algorithm" in element.attrib]
    if algorithms != [EXC_C14N, RSA_SHA256, ENVELOPED, EXC_C14N, SHA_256]:
        raise EntraError(Code.BAD_SIGNATURE, f"algorithms {algorithms}")
    if not assertion.get("AssertionID") or reference.get("URI") != f"#{assertion.get('AssertionID')}":
        raise EntraError(Code.BAD_SIGNATURE, "the Reference does not name its own Assertion")
    _check_single_id(root, assertion)

    named = keys.get(_octets(signature[2][0][0]))
    if named is None:
        raise EntraError(Code.KEY_NOT_REGISTERED, "the certificate in KeyInfo is not one of the domain's")
    signed = _without_signature(assertion)
    if hashlib.sha256(signed).digest() != _octets(reference[2]):
        raise EntraError(Code.BAD_SIGNATURE, "the Assertion was changed after it was signed")
    name, key = named
    try:
        key.verify(_octets(signature[1]), _canonical(signed_info), PKCS1v15(), SHA256())
    except InvalidSignature as error:
        raise EntraError(
            Code.BAD_SIGNATURE, "the signature was not made with the certificate's key"
        ) from error
    parser = etree.XMLParser(resolve_entities=False, load_dtd=False, no_network=True, huge_tree=False)
    return etree.fromstring(signed, parser), name


def _check_single_id(root: Element, assertion: Element) -> None:
    """Only the Assertion has an id, so that `#id` can mean nothing else (XSW)."""
    for element in root.iter():
        for name in element.attrib:
            if etree.QName(str(name)).localname.lower() in (
                "id",
                "assertionid",
                "responseid",
                "wsu:id",
            ) and not (element is assertion and name == "AssertionID"):
                raise EntraError(Code.BAD_SIGNATURE, f"{_local(element)} carries an id too")


def _without_signature(assertion: Element) -> bytes:
    """The enveloped-signature transform, then exclusive c14n: the octets the digest is over."""
    bare = copy.deepcopy(assertion)
    bare.remove(bare[-1])
    return _canonical(bare)


def _canonical(element: Element) -> bytes:
    return etree.tostring(element, method="c14n", exclusive=True, with_comments=False)


def _octets(element: Element) -> bytes:
    """The element's base64, with line breaks allowed but no stray bits: one text for one value."""
    text = "".join((element.text or "").split())
    try:
        octets = base64.b64decode(text, validate=True)
    except (binascii.Error, ValueError) as error:
        raise EntraError(Code.BAD_SIGNATURE, f"{_local(element)} is not base64") from error
    if base64.b64encode(octets).decode() != text:
        raise EntraError(Code.BAD_SIGNATURE, f"{_local(element)} is base64 with stray bits")
    return octets
