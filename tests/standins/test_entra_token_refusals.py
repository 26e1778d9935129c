"""What a well-signed token may not say, or say too little for the request: name, AADSTS code."""

from collections.abc import Callable
from datetime import timedelta

import pytest

from deploy.standins.entra.errors import Code
from tests.standins.entra_attempts import (
    FABRIKAM,
    UPN_VALUE,
    Attempt,
    before_signing,
    federation,
    refused,
    signed,
    wanting,
)
from tests.standins.entra_tokens import (
    AUTHENTICATED,
    IMMUTABLE_ID,
    INSIDE,
    METHOD,
    MFA,
    MFA_DONE,
    NOW,
    REFERENCES,
    UPN,
    Token,
    cut,
    once,
)

PASSWORD = "urn:oasis:names:tc:SAML:1.0:am:password"


def outer_namespaces() -> Attempt:
    """The assertion's prefix is declared by the response only; c14n and signature still come out right."""
    declaration = ' xmlns:saml="urn:oasis:names:tc:SAML:1.0:assertion"'
    response = Token().response(once(Token().assertion(), declaration, ""))
    return Attempt(
        wresult=once(
            response, "<t:RequestSecurityTokenResponse", f"<t:RequestSecurityTokenResponse{declaration}"
        )
    )


def saml_2() -> Attempt:
    old, new = "urn:oasis:names:tc:SAML:1.0:assertion", "urn:oasis:names:tc:SAML:2.0:assertion"
    return before_signing(old, new)


