"""What can be wrong with the signature, also one made with the right key: name, AADSTS code."""

from collections.abc import Callable

import pytest

from deploy.standins.entra.errors import Code
from tests.standins.entra_attempts import (
    Attempt,
    before_signing,
    in_signed,
    in_signed_info,
    refused,
    signed,
)
from tests.standins.entra_tokens import (
    Token,
    certificate_text,
    cut,
    once,
)

REFERENCE = '<ds:Reference URI="#_aaaaaaaaaaaaaaaaaaaaaa-1">'
EXC = "http://www.w3.org/2001/10/xml-exc-c14n#"


def signature_moved(to: str) -> Attempt:
    bare, signature = cut(Token().assertion(), "<ds:Signature", "</ds:Signature>")
    if to == "response":
        return Attempt(wresult=once(Token().response(bare), "<t:TokenType>", signature + "<t:TokenType>"))
    if to == "first":
        return Attempt(
            wresult=Token().response(once(bare, "<saml:Conditions", signature + "<saml:Conditions"))
        )
    return Attempt(
        wresult=Token().response(once(bare, "</saml:Conditions>", signature + "</saml:Conditions>"))
    )


def signature_of(other: Token) -> Attempt:
    """The signature of another good assertion, moved onto this one."""
    _, theirs = cut(other.assertion(), "<ds:Signature", "</ds:Signature>")
    bare, _ = cut(Token().assertion(), "<ds:Signature", "</ds:Signature>")
    return Attempt(wresult=Token().response(once(bare, "</saml:Assertion>", theirs + "</saml:Assertion>")))


def no_signature() -> Attempt:
    return Attempt(wresult=Token().response(Token().unsigned()))


def two_signatures() -> Attempt:
    _, signature = cut(Token().assertion(), "<ds:Signature", "</ds:Signature>")
    return in_signed("</saml:Assertion>", signature + "</saml:Assertion>")


def stray_bits() -> Attempt:
    """Another text for the same signature value: 256 octets leave four bits unused before the `==`."""
    text = Token().assertion()
    last = text.index("==</ds:SignatureValue>") - 1
    alphabet = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/"
    other = alphabet[alphabet.index(text[last]) + 1]
    return Attempt(wresult=Token().response(text[:last] + other + text[last + 1 :]))


def cut_inside(text: str, start: str, end: str) -> str:
    rest, _ = cut(text, start, end)
    place = text.index(start)
    return rest[:place] + start + end + rest[place:]


