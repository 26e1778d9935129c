"""The two scripts of a domain: their octets, their grammar, every parameter, and what they do with a directory.

The directory is a double that answers as Microsoft Graph does; the scripts are run by `tests/admin/powershell.py`.
Not shown: that a real PowerShell with the real modules does the same.
"""

import base64
import re
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tree_sitter import Node

from deploy.standins.entra.powershell import read_script
from services.admin.domain.federation import Certificates, Federation, federation_of
from services.admin.domain.federation_scripts import back_out_script, federation_script, script_name
from services.admin.domain.key_scripts import key_lines
from services.admin.domain.powershell import literal, script_octets
from services.admin.domain.signing_keys import KeyStep
from services.admin.domain.tenants import Tenant
from shared.clouds import CLOUDS, CloudName
from shared.contracts.admin import Domain
from shared.errors import NotFound
from tests.admin.powershell import CommandError, Record, Run, ScriptError, evaluate, nodes, parse, text

CURRENT = base64.b64encode(b"\x30current").decode()
NEXT = base64.b64encode(b"\x30next").decode()
DOMAIN = "contoso.example"
ISSUER = "https://id.example/t/contoso/contoso.example"
OURS = Federation(
    domain=DOMAIN,
    cloud="worldwide",
    display_name="Contoso",
    issuer_uri=ISSUER,
    passive_sign_in_uri="https://id.example/t/contoso/wsfed",
    metadata_exchange_uri="https://id.example/t/contoso/contoso.example/mex",
    metadata_uri="https://id.example/t/contoso/contoso.example/FederationMetadata/2007-06/FederationMetadata.xml",
    signing_certificate=CURRENT,
)

FEDERATION_PARAMETERS = {
    "ActiveSignInUri",
    "DisplayName",
    "FederatedIdpMfaBehavior",
    "IssuerUri",
    "MetadataExchangeUri",
    "NextSigningCertificate",
    "PassiveSignInUri",
    "PreferredAuthenticationProtocol",
    "PromptLoginBehavior",
    "SignOutUri",
    "SigningCertificate",
}
SHOULD_PROCESS = {"Confirm", "WhatIf"}
COMMON = {"ErrorAction"}
MODULES: Mapping[str, tuple[set[str], set[str]]] = {
    "Connect-MgGraph": ({"Environment", "TenantId", "Scopes", "NoWelcome"}, set()),
    "Get-MgContext": (set(), set()),
    "Get-MgDomain": ({"DomainId"}, {"DomainId"}),
    "Get-MgDomainFederationConfiguration": ({"DomainId"}, {"DomainId"}),
    "New-MgDomainFederationConfiguration": (
        {"DomainId", *FEDERATION_PARAMETERS, *SHOULD_PROCESS},
        {"DomainId"},
    ),
    "Update-MgDomainFederationConfiguration": (
        {"DomainId", "InternalDomainFederationId", *FEDERATION_PARAMETERS, *SHOULD_PROCESS},
        {"DomainId", "InternalDomainFederationId"},
    ),
    "Update-MgDomain": ({"DomainId", "AuthenticationType", *SHOULD_PROCESS}, {"DomainId"}),
    "Import-Module": ({"Name", "MinimumVersion"}, {"Name"}),
    "Start-Sleep": ({"Seconds"}, {"Seconds"}),
}
"""The commands that the scripts call, with the parameters that each has and those that it needs.

From the reference of Microsoft.Graph.Authentication and Microsoft.Graph.Identity.DirectoryManagement (v1.0, module
version 2); of the others, what is used.
"""
ENUMERATIONS = {
    "PreferredAuthenticationProtocol": {"wsFed", "saml"},
    "FederatedIdpMfaBehavior": {
        "acceptIfMfaDoneByFederatedIdp",
        "enforceMfaByFederatedIdp",
        "rejectMfaByFederatedIdp",
    },
    "PromptLoginBehavior": {"translateToFreshPasswordAuthentication", "nativeSupport", "disabled"},
}
"""Values of Graph's enumerations. Case counts."""
ANY_TEXT = st.text(st.characters(codec=None), max_size=40) | st.text(
    "'\u2018\u2019\u201a\u201b`$(){}\"\n\r", max_size=12
)


