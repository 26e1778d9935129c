"""What can be wrong with the form, the document and the response around the token: name, AADSTS code."""

from collections.abc import Callable

import pytest

from deploy.standins.entra.errors import Code
from tests.standins.entra_attempts import (
    UPN_VALUE,
    WCTX,
    Attempt,
    in_response,
    in_signed,
    posted,
    refused,
)
from tests.standins.entra_tokens import (
    Token,
    cut,
    once,
)

TOKEN_OPEN, TOKEN_CLOSE = "<t:RequestedSecurityToken>", "</t:RequestedSecurityToken>"


def token_type_first() -> Attempt:
    rest, token_type = cut(Token().response(), "<t:TokenType>", "</t:TokenType>")
    return Attempt(wresult=once(rest, TOKEN_OPEN, token_type + TOKEN_OPEN))


BAD: dict[str, tuple[Code, Callable[[], Attempt]]] = {
    # the form
    "wa missing": (Code.BAD_MESSAGE, lambda: Attempt(form=(("wresult", Token().response()), ("wctx", WCTX)))),
    "wa of sign-out": (Code.BAD_MESSAGE, lambda: posted(wa="wsignout1.0")),
    "a field more": (Code.BAD_MESSAGE, lambda: posted(wreply="https://login.microsoftonline.com/login.srf")),
    "wresult twice": (
        Code.BAD_MESSAGE,
        lambda: Attempt(
            form=(("wa", "wsignin1.0"), ("wresult", "x"), ("wresult", Token().response()), ("wctx", WCTX))
        ),
    ),
    "wctx changed": (Code.BAD_MESSAGE, lambda: posted(wctx=WCTX.replace("&amp;", "&"))),
    "wctx cut short": (Code.BAD_MESSAGE, lambda: posted(wctx=WCTX[:-1])),
    "wctx empty": (Code.BAD_MESSAGE, lambda: posted(wctx="")),
    "no request of ours": (Code.BAD_MESSAGE, lambda: Attempt(pending=None)),
    # the document
    "not XML": (Code.BAD_MESSAGE, lambda: posted(wresult="<t:RequestSecurityTokenResponse")),
    "empty": (Code.BAD_MESSAGE, lambda: posted(wresult="")),
    "a half surrogate": (Code.BAD_MESSAGE, lambda: in_response("</t:KeyType>", "\ud800</t:KeyType>")),
    "a NUL": (Code.BAD_MESSAGE, lambda: in_response("</t:KeyType>", "\0</t:KeyType>")),
    "ten megabytes": (Code.BAD_MESSAGE, lambda: in_response(TOKEN_OPEN, " " * 10_000_000 + TOKEN_OPEN)),
    "more than 256 K characters": (
        Code.BAD_MESSAGE,
        lambda: in_response(TOKEN_OPEN, " " * 262_144 + TOKEN_OPEN),
    ),
    "ten thousand levels": (
        Code.BAD_MESSAGE,
        lambda: posted(wresult=Token().response("<a>" * 10_000 + "</a>" * 10_000)),
    ),
    "DTD": (Code.BAD_MESSAGE, lambda: posted(wresult="<!DOCTYPE x>" + Token().response())),
    "entity in the UPN": (
        Code.BAD_MESSAGE,
        lambda: posted(
            wresult='<!DOCTYPE x [<!ENTITY who "ada">]>'
            + Token().response(once(Token().assertion(), UPN_VALUE, UPN_VALUE.replace("ada", "&who;")))
        ),
    ),
    "external entity": (
        Code.BAD_MESSAGE,
        lambda: posted(
            wresult='<!DOCTYPE x [<!ENTITY f SYSTEM "file:///etc/hostname">]>' + Token().response("&f;")
        ),
    ),
    "XML declaration": (
        Code.BAD_MESSAGE,
        lambda: posted(wresult='<?xml version="1.0"?>' + Token().response()),
    ),
    "other encoding": (
        Code.BAD_MESSAGE,
        lambda: posted(wresult='<?xml version="1.0" encoding="utf-7"?>' + Token().response()),
    ),
    "comment in the UPN": (
        Code.BAD_MESSAGE,
        lambda: in_signed(UPN_VALUE, UPN_VALUE.replace("example<", "example<!---->.evil.test<")),
    ),
    "comment that keeps the UPN": (
        Code.BAD_MESSAGE,
        lambda: in_signed(UPN_VALUE, UPN_VALUE.replace("ada", "ad<!-- -->a")),
    ),
    "comment in the DigestValue": (
        Code.BAD_MESSAGE,
        lambda: in_signed("<ds:DigestValue>", "<ds:DigestValue><!-- AAAA -->"),
    ),
    "instruction in the UPN": (
        Code.BAD_MESSAGE,
        lambda: in_signed(UPN_VALUE, UPN_VALUE.replace("ada", "a<?x?>da")),
    ),
    "CDATA in the UPN": (
        Code.BAD_MESSAGE,
        lambda: in_signed(UPN_VALUE, UPN_VALUE.replace("ada", "<![CDATA[ada]]>")),
    ),
    # the response around the token
    "collection": (
        Code.BAD_MESSAGE,
        lambda: posted(
            wresult='<t:RequestSecurityTokenResponseCollection xmlns:t="http://schemas.xmlsoap.org/ws/2005/02/trust">'
            + Token().response()
            + "</t:RequestSecurityTokenResponseCollection>"
        ),
    ),
    "SOAP": (
        Code.BAD_MESSAGE,
        lambda: posted(
            wresult=f'<s:Body xmlns:s="http://www.w3.org/2003/05/soap-envelope">{Token().response()}</s:Body>'
        ),
    ),
    "the bare assertion": (Code.BAD_MESSAGE, lambda: posted(wresult=Token().assertion())),
    "trust 1.3": (
        Code.BAD_MESSAGE,
        lambda: posted(
            wresult=Token()
            .response()
            .replace(
                '"http://schemas.xmlsoap.org/ws/2005/02/trust"',
                '"http://docs.oasis-open.org/ws-sx/ws-trust/200512"',
            )
        ),
    ),
    "no assertion": (Code.BAD_ASSERTION, lambda: Attempt(wresult=Token().response(""))),
    "element order in the response": (Code.BAD_MESSAGE, token_type_first),
    "no KeyType": (
        Code.BAD_MESSAGE,
        lambda: Attempt(wresult=cut(Token().response(), "<t:KeyType>", "</t:KeyType>")[0]),
    ),
    "no Lifetime": (
        Code.BAD_MESSAGE,
        lambda: Attempt(wresult=cut(Token().response(), "<t:Lifetime>", "</t:Lifetime>")[0]),
    ),
    "unknown element": (Code.BAD_MESSAGE, lambda: in_response("<t:TokenType>", "<t:Status/><t:TokenType>")),
    "attribute on the response": (
        Code.BAD_MESSAGE,
        lambda: in_response("<t:TokenType>", '<t:TokenType Id="x">'),
    ),
    "text between elements": (Code.BAD_MESSAGE, lambda: in_response("<t:TokenType>", "x<t:TokenType>")),
    "white space before the assertion": (
        Code.BAD_MESSAGE,
        lambda: in_response(TOKEN_OPEN, TOKEN_OPEN + "\n"),
    ),
    "white space after the assertion": (
        Code.BAD_MESSAGE,
        lambda: in_response(TOKEN_CLOSE, " " + TOKEN_CLOSE),
    ),
    "TokenType 2.0": (
        Code.BAD_MESSAGE,
        lambda: in_response("SAML:1.0:assertion</t:TokenType>", "SAML:2.0:assertion</t:TokenType>"),
    ),
    "TokenType with white space": (
        Code.BAD_MESSAGE,
        lambda: in_response("</t:TokenType>", " </t:TokenType>"),
    ),
    "RequestType": (Code.BAD_MESSAGE, lambda: in_response("/Issue<", "/Validate<")),
    "KeyType": (Code.BAD_MESSAGE, lambda: in_response("NoProofKey", "SymmetricKey")),
    "AppliesTo another party": (
        Code.BAD_MESSAGE,
        lambda: in_response("urn:federation:MicrosoftOnline</wsa", "urn:federation:Other</wsa"),
    ),
    "Lifetime longer than the assertion's": (
        Code.BAD_MESSAGE,
        lambda: in_response("20:59:00.000Z</wsu:Expires>", "20:59:00.001Z</wsu:Expires>"),
    ),
    "Lifetime from before the assertion's": (
        Code.BAD_MESSAGE,
        lambda: in_response("20:49:00.000Z</wsu:Created>", "20:48:14.999Z</wsu:Created>"),
    ),
    "Lifetime without milliseconds": (
        Code.BAD_MESSAGE,
        lambda: in_response("20:59:00.000Z</wsu:Expires>", "20:59:00Z</wsu:Expires>"),
    ),
}


@pytest.mark.parametrize("name", BAD)
def test_rejects(name: str) -> None:
    code, build = BAD[name]
    refused(build(), code)
