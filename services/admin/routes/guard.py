"""The way to every page of the console: who asks, in which tenant, in which role, and whether a post is our page's.

Routes name their `Act`; what it needs is asked here before the handler runs, so no handler can forget it. The table of
all routes is `services.admin.routes.ROUTES`, and a test walks it.
"""

from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field
from urllib.parse import quote

from aiohttp import web
from aiohttp.typedefs import Handler

from services.admin.domain.roles import Act, Actor, StepUpNeeded
from services.admin.domain.teams import Team
from services.admin.domain.tenants import Tenant
from services.admin.handlers.console_access import AskingBrowser, Visitor, visit
from services.admin.handlers.tenants import show_tenant
from services.admin.pages import ConsolePages
from services.admin.pages.views import Frame
from services.admin.ports import Dependencies
from services.admin.routes.cookies import SAID_COOKIE, SESSION_COOKIE
from shared.addresses import ClientNetworks
from shared.agent import browser_in_words
from shared.errors import NotAuthenticated
from shared.web import inputs
from shared.web.cookies import Csrf, check_same_origin
from shared.web.i18n import choose
from shared.web.problems import WAY_ON, Link

PURPOSE = "console"
"""What the tokens of the console's forms are for, in one session."""
SIGN_IN = "/sign-in"
STEP_UP = "/step-up"


