"""Draws `schema.json` and `permissions.json` from Microsoft's own files: what Graph's types and permissions are.

    python -m deploy.standins.graph.facts msgraph-v1.0.csdl.gz application-permissions.json

The first argument is Microsoft Graph's metadata document (CSDL 4.0, https://graph.microsoft.com/v1.0/$metadata, as
published in github.com/microsoftgraph/msgraph-metadata; MIT licence), plain or gzip. The second is a JSON object from
`METHOD /path` to the application permissions that allow it, drawn from Microsoft's permissions file
(github.com/microsoftgraph/microsoft-graph-devx-content; MIT licence); `(least)` after a permission marks the least
privileged one. Only the two JSON files beside this one are read by the stand-in and by tests.
"""

import argparse
import gzip
import json
import sys
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any
from xml.etree import ElementTree  # the file is Microsoft's, read once by a developer

HERE = Path(__file__).parent
EDM = "{http://docs.oasis-open.org/odata/ns/edm}"
NAMESPACE = "microsoft.graph"

ROOTS = (
    "user",
    "subscribedSku",
    "licenseDetails",
    "domain",
    "internalDomainFederation",
    "directoryRole",
    "publicError",
)
"""Types to draw; the types of their properties and their base types come along."""

ACTIONS = {"assignLicense": "user", "revokeSignInSessions": "user", "restore": "directoryObject"}
"""Actions to draw, and the type that each is bound to."""

ADDED_ENUMS: dict[str, dict[str, Any]] = {
    "systemBrowserPlatforms": {"flags": True, "members": ["none", "Android", "Ios", "Macos"]},
}
ADDED_PROPERTIES: dict[str, dict[str, dict[str, Any]]] = {
    "internalDomainFederation": {
        "systemBrowserEnabledOn": {"type": "graph.systemBrowserPlatforms", "nullable": True}
    },
}
"""Newer than the stored CSDL: generally available since August 2026. Not verified: the name of the enumeration."""

ADDED_PERMISSIONS: dict[str, list[str]] = {
    "GET /directory/deletedItems/microsoft.graph.user": [
        "Directory.Read.All",
        "Directory.ReadWrite.All",
        "User.DeleteRestore.All",
        "User.Read.All",
        "User.ReadWrite.All",
    ],
    "GET /directory/deletedItems/{id}": [
        "Directory.Read.All",
        "Directory.ReadWrite.All",
        "User.DeleteRestore.All",
        "User.Read.All",
        "User.ReadWrite.All",
    ],
    "DELETE /directory/deletedItems/{id}": ["User.DeleteRestore.All", "User.ReadWrite.All"],
    **{
        f"GET /users/{{id}}/{relation}{cast}": [
            "Directory.Read.All",
            "Directory.ReadWrite.All",
            "RoleManagement.Read.Directory",
            "RoleManagement.ReadWrite.Directory",
        ]
        for relation in ("memberOf", "transitiveMemberOf")
        for cast in ("", "/microsoft.graph.directoryRole")
    },
}
"""Not in the permissions file. From Microsoft's pages on deletedItems (User.Read.All is the least privileged there)
and on memberOf. Not verified: the higher privileged ones, and that role permissions suffice for memberOf."""


def schema(root: ElementTree.Element) -> dict[str, Any]:
    """Types, enumerations and actions that are reachable from `ROOTS`, by name without the namespace."""
    by_name = _definitions(root)
    types: dict[str, Any] = {}
    enums: dict[str, Any] = {}
    waiting = list(ROOTS)
    while waiting:
        name = waiting.pop()
        if name in types or name in enums:
            continue
        element = by_name[name]
        if element.tag == f"{EDM}EnumType":
            enums[name] = {
                "flags": element.get("IsFlags") == "true",
                "members": [member.get("Name") for member in element.iterfind(f"{EDM}Member")],
            }
            continue
        types[name] = _type(element)
        waiting += [each for each in _named(types[name]) if each in by_name]
    for name, properties in ADDED_PROPERTIES.items():
        types[name]["properties"].update(properties)
    return {
        "source": "Microsoft Graph v1.0 metadata (CSDL), github.com/microsoftgraph/msgraph-metadata",
        "licence": "MIT, Copyright (c) Microsoft Corporation",
        "drawn_by": "deploy.standins.graph.facts",
        "types": dict(sorted(types.items())),
        "enums": dict(sorted({**enums, **ADDED_ENUMS}.items())),
        "actions": _actions(root),
    }


