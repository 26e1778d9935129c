"""The demo tenant: contoso, its domain, its application and Ada; made once, found again at every start.

Its issuers follow the port of `make run`. Elsewhere an issuer stays, because Entra knows the domain by it.
"""

import asyncio
import contextlib
import json
from collections.abc import Awaitable
from pathlib import Path
from urllib.parse import urlsplit

from lxml import etree

from deploy.local.browser import Browser, Page
from deploy.local.running_system import RunningSystem
from services.admin import handlers as admin
from services.admin.domain.tenants import default_issuer
from services.admin.handlers import NewAccount
from shared.errors import Blok365Error, Conflict, NotFound
from shared.files import replace_file
from shared.testing.waiting import eventually

TENANT = "contoso"
DOMAIN = "contoso.example"
PERSON = "ada@contoso.example"
LOOKS_EVERY = 2.0
"""Seconds between two looks for new people."""


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


async def tell_entra(running_system: RunningSystem, path: Path) -> None:
    """Write what the Entra stand-in must know: the federation of each domain, read from its metadata; its users."""
    configured = await admin.show_tenant(running_system.admin, TENANT)
    origin = running_system.settings.origin
    domains = []
    async with Browser() as browser:
        for domain in configured.domains:
            url = f"{origin}/t/{TENANT}/{domain.name}/FederationMetadata/2007-06/FederationMetadata.xml"

            async def fetch(url: str = url) -> Page | None:
                page = await browser.get(url)
                return page if page.status == 200 else None

            metadata = await eventually(fetch, f"metadata of {domain.name}")
            domains.append(
                {
                    "domain": domain.name,
                    "tenant": TENANT,
                    "issuerUri": domain.issuer,
                    "passiveSignInUri": f"{origin}/t/{TENANT}/wsfed",
                    "signOutUri": f"{origin}/t/{TENANT}/wsfed",
                    "signingCertificate": signing_certificate(metadata.text),
                    "federatedIdpMfaBehavior": "acceptIfMfaDoneByFederatedIdp",
                }
            )
    users = await _users(running_system)
    path.parent.mkdir(parents=True, exist_ok=True)
    replace_file(path, json.dumps({"domains": domains, "users": users}, indent=2), mode=0o644)


async def keep_entra_told(running_system: RunningSystem, path: Path) -> None:
    """Until cancelled: people whom somebody adds on the command line can sign in without another start."""
    known = await _users(running_system)
    while True:
        await asyncio.sleep(LOOKS_EVERY)
        with contextlib.suppress(Blok365Error, TimeoutError):  # such as a database that is away for a moment
            if (now := await _users(running_system)) != known:
                await tell_entra(running_system, path)
                known = now


async def _users(running_system: RunningSystem) -> list[dict[str, str]]:
    """The first two hundred people, in the form of the Entra stand-in's settings."""
    listed = await admin.list_accounts(running_system.admin, TENANT, limit=200)
    return [
        {"immutable_id": each.immutable_id, "upn": each.upn, "tenant": TENANT} for each in listed.accounts
    ]


def signing_certificate(metadata: str) -> str:
    """The first certificate of the token service in federation metadata, base64 on one line."""
    parser = etree.XMLParser(resolve_entities=False, no_network=True)
    found = etree.fromstring(metadata.encode(), parser).findtext(
        ".//{*}RoleDescriptor/{*}KeyDescriptor/{*}KeyInfo/{*}X509Data/{*}X509Certificate"
    )
    if found is None:
        raise ValueError("metadata without a signing certificate")
    return "".join(found.split())
