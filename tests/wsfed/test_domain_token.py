"""The token: its layout, what it claims and what it refuses; who issues it, and the form around it."""

from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest

from services.wsfed.domain.authentication import MULTIPLE_AUTHN, UNSPECIFIED, Method, VerifiedAuthentication
from services.wsfed.domain.keys import certificate_base64
from services.wsfed.domain.token import (
    FederatedDomain,
    TokenSubject,
    issuer_for,
    new_assertion_id,
    reply_form,
)
from shared.clouds import CLOUDS, Cloud
from shared.errors import BadInput, Forbidden
from shared.ids import SeededIds
from tests.wsfed.domain_samples import (
    ASSERTION_ID,
    BADGE,
    BADGE_POLICY,
    DS,
    NOW,
    PASSKEY,
    SAML,
    SUBJECT,
    a_token,
    assertion_of,
    attributes,
    element_text_at,
    parse,
    signing_key,
)

T = "{http://schemas.xmlsoap.org/ws/2005/02/trust}"
WSU = "{http://docs.oasis-open.org/wss/2004/01/oasis-200401-wss-wssecurity-utility-1.0.xsd}"
WSP = "{http://schemas.xmlsoap.org/ws/2004/09/policy}"
WSA = "{http://www.w3.org/2005/08/addressing}"


def a_subject(field: str, value: str) -> TokenSubject:
    """SUBJECT with one of its texts changed."""
    changes: dict[str, Any] = {field: value}
    return replace(SUBJECT, **changes)


# --- layout ---------------------------------------------------------------------------------------------------


def test_response_has_the_parts_in_order_and_nothing_between() -> None:
    token = a_token()
    response = parse(token)
    assert response.tag == f"{T}RequestSecurityTokenResponse"
    assert [child.tag for child in response] == [
        f"{T}Lifetime",
        f"{WSP}AppliesTo",
        f"{T}RequestedSecurityToken",
        f"{T}TokenType",
        f"{T}RequestType",
        f"{T}KeyType",
    ]
    assert element_text_at(response, f"{T}Lifetime/{WSU}Created") == "2026-11-21T20:48:00.123Z"
    assert element_text_at(response, f"{T}Lifetime/{WSU}Expires") == "2026-11-21T20:58:00.123Z"
    address = f"{WSP}AppliesTo/{WSA}EndpointReference/{WSA}Address"
    assert element_text_at(response, address) == "urn:federation:MicrosoftOnline"
    assert element_text_at(response, f"{T}TokenType") == "urn:oasis:names:tc:SAML:1.0:assertion"
    assert element_text_at(response, f"{T}RequestType") == "http://schemas.xmlsoap.org/ws/2005/02/trust/Issue"
    assert (
        element_text_at(response, f"{T}KeyType")
        == "http://schemas.xmlsoap.org/ws/2005/05/identity/NoProofKey"
    )
    holder = response.find(f"{T}RequestedSecurityToken")
    assert holder is not None
    assert holder.text is None
    assert [child.tail for child in holder] == [None]


def test_assertion_declares_every_namespace_it_uses() -> None:
    parse(assertion_of(a_token()))  # an undeclared prefix would be a syntax error


