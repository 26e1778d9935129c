"""The token endpoint, and what Graph believes of a token."""

import base64
import json
from datetime import timedelta
from typing import Any

import pytest
from cryptography.hazmat.primitives.hashes import SHA1, SHA256
from cryptography.hazmat.primitives.serialization import Encoding
from msal.oauth2cli import JwtAssertionCreator  # type: ignore[import-untyped]

from deploy.standins.graph.exchange import Answer, Request
from deploy.standins.graph.tokens import FAULTS
from tests.standins.entra_tokens import certificate_of, certificate_text, key_of
from tests.standins.graph.directory import CLIENT, NOW, ORIGIN, SECRET, TENANT, Directory

ENDPOINT = f"{ORIGIN}/{TENANT}/oauth2/v2.0/token"
JWT_BEARER = "urn:ietf:params:oauth:client-assertion-type:jwt-bearer"
FORM = {"content-type": "application/x-www-form-urlencoded"}


@pytest.fixture
def directory() -> Directory:
    return Directory()


def number(answer: Answer) -> int:
    """The AADSTS number; every refusal has all that Microsoft's has."""
    body = answer.body
    assert body is not None
    (code,) = body["error_codes"]
    assert body["error_description"].startswith(f"AADSTS{code}: ")
    assert {"error", "timestamp", "trace_id", "correlation_id", "error_uri"} < set(body)
    assert (body["error"], answer.status) == FAULTS[code][:2]
    return int(code)


@pytest.mark.parametrize("tenant", [TENANT, TENANT.upper(), "contoso.example", "Contoso.onmicrosoft.com"])
def test_a_secret_gets_a_token_with_the_consented_roles(directory: Directory, tenant: str) -> None:
    answer = directory.ask_token(tenant)
    assert answer.status == 200
    assert answer.body is not None
    assert (answer.body["token_type"], answer.body["expires_in"]) == ("Bearer", 3599)
    claims = json.loads(base64.urlsafe_b64decode(answer.body["access_token"].split(".")[1] + "=="))
    assert (claims["tid"], claims["appid"]) == (TENANT, CLIENT)
    assert claims["roles"] == ["Domain.Read.All", "LicenseAssignment.Read.All", "User.ReadWrite.All"]


@pytest.mark.parametrize(
    ("changed", "expected"),
    [
        ({"client_secret": "wrong"}, 7000215),
        ({"client_secret": SECRET.upper()}, 7000215),
        ({"client_secret": None}, 7000216),
        ({"client_id": "33333333-3333-4333-8333-333333333333"}, 700016),
        ({"client_id": None}, 900144),
        ({"grant_type": "password"}, 70003),
        ({"grant_type": None}, 900144),
        ({"scope": None}, 900144),
        ({"scope": "User.Read"}, 1002012),
        ({"scope": "https://other.example/.default"}, 500011),
        ({"client_assertion": "x"}, 900144),
    ],
)
def test_refusals_have_microsofts_numbers(
    directory: Directory, changed: dict[str, Any], expected: int
) -> None:
    assert number(directory.ask_token(**changed)) == expected


def test_an_unknown_tenant(directory: Directory) -> None:
    for name in ("unknown.example", "unverified.example", "%ff", "99999999-9999-4999-8999-999999999999"):
        assert number(directory.ask_token(name)) == 90002


def test_an_expired_secret_is_not_a_wrong_one(directory: Directory) -> None:
    directory.application(secrets=[{"value": SECRET, "expires": NOW.isoformat()}, {"value": "new"}])
    assert number(directory.ask_token()) == 7000222
    assert number(directory.ask_token(client_secret="other")) == 7000215
    assert directory.ask_token(client_secret="new").status == 200


def test_a_disabled_application(directory: Directory) -> None:
    directory.application(enabled=False)
    assert number(directory.ask_token()) == 7000112


def test_a_body_that_is_no_form(directory: Directory) -> None:
    path = f"/{TENANT}/oauth2/v2.0/token"
    for headers, body in (({}, b"x=1"), (FORM, b"\xff"), (FORM, b"scope=a&scope=b"), (FORM, b"a=1&" * 50)):
        assert number(directory.standin.answer(Request("POST", path, headers, body))) == 900144
    assert directory.standin.answer(Request("GET", path)).status == 405


def assertion(algorithm: str = "PS256", key: str = "current", **changed: Any) -> str:
    """A client assertion as MSAL makes it; one thing may differ."""
    digests = {"current": certificate_of("current").fingerprint(SHA256()).hex()}
    sha256 = changed.pop("thumbprint", digests["current"])
    sha1 = certificate_of("current").fingerprint(SHA1()).hex() if algorithm == "RS256" else None
    made = JwtAssertionCreator(
        key_of(key, 2048),
        algorithm,
        **({"sha1_thumbprint": sha1} if sha1 else {"sha256_thumbprint": sha256}),
    )
    claims = {
        "audience": ENDPOINT,
        "issuer": CLIENT,
        "subject": CLIENT,
        "issued_at": NOW.timestamp(),
        **changed,
    }
    text = made.create_normal_assertion(
        **{**claims, "issued_at": int(claims["issued_at"]), "expires_at": int(claims["issued_at"]) + 600}
    )
    return text if isinstance(text, str) else text.decode()


