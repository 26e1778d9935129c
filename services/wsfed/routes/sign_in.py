"""The sign-in page and what is posted from it (docs/flows/sign-in.md, steps 2, 3, 10 and 11)."""

from contextlib import suppress
from dataclasses import dataclass, replace

from aiohttp import web

from services.wsfed.domain.authentication import DeviceMethod
from services.wsfed.domain.context import digest
from services.wsfed.domain.options import PageState, SignInOptions
from services.wsfed.domain.request import is_user_name
from services.wsfed.domain.session import KNOWN_FOR
from services.wsfed.domain.transaction import CHALLENGE_LIFETIME, Step, Transaction, TransactionState
from services.wsfed.handlers.added_devices import DevicesAdded
from services.wsfed.handlers.common import Browser, PasskeyNeeded, Recognised, application_of, find_tenant
from services.wsfed.handlers.passkeys import ask_passkey
from services.wsfed.handlers.sessions import sso_request, would_answer
from services.wsfed.handlers.signing_in import (
    leave_to_other_tab,
    name_account,
    open_challenge,
    open_page,
    sign_in_options,
)
from services.wsfed.handlers.token_issuance import (
    AlreadyIssued,
    NotApproved,
    devices_added,
    require_proved,
    take_token,
)
from services.wsfed.handlers.trial import finish_trial
from services.wsfed.pages import views
from services.wsfed.routes.answers import session_answer, token_page
from services.wsfed.routes.context import RouteContext, language, see
from services.wsfed.routes.cookies import BROWSER_COOKIE, account_cookie, last_request, note_last_request
from services.wsfed.routes.logo import logo_path
from services.wsfed.routes.own_page import own_page_link
from services.wsfed.routes.view_models import sign_in_page
from shared.errors import Conflict, Unavailable
from shared.ids import b64u


