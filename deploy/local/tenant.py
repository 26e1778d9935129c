"""The demo tenant: contoso, its domain, its application and Ada; made once, found again at every start.

`make run` gives it a second domain, which the Entra stand-in has as a managed one until a script federates it.

Its issuers follow the port of `make run`. Elsewhere an issuer stays, because Entra knows the domain by it.
"""

import contextlib
import json
from collections.abc import Awaitable
from pathlib import Path
from urllib.parse import urlsplit

from lxml import etree

from deploy.local.browser import Browser
from deploy.local.graph import Registration
from deploy.local.running_system import RunningSystem
from services.admin import handlers as admin
from services.admin.domain.roles import Role
from services.admin.domain.tenants import default_issuer
from services.admin.handlers import NewAccount
from services.admin.handlers.console_team import NewAdministrator, invite_by_operator
from shared.errors import Conflict, NotFound
from shared.files import replace_file
from shared.testing.waiting import eventually

TENANT = "contoso"
DOMAIN = "contoso.example"
MANAGED_DOMAIN = "contoso-labs.example"
"""The second domain: federated by its script (docs/flows/federation.md)."""
PERSON = "ada@contoso.example"
REGISTRATION = Registration(
    client_id="b10c3650-0000-4000-8000-000000000365",
    client_secret="stand-in~8Q.only-for-this-machine",  # noqa: S106 - of a stand-in
    permissions=("User.ReadWrite.All", "LicenseAssignment.Read.All", "Domain.Read.All"),
)
"""The app registration that `make run`'s stand-in of Microsoft Graph has for the demo tenant."""
UNITS = {"SPE_F1": 25, "O365_BUSINESS_PREMIUM": 25}
"""Its subscriptions, with their units."""
MOST_USERS = 2000
"""People of one tenant of whom the Entra stand-in is told."""


async def seed(running_system: RunningSystem) -> None:
    """Make what is missing, and wait until every service knows of it."""
    deps = running_system.admin
    await _unless_there(admin.create_tenant(deps, TENANT, "Contoso"))
    await _unless_there(admin.add_domain(deps, TENANT, DOMAIN))
    await _unless_there(admin.add_application(deps, TENANT))
    await _follow_origin(running_system)
    try:
        await admin.show_account(deps, TENANT, PERSON)
    except NotFound:
        ada = NewAccount(first_name="Ada", last_name="Lovelace", upn=PERSON, email="ada@private.example")
        await admin.create_account(deps, TENANT, ada)
    await running_system.flush()


async def seed_managed_domain(running_system: RunningSystem) -> None:
    """Make the second domain if it is missing, and wait until every service knows of it."""
    await _unless_there(admin.add_domain(running_system.admin, TENANT, MANAGED_DOMAIN))
    await running_system.flush()


async def console_link(running_system: RunningSystem) -> str:
    """A one-time link for the first owner of the demo tenant; empty when there is an owner."""
    deps = running_system.admin
    if (await deps.teams.get(TENANT)).owners:
        return ""
    owner = NewAdministrator(name="Olga Owner", email=f"olga@{DOMAIN}", role=Role.OWNER)
    return (await invite_by_operator(deps, TENANT, owner)).url


async def _follow_origin(running_system: RunningSystem) -> None:
    """Default issuers that name another port or scheme of our host are issued anew; chosen ones stay."""
    for domain in (await admin.show_tenant(running_system.admin, TENANT)).domains:
        own = default_issuer(running_system.settings.origin, TENANT, domain.name)
        was, now = urlsplit(domain.issuer), urlsplit(own)
        if domain.issuer != own and (was.hostname, was.path) == (now.hostname, now.path):
            await admin.change_issuer(running_system.admin, TENANT, domain.name)


async def _unless_there(step: Awaitable[object]) -> None:
    with contextlib.suppress(Conflict):
        await step


