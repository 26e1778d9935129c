"""The phone's API (JSON, problem+json). What is decided here is only HTTP.

A request that changes something comes from our own page or from an app: JSON, and no foreign origin. The API
never says more to a stranger than that something is not known here.
"""

from collections.abc import Mapping, Sequence
from typing import Any

from aiohttp import web

from services.approval.domain.lifecycle import ChallengeAction, ChallengeState
from services.approval.handlers import challenges, enrolment, notifications, sessions
from services.approval.handlers.sessions import SignedIn
from services.approval.ports import Dependencies
from services.approval.routes.representations import (
    creation_options,
    device_json,
    request_json,
    request_options,
)
from shared.addresses import Network
from shared.errors import BadInput
from shared.services import PHONE_COOKIE_NAME
from shared.web.cookies import HostCookie, check_same_origin
from shared.web.i18n import choose
from shared.web.inputs import client_address, read_json

SESSION_COOKIE = HostCookie(PHONE_COOKIE_NAME)
MAX_TEXT = 16 * 1024


class PhoneRoutes:
    """Each URL of the API and its handler."""

    def __init__(self, deps: Dependencies, origin: str, proxies: Sequence[Network] = ()) -> None:
        self._deps = deps
        self._origin = origin
        self._proxies = proxies

    def routes(self) -> list[web.RouteDef]:
        """The routes of `/api/`."""
        api = "/api"
        return [
            web.post(f"{api}/enrolments", self.begin_enrolment),
            web.post(f"{api}/enrolments/{{id}}", self.finish_enrolment),
            web.post(f"{api}/sessions/options", self.begin_session),
            web.post(f"{api}/sessions", self.open_session),
            web.delete(f"{api}/sessions", self.close_session),
            web.get(f"{api}/challenges", self.list_requests),
            web.post(f"{api}/challenges/by-handle", self.request_by_handle),
            web.post(f"{api}/challenges/{{id}}/approve", self.approve),
            web.post(f"{api}/challenges/{{id}}/deny", self.deny),
            web.post(f"{api}/challenges/{{id}}/not-me", self.not_me),
            web.get(f"{api}/devices", self.list_devices),
            web.delete(f"{api}/devices/{{id}}", self.remove_device),
            web.get(f"{api}/push-key", self.push_key),
            web.post(f"{api}/push-subscription", self.subscribe),
            web.delete(f"{api}/push-subscription", self.unsubscribe),
        ]

    # enrolment

    async def begin_enrolment(self, request: web.Request) -> web.Response:
        """`{invitation}` to WebAuthn creation options."""
        body = await self._body(request)
        begun = await enrolment.begin_enrolment(self._deps, _text(body, "invitation"))
        return web.json_response(
            {
                "id": begun.ceremony.id,
                "tenant": begun.ceremony.tenant,
                "account": begun.ceremony.account,
                "upn": begun.upn,
                "organisation": begun.organisation,
                "options": creation_options(
                    begun, rp_id=self._deps.rp.id, timeout=self._deps.limits.ceremony
                ),
            },
            status=201,
        )

    async def finish_enrolment(self, request: web.Request) -> web.Response:
        """`{credential, endorsement, name}` to the new device."""
        body = await self._body(request)
        device = await enrolment.finish_enrolment(
            self._deps,
            request.match_info["id"],
            body.get("credential"),
            _text(body, "endorsement"),
            _text(body, "name", default=""),
        )
        return web.json_response({"device": device_json(device)}, status=201)

    # sessions

    async def begin_session(self, request: web.Request) -> web.Response:
        """Answer WebAuthn request options, for an assertion that opens a session."""
        await self._body(request)
        begun = await sessions.begin_session(self._deps)
        options = request_options(begun, rp_id=self._deps.rp.id, timeout=self._deps.limits.ceremony)
        return web.json_response({"id": begun.id, "options": options}, status=201)

    async def open_session(self, request: web.Request) -> web.Response:
        """`{id, credential}` to a session cookie. An older session of this phone's browser ends."""
        body = await self._body(request)
        token, who = await sessions.open_session(self._deps, _text(body, "id"), body.get("credential"))
        await sessions.close_session(self._deps, SESSION_COOKIE.read(request))
        answer = {"account": who.account.upn, "device": who.session.device, "waiting": who.waiting}
        response = web.json_response(answer, status=201)
        SESSION_COOKIE.set(response, token, max_age=int(self._deps.limits.session.total_seconds()))
        return response

    async def close_session(self, request: web.Request) -> web.Response:
        """End the phone's session and remove its cookie."""
        check_same_origin(request, self._origin)
        await sessions.close_session(self._deps, SESSION_COOKIE.read(request))
        response = web.Response(status=204)
        SESSION_COOKIE.clear(response)
        return response

    # challenges

    async def list_requests(self, request: web.Request) -> web.Response:
        """Answer the open requests, at most three, and what this phone has scanned."""
        who = await self._who(request)
        found = await challenges.list_requests(self._deps, who, self._address(request), choose(request))
        answer = {"challenges": [request_json(each) for each in found], "waiting": who.waiting}
        return web.json_response(answer)

    async def request_by_handle(self, request: web.Request) -> web.Response:
        """`{handle}` from a scanned code to its request, which is this phone's from now on."""
        body = await self._body(request)
        who = await self._who(request)
        handle = _text(body, "handle")
        found = await challenges.request_by_handle(
            self._deps, who, handle, self._address(request), choose(request)
        )
        return web.json_response({"challenge": request_json(found)})

    async def approve(self, request: web.Request) -> web.Response:
        """`{context, credential}`: the context with the code, and the assertion over its SHA-256."""
        body = await self._body(request)
        await challenges.approve(
            self._deps,
            request.match_info["id"],
            _text(body, "context"),
            body.get("credential"),
            self._address(request),
        )
        return web.json_response({"state": ChallengeState.ACCEPTED.value})

    async def deny(self, request: web.Request) -> web.Response:
        """Refuse one request, without a report that somebody else asked."""
        return await self._refuse(request, ChallengeAction.DENY)

    async def not_me(self, request: web.Request) -> web.Response:
        """Say no, report it, and stop notifications for unknown browsers."""
        return await self._refuse(request, ChallengeAction.REPORT)

    async def _refuse(self, request: web.Request, action: ChallengeAction) -> web.Response:
        await self._body(request)
        who = await self._who(request)
        state = await challenges.refuse(self._deps, who, request.match_info["id"], action)
        return web.json_response({"state": state.value})

    # devices

    async def list_devices(self, request: web.Request) -> web.Response:
        """Answer the phones of the person who has this session."""
        who = await self._who(request)
        return web.json_response(
            {
                "devices": [
                    {**device_json(d), "this": d.id == who.session.device} for d in sessions.devices(who)
                ]
            }
        )

    async def remove_device(self, request: web.Request) -> web.Response:
        """Remove one of the person's own phones."""
        check_same_origin(request, self._origin)
        who = await self._who(request)
        await sessions.remove_device(self._deps, who, request.match_info["id"])
        return web.Response(status=204)

    # notifications

    async def push_key(self, _: web.Request) -> web.Response:
        """`applicationServerKey` to subscribe with; public."""
        return web.json_response({"key": self._deps.push_key})

    async def subscribe(self, request: web.Request) -> web.Response:
        """`PushSubscription.toJSON()` of this phone's browser, in place of an older one."""
        body = await self._body(request)
        who = await self._who(request)
        made = await notifications.subscribe(self._deps, who, body, choose(request))
        return web.json_response({"subscription": made.id}, status=201)

    async def unsubscribe(self, request: web.Request) -> web.Response:
        """Forget this phone's push subscription, so that it gets no more notifications."""
        check_same_origin(request, self._origin)
        await notifications.unsubscribe(self._deps, await self._who(request))
        return web.Response(status=204)

    # common to all

    async def _body(self, request: web.Request) -> dict[str, Any]:
        check_same_origin(request, self._origin)
        return await read_json(request)

    def _address(self, request: web.Request) -> str:
        return client_address(request, self._proxies)

    async def _who(self, request: web.Request) -> SignedIn:
        return await sessions.signed_in(self._deps, SESSION_COOKIE.read(request))


def _text(body: Mapping[str, Any], name: str, *, default: str | None = None) -> str:
    value = body.get(name, default)
    if not isinstance(value, str) or len(value) > MAX_TEXT or (not value and default is None):
        raise BadInput("approval.body.text_missing", name=name)
    try:
        value.encode()
    except UnicodeEncodeError:  # half a character, written as an escape
        raise BadInput("approval.body.not_text", name=name) from None
    return value
