"""aiohttp to handlers and back. What is decided here is only HTTP: cookies, forms, redirects, streams."""

import asyncio
import re
from collections.abc import AsyncIterator
from dataclasses import dataclass, replace
from typing import Literal
from urllib.parse import parse_qsl

from aiohttp import web

from services.wsfed import handlers
from services.wsfed.config import WsFedSettings
from services.wsfed.domain.agent import browser_in_words
from services.wsfed.domain.request import (
    MAXIMUM_PARAMETERS,
    SignInRequest,
    SignOutCleanupRequest,
    SignOutRequest,
    parse_passive_request,
)
from services.wsfed.domain.session import KNOWN_FOR
from services.wsfed.domain.transaction import State, Transaction
from services.wsfed.handlers import Answer, Browser, Question, RedirectLoop, WsFed
from services.wsfed.pages import SignInPages, views
from services.wsfed.ports import Watch
from services.wsfed.routes.cookies import BROWSER_COOKIE, account_cookie, all_secrets, secrets_of
from services.wsfed.routes.describing import Describing
from services.wsfed.routes.passkeys import Passkeys
from services.wsfed.routes.showing import page_state, page_version, with_challenge
from shared.addresses import Network
from shared.errors import BadInput, Gone, NotFound, Unavailable
from shared.geoip import GeoIp
from shared.ids import new_secret
from shared.web import i18n, inputs, sse
from shared.web.cookies import Csrf

POLL_SECONDS = 5.0
_UPN = re.compile(r"[^@\s]{1,64}@[^@\s]{1,255}")