async def federation(running_system: RunningSystem) -> dict[str, list[dict[str, str]]]:
    """What the Entra stand-in must know now: of all tenants the domains that wsfed serves, and the people.

    A domain is what its published metadata say, as in Entra; one without them yet is left out. The demo tenant's second
    domain is told as a managed one.
    """
    domains, managed, users = [], [], []
    origin = running_system.settings.origin
    async with Browser() as browser:
        for each in await admin.list_tenants(running_system.admin):
            for domain in each.domains:
                if (each.slug, domain.name) == (TENANT, MANAGED_DOMAIN):
                    managed.append({"domain": domain.name, "tenant": each.slug})
                    continue
                page = await browser.get(
                    f"{origin}/t/{each.slug}/{domain.name}/FederationMetadata/2007-06/FederationMetadata.xml"
                )
                if page.status == 200:
                    domains.append(_federated(origin, each.slug, domain.name, page.text))
            users += await _users(running_system, each.slug)
    return {"domains": domains, "managedDomains": managed, "users": users}


async def settled_federation(running_system: RunningSystem) -> dict[str, list[dict[str, str]]]:
    """As `federation`, once wsfed serves every domain of the demo tenant under its present issuer."""
    configured = await admin.show_tenant(running_system.admin, TENANT)
    wanted = {domain.issuer for domain in configured.domains if domain.name != MANAGED_DOMAIN}

    async def served() -> dict[str, list[dict[str, str]]] | None:
        now = await federation(running_system)
        return now if wanted <= {domain["issuerUri"] for domain in now["domains"]} else None

    return await eventually(served, f"metadata of {TENANT}'s domains")


def properties() -> str:
    """What an administrator enters on the tab Provisioning, without the outer braces."""
    values = {
        "client_id": REGISTRATION.client_id,
        "client_secret": REGISTRATION.client_secret,
        "tenant_domain": DOMAIN,
    }
    return ",\n".join(f'"{name}": "{value}"' for name, value in values.items())


async def tell_entra(running_system: RunningSystem, path: Path) -> None:
    """Write what the Entra stand-in must know into a file, once the demo tenant's part of it is settled."""
    path.parent.mkdir(parents=True, exist_ok=True)
    told = await settled_federation(running_system)
    replace_file(path, json.dumps(told, indent=2), mode=0o644)


def _federated(origin: str, tenant: str, domain: str, metadata: str) -> dict[str, str]:
    """A domain in the form of the Entra stand-in's settings."""
    current, *upcoming = signing_certificates(metadata)
    return {
        "domain": domain,
        "tenant": tenant,
        "issuerUri": _parsed(metadata).get("entityID", ""),
        "passiveSignInUri": f"{origin}/t/{tenant}/wsfed",
        "signOutUri": f"{origin}/t/{tenant}/wsfed",
        "signingCertificate": current,
        **({"nextSigningCertificate": upcoming[0]} if upcoming else {}),
        "federatedIdpMfaBehavior": "acceptIfMfaDoneByFederatedIdp",
    }


async def _users(running_system: RunningSystem, tenant: str) -> list[dict[str, str]]:
    """People in the form of the Entra stand-in's settings."""
    users: list[dict[str, str]] = []
    cursor: str | None = None
    while len(users) < MOST_USERS:
        page = await admin.list_accounts(running_system.admin, tenant, cursor=cursor, limit=200)
        users += [
            {"immutable_id": each.immutable_id, "upn": each.upn, "tenant": tenant} for each in page.accounts
        ]
        cursor = page.cursor
        if cursor is None:
            break
    return users


def signing_certificates(metadata: str) -> list[str]:
    """The certificates of the token service in federation metadata, base64 on one line: current one first."""
    found = _parsed(metadata).iterfind(
        ".//{*}RoleDescriptor/{*}KeyDescriptor/{*}KeyInfo/{*}X509Data/{*}X509Certificate"
    )
    certificates = dict.fromkeys("".join((element.text or "").split()) for element in found)
    if not certificates:
        raise ValueError("metadata without a signing certificate")
    return list(certificates)


def signing_certificate(metadata: str) -> str:
    """The one of them that signs now."""
    return signing_certificates(metadata)[0]


def _parsed(metadata: str) -> etree._Element:
    return etree.fromstring(metadata.encode(), etree.XMLParser(resolve_entities=False, no_network=True))
