"""aiohttp to handlers and back. What is decided here is only HTTP: cookies, forms, redirects, streams."""

import asyncio
import re
import zlib
from collections.abc import AsyncIterator
from dataclasses import dataclass, replace
from urllib.parse import parse_qsl

import segno
from aiohttp import web

from services.wsfed import handlers
from services.wsfed.config import WsFedSettings
from services.wsfed.domain.agent import browser_in_words
from services.wsfed.domain.metadata import federation_metadata
from services.wsfed.domain.mex import mex_document
from services.wsfed.domain.request import (
    MAXIMUM_PARAMETERS,
    SignInRequest,
    SignOutCleanupRequest,
    SignOutRequest,
    parse_passive_request,
)
from services.wsfed.domain.session import ACCOUNT_COOKIES, KNOWN_FOR, cookie_name
from services.wsfed.domain.transaction import MAX_RENEWALS, State, Transaction
from services.wsfed.handlers import Answer, Browser, Looping, Question, WsFed
from services.wsfed.handlers.issuing import SecretOf
from services.wsfed.pages import SignInPages, views
from services.wsfed.ports import Tenant, Watch
from shared.contracts.admin import Domain
from shared.errors import BadInput, Conflict, Gone, NotFound, Unavailable
from shared.ids import new_secret
from shared.web import inputs, language, sse
from shared.web.cookies import Csrf, HostCookie
from shared.web.inputs import Network

