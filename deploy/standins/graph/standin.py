"""The stand-in as one object: a request in, an answer out. No sockets; time and chance come from outside.

A request to Graph passes, in this order: token (401), path (400), method (405), permission (403), throttling (429),
faults that were asked for, the method itself (`graph.METHODS`), faults that come after the work is done.
"""

import hashlib
import json
from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from urllib.parse import unquote

from deploy.standins.graph import batch, requests, tokens
from deploy.standins.graph.errors import (
    GraphError,
    bad_request,
    denied,
    no_segment,
    not_json,
    throttled,
    unauthorized,
)
from deploy.standins.graph.exchange import Answer, Fate, Json, Request, decoded, parsed_json
from deploy.standins.graph.faults import Faults, Kind, Rule
from deploy.standins.graph.graph import METHODS, Call, Settings
from deploy.standins.graph.model import Application, User, new_guid
from deploy.standins.graph.permissions import allowed
from deploy.standins.graph.requests import Record
from deploy.standins.graph.routes import BASE, Place, place
from deploy.standins.graph.schema import is_guid
from deploy.standins.graph.tenant import Tenant
from deploy.standins.graph.throttle import Throttle, Verdict
from shared.clock import Clock, iso_millis
from shared.ids import Ids

TOKEN_PATH = "/oauth2/v2.0/token"  # noqa: S105 - a path


