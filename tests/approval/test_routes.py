"""The phone's API over HTTP: sessions, origins, malformed input."""

import json
from collections.abc import AsyncIterator
from typing import Any

import aiohttp
import pytest

from services.approval.ports import Ceremony
from shared.contracts.admin import AccountStatus
from shared.crypto.statement import Purpose
from shared.ids import unb64u
from shared.web.server import serve
from tests.approval.support import ORIGIN, SIGN_IN_ORIGIN, Approval, Phone, decide

pytestmark = pytest.mark.integration

API = "/api"


class Client:
    """A browser on the phone, as far as headers go."""

    def __init__(self, http: aiohttp.ClientSession, url: str) -> None:
        self._http = http
        self._url = url
        self.headers: dict[str, str] = {"Host": "key.id.localhost:8365", "Origin": ORIGIN}

    async def send(self, method: str, path: str, body: Any = None, **more: Any) -> tuple[int, Any]:
        headers = self.headers | more.pop("headers", {})
        async with self._http.request(
            method, self._url + path, json=body, headers=headers, **more
        ) as response:
            self.last = response
            text = await response.text()
            if response.content_type.endswith("json"):
                return response.status, json.loads(text)
            return response.status, text

    async def sign_in(self, phone: Phone) -> None:
        _, begun = await self.send("POST", f"{API}/sessions/nonce", {})
        body = self.stated(phone, begun, Purpose.SESSION)
        status, opened = await self.send("POST", f"{API}/sessions", body)
        assert status == 201
        self.headers["Authorization"] = f"Bearer {opened['token']}"

    def stated(
        self, phone: Phone, begun: dict[str, str], purpose: Purpose, device: str = ""
    ) -> dict[str, Any]:
        """What answers a nonce."""
        now = phone.approval.world.clock.now()
        given = Ceremony(begun["id"], purpose, begun["server_nonce"], now, device=device)
        statement, credential = phone.stated(given)
        return {"id": begun["id"], "statement": statement, "credential": credential}


@pytest.fixture
async def client(approval: Approval) -> AsyncIterator[Client]:
    application = approval.world.services["approval"].web
    assert application is not None
    runner, port = await serve(application, "127.0.0.1", 0)
    async with aiohttp.ClientSession(cookie_jar=aiohttp.DummyCookieJar()) as http:
        yield Client(http, f"http://127.0.0.1:{port}")
    await runner.cleanup()


async def test_session_is_a_token_in_the_answer_and_no_cookie(approval: Approval, client: Client) -> None:
    """The proxy passes only status and body; a cookie could besides be planted by a sibling host."""
    await client.sign_in(await approval.phone())
    assert len(unb64u(client.headers["Authorization"].removeprefix("Bearer "))) == 32
    assert "Set-Cookie" not in client.last.headers
    assert client.last.headers["Cache-Control"] == "no-store"


async def test_a_cookie_is_no_session(approval: Approval, client: Client) -> None:
    await client.sign_in(await approval.phone())
    token = client.headers.pop("Authorization").removeprefix("Bearer ")
    for name in ("blok365-key", "__Host-blok365-key", "token"):
        status, _ = await client.send("GET", f"{API}/challenges", headers={"Cookie": f"{name}={token}"})
        assert status == 401


@pytest.mark.parametrize(
    "header",
    ["", "Bearer", "Bearer ", "Bearer  {}", "Basic {}", "{}", "Bearer {} ", "Bearer {}, {}", "Bearer {}="],
)
async def test_rejects_another_shape_of_the_header(approval: Approval, client: Client, header: str) -> None:
    await client.sign_in(await approval.phone())
    token = client.headers["Authorization"].removeprefix("Bearer ")
    wrong = header.replace("{}", token)
    if (
        wrong.strip() == f"Bearer {token}"
    ):  # white space around a value is not part of it (RFC 9110, section 5.5)
        wrong = "Bearer " + token[:-1]
    status, problem = await client.send("GET", f"{API}/challenges", headers={"Authorization": wrong})
    assert (status, problem["code"]) == (401, "not_authenticated")


