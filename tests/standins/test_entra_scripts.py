"""The stand-in's page for federation scripts: what it takes, what it refuses, and what a directory has afterwards."""

import json
from collections.abc import AsyncIterator
from dataclasses import dataclass, field, replace
from io import BytesIO
from pathlib import Path
from typing import Any

import pytest
from aiohttp import ClientResponse, FormData
from aiohttp.test_utils import TestClient, TestServer
from aiohttp.web import Application, Request
from lxml import html

from deploy.standins.entra.app import build_app
from deploy.standins.entra.domains import CHANGED, Outcome, ScriptedDomains, run_script
from deploy.standins.entra.errors import WORDS
from deploy.standins.entra.powershell import MAX_SCRIPT, Script, ScriptRefused, read_script
from deploy.standins.entra.settings import Directory, Federations, ManagedDomain
from services.admin.domain.federation import Federation
from services.admin.domain.federation_scripts import back_out_script, federation_script
from services.admin.domain.powershell import script_octets
from shared.clock import ManualClock
from shared.ids import SeededIds
from tests.standins.entra_attempts import CONTOSO, USERS
from tests.standins.entra_tokens import NOW, certificate_text

LABS = "labs.example"
OURS = Federation(
    domain=LABS,
    cloud="worldwide",
    display_name="Contoso’s Labs",
    issuer_uri="https://idp.example/t/contoso/labs.example",
    passive_sign_in_uri="https://idp.example/t/contoso/wsfed",
    metadata_exchange_uri="https://idp.example/t/contoso/labs.example/mex",
    metadata_uri="https://idp.example/t/contoso/labs.example/FederationMetadata/2007-06/FederationMetadata.xml",
    signing_certificate=certificate_text("current"),
)
MANAGED = Federations.of(CONTOSO, managed=[ManagedDomain(domain=LABS, tenant="contoso")])
JSON = {"Accept": "application/json"}
FEDERATE = script_octets(federation_script(OURS))
BACK_OUT = script_octets(back_out_script(OURS))


def reason(octets: bytes) -> str:
    with pytest.raises(ScriptRefused) as refused:
        read_script(octets)
    return refused.value.reason


def script(federation: Federation = OURS, *, back_out: bool = False) -> Script:
    return read_script(script_octets((back_out_script if back_out else federation_script)(federation)))


def ran(federations: Federations, done: Script) -> tuple[Outcome, Federations]:
    """What a script comes to, and the directory afterwards."""
    scripted = ScriptedDomains(None)
    if (before := federations.by_domain.get(done.domain)) is not None:
        scripted.keep(done.domain, before)
    outcome = run_script(done, federations)
    if outcome.changed:
        scripted.keep(outcome.domain, outcome.federation)
    return outcome, scripted.onto(MANAGED)


# --- reading ----------------------------------------------------------------------------------------------------


def test_the_forms_are_those_that_are_written() -> None:
    """When the scripts change, their SHA-256 in `FORMS` changes with them."""
    assert (script().kind, script(back_out=True).kind) == ("federate", "back-out")


@pytest.mark.parametrize(
    "change",
    [
        lambda octets: octets.replace(b"\r\n", b"\n"),
        lambda octets: octets.replace(b"\r\n", b"\n").rstrip(),
        lambda octets: b"\xef\xbb\xbf" + octets,
        lambda octets: b"\r\n" + octets + b"\r\n\r\n",
    ],
    ids=["LF", "no last line end", "byte order mark", "empty lines around"],
)
def test_what_copying_and_saving_change_is_the_same_script(change: Any) -> None:
    assert read_script(change(FEDERATE)) == script()