@dataclass
class Directory:
    """A directory with one domain, and what was asked of it."""

    authentication_type: str = "Managed"
    is_verified: bool = True
    is_root: bool = True
    is_default: bool = False
    is_initial: bool = False
    configuration: dict[str, Any] | None = None
    module: bool = True
    environment: str = "Global"
    app_only: bool = False
    has_domain: bool = True
    loses_slashes: bool = False
    fails_after_the_write: bool = False
    fails_before_the_write: bool = False
    lags: int = 0
    """Reads that still give the state before the last write."""
    connected: dict[str, Any] | None = None
    writes: list[str] = field(default_factory=list)
    waited: int = 0
    _before: tuple[str, dict[str, Any] | None] | None = None

    def commands(self) -> dict[str, Any]:
        found = {name.casefold(): getattr(self, name.replace("-", "_").lower()) for name in MODULES}
        return {name: self._checked(name, command) for name, command in found.items()}

    def _checked(self, name: str, command: Any) -> Any:
        """As PowerShell binds parameters: unknown and missing ones are errors."""
        known, needed = next(value for key, value in MODULES.items() if key.casefold() == name)

        def call(**parameters: Any) -> Any:
            assert parameters.keys() <= {each.casefold() for each in known}, parameters
            assert {each.casefold() for each in needed} <= parameters.keys(), parameters
            return command(**parameters)

        return call

    def import_module(self, **_: Any) -> None:
        if not self.module:
            raise CommandError("The specified module was not loaded.")

    def start_sleep(self, seconds: int) -> None:
        self.waited += seconds

    def connect_mggraph(self, **parameters: Any) -> None:
        self.connected = parameters

    def get_mgcontext(self) -> Record | None:
        if not self.app_only and self.connected is None:
            return None
        kind = "AppOnly" if self.app_only else "Delegated"
        return Record(
            {"AuthType": kind, "Environment": self.environment, "TenantId": "t-1", "Account": "admin@contoso"}
        )

    def get_mgdomain(self, domainid: str) -> Record:
        if not self.has_domain or domainid != DOMAIN:
            raise CommandError("Resource not found")
        kind, _ = self._seen()
        return Record(
            {
                "Id": DOMAIN,
                "AuthenticationType": kind,
                "IsVerified": self.is_verified,
                "IsRoot": self.is_root,
                "IsDefault": self.is_default,
                "IsInitial": self.is_initial,
            }
        )

    def get_mgdomainfederationconfiguration(self, domainid: str) -> list[Record]:
        kind, configuration = self._seen()
        if kind != "Federated":
            raise CommandError("Resource 'federationConfiguration' does not exist")
        blank = dict.fromkeys([*FEDERATION_PARAMETERS, "Id"])
        return [] if configuration is None else [Record({**blank, **configuration})]

    def new_mgdomainfederationconfiguration(self, domainid: str, confirm: bool, **settings: str) -> Record:
        self._write("New")
        if self.configuration is not None:
            raise CommandError("Domain already has Federation Configuration set")
        assert settings["signingcertificate"], "Entra would leave the domain unmanageable"
        return self._federate(settings)

    def update_mgdomainfederationconfiguration(
        self, domainid: str, internaldomainfederationid: str, confirm: bool, **settings: str
    ) -> Record:
        assert internaldomainfederationid == "f-1"
        self._write("Update")
        return self._federate(settings)

    def update_mgdomain(self, domainid: str, authenticationtype: str, confirm: bool) -> None:
        self._write("Managed")
        assert authenticationtype == "Managed", "Graph refuses Federated here"
        self.authentication_type, self.configuration = "Managed", None
        self._answer()

    def _federate(self, settings: Mapping[str, str]) -> Record:
        named = {each.casefold(): each for each in FEDERATION_PARAMETERS}
        for name, value in settings.items():
            assert value in ENUMERATIONS.get(named[name], {value})
            kept = value.replace("//", "/") if self.loses_slashes else value
            self.configuration = {"Id": "f-1", **(self.configuration or {}), named[name]: kept}
        self.authentication_type = "Federated"
        self._answer()
        return Record({"Id": "f-1"})

    def _write(self, what: str) -> None:
        self.writes.append(what)
        self._before = self.authentication_type, self.configuration
        if self.fails_before_the_write:
            raise CommandError("Authorization_RequestDenied")

    def _answer(self) -> None:
        if self.fails_after_the_write:
            raise CommandError("500 Internal Server Error")

    def _seen(self) -> tuple[str, dict[str, Any] | None]:
        if self._before is not None and self.lags > 0:
            self.lags -= 1
            return self._before
        return self.authentication_type, self.configuration


@dataclass
class Ended:
    code: int
    output: str