async def test_there_is_no_page(client: Client) -> None:
    """The phone's page is files that no service can change; this one answers JSON whatever is asked."""
    for path in (f"{API}/", f"{API}/nothing"):
        status, problem = await client.send("GET", path, headers={"Accept": "text/html"})
        assert (status, problem["code"]) == (404, "not_found"), path
    for path in ("/", "/key/"):
        assert (await client.send("GET", path))[0] == 404, path


async def test_enrolment_is_given_no_options_to_sign(approval: Approval, client: Client) -> None:
    """Which key is made, how its user is verified and what is signed is the page's own business."""
    await approval.account()
    invitation = (await approval.invitation()).partition(".")[0]
    status, begun = await client.send("POST", f"{API}/enrolments", {"invitation": invitation})
    assert status == 201
    assert (begun["tenant"], begun["account"], begun["organisation"]) == ("contoso", "ada", "Contoso")
    assert len(unb64u(begun["server_nonce"])) == len(unb64u(begun["user_handle"])) == 32
    assert begun.keys().isdisjoint({"options", "challenge", "rpId", "rp"})


async def test_signing_in_again_ends_the_older_session(approval: Approval, client: Client) -> None:
    phone = await approval.phone()
    await client.sign_in(phone)
    old = dict(client.headers)
    await client.sign_in(phone)
    assert (await client.send("GET", f"{API}/challenges"))[0] == 200
    assert (await client.send("GET", f"{API}/challenges", headers=old))[0] == 401


async def test_phone_is_told_while_its_organisation_has_not_confirmed_it_and_when_it_was_refused(
    approval: Approval, client: Client
) -> None:
    phone = await approval.phone(confirmed=False)
    await client.sign_in(phone)
    status, answer = await client.send("GET", f"{API}/challenges")
    assert (status, answer["waiting"]) == (200, True)
    device = (await phone.who()).session.device
    await decide(approval, device, "trusted", version=1)
    assert (await client.send("GET", f"{API}/challenges"))[1]["waiting"] is False
    other = await approval.phone("grace")
    await client.sign_in(other)
    await decide(approval, (await other.who()).session.device, "refused", account="grace")
    status, problem = await client.send("GET", f"{API}/challenges")
    assert (status, problem["code"]) == (403, "refused")


async def test_sign_out(approval: Approval, client: Client) -> None:
    await client.sign_in(await approval.phone())
    assert (await client.send("DELETE", f"{API}/sessions"))[0] == 204
    status, problem = await client.send("GET", f"{API}/challenges")
    assert (status, problem["code"]) == (401, "not_authenticated")


async def test_fixed_session_is_no_session(approval: Approval, client: Client) -> None:
    await approval.phone()
    client.headers["Authorization"] = f"Bearer {'a' * 43}"
    assert (await client.send("GET", f"{API}/challenges"))[0] == 401


async def test_device_list_and_removal(approval: Approval, client: Client) -> None:
    phone = await approval.phone()
    await client.sign_in(phone)
    _, answer = await client.send("GET", f"{API}/devices")
    (device,) = answer["devices"]
    assert (device["name"], device["this"]) == ("Ada's phone", True)
    path = f"{API}/devices/{device['id']}/remove"
    status, begun = await client.send("POST", f"{path}/nonce", {})
    assert status == 201
    status, _ = await client.send("POST", path, client.stated(phone, begun, Purpose.REMOVE, device["id"]))
    assert status == 204
    status, problem = await client.send("GET", f"{API}/devices")
    assert (status, problem["code"]) == (403, "device_removed")


CHANGES = [
    ("POST", "/enrolments"),
    ("POST", "/enrolments/x"),
    ("POST", "/sessions/nonce"),
    ("POST", "/sessions"),
    ("DELETE", "/sessions"),
    ("POST", "/challenges/by-handle"),
    ("POST", "/challenges/x/approve"),
    ("POST", "/challenges/x/deny"),
    ("POST", "/challenges/x/not-me"),
    ("POST", "/devices/x/remove/nonce"),
    ("POST", "/devices/x/remove"),
    ("POST", "/push-subscription"),
    ("DELETE", "/push-subscription"),
]


