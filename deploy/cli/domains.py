"""The commands `blok365 domain ...`."""

import asyncio
from typing import Annotated

import typer

from deploy.cli import output
from deploy.cli.options import InTenant, Json, group
from deploy.cli.session import opened, report_faults, with_admin
from services.admin import handlers
from shared.clouds import CLOUDS, Cloud
from shared.errors import NotFound

domains = group("Domains that Entra federates to us, and what to tell Entra.")

Name = Annotated[str, typer.Argument(help="The domain as it is verified in Entra.")]


@domains.command("add")
def add_domain(
    context: typer.Context,
    name: Name,
    tenant: InTenant,
    issuer: Annotated[
        str | None, typer.Option(help="issuerUri; without it one that is unique in all of Entra.")
    ] = None,
) -> None:
    """Add a domain."""
    made = with_admin(context.obj, lambda admin: handlers.add_domain(admin, tenant, name, issuer=issuer))
    output.line(f"Domain {made.name}, issuer {made.issuer}")
    output.line(f"Next, what to tell Entra: blok365 domain entra {made.name} -t {tenant}")


@domains.command("list")
def list_domains(context: typer.Context, tenant: InTenant, json: Json = False) -> None:
    """List a tenant's domains."""
    found = with_admin(context.obj, lambda admin: handlers.show_tenant(admin, tenant)).domains
    if json:
        output.as_json([domain.model_dump(mode="json") for domain in found])
        return
    output.table(
        ("domain", "issuer"),
        [(domain.name, domain.issuer) for domain in found],
        empty=f"{tenant} has no domains. Add one: blok365 domain add DOMAIN -t {tenant}",
    )


@domains.command("entra")
def entra(
    context: typer.Context,
    name: Name,
    tenant: InTenant,
    json: Annotated[bool, typer.Option("--json", help="Print the values alone.")] = False,
) -> None:
    """What to tell Entra, with today's certificates: the values for Graph as JSON, and PowerShell that sets them."""
    # wsfed has the keys. The other commands go without its imports.
    from deploy.federation import federation_commands, federations
    from services.wsfed.app import build

    async def work() -> tuple[dict[str, str], Cloud]:
        async with opened(context.obj, build) as wired:
            try:
                known = await federations(wired.dependencies, tenant)
            except NotFound as error:
                raise NotFound("cli.tenant.unknown", tenant=tenant) from error
            if name.lower() not in known:
                listed = ", ".join(known) or "none"
                raise NotFound("cli.domain.unknown", domain=name, tenant=tenant, known=listed)
            configured = await wired.dependencies.directory.tenant(tenant)
            assert configured is not None, "its domains were found"
            return known[name.lower()], CLOUDS[configured.configured.cloud]

    values, cloud = report_faults(context.obj, lambda: asyncio.run(work()))
    if json:
        output.as_json(values)
        return
    output.line(f"The values, for POST {cloud.graph}/v1.0/domains/{name.lower()}/federationConfiguration:\n")
    output.as_json(values)
    output.line("\nThe same in PowerShell:\n")
    output.line(federation_commands(name.lower(), values, cloud))
