"""The phone's API (JSON, problem+json) and its page. What is decided here is only HTTP.

A request that changes something comes from our own page or from an app: JSON, and no foreign origin. The API
never says more to a stranger than that something is not known here.
"""

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

from aiohttp import web

from services.approval.domain.account import Device, State
from services.approval.domain.ceremony import ALGORITHMS
from services.approval.handlers import challenges, enrolling, notifications, sessions
from services.approval.handlers.challenges import Request
from services.approval.handlers.sessions import SignedIn
from services.approval.ports import Parts
from shared.addresses import Network
from shared.clock import iso_millis
from shared.errors import BadInput
from shared.ids import b64u
from shared.services import PHONE_COOKIE_NAME
from shared.web.cookies import HostCookie, check_same_origin
from shared.web.frame import Pages
from shared.web.headers import Csp
from shared.web.i18n import choose
from shared.web.inputs import client_address, read_json

SESSION_COOKIE = HostCookie(PHONE_COOKIE_NAME)
MAX_TEXT = 16 * 1024
PAGE_CSP = Csp(trusted_types=("blok365",))  # no such policy is ever made: text never becomes markup here


@dataclass(frozen=True, slots=True)
class KeyPage:
    """What the phone's page is drawn from: the outcomes it has words for, by code."""

    outcomes: tuple[str, ...] = (
        "approved",
        "enrolled",
        "denied",
        "not_me",
        "expired",
        "over",
        "accepted",
        "wrong_code",
        "other_account",
        "other_network",
        "invitation",
        "ceremony",
        "credential",
        "too_many_devices",
        "account",
        "device_removed",
        "removed",
        "unknown_device",
        "unavailable",
        "other",
    )