@pytest.mark.parametrize(("method", "path"), CHANGES)
@pytest.mark.parametrize(
    "headers",
    [
        {"Origin": "https://evil.example"},
        {"Origin": SIGN_IN_ORIGIN},
        {"Origin": "null"},
        {"Sec-Fetch-Site": "cross-site"},
        {"Sec-Fetch-Site": "same-site"},
    ],
    ids=["origin", "sign-in page", "null", "cross-site", "sibling host"],
)
async def test_rejects_another_sites_request(
    client: Client, method: str, path: str, headers: dict[str, str]
) -> None:
    status, problem = await client.send(method, API + path, {}, headers=headers)
    assert (status, problem["code"]) == (403, "cross_site")


@pytest.mark.parametrize("path", [path for method, path in CHANGES if method == "POST"])
@pytest.mark.parametrize(
    ("kind", "data", "status"),
    [
        ("text/plain", b"{}", 400),
        ("application/x-www-form-urlencoded", b"a=b", 400),
        ("application/json", b"", 400),
        ("application/json", b"[]", 400),
        ("application/json", b'{"a":1,"a":2}', 400),
        ("application/json", b'{"a":"\xff"}', 400),
        ("application/json", b"[" * 30_000, 400),
        ("application/json", b'{"a":' + b"9" * 6000 + b"}", 400),
        ("application/json", b'{"a":"' + b"x" * 70_000 + b'"}', 413),
    ],
    ids=["text", "form", "empty", "list", "doubled", "not UTF-8", "deep", "long number", "too large"],
)
async def test_malformed_body_is_refused_cleanly(
    client: Client, path: str, kind: str, data: bytes, status: int
) -> None:
    headers = client.headers | {"Content-Type": kind}
    async with client._http.post(client._url + API + path, data=data, headers=headers) as response:
        problem = await response.json()
        assert (response.status, response.content_type) == (status, "application/problem+json")
        assert problem["status"] == status


@pytest.mark.parametrize("value", [None, 7, "", [], {}, "\ud800", "x" * 20_000, {"$ne": 1}, "a.b$c\x00"])
@pytest.mark.parametrize(
    ("path", "field"),
    [
        ("/enrolments", "invitation"),
        ("/enrolments/x", "endorsement"),
        ("/enrolments/x", "session_signature"),
        ("/enrolments/x", "statement"),
        ("/enrolments/x", "credential"),
        ("/sessions", "id"),
        ("/sessions", "statement"),
        ("/sessions", "credential"),
        ("/challenges/by-handle", "handle"),
        ("/challenges/x/approve", "context"),
        ("/challenges/x/approve", "credential"),
        ("/devices/x/remove", "id"),
        ("/devices/x/remove", "statement"),
        ("/devices/x/remove", "credential"),
    ],
)
async def test_malformed_field_is_a_clean_4xx(
    approval: Approval, client: Client, path: str, field: str, value: object
) -> None:
    phone = await approval.phone()
    await client.sign_in(phone)
    body: dict[str, Any] = {
        "invitation": "x",
        "endorsement": "x",
        "id": "x",
        "handle": "x",
        "context": "{}",
        "statement": "{}",
        "credential": phone.answer("{}"),
    }
    status, problem = await client.send("POST", API + path, {**body, field: value})
    assert 400 <= status < 500
    assert problem["code"]


@pytest.mark.parametrize(
    "path",
    [
        "/challenges/%00/deny",
        "/challenges/%ff/deny",
        "/challenges/..%2F..%2F/deny",
        "/challenges/$where/deny",
    ],
)
async def test_malformed_path_is_a_clean_4xx(approval: Approval, client: Client, path: str) -> None:
    await client.sign_in(await approval.phone())
    status, _ = await client.send("POST", API + path, {})
    assert 400 <= status < 500


