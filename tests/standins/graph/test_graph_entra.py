"""People made through Graph sign in at the stand-in of Entra: one tenant, two programs."""

import json
from pathlib import Path
from urllib.parse import parse_qsl, urlsplit

import aiohttp
import pytest
from aiohttp.test_utils import TestClient, TestServer

from deploy.local import tenant
from deploy.local.backing.port import free_port
from deploy.local.graph import (
    SKU_IDS,
    Registration,
    entra_settings,
    graph_standin,
    keep_users,
    kept_users,
    write_set_up,
)
from deploy.standins.entra.app import build_app
from deploy.standins.entra.settings import SettingsAddress
from services.admin.domain.directory import read_properties
from shared.clock import ManualClock
from shared.errors import Unavailable
from shared.ids import SeededIds
from tests.standins.entra_tokens import NOW, Token, certificate_text
from tests.standins.graph.directory import CLIENT, SECRET, person
from tests.standins.test_entra_scripts import BACK_OUT, FEDERATE, LABS

pytestmark = pytest.mark.integration

DOMAIN = {
    "domain": "contoso.example",
    "tenant": "contoso",
    "issuerUri": "https://idp.example/t/contoso",
    "passiveSignInUri": "https://idp.example/t/contoso/wsfed",
    "signingCertificate": certificate_text("current"),
    "federatedIdpMfaBehavior": "acceptIfMfaDoneByFederatedIdp",
}
FORM = {
    "grant_type": "client_credentials",
    "client_id": CLIENT,
    "client_secret": SECRET,
    "scope": "https://graph.microsoft.com/.default",
}
JSON = {"Accept": "application/json"}


async def test_a_person_made_through_graph_signs_in_and_a_disabled_one_does_not(tmp_path: Path) -> None:
    set_up, requests = tmp_path / "graph" / "set-up.json", tmp_path / "graph" / "requests.jsonl"
    write_set_up(set_up, "Contoso", {"domains": [DOMAIN]}, Registration(CLIENT, SECRET), {"SPE_F1": 5})
    async with graph_standin(free_port(), set_up, requests) as graph, aiohttp.ClientSession() as http:
        async with http.post(f"{graph}/contoso.example/oauth2/v2.0/token", data=FORM) as answer:
            headers = {"Authorization": f"Bearer {(await answer.json())['access_token']}"}
        body = person(onPremisesImmutableId=Token().immutable_id)
        async with http.post(f"{graph}/v1.0/users", json=body, headers=headers) as answer:
            user = f"{graph}/v1.0/users/{(await answer.json())['id']}"

        entra = build_app(
            SettingsAddress(entra_settings(graph)), clock=ManualClock(NOW), ids=SeededIds("entra")
        )
        async with TestClient(TestServer(entra, host="127.0.0.1")) as browser:

            async def sign_in(token: Token) -> dict[str, dict[str, str]]:
                started = await browser.get(f"/start?username={token.upn}", allow_redirects=False)
                assert started.status == 302, await started.text()
                wctx = dict(parse_qsl(urlsplit(started.headers["Location"]).query))["wctx"]
                form = {"wa": "wsignin1.0", "wresult": token.response(), "wctx": wctx}
                answer = await browser.post("/login.srf", data=form, headers=JSON)
                said: dict[str, dict[str, str]] = await answer.json()
                return said

            assert (await sign_in(Token()))["signed_in"]["upn"] == "ada@contoso.example"
            async with http.patch(user, json={"accountEnabled": False}, headers=headers) as answer:
                assert answer.status == 204
            refused = await sign_in(Token(assertion_id="_bbbbbbbbbbbbbbbbbbbbbb-2"))
            assert refused["error"]["code"] == "AADSTS50057"
    statuses = [json.loads(line)["status"] for line in requests.read_text().splitlines()]
    assert statuses == [200, 201, 204]


