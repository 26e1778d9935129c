"""What belongs to an administrator and to no tenant: the start, their passkeys, their sessions."""

from datetime import timedelta

from aiohttp import web

from services.admin.domain.roles import RULES, STEP_UP
from services.admin.handlers.console_access import (
    add_passkey,
    adding,
    end_other_sessions,
    end_session,
    list_sessions,
    remove_passkey,
    require_recent,
)
from services.admin.handlers.tenants import show_tenant
from services.admin.pages.views import SECTIONS, AccountPage, Confirm, Crumb, Frame, Organisations
from services.admin.routes.guard import ConsoleRoute, OwnRoute, Visit, redirect
from services.admin.routes.sign_in import key_of, webauthn
from shared.errors import NotFound

ACCOUNT = "/account"


async def home(visit: Visit) -> web.Response:
    """The one tenant at once; with several a choice, and with none the page that says so."""
    if len(visit.visitor.teams) == 1:
        return redirect(f"/t/{visit.visitor.teams[0].tenant}", said=visit.said)
    return await organisations(visit)


async def organisations(visit: Visit) -> web.Response:
    """Every tenant that the administrator has a role in. `from`: the section to stay in."""
    wanted = visit.request.query.get("from", "")
    section = next((each for each in SECTIONS if each.key == wanted), None)
    found = []
    for team in visit.visitor.teams:
        member, tenant = (
            team.member(visit.visitor.administrator.id),
            await visit.deps.tenants.get(team.tenant),
        )
        if member is not None and tenant is not None:
            path = section.path if section is not None and member.role in RULES[section.act].roles else ""
            found.append((tenant, member.role, f"/t/{tenant.slug}{path}"))
    return visit.render("organisations.html", Organisations(frame=visit.frame(), tenants=found))


async def account(visit: Visit) -> web.Response:
    """Own passkeys and sessions."""
    age = visit.deps.clock.now() - visit.visitor.session.proven_at
    frame = await _frame_in_the_only_tenant(visit)
    view = AccountPage(
        frame=frame or visit.frame("account"),
        crumbs=() if frame else (Crumb("/organisations", key="organisations.heading"),),
        sessions=await list_sessions(visit.deps, visit.visitor),
        webauthn=webauthn(visit.context, adding(visit.visitor.session)),
        recent=timedelta(0) <= age < STEP_UP,
    )
    return visit.render("account.html", view)


async def _frame_in_the_only_tenant(visit: Visit) -> Frame | None:
    """The frame with the navigation of the administrator's tenant; None with none or several, where it is no one's."""
    if len(visit.visitor.teams) != 1:
        return None
    slug = visit.visitor.teams[0].tenant
    address = _address(visit)
    return visit.context.pages.frame(
        visit.visitor,
        csrf=visit.csrf,
        actor=visit.visitor.actor(slug, address),
        tenant=await show_tenant(visit.deps, slug),
        section="account",
        said=visit.said,
    )


def _address(visit: Visit) -> str:
    return visit.context.browser(visit.request).address


async def add(visit: Visit) -> web.Response:
    """A further passkey, made by the page's script."""
    browser = visit.context.browser(visit.request)
    await add_passkey(visit.deps, visit.visitor, key_of(visit.form), visit.form.get("name", ""), browser)
    return redirect(ACCOUNT, said="passkey_added")


async def ask_removal(visit: Visit) -> web.Response:
    """Ask before a passkey is removed."""
    require_recent(visit.deps, visit.visitor)
    passkey = visit.visitor.administrator.passkey(visit.request.match_info["passkey"])
    if passkey is None:
        raise NotFound
    view = Confirm(
        frame=visit.frame("account"),
        crumbs=(Crumb(ACCOUNT, key="nav.account"),),
        act="passkey",
        subject=passkey.name,
        action=f"{ACCOUNT}/passkeys/{passkey.credential_id}/remove",
        back=ACCOUNT,
    )
    return visit.render("confirm.html", view)


async def remove(visit: Visit) -> web.Response:
    """Remove a passkey."""
    await remove_passkey(visit.deps, visit.visitor, visit.request.match_info["passkey"], _address(visit))
    return redirect(ACCOUNT, said="passkey_removed")


async def end(visit: Visit) -> web.Response:
    """End one of one's own sessions."""
    await end_session(visit.deps, visit.visitor, visit.request.match_info["session"], _address(visit))
    return redirect(ACCOUNT, said="session_ended")


async def end_others(visit: Visit) -> web.Response:
    """End all of them but this one."""
    await end_other_sessions(visit.deps, visit.visitor, _address(visit))
    return redirect(ACCOUNT, said="sessions_ended")


async def still_here(visit: Visit) -> web.Response:
    """One press of somebody who reads: the session goes on. Says in how many seconds it ends now."""
    return web.json_response({"ends_in": visit.frame().ends_in})


OWN_ROUTES: tuple[ConsoleRoute, ...] = (
    OwnRoute("GET", "/", home),
    OwnRoute("GET", "/organisations", organisations),
    OwnRoute("GET", ACCOUNT, account),
    OwnRoute("POST", f"{ACCOUNT}/passkeys", add),
    OwnRoute("GET", f"{ACCOUNT}/passkeys/{{passkey}}/remove", ask_removal),
    OwnRoute("POST", f"{ACCOUNT}/passkeys/{{passkey}}/remove", remove),
    OwnRoute("POST", f"{ACCOUNT}/sessions/{{session}}/end", end),
    OwnRoute("POST", f"{ACCOUNT}/sessions/end-others", end_others),
    OwnRoute("POST", f"{ACCOUNT}/still-here", still_here),
)