@dataclass
class StandIn:
    """Login and Graph of all tenants. `origin` is where it is reached, without a slash at the end."""

    clock: Clock
    ids: Ids
    origin: str = "http://127.0.0.1:8368"
    record: Record = field(default_factory=Record)
    tenants: dict[str, Tenant] = field(default_factory=dict)
    settings: Settings = field(default_factory=Settings)
    throttle: Throttle = field(default_factory=Throttle)
    early: int = 0
    """Requests that came again before the time of their Retry-After was over."""
    throttled: int = 0
    """Requests that a limit refused."""

    def __post_init__(self) -> None:
        self.faults = Faults(self.ids)
        self._key = self.ids.random_bytes(32)
        self._waits: dict[str, datetime] = {}

    def answer(self, request: Request) -> Answer:
        """The answer to a request, which is recorded. Never raises."""
        now = self.clock.now()
        if request.path.startswith(f"{BASE}/") or request.path == BASE:
            given = self._graph(request, now)
        elif request.path.endswith(TOKEN_PATH):
            given = self._token(request, now)
        else:
            given = self._refusal(no_segment(request.path.split("/")[1]), request, now)
        status = 0 if given.fate is Fate.DROPPED else given.status
        self.record.add(requests.line(request, at=iso_millis(now), origin=self.origin, status=status))
        return given

    def refuse_unread(self, request: Request, status: int) -> None:
        """Record a request whose body was not read."""
        at = iso_millis(self.clock.now())
        self.record.add(requests.line(request, at=at, origin=self.origin, status=status))

    def tenant(self, name: str) -> Tenant | None:
        """A tenant by its id or by one of its verified domains."""
        found = self.tenants.get(name.lower())
        if found is not None:
            return found
        return next((each for each in self.tenants.values() if each.verified_domain(name)), None)

    def issuers(self) -> Iterator[str]:
        """Every issuerUri in use."""
        for tenant in self.tenants.values():
            for domain in tenant.domains.values():
                if domain.federation is not None:
                    yield domain.federation["issuerUri"]

    # --- login ---------------------------------------------------------------------------------------------------

    def _token(self, request: Request, now: datetime) -> Answer:
        trace_id, correlation_id = tokens.trace(self.ids)
        correlation_id = _client_request_id(request) or correlation_id
        rules = self.faults.chosen(request.method, "/token")
        if any(rule.kind is Kind.DROP_BEFORE_WRITE for rule in rules):
            return Answer(503, fate=Fate.DROPPED)
        if request.method != "POST":
            return Answer(405, {"error": "invalid_request"})
        try:
            _refuse_token(rules)
            name = _tenant_name(request.path)
            answer = tokens.issue(
                request,
                tenant_name=name,
                tenant=self.tenant(name),
                endpoint=f"{self.origin}{request.path}",
                key=self._key,
                now=now,
                ids=self.ids,
            )
        except tokens.TokenRefused as error:
            wait = next((rule.retry_after for rule in rules if rule.retry_after is not None), None)
            return error.answer(now=now, trace_id=trace_id, correlation_id=correlation_id, retry_after=wait)
        return self._spoiled(Answer(200, answer, {"Cache-Control": "no-store, no-cache"}), rules)

    # --- Graph ---------------------------------------------------------------------------------------------------

    def _graph(self, request: Request, now: datetime) -> Answer:
        rules: tuple[Rule, ...] = ()
        verdict = Verdict(None, {})
        try:
            caller = tokens.verify(request.headers.get("authorization", ""), key=self._key, now=now)
            tenant = self.tenants.get(caller.tenant_id)
            application = tenant.applications.get(caller.client_id) if tenant is not None else None
            if tenant is None or application is None:
                raise unauthorized("The identity of the calling application could not be established.")
            # What an administrator has consented to since counts from the next token on.
            application = replace(application, permissions=caller.roles)
            found = place(request.path.removeprefix(BASE))
            if found.template == "/$batch":
                return self._batch(request, now)
            _check_allowed(request.method, found, application)
            rules = self.faults.chosen(request.method, unquote(request.path.removeprefix(BASE)))
            self._count_early(request, now)
            verdict = self.throttle.take(
                tenant.id, application.client_id, request.method, found.template, now
            )
            if verdict.retry_after is not None:
                self.throttled += 1
                raise throttled(verdict.retry_after, verdict.headers)
            if (refused := _refused(rules)) is not None:
                raise refused
            if any(rule.kind is Kind.DROP_BEFORE_WRITE for rule in rules):
                return Answer(503, fate=Fate.DROPPED)
            tenant.purge_expired(now)
            call = Call(
                request=request,
                place=found,
                tenant=tenant,
                caller=application,
                origin=self.origin,
                now=now,
                ids=self.ids,
                settings=self.settings,
                issuers=self.issuers,
                hides=lambda user: self._hides(user, now),
                faults=rules,
            )
            given = METHODS[request.method, found.template](call)
            self._hide_new(given, tenant, rules, now)
        except GraphError as error:
            given = self._refusal(error, request, now)
            if error.status in (429, 503) and "Retry-After" in error.headers:
                self._remember_wait(request, int(error.headers["Retry-After"]), now)
        given = replace(given, headers={**self._headers(request, now), **verdict.headers, **given.headers})
        return self._spoiled(given, rules, request, now)

    def _batch(self, request: Request, now: datetime) -> Answer:
        rules = self.faults.chosen(request.method, "/$batch")
        try:
            if request.method != "POST":
                raise _not_allowed(request.method)
            if request.content_type != "application/json":
                raise not_json()
            if (refused := _refused(rules)) is not None:
                raise refused
            try:
                body = parsed_json(request.body)
            except (ValueError, RecursionError) as error:
                raise not_json() from error
            items = batch.parse(body, request.headers)
            if any(rule.kind is Kind.DROP_BEFORE_WRITE for rule in rules):
                return Answer(503, fate=Fate.DROPPED)
            given = batch.answer(items, lambda each: self._item(each, now))
        except GraphError as error:
            given = self._refusal(error, request, now)
        given = replace(given, headers={**self._headers(request, now), **given.headers})
        return self._spoiled(given, rules, request, now)

    def _item(self, request: Request, now: datetime) -> Answer:
        if request.path == f"{BASE}/$batch":
            return self._refusal(bad_request("Batch requests cannot be nested."), request, now)
        return self._graph(request, now)

    def _spoiled(
        self,
        given: Answer,
        rules: tuple[Rule, ...],
        request: Request | None = None,
        now: datetime | None = None,
    ) -> Answer:
        """The answer after the faults that come when the work is done."""
        for rule in rules:
            match rule.kind:
                case Kind.DROP_AFTER_WRITE:
                    given = replace(given, fate=Fate.DROPPED)
                case Kind.ERROR_AFTER_WRITE if request is not None and now is not None and given.status < 400:
                    error = GraphError(500, "InternalServerError", "An unexpected error occurred.")
                    given = replace(self._refusal(error, request, now), delay=given.delay, fate=given.fate)
                case Kind.SLOW:
                    given = replace(given, delay=given.delay + rule.seconds)
        return given

    def _refusal(self, error: GraphError, request: Request, now: datetime) -> Answer:
        request_id = new_guid(self.ids)
        client_request_id = _client_request_id(request) or request_id
        body = error.body(
            date=now.strftime("%Y-%m-%dT%H:%M:%S"), request_id=request_id, client_request_id=client_request_id
        )
        headers = {**self._headers(request, now, request_id), **error.headers}
        return Answer(error.status, body, headers)

    def _headers(self, request: Request, now: datetime, request_id: str | None = None) -> dict[str, str]:
        request_id = request_id or new_guid(self.ids)
        return {
            "request-id": request_id,
            "client-request-id": _client_request_id(request) or request_id,
            "Cache-Control": "no-cache",
            "OData-Version": "4.0",
            "Date": now.strftime("%a, %d %b %Y %H:%M:%S GMT"),
        }

    # --- eventual consistency, and Retry-After ---------------------------------------------------------------------

    def _hide_new(self, given: Answer, tenant: Tenant, rules: tuple[Rule, ...], now: datetime) -> None:
        rule = next((each for each in rules if each.kind is Kind.NOT_FOUND_AFTER_CREATE), None)
        if rule is None or given.status != 201 or given.body is None:
            return
        user = tenant.user(given.body["id"])
        if user is not None:
            until = now + timedelta(seconds=rule.seconds)
            tenant.put(replace(user, hidden_until=until, hidden_share=rule.share))

    def _hides(self, user: User, now: datetime) -> bool:
        if user.hidden_until is None or now >= user.hidden_until:
            return False
        return self.faults.happens(user.hidden_share)

    def _count_early(self, request: Request, now: datetime) -> None:
        until = self._waits.pop(_same(request), None) if self._waits else None
        if until is not None and now < until:
            self.early += 1

    def _remember_wait(self, request: Request, seconds: int, now: datetime) -> None:
        if len(self._waits) > 10_000:
            self._waits = {key: until for key, until in self._waits.items() if until > now}
        self._waits[_same(request)] = now + timedelta(seconds=seconds)


