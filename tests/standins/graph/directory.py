"""A tenant in the stand-in of Graph, held in hand: requests in, answers out, no sockets."""

import json
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any
from urllib.parse import quote, urlencode

from deploy.standins.graph import control
from deploy.standins.graph.exchange import Answer, Request
from deploy.standins.graph.standin import StandIn
from deploy.standins.graph.tenant import Tenant
from shared.clock import ManualClock
from shared.ids import SeededIds

NOW = datetime(2026, 11, 27, 6, 0, tzinfo=UTC)
ORIGIN = "http://127.0.0.1:8368"
TENANT = "11111111-1111-4111-8111-111111111111"
CLIENT = "22222222-2222-4222-8222-222222222222"
SECRET = "s3cret~of-the-application"
BUSINESS = "f245ecc8-75af-4f8e-b61f-27d8114de5f3"
ENTERPRISE = "05e9a617-0261-4cee-bb44-138d3ef5d965"
PLAN = "113feb6c-3fe4-4440-bddc-54d774bf0318"
FEDERATION = {
    "issuerUri": "https://idp.example/t/contoso",
    "passiveSignInUri": "https://idp.example/t/contoso/wsfed",
    "preferredAuthenticationProtocol": "wsFed",
    "federatedIdpMfaBehavior": "acceptIfMfaDoneByFederatedIdp",
}
SET_UP: dict[str, Any] = {
    "tenants": [
        {
            "id": TENANT,
            "displayName": "Contoso",
            "domains": [
                {"id": "contoso.onmicrosoft.com", "initial": True, "default": True},
                {"id": "contoso.example", "federation": FEDERATION},
                {"id": "plain.example"},
                {"id": "sub.contoso.example", "root": False},
                {"id": "unverified.example", "verified": False},
            ],
            "applications": [
                {
                    "clientId": CLIENT,
                    "secrets": [{"value": SECRET}],
                    "permissions": ["User.ReadWrite.All", "LicenseAssignment.Read.All", "Domain.Read.All"],
                }
            ],
            "skus": [
                {
                    "skuPartNumber": "O365_BUSINESS_PREMIUM",
                    "skuId": BUSINESS,
                    "enabled": 2,
                    "servicePlans": [{"servicePlanId": PLAN, "servicePlanName": "EXCHANGE_S_STANDARD"}],
                },
                {
                    "skuPartNumber": "SPE_E3",
                    "skuId": ENTERPRISE,
                    "enabled": 1,
                    "capabilityStatus": "Suspended",
                },
            ],
        }
    ]
}


def person(name: str = "ada", domain: str = "contoso.example", **other: Any) -> dict[str, Any]:
    """The body of a good POST /users."""
    return {
        "accountEnabled": True,
        "displayName": name.title(),
        "mailNickname": "".join(each for each in name if each.isalnum()) or "person",
        "userPrincipalName": f"{name}@{domain}",
        "passwordProfile": {"password": "Correct-Horse-7", "forceChangePasswordNextSignIn": False},
        "onPremisesImmutableId": f"id-{name}",
        **other,
    }


def key(upn: str) -> str:
    """A name as a key in a path: `('ada@contoso.example')`."""
    return "('" + quote(upn.replace("'", "''"), safe="@") + "')"


@dataclass
class Directory:
    """The stand-in, its clock, and a caller with a token."""

    permissions: list[str] | None = None
    clock: ManualClock = field(default_factory=lambda: ManualClock(NOW))
    token: str = ""

    def __post_init__(self) -> None:
        self.standin = StandIn(clock=self.clock, ids=SeededIds("graph"), origin=ORIGIN)
        self.set_up(SET_UP)
        if self.permissions is not None:
            self.application(permissions=self.permissions)
        self.sign_in()

    def set_up(self, form: dict[str, Any]) -> None:
        control.set_up(self.standin, control.SetUp.model_validate(form))

    def application(self, **changed: Any) -> None:
        """The application with other values than in the set-up."""
        form = {**SET_UP["tenants"][0]["applications"][0], **changed}
        self.set_up({"tenants": [{"id": TENANT, "applications": [form]}]})

    def settings(self, **changed: Any) -> None:
        self.set_up({"settings": changed})

    def go_wrong(self, kind: str, **rule: Any) -> None:
        """From now on requests go wrong in that way."""
        control.add_fault(self.standin, control.FaultForm.model_validate({"kind": kind, **rule}))

    def add_user(self, **properties: Any) -> str:
        """A user past the rules for callers; gives the id."""
        self.set_up({"tenants": [{"id": TENANT, "users": [properties]}]})
        found = self.tenant.user_by_upn(properties["userPrincipalName"])
        assert found is not None
        return found.id

    @property
    def tenant(self) -> Tenant:
        return self.standin.tenants[TENANT]

    def ask_token(self, tenant: str = TENANT, **changed: str | None) -> Answer:
        form = {
            "grant_type": "client_credentials",
            "client_id": CLIENT,
            "client_secret": SECRET,
            "scope": "https://graph.microsoft.com/.default",
            **changed,
        }
        body = urlencode({name: value for name, value in form.items() if value is not None}).encode()
        headers = {"content-type": "application/x-www-form-urlencoded"}
        return self.standin.answer(Request("POST", f"/{tenant}/oauth2/v2.0/token", headers, body))

    def sign_in(self) -> None:
        answer = self.ask_token()
        assert answer.body is not None
        self.token = answer.body["access_token"]

    def send(
        self, method: str, path: str, body: object = None, headers: dict[str, str] | None = None
    ) -> Answer:
        octets = b"" if body is None else json.dumps(body).encode()
        sent = {"authorization": f"Bearer {self.token}"}
        more = {name.lower(): value for name, value in (headers or {}).items()}
        if body is not None:
            sent["content-type"] = "application/json"
        return self.standin.answer(Request(method, f"/v1.0{path}", {**sent, **more}, octets))

    def create(self, name: str = "ada", domain: str = "contoso.example", **other: Any) -> str:
        """A user made by POST; gives the id."""
        return str(self.good(201, "POST", "/users", person(name, domain, **other))["id"])

    def good(
        self, status: int, method: str, path: str, body: object = None, **headers: str
    ) -> dict[str, Any]:
        """The body of an answer that must have this status; empty where there is none."""
        answer = self.send(method, path, body, headers)
        assert answer.status == status, answer
        return answer.body or {}

    def refused(
        self, status: int, code: str, method: str, path: str, body: object = None, **headers: str
    ) -> str:
        """The message of a refusal that must have this status and code."""
        answer = self.send(method, path, body, headers)
        assert answer.body is not None, answer
        assert (answer.status, answer.body["error"].get("code")) == (status, code), answer
        return str(answer.body["error"]["message"])
