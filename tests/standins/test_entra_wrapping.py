"""Signature wrapping: the good assertion is kept somewhere, and an evil one is put where it will be read."""

import pytest

from deploy.standins.entra.errors import Code
from tests.standins.entra_attempts import Attempt, refused
from tests.standins.entra_tokens import Token, cut, once

EVIL = Token(
    upn="boss@contoso.example", immutable_id="boss", assertion_id="_eeeeeeeeeeeeeeeeeeeeee-1"
).unsigned()
EVIL_SAME_ID = Token(upn="boss@contoso.example", immutable_id="boss").unsigned()


def wrapped(evil: str, good: str, place: str) -> Attempt:
    """`place` builds RequestedSecurityToken's content from {evil} (open), {good} and {signature}."""
    bare, signature = cut(good, "<ds:Signature", "</ds:Signature>")
    head = evil.removesuffix("</saml:Assertion>")
    end = "</saml:Assertion>"
    content = {
        "good first": good + evil,
        "evil first": evil + good,
        "good inside evil": head + good + end,
        "evil inside good": good.removesuffix(end) + evil + end,
        "evil before the signature": once(good, "<ds:Signature xmlns", evil + "<ds:Signature xmlns"),
        "good's signature on evil, good after it": head + signature + end + bare,
        "good's signature on evil, good inside": head + bare + signature + end,
        "good in the signature's Object": head
        + once(signature, "</ds:Signature>", f"<ds:Object>{bare}</ds:Object></ds:Signature>")
        + end,
        "good in the signature's KeyInfo": head
        + once(signature, "</ds:KeyInfo>", f"{bare}</ds:KeyInfo>")
        + end,
        "good in an Advice": head + f"<saml:Advice>{bare}</saml:Advice>" + signature + end,
        "good in an attribute value": once(head, "ada" if "ada" in head else "boss@contoso.example", bare)
        + signature
        + end,
    }[place]
    return Attempt(wresult=Token().response(content))


WRAPPINGS = [
    "good first",
    "evil first",
    "good inside evil",
    "evil inside good",
    "evil before the signature",
    "good's signature on evil, good after it",
    "good's signature on evil, good inside",
    "good in the signature's Object",
    "good in the signature's KeyInfo",
    "good in an Advice",
    "good in an attribute value",
]


@pytest.mark.parametrize("same_id", [False, True], ids=["own id", "same id"])
@pytest.mark.parametrize("place", WRAPPINGS)
def test_rejects_wrapped_assertion(place: str, same_id: bool) -> None:
    attempt = wrapped(EVIL_SAME_ID if same_id else EVIL, Token().assertion(), place)
    refused(attempt, Code.BAD_ASSERTION)


def beside_the_token(element: str) -> Attempt:
    """The good assertion outside of RequestedSecurityToken, an evil one within."""
    good = Token().assertion()
    response = Token().response(EVIL)
    return Attempt(wresult=once(response, "<t:TokenType>", f"<{element}>{good}</{element}><t:TokenType>"))


@pytest.mark.parametrize("element", ["t:Extra", "t:RequestedSecurityToken", "t:RequestedProofToken"])
def test_rejects_wrapped_assertion_beside_the_token(element: str) -> None:
    refused(beside_the_token(element), Code.BAD_ASSERTION)