async def test_a_script_at_the_stand_in_of_entra_federates_the_domain_in_graph(tmp_path: Path) -> None:
    set_up, requests = tmp_path / "set-up.json", tmp_path / "requests.jsonl"
    told = {"domains": [DOMAIN], "managedDomains": [{"domain": LABS}]}
    write_set_up(set_up, "Contoso", told, Registration(CLIENT, SECRET, ("Domain.Read.All",)), {})
    async with graph_standin(free_port(), set_up, requests) as graph, aiohttp.ClientSession() as http:
        async with http.post(f"{graph}/contoso.example/oauth2/v2.0/token", data=FORM) as answer:
            headers = {"Authorization": f"Bearer {(await answer.json())['access_token']}"}

        async def kind() -> str:
            async with http.get(f"{graph}/v1.0/domains/{LABS}", headers=headers) as answer:
                said: str = (await answer.json())["authenticationType"]
                return said

        entra = build_app(
            SettingsAddress(entra_settings(graph)), clock=ManualClock(NOW), ids=SeededIds("entra")
        )
        async with TestClient(TestServer(entra, host="127.0.0.1")) as browser:

            async def run(octets: bytes) -> tuple[str, int]:
                form = aiohttp.FormData({"script": octets.decode()})
                said = await (await browser.post("/powershell", data=form, headers=JSON)).json()
                return said["reason"], said["exit_code"]

            assert await kind() == "Managed"
            assert await run(FEDERATE) == ("run_federated", 0)
            assert await kind() == "Federated"
            assert await run(FEDERATE) == ("run_same", 0)
            started = await browser.get(f"/start?username=ada@{LABS}", allow_redirects=False)
            assert started.status == 302
            assert await run(BACK_OUT) == ("run_managed", 0)
            assert await kind() == "Managed"


async def test_a_stand_in_that_ends_at_its_start_is_noticed(tmp_path: Path) -> None:
    set_up = tmp_path / "set-up.json"
    set_up.write_text("{")
    with pytest.raises(Unavailable, match="--set-up"):
        async with graph_standin(free_port(), set_up, tmp_path / "requests.jsonl"):
            pass


async def test_users_with_their_licences_are_there_again_at_the_next_start(tmp_path: Path) -> None:
    set_up, kept = tmp_path / "set-up.json", tmp_path / "users.json"
    registration = Registration(CLIENT, SECRET)
    ada = {
        "userPrincipalName": "ada@contoso.example",
        "displayName": "Ada",
        "onPremisesImmutableId": "q83vEjRWeJA=",
        "usageLocation": "FR",
        "assignedLicenses": [{"skuId": SKU_IDS["SPE_F1"]}],
    }
    seen = []
    for users in ([ada], None):
        write_set_up(
            set_up, "Contoso", {"domains": [DOMAIN]}, registration, {"SPE_F1": 5}, users or kept_users(kept)
        )
        async with (
            graph_standin(free_port(), set_up, tmp_path / "requests.jsonl") as graph,
            aiohttp.ClientSession() as http,
        ):
            async with http.get(f"{graph}/control/tenants/contoso.example/users") as answer:
                seen.append((await answer.json())["users"])
            await keep_users(graph, "contoso.example", kept)
    (first,), (second,) = seen
    for name in ("id", "userPrincipalName", "onPremisesImmutableId", "usageLocation", "assignedLicenses"):
        assert first[name] == second[name], name
    assert kept_users(tmp_path / "nowhere") == []
    await keep_users("http://127.0.0.1:9", "contoso.example", kept)  # it has ended before us
    assert [each["id"] for each in kept_users(kept)] == [first["id"]]


def test_what_the_front_page_tells_a_newcomer_to_enter_is_taken() -> None:
    read = read_properties(tenant.properties(), NOW)
    assert (read.client_id, read.client_secret) == (
        tenant.REGISTRATION.client_id,
        tenant.REGISTRATION.client_secret,
    )