@pytest.mark.parametrize(
    ("octets", "why"),
    [
        (b"", "script_no_values"),
        (b"Get-MgDomain\r\n", "script_no_values"),
        (FEDERATE + b"Remove-MgDomain -DomainId 'labs.example'\r\n", "script_unknown_form"),
        (FEDERATE.replace(b"if ($found.IsDefault)", b"if ($false)"), "script_unknown_form"),
        (FEDERATE.replace(b"'labs.example'", b'"labs.example"'), "script_no_values"),
        (FEDERATE.replace(b"'labs.example'", b"$(whoami)"), "script_no_values"),
        (FEDERATE.replace(b"'labs.example'", b"'labs.example' + $x"), "script_no_values"),
        (FEDERATE.replace(b"    IssuerUri = ", b"    PasswordResetUri = "), "script_other_settings"),
        (FEDERATE.replace(b"    IssuerUri = ", b"    SignOutUri = "), "script_other_settings"),
        (FEDERATE.replace(b"[char]0x2019", b"[char]0xD83D"), "script_no_text"),
        (FEDERATE.replace(b"' + [char]0x2019 + '", "’".encode()), "script_not_ascii"),
        (FEDERATE.decode().encode("utf-16"), "script_not_ascii"),
        (b"#" * (MAX_SCRIPT + 1), "script_too_long"),
        (FEDERATE.replace(b"$Settings = [ordered]@{", b"$Settings = @{"), "script_no_values"),
    ],
)
def test_anything_else_is_refused(octets: bytes, why: str) -> None:
    assert reason(octets) == why


def test_every_reason_is_a_sentence_in_both_languages() -> None:
    source = "".join(
        (Path("deploy/standins/entra") / name).read_text()
        for name in ("domains.py", "powershell.py", "app.py")
    )
    said = {name for name in WORDS["en"] if name.startswith(("run_", "script_"))}
    for name in said - {"script_file", "script_pasted", "script_run", "script_what_if"}:
        assert f'"{name}"' in source or name in {"script_again", "script_done", "script_failed"}, name
    assert said >= CHANGED


# --- what a directory makes of it -------------------------------------------------------------------------------


def test_a_managed_domain_is_federated_once_and_its_twin_undoes_it() -> None:
    outcome, directory = ran(MANAGED, script())
    assert (outcome.exit_code, outcome.reason) == (0, "run_federated")
    made = directory.by_domain[LABS]
    assert (made.tenant, made.display_name, made.issuer_uri) == ("contoso", "Contoso’s Labs", OURS.issuer_uri)
    assert directory.for_domain("x.labs.example") == made
    outcome, directory = ran(directory, script())
    assert (outcome.exit_code, outcome.reason) == (0, "run_same")
    outcome, directory = ran(directory, script(back_out=True))
    assert (outcome.exit_code, outcome.reason) == (0, "run_managed")
    assert LABS not in directory.by_domain
    assert run_script(script(back_out=True), directory).reason == "run_managed_already"


def test_a_new_certificate_is_an_update_and_a_foreign_next_one_gives_way() -> None:
    _, directory = ran(MANAGED, script())
    upcoming = replace(OURS, next_signing_certificate=certificate_text("next"))
    outcome, directory = ran(directory, script(upcoming))
    assert (outcome.reason, [change.name for change in outcome.changes]) == (
        "run_updated",
        ["NextSigningCertificate"],
    )
    outcome, directory = ran(directory, script())
    assert outcome.reason == "run_updated"
    assert directory.by_domain[LABS].next_signing_certificate == OURS.signing_certificate


@pytest.mark.parametrize(
    ("domain", "why"),
    [
        ({"is_verified": False}, "run_not_verified"),
        ({"is_initial": True}, "run_initial"),
        ({"is_root": False}, "run_not_root"),
        ({"is_default": True}, "run_default"),
    ],
)
def test_a_domain_that_cannot_be_federated_is_left_alone(domain: dict[str, bool], why: str) -> None:
    managed = ManagedDomain(domain=LABS, tenant="contoso", **domain)
    outcome = run_script(script(), Federations.of(managed=[managed]))
    assert (outcome.exit_code, outcome.reason, outcome.changed) == (1, why, False)