class Web:
    """URL to handler."""

    def __init__(self, parts: Parts, pages: Pages, origin: str, proxies: Sequence[Network] = ()) -> None:
        self._parts = parts
        self._pages = pages
        self._origin = origin
        self._proxies = proxies

    def routes(self) -> list[web.RouteDef]:
        """All of `/key/`."""
        api = "/key/api"
        return [
            web.get("/key/", self.page),
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

    async def page(self, request: web.Request) -> web.Response:
        """The phone's page. Changes nothing: mail scanners follow links."""
        return self._pages.render(request, "key.html", view=KeyPage(), csp=PAGE_CSP)

    # enrolment

    async def begin_enrolment(self, request: web.Request) -> web.Response:
        """`{invitation}` to WebAuthn creation options."""
        body = await self._body(request)
        begun = await enrolling.begin_enrolment(self._parts, _text(body, "invitation"))
        return web.json_response(
            {
                "id": begun.ceremony.id,
                "tenant": begun.ceremony.tenant,
                "account": begun.ceremony.account,
                "upn": begun.upn,
                "organisation": begun.organisation,
                "options": self._creation_options(begun),
            },
            status=201,
        )

    def _creation_options(self, begun: enrolling.Begun) -> Mapping[str, Any]:
        """PublicKeyCredentialCreationOptionsJSON (Web Authentication Level 3, section 5.1.8)."""
        return {
            "rp": {"id": self._parts.rp.id, "name": "Blok365"},
            "user": {
                "id": b64u(begun.user_handle),
                "name": begun.upn,
                "displayName": begun.display_name or begun.upn,
            },
            "challenge": b64u(begun.ceremony.challenge),
            "pubKeyCredParams": [{"type": "public-key", "alg": int(alg)} for alg in ALGORITHMS],
            "timeout": _milliseconds(self._parts),
            "excludeCredentials": [{"type": "public-key", "id": known} for known in begun.exclude],
            "authenticatorSelection": {
                "authenticatorAttachment": "platform",
                "residentKey": "preferred",
                "requireResidentKey": False,
                "userVerification": "required",
            },
            "attestation": "none",
        }

    async def finish_enrolment(self, request: web.Request) -> web.Response:
        """`{credential, endorsement, name}` to the new device."""
        body = await self._body(request)
        device = await enrolling.finish_enrolment(
            self._parts,
            request.match_info["id"],
            body.get("credential"),
            _text(body, "endorsement"),
            _text(body, "name", default=""),
        )
        return web.json_response({"device": _device(device)}, status=201)

    # sessions

    async def begin_session(self, request: web.Request) -> web.Response:
        """WebAuthn request options."""
        await self._body(request)
        begun = await sessions.begin_session(self._parts)
        options = {
            "challenge": b64u(begun.challenge),
            "rpId": self._parts.rp.id,
            "timeout": _milliseconds(self._parts),
            "userVerification": "required",
        }
        return web.json_response({"id": begun.id, "options": options}, status=201)

    async def open_session(self, request: web.Request) -> web.Response:
        """`{id, credential}` to a session cookie. An older session of this phone's browser ends."""
        body = await self._body(request)
        token, who = await sessions.open_session(self._parts, _text(body, "id"), body.get("credential"))
        await sessions.close_session(self._parts, SESSION_COOKIE.read(request))
        response = web.json_response({"account": who.account.upn, "device": who.session.device}, status=201)
        SESSION_COOKIE.set(response, token, max_age=int(self._parts.limits.session.total_seconds()))
        return response

    async def close_session(self, request: web.Request) -> web.Response:
        """End the session."""
        check_same_origin(request, self._origin)
        await sessions.close_session(self._parts, SESSION_COOKIE.read(request))
        response = web.Response(status=204)
        SESSION_COOKIE.clear(response)
        return response

    # challenges

    async def list_requests(self, request: web.Request) -> web.Response:
        """Open requests, at most three."""
        who = await self._who(request)
        found = await challenges.list_requests(self._parts, who, self._address(request), choose(request))
        return web.json_response({"challenges": [_request(each) for each in found]})

    async def request_by_handle(self, request: web.Request) -> web.Response:
        """`{handle}` from a scanned code to its request, which is this phone's from now on."""
        body = await self._body(request)
        who = await self._who(request)
        handle = _text(body, "handle")
        found = await challenges.request_by_handle(
            self._parts, who, handle, self._address(request), choose(request)
        )
        return web.json_response({"challenge": _request(found)})

    async def approve(self, request: web.Request) -> web.Response:
        """`{context, credential}`: the context with the code, and the assertion over its SHA-256."""
        body = await self._body(request)
        await challenges.approve(
            self._parts,
            request.match_info["id"],
            _text(body, "context"),
            body.get("credential"),
            self._address(request),
        )
        return web.json_response({"state": State.ACCEPTED.value})

    async def deny(self, request: web.Request) -> web.Response:
        """Say no to one request."""
        return await self._refuse(request, State.DENIED)

    async def not_me(self, request: web.Request) -> web.Response:
        """Say no, report it, and stop notifications for unknown browsers."""
        return await self._refuse(request, State.NOT_ME)

    async def _refuse(self, request: web.Request, outcome: State) -> web.Response:
        await self._body(request)
        who = await self._who(request)
        await challenges.refuse(self._parts, who, request.match_info["id"], outcome)
        return web.json_response({"state": outcome.value})

    # devices

    async def list_devices(self, request: web.Request) -> web.Response:
        """The person's own phones."""
        who = await self._who(request)
        return web.json_response(
            {"devices": [{**_device(d), "this": d.id == who.session.device} for d in sessions.devices(who)]}
        )

    async def remove_device(self, request: web.Request) -> web.Response:
        """Remove one of the person's own phones."""
        check_same_origin(request, self._origin)
        who = await self._who(request)
        await sessions.remove_device(self._parts, who, request.match_info["id"])
        return web.Response(status=204)

    # notifications

    async def push_key(self, _: web.Request) -> web.Response:
        """`applicationServerKey` to subscribe with; public."""
        return web.json_response({"key": self._parts.push_key})

    async def subscribe(self, request: web.Request) -> web.Response:
        """`PushSubscription.toJSON()` of this phone's browser, in place of an older one."""
        body = await self._body(request)
        who = await self._who(request)
        made = await notifications.subscribe(self._parts, who, body, choose(request))
        return web.json_response({"subscription": made.id}, status=201)

    async def unsubscribe(self, request: web.Request) -> web.Response:
        """No more notifications to this phone."""
        check_same_origin(request, self._origin)
        await notifications.unsubscribe(self._parts, await self._who(request))
        return web.Response(status=204)

    # common to all

    async def _body(self, request: web.Request) -> dict[str, Any]:
        check_same_origin(request, self._origin)
        return await read_json(request)

    def _address(self, request: web.Request) -> str:
        return client_address(request, self._proxies)

    async def _who(self, request: web.Request) -> SignedIn:
        return await sessions.signed_in(self._parts, SESSION_COOKIE.read(request))


def _request(request: Request) -> dict[str, Any]:
    return {
        "id": request.id,
        "method": request.method,
        "context": request.context,
        "browser_known": request.browser_known,
        "opened_at": iso_millis(request.opened_at),
        "deadline": iso_millis(request.deadline),
        "tries_left": request.tries_left,
        "network_differs": request.network_differs,
        "country_differs": None if request.country_differs is None else asdict(request.country_differs),
    }


def _device(device: Device) -> dict[str, Any]:
    return {
        "id": device.id,
        "name": device.name,
        "credential_id": device.credential_id,
        "enrolled_at": iso_millis(device.enrolled_at),
        "backed_up": device.backed_up,
    }


def _milliseconds(parts: Parts) -> int:
    return int(parts.limits.ceremony.total_seconds() * 1000)


def _text(body: Mapping[str, Any], name: str, *, default: str | None = None) -> str:
    value = body.get(name, default)
    if not isinstance(value, str) or len(value) > MAX_TEXT or (not value and default is None):
        raise BadInput("approval.body.text_missing", name=name)
    try:
        value.encode()
    except UnicodeEncodeError:  # half a character, written as an escape
        raise BadInput("approval.body.not_text", name=name) from None
    return value
