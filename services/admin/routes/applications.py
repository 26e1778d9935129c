"""Applications: the list, one from the template Microsoft 365, its settings and the policy of signing in."""

from typing import TypedDict

from aiohttp import web

from services.admin.domain.configuration import Item
from services.admin.domain.roles import Act
from services.admin.domain.tenants import SESSION_HOURS
from services.admin.handlers import console_applications as applications
from services.admin.handlers.console_federation import list_federations
from services.admin.pages.views import (
    ApplicationPage,
    ApplicationsPage,
    Crumb,
    Form,
    FormPage,
    refused,
)
from services.admin.routes.guard import ConsoleRoute, TenantRoute, TenantVisit, redirect
from shared.contracts.admin import Application, Policy
from shared.errors import BadInput, Conflict, NotFound

APPLICATIONS = "/t/{tenant}/applications"
APPLICATION = f"{APPLICATIONS}/{{application}}"
POLICY = "/t/{tenant}/sign-in-policy"
FIELDS = ("name", "session_hours", "first_method")
IDLE_MINUTES = range(5, 721)
SIGN_IN = ("open", "known_browsers", "passkeys_only")


async def list_applications(visit: TenantVisit) -> web.Response:
    """The applications, and the way to the first one."""
    view = ApplicationsPage(
        frame=visit.frame("applications"),
        applications=visit.tenant.applications,
        may_change=visit.actor.may(Act.CHANGE_APPLICATION),
    )
    return visit.render("applications.html", view)


async def new_application(visit: TenantVisit) -> web.Response:
    """The form of the template."""
    values = {"name": "Microsoft 365", "session_hours": "8", "first_method": "push"}
    return _form(visit, "/applications/new", "/applications", Form(values))


async def add_application(visit: TenantVisit) -> web.Response:
    """Make it."""
    values = _values(visit)
    try:
        made = await applications.add_application(visit.deps, visit.actor, **_typed(values))
    except (BadInput, Conflict) as error:
        return _form(visit, "/applications/new", "/applications", refused(values, error, otherwise="name"))
    return redirect(visit.path(f"/applications/{made.id}"), said="application_added")


async def show_application(visit: TenantVisit) -> web.Response:
    """One of them: settings, what Entra is told, certificates, and how people sign in."""
    application = _application(visit)
    view = ApplicationPage(
        frame=visit.frame("applications"),
        crumbs=(_list(visit),),
        application=application,
        policy=visit.tenant.policy,
        federations=await list_federations(visit.deps, visit.actor),
        domains=len(visit.tenant.domains),
        certificates=await visit.deps.certificates.of(visit.actor.tenant),
        try_url=f"{visit.deps.origin}/t/{visit.actor.tenant}/try",
        may_change=visit.actor.may(Act.CHANGE_APPLICATION),
    )
    return visit.render("application.html", view)


async def ask_change(visit: TenantVisit) -> web.Response:
    """The form for its settings."""
    application = _application(visit)
    values = {
        "name": application.name,
        "session_hours": str(application.session_hours),
        "first_method": application.first_method,
        "version": str(visit.tenant.version),
    }
    return _change(visit, application, Form(values))


def _change(visit: TenantVisit, application: Application, form: Form) -> web.Response:
    path = f"/applications/{application.id}"
    return _form(visit, f"{path}/edit", path, form, application)


async def change_application(visit: TenantVisit) -> web.Response:
    """Keep them."""
    application, values = _application(visit), _values(visit)
    values["version"] = visit.form.get("version", "")
    version = _number(values["version"])
    try:
        await applications.change_application(
            visit.deps, visit.actor, application.id, **_typed(values), expected_version=version
        )
    except (BadInput, Conflict) as error:
        if error.id == "admin.tenant.changed":  # the next press is about what is shown now
            values["version"] = str(visit.tenant.version)
        return _change(visit, application, refused(values, error, otherwise="name"))
    return redirect(visit.path(f"/applications/{application.id}"), said="saved")


async def ask_policy(visit: TenantVisit) -> web.Response:
    """The form for how people sign in."""
    policy = visit.tenant.policy
    values = {
        "sign_in": policy.sign_in,
        "same_network": "yes" if policy.same_network_or_passkey else "",
        "idle_minutes": str(policy.session_idle_minutes),
        "version": str(visit.tenant.version),
        "from": visit.request.query.get("from", ""),
    }
    return _policy(visit, Form(values))


def _policy(visit: TenantVisit, form: Form) -> web.Response:
    way = _way_to_policy(visit, form.value("from"))
    view = FormPage(
        frame=visit.frame("applications"),
        crumbs=way,
        form=form,
        action=visit.path("/sign-in-policy"),
        back=way[-1].href,
    )
    return visit.render("sign-in-policy.html", view, status=400 if form.errors else 200)


