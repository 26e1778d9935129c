"""Tenant configuration: the checklist of what must be right in Microsoft 365 (docs/flows/tenant-configuration.md)."""

from aiohttp import web

from services.admin.domain.roles import Act
from services.admin.handlers import console_configuration as configuration
from services.admin.pages.views import ConfigurationItemPage, ConfigurationPage, Crumb
from services.admin.routes.guard import ConsoleRoute, TenantRoute, TenantVisit, redirect

CONFIGURATION = "/t/{tenant}/configuration"
ITEM = f"{CONFIGURATION}/{{item}}"


async def show_configuration(visit: TenantVisit) -> web.Response:
    """Every item with its state."""
    view = ConfigurationPage(
        frame=visit.frame("configuration"),
        groups=await configuration.show_configuration(visit.deps, visit.actor),
    )
    return visit.render("configuration.html", view)


async def show_item(visit: TenantVisit) -> web.Response:
    """One of them: what, why, how."""
    view = ConfigurationItemPage(
        frame=visit.frame("configuration"),
        crumbs=(Crumb(visit.path("/configuration"), key="nav.configuration"),),
        shown=await configuration.show_item(visit.deps, visit.actor, _item(visit)),
        may_change=visit.actor.may(Act.MARK_CONFIGURATION),
        may_change_policy=visit.actor.may(Act.CHANGE_APPLICATION),
    )
    return visit.render("configuration-item.html", view)


async def mark(visit: TenantVisit) -> web.Response:
    """It is done, an administrator says."""
    domains = frozenset(visit.form.get("domains", "").split())
    await configuration.mark_item(visit.deps, visit.actor, _item(visit), domains=domains)
    return redirect(visit.path(f"/configuration/{_item(visit)}"), said="marked")


async def take_back(visit: TenantVisit) -> web.Response:
    """It is not, after all."""
    await configuration.take_back_mark(visit.deps, visit.actor, _item(visit), visit.form.get("mark", ""))
    return redirect(visit.path(f"/configuration/{_item(visit)}"), said="unmarked")


def _item(visit: TenantVisit) -> str:
    return visit.request.match_info["item"]


CONFIGURATION_ROUTES: tuple[ConsoleRoute, ...] = (
    TenantRoute("GET", CONFIGURATION, Act.SEE_CONFIGURATION, show_configuration),
    TenantRoute("GET", ITEM, Act.SEE_CONFIGURATION, show_item),
    TenantRoute("POST", f"{ITEM}/mark", Act.MARK_CONFIGURATION, mark),
    TenantRoute("POST", f"{ITEM}/unmark", Act.UNMARK_CONFIGURATION, take_back),
)