@dataclass(frozen=True, slots=True)
class SignInRoutes:
    """Routes under `/signin/`."""

    context: RouteContext

    def routes(self) -> list[web.RouteDef]:
        """The routes of the sign-in page."""
        return [
            web.get("/signin/finished", self.finished),
            # A session may answer here with a token, which HEAD must not do.
            web.get("/signin/{transaction}", self.page, allow_head=False),
            web.get("/signin/{transaction}/name", self.ask_name),
            web.post("/signin/{transaction}/account", self.account),
            web.post("/signin/{transaction}/{method:push|qr}", self.challenge),
            web.post("/signin/{transaction}/token", self.token),
            web.get("/signin/{transaction}/added", self.added),
        ]

    # step 2

    async def page(self, request: web.Request) -> web.Response:
        """The sign-in page as the transaction stands now; its token, if this browser's session is enough for it."""
        secret, is_new = self.context.browser_secret(request)
        transaction = await open_page(self.context.deps, request.match_info["transaction"], secret)
        if transaction.trial and transaction.state is TransactionState.ISSUED:
            return _result(transaction)
        browser = self.context.asking_browser(request, transaction)
        response = await self._from_session(request, transaction, browser)
        if response is None:
            transaction = await leave_to_other_tab(self.context.deps, transaction, last_request(request))
            response = await self._show(request, transaction, replace(browser, secret=secret))
        if is_new:
            BROWSER_COOKIE.set(response, secret)
        return response

    async def _from_session(
        self, request: web.Request, transaction: Transaction, browser: Browser
    ) -> web.Response | None:
        """The token at once when this browser's session is enough. 204 for the page's script, which cannot post it: it
        has the browser itself come here.
        """
        asked = sso_request(transaction)
        if asked is None:
            return None
        try:
            if not _is_script(request):
                return await session_answer(self.context, request, asked, browser.held)
            answered = await would_answer(self.context.deps, asked, browser.held)
            return web.Response(status=204) if answered else None
        except Unavailable:
            if transaction.state is TransactionState.STARTED:
                raise
            return None  # a page that waits goes on waiting

    async def finished(self, request: web.Request) -> web.Response:
        """The page to which Back leads after a token that came from a session."""
        view = views.SignIn(
            txn="",
            csrf="",
            options=SignInOptions(state=PageState.FINISHED),
            organisation="",
            start_url=self.context.settings.cloud().start_url,
        )
        return self.context.pages.sign_in(request, view)

    async def _show(
        self,
        request: web.Request,
        transaction: Transaction,
        browser: Browser,
        problem: views.FieldProblem | None = None,
        typed: str = "",
        status: int | None = None,
        ask_name: bool = False,
    ) -> web.Response:
        deps = self.context.deps
        tenant = await find_tenant(deps, transaction.tenant)
        application = application_of(tenant, transaction)
        options, recognised = await sign_in_options(deps, tenant, application, browser, transaction)
        if ask_name:
            options = SignInOptions(state=PageState.START, named=False)
        view = sign_in_page(
            transaction,
            options,
            deps.clock.now(),
            csrf=self.context.csrf.token(browser.secret, transaction.id),
            organisation=tenant.configured.name,
            application=application.name,
            problem=problem,
            typed=typed,
            passkey=await self._passkey(transaction, browser, recognised) if options.ways else None,
            own_page=own_page_link(tenant.slug, transaction.username),
            logo=logo_path(tenant),
            phone_origin=deps.phone_origin,
            start_url=self.context.settings.cloud(tenant.configured.cloud).start_url
            if transaction.to_entra
            else transaction.request.wreply,
        )
        lang = language(transaction.request.locale)
        return self.context.pages.sign_in(request, view, lang=lang, status=status)

    async def _passkey(
        self, transaction: Transaction, browser: Browser, recognised: Recognised | None
    ) -> views.PasskeyRequest | None:
        signed = await ask_passkey(self.context.deps, transaction, browser, recognised)
        if signed is None:
            return None
        return views.PasskeyRequest(
            challenge=b64u(digest(signed.without_code())),
            rp_id=self.context.deps.rp_id,
            timeout=int(CHALLENGE_LIFETIME.total_seconds() * 1000),
        )

    # steps 3 and 4

    async def ask_name(self, request: web.Request) -> web.Response:
        """Step 2: the field for another user name, since the one that Entra passed on may be wrong or an old one."""
        transaction = await self.context.load(request)
        if not transaction.allows(Step.NAME_ACCOUNT):
            return see(transaction.id)
        browser = self.context.asking_browser(request, transaction)
        return await self._show(request, transaction, browser, typed=transaction.username, ask_name=True)

    async def account(self, request: web.Request) -> web.Response:
        """Step 2: take the user name that the person typed, and go back to the page."""
        transaction, form = await self.context.posted(request)
        typed = form.get("username", "").strip()
        if not is_user_name(typed):
            problem = views.FieldProblem.MALFORMED if typed else views.FieldProblem.EMPTY
            shown = typed[:320] if typed.isprintable() else ""
            browser = self.context.asking_browser(request, transaction)
            return await self._show(request, transaction, browser, problem, shown, ask_name=True)
        with suppress(Conflict):  # proved meanwhile: the page says so
            await name_account(self.context.deps, transaction, typed)
        return see(transaction.id)

    async def challenge(self, request: web.Request) -> web.Response:
        """Send a request to the phone, or show a QR code; `renews` when the page does so by itself."""
        transaction, form = await self.context.posted(request)
        browser = self.context.asking_browser(request, transaction)
        method, renews = DeviceMethod(request.match_info["method"]), form.get("renews")
        if renews is not None:  # two tabs would renew their codes against each other
            transaction = await leave_to_other_tab(self.context.deps, transaction, last_request(request))
            if transaction.state is TransactionState.SUPERSEDED:
                return await self._show(request, transaction, browser)
        try:
            asked = await open_challenge(self.context.deps, transaction, browser, method, renews)
        except PasskeyNeeded as refusal:
            return await self._show(request, transaction, browser, status=refusal.status)
        # Our own script is spared the redirect.
        response = await self._show(request, asked, browser) if _is_script(request) else see(asked.id)
        note_last_request(response, asked)
        return response

    # steps 10 and 11

    async def token(self, request: web.Request) -> web.Response:
        """The token, once; a second post shows that it is finished."""
        transaction, form = await self.context.posted(request)
        if (
            transaction.own_page
        ):  # there is no token, and the visit is the proof itself (docs/flows/own-page.md)
            return web.Response(status=303, headers={"Location": f"/signin/{transaction.id}/me"})
        if transaction.trial:  # its token goes to nobody (docs/flows/try-it.md)
            return await self._finish_trial(request, transaction)
        try:
            proved = await require_proved(self.context.deps, transaction)
            # By the name that was proved: what is held of a transaction before its proof may have another one.
            cookie = account_cookie(proved.transaction.tenant, proved.transaction.username)
            agent, secret = self.context.browser(request, proved.transaction).agent, cookie.read(request)
            issued = await take_token(self.context.deps, proved, secret, agent, told="told" in form)
        except DevicesAdded:
            # A page of its own, so that Back leads to nothing that would have to be posted again.
            return web.Response(status=303, headers={"Location": f"/signin/{transaction.id}/added"})
        except (AlreadyIssued, NotApproved):
            return see(transaction.id)
        back = f"/signin/{transaction.id}"
        response = token_page(self.context, request, issued, back, transaction.request.locale)
        account_cookie(issued.account.tenant, issued.account.upn).set(
            response, issued.session_secret, max_age=int(KNOWN_FOR.total_seconds())
        )
        return response

    async def _finish_trial(self, request: web.Request, transaction: Transaction) -> web.Response:
        cookie = account_cookie(transaction.tenant, transaction.username)
        try:
            await finish_trial(self.context.deps, transaction, cookie.read(request))
        except NotApproved:
            return see(transaction.id)
        return _result(transaction)

    async def added(self, request: web.Request) -> web.Response:
        """The page that tells of phones which were added, with the way on to the token."""
        transaction = await self.context.load(request)
        secret, _ = self.context.browser_secret(request)
        try:
            proved = await require_proved(self.context.deps, transaction)
        except (AlreadyIssued, NotApproved):
            return see(transaction.id)
        cookie = account_cookie(proved.transaction.tenant, proved.transaction.username)
        devices = await devices_added(self.context.deps, proved, cookie.read(request))
        if not devices:
            return see(transaction.id)
        tenant = await find_tenant(self.context.deps, transaction.tenant)
        view = views.DevicesAdded(
            txn=transaction.id,
            csrf=self.context.csrf.token(secret, transaction.id),
            devices=tuple(devices),
            organisation=tenant.configured.name,
            logo=logo_path(tenant),
            application=tenant.application(transaction.application).name,
            own_page=own_page_link(tenant.slug, transaction.username),
        )
        return self.context.pages.added(request, view, lang=language(transaction.request.locale))


def _result(transaction: Transaction) -> web.Response:
    """To the page of a trial's result (303)."""
    return web.Response(status=303, headers={"Location": f"/signin/{transaction.id}/try"})


def _is_script(request: web.Request) -> bool:
    """Whether the page's own script asks, to exchange what the page shows."""
    return request.headers.get("X-Requested-With") == "fetch"
