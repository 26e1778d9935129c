"""The administrators of a tenant, and the record of what they did."""

from urllib.parse import urlencode

from aiohttp import web

from services.admin.domain.roles import Act, Role
from services.admin.domain.teams import Member
from services.admin.handlers import console_team as teams
from services.admin.handlers.console_team import NewAdministrator
from services.admin.handlers.recording import list_changes
from services.admin.pages.views import (
    ChangesPage,
    Confirm,
    Crumb,
    Form,
    FormPage,
    TeamPage,
    refused,
)
from services.admin.routes.guard import ConsoleRoute, TenantRoute, TenantVisit, redirect
from shared.errors import BadInput, Conflict, NotFound

TEAM = "/t/{tenant}/administrators"
MEMBER = f"{TEAM}/{{administrator}}"
NEW_FIELDS = ("name", "email", "role", "upn")


async def show_team(visit: TenantVisit) -> web.Response:
    """The administrators with their roles, and the invitations that are open."""
    frame = visit.frame("administrators")
    view = TeamPage(
        frame=frame,
        team=visit.team,
        now=frame.now,
        may_change=visit.actor.may(Act.INVITE_ADMINISTRATOR),
    )
    return visit.render("team.html", view)


async def new_administrator(visit: TenantVisit) -> web.Response:
    """The form for an invitation."""
    return _new(visit, Form())


def _new(visit: TenantVisit, form: Form) -> web.Response:
    view = FormPage(
        frame=visit.frame("administrators"),
        crumbs=(_list(visit),),
        form=form,
        action=visit.path("/administrators/new"),
        back=visit.path("/administrators"),
    )
    return visit.render("administrator-new.html", view, status=400 if form.errors else 200)


async def invite(visit: TenantVisit) -> web.Response:
    """Mail the one-time link."""
    values = {name: visit.form.get(name, "") for name in NEW_FIELDS}
    missing = [name for name in ("name", "email", "role") if not values[name].strip()]
    if missing:
        return _new(visit, Form(values, {name: BadInput("admin.console.empty") for name in missing}))
    new = NewAdministrator(values["name"], values["email"], _role(values["role"]), values["upn"])
    try:
        await teams.invite_administrator(visit.deps, visit.actor, new)
    except (BadInput, Conflict, NotFound) as error:
        return _new(visit, refused(values, error, otherwise="name"))
    return redirect(visit.path("/administrators"), said="administrator_invited")


def _role(text: str) -> Role:
    try:
        return Role(text)
    except ValueError as error:
        raise BadInput("admin.console.malformed") from error


async def withdraw(visit: TenantVisit) -> web.Response:
    """Make an invitation worthless."""
    await teams.withdraw_invitation(visit.deps, visit.actor, visit.request.match_info["invitation"])
    return redirect(visit.path("/administrators"), said="withdrawn")


async def ask_role(visit: TenantVisit) -> web.Response:
    """The form for another role."""
    member = _member(visit)
    view = FormPage(
        frame=visit.frame("administrators"),
        crumbs=(_list(visit),),
        form=Form({"role": member.role.value}),
        action=visit.path(f"/administrators/{member.administrator}/role"),
        back=visit.path("/administrators"),
        subject=member.name,
    )
    return visit.render("role.html", view)


async def change_role(visit: TenantVisit) -> web.Response:
    """Another role."""
    role = _role(visit.form.get("role", ""))
    await teams.change_role(visit.deps, visit.actor, visit.request.match_info["administrator"], role)
    return redirect(visit.path("/administrators"), said="role_changed")


async def ask_removal(visit: TenantVisit) -> web.Response:
    """Ask before somebody is no administrator any more."""
    member = _member(visit)
    view = Confirm(
        frame=visit.frame("administrators"),
        crumbs=(_list(visit),),
        act="administrator",
        subject=member.name,
        action=visit.path(f"/administrators/{member.administrator}/remove"),
        back=visit.path("/administrators"),
        counts={"organisation": visit.tenant.name},
    )
    return visit.render("confirm.html", view)


async def remove(visit: TenantVisit) -> web.Response:
    """No administrator any more, from their next request on."""
    await teams.remove_administrator(visit.deps, visit.actor, visit.request.match_info["administrator"])
    return redirect(visit.path("/administrators"), said="administrator_removed")


def _member(visit: TenantVisit) -> Member:
    found = visit.team.member(visit.request.match_info["administrator"])
    if found is None:
        raise NotFound
    return found


def _list(visit: TenantVisit) -> Crumb:
    return Crumb(visit.path("/administrators"), key="nav.administrators")


async def show_changes(visit: TenantVisit) -> web.Response:
    """What administrators did, the latest first; `of`: to one subject alone."""
    asked = visit.request.query
    subject, cursor = asked.get("of") or None, asked.get("after") or None
    page = await list_changes(visit.deps, visit.actor.tenant, subject=subject, cursor=cursor)
    following = None
    if page.cursor:
        kept = {"of": subject or "", "after": page.cursor}
        following = visit.path(f"/changes?{urlencode({k: v for k, v in kept.items() if v})}")
    view = ChangesPage(
        frame=visit.frame("changes"),
        changes=page.changes,
        next=following,
        subject=page.changes[0].subject if subject and page.changes else "",
    )
    return visit.render("changes.html", view)


TEAM_ROUTES: tuple[ConsoleRoute, ...] = (
    TenantRoute("GET", TEAM, Act.SEE_ADMINISTRATORS, show_team),
    TenantRoute("GET", f"{TEAM}/new", Act.INVITE_ADMINISTRATOR, new_administrator),
    TenantRoute("POST", f"{TEAM}/new", Act.INVITE_ADMINISTRATOR, invite, f"{TEAM}/new"),
    TenantRoute(
        "POST", f"{TEAM}/invitations/{{invitation}}/withdraw", Act.WITHDRAW_ADMINISTRATOR, withdraw, TEAM
    ),
    TenantRoute("GET", f"{MEMBER}/role", Act.CHANGE_ROLE, ask_role),
    TenantRoute("POST", f"{MEMBER}/role", Act.CHANGE_ROLE, change_role),
    TenantRoute("GET", f"{MEMBER}/remove", Act.REMOVE_ADMINISTRATOR, ask_removal),
    TenantRoute("POST", f"{MEMBER}/remove", Act.REMOVE_ADMINISTRATOR, remove),
    TenantRoute("GET", "/t/{tenant}/changes", Act.SEE_CHANGES, show_changes),
)
