"""The settings file: what it may say, what it may not, and that changes are seen without a restart."""

import json
import os
from pathlib import Path

import pytest
from aiohttp import web
from aiohttp.test_utils import TestServer
from pydantic import ValidationError

from deploy.standins.entra.settings import (
    Directory,
    Federations,
    Settings,
    SettingsAddress,
    SettingsError,
    SettingsFile,
    User,
    domain_of,
)
from tests.standins.entra_attempts import BRANCH, CONTOSO, FABRIKAM, federation
from tests.standins.entra_tokens import certificate_text

DOMAIN = {
    "domain": "contoso.example",
    "displayName": "Contoso",
    "issuerUri": "https://idp.example/t/contoso",
    "passiveSignInUri": "https://idp.example/t/contoso/wsfed",
    "activeSignInUri": "https://idp.example/t/contoso/active",
    "metadataExchangeUri": "https://idp.example/t/contoso/mex",
    "signOutUri": "https://idp.example/t/contoso/out",
    "signingCertificate": certificate_text("current"),
    "nextSigningCertificate": None,
    "preferredAuthenticationProtocol": "wsFed",
    "federatedIdpMfaBehavior": "acceptIfMfaDoneByFederatedIdp",
    "promptLoginBehavior": "nativeSupport",
}
USER = {"immutable_id": "q83vEjRWeJA=", "upn": "ada@contoso.example"}


def write(
    path: Path, domains: list[dict[str, str | None]], users: list[dict[str, str]], generation: int
) -> None:
    path.write_text(json.dumps({"domains": domains, "users": users}))
    os.utime(path, ns=(generation, generation))


def test_reads_a_graph_federation_as_it_is() -> None:
    settings = Settings.model_validate({"domains": [DOMAIN], "users": [USER]})
    assert settings.domains[0].issuer_uri == "https://idp.example/t/contoso"
    assert [name for name, _ in settings.domains[0].registered_keys().values()] == ["current"]


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("signingCertificate", "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----"),
        ("signingCertificate", certificate_text("current")[:60] + "\n" + certificate_text("current")[60:]),
        ("signingCertificate", "AAAA"),
        ("signingCertificate", certificate_text("small", 1024)),
        ("nextSigningCertificate", "AAAA"),
        ("federatedIdpMfaBehavior", "acceptifmfadonebyfederatedidp"),
        ("promptLoginBehavior", "NativeSupport"),
        ("preferredAuthenticationProtocol", "saml"),
        ("domain", "Contoso.example"),
        ("domain", ""),
        ("surprise", "x"),
    ],
)
def test_refuses_what_graph_would_not_take(field: str, value: str) -> None:
    with pytest.raises(ValidationError):
        Settings.model_validate({"domains": [DOMAIN | {field: value}]})


@pytest.mark.parametrize("field", ["federatedIdpMfaBehavior", "signingCertificate", "issuerUri"])
def test_refuses_a_domain_without(field: str) -> None:
    with pytest.raises(ValidationError):
        Settings.model_validate(
            {"domains": [{name: value for name, value in DOMAIN.items() if name != field}]}
        )


def test_refuses_the_same_thing_twice() -> None:
    with pytest.raises(ValidationError, match="unique"):
        Settings.model_validate({"domains": [DOMAIN, DOMAIN | {"domain": "other.example"}]})
    with pytest.raises(ValidationError, match="unique"):
        Settings.model_validate({"domains": [DOMAIN, DOMAIN | {"issuerUri": "https://other.example"}]})
    with pytest.raises(ValidationError, match="unique"):
        Settings.model_validate({"domains": [DOMAIN], "users": [USER, USER]})
    with pytest.raises(ValidationError, match="64"):
        Settings.model_validate({"domains": [DOMAIN], "users": [USER | {"immutable_id": "x" * 65}]})


def test_users_of_two_tenants_may_share_an_immutable_id() -> None:
    ada = User(immutable_id="1", upn="ada@contoso.example", tenant="contoso")
    fay = User(immutable_id="1", upn="fay@fabrikam.example", tenant="fabrikam")
    directory = Directory.of(ada, fay)
    assert (directory.find("contoso", "1"), directory.find("fabrikam", "1")) == (ada, fay)
    assert directory.find("", "1") is None


def test_subdomains_belong_to_the_nearest_federated_parent() -> None:
    federations = Federations.of(CONTOSO, BRANCH, FABRIKAM)
    assert federations.for_domain("contoso.example") is CONTOSO
    assert federations.for_domain("Shop.Contoso.Example") is CONTOSO
    assert federations.for_domain("a.branch.contoso.example") is BRANCH
    assert federations.for_domain("notcontoso.example") is None
    assert federations.for_domain("example") is None
    assert federations.for_domain("") is None


def test_one_certificate_in_two_places_is_one_key() -> None:
    settings = federation(next_signing_certificate=certificate_text("current"))
    assert [name for name, _ in settings.registered_keys().values()] == ["current", "previous"]


@pytest.mark.parametrize(
    ("upn", "domain"), [("a@B.example", "b.example"), ("a", ""), ("@b", ""), ("a@", ""), ("a@b@c", "")]
)
def test_domain_of(upn: str, domain: str) -> None:
    assert domain_of(upn) == domain


async def test_the_file_is_read_again_when_it_changes(tmp_path: Path) -> None:
    path = tmp_path / "entra.json"
    file = SettingsFile(path)
    with pytest.raises(SettingsError, match=r"entra\.json"):
        (await file.current())
    write(path, [DOMAIN], [], 1)
    assert (await file.current())[1].find("", "q83vEjRWeJA=") is None
    write(path, [DOMAIN | {"nextSigningCertificate": certificate_text("next")}], [USER], 2)
    federations, directory = await file.current()
    assert len(federations.by_domain["contoso.example"].registered_keys()) == 2
    assert directory.find("", "q83vEjRWeJA=") is not None
    path.write_text("{")
    for _ in range(2):
        with pytest.raises(SettingsError):
            (await file.current())


@pytest.mark.integration
async def test_an_address_is_asked_each_time() -> None:
    told: dict[str, object] = {"domains": [DOMAIN], "users": []}

    async def answer(_: web.Request) -> web.Response:
        return web.json_response(told)

    app = web.Application()
    app.add_routes([web.get("/federation.json", answer)])
    async with TestServer(app, host="127.0.0.1") as server:
        source = SettingsAddress(str(server.make_url("/federation.json")))
        assert (await source.current())[1].find("", "q83vEjRWeJA=") is None
        told["users"] = [USER]
        assert (await source.current())[1].find("", "q83vEjRWeJA=") is not None
        assert set((await source.current())[0].managed) == {"contoso.example"}
        keeps_itself = SettingsAddress(str(server.make_url("/federation.json")), takes_scripts=False)
        assert not (await keeps_itself.current())[0].managed  # no script may change it
        told["domains"] = [DOMAIN | {"surprise": "x"}]
        with pytest.raises(SettingsError, match="surprise"):
            await source.current()
        with pytest.raises(SettingsError, match="404"):
            await SettingsAddress(str(server.make_url("/nowhere"))).current()
    with pytest.raises(SettingsError):
        await source.current()
