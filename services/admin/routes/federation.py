"""Federation: the domains, what Entra is told of each, who would be locked out, and the scripts."""

from collections.abc import Callable
from urllib.parse import urlencode

from aiohttp import web

from services.admin.domain.configuration import Item
from services.admin.domain.federation import Federation
from services.admin.domain.federation_scripts import back_out_script, federation_script, script_name
from services.admin.domain.powershell import script_octets
from services.admin.domain.roles import Act
from services.admin.handlers import console_federation as domains
from services.admin.handlers.federation import Readiness
from services.admin.pages.views import (
    Crumb,
    DomainPage,
    FederationPage,
    Form,
    FormPage,
    ReadinessPage,
    ScriptPage,
    refused,
)
from services.admin.routes.guard import ConsoleRoute, TenantRoute, TenantVisit, redirect
from shared.clock import iso_millis
from shared.errors import BadInput, Conflict, Unavailable

FEDERATION = "/t/{tenant}/federation"
DOMAIN = f"{FEDERATION}/{{domain}}"
PER_PAGE = 100
"""People on one page of the readiness."""


async def list_domains(visit: TenantVisit) -> web.Response:
    """The domains, each with how far it has come."""
    view = FederationPage(
        frame=visit.frame("federation"),
        domains=await domains.list_domains(visit.deps, visit.actor),
        may_change=visit.actor.may(Act.CHANGE_FEDERATION),
    )
    return visit.render("federation.html", view)


async def new_domain(visit: TenantVisit) -> web.Response:
    """The form for a domain."""
    return _new(visit, Form())


def _new(visit: TenantVisit, form: Form) -> web.Response:
    view = FormPage(
        frame=visit.frame("federation"),
        crumbs=(_list(visit),),
        form=form,
        action=visit.path("/federation/new"),
        back=visit.path("/federation"),
    )
    return visit.render("domain-new.html", view, status=400 if form.errors else 200)


async def add_domain(visit: TenantVisit) -> web.Response:
    """Take it."""
    values = {"domain": visit.form.get("domain", "")}
    if not values["domain"].strip():
        return _new(visit, Form(values, {"domain": BadInput("admin.console.empty")}))
    try:
        made = await domains.add_tenants_domain(visit.deps, visit.actor, values["domain"])
    except (BadInput, Conflict) as error:
        return _new(visit, Form(values, {"domain": error}))
    return redirect(visit.path(f"/federation/{made.name}"), said="domain_added")


async def show_domain(visit: TenantVisit) -> web.Response:
    """A domain's page."""
    shown = await domains.show_domain(visit.deps, visit.actor, _domain(visit))
    view = DomainPage(
        frame=visit.frame("federation"),
        crumbs=(_list(visit),),
        shown=shown,
        applications=len(visit.tenant.applications),
        has_emergency=(await visit.deps.checklists.get(visit.actor.tenant)).mark(Item.BREAK_GLASS)
        is not None,
        may_change=visit.actor.may(Act.CHANGE_FEDERATION),
        readiness=await _counted(visit),
    )
    return visit.render("domain.html", view)


async def _counted(visit: TenantVisit) -> Readiness | None:
    """How many would be locked out; None where accounts from before are not indexed yet."""
    try:
        return await domains.show_readiness(visit.deps, visit.actor, _domain(visit), limit=1)
    except Unavailable:
        return None


async def show_state(visit: TenantVisit) -> web.Response:
    """How far the domain has come, for the page's script: `{"state", "request", "sign_in"}`, times in UTC or null."""
    used = (await domains.show_domain(visit.deps, visit.actor, _domain(visit))).used
    request = None if used is None else used.first_request_at
    sign_in = None if used is None else used.first_sign_in_at
    answer = {
        "state": "none" if request is None else "requested" if sign_in is None else "signed_in",
        "request": None if request is None else iso_millis(request),
        "sign_in": None if sign_in is None else iso_millis(sign_in),
    }
    return web.json_response(answer)


async def show_readiness(visit: TenantVisit) -> web.Response:
    """Who would be locked out: a page of them."""
    cursor = visit.request.query.get("after") or None
    found = await domains.show_readiness(
        visit.deps, visit.actor, _domain(visit), cursor=cursor, limit=PER_PAGE
    )
    following = urlencode({"after": found.cursor or ""})
    view = ReadinessPage(
        frame=visit.frame("federation"),
        crumbs=_way(visit, found.domain),
        readiness=found,
        shown=found.shown,
        next=visit.path(f"/federation/{found.domain}/readiness?{following}") if found.cursor else None,
        first=cursor is None,
    )
    return visit.render("readiness.html", view)


async def ask_script(visit: TenantVisit) -> web.Response:
    """Before the script: how many would be locked out, which must be typed."""
    return await _ask_script(visit, Form())