@dataclass(frozen=True, slots=True, kw_only=True)
class Web:
    """What the routes work with."""

    wsfed: WsFed
    settings: WsFedSettings
    pages: SignInPages
    csrf: Csrf
    watch: Watch
    proxies: tuple[Network, ...]
    places: GeoIp

    def routes(self) -> list[web.RouteDef]:
        """URL to handler."""
        return [
            web.get("/t/{tenant}/wsfed", self.passive),
            web.post("/t/{tenant}/wsfed", self.passive),
            *Describing(self.wsfed).routes(),
            web.get("/signin/finished", self.finished),
            web.get("/signin/{transaction}", self.page),
            web.post("/signin/{transaction}/account", self.account),
            *Passkeys(self.wsfed, self._posted, self._asking_browser).routes(),
            web.post("/signin/{transaction}/{method:push|qr}", self.ask),
            web.get("/signin/{transaction}/events", self.events),
            web.get("/signin/{transaction}/state", self.state),
            web.post("/signin/{transaction}/token", self.token),
        ]

    # step 1

    async def passive(self, request: web.Request) -> web.Response:
        """Entra's request. A POST from another site brings no cookies, so it ends at our own GET first."""
        pairs = await _parameters(request)
        parsed = parse_passive_request(pairs, reply_urls=self.settings.reply_urls)
        if not isinstance(parsed, SignInRequest):
            return await self._sign_out(request, parsed)
        slug = request.match_info["tenant"]
        if request.method == "POST":
            return _see((await handlers.begin(self.wsfed, slug, parsed, None)).id)
        if parsed.hint is not None:
            asked = Question(
                tenant=slug, upn=parsed.hint.lower(), request=parsed, asked_at=self.wsfed.clock.now()
            )
            answer = await self._from_session(request, asked)
            if answer is not None:
                return answer
        secret, is_new = self._browser_secret(request)
        response = _see((await handlers.begin(self.wsfed, slug, parsed, secret)).id)
        if is_new:
            BROWSER_COOKIE.set(response, secret)
        return response

    def _browser_secret(self, request: web.Request) -> tuple[str, bool]:
        """The secret in the browser cookie, or a new one; and whether it is new and must still be set."""
        secret = BROWSER_COOKIE.read(request)
        return (secret, False) if secret else (new_secret(self.wsfed.ids), True)

    async def _from_session(self, request: web.Request, asked: Question) -> web.Response | None:
        """The token at once when this browser's session is enough; None when the person must sign in."""
        try:
            answer = await handlers.answer_from_session(self.wsfed, asked, secrets_of(request))
        except RedirectLoop as loop:
            return self._loop_stopped(request, loop)
        if answer is None:
            return None
        back = f"/signin/{asked.transaction or 'finished'}"
        return self._token_page(request, answer, back, asked.request.locale)

    def _loop_stopped(self, request: web.Request, loop: RedirectLoop) -> web.Response:
        cause = views.LoopCause.REFUSED
        if loop.request.mfa_wanted:
            cause = views.LoopCause.MFA
        elif loop.request.fresh_required or loop.request.max_age is not None:
            cause = views.LoopCause.FRESH
        view = views.SignIn(
            txn="",
            csrf="",
            state=views.State.LOOP,
            organisation=loop.tenant.configured.name,
            account=loop.request.hint,
            start_url=self.settings.start_url,
            loop_cause=cause,
        )
        return self.pages.sign_in(request, view, lang=_language(loop.request.locale))

    async def _sign_out(
        self, request: web.Request, parsed: SignOutRequest | SignOutCleanupRequest
    ) -> web.Response:
        """End every session of this browser. Clean-up always answers 200; sign-out may go back to Microsoft."""
        await handlers.find_tenant(self.wsfed, request.match_info["tenant"])
        await handlers.sign_out(self.wsfed, all_secrets(request))
        if isinstance(parsed, SignOutRequest) and parsed.wreply is not None:
            return web.Response(status=303, headers={"Location": parsed.wreply})
        return self.pages.pages.render(
            request, "signedout.html", view=views.SignedOut(start_url=self.settings.start_url)
        )

    # step 2

    async def page(self, request: web.Request) -> web.Response:
        """The sign-in page as the transaction stands now; its token, if this browser's session is enough for it."""
        secret, is_new = self._browser_secret(request)
        transaction = await handlers.open_page(self.wsfed, request.match_info["transaction"], secret)
        asked = handlers.question(transaction)
        response = None if asked is None else await self._from_session(request, asked)
        if response is None:
            response = await self._show(request, transaction, secret)
        if is_new:
            BROWSER_COOKIE.set(response, secret)
        return response

    async def finished(self, request: web.Request) -> web.Response:
        """Where Back leads after a token from a session."""
        view = views.SignIn(
            txn="", csrf="", state=views.State.FINISHED, organisation="", start_url=self.settings.start_url
        )
        return self.pages.sign_in(request, view)

    async def _show(
        self,
        request: web.Request,
        transaction: Transaction,
        secret: str,
        problem: views.FieldProblem | None = None,
        typed: str = "",
        status: int | None = None,
    ) -> web.Response:
        now = self.wsfed.clock.now()
        tenant = await handlers.find_tenant(self.wsfed, transaction.tenant)
        application = tenant.application(transaction.application)
        browser = self._browser(request, transaction)
        standing = await handlers.standing(self.wsfed, tenant, browser, transaction)
        first = views.Method(application.first_method)
        methods = (first, *(m for m in views.Method if m is not first)) if standing.phone else ()
        view = views.SignIn(
            txn=transaction.id,
            csrf=self.csrf.token(secret, transaction.id),
            state=views.State.START,
            version=page_version(transaction, now),
            organisation=tenant.configured.name,
            application=application.name,
            account=transaction.hint or None,
            typed=typed,
            problem=problem,
            methods=methods,
            start_url=self.settings.start_url,
        )
        view = with_challenge(view, transaction, now, self.wsfed.origin)
        if transaction.state is State.STARTED and transaction.hint and methods[:1] == (views.Method.PUSH,):
            view = replace(view, autostart=standing.known)
        lang = _language(transaction.request.locale)
        return self.pages.sign_in(request, view, lang=lang, status=status)

    # steps 3 and 4

    async def account(self, request: web.Request) -> web.Response:
        """The user name was typed."""
        transaction, form = await self._posted(request)
        typed = form.get("username", "").strip()
        if not _UPN.fullmatch(typed) or not typed.isprintable():
            problem = views.FieldProblem.MALFORMED if typed else views.FieldProblem.EMPTY
            shown = typed[:320] if typed.isprintable() else ""
            secret, _ = self._browser_secret(request)
            return await self._show(request, transaction, secret, problem, shown)
        await handlers.name_account(self.wsfed, transaction, typed)
        return _see(transaction.id)

    async def ask(self, request: web.Request) -> web.Response:
        """Send a request to the phone, or show a QR code; `renews` when the page does so by itself."""
        transaction, form = await self._posted(request)
        browser = self._asking_browser(request, transaction)
        method: Literal["push", "qr"] = "qr" if request.match_info["method"] == "qr" else "push"
        try:
            asked = await handlers.ask_phone(self.wsfed, transaction, browser, method, form.get("renews"))
        except handlers.PasskeyNeeded as refusal:
            return await self._show(request, transaction, browser.secret, status=refusal.status)
        if request.headers.get("X-Requested-With") == "fetch":  # our own script: spared the way round
            return await self._show(request, asked, browser.secret)
        return _see(transaction.id)

    # step 9

    async def state(self, request: web.Request) -> web.Response:
        """The state now, for pages whose live stream does not work."""
        return web.json_response(self._state(await self._look(request)))

    async def events(self, request: web.Request) -> web.StreamResponse:
        """The live stream: the state at once, then at each change. 204 when nothing more can change."""
        # First listen, then look: a change in between would be lost the other way round.
        async with self.watch(request.match_info["transaction"]) as woken:
            transaction = await self._look(request)
            if transaction.state is State.ISSUED:
                return web.Response(status=204)
            return await sse.stream(
                request, self._changes(request, transaction, woken), clock=self.wsfed.clock
            )

    async def _changes(
        self, request: web.Request, transaction: Transaction, woken: asyncio.Event
    ) -> AsyncIterator[sse.Event]:
        told: dict[str, object] = {}
        now = self._state(transaction)
        while True:
            if now != told:
                told = now
                yield sse.Event("state", now)
            if now["state"] in (views.State.PROVED, views.State.FINISHED):
                return
            told_to = True
            try:
                async with asyncio.timeout(POLL_SECONDS):
                    await woken.wait()
            except TimeoutError:
                told_to = False
            woken.clear()
            try:
                # Who woke us either wrote it here or had us forget what was held.
                now = self._state(await self._look(request, recent=told_to))
            except (Gone, NotFound):
                return  # over: the page finds out when it comes back
            except Unavailable:
                continue  # the database is away: the page waits with us

    def _state(self, transaction: Transaction) -> dict[str, object]:
        now = self.wsfed.clock.now()
        return {"state": page_state(transaction, now), "version": page_version(transaction, now)}

    # steps 10 and 11

    async def token(self, request: web.Request) -> web.Response:
        """The token, once; a second post shows that it is finished."""
        transaction, _ = await self._posted(request)
        try:
            answer = await handlers.take_token(self.wsfed, transaction, secrets_of(request))
        except RedirectLoop as loop:
            return self._loop_stopped(request, loop)
        except (handlers.AlreadyIssued, handlers.NotApproved):
            return _see(transaction.id)
        response = self._token_page(request, answer, f"/signin/{transaction.id}", transaction.request.locale)
        account_cookie(answer.account.tenant, answer.account.upn).set(
            response, answer.session_secret, max_age=int(KNOWN_FOR.total_seconds())
        )
        return response

    def _token_page(
        self, request: web.Request, answer: Answer, back_url: str, locale: str | None
    ) -> web.Response:
        view = views.TokenForm(
            action=answer.form.action,
            fields=answer.form.fields,
            back_url=back_url,
            organisation=answer.tenant.configured.name,
        )
        return self.pages.token(request, view, lang=_language(locale))

    # common to all

    async def _look(self, request: web.Request, *, recent: bool = False) -> Transaction:
        secret = BROWSER_COOKIE.read(request)
        return await handlers.look(self.wsfed, request.match_info["transaction"], secret, recent=recent)

    async def _posted(self, request: web.Request) -> tuple[Transaction, dict[str, str]]:
        """The transaction of a form that came from our own page in the same browser."""
        transaction = await self._look(request, recent=True)
        form = await inputs.form(request)
        self.csrf.check(request, form.get(Csrf.FIELD), BROWSER_COOKIE.read(request), transaction.id)
        return transaction, form

    def _browser(self, request: web.Request, transaction: Transaction) -> Browser:
        return Browser(
            secret=BROWSER_COOKIE.read(request) or "",
            address=inputs.client_address(request, self.proxies),
            agent=browser_in_words(request.headers.get("User-Agent", "")),
            known=account_cookie(transaction.tenant, transaction.hint).read(request),
        )

    def _asking_browser(self, request: web.Request, transaction: Transaction) -> Browser:
        """With its place: where it seems to be, in the language of its page; empty when unknown."""
        browser = self._browser(request, transaction)
        chosen = _language(transaction.request.locale) or i18n.choose(request)
        found = self.places.find(browser.address, chosen)
        return browser if found is None else replace(browser, place=found.text)


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


def _see(transaction: str) -> web.Response:
    return web.Response(status=303, headers={"Location": f"/signin/{transaction}"})


def _language(locale: str | None) -> str | None:
    return i18n.from_tag(locale) if locale else None