BAD: dict[str, tuple[Code, Callable[[], Attempt]]] = {
    "signature removed": (Code.BAD_SIGNATURE, no_signature),
    "signature twice": (Code.BAD_SIGNATURE, two_signatures),
    "signature on the response": (Code.BAD_MESSAGE, lambda: signature_moved("response")),
    "signature inside Conditions": (Code.BAD_SIGNATURE, lambda: signature_moved("conditions")),
    "signature first": (Code.BAD_ASSERTION, lambda: signature_moved("first")),
    "white space after the signature": (
        Code.BAD_ASSERTION,
        lambda: in_signed("</ds:Signature>", "</ds:Signature>\n"),
    ),
    "signature over another element": (
        Code.BAD_SIGNATURE,
        lambda: signature_of(Token(assertion_id="_bbbbbbbbbbbbbbbbbbbbbb-1")),
    ),
    "signature of another assertion with this id": (
        Code.BAD_SIGNATURE,
        lambda: signature_of(Token(upn="x@contoso.example")),
    ),
    "Reference to the whole document": (
        Code.BAD_SIGNATURE,
        lambda: in_signed_info(REFERENCE, '<ds:Reference URI="">'),
    ),
    "Reference by XPointer": (
        Code.BAD_SIGNATURE,
        lambda: in_signed_info(
            REFERENCE, REFERENCE.replace('"#_', "\"#xpointer(id('_").replace('-1"', "-1'))\"")
        ),
    ),
    "Reference without URI": (Code.BAD_SIGNATURE, lambda: in_signed_info(REFERENCE, "<ds:Reference>")),
    "two References": (
        Code.BAD_SIGNATURE,
        lambda: in_signed_info(
            "</ds:Reference>",
            "</ds:Reference>" + cut(Token().assertion(), "<ds:Reference", "</ds:Reference>")[1],
        ),
    ),
    "a third transform": (
        Code.BAD_SIGNATURE,
        lambda: in_signed_info("</ds:Transforms>", f'<ds:Transform Algorithm="{EXC}"/></ds:Transforms>'),
    ),
    "XSLT transform": (
        Code.BAD_SIGNATURE,
        lambda: in_signed_info(
            f'<ds:Transform Algorithm="{EXC}"/>',
            '<ds:Transform Algorithm="http://www.w3.org/TR/1999/REC-xslt-19991116"/>',
        ),
    ),
    "inclusive prefixes": (
        Code.BAD_SIGNATURE,
        lambda: in_signed_info(
            f'<ds:Transform Algorithm="{EXC}"/>',
            f'<ds:Transform Algorithm="{EXC}">'
            f'<ec:InclusiveNamespaces xmlns:ec="{EXC}" PrefixList="saml"/></ds:Transform>',
        ),
    ),
    "inclusive c14n": (
        Code.BAD_SIGNATURE,
        lambda: signed(c14n="http://www.w3.org/TR/2001/REC-xml-c14n-20010315"),
    ),
    "c14n with comments": (Code.BAD_SIGNATURE, lambda: signed(c14n=EXC + "WithComments")),
    "RSA-SHA1": (Code.BAD_SIGNATURE, lambda: signed(algorithm="rsa-sha1")),
    "SHA-1 digest": (Code.BAD_SIGNATURE, lambda: signed(digest="sha1")),
    "RSA-SHA512": (Code.BAD_SIGNATURE, lambda: signed(algorithm="rsa-sha512")),
    "other key under our certificate": (
        Code.BAD_SIGNATURE,
        lambda: signed(signer="attacker", embedded="current"),
    ),
    "attacker's key and certificate": (Code.KEY_NOT_REGISTERED, lambda: signed(signer="attacker")),
    "our key, attacker's certificate": (Code.KEY_NOT_REGISTERED, lambda: signed(embedded="attacker")),
    "no KeyInfo": (
        Code.BAD_SIGNATURE,
        lambda: Attempt(
            wresult=Token().response(cut(Token().assertion(), "<ds:KeyInfo>", "</ds:KeyInfo>")[0])
        ),
    ),
    "KeyValue beside the certificate": (
        Code.BAD_SIGNATURE,
        lambda: in_signed("<ds:KeyInfo>", "<ds:KeyInfo><ds:KeyValue/>"),
    ),
    "two certificates": (
        Code.BAD_SIGNATURE,
        lambda: in_signed(
            "</ds:X509Data>",
            f"<ds:X509Certificate>{certificate_text('attacker')}</ds:X509Certificate></ds:X509Data>",
        ),
    ),
    "certificate that is no base64": (
        Code.BAD_SIGNATURE,
        lambda: in_signed("<ds:X509Certificate>", "<ds:X509Certificate>*"),
    ),
    "UPN changed after signing": (Code.BAD_SIGNATURE, lambda: in_signed("ada@", "bob@")),
    "white space added after signing": (
        Code.BAD_SIGNATURE,
        lambda: in_signed("</saml:Conditions>", "</saml:Conditions> "),
    ),
    "id on another element too": (
        Code.BAD_SIGNATURE,
        lambda: in_signed("<saml:Audience>", '<saml:Audience ID="_x">'),
    ),
    "xml:id on another element": (
        Code.BAD_SIGNATURE,
        lambda: in_signed("<saml:Audience>", '<saml:Audience xml:id="_aaaaaaaaaaaaaaaaaaaaaa-1">'),
    ),
    "id on another element too, well signed": (
        Code.BAD_SIGNATURE,
        lambda: before_signing("<saml:Audience>", '<saml:Audience ID="_x">'),
    ),
    "base64 with stray bits": (Code.BAD_SIGNATURE, stray_bits),
    "empty certificate": (
        Code.BAD_SIGNATURE,
        lambda: Attempt(
            wresult=Token().response(
                cut_inside(Token().assertion(), "<ds:X509Certificate>", "</ds:X509Certificate>")
            )
        ),
    ),
    "id on the signature": (
        Code.BAD_SIGNATURE,
        lambda: in_signed("<ds:SignedInfo>", '<ds:SignedInfo Id="_s">'),
    ),
}


@pytest.mark.parametrize("name", BAD)
def test_rejects(name: str) -> None:
    code, build = BAD[name]
    refused(build(), code)
