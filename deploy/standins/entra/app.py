"""The stand-in as a web application.

    GET  /                      accounts to choose from, and a user name field
    GET  /start?username=       302 to the domain's passiveSignInUri with a new request that returns here
         &variant=  the request's shape, a name in `requests.VARIANTS` (default desktop_browser)
         &prompt=login  as an application asks for it; becomes what promptLoginBehavior says
         &method=post  a form that posts the request instead
    POST /login.srf             verifies the answer: 303 to the next one, or 400 with Entra's error page
    GET  /login.srf             who is signed in, by a cookie; a page that Back leads to must not want a form again
    GET  /signout?domain=       302 to the domain's signOutUri (&cleanup=1: wsignoutcleanup1.0)
    GET  /signedout             where sign-out comes back to
    GET  /powershell            the domains, and a form that takes a federation script of Blok365
    POST /powershell            runs it (fields script or file, and what_if): what a directory would make of it
    GET  /style.css             the style sheet of all pages

Settings are read when they are needed. Pages speak the browser's language, English or French, and requests of the
shape `desktop_browser` ask for it (mkt).

With `Accept: application/json`, POST /login.srf answers `{"signed_in": {...}}` or
`{"error": {"code": "AADSTS50107", "message": ..., "detail": ..., "correlation_id": ...}}`, a script's run
`{"exit_code": 0, "reason": "run_federated", ...}` or `{"refused": "script_unknown_form"}`, and the other paths their
errors in the first form. Requests and who signed in are kept in memory for half an hour, and the assertions used until
they expire: a restart forgets them. What scripts federated is in a file, where one is named.

Unlike Entra: an error is status 400, not 200, and the request's wreply names this program's own login.srf.
"""

from collections.abc import Awaitable, Callable
from dataclasses import asdict, replace
from datetime import datetime, timedelta
from typing import Protocol
from urllib.parse import parse_qsl

from aiohttp import web

from deploy.standins.entra import pages
from deploy.standins.entra.domains import Outcome, ScriptedDomains, run_script
from deploy.standins.entra.errors import Code, EntraError
from deploy.standins.entra.powershell import MAX_SCRIPT, ScriptRefused, read_script
from deploy.standins.entra.requests import (
    VARIANTS,
    Fields,
    PendingRequest,
    prompt_fields,
    remember,
    sign_out_request,
    to_url,
    with_field,
)
from deploy.standins.entra.settings import (
    Directory,
    Federations,
    FederationSettings,
    SettingsAddress,
    SettingsError,
    domain_of,
)
from deploy.standins.entra.verify import ReplayMemory, SignedInUser, verify_response
from shared.clock import Clock, iso_millis
from shared.ids import Ids, new_id

MAX_BODY = 1024 * 1024  # octets
MAX_FORM_FIELDS = 20
REQUEST_LIFE = timedelta(minutes=30)
MAX_PENDING = 100_000
SHOWN_USERS = 5
LOGIN = "/login.srf"
COOKIE = "entra-stand-in"


class SettingsSource(Protocol):
    """Where the settings come from: a `SettingsFile`, a `SettingsAddress`, or a test's own."""

    async def current(self) -> tuple[Federations, Directory]:
        """The settings as they are now. Raises SettingsError."""
        ...


class SignedIn:
    """Who has signed in lately, by the value of the browser's cookie; the oldest go first."""

    def __init__(self) -> None:
        self._by_cookie: dict[str, tuple[datetime, SignedInUser]] = {}

    def add(self, cookie: str, user: SignedInUser, now: datetime) -> None:
        """Remember one, and forget those whose time is over."""
        self._by_cookie[cookie] = (now, user)
        for oldest, (at, _) in list(self._by_cookie.items()):
            if now - at < REQUEST_LIFE and len(self._by_cookie) <= MAX_PENDING:
                break
            del self._by_cookie[oldest]

    def find(self, cookie: str, now: datetime) -> SignedInUser | None:
        """Who it is; None when there is nobody, or it was too long ago."""
        at, user = self._by_cookie.get(cookie, (now, None))
        return user if now - at < REQUEST_LIFE else None


