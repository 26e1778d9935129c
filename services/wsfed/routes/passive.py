"""WS-Federation's passive requests: sign-in (docs/flows/sign-in.md, step 1), sign-out and its clean-up."""

from dataclasses import dataclass
from urllib.parse import parse_qsl

from aiohttp import web

from services.wsfed.domain.request import (
    MAXIMUM_PARAMETERS,
    SignInRequest,
    SignOutCleanupRequest,
    SignOutRequest,
    parse_passive_request,
)
from services.wsfed.handlers.common import find_tenant
from services.wsfed.handlers.sessions import SsoRequest, sign_out
from services.wsfed.handlers.signing_in import begin
from services.wsfed.pages import views
from services.wsfed.routes.answers import session_answer
from services.wsfed.routes.context import RouteContext, see
from services.wsfed.routes.cookies import BROWSER_COOKIE, session_secrets
from services.wsfed.routes.navigation import is_from_entra
from shared.errors import BadInput
from shared.web import inputs


@dataclass(frozen=True, slots=True)
class PassiveRoutes:
    """Routes under `/t/{tenant}/wsfed`."""

    context: RouteContext

    def routes(self) -> list[web.RouteDef]:
        """The routes of Entra's requests."""
        return [
            web.get("/t/{tenant}/wsfed", self.passive),
            web.post("/t/{tenant}/wsfed", self.passive),
        ]

    async def passive(self, request: web.Request) -> web.Response:
        """Entra's request. A POST from another site brings no cookies, so it ends at our own GET first."""
        pairs = await _parameters(request)
        parsed = parse_passive_request(pairs, reply_urls=self.context.settings.reply_urls)
        if not isinstance(parsed, SignInRequest):
            return await self._sign_out(request, parsed)
        slug, deps = request.match_info["tenant"], self.context.deps
        from_entra = is_from_entra(
            request, reply_urls=self.context.settings.reply_urls, own_origin=deps.origin
        )
        if request.method == "POST":
            return see((await begin(deps, slug, parsed, None, from_entra=from_entra)).id)
        if parsed.username is not None:
            upn = parsed.username.lower()
            asked = SsoRequest(tenant=slug, upn=upn, request=parsed, requested_at=deps.clock.now())
            answer = await session_answer(self.context, request, asked)
            if answer is not None:
                return answer
        secret, is_new = self.context.browser_secret(request)
        response = see((await begin(deps, slug, parsed, secret, from_entra=from_entra)).id)
        if is_new:
            BROWSER_COOKIE.set(response, secret)
        return response

    async def _sign_out(
        self, request: web.Request, parsed: SignOutRequest | SignOutCleanupRequest
    ) -> web.Response:
        """End every session of this browser. Clean-up always answers 200; sign-out may go back to Microsoft."""
        await find_tenant(self.context.deps, request.match_info["tenant"])
        await sign_out(self.context.deps, session_secrets(request))
        if isinstance(parsed, SignOutRequest) and parsed.wreply is not None:
            return web.Response(status=303, headers={"Location": parsed.wreply})
        view = views.SignedOut(start_url=self.context.settings.start_url)
        return self.context.pages.pages.render(request, "signedout.html", view=view)


async def _parameters(request: web.Request) -> list[tuple[str, str]]:
    """Query or form as pairs, doubles kept. Raises BadInput for what is not UTF-8, TooLarge for a large body."""
    if request.method == "POST":
        if request.content_type != "application/x-www-form-urlencoded":
            raise BadInput("shared.body.not_a_form")
        raw = (await inputs.read_body(request)).decode("ascii", errors="replace")
    else:
        raw = request.raw_path.partition("?")[2]
    try:
        return parse_qsl(raw, keep_blank_values=True, errors="strict", max_num_fields=4 * MAXIMUM_PARAMETERS)
    except ValueError as error:
        raise BadInput("wsfed.request.unreadable", code="parameter_garbled") from error