def run(
    script: str,
    directory: Directory,
    *,
    what_if: bool = False,
    confirmed: bool = True,
    tenant: str | None = None,
) -> Ended:
    asked: list[tuple[str, str]] = []

    def should_process(target: str, action: str) -> bool:
        asked.append((target, action))
        return confirmed and not what_if

    arguments: dict[str, Any] = {
        "pscmdlet": Record({"ShouldProcess": should_process}),
        "whatifpreference": what_if,
    }
    if tenant is not None:
        arguments["tenantid"] = tenant
    before = len(directory.writes)
    ran = Run(directory.commands(), arguments)
    code = ran.script(script)
    assert [target for target, _ in asked] in ([], [DOMAIN])
    assert asked or len(directory.writes) == before, "asked before it changes anything"
    return Ended(code, "\n".join(ran.output))


def federated(federation: Federation = OURS, **changes: Any) -> Directory:
    """A directory in which the script has run."""
    directory = Directory()
    assert run(federation_script(federation), directory).code == 0
    directory.writes.clear()
    for name, value in changes.items():
        setattr(directory, name, value)
    return directory


# --- octets and grammar -----------------------------------------------------------------------------------------


@pytest.mark.parametrize("make", [federation_script, back_out_script])
def test_a_script_is_ascii_with_windows_line_ends_whatever_the_organisation_is_called(make: Any) -> None:
    octets = script_octets(make(replace(OURS, display_name="Café ’Été’ \U0001f600\r\n")))
    assert re.fullmatch(rb"(?:[\x20-\x7e]*\r\n)+", octets)


@pytest.mark.parametrize("cloud", CLOUDS)
@pytest.mark.parametrize("upcoming", [None, NEXT])
def test_other_peoples_grammar_finds_no_error(cloud: CloudName, upcoming: str | None) -> None:
    federation = replace(OURS, cloud=cloud, next_signing_certificate=upcoming)
    parse(federation_script(federation))
    parse(back_out_script(federation))


@given(ANY_TEXT)
def test_any_text_arrives_as_it_is(name: str) -> None:
    assert utf16(evaluate(literal(name))) == utf16(name)


@given(ANY_TEXT)
@pytest.mark.long
def test_no_name_changes_anything_but_the_name(name: str) -> None:
    script = federation_script(replace(OURS, display_name=name))
    plain = federation_script(OURS).splitlines()
    assert [line for line in script.splitlines() if not line.startswith("    DisplayName = ")] == [
        line for line in plain if not line.startswith("    DisplayName = ")
    ]
    directory = Directory()
    assert run(script, directory).code == 0
    assert directory.configuration is not None
    assert utf16(directory.configuration["DisplayName"]) == utf16(name)


@pytest.mark.parametrize(
    "name",
    [
        "O'Brien & Söhne",
        "’; Remove-MgDomain -DomainId ’x’ ’",
        "$(Remove-MgDomain)",
        "`$(1)`n",
        "\"@\n'@\n#>",
        "Société\nGénérale\r\n",
        "\u202econtoso",
        "\U0001f600",
    ],
)
def test_hostile_names_arrive_literally(name: str) -> None:
    directory = federated(replace(OURS, display_name=name))
    assert directory.configuration is not None
    assert utf16(directory.configuration["DisplayName"]) == utf16(name)


# --- parameters -------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("make", [federation_script, back_out_script])
def test_every_command_is_a_known_one_with_parameters_that_it_has(make: Any) -> None:
    root = parse(make(replace(OURS, next_signing_certificate=NEXT)))
    tables = {
        target[1:]: keys
        for node in nodes(root)
        if node.type == "assignment_expression"
        and (target := text(node.named_children[0])).startswith("$")
        and (keys := {text(each.named_children[0]) for each in nodes(node) if each.type == "hash_entry"})
    }
    own = {text(node) for node in nodes(root) if node.type == "function_name"}
    used = set()
    for command in [node for node in nodes(root) if node.type == "command"]:
        name = text(command.named_children[0])
        if name in own | {"Write-Host", "Set-StrictMode", "Out-Null"}:
            continue
        used.add(name)
        given = list(parameters_of(command, tables))
        known, needed = MODULES[name]
        assert len(given) == len(set(given)), name
        assert set(given) <= known | COMMON, name
        assert needed <= set(given), name
        if known & SHOULD_PROCESS:
            assert "Confirm" in given, "the script has asked already"
        if "Mg" in name and name != "Get-MgContext":
            assert "ErrorAction" in given, f"{name} would go on after an error"
    assert {"Connect-MgGraph", "Get-MgDomain"} < used