async def test_every_session_route_refuses_another_tenants_ids(approval: Approval, client: Client) -> None:
    victim = await approval.phone("ada")
    asked = await approval.ask("ada")
    scanned = await approval.ask("ada", method="qr", browser="other")
    device = (await victim.who()).session.device
    await client.sign_in(await approval.phone("eve", tenant="fabrikam"))
    for method, path, body, status in [
        ("GET", "/challenges", None, 200),
        ("POST", f"/challenges/{asked.id}/deny", {}, 404),
        ("POST", f"/challenges/{asked.id}/not-me", {}, 404),
        ("POST", "/challenges/by-handle", {"handle": scanned.handle}, 403),
        ("POST", f"/devices/{device}/remove/nonce", {}, 404),
        ("GET", "/devices", None, 200),
    ]:
        got, answer = await client.send(method, API + path, body)
        assert got == status, path
        assert asked.id not in str(answer)
        assert scanned.id not in str(answer)
        assert device not in str(answer)
    assert approval.state(asked) == approval.state(scanned) == "open"


async def test_nobody_without_a_session_gets_anything(approval: Approval, client: Client) -> None:
    await approval.phone()
    asked = await approval.ask()
    for method, path, body in [
        ("GET", "/challenges", None),
        ("POST", f"/challenges/{asked.id}/deny", {}),
        ("POST", f"/challenges/{asked.id}/not-me", {}),
        ("POST", "/challenges/by-handle", {"handle": "x"}),
        ("GET", "/devices", None),
        ("POST", "/devices/x/remove/nonce", {}),
        ("POST", "/devices/x/remove", {}),
    ]:
        status, _ = await client.send(method, API + path, body)
        assert status == 401, path


async def test_what_became_of_a_request_is_answered_to_its_own_phones_only(
    approval: Approval, client: Client
) -> None:
    phone = await approval.phone()
    await client.sign_in(phone)
    asked = await approval.ask()
    path = f"{API}/challenges/{asked.id}"
    assert await client.send("GET", path) == (200, {"state": "open"})
    approval.world.clock.advance(121)
    assert await client.send("GET", path) == (200, {"state": "expired"})  # recorded or not
    await client.sign_in(await approval.phone("grace"))
    status, problem = await client.send("GET", path)
    assert (status, problem["code"]) == (404, "not_found")


@pytest.mark.parametrize("session", ["", "short", 7, ["x"], "=" * 43])
async def test_rejects_a_session_that_is_no_digest(
    approval: Approval, client: Client, session: object
) -> None:
    body = {"statement": "x", "credential": {}, "endorsement": "x", "session": session}
    assert (await client.send("POST", f"{API}/enrolments/x", body))[0] == 400


async def test_request_says_its_age_and_time_left_by_the_servers_clock(
    approval: Approval, client: Client
) -> None:
    await client.sign_in(await approval.phone())
    await approval.ask(lifetime=120)
    approval.world.clock.advance(30)
    (request,) = (await client.send("GET", f"{API}/challenges"))[1]["challenges"]
    assert (request["age"], request["expires_in"]) == (30, 90)


async def test_new_link_has_one_answer_and_is_asked_for_where_there_may_be_one(
    approval: Approval, client: Client
) -> None:
    await approval.account(status=AccountStatus.INVITED)
    await approval.account("grace")
    invited, active = await approval.invitation(), await approval.invitation("grace")
    for fragment in (invited, active, "unknown.x", "\u2028"):
        invitation = fragment.partition(".")[0]
        assert await client.send("POST", f"{API}/new-links", {"invitation": invitation}) == (202, {})
    await approval.settle()
    sent = [each for each in approval.world.bus.sent if each.type == "admin.invitation.renew.v1"]
    assert len(sent) == 1
    for wrong in (
        {},
        {"invitation": 1},
        {"invitation": ""},
        {"invitation": "\ud800"},
        {"invitation": "x" * 20_000},
    ):
        assert (await client.send("POST", f"{API}/new-links", wrong))[0] == 400