BAD: dict[str, tuple[Code, Callable[[], Attempt]]] = {
    # the issuer, before anything else about the assertion
    "issuer unknown": (Code.ISSUER_UNKNOWN, lambda: signed(issuer="https://idp.example/t/nobody")),
    "issuer with a slash more": (Code.ISSUER_UNKNOWN, lambda: signed(issuer=Token().issuer + "/")),
    "issuer in capitals": (Code.ISSUER_UNKNOWN, lambda: signed(issuer="https://IDP.example/t/contoso")),
    "issuer of another domain, own key": (
        Code.KEY_NOT_REGISTERED,
        lambda: signed(issuer=FABRIKAM.issuer_uri),
    ),
    "another domain's own good token": (
        Code.UPN_DOMAIN,
        lambda: signed(
            issuer=FABRIKAM.issuer_uri, signer="fabrikam", immutable_id="fab", upn="fay@fabrikam.example"
        ),
    ),
    "another domain speaks for our user": (
        Code.USER_NOT_FOUND,
        lambda: signed(issuer=FABRIKAM.issuer_uri, signer="fabrikam"),
    ),
    # the assertion's layout
    "namespaces of the response": (Code.BAD_ASSERTION, outer_namespaces),
    "SAML 2.0 assertion": (Code.BAD_ASSERTION, saml_2),
    "version 1.0": (Code.BAD_ASSERTION, lambda: signed(version=("1", "0"))),
    "short AssertionID": (Code.BAD_ASSERTION, lambda: signed(assertion_id="_1234")),
    "AssertionID without underscore": (Code.BAD_ASSERTION, lambda: signed(assertion_id="a" * 30)),
    "statements in the wrong order": (
        Code.BAD_ASSERTION,
        lambda: Attempt(
            Token(
                edits=(
                    (
                        cut(
                            Token().unsigned(), "<saml:AttributeStatement>", "</saml:AuthenticationStatement>"
                        )[1],
                        cut(
                            Token().unsigned(),
                            "<saml:AuthenticationStatement",
                            "</saml:AuthenticationStatement>",
                        )[1]
                        + cut(Token().unsigned(), "<saml:AttributeStatement>", "</saml:AttributeStatement>")[
                            1
                        ],
                    ),
                )
            )
        ),
    ),
    "no AuthenticationStatement": (
        Code.BAD_ASSERTION,
        lambda: before_signing(
            cut(Token().unsigned(), "<saml:AuthenticationStatement", "</saml:AuthenticationStatement>")[1], ""
        ),
    ),
    "DoNotCacheCondition": (
        Code.BAD_ASSERTION,
        lambda: before_signing("</saml:Conditions>", "<saml:DoNotCacheCondition/></saml:Conditions>"),
    ),
    "second audience": (
        Code.BAD_ASSERTION,
        lambda: before_signing(
            "</saml:Audience>", "</saml:Audience><saml:Audience>urn:other</saml:Audience>"
        ),
    ),
    "no Conditions times": (
        Code.BAD_ASSERTION,
        lambda: before_signing(' NotOnOrAfter="2026-11-21T20:59:00.000Z"', ""),
    ),
    "two values in one attribute": (
        Code.BAD_ASSERTION,
        lambda: before_signing(UPN_VALUE, UPN_VALUE + UPN_VALUE.replace("ada", "bob")),
    ),
    "a subject after the attributes": (
        Code.BAD_ASSERTION,
        lambda: before_signing(
            "</saml:AttributeStatement>",
            cut(Token().unsigned(), "<saml:Subject>", "</saml:Subject>")[1] + "</saml:AttributeStatement>",
        ),
    ),
    "no attributes": (
        Code.BAD_ASSERTION,
        lambda: before_signing(
            cut(Token().unsigned(), '<saml:Attribute AttributeName="UPN', "</saml:AttributeStatement>")[1],
            "</saml:AttributeStatement>",
        ),
    ),
    "empty UPN": (Code.BAD_ASSERTION, lambda: signed(upn="")),
    "element inside the UPN": (
        Code.BAD_ASSERTION,
        lambda: before_signing(UPN_VALUE, UPN_VALUE.replace("ada@", "ada<saml:x/>@")),
    ),
    "subjects differ": (Code.BAD_ASSERTION, lambda: signed(second_subject="sub")),
    "both subjects are not the ImmutableID claim": (
        Code.BAD_ASSERTION,
        lambda: before_signing(
            "<saml:AttributeValue>q83vEjRWeJA=</saml:AttributeValue>",
            "<saml:AttributeValue>sub</saml:AttributeValue>",
        ),
    ),
    "Format of e-mail": (
        Code.BAD_ASSERTION,
        lambda: signed(name_format="urn:oasis:names:tc:SAML:1.1:nameid-format:emailAddress"),
    ),
    "sender-vouches": (
        Code.BAD_ASSERTION,
        lambda: signed(confirmation="urn:oasis:names:tc:SAML:1.0:cm:sender-vouches"),
    ),
    "ImmutableID of 65 characters": (Code.BAD_ASSERTION, lambda: signed(immutable_id="x" * 65)),
    "UPN twice": (Code.BAD_ASSERTION, lambda: signed(claims=((UPN, "bob@contoso.example"),))),
    "ImmutableID twice": (Code.BAD_ASSERTION, lambda: signed(claims=((IMMUTABLE_ID, "sub"),))),
    "no UPN": (Code.BAD_ASSERTION, lambda: before_signing('AttributeName="UPN"', 'AttributeName="Upn"')),
    "unknown claim": (Code.BAD_ASSERTION, lambda: signed(claims=((("role", "urn:x"), "admin"),))),
    "insidecorporatenetwork of 1": (Code.BAD_ASSERTION, lambda: signed(claims=((INSIDE, "1"),))),
    # methods
    "password method": (Code.BAD_ASSERTION, lambda: signed(method=PASSWORD)),
    "Microsoft's password method": (
        Code.BAD_ASSERTION,
        lambda: signed(
            method="http://schemas.microsoft.com/ws/2008/06/identity/authenticationmethod/password"
        ),
    ),
    "MFA claims without the method": (
        Code.BAD_ASSERTION,
        lambda: signed(claims=((REFERENCES, MFA), (METHOD, MFA))),
    ),
    "MFA method without the claims": (Code.BAD_ASSERTION, lambda: signed(method=MFA)),
    "only one MFA claim": (Code.BAD_ASSERTION, lambda: signed(method=MFA, claims=((REFERENCES, MFA),))),
    "another method in the claim": (
        Code.BAD_ASSERTION,
        lambda: signed(method=MFA, claims=((REFERENCES, MFA), (METHOD, PASSWORD))),
    ),
    # times
    "expired": (Code.BAD_ASSERTION, lambda: Attempt(later=timedelta(minutes=10))),
    "not yet valid": (Code.BAD_ASSERTION, lambda: Attempt(later=timedelta(seconds=-46))),
    "issued in the future": (Code.BAD_ASSERTION, lambda: Attempt(later=timedelta(milliseconds=-1))),
    "valid for more than an hour": (
        Code.BAD_ASSERTION,
        lambda: signed(not_on_or_after=NOW + timedelta(minutes=60, milliseconds=1)),
    ),
    "NotBefore not back far enough": (
        Code.BAD_ASSERTION,
        lambda: signed(not_before=NOW - timedelta(seconds=29)),
    ),
    "NotBefore too far back": (Code.BAD_ASSERTION, lambda: signed(not_before=NOW - timedelta(seconds=61))),
    "authenticated after the issue": (
        Code.BAD_ASSERTION,
        lambda: signed(authenticated=NOW + timedelta(milliseconds=1)),
    ),
    "another instant in the claim": (
        Code.BAD_ASSERTION,
        lambda: signed(claims=((AUTHENTICATED, "2026-11-21T20:49:00.000Z"),)),
    ),
    "instant of MFA without MFA": (
        Code.BAD_ASSERTION,
        lambda: signed(claims=((MFA_DONE, "2026-11-21T20:48:55.000Z"),)),
    ),
    "time without Z": (Code.BAD_ASSERTION, lambda: before_signing('T20:49:00.000Z"', 'T20:49:00.000"')),
    "time with an offset": (
        Code.BAD_ASSERTION,
        lambda: before_signing('T20:49:00.000Z"', 'T20:49:00.000+00:00"'),
    ),
    "time in seconds": (Code.BAD_ASSERTION, lambda: before_signing('T20:49:00.000Z"', 'T20:49:00Z"')),
    "no such date": (
        Code.BAD_ASSERTION,
        lambda: before_signing('"2026-11-21T20:49:00', '"2026-11-31T20:49:00'),
    ),
    # audience, user, domain
    "audience": (Code.BAD_ASSERTION, lambda: signed(audience="urn:federation:Other")),
    "audience with white space": (
        Code.BAD_ASSERTION,
        lambda: signed(audience=" urn:federation:MicrosoftOnline"),
    ),
    "unknown ImmutableID": (Code.USER_NOT_FOUND, lambda: signed(immutable_id="nobody")),
    "ImmutableID in other letters": (Code.USER_NOT_FOUND, lambda: signed(immutable_id="Q83vEjRWeJA=")),
    "ImmutableID of somebody else": (Code.USER_NOT_FOUND, lambda: signed(immutable_id="sub")),
    "UPN of another domain": (Code.UPN_DOMAIN, lambda: signed(upn="ada@fabrikam.example")),
    "UPN of a domain that is not federated": (Code.UPN_DOMAIN, lambda: signed(upn="ada@unfederated.example")),
    "UPN whose domain ends like ours": (Code.UPN_DOMAIN, lambda: signed(upn="ada@notcontoso.example")),
    "UPN without a domain": (Code.UPN_DOMAIN, lambda: signed(upn="ada")),
    "UPN with two @": (Code.UPN_DOMAIN, lambda: signed(upn="ada@evil.test@contoso.example")),
    "user whose own domain is another": (Code.UPN_DOMAIN, lambda: signed(immutable_id="moved")),
    "root's issuer for a subdomain that has its own": (
        Code.UPN_DOMAIN,
        lambda: signed(immutable_id="branch", upn="bob@branch.contoso.example"),
    ),
    "disabled user": (Code.USER_DISABLED, lambda: signed(immutable_id="gone", upn="gone@contoso.example")),
    # what the request demanded
    "MFA wanted but not claimed": (Code.MFA_REQUIRED, lambda: wanting(Token(), mfa_wanted=True)),
    "MFA enforced but not claimed": (
        Code.MFA_REQUIRED,
        lambda: wanting(
            Token(), federation(federated_idp_mfa_behavior="enforceMfaByFederatedIdp"), mfa_wanted=True
        ),
    ),
    "MFA of the provider rejected": (
        Code.MFA_REQUIRED_HERE,
        lambda: wanting(
            Token().with_mfa(),
            federation(federated_idp_mfa_behavior="rejectMfaByFederatedIdp"),
            mfa_wanted=True,
        ),
    ),
    "MFA too old": (
        Code.MFA_TOO_OLD,
        lambda: wanting(
            Token(authenticated=NOW - timedelta(seconds=61)).with_mfa(),
            mfa_wanted=True,
            mfa_max_age_seconds=60,
        ),
    ),
    "session answers a forced re-authentication": (
        Code.AUTHENTICATION_TOO_OLD,
        lambda: wanting(Token(authenticated=NOW - timedelta(seconds=31)), max_age_seconds=0),
    ),
    "older than wfresh": (
        Code.AUTHENTICATION_TOO_OLD,
        lambda: wanting(Token(authenticated=NOW - timedelta(seconds=91)), max_age_seconds=60),
    ),
}


@pytest.mark.parametrize("name", BAD)
def test_rejects(name: str) -> None:
    code, build = BAD[name]
    refused(build(), code)