@dataclass(frozen=True, slots=True, kw_only=True)
class RouteContext:
    """What the console's routes share."""

    deps: Dependencies
    pages: ConsolePages
    csrf: Csrf
    client_networks: ClientNetworks

    def browser(self, request: web.Request) -> AskingBrowser:
        """From where the request comes."""
        return AskingBrowser(
            address=inputs.client_address(request, self.client_networks),
            agent=browser_in_words(request.headers.get("User-Agent", "")),
            language="fr" if choose(request) == "fr" else "en",
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class Visit:
    """One request of an administrator."""

    context: RouteContext
    request: web.Request
    visitor: Visitor
    csrf: str
    form: Mapping[str, str] = field(default_factory=dict)
    """What was posted, after the token was found to be right."""

    @property
    def deps(self) -> Dependencies:
        return self.context.deps

    @property
    def said(self) -> str:
        """The key of what the page before had to say."""
        return SAID_COOKIE.read(self.request) or ""

    def frame(self, section: str = "") -> Frame:
        """What every page shows around its content. `section`: which entry of the navigation it is."""
        return self.context.pages.frame(self.visitor, csrf=self.csrf, section=section, said=self.said)

    def render(self, template: str, view: object, *, status: int = 200, said: bool = True) -> web.Response:
        """The page. What was said about the page before is said once."""
        response = self.context.pages.render(self.request, template, view, status=status)
        if said and SAID_COOKIE.read(self.request):
            SAID_COOKIE.clear(response)
        return response


@dataclass(frozen=True, slots=True, kw_only=True)
class TenantVisit(Visit):
    """One request of an administrator in a tenant, whose role allows the route's act."""

    actor: Actor
    tenant: Tenant

    def frame(self, section: str = "") -> Frame:
        return self.context.pages.frame(
            self.visitor,
            csrf=self.csrf,
            actor=self.actor,
            tenant=self.tenant,
            section=section,
            said=self.said,
        )

    @property
    def team(self) -> Team:
        """The tenant's team, as it was read for this request."""
        return next(each for each in self.visitor.teams if each.tenant == self.actor.tenant)

    def path(self, rest: str = "") -> str:
        """A path of this tenant."""
        return f"/t/{self.actor.tenant}{rest}"


Public = Callable[[RouteContext, web.Request], Awaitable[web.StreamResponse]]
Own = Callable[[Visit], Awaitable[web.StreamResponse]]
InTenant = Callable[[TenantVisit], Awaitable[web.StreamResponse]]


@dataclass(frozen=True, slots=True)
class PublicRoute:
    """For whoever asks. A post must come from our own origin; there is no session that a token could be bound to."""

    method: str
    path: str
    handler: Public

    def bind(self, context: RouteContext) -> Handler:
        async def handle(request: web.Request) -> web.StreamResponse:
            if self.method == "POST":
                check_same_origin(request, context.deps.console_origin)
            return await self.handler(context, request)

        return handle


@dataclass(frozen=True, slots=True)
class OwnRoute:
    """For any administrator in a session: what belongs to them and to no tenant."""

    method: str
    path: str
    handler: Own

    def bind(self, context: RouteContext) -> Handler:
        async def handle(request: web.Request) -> web.StreamResponse:
            visitor = await _visitor(context, request)
            if visitor is None:
                return _sign_in_first(request)
            csrf, form = await _posted(context, request)
            visit_ = Visit(context=context, request=request, visitor=visitor, csrf=csrf, form=form)
            try:
                return await self.handler(visit_)
            except StepUpNeeded:
                return step_up_first(request.path if self.method == "GET" else "/account")

        return handle


@dataclass(frozen=True, slots=True)
class TenantRoute:
    """For administrators of the tenant in the path whose role allows the act. The path begins with `/t/{tenant}`.

    `form`: the page that a post was made on, where the passkey is asked for when its last use is too long ago. Names in
    braces are those of the path. `by_itself`: a page's script asks for it again and again, also when nobody is there.
    """

    method: str
    path: str
    act: Act
    handler: InTenant
    form: str = ""
    by_itself: bool = False

    def bind(self, context: RouteContext) -> Handler:
        async def handle(request: web.Request) -> web.StreamResponse:
            visitor = await _visitor(context, request, used=not self.by_itself)
            if visitor is None:
                return _sign_in_first(request)
            csrf, form = await _posted(context, request)
            actor = visitor.actor(
                request.match_info["tenant"], inputs.client_address(request, context.client_networks)
            )
            try:
                actor.require(self.act, context.deps.clock.now())
                tenant = await show_tenant(context.deps, actor.tenant)
                return await self.handler(
                    TenantVisit(
                        context=context,
                        request=request,
                        visitor=visitor,
                        csrf=csrf,
                        form=form,
                        actor=actor,
                        tenant=tenant,
                    )
                )
            except StepUpNeeded:
                there = self.form or self.path
                return step_up_first(
                    request.path_qs if self.method == "GET" else there.format(**request.match_info)
                )

        return handle


ConsoleRoute = PublicRoute | OwnRoute | TenantRoute


async def _visitor(context: RouteContext, request: web.Request, *, used: bool = True) -> Visitor | None:
    request[WAY_ON] = Link("/", "Blok365")
    return await visit(context.deps, SESSION_COOKIE.read(request), used=used)


async def _posted(context: RouteContext, request: web.Request) -> tuple[str, dict[str, str]]:
    """The token for this session's forms, and the form of a post that carries it. Raises Forbidden, BadInput."""
    cookie = SESSION_COOKIE.read(request)
    assert cookie is not None, "there is a session"
    form: dict[str, str] = {}
    if request.method == "POST":
        form = await inputs.form(request)
        context.csrf.check(request, form.get(Csrf.FIELD), cookie, PURPOSE)
    return context.csrf.token(cookie, PURPOSE), form


def _sign_in_first(request: web.Request) -> web.Response:
    """To the sign-in page, and back afterwards. A post is refused instead, and told that nothing was done."""
    if request.method not in ("GET", "HEAD"):
        request[WAY_ON] = Link(SIGN_IN, "Blok365")
        raise NotAuthenticated("admin.console.session_over", code="session_over")
    back = "" if request.path == "/" else f"?to={quote(request.path_qs, safe='')}"
    return redirect(f"{SIGN_IN}{back}")


def step_up_first(back: str) -> web.Response:
    """To the page that asks for the passkey again, and from there on to `back`, a path of ours."""
    return redirect(f"{STEP_UP}?to={quote(back, safe='')}")


def redirect(path: str, *, said: str = "") -> web.Response:
    """See other (303), so that a reload repeats no POST. `said`: the key of a sentence for the page there."""
    response = web.Response(status=303, headers={"Location": path})
    if said:
        SAID_COOKIE.set(response, said)
    return response


def local_path(text: str) -> str:
    r"""The path, if it is one on this host, and `/` otherwise.

    A browser takes `//host`, `/\host` and a path with a tab or line feed in it for another host's address (URL
    standard, section 4.4).
    """
    plain = text.isascii() and text.isprintable() and "\\" not in text and " " not in text
    ours = text.startswith("/") and not text.startswith("//")
    return text if plain and ours and len(text) <= 2000 else "/"