class PendingRequests:
    """The requests that were sent, by wctx; the oldest go first."""

    def __init__(self) -> None:
        self._by_wctx: dict[str, PendingRequest] = {}

    def add(self, request: PendingRequest) -> None:
        """Remember a request, and forget those whose time is over."""
        self._by_wctx[request.wctx] = request
        for wctx, oldest in list(self._by_wctx.items()):
            if request.created - oldest.created < REQUEST_LIFE and len(self._by_wctx) <= MAX_PENDING:
                break
            del self._by_wctx[wctx]

    def find(self, wctx: str, now: datetime) -> PendingRequest | None:
        """The living request with this wctx, byte for byte."""
        found = self._by_wctx.get(wctx)
        return found if found is not None and now - found.created < REQUEST_LIFE else None


class Entra:
    """The handlers and what they remember."""

    def __init__(
        self,
        settings: SettingsSource,
        clock: Clock,
        ids: Ids,
        public_url: str | None,
        scripted: ScriptedDomains,
    ) -> None:
        self._settings = settings
        self._scripted = scripted
        self._clock = clock
        self._ids = ids
        self._public_url = public_url
        self._pending = PendingRequests()
        self._replays = ReplayMemory()
        self._signed_in = SignedIn()

    async def home(self, request: web.Request) -> web.Response:
        federations, directory = await self._current()
        sign_outs = [each.domain for each in federations.by_domain.values() if each.sign_out_uri is not None]
        users = [user for user in directory.by_id.values() if user.enabled][:SHOWN_USERS]
        return _html(
            _pages(request).start_page(users, VARIANTS, sign_outs, scripts=bool(federations.managed))
        )

    async def start(self, request: web.Request) -> web.Response:
        username = request.query.get("username", "").strip()
        federation = await self._federation(request, domain_of(username))
        variant = request.query.get("variant", "desktop_browser")
        if variant not in VARIANTS:
            raise web.HTTPBadRequest(text=_pages(request).word("no_variant", known=", ".join(VARIANTS)))
        fields: Fields = VARIANTS[variant](username, self._ids)
        if variant == "desktop_browser":
            fields = with_field(fields, "mkt", pages.market(request.headers.get("Accept-Language", "")))
        if request.query.get("prompt") == "login":
            for name, value in prompt_fields(federation):
                fields = with_field(fields, name, value)
        fields = with_field(fields, "wreply", f"{self._origin(request)}{LOGIN}")
        self._pending.add(remember(domain_of(username), fields, self._clock.now()))
        if request.query.get("method") == "post":
            return _html(_pages(request).post_page(federation.passive_sign_in_uri, fields), posts_itself=True)
        return _redirect(to_url(federation.passive_sign_in_uri, fields))

    async def login(self, request: web.Request) -> web.Response:
        now = self._clock.now()
        form: list[tuple[str, str]] = []
        pending = None
        try:
            form = await _read_form(request)
            pending = self._pending.find(dict(form).get("wctx", ""), now)
            federations, directory = await self._current()
            user = verify_response(
                form,
                federations=federations,
                directory=directory,
                replays=self._replays,
                pending=pending,
                now=now,
            )
        except EntraError as error:
            correlation_id = pending.client_request_id if pending is not None else ""
            if _wants_json(request):
                problem = {
                    "code": f"AADSTS{error.code.value}",
                    "message": error.message,
                    "detail": error.detail,
                    "correlation_id": correlation_id,
                }
                return web.json_response({"error": problem}, status=400)
            return _html(_pages(request).error_page(error, correlation_id, iso_millis(now)), status=400)
        if _wants_json(request):
            return web.json_response({"signed_in": describe(user)})
        cookie = new_id(self._ids)
        self._signed_in.add(cookie, user, now)
        response = web.Response(status=303, headers={"Location": LOGIN})
        response.set_cookie(COOKIE, cookie, path=LOGIN, httponly=True, samesite="Lax")
        return response

    async def signed_in(self, request: web.Request) -> web.Response:
        user = self._signed_in.find(request.cookies.get(COOKIE, ""), self._clock.now())
        if user is None:
            return self._nobody(request)
        return _html(_pages(request).signed_in_page(user))

    async def sign_out(self, request: web.Request) -> web.Response:
        federation = await self._federation(request, request.query.get("domain", ""))
        if federation.sign_out_uri is None:
            raise web.HTTPBadRequest(text=_pages(request).word("no_sign_out"))
        cleanup = request.query.get("cleanup") == "1"
        back = f"{self._origin(request)}/signedout"
        response = _redirect(sign_out_request(federation, wreply=back, cleanup=cleanup))
        response.del_cookie(COOKIE, path=LOGIN)
        return response

    async def signed_out(self, request: web.Request) -> web.Response:
        return self._nobody(request)

    def _nobody(self, request: web.Request) -> web.Response:
        said = _pages(request)
        return _html(said.plain_page("signed_out", said.word("signed_out_text"), failed=False))

    async def powershell(self, request: web.Request) -> web.Response:
        federations, _ = await self._current()
        return _html(_pages(request).script_page(federations))

    async def run_script(self, request: web.Request) -> web.Response:
        if request.headers.get("Origin", self._origin(request)) != self._origin(request):
            raise web.HTTPForbidden(text=_pages(request).word("script_other_site"))
        try:
            given, what_if = await _read_script_form(request)
            script = read_script(given)
        except ScriptRefused as error:
            if _wants_json(request):
                return web.json_response({"refused": error.reason}, status=400)
            federations, _ = await self._current()
            return _html(_pages(request).script_page(federations, error.reason), status=400)
        outcome = run_script(script, (await self._current())[0], what_if=what_if)
        if outcome.changed:
            outcome = await self._keep(outcome)
        if _wants_json(request):
            return web.json_response(describe_outcome(outcome))
        return _html(_pages(request).outcome_page(outcome))

    async def _keep(self, outcome: Outcome) -> Outcome:
        """Keep what a script changed, where the directory is: here, or at the address that it is read from."""
        if not (isinstance(self._settings, SettingsAddress) and self._settings.takes_scripts):
            self._scripted.keep(outcome.domain, outcome.federation)
            return outcome
        try:
            await self._settings.tell(outcome.domain, outcome.federation)
        except SettingsError:
            return replace(outcome, exit_code=2, reason="run_bad_values", changes=(), federation=None)
        return outcome

    async def style(self, _: web.Request) -> web.Response:
        return web.Response(text=pages.STYLE, content_type="text/css", charset="utf-8")

    async def _federation(self, request: web.Request, domain: str) -> FederationSettings:
        federations, _ = await self._current()
        found = federations.for_domain(domain) if domain else None
        if found is None:
            managed = domain in federations.managed
            said = _pages(request).word("managed" if managed else "not_federated", domain=domain)
            raise web.HTTPNotFound(text=said)
        return found

    async def _current(self) -> tuple[Federations, Directory]:
        """What the directory has: what it was told, and what scripts made of it."""
        told, directory = await self._settings.current()
        return self._scripted.onto(told), directory

    def _origin(self, request: web.Request) -> str:
        return self._public_url or str(request.url.origin())