def test_assertion_says_who_when_and_for_whom() -> None:
    authenticated_at = NOW - timedelta(hours=3)
    token = a_token(verified=replace(PASSKEY, authenticated_at=authenticated_at))
    assertion = parse(assertion_of(token))
    assert dict(assertion.attrib) == {
        "MajorVersion": "1",
        "MinorVersion": "1",
        "AssertionID": ASSERTION_ID,
        "Issuer": SUBJECT.issuer,
        "IssueInstant": "2026-11-21T20:49:00.123Z",
    }
    assert [child.tag for child in assertion] == [
        f"{SAML}Conditions",
        f"{SAML}AttributeStatement",
        f"{SAML}AuthenticationStatement",
        f"{DS}Signature",
    ]
    conditions, _, authentication, _ = assertion
    assert dict(conditions.attrib) == {
        "NotBefore": "2026-11-21T20:48:00.123Z",
        "NotOnOrAfter": "2026-11-21T20:58:00.123Z",
    }
    audience = f"{SAML}AudienceRestrictionCondition/{SAML}Audience"
    assert element_text_at(conditions, audience) == "urn:federation:MicrosoftOnline"
    assert authentication.get("AuthenticationInstant") == "2026-11-21T17:49:00.123Z"
    subjects = list(assertion.iter(f"{SAML}Subject"))
    assert len(subjects) == 2
    for subject in subjects:
        name = subject.find(f"{SAML}NameIdentifier")
        assert name is not None
        assert name.text == SUBJECT.immutable_id
        assert name.get("Format") == "urn:oasis:names:tc:SAML:1.1:nameid-format:unspecified"
        method = f"{SAML}SubjectConfirmation/{SAML}ConfirmationMethod"
        assert element_text_at(subject, method) == "urn:oasis:names:tc:SAML:1.0:cm:bearer"


IDENTITY_ATTRIBUTES = [
    ("http://schemas.xmlsoap.org/claims", "UPN", SUBJECT.upn),
    ("http://schemas.microsoft.com/LiveID/Federation/2008/05", "ImmutableID", SUBJECT.immutable_id),
]
MFA_ATTRIBUTES = [
    ("http://schemas.microsoft.com/claims", "authnmethodsreferences", MULTIPLE_AUTHN),
    ("http://schemas.microsoft.com/ws/2008/06/identity/claims", "authenticationmethod", MULTIPLE_AUTHN),
]
AUTHENTICATED = (
    "http://schemas.microsoft.com/ws/2008/06/identity/claims",
    "authenticationinstant",
    "2026-11-21T20:49:00.123Z",
)
MFA_DONE = (
    "http://schemas.microsoft.com/ws/2017/04/identity/claims",
    "multifactorauthenticationinstant",
    "2026-11-21T20:49:00.123Z",
)


def test_mfa_token_claims_it_in_both_attributes_and_the_method() -> None:
    token = a_token()
    assert attributes(token) == [*IDENTITY_ATTRIBUTES, *MFA_ATTRIBUTES, AUTHENTICATED, MFA_DONE]
    assert f'AuthenticationMethod="{MULTIPLE_AUTHN}"' in token


def test_one_factor_token_claims_no_mfa_anywhere() -> None:
    token = a_token(verified=BADGE)
    assert attributes(token) == [*IDENTITY_ATTRIBUTES, AUTHENTICATED]
    assert f'AuthenticationMethod="{UNSPECIFIED}"' in token
    assert "multipleauthn" not in token


def test_badge_token_claims_mfa_where_the_policy_says_so() -> None:
    assert attributes(a_token(verified=BADGE, policy=BADGE_POLICY))[2:] == [
        *MFA_ATTRIBUTES,
        AUTHENTICATED,
        MFA_DONE,
    ]


def test_instants_are_those_of_the_authentication_and_not_of_the_issue() -> None:
    """Sign-in frequency of Conditional Access reads them: those of the issue would stretch it without end."""
    hour_old = replace(PASSKEY, authenticated_at=NOW - timedelta(hours=1))
    token = a_token(verified=hour_old)
    said = {name: value for _, name, value in attributes(token)}
    assert said["authenticationinstant"] == "2026-11-21T19:49:00.123Z"
    assert said["multifactorauthenticationinstant"] == "2026-11-21T19:49:00.123Z"
    assert 'AuthenticationInstant="2026-11-21T19:49:00.123Z"' in token


@pytest.mark.parametrize("cloud", CLOUDS.values(), ids=CLOUDS)
def test_token_is_for_the_realm_of_the_request(cloud: Cloud) -> None:
    response = parse(a_token(audience=cloud.realm))
    assert [e.text for e in response.iter(f"{SAML}Audience")] == [cloud.realm]
    assert [e.text for e in response.iter("{http://www.w3.org/2005/08/addressing}Address")] == [cloud.realm]


