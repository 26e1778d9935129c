"""provisioning before the stand-in of Graph, held in hand: strict answers and asked-for misbehaviour, no sockets."""

import asyncio
import json
from dataclasses import replace
from urllib.parse import urlencode

from deploy.standins.graph import control
from deploy.standins.graph.exchange import Answer, Fate, Request
from deploy.standins.graph.model import User
from deploy.standins.graph.standin import StandIn
from services.provisioning.domain.answers import SignInFailed
from services.provisioning.domain.requests import GraphAnswer, GraphRequest
from services.provisioning.gateways.graph import retry_after
from services.provisioning.ports import Target
from shared.clock import ManualClock
from shared.ids import SeededIds
from tests.provisioning.support import check_fits
from tests.standins.graph.directory import CLIENT, SECRET, SET_UP, TENANT


class StandInDirectory:
    """Implements `ports.Directory` on the stand-in's core, as the gateway does over HTTP without `$batch`."""

    def __init__(self, clock: ManualClock, seed: str = "graph") -> None:
        self._clock = clock
        self.standin = StandIn(clock=clock, ids=SeededIds(seed))
        control.set_up(self.standin, control.SetUp.model_validate(SET_UP))
        self._token = ""
        self.misfits: list[AssertionError] = []
        """Requests that do not fit Microsoft's schema; no test is to leave any."""

    def go_wrong(self, kind: str, **rule: object) -> None:
        control.add_fault(self.standin, control.FaultForm.model_validate({"kind": kind, **rule}))

    def permit(self, *permissions: str) -> None:
        application = {**SET_UP["tenants"][0]["applications"][0], "permissions": permissions}
        form = {"tenants": [{"id": TENANT, "applications": [application]}]}
        control.set_up(self.standin, control.SetUp.model_validate(form))

    def sign_out(self) -> None:
        """The token has ended: the next request signs in anew."""
        self._token = ""

    def add_user(self, **properties: object) -> None:
        """A user that somebody else made."""
        form = {"tenants": [{"id": TENANT, "users": [properties]}]}
        control.set_up(self.standin, control.SetUp.model_validate(form))

    def rename(self, upn: str, to: str) -> None:
        """What somebody else does in Entra."""
        tenant = self.standin.tenants[TENANT]
        user = tenant.user_by_upn(upn)
        assert user is not None
        tenant.put(replace(user, properties={**user.properties, "userPrincipalName": to}))

    @property
    def people(self) -> list[User]:
        """Users that are not deleted."""
        return list(self.standin.tenants[TENANT].users())

    async def call(self, target: Target, request: GraphRequest) -> GraphAnswer:
        await asyncio.sleep(0)
        try:
            check_fits(request)
        except AssertionError as error:  # a job would take it for a fault of its own and try again
            self.misfits.append(error)
        if not self._token:
            self._sign_in()
        headers = {"authorization": f"Bearer {self._token}"}
        octets = b""
        if request.body is not None:
            headers["content-type"] = "application/json"
            octets = json.dumps(request.body).encode()
        given = self.standin.answer(Request(request.method, f"/v1.0{request.url}", headers, octets))
        if given.fate is Fate.DROPPED:
            return GraphAnswer(None)
        if given.status == 401:
            self._token = ""
        return self._read(given)

    def _read(self, given: Answer) -> GraphAnswer:
        headers = {name.lower(): value for name, value in given.headers.items()}
        return GraphAnswer(
            status=given.status,
            body=given.body or {},
            request_id=headers.get("request-id", ""),
            retry_after=retry_after(headers.get("retry-after"), self._clock.now()),
            load=float(headers.get("x-ms-throttle-limit-percentage", 0)),
        )

    def _sign_in(self) -> None:
        form = {
            "grant_type": "client_credentials",
            "client_id": CLIENT,
            "client_secret": SECRET,
            "scope": "https://graph.microsoft.com/.default",
        }
        headers = {"content-type": "application/x-www-form-urlencoded"}
        request = Request("POST", f"/{TENANT}/oauth2/v2.0/token", headers, urlencode(form).encode())
        answer = self.standin.answer(request)
        body = answer.body or {}
        if answer.status != 200:
            raise SignInFailed(answer.status, error=body["error"], codes=tuple(body.get("error_codes", ())))
        self._token = body["access_token"]