async def _ask_script(visit: TenantVisit, form: Form) -> web.Response:
    found = await domains.show_readiness(visit.deps, visit.actor, _domain(visit))
    view = ReadinessPage(
        frame=visit.frame("federation"),
        crumbs=_way(visit, found.domain),
        readiness=found,
        form=form,
    )
    return visit.render("script-ask.html", view, status=400 if form.errors else 200)


async def show_script(visit: TenantVisit) -> web.Response:
    """The script."""
    typed = visit.form.get("typed", "")
    try:
        made = await domains.take_script(visit.deps, visit.actor, _domain(visit), typed=typed, step="shown")
    except BadInput as error:
        return await _ask_script(visit, refused({"typed": typed}, error, otherwise="typed"))
    return _script(visit, made, federation_script, typed=typed)


async def download_script(visit: TenantVisit) -> web.Response:
    """The same as a file. Raises BadInput when another number of people would be locked out by now."""
    typed = visit.form.get("typed", "")
    made = await domains.take_script(visit.deps, visit.actor, _domain(visit), typed=typed, step="downloaded")
    return _file(federation_script(made), script_name(made.domain))


async def ask_back_out(visit: TenantVisit) -> web.Response:
    """Before the script that undoes it: what that means for people."""
    shown = await domains.show_domain(visit.deps, visit.actor, _domain(visit))
    view = ScriptPage(
        frame=visit.frame("federation"), crumbs=_way(visit, shown.domain.name), domain=shown.domain.name
    )
    return visit.render("back-out.html", view)


async def show_back_out(visit: TenantVisit) -> web.Response:
    """The script that undoes it."""
    made = await domains.take_back_out(visit.deps, visit.actor, _domain(visit), step="shown")
    return _script(visit, made, back_out_script, back_out=True)


async def download_back_out(visit: TenantVisit) -> web.Response:
    """The same as a file."""
    made = await domains.take_back_out(visit.deps, visit.actor, _domain(visit), step="downloaded")
    return _file(back_out_script(made), script_name(made.domain, back_out=True))


def _script(
    visit: TenantVisit,
    federation: Federation,
    make: Callable[[Federation], str],
    *,
    typed: str = "",
    back_out: bool = False,
) -> web.Response:
    view = ScriptPage(
        frame=visit.frame("federation"),
        crumbs=_way(visit, federation.domain),
        domain=federation.domain,
        script=make(federation),
        file=script_name(federation.domain, back_out=back_out),
        typed=typed,
        back_out=back_out,
    )
    return visit.render("script.html", view)


def _file(script: str, name: str) -> web.Response:
    """To be saved, whatever the browser would make of PowerShell. The name has a domain's characters only."""
    headers = {"Content-Disposition": f'attachment; filename="{name}"'}
    return web.Response(body=script_octets(script), content_type="application/octet-stream", headers=headers)


def _domain(visit: TenantVisit) -> str:
    return visit.request.match_info["domain"]


def _list(visit: TenantVisit) -> Crumb:
    return Crumb(visit.path("/federation"), key="nav.federation")


def _way(visit: TenantVisit, domain: str) -> tuple[Crumb, ...]:
    return (_list(visit), Crumb(visit.path(f"/federation/{domain}"), name=domain))


FEDERATION_ROUTES: tuple[ConsoleRoute, ...] = (
    TenantRoute("GET", FEDERATION, Act.SEE_FEDERATION, list_domains),
    TenantRoute("GET", f"{FEDERATION}/new", Act.CHANGE_FEDERATION, new_domain),
    TenantRoute("POST", f"{FEDERATION}/new", Act.CHANGE_FEDERATION, add_domain, f"{FEDERATION}/new"),
    TenantRoute("GET", DOMAIN, Act.SEE_FEDERATION, show_domain),
    TenantRoute("GET", f"{DOMAIN}/state", Act.SEE_FEDERATION, show_state, by_itself=True),
    TenantRoute("GET", f"{DOMAIN}/readiness", Act.SEE_FEDERATION, show_readiness),
    TenantRoute("GET", f"{DOMAIN}/script", Act.CHANGE_FEDERATION, ask_script),
    TenantRoute("POST", f"{DOMAIN}/script", Act.CHANGE_FEDERATION, show_script, f"{DOMAIN}/script"),
    TenantRoute("POST", f"{DOMAIN}/script.ps1", Act.CHANGE_FEDERATION, download_script, f"{DOMAIN}/script"),
    TenantRoute("GET", f"{DOMAIN}/back-out", Act.CHANGE_FEDERATION, ask_back_out),
    TenantRoute("POST", f"{DOMAIN}/back-out", Act.CHANGE_FEDERATION, show_back_out, f"{DOMAIN}/back-out"),
    TenantRoute(
        "POST", f"{DOMAIN}/back-out.ps1", Act.CHANGE_FEDERATION, download_back_out, f"{DOMAIN}/back-out"
    ),
)
