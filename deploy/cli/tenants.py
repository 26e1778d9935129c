"""The commands `blok365 tenant ...` and `blok365 app ...`."""

from enum import StrEnum
from typing import Annotated, Any

import typer

from deploy.cli import output
from deploy.cli.options import InTenant, Json, group
from deploy.cli.session import with_admin
from services.admin import handlers
from services.admin.domain.roles import Act, Operator
from services.admin.domain.tenants import Tenant
from services.admin.handlers import console_applications
from services.admin.handlers.operator import make_tenant, operate
from services.admin.handlers.recording import Record
from services.admin.ports import Dependencies
from shared.contracts.admin import Application

tenants = group("Organisations.")
applications = group("Applications that people sign in to.")


class SignIn(StrEnum):
    """`shared.contracts.admin.SignInPolicy`, as the command line lists it."""

    OPEN = "open"
    KNOWN_BROWSERS = "known_browsers"
    PASSKEYS_ONLY = "passkeys_only"


class CloudChoice(StrEnum):
    """`shared.clouds.CloudName`, as the command line lists it."""

    WORLDWIDE = "worldwide"
    USGOV = "usgov"
    CHINA = "china"


@tenants.command("add")
def add_tenant(
    context: typer.Context,
    slug: Annotated[str, typer.Argument(help="1 to 40 of a-z, 0-9 and hyphen; stands in its URLs for ever.")],
    name: Annotated[str, typer.Option(help="What people read on the sign-in page.")],
    cloud: Annotated[
        CloudChoice, typer.Option(help="Which of Microsoft's clouds its directory is in (usgov: GCC High).")
    ] = CloudChoice.WORLDWIDE,
) -> None:
    """Make a tenant."""
    tenant = with_admin(context.obj, lambda admin: make_tenant(admin, slug, name, cloud=cloud.value))
    output.line(
        f"Tenant {tenant.slug} ({tenant.name}). "
        f"Next: blok365 domain add DOMAIN -t {tenant.slug}, and blok365 app add -t {tenant.slug}."
    )


@tenants.command("show")
def show_tenant(context: typer.Context, tenant: InTenant, json: Json = False) -> None:
    """Show a tenant with its applications and domains."""
    found = with_admin(context.obj, lambda admin: handlers.show_tenant(admin, tenant))
    if json:
        output.as_json(_plain(found))
        return
    output.fields(
        [
            ("tenant", found.slug),
            ("name", found.name),
            ("cloud", found.cloud),
            ("version", str(found.version)),
        ]
    )
    for application in found.applications:
        output.line(
            f"application {application.name}: session {application.session_hours} h, "
            f"first method {application.first_method}"
        )
    for domain in found.domains:
        output.line(f"domain {domain.name}: issuer {domain.issuer}")


@tenants.command("policy")
def set_policy(
    context: typer.Context,
    tenant: InTenant,
    sign_in: Annotated[
        SignIn | None,
        typer.Option(
            help="Where push and QR are taken. open: in any browser, with a code; a look-alike page that relays the "
            "code in real time is not stopped. known_browsers (recommended): a new browser starts with a passkey, "
            "push and QR work there afterwards. passkeys_only: never. Embedded web views (Outlook, Teams, Windows "
            "set-up) count as new browsers each, and those without WebAuthn (many on Android) cannot sign in under "
            "the last two; browsers that signed in before the change sign in anew.",
        ),
    ] = None,
    same_network: Annotated[
        bool | None,
        typer.Option(
            "--same-network/--any-network",
            help="Take approvals only from a phone on the browser's own network, as approval sees both; elsewhere "
            "a passkey is needed. Phones on mobile data then cannot approve.",
        ),
    ] = None,
    json: Json = False,
) -> None:
    """Show or change how people of a tenant may sign in. Without options it only shows."""
    wanted = {"sign_in": sign_in and sign_in.value, "same_network_or_passkey": same_network}
    changes = {name: value for name, value in wanted.items() if value is not None}

    async def change(admin: Dependencies) -> Tenant:
        found = await handlers.show_tenant(admin, tenant)
        if not changes:
            return found
        policy = found.policy.model_copy(update=changes)
        return await console_applications.set_policy(
            admin, Operator(tenant), policy, expected_version=found.version
        )

    policy = with_admin(context.obj, change).policy
    if json:
        output.as_json(policy.model_dump())
        return
    output.fields(
        [
            ("sign-in", policy.sign_in),
            ("same network or passkey", "yes" if policy.same_network_or_passkey else "no"),
        ]
    )
    if policy.sign_in == "open":
        output.line(
            "Recommended: --sign-in known_browsers. It stops look-alike pages on browsers that are known."
        )
    elif changes:
        output.line("In force.")


@tenants.command("list")
def list_tenants(context: typer.Context, json: Json = False) -> None:
    """List all tenants (the first 200)."""
    found = with_admin(context.obj, handlers.list_tenants)
    if json:
        output.as_json([_plain(tenant) for tenant in found])
        return
    output.table(
        ("tenant", "name", "domains", "applications"),
        [
            (t.slug, t.name, " ".join(d.name for d in t.domains), ", ".join(a.name for a in t.applications))
            for t in found
        ],
        empty="No tenants. Make one: blok365 tenant add",
    )


@applications.command("add")
def add_application(
    context: typer.Context,
    tenant: InTenant,
    name: Annotated[str, typer.Option(help="What people read on the sign-in page.")] = "Microsoft 365",
    session_hours: Annotated[int, typer.Option(help="4, 8 or 12.")] = 8,
    first_method: Annotated[str, typer.Option(help="push or qr.")] = "push",
) -> None:
    """Add an application from the template "Microsoft 365"."""

    async def work(admin: Dependencies) -> Application:
        async def add(record: Record) -> Application:
            made = await handlers.add_application(
                admin, tenant, name=name, session_hours=session_hours, first_method=first_method
            )
            record.subject_id, record.subject = made.id, made.name
            return made

        return await operate(admin, tenant, Act.CHANGE_APPLICATION, add, subject=name)

    made = with_admin(context.obj, work)
    output.line(f"Application {made.name}: session {made.session_hours} h, first method {made.first_method}.")


@applications.command("list")
def list_applications(context: typer.Context, tenant: InTenant, json: Json = False) -> None:
    """List a tenant's applications."""
    found = with_admin(context.obj, lambda admin: handlers.show_tenant(admin, tenant)).applications
    if json:
        output.as_json([application.model_dump(mode="json") for application in found])
        return
    output.table(
        ("application", "session", "first method"),
        [(each.name, f"{each.session_hours} h", each.first_method) for each in found],
        empty=f"{tenant} has no applications. Add one: blok365 app add -t {tenant}",
    )


def _plain(tenant: Tenant) -> dict[str, Any]:
    return {"tenant": tenant.slug, **tenant.event().model_dump(mode="json", exclude={"removed"})}