def permissions(given: Mapping[str, Iterable[str]]) -> dict[str, Any]:
    """Application permissions by `METHOD /path`, lower case, every parameter written `{id}`.

    The source spells some paths twice, in different case and with different permissions: both count.
    """
    allowed: dict[str, dict[str, bool]] = {}
    for key, names in [*given.items(), *ADDED_PERMISSIONS.items()]:
        method, _, path = key.partition(" ")
        parts = ["{id}" if part.startswith("{") else part.lower() for part in path.split("/")]
        entry = allowed.setdefault(f"{method} {'/'.join(parts)}", {})
        for name in names:
            plain = name.removesuffix(" (least)")
            entry[plain] = entry.get(plain, False) or plain != name
    return {
        "source": "Microsoft Graph permissions, github.com/microsoftgraph/microsoft-graph-devx-content",
        "licence": "MIT, Copyright (c) Microsoft Corporation",
        "drawn_by": "deploy.standins.graph.facts",
        "application": {
            key: {
                "least": sorted(name for name, least in entry.items() if least),
                "allowed": sorted(entry),
            }
            for key, entry in sorted(allowed.items())
        },
    }


def _definitions(root: ElementTree.Element) -> dict[str, ElementTree.Element]:
    return {
        element.get("Name", ""): element
        for space in root.iter(f"{EDM}Schema")
        if space.get("Namespace") == NAMESPACE
        for element in space
        if element.tag in (f"{EDM}EntityType", f"{EDM}ComplexType", f"{EDM}EnumType")
    }


def _type(element: ElementTree.Element) -> dict[str, Any]:
    base = element.get("BaseType")
    return {
        "kind": "entity" if element.tag == f"{EDM}EntityType" else "complex",
        "base": base.rpartition(".")[2] if base else None,
        "open": element.get("OpenType") == "true",
        "properties": {each.get("Name"): _value(each) for each in element.iterfind(f"{EDM}Property")},
    }


def _value(element: ElementTree.Element) -> dict[str, Any]:
    return {"type": element.get("Type"), "nullable": element.get("Nullable") != "false"}


def _named(drawn: Mapping[str, Any]) -> list[str]:
    """The types that a drawn type speaks of."""
    written = [each["type"] for each in drawn["properties"].values()]
    plain = [each.removeprefix("Collection(").removesuffix(")") for each in written]
    inner = [each.removeprefix("graph.") for each in plain if each.startswith("graph.")]
    return inner + ([drawn["base"]] if drawn["base"] else [])


def _actions(root: ElementTree.Element) -> dict[str, Any]:
    actions: dict[str, Any] = {}
    for action in root.iter(f"{EDM}Action"):
        name = action.get("Name", "")
        bound, *given = action.findall(f"{EDM}Parameter") or [action]
        if name in ACTIONS and bound.get("Type") == f"graph.{ACTIONS[name]}":
            returned = action.find(f"{EDM}ReturnType")
            actions[name] = {
                "bound_to": ACTIONS[name],
                "parameters": {each.get("Name"): _value(each) for each in given},
                "returns": returned.get("Type") if returned is not None else None,
            }
    return dict(sorted(actions.items()))


def written(facts: object, indent: str = "") -> str:
    """JSON with what fits into a line on one line, so that a difference can be read."""
    short = json.dumps(facts, ensure_ascii=False)
    if not isinstance(facts, dict) or len(indent) + len(short) <= 100 or not facts:
        return short
    inner = indent + " "
    members = (f"{inner}{json.dumps(name)}: {written(value, inner)}" for name, value in facts.items())
    return "{\n" + ",\n".join(members) + f"\n{indent}}}"


def main() -> int:
    """Write both files beside this one."""
    parser = argparse.ArgumentParser(prog="deploy.standins.graph.facts", description=__doc__)
    parser.add_argument("csdl", type=Path, help="Graph's metadata, XML or gzip")
    parser.add_argument("permissions", type=Path, help="application permissions, JSON")
    options = parser.parse_args()
    octets = options.csdl.read_bytes()
    xml = gzip.decompress(octets) if octets.startswith(b"\x1f\x8b") else octets
    root = ElementTree.fromstring(xml)  # noqa: S314 - see the import
    (HERE / "schema.json").write_text(written(schema(root)) + "\n")
    given = json.loads(options.permissions.read_bytes())
    (HERE / "permissions.json").write_text(written(permissions(given)) + "\n")
    return 0


if __name__ == "__main__":
    sys.exit(main())