@pytest.mark.parametrize(
    ("federation", "code", "why"),
    [
        (replace(OURS, cloud="usgov"), 1, "run_other_cloud"),
        (replace(OURS, domain="other.example"), 1, "run_no_domain"),
        (replace(OURS, domain="contoso.example"), 1, "run_told_already"),
        (replace(OURS, issuer_uri=CONTOSO.issuer_uri), 2, "run_issuer_taken"),
        (replace(OURS, signing_certificate="MAAA"), 2, "run_bad_values"),
    ],
)
def test_what_a_directory_refuses(federation: Federation, code: int, why: str) -> None:
    outcome = run_script(script(federation), MANAGED)
    assert (outcome.exit_code, outcome.reason, outcome.changed) == (code, why, False)


@pytest.mark.parametrize("back_out", [False, True])
def test_what_is_federated_to_somebody_else_is_left_alone(back_out: bool) -> None:
    _, directory = ran(MANAGED, script())
    other = replace(OURS, issuer_uri="https://other.example/")
    outcome = run_script(script(other, back_out=back_out), directory)
    assert (outcome.exit_code, outcome.reason, outcome.issuer) == (1, "run_other_provider", OURS.issuer_uri)


@pytest.mark.parametrize("back_out", [False, True])
def test_what_if_changes_nothing(back_out: bool) -> None:
    _, directory = ran(MANAGED, script())
    directory = directory if back_out else MANAGED
    outcome = run_script(script(back_out=back_out), directory, what_if=True)
    assert (outcome.exit_code, outcome.reason, outcome.changed) == (0, "run_what_if", False)
    assert outcome.changes


def test_what_scripts_federated_outlives_a_restart_and_not_a_change_of_the_directory(tmp_path: Path) -> None:
    file = tmp_path / "entra" / "scripted.json"
    scripted = ScriptedDomains(file)
    federation = run_script(script(), MANAGED).federation
    scripted.keep(LABS, federation)
    again = ScriptedDomains(file)
    assert again.onto(MANAGED).by_domain[LABS] == federation
    assert LABS not in again.onto(Federations.of(CONTOSO)).by_domain
    again.keep(LABS, None)
    assert LABS not in ScriptedDomains(file).onto(MANAGED).by_domain
    file.write_text("{")
    with pytest.raises(ValueError, match="Expecting"):
        ScriptedDomains(file)


# --- the page ---------------------------------------------------------------------------------------------------


@dataclass
class Source:
    federations: Federations = field(default_factory=lambda: MANAGED)
    directory: Directory = USERS

    async def current(self) -> tuple[Federations, Directory]:
        return self.federations, self.directory


@dataclass
class Page:
    client: TestClient[Request, Application]

    async def run(
        self,
        octets: bytes = FEDERATE,
        headers: dict[str, str] | None = None,
        *,
        pasted: bool = False,
        what_if: str = "",
    ) -> ClientResponse:
        form = FormData(default_to_multipart=True)
        if pasted:
            form.add_field("script", octets.decode())
        else:
            form.add_field(
                "file", BytesIO(octets), filename="federate.ps1", content_type="application/octet-stream"
            )
            form.add_field("script", "")
        if what_if:
            form.add_field("what_if", what_if)
        return await self.client.post("/powershell", data=form, headers=headers or {})


@pytest.fixture
async def page() -> AsyncIterator[Page]:
    app = build_app(Source(), clock=ManualClock(NOW), ids=SeededIds("entra"))
    async with TestClient(TestServer(app, host="127.0.0.1")) as client:
        yield Page(client)


