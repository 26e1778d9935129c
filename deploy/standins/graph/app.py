"""The stand-in over HTTP: everything below `/control/` sets it up, `/` is a page of who is in its directories,
everything else is a request to login or Graph.

| control | |
|---|---|
| POST /control/set-up | the form of `control`; answers `{"tenants": [ids]}` |
| POST /control/faults | a rule, or a list of rules (`control.FaultForm`) |
| DELETE /control/faults | no more faults |
| POST /control/clock | `{"advance": seconds}`; answers `{"now": ...}` |
| GET /control/state | clock, rules with their hits, numbers |
| GET /control/tenants/{id or domain}/users | every user with every property, deleted ones too |
| GET /control/requests | the record, JSON lines |
| DELETE /control/tenants | forget all tenants |
| GET /control/entra.json | settings of `deploy.standins.entra`: domains and users of all tenants |
| POST /control/entra.json | `{"domain", "federation"}`: what a script does to a domain; null makes it managed |

Control takes JSON with that content type only, and a Host that names this machine: no page of another site can use it.
"""

import json
from collections.abc import AsyncIterator, Awaitable, Callable
from typing import Any
from urllib.parse import urlsplit

from aiohttp import web
from pydantic import TypeAdapter, ValidationError

from deploy.standins.graph import control, entra, page
from deploy.standins.graph.clock import ControlledClock
from deploy.standins.graph.errors import GraphError
from deploy.standins.graph.exchange import Answer, Fate, Request
from deploy.standins.graph.standin import StandIn
from shared.clock import ManualClock

MAX_BODY = 4 * 1024 * 1024
"""Octets: a batch of 20 with room, and the limit that Graph has."""
Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]
_FAULTS: TypeAdapter[list[control.FaultForm]] = TypeAdapter(list[control.FaultForm])
_LOCAL = ("localhost", "127.0.0.1", "::1")


class GraphApp:
    """Login, Graph and control of one stand-in. `clock` is the stand-in's clock when it can be put forward."""

    def __init__(self, standin: StandIn) -> None:
        self._standin = standin

    def app(self) -> web.Application:
        """As a web application."""
        app = web.Application(client_max_size=MAX_BODY, middlewares=[self._guard])
        app.add_routes(
            [
                web.post("/control/set-up", self._set_up),
                web.post("/control/faults", self._add_faults),
                web.delete("/control/faults", self._clear_faults),
                web.post("/control/clock", self._move_clock),
                web.get("/control/state", self._state),
                web.get("/control/tenants/{tenant}/users", self._users),
                web.delete("/control/tenants", self._forget),
                web.get("/control/requests", self._requests),
                web.get("/control/entra.json", self._entra),
                web.post("/control/entra.json", self._federate),
                web.route("*", "/control{rest:(/.*)?}", self._unknown),
                web.get("/", self._page),
                web.get("/style.css", self._style),
                web.route("*", "/{rest:.*}", self._answer),
            ]
        )
        app.cleanup_ctx.append(self._close)
        return app

    async def _close(self, _: web.Application) -> AsyncIterator[None]:
        yield
        self._standin.record.close()

    @web.middleware
    async def _guard(self, request: web.Request, handler: Handler) -> web.StreamResponse:
        """No foreign Host (DNS rebinding); in control, no form of a page, and wrong forms as text."""
        name = urlsplit(f"//{request.host}").hostname or ""
        own = urlsplit(self._standin.origin).hostname
        if name not in (*_LOCAL, own) and not name.endswith(".localhost"):
            return web.Response(
                status=421, text="This is a stand-in for tests; it answers to its own name only."
            )
        if not request.path.startswith("/control"):
            return await handler(request)
        if request.can_read_body and request.content_type != "application/json":
            return web.json_response({"error": "control takes application/json"}, status=415)
        try:
            return await handler(request)
        except ValidationError as error:
            return web.json_response({"error": json.loads(error.json(include_url=False))}, status=400)
        except (ValueError, KeyError) as error:
            return web.json_response({"error": str(error)}, status=400)
        except GraphError as error:
            return web.json_response({"error": error.message}, status=400)

    async def _answer(self, request: web.Request) -> web.StreamResponse:
        headers = {name.lower(): value for name, value in request.headers.items()}
        try:
            asked = Request(request.method, request.raw_path, headers, await request.read())
        except web.HTTPRequestEntityTooLarge:
            self._standin.refuse_unread(Request(request.method, request.raw_path, headers), 413)
            raise
        given = self._standin.answer(asked)
        if given.delay > 0:
            await self._standin.clock.sleep(given.delay)
        if given.fate is Fate.DROPPED:
            if request.transport is not None:
                request.transport.abort()
            return web.Response(status=503)
        return _response(given)

    async def _set_up(self, request: web.Request) -> web.Response:
        form = control.SetUp.model_validate(await request.json())
        return web.json_response({"tenants": control.set_up(self._standin, form)})

    async def _add_faults(self, request: web.Request) -> web.Response:
        given: Any = await request.json()
        for form in _FAULTS.validate_python(given if isinstance(given, list) else [given]):
            control.add_fault(self._standin, form)
        return web.json_response(control.state(self._standin)["faults"])

    async def _clear_faults(self, _: web.Request) -> web.Response:
        self._standin.faults.clear()
        return web.Response(status=204)

    async def _move_clock(self, request: web.Request) -> web.Response:
        clock = self._standin.clock
        if not isinstance(clock, ControlledClock | ManualClock):
            raise ValueError("this clock cannot be put forward")
        clock.advance(float((await request.json())["advance"]))
        return web.json_response({"now": clock.now().isoformat()})

    async def _state(self, _: web.Request) -> web.Response:
        return web.json_response(control.state(self._standin))

    async def _users(self, request: web.Request) -> web.Response:
        tenant = self._standin.tenant(request.match_info["tenant"])
        if tenant is None:
            return web.json_response({"error": "no such tenant"}, status=404)
        return web.json_response(control.users(tenant))

    async def _forget(self, _: web.Request) -> web.Response:
        self._standin.tenants.clear()
        return web.Response(status=204)

    async def _requests(self, _: web.Request) -> web.Response:
        lines = "".join(json.dumps(each) + "\n" for each in self._standin.record.entries())
        return web.Response(text=lines, content_type="application/jsonl", charset="utf-8")

    async def _entra(self, _: web.Request) -> web.Response:
        return web.json_response(entra.settings(self._standin.tenants.values()))

    async def _federate(self, request: web.Request) -> web.Response:
        control.federate(self._standin, control.FederateForm.model_validate(await request.json()))
        return web.Response(status=204)

    async def _page(self, request: web.Request) -> web.Response:
        text = page.users_page(self._standin.tenants.values(), request.headers.get("Accept-Language", ""))
        headers = {"Content-Security-Policy": page.POLICY, "Cache-Control": "no-store"}
        return web.Response(text=text, content_type="text/html", charset="utf-8", headers=headers)

    async def _style(self, _: web.Request) -> web.Response:
        return web.Response(text=page.STYLE, content_type="text/css", charset="utf-8")

    async def _unknown(self, _: web.Request) -> web.Response:
        return web.json_response({"error": "no such control"}, status=404)


def _response(answer: Answer) -> web.Response:
    headers = {**answer.headers}
    if answer.body is None:
        return web.Response(status=answer.status, headers=headers)
    return web.Response(
        status=answer.status,
        headers=headers,
        text=json.dumps(answer.body),
        content_type="application/json",
        charset="utf-8",
    )
