"""aiohttp to handlers and back: what is decided here is only HTTP. `ROUTES` is the table of the console's addresses."""

from aiohttp import web

from services.admin.routes.applications import APPLICATION_ROUTES
from services.admin.routes.configuration import CONFIGURATION_ROUTES
from services.admin.routes.federation import FEDERATION_ROUTES
from services.admin.routes.guard import (
    ConsoleRoute,
    OwnRoute,
    PublicRoute,
    RouteContext,
    TenantRoute,
)
from services.admin.routes.keys import KEY_ROUTES
from services.admin.routes.logo import LOGO_ROUTES
from services.admin.routes.overview import OVERVIEW_ROUTES
from services.admin.routes.own import OWN_ROUTES
from services.admin.routes.people import PEOPLE_ROUTES
from services.admin.routes.provisioning import PROVISIONING_ROUTES
from services.admin.routes.sign_in import SIGN_IN_ROUTES
from services.admin.routes.team import TEAM_ROUTES

ROUTES: tuple[ConsoleRoute, ...] = (
    *SIGN_IN_ROUTES,
    *OWN_ROUTES,
    *OVERVIEW_ROUTES,
    *TEAM_ROUTES,
    *CONFIGURATION_ROUTES,
    *PEOPLE_ROUTES,
    *APPLICATION_ROUTES,
    *KEY_ROUTES,
    *LOGO_ROUTES,
    *FEDERATION_ROUTES,
    *PROVISIONING_ROUTES,
)
"""Every address of the console, with who may ask for it. A test walks it (`tests/admin/test_console_routes.py`)."""


def all_routes(context: RouteContext) -> list[web.RouteDef]:
    """The table as aiohttp takes it."""
    return [web.route(each.method, each.path, each.bind(context)) for each in ROUTES]


__all__ = ["ROUTES", "ConsoleRoute", "OwnRoute", "PublicRoute", "RouteContext", "TenantRoute", "all_routes"]