def describe(user: SignedInUser) -> dict[str, object]:
    """The user as JSON can carry it: times as text, claims as a list of namespace, name, value."""
    values: dict[str, object] = {
        name: iso_millis(value) if isinstance(value, datetime) else value
        for name, value in asdict(user).items()
    }
    values["claims"] = [
        {"namespace": namespace, "name": name, "value": value}
        for (namespace, name), value in user.claims.items()
    ]
    return values


def describe_outcome(outcome: Outcome) -> dict[str, object]:
    """How a script ended, as JSON can carry it."""
    federation = outcome.federation
    return {
        "exit_code": outcome.exit_code,
        "reason": outcome.reason,
        "domain": outcome.domain,
        "changes": [asdict(change) for change in outcome.changes],
        "federation": None if federation is None else federation.model_dump(mode="json", by_alias=True),
    }


async def _read_script_form(request: web.Request) -> tuple[bytes, bool]:
    """The octets of the script, pasted or in a file, and whether it runs with -WhatIf. Raises ScriptRefused."""
    try:
        form = await request.post()
    except web.HTTPRequestEntityTooLarge as error:
        raise ScriptRefused("script_too_long") from error
    except (ValueError, LookupError) as error:
        raise ScriptRefused("script_none") from error
    pasted, file = form.get("script", ""), form.get("file")
    octets = pasted.encode("utf-8", "surrogatepass") if isinstance(pasted, str) else b""
    if isinstance(file, web.FileField):
        octets = file.file.read(MAX_SCRIPT + 1) or octets
    if not octets.strip():
        raise ScriptRefused("script_none")
    return octets, form.get("what_if") == "1"


