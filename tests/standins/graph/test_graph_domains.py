"""Domains and federationConfiguration: what may be federated, what refusals leave behind, the way back."""

from typing import Any

import pytest

from deploy.standins.entra.settings import Settings
from deploy.standins.graph import entra
from tests.standins.entra_tokens import certificate_text
from tests.standins.graph.directory import TENANT, Directory, person

BAD = "Request_BadRequest"
PLAIN = "/domains/plain.example"
CONFIGURATION = f"{PLAIN}/federationConfiguration"


def federation(**changed: Any) -> dict[str, Any]:
    """A good body; None takes a field away."""
    body = {
        "displayName": "Plain",
        "issuerUri": "https://idp.example/t/contoso/plain.example",
        "passiveSignInUri": "https://idp.example/t/contoso/wsfed",
        "activeSignInUri": "https://idp.example/t/contoso/active",
        "metadataExchangeUri": "https://idp.example/t/contoso/mex",
        "signOutUri": "https://idp.example/t/contoso/wsfed",
        "signingCertificate": certificate_text("current"),
        "preferredAuthenticationProtocol": "wsFed",
        "federatedIdpMfaBehavior": "acceptIfMfaDoneByFederatedIdp",
        "promptLoginBehavior": "nativeSupport",
        **changed,
    }
    return {name: value for name, value in body.items() if value is not None}


@pytest.fixture
def directory() -> Directory:
    permissions = ["Domain.ReadWrite.All", "Domain-InternalFederation.ReadWrite.All", "User.ReadWrite.All"]
    return Directory(permissions=permissions)


def authentication(directory: Directory, path: str = PLAIN) -> str:
    return str(directory.good(200, "GET", path)["authenticationType"])


def test_domains_say_what_they_are(directory: Directory) -> None:
    shown = {each["id"]: each for each in directory.good(200, "GET", "/domains")["value"]}
    assert shown["contoso.onmicrosoft.com"]["isInitial"] is True
    assert shown["contoso.onmicrosoft.com"]["isDefault"] is True
    assert shown["unverified.example"]["isVerified"] is False
    types = {name: each["authenticationType"] for name, each in shown.items()}
    assert types["contoso.example"] == types["sub.contoso.example"] == "Federated"
    assert types["plain.example"] == "Managed"
    directory.refused(404, "Request_ResourceNotFound", "GET", "/domains/unknown.example")


def test_federated_read_back_changed_and_managed_again(directory: Directory) -> None:
    message = directory.refused(404, "Request_ResourceNotFound", "GET", CONFIGURATION)
    assert message.startswith("Resource 'federationConfiguration' does not exist")
    made = directory.good(201, "POST", CONFIGURATION, federation())
    assert authentication(directory) == "Federated"
    (read,) = directory.good(200, "GET", CONFIGURATION)["value"]
    assert federation().items() <= read.items()
    one = f"{CONFIGURATION}/{made['id']}"
    change = {"nextSigningCertificate": certificate_text("next"), "systemBrowserEnabledOn": "Android,Ios"}
    directory.good(204, "PATCH", one, change)
    directory.settings(federationPatchStatus=200)
    assert directory.good(200, "PATCH", one, {"displayName": "Other"})["displayName"] == "Other"
    assert directory.good(200, "GET", one)["nextSigningCertificate"] == certificate_text("next")
    directory.good(204, "DELETE", one)
    assert authentication(directory) == "Managed"
    directory.refused(404, "Request_ResourceNotFound", "GET", one)


def test_back_by_patch_of_the_domain_but_not_there(directory: Directory) -> None:
    directory.refused(400, BAD, "PATCH", PLAIN, {"authenticationType": "Federated"})
    directory.good(201, "POST", CONFIGURATION, federation())
    directory.good(204, "PATCH", PLAIN, {"authenticationType": "Managed"})
    assert authentication(directory) == "Managed"
    directory.refused(404, "Request_ResourceNotFound", "GET", CONFIGURATION)


def test_a_second_post_is_refused(directory: Directory) -> None:
    directory.good(201, "POST", CONFIGURATION, federation())
    message = directory.refused(400, BAD, "POST", CONFIGURATION, federation())
    assert message == "Domain already has Federation Configuration set."


@pytest.mark.parametrize(
    "domain", ["contoso.onmicrosoft.com", "unverified.example", "sub.contoso.example", "contoso.example"]
)
def test_not_every_domain_can_be_federated(directory: Directory, domain: str) -> None:
    before = authentication(directory, f"/domains/{domain}")
    directory.refused(400, BAD, "POST", f"/domains/{domain}/federationConfiguration", federation())
    assert authentication(directory, f"/domains/{domain}") == before


def test_the_default_domain_cannot_be_federated(directory: Directory) -> None:
    directory.good(204, "PATCH", PLAIN, {"isDefault": True})
    assert directory.good(200, "GET", "/domains/contoso.onmicrosoft.com")["isDefault"] is False
    directory.refused(400, BAD, "POST", CONFIGURATION, federation())
    directory.refused(400, BAD, "PATCH", "/domains/contoso.example", {"isDefault": True})


