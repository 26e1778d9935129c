"""The person's own page (docs/flows/own-page.md): links and forms."""

from dataclasses import dataclass
from urllib.parse import quote

from aiohttp import web

from services.wsfed.domain.own_page import ActKind
from services.wsfed.domain.request import is_user_name
from services.wsfed.domain.transaction import Transaction
from services.wsfed.handlers import own_page
from services.wsfed.handlers.own_page import VisitOver
from services.wsfed.handlers.token_issuance import NotApproved
from services.wsfed.pages import views
from services.wsfed.routes.context import RouteContext, see
from services.wsfed.routes.cookies import (
    BROWSER_COOKIE,
    note_outcome_told,
    outcome_was_told,
    session_secrets,
)
from services.wsfed.routes.logo import logo_path
from services.wsfed.routes.navigation import is_from_entra
from shared.errors import BadInput
from shared.web import i18n

MAX_VERSION = 2**31 - 1


@dataclass(frozen=True, slots=True)
class OwnPageRoutes:
    """`/t/{tenant}/me`, and routes under `/signin/{transaction}/me`."""

    context: RouteContext

    def routes(self) -> list[web.RouteDef]:
        """The routes of the own page. HEAD begins no visit: a link preview must not."""
        me = "/signin/{transaction}/me"
        return [
            web.get("/t/{tenant}/me", self.begin, allow_head=False),
            web.get(me, self.page),
            web.get(f"{me}/sign-out", self.ask_sign_out),
            web.post(f"{me}/sign-out", self.sign_out),
            web.get(f"{me}/phones/{{target}}/remove", self.ask_remove_phone),
            web.post(f"{me}/phones/{{target}}/remove", self.remove_phone),
            web.post(f"{me}/phones/{{target}}/name", self.rename_phone),
            web.post(f"{me}/browsers/{{target}}/remove", self.remove_browser),
        ]

    async def begin(self, request: web.Request) -> web.Response:
        """Step 1: a sign-in to the page, for the name in `login_hint`, or of the account that was here last."""
        context, slug = self.context, request.match_info["tenant"]
        hint = request.query.get("login_hint", "").strip().lower()
        name = hint if is_user_name(hint) else ""
        if not name:
            name = await own_page.last_name_here(context.deps, slug, session_secrets(request))
        secret, is_new = context.browser_secret(request)
        transaction = await own_page.begin_visit(
            context.deps,
            slug,
            secret,
            context.pages.pages.words[i18n.choose(request)]("me.application"),
            name,
            from_entra=is_from_entra(request, reply_urls=(), own_origin=context.deps.origin),
        )
        response = see(transaction.id)
        if is_new:
            BROWSER_COOKIE.set(response, secret)
        return response

    async def page(self, request: web.Request) -> web.Response:
        """Steps 4 and 7: what there is, and what became of what was asked; or that the visit is over."""
        return await self._page(request, await self.context.load(request))

    async def _page(
        self, request: web.Request, transaction: Transaction, *, problem: str = "", status: int | None = None
    ) -> web.Response:
        try:
            visit = await own_page.look(self.context.deps, transaction)
        except NotApproved:
            return see(transaction.id)
        view = views.OwnPage(
            txn=transaction.id,
            csrf=self._csrf(request, transaction),
            visit=visit,
            organisation=visit.tenant.configured.name,
            logo=logo_path(visit.tenant),
            again=own_page_link(visit.tenant.slug, visit.account.upn),
            now=self.context.deps.clock.now(),
            problem=problem,
            told=outcome_was_told(request, transaction, len(visit.results)),
        )
        response = self.context.pages.own(request, view, status=status)
        if view.tells_that_it_is_done:
            note_outcome_told(response, transaction, len(visit.results))
        return response

    # questions before what cannot be taken back

    async def ask_sign_out(self, request: web.Request) -> web.Response:
        """Whether to end everything."""
        return await self._question(request)

    async def ask_remove_phone(self, request: web.Request) -> web.Response:
        """Whether to remove that phone. Raises NotFound."""
        return await self._question(request, request.match_info["target"])

    async def _question(self, request: web.Request, device: str | None = None) -> web.Response:
        transaction = await self.context.load(request)
        try:
            visit = await own_page.look(self.context.deps, transaction)
        except NotApproved:
            return see(transaction.id)
        if visit.end is not None:
            return _back(transaction)
        view = views.Question(
            txn=transaction.id,
            csrf=self._csrf(request, transaction),
            organisation=visit.tenant.configured.name,
            logo=logo_path(visit.tenant),
            phone=None if device is None else visit.phone(device),
        )
        return self.context.pages.own(request, view)

    # step 5

    async def sign_out(self, request: web.Request) -> web.Response:
        """End everything that was begun for the person."""
        return await self._ask(request, ActKind.SIGN_OUT)

    async def remove_phone(self, request: web.Request) -> web.Response:
        """Take one of the person's phones out of use."""
        return await self._ask(request, ActKind.REMOVE_PHONE)

    async def rename_phone(self, request: web.Request) -> web.Response:
        """Give one of the person's phones another name."""
        return await self._ask(request, ActKind.RENAME_PHONE)

    async def remove_browser(self, request: web.Request) -> web.Response:
        """Make one browser a stranger's."""
        return await self._ask(request, ActKind.REMOVE_BROWSER)

    async def _ask(self, request: web.Request, kind: ActKind) -> web.Response:
        transaction, form = await self.context.posted(request)
        target = request.match_info.get("target", "")
        try:
            await own_page.ask(
                self.context.deps,
                transaction,
                kind,
                target=target,
                version=_version(form),
                name=form.get("name", ""),
            )
        except NotApproved:
            return see(transaction.id)
        except VisitOver:
            pass  # the page says so
        except BadInput as refusal:
            if kind is not ActKind.RENAME_PHONE or refusal.code != "no_name":
                raise
            return await self._page(request, transaction, problem=target, status=refusal.status)
        return _back(transaction)

    def _csrf(self, request: web.Request, transaction: Transaction) -> str:
        return self.context.csrf.token(self.context.browser_secret(request)[0], transaction.id)


def own_page_link(slug: str, username: str = "") -> str:
    """The address of the own page on this host, for a person of that user name."""
    hint = f"?login_hint={quote(username, safe='@')}" if username else ""
    return f"/t/{quote(slug, safe='')}/me{hint}"


def _back(transaction: Transaction) -> web.Response:
    """Redirect (303), so that a reload repeats no POST."""
    return web.Response(status=303, headers={"Location": f"/signin/{transaction.id}/me"})


def _version(form: dict[str, str]) -> int:
    """The version that the form carries; 0 for none."""
    given = form.get("version", "")
    return (
        int(given)
        if given.isascii() and given.isdigit() and len(given) <= 10 and int(given) <= MAX_VERSION
        else 0
    )
