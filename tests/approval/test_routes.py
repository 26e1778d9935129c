"""The phone's API over HTTP: cookies, origins, malformed input."""

import json
from collections.abc import AsyncIterator
from typing import Any

import aiohttp
import pytest

from deploy.standins.phone.authenticator import assertion
from shared.ids import unb64u
from shared.web.server import serve
from tests.approval.support import ORIGIN, Approval, Phone

pytestmark = pytest.mark.integration

API = "/api"


class Client:
    """A browser on the phone, as far as headers and cookies go."""

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
        _, begun = await self.send("POST", f"{API}/sessions/options", {})
        phone.key = phone.key.used()
        credential = assertion(phone.key, unb64u(begun["options"]["challenge"]))
        status, _ = await self.send("POST", f"{API}/sessions", {"id": begun["id"], "credential": credential})
        assert status == 201
        self.headers["Cookie"] = self.last.headers["Set-Cookie"].partition(";")[0]


@pytest.fixture
async def client(approval: Approval) -> AsyncIterator[Client]:
    application = approval.world.services["approval"].web
    assert application is not None
    runner, port = await serve(application, "127.0.0.1", 0)
    async with aiohttp.ClientSession(cookie_jar=aiohttp.DummyCookieJar()) as http:
        yield Client(http, f"http://127.0.0.1:{port}")
    await runner.cleanup()


async def test_page_says_what_to_do_and_changes_nothing(approval: Approval, client: Client) -> None:
    before = len(approval.world.databases["approval"].operations)
    status, text = await client.send("GET", "/", headers={"Accept-Language": "en"})
    assert status == 200
    assert "Scan the code on your sign-in page" in text
    assert "default-src 'none'" in client.last.headers["Content-Security-Policy"]
    assert "camera=(self)" in client.last.headers["Permissions-Policy"]
    assert len(approval.world.databases["approval"].operations) == before


async def test_page_in_french(client: Client) -> None:
    _, text = await client.send("GET", "/", headers={"Accept-Language": "fr"})
    assert 'lang="fr"' in text


async def test_session_cookie_cannot_be_read_sent_abroad_or_set_by_a_sibling(
    approval: Approval, client: Client
) -> None:
    await client.sign_in(await approval.phone())
    cookie = client.last.headers["Set-Cookie"]
    assert cookie.startswith("__Host-blok365-key=")
    for attribute in ("HttpOnly", "Secure", "SameSite=Lax", "Path=/", "Max-Age=43200"):
        assert attribute in cookie
    assert "Domain" not in cookie
    assert client.last.headers["Cache-Control"] == "no-store"


async def test_creation_options_ask_for_what_we_can_verify(approval: Approval, client: Client) -> None:
    await approval.account()
    invitation = (await approval.invitation()).partition(".")[0]
    status, begun = await client.send("POST", f"{API}/enrolments", {"invitation": invitation})
    assert status == 201
    options = begun["options"]
    assert [each["alg"] for each in options["pubKeyCredParams"]] == [-7, -8, -257]
    assert options["authenticatorSelection"]["userVerification"] == "required"
    assert options["attestation"] == "none"
    assert options["rp"]["id"] == "id.localhost"
    assert (begun["tenant"], begun["account"], begun["organisation"]) == ("contoso", "ada", "Contoso")
    assert len(unb64u(options["challenge"])) == len(unb64u(options["user"]["id"])) == 32


async def test_signing_in_again_ends_the_older_session(approval: Approval, client: Client) -> None:
    phone = await approval.phone()
    await client.sign_in(phone)
    old = dict(client.headers)
    await client.sign_in(phone)
    assert (await client.send("GET", f"{API}/challenges"))[0] == 200
    assert (await client.send("GET", f"{API}/challenges", headers=old))[0] == 401


async def test_sign_out(approval: Approval, client: Client) -> None:
    await client.sign_in(await approval.phone())
    assert (await client.send("DELETE", f"{API}/sessions"))[0] == 204
    status, problem = await client.send("GET", f"{API}/challenges")
    assert (status, problem["code"]) == (401, "not_authenticated")


async def test_fixed_session_is_no_session(approval: Approval, client: Client) -> None:
    await approval.phone()
    client.headers["Cookie"] = "__Host-blok365-key=chosen-by-the-attacker"
    assert (await client.send("GET", f"{API}/challenges"))[0] == 401


async def test_device_list_and_removal(approval: Approval, client: Client) -> None:
    await client.sign_in(await approval.phone())
    _, answer = await client.send("GET", f"{API}/devices")
    (device,) = answer["devices"]
    assert (device["name"], device["this"]) == ("Ada's phone", True)
    assert (await client.send("DELETE", f"{API}/devices/{device['id']}"))[0] == 204
    status, problem = await client.send("GET", f"{API}/devices")
    assert (status, problem["code"]) == (403, "device_removed")


CHANGES = [
    ("POST", "/enrolments"),
    ("POST", "/enrolments/x"),
    ("POST", "/sessions/options"),
    ("POST", "/sessions"),
    ("DELETE", "/sessions"),
    ("POST", "/challenges/by-handle"),
    ("POST", "/challenges/x/approve"),
    ("POST", "/challenges/x/deny"),
    ("POST", "/challenges/x/not-me"),
    ("DELETE", "/devices/x"),
]


@pytest.mark.parametrize(("method", "path"), CHANGES)
@pytest.mark.parametrize(
    "headers",
    [{"Origin": "https://evil.example"}, {"Sec-Fetch-Site": "cross-site"}, {"Sec-Fetch-Site": "same-site"}],
    ids=["origin", "cross-site", "sibling host"],
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
        ("/enrolments/x", "credential"),
        ("/sessions", "id"),
        ("/sessions", "credential"),
        ("/challenges/by-handle", "handle"),
        ("/challenges/x/approve", "context"),
        ("/challenges/x/approve", "credential"),
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
        ("DELETE", f"/devices/{device}", None, 404),
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
        ("DELETE", "/devices/x", None),
    ]:
        status, _ = await client.send(method, API + path, body)
        assert status == 401, path