def parameters_of(command: Node, tables: Mapping[str, set[str]]) -> list[str]:
    found: list[str] = []
    for node in nodes(command):
        if node.type == "command_parameter":
            found.append(text(node)[1:])
        elif node.type == "variable" and text(node).startswith("@"):
            found += sorted(tables[text(node)[1:]])
    return found


@pytest.mark.parametrize("make", [federation_script, back_out_script])
def test_no_retired_module_is_called(make: Any) -> None:
    assert not re.search(r"Msol|AzureAD\b", make(OURS), re.IGNORECASE)


def test_the_values_are_those_that_entra_is_told() -> None:
    directory = federated(replace(OURS, next_signing_certificate=NEXT))
    assert directory.configuration == {
        "Id": "f-1",
        "DisplayName": "Contoso",
        "IssuerUri": ISSUER,
        "PassiveSignInUri": "https://id.example/t/contoso/wsfed",
        "ActiveSignInUri": "https://id.example/t/contoso/wsfed",
        "SignOutUri": "https://id.example/t/contoso/wsfed",
        "MetadataExchangeUri": "https://id.example/t/contoso/contoso.example/mex",
        "SigningCertificate": CURRENT,
        "NextSigningCertificate": NEXT,
        "PreferredAuthenticationProtocol": "wsFed",
        "FederatedIdpMfaBehavior": "acceptIfMfaDoneByFederatedIdp",
        "PromptLoginBehavior": "nativeSupport",
    }


@pytest.mark.parametrize("certificate", ["", "AAAA", "-----BEGIN CERTIFICATE-----", CURRENT + "\n", "é"])
def test_there_is_no_federation_without_a_signing_certificate(certificate: str) -> None:
    with pytest.raises(ValueError, match="certificate"):
        replace(OURS, signing_certificate=certificate)
    with pytest.raises(ValueError, match="certificate"):
        replace(OURS, next_signing_certificate=certificate)


def test_values_follow_tenant_and_domain() -> None:
    tenant = Tenant(slug="contoso", name="Contoso", domains=(Domain(name=DOMAIN, issuer=ISSUER),))
    certificates = Certificates(current=CURRENT)
    assert federation_of(tenant, DOMAIN, certificates, origin="https://id.example") == OURS
    with pytest.raises(NotFound):
        federation_of(tenant, "other.example", certificates, origin="https://id.example")


def test_a_script_is_saved_under_a_name_that_says_what_it_does() -> None:
    assert script_name(DOMAIN) == "federate-contoso.example.ps1"
    assert script_name(DOMAIN, back_out=True) == "back-out-contoso.example.ps1"


# --- what they do -----------------------------------------------------------------------------------------------


def test_a_managed_domain_is_federated_and_read_back() -> None:
    directory = Directory()
    ended = run(federation_script(OURS), directory)
    assert (ended.code, directory.writes) == (0, ["New"])
    assert "has exactly these values" in ended.output
    assert f"becomes  {CURRENT}" in ended.output
    assert directory.connected is not None
    assert directory.connected["tenantid"] == DOMAIN
    assert directory.connected["scopes"] == ["Domain.ReadWrite.All", "Directory.AccessAsUser.All"]


def test_a_second_run_changes_nothing() -> None:
    directory = federated()
    assert run(federation_script(OURS), directory).code == 0
    assert directory.writes == []


def test_a_new_certificate_is_an_update_and_no_second_federation() -> None:
    directory = federated()
    ended = run(federation_script(replace(OURS, next_signing_certificate=NEXT)), directory)
    assert (ended.code, directory.writes) == (0, ["Update"])
    assert "* NextSigningCertificate" in ended.output
    assert "IssuerUri stays" in ended.output
    assert directory.configuration is not None
    assert directory.configuration["NextSigningCertificate"] == NEXT


def test_a_next_certificate_that_is_not_ours_gives_way_to_the_current_one() -> None:
    """A roll-over that is finished here, or somebody who wrote a key of his own into Entra."""
    directory = federated()
    assert directory.configuration is not None
    directory.configuration["NextSigningCertificate"] = NEXT
    assert run(federation_script(OURS), directory).code == 0
    assert directory.configuration["NextSigningCertificate"] == CURRENT
    assert run(federation_script(OURS), directory).code == 0
    assert directory.writes == ["Update"]