def _client_request_id(request: Request) -> str | None:
    """What the client calls this request, if it is a GUID: anything else is not repeated."""
    given = request.headers.get("client-request-id")
    return given if is_guid(given) else None


def _tenant_name(path: str) -> str:
    """What stands before the token endpoint's path; where it is no UTF-8 it is no tenant's name either."""
    name = path[1 : -len(TOKEN_PATH)]
    try:
        return decoded(name)
    except ValueError:
        return name


def _same(request: Request) -> str:
    """The same for a request and its repetition: passwords, which may be drawn anew, do not count."""
    shown: Json = {"request": [request.method, request.target], "body": requests.body_of(request)}
    return hashlib.sha256(json.dumps(shown, sort_keys=True).encode()).hexdigest()


def _check_allowed(method: str, found: Place, application: Application) -> None:
    if (method, found.template) not in METHODS:
        raise _not_allowed(method)
    if not application.permissions & allowed(method, found.template):
        raise denied()


def _not_allowed(method: str) -> GraphError:
    message = f"Specified HTTP method '{method}' is not allowed for the request target."
    return GraphError(405, "Request_BadRequest", message)


def _refuse_token(rules: tuple[Rule, ...]) -> None:
    """Raises the error of a fault that comes before a token is issued, in the form of the token endpoint."""
    for rule in rules:
        if rule.kind is Kind.TOO_MANY:
            raise tokens.TokenRefused(90055)
        if rule.kind in (Kind.UNAVAILABLE, Kind.GATEWAY_TIMEOUT):
            raise tokens.TokenRefused(90033)


def _refused(rules: tuple[Rule, ...]) -> GraphError | None:
    """The error of a fault that comes before anything is done."""
    for rule in rules:
        after = {"Retry-After": str(rule.retry_after)} if rule.retry_after is not None else {}
        match rule.kind:
            case Kind.TOO_MANY:
                return throttled(rule.retry_after if rule.retry_after is not None else 10)
            case Kind.UNAVAILABLE:
                return GraphError(503, "ServiceUnavailable", "The service is unavailable.", headers=after)
            case Kind.GATEWAY_TIMEOUT:
                return GraphError(504, "UnknownError", "The request timed out.", headers=after)
            case Kind.EXPIRED_TOKEN:
                return unauthorized("Lifetime validation failed, the token is expired.")
            case Kind.INVALID_ONCE:
                return bad_request("One or more property values specified are invalid.")
    return None
