"""The organisation's logo: the form, whose script scales the picture, and the picture itself."""

from aiohttp import web

from services.admin.domain.roles import Act
from services.admin.handlers import console_logo as logos
from services.admin.pages.views import Crumb, Form, LogoPage
from services.admin.routes.guard import ConsoleRoute, TenantRoute, TenantVisit, redirect
from shared.errors import BadInput, Conflict
from shared.picture import MAX_HEIGHT, MAX_PNG, MAX_WIDTH

LOGO = "/t/{tenant}/logo"
FIELDS = ("width", "height", "pixels")


async def ask_logo(visit: TenantVisit) -> web.Response:
    """The logo as it is, and the form for another one."""
    return _form(visit, Form())


def _form(visit: TenantVisit, form: Form) -> web.Response:
    view = LogoPage(
        frame=visit.frame("applications"),
        crumbs=(Crumb(visit.path("/applications"), key="nav.applications"),),
        logo=visit.tenant.logo,
        version=visit.tenant.version,
        largest=(MAX_WIDTH, MAX_HEIGHT, MAX_PNG),
        form=form,
    )
    return visit.render("logo.html", view, status=400 if form.errors else 200)


async def set_logo(visit: TenantVisit) -> web.Response:
    """Keep it."""
    given = {name: visit.form.get(name, "") for name in FIELDS}
    if not given["pixels"]:
        return _form(visit, Form({}, {"file": BadInput("admin.logo.empty")}))
    try:
        await logos.set_logo(
            visit.deps,
            visit.actor,
            width=given["width"],
            height=given["height"],
            pixels=given["pixels"],
            expected_version=_version(visit),
        )
    except (BadInput, Conflict) as error:
        return _form(visit, Form({}, {"file": error}))
    return redirect(visit.path("/logo"), said="saved")


async def remove_logo(visit: TenantVisit) -> web.Response:
    """Show initials again."""
    try:
        await logos.remove_logo(visit.deps, visit.actor, expected_version=_version(visit))
    except Conflict as error:
        return _form(visit, Form({}, {"file": error}))
    return redirect(visit.path("/logo"), said="saved")


async def show_logo(visit: TenantVisit) -> web.Response:
    """The PNG."""
    return web.Response(body=await logos.show_logo(visit.deps, visit.actor), content_type="image/png")


def _version(visit: TenantVisit) -> int:
    """Raises BadInput."""
    text = visit.form.get("version", "")
    if not (text.isascii() and text.isdigit() and len(text) < 10):
        raise BadInput("admin.console.malformed")
    return int(text)


LOGO_ROUTES: tuple[ConsoleRoute, ...] = (
    TenantRoute("GET", LOGO, Act.CHANGE_APPLICATION, ask_logo),
    TenantRoute("POST", LOGO, Act.CHANGE_APPLICATION, set_logo),
    TenantRoute("POST", f"{LOGO}/remove", Act.CHANGE_APPLICATION, remove_logo),
    TenantRoute("GET", f"{LOGO}/picture", Act.SEE_APPLICATIONS, show_logo),
)