@pytest.mark.parametrize(
    "changed",
    [
        {"issuerUri": None},
        {"passiveSignInUri": None},
        {"passiveSignInUri": "idp.example"},
        {"federatedIdpMfaBehavior": None},
        {"federatedIdpMfaBehavior": ""},
        {"federatedIdpMfaBehavior": "AcceptIfMfaDoneByFederatedIdp"},
        {"promptLoginBehavior": "nativesupport"},
        {"preferredAuthenticationProtocol": "wsfed"},
        {"signingCertificate": "-----BEGIN CERTIFICATE-----"},
        {"signingCertificate": certificate_text("current")[:64] + "\n" + certificate_text("current")[64:]},
        {"signingCertificate": certificate_text("small", 1024)},
        {"systemBrowserEnabledOn": "Android,none"},
        {"id": "x"},
        {"surprise": "x"},
    ],
)
def test_refuses_a_wrong_configuration_and_changes_nothing(
    directory: Directory, changed: dict[str, Any]
) -> None:
    directory.refused(400, BAD, "POST", CONFIGURATION, federation(**changed))
    assert authentication(directory) == "Managed"


def test_a_post_without_certificate_is_refused_and_leaves_the_domain_unmanageable(
    directory: Directory,
) -> None:
    directory.refused(400, BAD, "POST", CONFIGURATION, federation(signingCertificate=None))
    assert authentication(directory) == "Federated"
    directory.refused(404, "Request_ResourceNotFound", "GET", CONFIGURATION)
    directory.refused(400, BAD, "POST", CONFIGURATION, federation())
    directory.refused(400, BAD, "PATCH", PLAIN, {"authenticationType": "Managed"})


def test_an_issuer_is_unique_in_all_tenants(directory: Directory) -> None:
    issuer = "https://idp.example/t/contoso"
    directory.refused(
        409, "Request_MultipleObjectsWithSameKeyValue", "POST", CONFIGURATION, federation(issuerUri=issuer)
    )
    directory.good(201, "POST", CONFIGURATION, federation(issuerUri=f"{issuer}/"))


def test_the_mfa_behaviour_cannot_be_unset(directory: Directory) -> None:
    made = directory.good(201, "POST", CONFIGURATION, federation())
    for value in (None, ""):
        directory.refused(
            400, BAD, "PATCH", f"{CONFIGURATION}/{made['id']}", {"federatedIdpMfaBehavior": value}
        )


def test_the_right_permission_may_not_be_enough(directory: Directory) -> None:
    permissions = ["Domain-InternalFederation.ReadWrite.All", "Domain.Read.All"]
    directory.application(permissions=permissions, federationNeedsRole=True)
    directory.sign_in()
    directory.refused(403, "Authorization_RequestDenied", "POST", CONFIGURATION, federation())
    assert authentication(directory) == "Managed"
    directory.application(permissions=["User.ReadWrite.All"])
    directory.sign_in()
    directory.refused(403, "Authorization_RequestDenied", "GET", "/domains")


def test_a_post_that_answers_500_may_have_federated_the_domain(directory: Directory) -> None:
    directory.go_wrong("error_after_write", method="POST", path="*/federationConfiguration", times=1)
    directory.refused(500, "InternalServerError", "POST", CONFIGURATION, federation())
    assert authentication(directory) == "Federated"
    assert len(directory.good(200, "GET", CONFIGURATION)["value"]) == 1


def test_slashes_get_lost_on_request(directory: Directory) -> None:
    directory.go_wrong("lose_slashes", path="*/federationConfiguration", times=1)
    directory.good(201, "POST", CONFIGURATION, federation())
    (read,) = directory.good(200, "GET", CONFIGURATION)["value"]
    assert read["passiveSignInUri"] == "https:/idp.example/t/contoso/wsfed"


def test_who_was_made_through_graph_signs_in_at_the_stand_in_of_entra(directory: Directory) -> None:
    """The settings of deploy.standins.entra follow what is done through Graph."""
    directory.good(201, "POST", CONFIGURATION, federation(nextSigningCertificate=certificate_text("next")))
    user_id = directory.create("ada", "plain.example")
    told = Settings.model_validate(entra.settings(directory.standin.tenants.values()))
    (domain,) = told.domains  # that of contoso.example has no certificate here: nobody signs in with it
    assert (domain.domain, domain.issuer_uri, domain.tenant) == (
        "plain.example",
        federation()["issuerUri"],
        TENANT,
    )
    assert [name for name, _ in domain.registered_keys().values()] == ["current", "next"]
    (user,) = told.users
    assert (user.upn, user.immutable_id, user.enabled) == ("ada@plain.example", "id-ada", True)
    directory.good(204, "PATCH", f"/users/{user_id}", {"accountEnabled": False})
    (user,) = Settings.model_validate(entra.settings(directory.standin.tenants.values())).users
    assert user.enabled is False
    directory.good(204, "DELETE", f"/users/{user_id}")
    assert not Settings.model_validate(entra.settings(directory.standin.tenants.values())).users


def test_people_of_a_domain_that_becomes_federated_need_an_anchor_from_then_on(directory: Directory) -> None:
    directory.create("ada", "plain.example", onPremisesImmutableId=None)
    directory.good(201, "POST", CONFIGURATION, federation())
    body = person("bob", "plain.example", onPremisesImmutableId=None)
    assert "SourceAnchor" in directory.refused(400, BAD, "POST", "/users", body)