@pytest.mark.parametrize("method", list(Method))
@pytest.mark.parametrize("user_verified", [False, True])
def test_token_never_names_a_password(method: Method, user_verified: bool) -> None:
    token = a_token(verified=replace(PASSKEY, method=method, user_verified=user_verified))
    assert "password" not in token.lower()


def test_corporate_network_is_claimed_only_when_it_is_so() -> None:
    claim = ("http://schemas.microsoft.com/ws/2012/01", "insidecorporatenetwork", "true")
    inside = a_token(subject=replace(SUBJECT, inside_corporate_network=True))
    assert claim in attributes(inside)
    assert "insidecorporatenetwork" not in a_token()


def test_token_says_its_lifetime_and_the_key_that_signed_it() -> None:
    assertion = parse(assertion_of(a_token(lifetime=timedelta(minutes=60))))
    conditions = assertion.find(f"{SAML}Conditions")
    assert conditions is not None
    assert conditions.get("NotBefore") == "2026-11-21T20:48:00.123Z"  # a minute before NOW
    assert conditions.get("NotOnOrAfter") == "2026-11-21T21:48:00.123Z"
    certificate = element_text_at(assertion, f".//{DS}X509Certificate")
    assert certificate == certificate_base64(signing_key().certificate)


def test_same_arguments_give_the_same_token() -> None:
    assert a_token() == a_token()
    assert a_token() != a_token(key=signing_key(1))


# --- injection and refusals -----------------------------------------------------------------------------------


@pytest.mark.parametrize("bad", ["", "a" * 22, "_short", "_" + "a" * 30 + '"', "_" + "a" * 30 + "\n"])
def test_refuses_an_assertion_id_that_is_not_ours(bad: str) -> None:
    with pytest.raises(ValueError, match="assertion id"):
        a_token(assertion_id=bad)


def test_new_assertion_ids_are_accepted_and_differ() -> None:
    ids = SeededIds("assertions")
    made = {new_assertion_id(ids) for _ in range(100)}
    assert len(made) == 100
    for identifier in made:
        assert f'AssertionID="{identifier}"' in a_token(assertion_id=identifier)


@pytest.mark.parametrize(
    "bad", ["\x00", "\x08", "\x0b", "\x1f", chr(0xD800), chr(0xDFFF), "\ufffe", "\uffff"]
)
@pytest.mark.parametrize("field", ["issuer", "upn", "immutable_id"])
def test_refuses_characters_that_xml_cannot_hold(field: str, bad: str) -> None:
    with pytest.raises(BadInput) as caught:
        a_subject(field, f"a{bad}b")
    assert caught.value.code == "not_xml"


@pytest.mark.parametrize("field", ["issuer", "upn", "immutable_id"])
def test_refuses_a_subject_with_a_part_missing(field: str) -> None:
    with pytest.raises(BadInput) as caught:
        a_subject(field, "")
    assert caught.value.code == "subject_incomplete"


def test_immutable_id_has_at_most_64_characters() -> None:
    assert len(replace(SUBJECT, immutable_id="x" * 64).immutable_id) == 64
    with pytest.raises(BadInput) as caught:
        replace(SUBJECT, immutable_id="x" * 65)
    assert caught.value.code == "immutable_id_too_long"


@pytest.mark.parametrize("stranger", [replace(PASSKEY, tenant="x"), replace(PASSKEY, account="x")])
def test_refuses_somebody_elses_authentication(stranger: VerifiedAuthentication) -> None:
    with pytest.raises(Forbidden) as caught:
        a_token(verified=stranger)
    assert caught.value.code == "subject_not_authenticated"


