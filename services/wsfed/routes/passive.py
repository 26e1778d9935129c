"""WS-Federation's passive requests: sign-in (docs/flows/sign-in.md, step 1), sign-out and its clean-up."""

from dataclasses import dataclass
from urllib.parse import parse_qsl, quote, urlencode

from aiohttp import web

from services.wsfed.domain.request import (
    MAXIMUM_PARAMETERS,
    SignOutCleanupRequest,
    SignOutRequest,
    parse_sign_in,
    parse_sign_out,
)
from services.wsfed.handlers.common import find_tenant
from services.wsfed.handlers.sessions import SsoRequest, sign_out
from services.wsfed.handlers.signing_in import begin
from services.wsfed.pages import views
from services.wsfed.routes.answers import session_answer
from services.wsfed.routes.context import RouteContext, see
from services.wsfed.routes.cookies import BROWSER_COOKIE, session_secrets
from services.wsfed.routes.navigation import is_from_entra
from services.wsfed.routes.own_page import own_page_link
from shared.clouds import Cloud
from shared.errors import BadInput
from shared.web import inputs


@dataclass(frozen=True, slots=True)
class PassiveRoutes:
    """Routes under `/t/{tenant}/wsfed`."""

    context: RouteContext

    def routes(self) -> list[web.RouteDef]:
        """The routes of Entra's requests. HEAD is not among them: a link preview must not use up a sign-in."""
        return [
            web.get("/t/{tenant}/wsfed", self.passive, allow_head=False),
            web.post("/t/{tenant}/wsfed", self.passive),
        ]

    @inputs.reads_raw_query
    async def passive(self, request: web.Request) -> web.Response:
        """Entra's request. A POST from another site brings no cookies, so it ends at our own GET first."""
        raw, cloud = await _raw_parameters(request), await self.context.cloud_of(request.match_info["tenant"])
        # Before anything can be refused: what is wrong with the rest of the request keeps nobody signed in.
        leaving = parse_sign_out(parse_qsl(raw, keep_blank_values=True), reply_urls=cloud.reply_urls)
        if leaving is not None:
            return await self._sign_out(request, leaving, cloud)
        return await self._sign_in(request, raw, cloud)

    async def _sign_in(self, request: web.Request, raw: str, cloud: Cloud) -> web.Response:
        deps, slug = self.context.deps, request.match_info["tenant"]
        await find_tenant(deps, slug)
        parsed = parse_sign_in(_strictly(raw), cloud=cloud)
        if request.method == "POST":
            # Whoever posts may be another than the browser that opens the page, and no browser at all.
            return see((await begin(deps, slug, parsed, None, from_entra=False)).id)
        from_entra = is_from_entra(request, reply_urls=cloud.reply_urls, own_origin=deps.origin)
        if parsed.user_name:
            asked = SsoRequest(
                tenant=slug, upn=parsed.user_name, request=parsed, requested_at=deps.clock.now()
            )
            answer = await session_answer(
                self.context, request, asked, self.context.held(request, asked.tenant, asked.upn)
            )
            if answer is not None:
                return answer
        secret, is_new = self.context.browser_secret(request)
        response = see((await begin(deps, slug, parsed, secret, from_entra=from_entra)).id)
        if is_new:
            BROWSER_COOKIE.set(response, secret)
        return response

    async def _sign_out(
        self, request: web.Request, leaving: SignOutRequest | SignOutCleanupRequest, cloud: Cloud
    ) -> web.Response:
        """End every session of this browser. Clean-up always answers 200; sign-out may go back to Microsoft.

        Nothing says that they have ended before the database has said so. The browser gets a new secret with its next
        sign-in, so the pages of sign-ins that are under way, or approved and not finished, are nobody's: at a shared
        computer the next person could go back to one and take its token.
        """
        if request.method == "POST":
            return _again_by_get(request, leaving)
        await sign_out(self.context.deps, session_secrets(request))
        if isinstance(leaving, SignOutRequest) and leaving.wreply is not None:
            response = web.Response(status=303, headers={"Location": leaving.wreply})
        else:
            own = own_page_link(request.match_info["tenant"])
            view = views.SignedOut(start_url=cloud.start_url, own_page=own)
            response = self.context.pages.pages.render(request, "signedout.html", view=view)
        BROWSER_COOKIE.clear(response)
        return response


def _again_by_get(request: web.Request, leaving: SignOutRequest | SignOutCleanupRequest) -> web.Response:
    """Our own GET of the same sign-out: a POST from another site brings no cookies, so it could end nothing."""
    fields = {"wa": "wsignoutcleanup1.0"}
    if isinstance(leaving, SignOutRequest):
        fields = {"wa": "wsignout1.0"} | ({"wreply": leaving.wreply} if leaving.wreply else {})
    # Made anew, not repeated: what is decoded here may hold a line break, and any organisation's name can be asked for.
    path = f"/t/{quote(request.match_info['tenant'], safe='')}/wsfed"
    return web.Response(status=303, headers={"Location": f"{path}?{urlencode(fields)}"})


async def _raw_parameters(request: web.Request) -> str:
    """Query or form as it was sent. Raises BadInput for a body that is no form, TooLarge for a large one."""
    if request.method != "POST":
        return request.raw_path.partition("?")[2]
    if request.content_type != "application/x-www-form-urlencoded":
        raise BadInput("shared.body.not_a_form")
    return (await inputs.read_body(request)).decode("ascii", errors="replace")


def _strictly(raw: str) -> list[tuple[str, str]]:
    """The parameters as pairs, doubles kept. Raises BadInput for what is not UTF-8."""
    try:
        return parse_qsl(raw, keep_blank_values=True, errors="strict", max_num_fields=4 * MAXIMUM_PARAMETERS)
    except ValueError as error:
        raise BadInput("wsfed.request.unreadable", code="parameter_garbled") from error
