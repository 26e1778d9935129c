"""A tenant's administrators: invite, change the role, remove (docs/flows/console-sign-in.md, steps 1 and 10)."""

from dataclasses import dataclass
from datetime import timedelta

from services.admin.domain.accounts import AccountId, check_email
from services.admin.domain.names import check_name
from services.admin.domain.roles import Act, Actor, Operator, Role
from services.admin.domain.teams import (
    LINK_LIFETIME,
    MAIL_LIFETIME,
    Member,
    Team,
    TeamInvitation,
    secret_digest,
)
from services.admin.handlers.accounts import show_account
from services.admin.handlers.common import MAX_PAGE
from services.admin.handlers.recording import recorded
from services.admin.handlers.tenants import show_tenant
from services.admin.ports import Dependencies
from shared.errors import BadInput, NotFound
from shared.ids import b64u, new_id


@dataclass(frozen=True, slots=True)
class NewAdministrator:
    """Who is to become an administrator of a tenant, and as what.

    `upn`: the user name of their own account with the tenant, which is protected from then on; empty when they have
    none.
    """

    name: str
    email: str
    role: Role
    upn: str = ""


class TeamLink:
    """The one-time link with the secret in its fragment. It is returned once and stored nowhere."""

    __slots__ = ("invitation", "url")

    def __init__(self, invitation: TeamInvitation, url: str) -> None:
        self.invitation = invitation
        self.url = url

    def __repr__(self) -> str:  # log lines and tracebacks show this, so it must not hold the secret
        return f"TeamLink({self.invitation.id})"


async def invite_by_operator(deps: Dependencies, slug: str, new: NewAdministrator) -> TeamLink:
    """Step 1: a one-time link from the command line, which names the first owner and helps when none can sign in.

    Raises NotFound, BadInput, Conflict.
    """
    await show_tenant(deps, slug)
    async with recorded(deps, Operator(slug), Act.INVITE_ADMINISTRATOR, subject=new.name) as record:
        link = await _link(deps, slug, new, lifetime=LINK_LIFETIME)
        await deps.teams.change(slug, lambda team: team.with_invitation(link.invitation, deps.clock.now()))
        record.subject_id = link.invitation.id
        record.after["role"] = new.role.value
    return link


async def invite_administrator(deps: Dependencies, actor: Actor, new: NewAdministrator) -> TeamInvitation:
    """Step 1, by an owner: the link goes by mail, and no page shows it.

    Raises Forbidden, StepUpNeeded, BadInput, NotFound (no such user name), Conflict.
    """
    now = deps.clock.now()
    actor.require(Act.INVITE_ADMINISTRATOR, now)
    tenant = await show_tenant(deps, actor.tenant)
    async with recorded(deps, actor, Act.INVITE_ADMINISTRATOR, subject=new.name) as record:
        link = await _link(deps, actor.tenant, new, lifetime=MAIL_LIFETIME, by=actor)
        mail = deps.team_mail_message(tenant, link.invitation, link.url)
        await deps.teams.change(
            actor.tenant, lambda team: team.with_invitation(link.invitation, now, actor), mail
        )
        record.subject_id = link.invitation.id
        record.after["role"] = new.role.value
    return link.invitation


async def _link(
    deps: Dependencies, slug: str, new: NewAdministrator, *, lifetime: timedelta, by: Actor | None = None
) -> TeamLink:
    secret = deps.ids.random_bytes(32)
    account: AccountId | None = None
    if new.upn.strip():
        account = (await show_account(deps, slug, _user_name(new.upn))).id
    invitation = TeamInvitation(
        id=new_id(deps.ids),
        secret_sha256=secret_digest(secret),
        name=check_name(new.name, "name"),
        email=check_email(new.email),
        role=new.role,
        expires_at=deps.clock.now() + lifetime,
        invited_by="" if by is None else by.name,
        inviter="" if by is None else by.administrator,
        account=account,
    )
    return TeamLink(invitation, f"{deps.console_origin}/join/{slug}/{invitation.id}#{b64u(secret)}")


def _user_name(text: str) -> str:
    if "@" not in text:  # an id would be taken for one
        raise BadInput("admin.upn.malformed", upn=repr(text[:80]))
    return text


async def withdraw_invitation(deps: Dependencies, actor: Actor, invitation: str) -> None:
    """Make an invitation worthless. Raises Forbidden, StepUpNeeded, NotFound."""
    actor.require(Act.WITHDRAW_ADMINISTRATOR, deps.clock.now())
    team = await deps.teams.get(actor.tenant)
    found = next((each for each in team.invitations if each.id == invitation), None)
    if found is None:
        raise NotFound("admin.team.no_invitation")
    async with recorded(deps, actor, Act.WITHDRAW_ADMINISTRATOR, subject_id=invitation, subject=found.name):
        await deps.teams.change(actor.tenant, lambda before: before.without_invitation(invitation, actor))


async def change_role(deps: Dependencies, actor: Actor, administrator: str, role: Role) -> None:
    """Step 10: another role, in force at that administrator's next request. The open invitations of whoever is no
    owner any more are withdrawn in the same write.

    Raises Forbidden (also for one's own), StepUpNeeded, NotFound, Conflict (the last owner).
    """
    actor.require(Act.CHANGE_ROLE, deps.clock.now())
    member = _member(await deps.teams.get(actor.tenant), administrator)
    async with recorded(
        deps, actor, Act.CHANGE_ROLE, subject_id=administrator, subject=member.name
    ) as record:
        record.before["role"], record.after["role"] = member.role.value, role.value
        await deps.teams.change(actor.tenant, lambda team: team.with_role(administrator, role, actor))


async def remove_administrator(deps: Dependencies, actor: Actor, administrator: str) -> None:
    """Step 10: no administrator of this tenant any more, from their next request on. The open invitations that they
    made are withdrawn in the same write.

    Raises Forbidden (also for oneself), StepUpNeeded, NotFound, Conflict (the last owner).
    """
    actor.require(Act.REMOVE_ADMINISTRATOR, deps.clock.now())
    member = _member(await deps.teams.get(actor.tenant), administrator)
    async with recorded(
        deps, actor, Act.REMOVE_ADMINISTRATOR, subject_id=administrator, subject=member.name
    ) as record:
        record.before["role"] = member.role.value
        await deps.teams.change(actor.tenant, lambda team: team.without_member(administrator, actor))


async def end_what_a_backup_calls_open(deps: Dependencies) -> None:
    """End every session of the console and every administrator's invitation, after a backup was put back.

    Since it was made a session may have been ended, an invitation used or withdrawn, and the backup calls it open.
    Safe to repeat and to interrupt. Raises Unavailable.
    """
    await deps.console_sessions.end_all()
    after = ""
    while page := await deps.teams.page(after, MAX_PAGE):
        for team in page:
            if team.invitations:
                await deps.teams.change(team.tenant, Team.without_invitations)
        after = page[-1].tenant


def _member(team: Team, administrator: str) -> Member:
    found = team.member(administrator)
    if found is None:
        raise NotFound("admin.team.no_member")
    return found
