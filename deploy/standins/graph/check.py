"""Do recorded requests fit Microsoft's schema? `python -m deploy.standins.graph.check requests.jsonl`

Looks at every request of a record (`requests`), also within batches: is the path one of Graph's, does the body have
the shape of its type or action, do $select and $filter name properties that exist. It does not ask whether the
directory would agree (that is what the stand-in answers), so a request that is refused for its state passes here.
"""

import argparse
import json
import sys
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from deploy.standins.graph import odata, schema
from deploy.standins.graph.errors import GraphError
from deploy.standins.graph.graph import METHODS
from deploy.standins.graph.routes import BASE, place

ENTITIES = {
    ("POST", "/users"): "user",
    ("PATCH", "/users/{id}"): "user",
    ("PATCH", "/domains/{id}"): "domain",
    ("POST", "/domains/{id}/federationConfiguration"): "internalDomainFederation",
    ("PATCH", "/domains/{id}/federationConfiguration/{id}"): "internalDomainFederation",
}
ACTIONS = {
    ("POST", "/users/{id}/assignLicense"): "assignLicense",
    ("POST", "/users/{id}/revokeSignInSessions"): "revokeSignInSessions",
    ("POST", "/directory/deletedItems/{id}/restore"): "restore",
}
TYPES = {"users": "user", "directory": "user", "domains": "domain", "subscribedSkus": "subscribedSku"}


def problems(entries: Iterable[dict[str, Any]]) -> Iterator[str]:
    """What does not fit, one sentence each; nothing when everything fits. Requests for tokens are passed over."""
    for entry in entries:
        split = urlsplit(entry["url"])
        if not split.path.startswith(f"{BASE}/"):
            continue
        target = f"{split.path.removeprefix(BASE)}?{split.query}"
        for method, inner, body in _unfolded(entry["method"], target, entry["body"]):
            problem = _problem(method, inner, body)
            if problem is not None:
                yield f"{method} {inner}: {problem}"


def _unfolded(method: str, target: str, body: Any) -> Iterator[tuple[str, str, Any]]:
    """The request itself, or those of a batch."""
    if target.partition("?")[0] != "/$batch":
        yield method, target, body
        return
    for each in (body or {}).get("requests", ()):
        yield each["method"], each["url"], each.get("body")


def _problem(method: str, target: str, body: Any) -> str | None:
    path, _, query = target.partition("?")
    try:
        found = place(path)
        key = (method, found.template)
        if key not in METHODS:
            return "no such method"
        if key in ENTITIES:
            schema.check_entity(ENTITIES[key], body)
        elif key in ACTIONS:
            schema.check_action(ACTIONS[key], {} if body is None else body)
        elif body is not None:
            return "a body where none belongs"
        if found.template != "/users/delta":
            odata.parse(_without_page(query), _type_of(found.template), advanced=True)
    except GraphError as error:
        return error.message
    return None


def _without_page(query: str) -> str:
    """The query without `$skiptoken`: that is Microsoft's own, of a link that was followed, whatever it says."""
    return "&".join(
        each for each in query.split("&") if not each.startswith(("$skiptoken=", "%24skiptoken="))
    )


def _type_of(template: str) -> str:
    if template.endswith("microsoft.graph.directoryRole"):
        return "directoryRole"
    if "/federationConfiguration" in template:
        return "internalDomainFederation"
    return TYPES[template.split("/")[1]]


def main() -> int:
    """Print what does not fit; exit code 1 when there is something."""
    parser = argparse.ArgumentParser(prog="deploy.standins.graph.check", description=__doc__)
    parser.add_argument("requests", type=Path, help="record of requests, JSON lines")
    options = parser.parse_args()
    with options.requests.open(encoding="utf-8") as file:
        found = list(problems(json.loads(line) for line in file))
    for each in found:
        print(each)
    return 1 if found else 0


if __name__ == "__main__":
    sys.exit(main())