@pytest.mark.parametrize("make", [federation_script, back_out_script])
def test_what_if_changes_nothing(make: Any) -> None:
    directory = Directory() if make is federation_script else federated()
    ended = run(make(OURS), directory, what_if=True)
    assert (ended.code, directory.writes) == (0, [])
    assert "becomes" in ended.output


@pytest.mark.parametrize("make", [federation_script, back_out_script])
def test_who_says_no_is_told_that_nothing_was_changed(make: Any) -> None:
    directory = Directory() if make is federation_script else federated()
    ended = run(make(OURS), directory, confirmed=False)
    assert (ended.code, directory.writes) == (1, [])
    assert "Nothing was changed." in ended.output


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"is_verified": False}, "not verified"),
        ({"is_initial": True}, "initial domain"),
        ({"is_root": False}, "sub-domain"),
        ({"is_default": True}, "default domain"),
        ({"authentication_type": "Unknown"}, "Unknown, not Managed"),
        ({"has_domain": False}, "does not show contoso.example"),
        ({"module": False}, "Install-Module"),
        ({"environment": "USGov"}, "connected to the cloud USGov"),
    ],
)
def test_a_domain_that_cannot_be_federated_is_left_alone(changes: dict[str, Any], said: str) -> None:
    directory = Directory(**changes)
    ended = run(federation_script(OURS), directory)
    assert (ended.code, directory.writes) == (1, [])
    assert said in ended.output


def test_all_that_is_in_the_way_is_said_at_once() -> None:
    ended = run(federation_script(OURS), Directory(is_verified=False, is_default=True))
    assert "not verified" in ended.output
    assert "default domain" in ended.output


@pytest.mark.parametrize("make", [federation_script, back_out_script])
@pytest.mark.parametrize(
    "issuer", ["https://other.example/", ISSUER.upper(), ISSUER + "\u200b", ISSUER.replace("/t/", "/t//")]
)
def test_what_is_federated_to_somebody_else_is_left_alone(make: Any, issuer: str) -> None:
    directory = federated()
    assert directory.configuration is not None
    directory.configuration["IssuerUri"] = issuer
    ended = run(make(OURS), directory)
    assert (ended.code, directory.writes) == (1, [])
    assert "another identity provider" in ended.output


@pytest.mark.parametrize("make", [federation_script, back_out_script])
def test_a_federated_domain_without_one_configuration_is_left_alone(make: Any) -> None:
    directory = Directory(authentication_type="Federated")
    ended = run(make(OURS), directory)
    assert (ended.code, directory.writes) == (1, [])
    assert "0 federation configurations" in ended.output


def test_a_certificate_that_was_cut_out_of_the_file_is_noticed_before_anything_is_sent() -> None:
    directory = Directory()
    ended = run(federation_script(OURS).replace(CURRENT, ""), directory)
    assert (ended.code, directory.writes) == (1, [])
    assert "unmanageable" in ended.output


def test_a_value_that_comes_back_different_is_shown() -> None:
    """A module was seen to lose slashes."""
    directory = Directory(loses_slashes=True)
    ended = run(federation_script(OURS), directory)
    assert ended.code == 2
    assert (
        f"IssuerUri is 'https:/id.example/t/contoso/contoso.example' and should be '{ISSUER}'" in ended.output
    )
    assert directory.writes == ["New"]


def test_a_directory_that_takes_a_moment_is_waited_for() -> None:
    directory = Directory(lags=3)
    assert run(federation_script(OURS), directory).code == 0
    assert directory.waited == 15


def test_an_error_after_the_write_is_no_reason_for_a_second_one() -> None:
    directory = Directory(fails_after_the_write=True)
    ended = run(federation_script(OURS), directory)
    assert (ended.code, directory.writes) == (0, ["New"])
    assert "500 Internal Server Error" in ended.output


def test_a_refused_write_is_told_with_what_entra_said() -> None:
    directory = Directory(fails_before_the_write=True)
    ended = run(federation_script(OURS), directory)
    assert (ended.code, directory.writes) == (2, ["New"])
    assert "Authorization_RequestDenied" in ended.output


def test_an_application_that_is_connected_already_stays_connected() -> None:
    directory = Directory(app_only=True)
    assert run(federation_script(OURS), directory).code == 0
    assert directory.connected is None