async def _read_form(request: web.Request) -> list[tuple[str, str]]:
    """The url-encoded form, decoded strictly. Raises EntraError."""
    if request.content_type != "application/x-www-form-urlencoded":
        raise EntraError(Code.BAD_MESSAGE, f"content type {request.content_type}")
    try:
        body = await request.read()
        return parse_qsl(
            body.decode("ascii"),
            keep_blank_values=True,
            strict_parsing=True,
            encoding="utf-8",
            errors="strict",
            max_num_fields=MAX_FORM_FIELDS,
        )
    except web.HTTPRequestEntityTooLarge as error:
        raise EntraError(Code.BAD_MESSAGE, f"the form has more than {MAX_BODY} octets") from error
    except ValueError as error:
        raise EntraError(Code.BAD_MESSAGE, "the form is not well-formed") from error


def _pages(request: web.Request) -> pages.Pages:
    return pages.Pages(request.headers.get("Accept-Language", ""))


def _wants_json(request: web.Request) -> bool:
    return "application/json" in request.headers.get("Accept", "")


def _html(text: str, *, status: int = 200, posts_itself: bool = False) -> web.Response:
    headers = {"Content-Security-Policy": pages.policy(posts_itself)}
    return web.Response(text=text, content_type="text/html", charset="utf-8", status=status, headers=headers)


def _redirect(url: str) -> web.Response:
    """302 with the URL as it is: aiohttp's own redirect would write the escapes anew."""
    return web.Response(status=302, headers={"Location": url})


@web.middleware
async def _finish(
    request: web.Request, handler: Callable[[web.Request], Awaitable[web.StreamResponse]]
) -> web.StreamResponse:
    """Errors as a page or JSON; nothing is ever cached, framed or sniffed."""
    try:
        response = await handler(request)
    except SettingsError as error:
        response = _problem(request, 503, _pages(request).word("no_settings", reason=str(error)))
    except web.HTTPException as error:
        unknown = error.status == 404 and request.match_info.http_exception is not None
        response = _problem(
            request, error.status, _pages(request).word("no_page") if unknown else error.text or error.reason
        )
    response.headers["Cache-Control"] = "no-store"
    response.headers["X-Content-Type-Options"] = "nosniff"
    response.headers["Referrer-Policy"] = (
        "strict-origin-when-cross-origin"  # as Entra: it says where people come from
    )
    return response


def _problem(request: web.Request, status: int, text: str) -> web.Response:
    if _wants_json(request):
        return web.json_response({"error": {"code": str(status), "message": text}}, status=status)
    return _html(_pages(request).plain_page("problem", text, failed=True), status=status)


def build_app(
    settings: SettingsSource,
    *,
    clock: Clock,
    ids: Ids,
    public_url: str | None = None,
    scripted: ScriptedDomains | None = None,
) -> web.Application:
    """The application. `public_url` (no slash at its end) is where browsers reach it; default: as they say.

    `scripted`: what scripts federated before; without it, nothing.
    """
    entra = Entra(settings, clock, ids, public_url, scripted or ScriptedDomains(None))
    app = web.Application(client_max_size=MAX_BODY, middlewares=[_finish])
    app.add_routes(
        [
            web.get("/", entra.home),
            web.get("/start", entra.start),
            web.post(LOGIN, entra.login),
            web.get(LOGIN, entra.signed_in),
            web.get("/signout", entra.sign_out),
            web.get("/signedout", entra.signed_out),
            web.get("/powershell", entra.powershell),
            web.post("/powershell", entra.run_script),
            web.get("/style.css", entra.style),
        ]
    )
    return app