BROWSER_COOKIE = HostCookie("blok365-browser")
POLL_SECONDS = 5.0
MAX_ACCOUNTS = 50
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

    def routes(self) -> list[web.RouteDef]:
        """URL to handler."""
        return [
            web.get("/t/{tenant}/wsfed", self.passive),
            web.post("/t/{tenant}/wsfed", self.passive),
            web.get("/t/{tenant}/{domain}/mex", self.mex),
            web.get(
                "/t/{tenant}/{domain}/{path:(?i:federationmetadata/2007-06/federationmetadata.xml)}",
                self.metadata,
            ),
            web.get("/signin/finished", self.finished),
            web.get("/signin/{transaction}", self.page),
            web.post("/signin/{transaction}/account", self.account),
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
            answer = await handlers.answer_from_session(self.wsfed, asked, _secrets(request))
        except Looping as loop:
            return self._loop_stopped(request, loop)
        if answer is None:
            return None
        back = f"/signin/{asked.transaction or 'finished'}"
        return self._token_page(request, answer, back, asked.request.locale)

    def _loop_stopped(self, request: web.Request, loop: Looping) -> web.Response:
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
        await handlers.sign_out(self.wsfed, _all_secrets(request))
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
    ) -> web.Response:
        tenant = await handlers.find_tenant(self.wsfed, transaction.tenant)
        application = tenant.application(transaction.application)
        first = views.Method(application.first_method)
        view = views.SignIn(
            txn=transaction.id,
            csrf=self.csrf.token(secret, transaction.id),
            state=views.State.START,
            version=self._version(transaction),
            organisation=tenant.configured.name,
            application=application.name,
            account=transaction.hint or None,
            typed=typed,
            problem=problem,
            methods=(first, *(m for m in views.Method if m is not first)),
            start_url=self.settings.start_url,
        )
        view = self._with_challenge(view, transaction)
        if transaction.state is State.STARTED and transaction.hint and first is views.Method.PUSH:
            known = await handlers.is_known_by_name(
                self.wsfed, self._browser(request, transaction), transaction
            )
            view = replace(view, autostart=known)
        return self.pages.sign_in(request, view, lang=_language(transaction.request.locale))

    def _with_challenge(self, view: views.SignIn, transaction: Transaction) -> views.SignIn:
        state, challenge = self._page_state(transaction), transaction.challenge
        if challenge is None or state not in views.LIVE:
            return replace(view, state=state)
        left = challenge.shown_until - self.wsfed.clock.now()
        view = replace(
            view,
            state=state,
            code=challenge.code,
            expires_in=max(0, int(left.total_seconds())),
            qr=_qr(f"{self.wsfed.origin}/key/#q={challenge.handle}")
            if state is views.State.QR_WAITING
            else None,
        )
        if not transaction.renewable(challenge.id):
            return view
        return replace(view, renews=challenge.id, renewals_left=MAX_RENEWALS - transaction.renewals)

    def _page_state(self, transaction: Transaction) -> views.State:
        state = transaction.seen_at(self.wsfed.clock.now())
        if state is State.WAITING and transaction.challenge is not None:
            if transaction.challenge.claimed:
                return views.State.QR_SCANNED
            by_qr = transaction.challenge.handle is not None
            return views.State.QR_WAITING if by_qr else views.State.PUSH_WAITING
        return _PAGE_STATES[state]

    def _version(self, transaction: Transaction) -> int:
        """Changes whenever the page would look different."""
        challenge = transaction.challenge.id if transaction.challenge else ""
        return zlib.crc32(f"{self._page_state(transaction)}/{challenge}/{transaction.hint}".encode())

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
        browser = self._browser(request, transaction)
        method = request.match_info["method"]
        asked = await handlers.ask_phone(self.wsfed, transaction, browser, method, form.get("renews"))
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
            try:
                async with asyncio.timeout(POLL_SECONDS):
                    await woken.wait()
            except TimeoutError:
                pass
            woken.clear()
            try:
                now = self._state(await self._look(request))
            except (Gone, NotFound):
                return  # over: the page finds out when it comes back
            except Unavailable:
                continue  # the database is away: the page waits with us

    def _state(self, transaction: Transaction) -> dict[str, object]:
        return {"state": self._page_state(transaction), "version": self._version(transaction)}

    # steps 10 and 11

    async def token(self, request: web.Request) -> web.Response:
        """The token, once; a second post shows that it is finished."""
        transaction, _ = await self._posted(request)
        try:
            answer = await handlers.take_token(self.wsfed, transaction, _secrets(request))
        except Looping as loop:
            return self._loop_stopped(request, loop)
        except Conflict as conflict:
            if conflict.reason in ("finished", "not_proved"):
                return _see(transaction.id)
            raise
        response = self._token_page(request, answer, f"/signin/{transaction.id}", transaction.request.locale)
        _account_cookie(answer.account.tenant, answer.account.upn).set(
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

    # what describes us to Entra

    async def metadata(self, request: web.Request) -> web.Response:
        """Signed federation metadata of one domain."""
        tenant, domain = await self._domain(request)
        document = federation_metadata(
            issuer=domain.issuer,
            display_name=tenant.configured.name,
            passive_url=f"{self.wsfed.origin}/t/{tenant.slug}/wsfed",
            key=await self.wsfed.keys.current(tenant.slug),
            next_certificates=await self.wsfed.keys.upcoming(tenant.slug),
        )
        return web.Response(body=document, content_type="application/samlmetadata+xml", charset="utf-8")

    async def mex(self, request: web.Request) -> web.Response:
        """WSDL without any username/password endpoint."""
        tenant, domain = await self._domain(request)
        document = mex_document(
            issuer=domain.issuer, passive_url=f"{self.wsfed.origin}/t/{tenant.slug}/wsfed"
        )
        return web.Response(body=document, content_type="text/xml", charset="utf-8")

    async def _domain(self, request: web.Request) -> tuple[Tenant, Domain]:
        tenant = await handlers.find_tenant(self.wsfed, request.match_info["tenant"])
        name = request.match_info["domain"].lower()
        for domain in tenant.configured.domains:
            if domain.name == name:
                return tenant, domain
        raise NotFound("This organisation has no such domain.", remedy="Check the federation settings.")

    # common to all

    async def _look(self, request: web.Request) -> Transaction:
        return await handlers.look(
            self.wsfed, request.match_info["transaction"], BROWSER_COOKIE.read(request)
        )

    async def _posted(self, request: web.Request) -> tuple[Transaction, dict[str, str]]:
        """The transaction of a form that came from our own page in the same browser."""
        transaction = await self._look(request)
        form = await inputs.form(request)
        self.csrf.check(request, form.get(Csrf.FIELD), BROWSER_COOKIE.read(request), transaction.id)
        return transaction, form

    def _browser(self, request: web.Request, transaction: Transaction) -> Browser:
        return Browser(
            secret=BROWSER_COOKIE.read(request) or "",
            address=inputs.client_address(request, self.proxies),
            place="",
            agent=browser_in_words(request.headers.get("User-Agent", "")),
            known=_account_cookie(transaction.tenant, transaction.hint).read(request),
        )


_PAGE_STATES = {
    State.STARTED: views.State.START,
    State.DENIED: views.State.DENIED,
    State.NOT_ME: views.State.NOT_ME,
    State.EXPIRED: views.State.EXPIRED,
    State.SUPERSEDED: views.State.SUPERSEDED,
    State.WRONG_CODE: views.State.WRONG_CODE,
    State.LIMITED: views.State.NEUTRAL,
    State.PROVED: views.State.PROVED,
    State.ISSUED: views.State.FINISHED,
}


async def _parameters(request: web.Request) -> list[tuple[str, str]]:
    """Query or form as pairs, doubles kept. Raises BadInput for what is not UTF-8, TooLarge for a large body."""
    if request.method == "POST":
        if request.content_type != "application/x-www-form-urlencoded":
            raise BadInput("This needs a form.")
        raw = (await inputs.read_body(request)).decode("ascii", errors="replace")
    else:
        raw = request.raw_path.partition("?")[2]
    try:
        return parse_qsl(raw, keep_blank_values=True, errors="strict", max_num_fields=4 * MAXIMUM_PARAMETERS)
    except ValueError as error:
        raise BadInput("The request's parameters can't be read.", code="parameter_garbled") from error


def _see(transaction: str) -> web.Response:
    return web.Response(status=303, headers={"Location": f"/signin/{transaction}"})


def _language(locale: str | None) -> str | None:
    return language.from_tag(locale) if locale else None


def _account_cookie(tenant: str, upn: str) -> HostCookie:
    """The cookie of one account in this browser."""
    return HostCookie(cookie_name(tenant, upn))


def _secrets(request: web.Request) -> SecretOf:
    return lambda tenant, upn: _account_cookie(tenant, upn).read(request)


def _all_secrets(request: web.Request) -> list[str]:
    """Of every account in this browser; at most as many as a browser of a shared workstation may hold."""
    prefix = HostCookie(ACCOUNT_COOKIES).name
    return [value for name, value in request.cookies.items() if name.startswith(prefix)][:MAX_ACCOUNTS]


def _qr(text: str) -> views.Qr:
    """A QR code as one path, a module a unit (ISO/IEC 18004; level M: it is read from a screen)."""
    code = segno.make(text, error="m", micro=False)
    path = []
    for y, row in enumerate(code.matrix):
        x = 0
        while x < len(row):
            if row[x]:
                end = x
                while end < len(row) and row[end]:
                    end += 1
                path.append(f"M{x} {y}h{end - x}v1h-{end - x}z")
                x = end
            else:
                x += 1
    return views.Qr(modules=len(code.matrix), path="".join(path))
