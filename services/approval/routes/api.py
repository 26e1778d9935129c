"""The phone's API (JSON, problem+json). What is decided here is only HTTP.

The proxy passes only status and body of an answer, so everything is in the body, and there are no cookies: a session is
a bearer token (RFC 6750), which no browser adds to a request by itself. The API never says more to a stranger than that
something is not known here.
"""

import re
from collections.abc import Mapping
from typing import Any

from aiohttp import web

from services.approval.domain.lifecycle import ChallengeAction, ChallengeState
from services.approval.handlers import challenges, enrolment, further, notifications, sessions
from services.approval.handlers.sessions import SignedIn
from services.approval.ports import Dependencies
from services.approval.routes.representations import (
    ceremony_json,
    device_json,
    enrolment_json,
    history_json,
    offer_json,
    request_json,
)
from shared.addresses import ClientNetworks
from shared.errors import BadInput, Forbidden
from shared.web.i18n import choose
from shared.web.inputs import client_address, read_json

MAX_TEXT = 16 * 1024
_DIGEST = re.compile("[A-Za-z0-9_-]{43}")
"""A SHA-256 in base64url."""
_BEARER = re.compile(r"(?i:bearer) ((?:[A-Za-z0-9_-]{1,1364}\.)?[A-Za-z0-9_-]{43})")
"""An Authorization header of the shape that a session's token gives (`shared.ids.new_secret`); before the token of a
first session stands the credential id, of at most 1,023 octets.
"""