def _way_to_policy(visit: TenantVisit, name: str) -> tuple[Crumb, ...]:
    """The way to the page that led to the form and is shown after it. `name`: the id of an application, `overview` or
    `configuration`; any other is the list of applications.
    """
    if name == "overview":
        return (Crumb(visit.path(""), key="nav.overview"),)
    if name == "configuration":
        item = visit.path(f"/configuration/{Item.KNOWN_BROWSERS.value}")
        return (
            Crumb(visit.path("/configuration"), key="nav.configuration"),
            Crumb(item, key=f"item.{Item.KNOWN_BROWSERS.value}.title"),
        )
    found = next((each for each in visit.tenant.applications if each.id == name), None)
    if found is None:
        return (_list(visit),)
    return (_list(visit), Crumb(visit.path(f"/applications/{found.id}"), name=found.name))


async def change_policy(visit: TenantVisit) -> web.Response:
    """Keep it. What the form does not show stays as it is."""
    values = {
        name: visit.form.get(name, "")
        for name in ("sign_in", "same_network", "idle_minutes", "version", "from")
    }
    try:
        policy = _read_policy(values, visit.tenant.policy)
        version = _number(values["version"])
        await applications.change_policy(visit.deps, visit.actor, policy, expected_version=version)
    except (BadInput, Conflict) as error:
        if error.id == "admin.tenant.changed":
            values["version"] = str(visit.tenant.version)
        return _policy(visit, refused(values, error, otherwise="sign_in"))
    return redirect(_way_to_policy(visit, values["from"])[-1].href, said="saved")


def _read_policy(values: dict[str, str], before: Policy) -> Policy:
    """Raises BadInput."""
    if values["sign_in"] not in SIGN_IN:
        raise BadInput("admin.policy.sign_in")
    minutes = values["idle_minutes"].strip()
    if not (minutes.isascii() and minutes.isdigit() and len(minutes) < 4 and int(minutes) in IDLE_MINUTES):
        raise BadInput("admin.policy.idle")
    changes = {
        "sign_in": values["sign_in"],
        "same_network_or_passkey": values["same_network"] == "yes",
        "session_idle_minutes": int(minutes),
    }
    return before.model_copy(update=changes)


def _form(
    visit: TenantVisit, action: str, back: str, form: Form, application: Application | None = None
) -> web.Response:
    crumbs = [_list(visit)]
    if application is not None:
        crumbs.append(Crumb(visit.path(f"/applications/{application.id}"), name=application.name))
    view = FormPage(
        frame=visit.frame("applications"),
        crumbs=tuple(crumbs),
        form=form,
        action=visit.path(action),
        back=visit.path(back),
        subject="" if application is None else application.name,
    )
    return visit.render("application-form.html", view, status=400 if form.errors else 200)


def _values(visit: TenantVisit) -> dict[str, str]:
    return {name: visit.form.get(name, "") for name in FIELDS}


class _Settings(TypedDict):
    """What the form of an application says."""

    name: str
    session_hours: int
    first_method: str


def _typed(values: dict[str, str]) -> _Settings:
    """Raises BadInput for a number of hours that is none of those offered."""
    hours = values["session_hours"]
    if hours not in {str(each) for each in SESSION_HOURS}:
        raise BadInput("admin.application.session_hours", hours=repr(hours[:20]))
    return {
        "name": values["name"],
        "session_hours": int(hours),
        "first_method": values["first_method"],
    }


def _application(visit: TenantVisit) -> Application:
    """Raises NotFound."""
    wanted = visit.request.match_info["application"]
    for each in visit.tenant.applications:
        if each.id == wanted:
            return each
    raise NotFound("admin.application.unknown")


def _number(text: str) -> int:
    """The version that a form was made of. Raises BadInput."""
    if not (text.isascii() and text.isdigit() and len(text) < 10):
        raise BadInput("admin.console.malformed")
    return int(text)


def _list(visit: TenantVisit) -> Crumb:
    return Crumb(visit.path("/applications"), key="nav.applications")


APPLICATION_ROUTES: tuple[ConsoleRoute, ...] = (
    TenantRoute("GET", APPLICATIONS, Act.SEE_APPLICATIONS, list_applications),
    TenantRoute("GET", f"{APPLICATIONS}/new", Act.CHANGE_APPLICATION, new_application),
    TenantRoute("POST", f"{APPLICATIONS}/new", Act.CHANGE_APPLICATION, add_application),
    TenantRoute("GET", APPLICATION, Act.SEE_APPLICATIONS, show_application),
    TenantRoute("GET", f"{APPLICATION}/edit", Act.CHANGE_APPLICATION, ask_change),
    TenantRoute("POST", f"{APPLICATION}/edit", Act.CHANGE_APPLICATION, change_application),
    TenantRoute("GET", POLICY, Act.CHANGE_POLICY, ask_policy),
    TenantRoute("POST", POLICY, Act.CHANGE_POLICY, change_policy),
)
