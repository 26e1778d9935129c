"""The commands `blok365 provisioning ...`."""

import asyncio
import sys
from pathlib import Path
from typing import Annotated, Any

import typer

from deploy.cli import output
from deploy.cli.options import InTenant, Json, group
from deploy.cli.session import with_admin
from services.admin import handlers
from services.admin.domain.accounts import Account, AccountId
from services.admin.domain.directory import DirectorySettings, read_end, read_properties
from services.admin.domain.roles import Act, Operator
from services.admin.handlers import DirectoryView, console_provisioning
from services.admin.handlers.operator import operate_on
from services.admin.handlers.recording import Record
from services.admin.ports import Dependencies
from shared.clock import iso_millis
from shared.contracts.provisioning import (
    Checked,
    Fault,
    PersonChanged,
    Progress,
    WhenRemoved,
    WhenSuspended,
)
from shared.directory import explanation, permission_cost

provisioning = group("The connection to Entra, and people's users there.")

PATIENCE = 40
"""How often a check is looked for, half a second apart."""


@provisioning.command("connect")
def connect(
    context: typer.Context,
    tenant: InTenant,
    properties: Annotated[
        Path | None,
        typer.Argument(
            help="File with the properties as JSON: client_id, tenant_domain and client_secret, or certificate and "
            "private_key. `-` reads standard input. Without it the ones in force stay.",
            allow_dash=True,
        ),
    ] = None,
    enabled: Annotated[
        bool | None,
        typer.Option(
            "--on/--off",
            help="Whether people are provisioned; unless it is said, as before, and on with the first properties.",
        ),
    ] = None,
    suspended: Annotated[
        WhenSuspended | None, typer.Option(help="What becomes of a suspended person's user in Entra.")
    ] = None,
    removed: Annotated[
        WhenRemoved | None, typer.Option(help="What becomes of a removed person's user in Entra.")
    ] = None,
    secret_ends: Annotated[
        str,
        typer.Option(
            help="When the client secret ends, as Entra shows it (2027-05-31): you are warned before."
        ),
    ] = "",
) -> None:
    """Set the connection: what was not named stays. The secret is sealed at once and shown nowhere again."""

    async def work(admin: Dependencies) -> DirectorySettings:
        is_first = not (await handlers.show_connection(admin, tenant)).asked.has_secrets
        now = admin.clock.now()
        return await console_provisioning.set_connection(
            admin,
            Operator(tenant),
            secrets=None if properties is None else read_properties(_read(properties), now),
            enabled=True if enabled is None and is_first else enabled,
            when_suspended=suspended,
            when_removed=removed,
            secret_ends_at=read_end(secret_ends, now),
        )

    settings = with_admin(context.obj, work)
    output.line(
        f"Set. Next: blok365 provisioning test -t {tenant}"
        if settings.enabled
        else "Switched off: nothing is changed in Entra."
    )


@provisioning.command("test")
def check(context: typer.Context, tenant: InTenant, json: Json = False) -> None:
    """Sign in to Entra, and say which permissions are there and what each missing one costs."""
    asked = with_admin(
        context.obj, lambda admin: console_provisioning.check_connection(admin, Operator(tenant))
    )

    async def wait(admin: Dependencies) -> Checked | None:
        for _ in range(PATIENCE):
            if found := await handlers.checked(admin, tenant, asked):
                return found
            await asyncio.sleep(0.5)
        return None

    found = with_admin(context.obj, wait)
    if found is None:
        typer.echo(
            "blok365: no result yet: does the provisioning service run? blok365 provisioning show has it later.",
            err=True,
        )
        raise typer.Exit(1)
    if json:
        output.as_json(found.model_dump(mode="json"))
    else:
        _print_checked(found)
    if found.fault is not None:
        raise typer.Exit(1)


@provisioning.command("show")
def show(
    context: typer.Context,
    tenant: InTenant,
    who: Annotated[
        str | None, typer.Argument(help="User name or account id; without it the connection.")
    ] = None,
    json: Json = False,
) -> None:
    """Show the connection and who has failed, or what became of one person in the directory."""
    if who is not None:
        account, known = with_admin(context.obj, lambda admin: handlers.directory_person(admin, tenant, who))
        if json:
            output.as_json({"user name": account.upn} | (known.model_dump(mode="json") if known else {}))
        else:
            _print_person(account, known)
        return

    async def work(admin: Dependencies) -> tuple[DirectoryView, list[tuple[str, PersonChanged]]]:
        view = await handlers.show_connection(admin, tenant)
        failed = []
        for each in await handlers.failed_people(admin, tenant, limit=200):
            account = await admin.accounts.get(tenant, each.account)
            failed.append((account.upn if account else each.account, each))
        return view, failed

    view, failed = with_admin(context.obj, work)
    if json:
        progress = view.known.progress if view.known is not None else None
        output.as_json(
            _plain(view)
            | {"progress": None if progress is None else progress.model_dump(mode="json")}
            | {"failed": [each.model_dump(mode="json") for _, each in failed]}
        )
        return
    output.fields([(name, str(value)) for name, value in _plain(view).items() if name != "fault"])
    if view.known is not None and view.known.progress is not None:
        output.line(progress_line(view.known.progress))
    if view.known is not None and view.known.fault is not None:
        _print_fault(view.known.fault)
    for upn, each in failed:
        output.line(f"failed: {upn}, {each.step}")
        if each.fault is not None:
            _print_fault(each.fault)
    if len(failed) == 200:
        typer.echo("These are the first 200; there may be more.", err=True)