@pytest.fixture
def certified(directory: Directory) -> Directory:
    directory.application(secrets=[], certificates=[certificate_text("current")])
    return directory


def with_assertion(directory: Directory, text: str) -> Answer:
    return directory.ask_token(client_secret=None, client_assertion=text, client_assertion_type=JWT_BEARER)


@pytest.mark.parametrize("algorithm", ["PS256", "RS256"])
def test_a_certificate_as_msal_uses_it(certified: Directory, algorithm: str) -> None:
    assert with_assertion(certified, assertion(algorithm)).status == 200


@pytest.mark.parametrize(
    ("changed", "expected"),
    [
        ({"key": "next"}, 700027),
        ({"thumbprint": "00" * 32}, 700027),
        ({"audience": f"{ORIGIN}/common/oauth2/v2.0/token"}, 700023),
        ({"issuer": "somebody"}, 700021),
        ({"subject": "somebody"}, 700021),
        ({"issued_at": (NOW - timedelta(minutes=11)).timestamp()}, 700024),
        ({"issued_at": (NOW + timedelta(hours=1)).timestamp()}, 700024),
    ],
)
def test_refuses_an_assertion(certified: Directory, changed: dict[str, Any], expected: int) -> None:
    assert number(with_assertion(certified, assertion(**changed))) == expected


def test_refuses_what_is_no_assertion(certified: Directory) -> None:
    nested = base64.urlsafe_b64encode(b"[" * 100_000).decode()
    for text in ("x", "a.b.c", "..", f"{nested}.{nested}.AA"):
        assert number(with_assertion(certified, text)) == 50027
    header, claims, signature = assertion().split(".")
    none = (
        base64.urlsafe_b64encode(
            json.dumps({**json.loads(base64.urlsafe_b64decode(header + "==")), "alg": "none"}).encode()
        )
        .decode()
        .rstrip("=")
    )
    assert number(with_assertion(certified, f"{none}.{claims}.{signature}")) == 700027
    assert certificate_of("current").public_bytes(Encoding.DER)


def refusal(directory: Directory, token: str) -> str:
    answer = directory.standin.answer(Request("GET", "/v1.0/users", {"authorization": token}))
    assert (answer.status, answer.headers["WWW-Authenticate"].startswith("Bearer")) == (401, True)
    assert answer.body is not None
    assert answer.body["error"]["code"] == "InvalidAuthenticationToken"
    return str(answer.body["error"]["message"])


def test_graph_refuses_what_is_no_living_token_of_ours(directory: Directory) -> None:
    good = directory.token
    assert refusal(directory, "") == "Access token is empty."
    assert refusal(directory, f"Basic {good}") == "Access token is empty."
    assert refusal(directory, "Bearer x").startswith("IDX14100")
    header, claims, mac = good.split(".")
    assert refusal(directory, f"Bearer {header}.{claims}.{mac[:-2]}AA") == "Signature is invalid."
    more = base64.urlsafe_b64encode(
        base64.urlsafe_b64decode(claims + "==").replace(b"Domain", b"Direct")
    ).decode()
    assert refusal(directory, f"Bearer {header}.{more}.{mac}") == "Signature is invalid."
    assert refusal(directory, f"Bearer {header}.{claims}.!").startswith("IDX12729")
    directory.clock.advance(3598)
    assert directory.send("GET", "/users").status == 200
    directory.clock.advance(1)
    assert refusal(directory, f"Bearer {good}") == "Lifetime validation failed, the token is expired."


def test_consent_counts_from_the_next_token_on(directory: Directory) -> None:
    directory.application(permissions=[])
    directory.good(200, "GET", "/users")
    directory.sign_in()
    message = directory.refused(403, "Authorization_RequestDenied", "GET", "/users")
    assert message == "Insufficient privileges to complete the operation."


def test_a_tenant_is_out_of_reach_for_a_token_of_another(directory: Directory) -> None:
    user_id = directory.create()
    other = "44444444-4444-4444-8444-444444444444"
    form = {"clientId": CLIENT, "secrets": [{"value": "other"}], "permissions": ["User.ReadWrite.All"]}
    directory.set_up(
        {"tenants": [{"id": other, "applications": [form], "domains": [{"id": "fabrikam.example"}]}]}
    )
    assert number(directory.ask_token("fabrikam.example")) == 7000215
    answer = directory.ask_token("fabrikam.example", client_secret="other")
    assert answer.body is not None
    directory.token = answer.body["access_token"]
    assert directory.good(200, "GET", "/users")["value"] == []
    for method, path in (
        ("GET", f"/users/{user_id}"),
        ("DELETE", f"/users/{user_id}"),
        ("GET", "/users/ada@contoso.example"),
    ):
        directory.refused(404, "Request_ResourceNotFound", method, path)
