"""The commands `blok365 domain ...`."""

from pathlib import Path
from typing import Annotated

import typer

from deploy.cli import output
from deploy.cli.options import InTenant, Json, group
from deploy.cli.session import report_faults, with_admin
from services.admin import handlers
from services.admin.domain.accounts import Account
from services.admin.domain.federation_scripts import back_out_script, federation_script, script_name
from services.admin.domain.powershell import script_octets
from services.admin.domain.roles import Act
from services.admin.handlers import Readiness
from services.admin.handlers.operator import operate
from services.admin.handlers.recording import Record
from services.admin.ports import Dependencies
from shared.contracts.admin import Domain

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

    async def work(admin: Dependencies) -> Domain:
        async def add(record: Record) -> Domain:
            made = await handlers.add_domain(admin, tenant, name, issuer=issuer)
            record.subject_id = record.subject = record.after["domain"] = made.name
            return made

        return await operate(admin, tenant, Act.CHANGE_FEDERATION, add, subject=name)

    made = with_admin(context.obj, work)
    output.line(f"Domain {made.name}, issuer {made.issuer}")
    output.line(f"Next, the script for Entra: blok365 domain script {made.name} -t {tenant} --out FILE")


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
    """What to tell Entra, with today's certificates: the values as JSON for Microsoft Graph."""
    federation = with_admin(context.obj, lambda admin: handlers.federation(admin, tenant, name))
    if not json:
        address = f"{federation.where.graph}/v1.0/domains/{federation.domain}/federationConfiguration"
        output.line(f"The values, for POST {address}:\n")
    output.as_json(federation.values())
    if not json:
        script = f"blok365 domain script {federation.domain} -t {tenant} --out FILE"
        output.line(f"\nThe same as a PowerShell script, which checks first and reads back: {script}")


@domains.command("script")
def script(
    context: typer.Context,
    name: Name,
    tenant: InTenant,
    back_out: Annotated[bool, typer.Option("--back-out", help="The script that undoes it.")] = False,
    out: Annotated[
        Path | None, typer.Option(help="File, or a folder for a file; without it the script is printed.")
    ] = None,
) -> None:
    """The PowerShell script that federates the domain in Entra, with today's certificates, or undoes that."""
    federation = with_admin(context.obj, lambda admin: handlers.federation(admin, tenant, name))
    made = back_out_script(federation) if back_out else federation_script(federation)
    if out is None:
        output.line(made.rstrip("\n"))
        return
    file = out / script_name(federation.domain, back_out=back_out) if out.is_dir() else out
    report_faults(context.obj, lambda: file.write_bytes(script_octets(made)))
    output.line(f"{file}: run it in PowerShell 7 or Windows PowerShell 5.1; with -WhatIf it changes nothing.")
    if not back_out:
        output.line(
            f"Before you do, see who would be locked out: blok365 domain readiness {name} -t {tenant}"
        )


@domains.command("readiness")
def readiness(context: typer.Context, name: Name, tenant: InTenant, json: Json = False) -> None:
    """Who of the domain has nothing to sign in with yet, and would be locked out once it is federated."""
    found, everybody = with_admin(context.obj, lambda admin: _readiness(admin, tenant, name))
    if json:
        upns = [each.upn for each in everybody]
        output.as_json({"domain": found.domain, "people": found.people, "without": upns})
        return
    if everybody:
        output.table(
            ("user name", "name", "status"),
            [(each.upn, each.display_name, each.status.value) for each in everybody],
            empty="",
        )
    count = f"{found.without} of {found.people} people of {found.domain}"
    output.note(f"{count} have no authenticator that counts.{_advice(found)}")


async def _readiness(admin: Dependencies, tenant: str, name: str) -> tuple[Readiness, list[Account]]:
    """The numbers, and all of whom they speak, page by page."""
    found = page = await handlers.readiness(admin, tenant, name)
    everybody = [*page.shown]
    while page.cursor is not None:
        page = await handlers.readiness(admin, tenant, name, cursor=page.cursor)
        everybody += page.shown
    return found, everybody


def _advice(found: Readiness) -> str:
    if found.is_ready:
        return " Nobody would be locked out."
    return " Invite them and wait until they have enrolled: blok365 account invite USER"
