"""The commands `blok365 admin ...`: who administers a tenant in the console."""

from typing import Annotated

import typer

from deploy.cli import output
from deploy.cli.options import InTenant, Json, group
from deploy.cli.session import CONSOLE, with_admin
from services.admin import handlers
from services.admin.domain.roles import Role
from services.admin.domain.teams import Team
from services.admin.handlers.console_team import NewAdministrator, TeamLink, invite_by_operator
from services.admin.ports import Dependencies
from shared.clock import iso_millis

administrators = group("Administrators of a tenant in the console.")


@administrators.command("invite")
def invite(
    context: typer.Context,
    tenant: InTenant,
    name: Annotated[str, typer.Option(help="Their name; other administrators see it beside what they do.")],
    email: Annotated[
        str, typer.Option(help="Their address. Nothing is mailed: hand the link over yourself.")
    ],
    role: Annotated[Role, typer.Option(help="What they may do.")] = Role.OWNER,
    account: Annotated[
        str, typer.Option(help="User name of their own account with the tenant, which is protected then.")
    ] = "",
    json: Json = False,
) -> None:
    """Print a one-time link to the console, good for 10 minutes. For the first owner, or when no owner can sign in."""
    new = NewAdministrator(name, email, role, account)
    link = with_admin(context.obj, lambda admin: invite_by_operator(admin, tenant, new), needed=CONSOLE)
    if json:
        output.as_json(_plain_link(link))
        return
    if output.is_terminal():
        output.line(f"Good until {iso_millis(link.invitation.expires_at)}, once, shown only now:")
    output.line(link.url)


@administrators.command("list")
def list_administrators(context: typer.Context, tenant: InTenant, json: Json = False) -> None:
    """List the administrators of a tenant and the invitations that are open."""

    async def work(admin: Dependencies) -> Team:
        await handlers.show_tenant(admin, tenant)
        return await admin.teams.get(tenant)

    team = with_admin(context.obj, work)
    if json:
        output.as_json(_plain(team))
        return
    output.table(
        ("administrator", "name", "role", "e-mail"),
        [(each.administrator, each.name, each.role.value, each.email) for each in team.members],
        empty=f"{tenant} has no administrators. Invite the first: blok365 admin invite -t {tenant}",
    )
    for each in team.invitations:
        output.line(f"invited until {iso_millis(each.expires_at)}: {each.name}, {each.role.value}")


def _plain_link(link: TeamLink) -> dict[str, str]:
    return {"link": link.url, "expires_at": iso_millis(link.invitation.expires_at)}


def _plain(team: Team) -> dict[str, object]:
    return {
        "administrators": [
            {"administrator": m.administrator, "name": m.name, "email": m.email, "role": m.role.value}
            for m in team.members
        ],
        "invitations": [
            {"name": i.name, "email": i.email, "role": i.role.value, "expires_at": iso_millis(i.expires_at)}
            for i in team.invitations
        ],
    }
