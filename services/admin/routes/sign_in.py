"""Into the console and out of it (docs/flows/console-sign-in.md, steps 2 to 9)."""

from collections.abc import Mapping

from aiohttp import web

from services.admin.domain.ceremonies import PostedAssertion, PostedKey
from services.admin.handlers.console_access import (
    SIGN_IN as FOR_SIGN_IN,
)
from services.admin.handlers.console_access import (
    OpenedSession,
    accept_invitation,
    challenge,
    join_team,
    joining,
    show_team_invitation,
    sign_in,
    sign_out,
    step_up,
    stepping_up,
    visit,
)
from services.admin.pages.views import JoinPage, PasskeyPage, WebAuthn
from services.admin.routes.cookies import SESSION_COOKIE
from services.admin.routes.guard import (
    PURPOSE,
    SIGN_IN,
    STEP_UP,
    ConsoleRoute,
    OwnRoute,
    PublicRoute,
    RouteContext,
    Visit,
    local_path,
    redirect,
)
from shared.errors import BadInput, Forbidden
from shared.ids import b64u, new_id
from shared.web import inputs
from shared.web.cookies import Csrf


def webauthn(context: RouteContext, purpose: str) -> WebAuthn:
    """What a page's script asks the browser to sign."""
    return WebAuthn(challenge=b64u(challenge(context.deps, purpose)), rp_id=context.deps.console_rp_id)


async def sign_in_page(context: RouteContext, request: web.Request) -> web.Response:
    """Step 6: the sign-in page. Whoever is signed in goes on at once."""
    to = local_path(request.query.get("to", "/"))
    if await visit(context.deps, SESSION_COOKIE.read(request)) is not None:
        return redirect(to)
    return _ask(context, request, to)


def _ask(context: RouteContext, request: web.Request, to: str, refused: str = "") -> web.Response:
    view = PasskeyPage(webauthn=webauthn(context, FOR_SIGN_IN), to=to, problem=refused)
    return context.pages.render(request, "signin.html", view, status=403 if refused else 200)


async def sign_in_posted(context: RouteContext, request: web.Request) -> web.Response:
    """Step 7: the assertion that the page's script put into the form."""
    form = await inputs.form(request)
    to = local_path(form.get("to", "/"))
    try:
        opened = await sign_in(context.deps, assertion_of(form), context.browser(request))
    except (Forbidden, BadInput) as refusal:
        return _ask(context, request, to, refusal.code)
    before = await visit(context.deps, SESSION_COOKIE.read(request))
    if before is not None:  # the cookie is about to be replaced, so nobody would end that session
        await sign_out(context.deps, before)
    return _with_session(redirect(to), opened)


def _with_session(response: web.Response, opened: OpenedSession) -> web.Response:
    # Until the browser closes: the session's own end is in the database.
    SESSION_COOKIE.set(response, opened.secret)
    return response


async def sign_out_posted(visit_: Visit) -> web.Response:
    """End the session here."""
    await sign_out(visit_.deps, visit_.visitor)
    response = redirect(f"{SIGN_IN}?bye")
    SESSION_COOKIE.clear(response)
    return response


async def join_page(context: RouteContext, request: web.Request) -> web.Response:
    """Steps 2 and 3: the page of a one-time link. Its secret is in the fragment, which only the page's script reads."""
    slug, invitation = request.match_info["tenant"], request.match_info["invitation"]
    return await _join(context, request, slug, invitation)


async def _join(
    context: RouteContext, request: web.Request, slug: str, invitation: str, refused: str = ""
) -> web.Response:
    tenant, found = await show_team_invitation(context.deps, slug, invitation)
    cookie = SESSION_COOKIE.read(request)
    visitor = await visit(context.deps, cookie)
    administrator = new_id(context.deps.ids)
    view = JoinPage(
        webauthn=webauthn(context, joining(invitation, administrator)),
        administrator=administrator,
        organisation=tenant.name,
        role=found.role,
        name=found.name,
        email=found.email,
        action=f"/join/{slug}/{invitation}",
        signed_in_as=visitor.administrator.name if visitor else "",
        csrf=context.csrf.token(cookie, PURPOSE) if visitor and cookie else "",
        problem=refused,
    )
    return context.pages.render(request, "join.html", view, status=403 if refused else 200)


