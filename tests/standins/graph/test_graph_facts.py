"""Microsoft's facts as the stand-in reads them, and the check of recorded requests against them."""

import json
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

import pytest

from deploy.standins.graph import check, facts, schema, users
from deploy.standins.graph.graph import METHODS
from deploy.standins.graph.permissions import allowed
from deploy.standins.graph.routes import TEMPLATES
from tests.standins.graph.directory import Directory, person

CSDL = """<edmx:Edmx xmlns:edmx="http://docs.oasis-open.org/odata/ns/edmx"><edmx:DataServices>
<Schema Namespace="microsoft.graph" xmlns="http://docs.oasis-open.org/odata/ns/edm">
 <EntityType Name="entity" Abstract="true"><Property Name="id" Type="Edm.String" Nullable="false"/></EntityType>
 <EntityType Name="user" BaseType="graph.entity" OpenType="true">
  <Property Name="kinds" Type="Collection(graph.kind)" Nullable="false"/>
  <Property Name="part" Type="graph.part"/>
 </EntityType>
 <ComplexType Name="part"><Property Name="text" Type="Edm.String"/></ComplexType>
 <ComplexType Name="unused"><Property Name="text" Type="Edm.String"/></ComplexType>
 <EnumType Name="kind"><Member Name="one" Value="0"/><Member Name="two" Value="1"/></EnumType>
 <Action Name="assignLicense" IsBound="true"><Parameter Name="b" Type="graph.group"/></Action>
 <Action Name="assignLicense" IsBound="true"><Parameter Name="b" Type="graph.user"/>
  <Parameter Name="add" Type="Edm.String" Nullable="false"/><ReturnType Type="graph.user"/></Action>
</Schema></edmx:DataServices></edmx:Edmx>"""


def test_draws_what_the_roots_speak_of(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(facts, "ROOTS", ("user",))
    monkeypatch.setattr(facts, "ADDED_PROPERTIES", {})
    drawn = facts.schema(ElementTree.fromstring(CSDL))
    assert set(drawn["types"]) == {"entity", "user", "part"}
    assert drawn["types"]["user"]["properties"] == {
        "kinds": {"type": "Collection(graph.kind)", "nullable": False},
        "part": {"type": "graph.part", "nullable": True},
    }
    assert drawn["enums"]["kind"] == {"flags": False, "members": ["one", "two"]}
    parameters = {"add": {"type": "Edm.String", "nullable": False}}
    assert drawn["actions"] == {
        "assignLicense": {"bound_to": "user", "parameters": parameters, "returns": "graph.user"}
    }
    assert json.loads(facts.written(drawn)) == drawn


def test_permissions_of_both_spellings_count() -> None:
    drawn = facts.permissions(
        {"GET /subscribedSkus/{id}": ["A (least)"], "GET /subscribedskus/{skuId}": ["B", "A"]}
    )["application"]
    assert drawn["get /subscribedskus/{id}".replace("get", "GET")] == {"least": ["A"], "allowed": ["A", "B"]}


def test_the_files_name_source_and_licence() -> None:
    for name in ("schema.json", "permissions.json"):
        said = json.loads((Path(facts.__file__).parent / name).read_text())
        assert "github.com/microsoftgraph" in said["source"]
        assert said["licence"] == "MIT, Copyright (c) Microsoft Corporation"


def test_the_schema_knows_what_provisioning_sends() -> None:
    known = schema.properties("user")
    assert list(known)[:2] == ["id", "deletedDateTime"]  # of the base types
    assert known["onPremisesImmutableId"] == {"type": "Edm.String", "nullable": True}
    assert known["passwordProfile"]["type"] == "graph.passwordProfile"
    assert users.WRITABLE <= set(known)
    assert users.ELSEWHERE <= set(known)
    assert schema.facts()["enums"]["promptLoginBehavior"]["members"][:3] == [
        "translateToFreshPasswordAuthentication", "nativeSupport", "disabled"
    ]  # fmt: skip


def test_every_method_has_permissions_and_every_path_a_method() -> None:
    for method, template in METHODS:
        assert allowed(method, template), (method, template)
    assert {template for _, template in METHODS} | {"/$batch"} == set(TEMPLATES)
    assert "User.ReadWrite.All" in allowed("POST", "/users/{id}/revokeSignInSessions")
    assert allowed("DELETE", "/everything") == frozenset()


@pytest.mark.parametrize(
    ("value", "type_name", "good"),
    [
        ("2026-11-27T06:00:00Z", "Edm.DateTimeOffset", True),
        ("2026-02-30T06:00:00Z", "Edm.DateTimeOffset", False),
        ("2026-11-27", "Edm.DateTimeOffset", False),
        (2**31 - 1, "Edm.Int32", True),
        (2**31, "Edm.Int32", False),
        (True, "Edm.Int32", False),
        (1, "Edm.Boolean", False),
        ("\ud800", "Edm.String", False),
        (1, "Edm.String", False),
    ],
)
def test_primitive_values(value: object, type_name: str, good: bool) -> None:
    assert schema.is_primitive(type_name, value) is good


def entry(method: str, target: str, body: object = None) -> dict[str, Any]:
    return {"method": method, "url": f"http://127.0.0.1:8368/v1.0{target}", "body": body, "status": 200}


def test_the_check_passes_what_fits(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    directory = Directory()
    directory.send("POST", "/users", person())
    directory.send("GET", "/users?$filter=onPremisesImmutableId%20eq%20'x'&$select=id")
    directory.send("POST", "/$batch", {"requests": [{"id": "1", "method": "GET", "url": "/domains"}]})
    assert list(check.problems(directory.standin.record.entries())) == []
    record = tmp_path / "requests.jsonl"
    record.write_text("".join(json.dumps(each) + "\n" for each in directory.standin.record.entries()))
    monkeypatch.setattr("sys.argv", ["check", str(record)])
    assert check.main() == 0
    record.write_text(json.dumps(entry("GET", "/groups")) + "\n")
    assert check.main() == 1


@pytest.mark.parametrize(
    "wrong",
    [
        entry("POST", "/users", {"favouriteColour": "blue"}),
        entry("POST", "/users", {"accountEnabled": "yes"}),
        entry("POST", "/users"),
        entry("POST", "/users/1/assignLicense", {"addLicenses": []}),
        entry("GET", "/users?$select=nothing"),
        entry("GET", "/users?$filter=nothing%20eq%201"),
        entry("GET", "/users", {}),
        entry("PUT", "/users", {}),
        entry("GET", "/groups"),
        entry(
            "POST",
            "/$batch",
            {"requests": [{"id": "1", "method": "POST", "url": "/users", "body": {"x": 1}}]},
        ),
    ],
)
def test_the_check_names_what_does_not_fit(wrong: dict[str, Any]) -> None:
    (said,) = check.problems([wrong])
    assert said.startswith(("POST", "GET", "PUT"))
