"""The Overview, the first page of a tenant."""

from aiohttp import web

from services.admin.domain.roles import Act
from services.admin.domain.sign_ins import PERIODS
from services.admin.handlers.console_overview import overview
from services.admin.pages.chart import chart_of
from services.admin.pages.views import OverviewPage, TeamPage
from services.admin.routes.guard import ConsoleRoute, TenantRoute, TenantVisit, redirect
from shared.errors import BadInput


async def start(visit: TenantVisit) -> web.Response:
    """The Overview; for a role that may not see it the first page that it may open, or one that says there is none."""
    if visit.actor.may(Act.SEE_OVERVIEW):
        return await show_overview(visit)
    frame = visit.frame()
    if frame.sections:
        return redirect(visit.path(frame.sections[0].path), said=visit.said)
    return visit.render(
        "nothing.html", TeamPage(frame=frame, team=visit.team, now=frame.now, may_change=False)
    )


async def show_overview(visit: TenantVisit) -> web.Response:
    """How far the set-up has come, what to look at, and how sign-ins ended in the last `days` days."""
    days = _days(visit.request.query.get("days", ""))
    found = await overview(visit.deps, visit.actor, visit.visitor.administrator, days=days)
    view = OverviewPage(
        frame=visit.frame("overview"),
        overview=found,
        chart=chart_of(found.figures),
        application=visit.tenant.applications[0].id if visit.tenant.applications else "",
        offered=frozenset(act for act in Act if visit.actor.may(act)),
    )
    return visit.render("overview.html", view)


def _days(text: str) -> int:
    if not text:
        return PERIODS[1]
    found = {str(days): days for days in PERIODS}.get(text)
    if found is None:
        raise BadInput("admin.console.malformed")
    return found


OVERVIEW_ROUTES: tuple[ConsoleRoute, ...] = (TenantRoute("GET", "/t/{tenant}", Act.SEE_TENANT, start),)
