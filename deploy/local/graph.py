"""The stand-in of Microsoft's login and Graph as a program of its own, and what it is told of a running system."""

import asyncio
import json
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import aiohttp

from deploy.local.standin import NotStarted, standin
from shared.errors import Unavailable
from shared.files import replace_file

NOT_GRAPHS = ("domain", "tenant", "previousSigningCertificate")
"""Fields of the Entra stand-in's settings that an `internalDomainFederation` has not."""


@dataclass(frozen=True, slots=True)
class Registration:
    """The app registration with which provisioning signs in."""

    client_id: str
    client_secret: str
    permissions: Sequence[str] = ("User.ReadWrite.All",)


def address(port: int) -> str:
    """The base URL of login and of Graph of the stand-in on that port."""
    return f"http://127.0.0.1:{port}"


@asynccontextmanager
async def graph_standin(port: int, set_up: Path, requests: Path) -> AsyncIterator[str]:
    """Started and listening; gives its address, the base of login and Graph. Raises Unavailable, which names the port.

    `requests`: the file that every request is added to; one of an earlier run is replaced.
    """
    await asyncio.to_thread(requests.unlink, missing_ok=True)
    try:
        async with standin("graph", port, "--set-up", str(set_up), "--requests", str(requests)):
            yield address(port)
    except NotStarted as error:
        raise Unavailable("local.graph.not_started", port=port, reason=error) from error


SKU_IDS = {
    "SPE_F1": "66b55226-6b4f-492c-910c-a3b7a3c9d993",
    "O365_BUSINESS_PREMIUM": "f245ecc8-75af-4f8e-b61f-27d8114de5f3",
}
"""Microsoft's own ids of subscriptions, the same at every start: accounts keep them."""
KEPT = (
    *("id", "userPrincipalName", "displayName", "givenName", "surname", "mailNickname", "accountEnabled"),
    *("onPremisesImmutableId", "usageLocation", "assignedLicenses"),
)
"""Properties of a user that survive a restart of `make run`."""


def kept_users(file: Path) -> list[dict[str, Any]]:
    """The users of an earlier run; none without a file that is ours."""
    try:
        found: list[dict[str, Any]] = json.loads(file.read_bytes())
    except (OSError, ValueError):
        return []
    return found


async def keep_users(graph: str, tenant: str, file: Path) -> None:
    """Write down who is in that tenant of the stand-in, for the next start. Deleted ones are not kept."""
    timeout = aiohttp.ClientTimeout(total=2)
    try:
        async with (
            aiohttp.ClientSession(timeout=timeout) as client,
            client.get(f"{graph}/control/tenants/{tenant}/users") as answer,
        ):
            users = (await answer.json())["users"]
    except (aiohttp.ClientError, TimeoutError, ValueError, KeyError):
        return  # it has ended before us: what was kept before stays
    kept = [{name: each[name] for name in KEPT if each.get(name) is not None} for each in users]
    file.parent.mkdir(parents=True, exist_ok=True)
    replace_file(file, json.dumps(kept, indent=2), mode=0o600)


def entra_settings(graph: str) -> str:
    """Where the Entra stand-in reads the people and federated domains of the stand-in at that address."""
    return f"{graph}/control/entra.json"


def write_set_up(
    path: Path,
    name: str,
    told: Mapping[str, Sequence[Mapping[str, Any]]],
    registration: Registration,
    units: Mapping[str, int],
    users: Sequence[Mapping[str, Any]] = (),
) -> None:
    """Write a tenant of that name: the domains in `told` (settings of the Entra stand-in, as
    `deploy.local.tenant.federation` makes them; its users are left out), the app registration, subscriptions with so
    many units by their part number, and `users` in Graph's form.
    """
    federated = [{"id": each["domain"], "federation": _federation(each)} for each in told["domains"]]
    managed = [{"id": each["domain"]} for each in told.get("managedDomains", ())]
    initial = {"id": f"{name.lower()}.onmicrosoft.com", "initial": True, "default": True}
    tenant = {
        "displayName": name,
        "domains": [initial, *managed, *federated],
        "applications": [
            {
                "clientId": registration.client_id,
                "secrets": [{"value": registration.client_secret}],
                "permissions": list(registration.permissions),
            }
        ],
        "skus": [
            {"skuPartNumber": part, "skuId": SKU_IDS.get(part), "enabled": count}
            for part, count in units.items()
        ],
        "users": list(users),
    }
    path.parent.mkdir(parents=True, exist_ok=True)
    replace_file(path, json.dumps({"tenants": [tenant]}, indent=2), mode=0o600)


def _federation(settings: Mapping[str, Any]) -> dict[str, Any]:
    """The `internalDomainFederation` in a domain of the Entra stand-in's settings, where the protocol goes unsaid."""
    said = {key: value for key, value in settings.items() if key not in NOT_GRAPHS}
    return {"preferredAuthenticationProtocol": "wsFed", **said}
