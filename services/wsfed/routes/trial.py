"""Try it (docs/flows/try-it.md): where a trial begins, and its result."""

from dataclasses import dataclass

from aiohttp import web

from services.wsfed.domain.request import is_user_name
from services.wsfed.handlers.common import find_tenant
from services.wsfed.handlers.token_issuance import NotApproved
from services.wsfed.handlers.trial import begin_trial, trial_result
from services.wsfed.pages import views
from services.wsfed.routes.context import RouteContext, see
from services.wsfed.routes.cookies import BROWSER_COOKIE
from services.wsfed.routes.logo import logo_path
from services.wsfed.routes.navigation import is_from_entra
from shared.web import i18n


@dataclass(frozen=True, slots=True)
class TrialRoutes:
    """`/t/{tenant}/try` and `/signin/{transaction}/try`."""

    context: RouteContext

    def routes(self) -> list[web.RouteDef]:
        """The routes of a trial. HEAD begins none: a link preview must not."""
        return [
            web.get("/t/{tenant}/try", self.begin, allow_head=False),
            web.get("/signin/{transaction}/try", self.result),
        ]

    async def begin(self, request: web.Request) -> web.Response:
        """Step 1: a trial for the name in `login_hint`, or for one that is typed on the page."""
        context, hint = self.context, request.query.get("login_hint", "").strip().lower()
        secret, is_new = context.browser_secret(request)
        transaction = await begin_trial(
            context.deps,
            request.match_info["tenant"],
            secret,
            context.pages.pages.words[i18n.choose(request)]("trial.application"),
            hint if is_user_name(hint) else "",
            from_entra=is_from_entra(request, reply_urls=(), own_origin=context.deps.origin),
        )
        response = see(transaction.id)
        if is_new:
            BROWSER_COOKIE.set(response, secret)
        return response

    async def result(self, request: web.Request) -> web.Response:
        """Step 5: what was read from the token; or that it is shown no longer, or that there is none."""
        transaction = await self.context.load(request)
        try:
            result = await trial_result(self.context.deps, transaction)
        except NotApproved:
            return see(transaction.id)
        tenant = await find_tenant(self.context.deps, transaction.tenant)
        view = views.TrialPage(
            txn=transaction.id,
            organisation=tenant.configured.name,
            logo=logo_path(tenant),
            account=transaction.username,
            again=transaction.request.wreply,
            realm=self.context.settings.cloud(tenant.configured.cloud).realm,
            result=result,
            interrupted=transaction.result is None,
        )
        return self.context.pages.trial(request, view)
