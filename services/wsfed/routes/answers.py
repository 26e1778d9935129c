"""How a token leaves, or does not: from a session, as the form that goes to Microsoft, or as the page of a loop."""

from aiohttp import web

from services.wsfed.handlers.common import HeldSession
from services.wsfed.handlers.sessions import SsoRequest, answer_from_session
from services.wsfed.handlers.token_issuance import Issued, RedirectLoop
from services.wsfed.pages import views
from services.wsfed.routes import view_models
from services.wsfed.routes.context import RouteContext, language
from services.wsfed.routes.logo import logo_path


async def session_answer(
    context: RouteContext, request: web.Request, asked: SsoRequest, held: HeldSession
) -> web.Response | None:
    """The token at once when this browser's session is enough; None when the person must sign in."""
    try:
        issued = await answer_from_session(context.deps, asked, held)
    except RedirectLoop as loop:
        return loop_page(context, request, loop)
    if issued is None:
        return None
    back = f"/signin/{asked.transaction or 'finished'}"
    return token_page(context, request, issued, back, asked.request.locale)


def token_page(
    context: RouteContext, request: web.Request, issued: Issued, back_url: str, locale: str | None
) -> web.Response:
    """The form that posts the token to Microsoft."""
    view = views.TokenForm(
        action=issued.form.action,
        fields=issued.form.fields,
        back_url=back_url,
        organisation=issued.tenant.configured.name,
        logo=logo_path(issued.tenant),
    )
    return context.pages.token(request, view, lang=language(locale))


def loop_page(context: RouteContext, request: web.Request, loop: RedirectLoop) -> web.Response:
    """Says what is most likely misconfigured."""
    start_url = context.settings.cloud(loop.tenant.configured.cloud).start_url
    view = view_models.stopped_loop(loop.tenant, loop.request, start_url)
    return context.pages.sign_in(request, view, lang=language(loop.request.locale))