@provisioning.command("retry")
def retry(
    context: typer.Context,
    who: Annotated[str, typer.Argument(help="User name or account id.")],
    tenant: InTenant,
) -> None:
    """Try again what has failed for a person."""

    async def work(admin: Dependencies) -> Account:
        return await operate_on(
            admin,
            tenant,
            Act.RETRY_PROVISIONING,
            who,
            lambda account, _: handlers.retry_person(admin, tenant, account),
        )

    account = with_admin(context.obj, work)
    output.line(f"{account.upn} is tried again. See: blok365 provisioning show {account.upn} -t {tenant}")


@provisioning.command("licences")
def licences(
    context: typer.Context,
    who: Annotated[str, typer.Argument(help="User name or account id.")],
    tenant: InTenant,
    licence: Annotated[
        list[str] | None, typer.Argument(help="Names (SPE_F1) or SKU ids of all that the person is to have.")
    ] = None,
    none: Annotated[bool, typer.Option("--none", help="Take all back that were given from here.")] = False,
    location: Annotated[
        str | None, typer.Option(help="Usage location: country of two letters, which licences need.")
    ] = None,
) -> None:
    """Set which licences a person has from here."""
    chosen = [] if none else licence

    async def work(admin: Dependencies) -> Account:
        async def change(account: AccountId, record: Record) -> Account:
            return await console_provisioning.set_licences(
                admin,
                await handlers.show_account(admin, tenant, account),
                record,
                usage_location=location,
                licences=chosen,
            )

        return await operate_on(admin, tenant, Act.CHANGE_LICENCES, who, change)

    account = with_admin(context.obj, work)
    output.line(
        f"{account.upn}: {', '.join(account.licences) or 'no licences'}, "
        f"usage location {account.usage_location or 'not set'}"
    )


def _read(path: Path) -> str:
    return sys.stdin.read() if str(path) == "-" else path.read_text("utf-8")


def _plain(view: DirectoryView) -> dict[str, Any]:
    asked, known = view.asked, view.known
    made: dict[str, Any] = {
        "state": known.state if known else "off",
        "in force": "yes" if view.in_force else "not yet",
        "when suspended": asked.when_suspended,
        "when removed": asked.when_removed,
    }
    if known is not None:
        made |= {"client_id": known.client_id, "tenant_domain": known.tenant_domain}
        made |= {"signs in with": known.credential or "nothing"}
        if known.credential_ends is not None:
            made[f"{known.credential or 'credential'} ends"] = iso_millis(known.credential_ends)
        if known.checked is not None:
            made["tested"] = iso_millis(known.checked.at)
        if known.fault is not None:
            made["fault"] = known.fault.model_dump(mode="json")
    return made


def progress_line(progress: Progress) -> str:
    """How far a tenant's people are, for a person: `3,200 of 10,000 people done, about 12 minutes left.`"""
    said = f"{progress.done:,} of {progress.people:,} people done"
    if progress.failed:
        said += f", {progress.failed:,} failed"
    if progress.seconds_left is not None:
        minutes = max(1, round(progress.seconds_left / 60))
        said += f", about {minutes:,} minute{'s' if minutes > 1 else ''} left"
    return f"{said}."


def _print_person(account: Account, known: PersonChanged | None) -> None:
    if known is None:
        output.line(f"Nothing was done for {account.upn} in the directory.")
        return
    output.fields(
        [
            ("user name", account.upn),
            ("state", known.state),
            ("since", iso_millis(known.at)),
            ("object id", known.object_id or "none"),
            ("request-id", known.request_id or "none"),
        ]
    )
    if known.fault is not None:
        _print_fault(known.fault)


def _print_checked(found: Checked) -> None:
    if found.fault is not None:
        _print_fault(found.fault)
        return
    output.line("Signed in to Entra.")
    for each in found.permissions:
        if each.granted:
            output.line(f"{each.name}: granted")
        elif each.granted is None:
            output.line(f"{each.name}: could not be found out")
        else:
            output.line(f"{each.name}: missing. {permission_cost(each.name)}")
    if found.domains:
        output.line(f"verified domains: {', '.join(found.domains)}")
    for licence in found.licences:
        output.line(f"licence {licence.name}: {licence.left} left ({licence.sku})")


def _print_fault(fault: Fault) -> None:
    said = explanation(fault.key)
    output.line(f"  {said.meaning} {said.remedy}")
    # Entra's words begin with its code, Graph's do not.
    words = fault.words if fault.words.startswith(fault.code) else f"{fault.code} {fault.words}".strip()
    if words:
        output.line(f"  Microsoft: {words}")
    if fault.request_id:
        output.line(f"  request-id: {fault.request_id}")