class PhoneRoutes:
    """Each URL of the API and its handler."""

    def __init__(self, deps: Dependencies, networks: ClientNetworks) -> None:
        self._deps = deps
        self._networks = networks

    def routes(self) -> list[web.RouteDef]:
        """The routes of `/api/`."""
        api = "/api"
        return [
            web.post(f"{api}/enrolments", self.begin_enrolment),
            web.post(f"{api}/enrolments/{{id}}", self.finish_enrolment),
            web.post(f"{api}/new-links", self.ask_for_new_link),
            web.post(f"{api}/sessions/nonce", self.begin_session),
            web.post(f"{api}/sessions", self.open_session),
            web.delete(f"{api}/sessions", self.close_session),
            web.get(f"{api}/challenges", self.list_requests),
            web.post(f"{api}/challenges/by-handle", self.request_by_handle),
            web.get(f"{api}/challenges/{{id}}", self.state_of_request),
            web.post(f"{api}/challenges/{{id}}/approve", self.approve),
            web.post(f"{api}/challenges/{{id}}/deny", self.deny),
            web.post(f"{api}/challenges/{{id}}/not-me", self.not_me),
            web.get(f"{api}/history", self.history),
            web.get(f"{api}/devices", self.list_devices),
            web.post(f"{api}/devices/{{id}}/remove/nonce", self.begin_removal),
            web.post(f"{api}/devices/{{id}}/remove", self.remove_device),
            web.post(f"{api}/offers", self.offer),
            web.get(f"{api}/offers/{{id}}", self.own_offer),
            web.post(f"{api}/offers/{{id}}/begin", self.begin_further),
            web.post(f"{api}/offers/{{id}}/key", self.take_offer),
            web.post(f"{api}/offers/{{id}}/state", self.offer_state),
            web.post(f"{api}/offers/{{id}}/endorse", self.endorse),
            web.get(f"{api}/push-key", self.push_key),
            web.post(f"{api}/push-subscription", self.subscribe),
            web.delete(f"{api}/push-subscription", self.unsubscribe),
        ]

    # enrolment

    async def begin_enrolment(self, request: web.Request) -> web.Response:
        """`{invitation}` to what the phone makes its key for, and a nonce."""
        body = await self._body(request)
        begun = await enrolment.begin_enrolment(self._deps, _text(body, "invitation"))
        return web.json_response(enrolment_json(begun), status=201)

    async def finish_enrolment(self, request: web.Request) -> web.Response:
        """`{statement, credential, endorsement, name, session?, session_signature?}` to the new device.

        `session`: a token's SHA-256. It is opened only with the invitation key's signature over it, and used with the
        credential id before the token: `<credential id>.<token>`.
        """
        body = await self._body(request)
        device = await enrolment.finish_enrolment(
            self._deps,
            request.match_info["id"],
            _text(body, "statement"),
            body.get("credential"),
            _text(body, "endorsement"),
            _text(body, "name", default=""),
            session=_digest(body, "session"),
            session_signature=_text(body, "session_signature", default=""),
        )
        return web.json_response({"device": device_json(device)}, status=201)

    async def ask_for_new_link(self, request: web.Request) -> web.Response:
        """`{invitation}`, whose link no longer works: the same answer whatever becomes of it."""
        body = await self._body(request)
        await enrolment.ask_for_new_link(self._deps, _text(body, "invitation"))
        return web.json_response({}, status=202)

    # sessions

    async def begin_session(self, request: web.Request) -> web.Response:
        """Answer a nonce, for the statement that opens a session."""
        await self._body(request)
        return web.json_response(ceremony_json(await sessions.begin_session(self._deps)), status=201)

    async def open_session(self, request: web.Request) -> web.Response:
        """`{id, statement, credential}` to `{token, account, organisation, device}`. The session that asks ends."""
        body = await self._body(request)
        token, who = await sessions.open_session(
            self._deps, _text(body, "id"), _text(body, "statement"), body.get("credential")
        )
        await sessions.close_session(self._deps, _token(request))
        opened = {
            "token": token,
            "account": who.account.upn,
            "organisation": await sessions.organisation(self._deps, who),
            "device": who.session.device,
            "waiting": who.waiting,
        }
        return web.json_response(opened, status=201)

    async def close_session(self, request: web.Request) -> web.Response:
        """End the phone's session."""
        self._check_sender(request)
        await sessions.close_session(self._deps, _token(request))
        return web.Response(status=204)

    # challenges

    async def list_requests(self, request: web.Request) -> web.Response:
        """Answer the open requests, at most three, and what this phone has scanned; and how this phone stands."""
        who = await self._who(request)
        found = await challenges.list_requests(self._deps, who, self._address(request), choose(request))
        subscription = notifications.subscription_of(who)
        answer = {
            "challenges": [request_json(each) for each in found],
            "waiting": who.waiting,
            "notifications": who.account.notifications_of(who.device),
            "subscription": None if subscription is None else subscription.id,
        }
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

    async def state_of_request(self, request: web.Request) -> web.Response:
        """Answer what became of a request that the list has no more: `{state}`."""
        who = await self._who(request)
        return web.json_response({"state": challenges.state(self._deps, who, request.match_info["id"]).value})

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

    async def history(self, request: web.Request) -> web.Response:
        """Answer how the last requests ended, the newest first, and how many are kept."""
        who = await self._who(request)
        return web.json_response(history_json(challenges.past_requests(self._deps, who)))

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
                    {
                        **device_json(d),
                        "this": d.id == who.session.device,
                        "notifications": who.account.notifications_of(d),
                    }
                    for d in sessions.devices(who)
                ]
            }
        )

    async def begin_removal(self, request: web.Request) -> web.Response:
        """Answer a nonce, for the statement that removes one of the person's own phones."""
        await self._body(request)
        who = await self._who(request)
        begun = await sessions.begin_removal(self._deps, who, request.match_info["id"])
        return web.json_response(ceremony_json(begun), status=201)

    async def remove_device(self, request: web.Request) -> web.Response:
        """`{id, statement, credential}`: remove one of the person's own phones."""
        body = await self._body(request)
        who = await self._who(request)
        await sessions.remove_device(
            self._deps,
            who,
            request.match_info["id"],
            _text(body, "id"),
            _text(body, "statement"),
            body.get("credential"),
        )
        return web.Response(status=204)

    # a further phone

    async def offer(self, request: web.Request) -> web.Response:
        """Offer to endorse one new phone: `{id, expires_in, tenant, account, server_nonce}`."""
        await self._body(request)
        made = await further.offer(self._deps, await self._who(request))
        return web.json_response(offer_json(made, self._deps.clock.now()), status=201)

    async def own_offer(self, request: web.Request) -> web.Response:
        """Answer the phone that offers: where the offer stands, and the new key once there is one."""
        found = await further.own_offer(self._deps, await self._who(request), request.match_info["id"])
        return web.json_response(offer_json(found, self._deps.clock.now()))

    async def begin_further(self, request: web.Request) -> web.Response:
        """Answer the new phone what it makes its key for, and a nonce."""
        await self._body(request)
        return web.json_response(enrolment_json(await further.begin(self._deps, request.match_info["id"])))

    async def take_offer(self, request: web.Request) -> web.Response:
        """`{statement, credential, endorsement, name}`: the new phone's key, signed with the offer's secret."""
        body = await self._body(request)
        await further.take(
            self._deps,
            request.match_info["id"],
            _text(body, "statement"),
            body.get("credential"),
            _text(body, "endorsement"),
            _text(body, "name", default=""),
        )
        return web.json_response({}, status=201)

    async def offer_state(self, request: web.Request) -> web.Response:
        """Answer the new phone where the offer stands: `{state}`."""
        await self._body(request)
        return web.json_response({"state": (await further.state(self._deps, request.match_info["id"])).value})

    async def endorse(self, request: web.Request) -> web.Response:
        """`{statement, credential}`: the offering phone vouches for the new key. Answers `{device}`, its id."""
        body = await self._body(request)
        made = await further.endorse(
            self._deps,
            await self._who(request),
            request.match_info["id"],
            _text(body, "statement"),
            body.get("credential"),
        )
        return web.json_response({"device": made}, status=201)

    # notifications

    async def push_key(self, _: web.Request) -> web.Response:
        """`applicationServerKey` to subscribe with; public."""
        return web.json_response({"key": self._deps.push_key})

    async def subscribe(self, request: web.Request) -> web.Response:
        """`PushSubscription.toJSON()` of this phone's browser, in place of an older one."""
        body = await self._body(request)
        who = await self._who(request)
        made = await notifications.subscribe(self._deps, who, body)
        return web.json_response({"subscription": made.id}, status=201)

    async def unsubscribe(self, request: web.Request) -> web.Response:
        """Forget this phone's push subscription, so that it gets no more notifications."""
        await notifications.unsubscribe(self._deps, await self._who(request))
        return web.Response(status=204)

    # common to all

    async def _body(self, request: web.Request) -> dict[str, Any]:
        self._check_sender(request)
        return await read_json(request)

    def _check_sender(self, request: web.Request) -> None:
        """Refuse what a page of another origin asks for, the sign-in page included.

        Apps send neither header. `null` is nobody's origin: our own page never sends it to its own host.
        """
        site = request.headers.get("Sec-Fetch-Site", "same-origin")
        senders = request.headers.getall("Origin", [])
        if site not in ("same-origin", "none") or not set(senders) <= set(self._deps.rp.origins):
            raise Forbidden("shared.web.cross_site", code="cross_site")

    def _address(self, request: web.Request) -> str:
        return client_address(request, self._networks)

    async def _who(self, request: web.Request) -> SignedIn:
        self._check_sender(request)
        return await sessions.signed_in(self._deps, _token(request))


def _token(request: web.Request) -> str | None:
    """The session's token; None when there is none, or nothing of its shape."""
    found = _BEARER.fullmatch(request.headers.get("Authorization", ""))
    return None if found is None else found[1]


def _text(body: Mapping[str, Any], name: str, *, default: str | None = None) -> str:
    value = body.get(name, default)
    if not isinstance(value, str) or len(value) > MAX_TEXT or (not value and default is None):
        raise BadInput("approval.body.text_missing", name=name)
    try:
        value.encode()
    except UnicodeEncodeError:  # half a character, written as an escape
        raise BadInput("approval.body.not_text", name=name) from None
    return value


def _digest(body: Mapping[str, Any], name: str) -> str | None:
    value = body.get(name)
    if value is not None and not (isinstance(value, str) and _DIGEST.fullmatch(value)):
        raise BadInput("approval.body.text_missing", name=name)
    return value