@pytest.mark.integration
@pytest.mark.parametrize("pasted", [False, True])
async def test_a_file_or_a_pasted_script_federates_the_domain_and_shows_what_is_read_back(
    page: Page, pasted: bool
) -> None:
    start = await page.client.get("/start", params={"username": "x@labs.example"}, allow_redirects=False)
    assert start.status == 404
    assert "labs.example is a managed domain" in await start.text()
    shown = await page.run(what_if="1", pasted=pasted)
    assert "nothing was changed" in await shown.text()
    text = await (await page.run(pasted=pasted)).text()
    assert "labs.example is federated" in text
    assert f"<dt>IssuerUri</dt><dd>{OURS.issuer_uri}</dd>" in text
    assert "<dt>DisplayName</dt><dd>Contoso’s Labs</dd>" in text
    assert "<script" not in text
    start = await page.client.get("/start", params={"username": "x@labs.example"}, allow_redirects=False)
    assert start.headers["Location"].startswith(OURS.passive_sign_in_uri)
    listed = html.fromstring(await (await page.client.get("/powershell")).text())
    rows = [" ".join(row.text_content().split()) for row in listed.cssselect(".domains li")]
    assert rows == ["contoso.example federated", "labs.example federated"]
    assert (await (await page.run(BACK_OUT, JSON)).json())["reason"] == "run_managed"
    start = await page.client.get("/start", params={"username": "x@labs.example"}, allow_redirects=False)
    assert start.status == 404


@pytest.mark.integration
async def test_a_script_of_somebody_else_is_a_clear_error(page: Page) -> None:
    answer = await page.run(b"Remove-MgDomain -DomainId '<b>'")
    shown = html.fromstring(await answer.text())
    assert answer.status == 400
    assert shown.findtext(".//title", "").startswith("Error: ")
    assert [each.text_content() for each in shown.cssselect("[role=alert] a")] == [
        "The values are missing, or not in the form in which Blok365 writes them."
    ]
    assert await (await page.run(b"x", JSON)).json() == {"refused": "script_no_values"}
    assert await (await page.run(b" ", JSON)).json() == {"refused": "script_none"}
    assert await (await page.run(b"x" * 2_000_000, JSON)).json() == {"refused": "script_too_long"}
    for kind in ("application/json", "multipart/form-data", "multipart/form-data; boundary=x"):
        headers = JSON | {"Content-Type": kind}
        broken = await page.client.post("/powershell", data=b"{}", headers=headers)
        assert (broken.status, await broken.json()) == (400, {"refused": "script_none"}), kind


@pytest.mark.integration
async def test_another_site_cannot_run_a_script(page: Page) -> None:
    answer = await page.run(headers=JSON | {"Origin": "https://evil.example"})
    assert answer.status == 403
    assert (await (await page.run(BACK_OUT, JSON)).json())["reason"] == "run_managed_already"


@pytest.mark.integration
async def test_the_first_page_leads_to_the_scripts_where_a_domain_is_managed(page: Page) -> None:
    assert 'href="/powershell"' in await (await page.client.get("/")).text()
    app = build_app(Source(Federations.of(CONTOSO)), clock=ManualClock(NOW), ids=SeededIds("entra"))
    async with TestClient(TestServer(app, host="127.0.0.1")) as client:
        assert 'href="/powershell"' not in await (await client.get("/")).text()


@pytest.mark.integration
async def test_the_first_button_of_the_form_only_tries_the_script(page: Page) -> None:
    text = await (await page.client.get("/powershell")).text()
    first = text[text.index("<button") :].partition(">")[0]
    assert 'name="what_if"' in first, "what Enter presses changes nothing"


def test_managed_domains_are_in_the_settings_and_are_not_federated_ones(tmp_path: Path) -> None:
    from deploy.standins.entra.settings import parsed

    domain = json.loads(CONTOSO.model_dump_json(by_alias=True))
    told = {"domains": [domain], "managedDomains": [{"domain": LABS, "isDefault": True}], "users": []}
    federations, _ = parsed(json.dumps(told).encode())
    assert federations.managed[LABS].is_default
    told["managedDomains"] = [{"domain": "contoso.example"}]
    with pytest.raises(ValueError, match="unique"):
        parsed(json.dumps(told).encode())