async def join_posted(context: RouteContext, request: web.Request) -> web.Response:
    """Steps 4 and 5: the first passkey, or the press of somebody who is signed in already."""
    slug, invitation = request.match_info["tenant"], request.match_info["invitation"]
    form = await inputs.form(request)
    secret = form.get("secret", "")
    if "signed_in" in form:
        cookie = SESSION_COOKIE.read(request)
        visitor = await visit(context.deps, cookie)
        context.csrf.check(request, form.get(Csrf.FIELD), cookie if visitor else None, PURPOSE)
        assert visitor is not None, "the check was refused without one"
        address = context.browser(request).address
        await join_team(context.deps, slug, invitation, secret=secret, visitor=visitor, address=address)
        return redirect(f"/t/{slug}", said="joined")
    try:
        opened = await accept_invitation(
            context.deps,
            slug,
            invitation,
            secret=secret,
            administrator=form.get("administrator", "")[:64],
            posted=key_of(form),
            name=form.get("name", ""),
            passkey_name="",
            browser=context.browser(request),
        )
    except (Forbidden, BadInput) as refusal:
        return await _join(context, request, slug, invitation, refusal.code)
    return _with_session(redirect(f"/t/{slug}", said="joined"), opened)


async def step_up_page(visit_: Visit) -> web.Response:
    """Step 9: ask for the passkey again, before an act that wants it."""
    return _ask_again(visit_, local_path(visit_.request.query.get("to", "/")))


def _ask_again(visit_: Visit, to: str, refused: str = "") -> web.Response:
    view = PasskeyPage(
        webauthn=webauthn(visit_.context, stepping_up(visit_.visitor.session)),
        to=to,
        problem=refused,
        csrf=visit_.csrf,
        name=visit_.visitor.administrator.name,
        credentials=tuple(each.credential_id for each in visit_.visitor.administrator.passkeys),
    )
    return visit_.render("stepup.html", view, status=403 if refused else 200, said=False)


async def step_up_posted(visit_: Visit) -> web.Response:
    """Step 9: the assertion; then back to where it was asked for."""
    to = local_path(visit_.form.get("to", "/"))
    try:
        await step_up(visit_.deps, visit_.visitor, assertion_of(visit_.form))
    except (Forbidden, BadInput) as refusal:
        return _ask_again(visit_, to, refusal.code)
    return redirect(to)


def assertion_of(form: Mapping[str, str]) -> PostedAssertion:
    """The assertion in a form; empty fields where it has none."""
    return PostedAssertion(
        credential_id=form.get("credential_id", ""),
        authenticator_data=form.get("authenticator_data", ""),
        client_data_json=form.get("client_data_json", ""),
        signature=form.get("signature", ""),
    )


def key_of(form: Mapping[str, str]) -> PostedKey:
    """The registration in a form; empty fields where it has none."""
    return PostedKey(
        credential_id=form.get("credential_id", ""),
        attestation_object=form.get("attestation_object", ""),
        client_data_json=form.get("client_data_json", ""),
    )


SIGN_IN_ROUTES: tuple[ConsoleRoute, ...] = (
    PublicRoute("GET", SIGN_IN, sign_in_page),
    PublicRoute("POST", SIGN_IN, sign_in_posted),
    PublicRoute("GET", "/join/{tenant}/{invitation}", join_page),
    PublicRoute("POST", "/join/{tenant}/{invitation}", join_posted),
    OwnRoute("POST", "/sign-out", sign_out_posted),
    OwnRoute("GET", STEP_UP, step_up_page),
    OwnRoute("POST", STEP_UP, step_up_posted),
)