@pytest.mark.parametrize("make", [federation_script, back_out_script])
@pytest.mark.parametrize(
    ("cloud", "environment"), [("worldwide", "Global"), ("usgov", "USGov"), ("china", "China")]
)
def test_powershell_connects_to_the_cloud_and_the_directory_that_are_meant(
    make: Any, cloud: CloudName, environment: str
) -> None:
    directory = Directory(environment=environment)
    assert run(make(replace(OURS, cloud=cloud)), directory, tenant="t-2").code == 0
    assert directory.connected is not None
    assert (directory.connected["environment"], directory.connected["tenantid"]) == (environment, "t-2")


def test_the_twin_makes_the_domain_managed_again() -> None:
    directory = federated()
    ended = run(back_out_script(OURS), directory)
    assert (ended.code, directory.writes, directory.authentication_type) == (0, ["Managed"], "Managed")
    assert run(back_out_script(OURS), directory).code == 0
    assert directory.writes == ["Managed"]


def test_the_twin_says_when_it_is_not_managed_yet() -> None:
    directory = federated(fails_before_the_write=True)
    ended = run(back_out_script(OURS), directory)
    assert ended.code == 2
    assert "Federated" in ended.output


def test_the_runner_of_these_tests_is_strict() -> None:
    """What it would let pass, nobody would notice here."""
    for wrong in ("$nothing.there", "$never", "[char]0x41 + [char]0x42", "'a' -like 'b'"):
        with pytest.raises((ScriptError, NotImplementedError)):
            evaluate(wrong)


# --- the stand-in's reader --------------------------------------------------------------------------------------


@given(ANY_TEXT.filter(lambda name: utf16(name) == name.encode("utf-16-be", "replace")))
def test_the_stand_in_reads_what_is_written(name: str) -> None:
    federation = replace(OURS, display_name=name)
    script = read_script(script_octets(federation_script(federation)))
    assert (script.kind, script.domain, script.environment) == ("federate", DOMAIN, "Global")
    assert utf16(script.settings["DisplayName"]) == utf16(name)
    assert list(script.settings.values())[1:] == list(federation.values().values())[1:]
    twin = read_script(script_octets(back_out_script(federation)))
    assert (twin.kind, twin.domain, twin.issuer_uri) == ("back-out", DOMAIN, ISSUER)


def utf16(name: str) -> bytes:
    return name.encode("utf-16-be", "surrogatepass")


# --- the lines of a key roll-over


@pytest.mark.parametrize("done", [KeyStep.NEXT, KeyStep.SWITCH])
def test_the_lines_of_a_roll_over_tell_entra_what_the_script_would(done: KeyStep) -> None:
    rolling = replace(OURS, next_signing_certificate=NEXT if done is KeyStep.NEXT else None)
    before = replace(OURS, signing_certificate=CURRENT if done is KeyStep.NEXT else NEXT)
    one, other = federated(before), federated(before)
    if done is KeyStep.SWITCH:  # as the first step has left it
        for directory in (one, other):
            assert directory.configuration is not None
            directory.configuration["NextSigningCertificate"] = CURRENT
    commands = one.commands()
    update = commands["update-mgdomainfederationconfiguration"]
    commands["update-mgdomainfederationconfiguration"] = lambda **given: update(confirm=False, **given)
    lines = key_lines(rolling, done)
    assert Run(commands, {}).script(lines) == 0
    assert run(federation_script(rolling), other).code == 0
    assert one.configuration == other.configuration
    assert one.connected is not None
    assert lines.isascii()
    assert not [node for node in nodes(parse(lines)) if node.type == "ERROR"]


@pytest.mark.parametrize("done", [KeyStep.NEXT, KeyStep.SWITCH])
def test_the_lines_of_a_roll_over_change_no_other_federation(done: KeyStep) -> None:
    rolling = replace(OURS, next_signing_certificate=NEXT if done is KeyStep.NEXT else None)
    others = federated(replace(OURS, issuer_uri="http://sts.other.example/trust"))
    before = dict(others.configuration or {})
    commands = others.commands()
    update = commands["update-mgdomainfederationconfiguration"]
    commands["update-mgdomainfederationconfiguration"] = lambda **given: update(confirm=False, **given)
    assert Run(commands, {}).script(key_lines(rolling, done)) == 0
    assert others.configuration == before
    assert others.writes == []


def test_after_the_last_step_there_is_nothing_to_tell() -> None:
    for done in (KeyStep.PROMOTE, KeyStep.NEXT):  # the second without a next certificate
        with pytest.raises(ValueError, match="told nothing"):
            key_lines(OURS, done)