def test_refuses_a_token_without_the_mfa_that_is_wanted() -> None:
    for verified in (BADGE, replace(PASSKEY, user_verified=False)):
        with pytest.raises(Forbidden) as caught:
            a_token(verified=verified, mfa_wanted=True)
        assert caught.value.code == "mfa_not_satisfied"
    assert MULTIPLE_AUTHN in a_token(mfa_wanted=True)


def test_refuses_mfa_older_than_wanted_and_leaves_it_out_when_not_wanted() -> None:
    old = replace(PASSKEY, authenticated_at=NOW - timedelta(hours=2))
    hour = timedelta(hours=1)
    with pytest.raises(Forbidden):
        a_token(verified=old, mfa_wanted=True, mfa_max_age=hour)
    assert MULTIPLE_AUTHN not in a_token(verified=old, mfa_max_age=hour)
    assert MULTIPLE_AUTHN in a_token(verified=old, mfa_wanted=True, mfa_max_age=timedelta(hours=2))


@pytest.mark.parametrize("minutes", [-5, 0, 1, 61])
def test_refuses_a_lifetime_out_of_range(minutes: int) -> None:
    with pytest.raises(ValueError, match="lifetime"):
        a_token(lifetime=timedelta(minutes=minutes))


def test_refuses_a_time_without_zone() -> None:
    with pytest.raises(ValueError, match="aware"):
        a_token(now=NOW.replace(tzinfo=None))
    with pytest.raises(ValueError, match="aware"):
        a_token(verified=replace(PASSKEY, authenticated_at=NOW.replace(tzinfo=None)))


# --- issuer and form ------------------------------------------------------------------------------------------

DOMAINS = [
    FederatedDomain("contoso.example", "urn:root"),
    FederatedDomain("Branch.Contoso.example", "urn:branch"),
    FederatedDomain("fabrikam.example", "urn:fabrikam"),
]


@pytest.mark.parametrize(
    ("upn", "issuer"),
    [
        ("ada@contoso.example", "urn:root"),
        ("ada@CONTOSO.Example", "urn:root"),
        ("ada@mail.contoso.example", "urn:root"),
        ("ada@branch.contoso.example", "urn:branch"),
        ("ada@a.b.branch.contoso.example", "urn:branch"),
        ("ada@fabrikam.example", "urn:fabrikam"),
    ],
)
def test_issuer_follows_from_the_domain_of_the_upn(upn: str, issuer: str) -> None:
    assert issuer_for(upn, DOMAINS) == issuer


@pytest.mark.parametrize(
    "upn",
    [
        "ada@other.example",
        "ada@evilcontoso.example",
        "ada@contoso.example.evil.example",
        "ada@example",
        "ada@contoso.example.",
        "ada@.contoso.example",
        "ada@mail..contoso.example",
        "ada@evil.example@contoso.example",
        "ada@evil.example@mail.contoso.example",
        "ada@fabri\u212aam.example",
        "ada@contoso.example ",
        "contoso.example",
        "@contoso.example",
        "ada@",
        "",
    ],
)
def test_no_issuer_for_a_domain_that_is_not_configured(upn: str) -> None:
    with pytest.raises(Forbidden) as caught:
        issuer_for(upn, DOMAINS)
    assert caught.value.code == "domain_not_federated"


def test_no_issuer_without_domains() -> None:
    with pytest.raises(Forbidden):
        issuer_for("ada@contoso.example", [])


def test_reply_form_returns_wctx_raw_and_only_if_it_came() -> None:
    token = a_token()
    form = reply_form(token, wreply="https://login.microsoftonline.com/login.srf", wctx='a&b="<c>"')
    assert form.action == "https://login.microsoftonline.com/login.srf"
    assert form.fields == (("wa", "wsignin1.0"), ("wresult", token), ("wctx", 'a&b="<c>"'))
    assert reply_form(token, wreply="x", wctx="").fields[-1] == ("wctx", "")
    assert [name for name, _ in reply_form(token, wreply="x", wctx=None).fields] == ["wa", "wresult"]
