"""provisioning in a world of its own, what admin would say to it, and a directory in memory that obeys the test."""

import re
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import timedelta
from pathlib import Path
from typing import Any
from urllib.parse import unquote

from deploy.standins.graph.check import problems
from services.provisioning.app import build
from services.provisioning.domain.answers import SignInFailed
from services.provisioning.domain.requests import GraphAnswer, GraphRequest
from services.provisioning.handlers.worker import Worker
from services.provisioning.ports import Dependencies, Target
from shared.assembly import Platform, Wired
from shared.clock import ManualClock, iso_millis
from shared.contracts.admin import AccountChanged, AccountStatus, ProfileChanged, TenantConfigured
from shared.contracts.envelope import VerifiedMessage
from shared.contracts.provisioning import (
    ConnectionChanged,
    ConnectionSecrets,
    PersonChanged,
    SetConnection,
    connection_associated_data,
)
from shared.crypto.sealed_box import load_sealer
from tests.standins.graph.directory import CLIENT, SECRET
from tests.world import InMemorySystem, make_system

SECRETS = ConnectionSecrets(
    client_id=CLIENT,
    tenant_domain="contoso.onmicrosoft.com",
    client_secret=SECRET,
)
IMMUTABLE = "fd8d0ec5c5004116"
SKU = "66b55226-6b4f-492c-910c-a3b7a3c9d993"
Trick = Callable[[GraphRequest], GraphAnswer | None]


def refusal(status: int, message: str, code: str = "Request_BadRequest", **more: Any) -> GraphAnswer:
    """An error as Graph words it."""
    return GraphAnswer(status, {"error": {"code": code, "message": message, **more}}, "r-1")


TAKEN = "Another object with the same value for property userPrincipalName already exists."


def check_fits(request: GraphRequest) -> None:
    """Raises AssertionError for a request that does not fit Microsoft's schema (CSDL)."""
    url = f"https://graph.microsoft.com/v1.0{request.url}"
    found = list(problems([{"method": request.method, "url": url, "body": request.body}]))
    assert not found, found


@dataclass
class FakeDirectory:
    """Implements `ports.Directory`: users in memory, by Graph's rules as far as these tests need them.

    `tricks` are asked first, each request in turn; one that answers is used up. `after`: the same, but the request is
    carried out all the same, so an answer may be lost or wrong.
    """

    clock: ManualClock
    users: dict[str, dict[str, Any]] = field(default_factory=dict)
    deleted: dict[str, dict[str, Any]] = field(default_factory=dict)
    roles: dict[str, list[str]] = field(default_factory=dict)
    tricks: list[tuple[str, Trick]] = field(default_factory=list)
    after: list[tuple[str, Trick]] = field(default_factory=list)
    hidden: set[str] = field(default_factory=set)
    """Object ids that no look-up shows yet."""
    skus: list[dict[str, Any]] = field(default_factory=list)
    requests: list[GraphRequest] = field(default_factory=list)
    sign_in: SignInFailed | None = None
    revoked: list[str] = field(default_factory=list)
    targets: list[Target] = field(default_factory=list)
    misfits: list[AssertionError] = field(default_factory=list)
    """Requests that do not fit Microsoft's schema; no test is to leave any."""
    forbidden: tuple[str, ...] = ()
    """Beginnings of `METHOD url` that the application may not."""

    async def call(self, target: Target, request: GraphRequest) -> GraphAnswer:
        if self.sign_in is not None:
            raise self.sign_in
        self.targets.append(target)
        self.requests.append(request)
        try:
            check_fits(request)
        except AssertionError as error:  # a job would take it for a fault of its own and try again
            self.misfits.append(error)
        name = f"{request.method} {unquote(request.url)}"
        if name.startswith(self.forbidden):
            return refusal(
                403, "Insufficient privileges to complete the operation.", "Authorization_RequestDenied"
            )
        if (tricked := _use(self.tricks, name, request)) is not None:
            return tricked
        answer = self._answer(request.method, unquote(request.url).partition("?"), request.body)
        return _use(self.after, name, request) or answer

    def trick(self, name: str, *answers: GraphAnswer, after: bool = False) -> None:
        """Answer the next requests whose `METHOD url` begins so with these."""
        for answer in answers:
            (self.after if after else self.tricks).append((name, lambda _, a=answer: a))  # type: ignore[misc]

    def add(self, object_id: str, upn: str, immutable_id: str | None, **more: Any) -> None:
        """A user that somebody else made long ago."""
        self.users[object_id] = {
            "id": object_id,
            "userPrincipalName": upn,
            "onPremisesImmutableId": immutable_id,
            "accountEnabled": True,
            "displayName": "Somebody",
            "createdDateTime": "2020-01-01T00:00:00Z",
            **more,
        }

    def made(self, *methods: str) -> list[str]:
        """Requests that change something, as `METHOD path`."""
        methods = methods or ("POST", "PATCH", "DELETE")
        return [f"{r.method} {r.url.partition('?')[0]}" for r in self.requests if r.method in methods]

    def bodies(self, method: str) -> list[Any]:
        return [request.body for request in self.requests if request.method == method]

    @property
    def only(self) -> dict[str, Any]:
        (user,) = self.users.values()
        return user

    def _answer(self, method: str, url: tuple[str, str, str], body: Any) -> GraphAnswer:
        path, _, query = url
        if match := re.search(r"\$filter=(\w+) eq '(.*)'&", query):
            name, value = match[1], match[2].replace("''", "'").lower()
            users = self.deleted if "deletedItems" in path else self.users
            found = [
                u
                for u in users.values()
                if str(u.get(name) or "").lower() == value and u["id"] not in self.hidden
            ]
            return GraphAnswer(200, {"value": found}, "r")
        if path == "/subscribedSkus":
            return GraphAnswer(200, {"value": self.skus}, "r")
        if path == "/domains":
            return GraphAnswer(200, {"value": [{"id": "contoso.example", "isVerified": True}]}, "r")
        if (method, path) == ("POST", "/users"):
            return self._create(body)
        if match := re.fullmatch(r"/directory/deletedItems/([^/]+)/restore", path):
            user = self.deleted.pop(match[1])
            self.users[match[1]] = user
            return GraphAnswer(200, user, "r")
        match = re.fullmatch(r"/users/([^/]+)(/.*)?", path)
        assert match is not None, path
        known = self.users.get(match[1])
        if known is None or match[1] in self.hidden:
            return refusal(
                404,
                "Resource does not exist or one of its queried references is missing.",
                "Request_ResourceNotFound",
            )
        return self._on_user(method, known, match[2] or "", body)

    def _create(self, body: Any) -> GraphAnswer:
        for user in self.users.values():
            if user["userPrincipalName"].lower() == body["userPrincipalName"].lower():
                return refusal(
                    400, TAKEN, details=[{"code": "ObjectConflict", "target": "userPrincipalName"}]
                )
        object_id = f"object-{len(self.users) + len(self.deleted) + 1}"
        made = {
            **body,
            "id": object_id,
            "createdDateTime": iso_millis(self.clock.now()),
            "assignedLicenses": [],
        }
        del made["passwordProfile"]
        self.users[object_id] = made
        return GraphAnswer(201, {"id": object_id}, "r-create")

    def _on_user(self, method: str, user: dict[str, Any], rest: str, body: Any) -> GraphAnswer:
        if rest.startswith("/transitiveMemberOf"):
            return GraphAnswer(200, {"value": [{"id": r} for r in self.roles.get(user["id"], [])]}, "r")
        if rest == "/revokeSignInSessions":
            self.revoked.append(user["id"])
            return GraphAnswer(200, {"value": True}, "r-revoke")
        if rest == "/assignLicense":
            have = {each["skuId"] for each in user["assignedLicenses"]} - set(body["removeLicenses"])
            have |= {each["skuId"] for each in body["addLicenses"]}
            user["assignedLicenses"] = [{"skuId": sku} for sku in sorted(have)]
            return GraphAnswer(200, {"id": user["id"]}, "r")
        if method == "GET":
            return GraphAnswer(200, dict(user), "r")
        if method == "DELETE":
            self.deleted[user["id"]] = self.users.pop(user["id"])
            return GraphAnswer(204, {}, "r-delete")
        if (upn := body.get("userPrincipalName")) and any(
            u["userPrincipalName"] == upn and u is not user for u in self.users.values()
        ):
            return refusal(400, TAKEN)
        user |= body
        return GraphAnswer(204, {}, "r-patch")


def _use(tricks: list[tuple[str, Trick]], name: str, request: GraphRequest) -> GraphAnswer | None:
    for index, (start, trick) in enumerate(tricks):
        if name.startswith(start):
            del tricks[index]
            return trick(request)
    return None


@dataclass
class Provisioning:
    """The service under test, in the tenant `contoso`."""

    world: InMemorySystem
    directory: FakeDirectory
    wired: Wired[Dependencies]
    versions: dict[str, int] = field(default_factory=dict)
    epochs: dict[str, int] = field(default_factory=dict)
    accounts: dict[str, AccountChanged] = field(default_factory=dict)
    told: list[PersonChanged] = field(default_factory=list)
    connections: list[ConnectionChanged] = field(default_factory=list)
    revision: int = 0

    @property
    def deps(self) -> Dependencies:
        return self.wired.dependencies

    @property
    def worker(self) -> Worker:
        assert isinstance(self.deps.queue, Worker)
        return self.deps.queue

    async def connect(self, *, enabled: bool = True, secrets: bool = True, **policy: Any) -> None:
        """admin's command, with a new revision."""
        self.revision += 1
        await self.world.say("admin", self.command(self.revision, enabled=enabled, secrets=secrets, **policy))
        await self.world.settle()

    def command(
        self, revision: int, *, enabled: bool = True, secrets: bool = True, **policy: Any
    ) -> SetConnection:
        sealer = load_sealer(self.world.platform.settings.keys, "provisioning")
        octets = SECRETS.model_dump_json().encode()
        return SetConnection(
            revision=revision,
            enabled=enabled,
            sealed=sealer.seal(octets, connection_associated_data("contoso", revision)) if secrets else "",
            **policy,
        )

    async def account(self, name: str = "ada", **changes: Any) -> AccountChanged:
        """admin's news of an account; the profile comes with the first."""
        version = self.versions[name] = self.versions.get(name, 0) + 1
        before = self.accounts.get(name)
        fields: dict[str, Any] = {
            "upn": f"{name}@contoso.example",
            "display_name": f"{name.title()} Lovelace",
            "immutable_id": f"{IMMUTABLE}{name}",
            "status": AccountStatus.INVITED,
            "session_epoch": 0,
        }
        if before is not None:
            fields = before.model_dump()
        said = AccountChanged(**{**fields, **changes, "version": version, "account": name})
        self.accounts[name] = said
        if before is None:
            await self.profile(name)
        await self.world.say("admin", said)
        await self.world.settle()
        return said

    async def profile(self, name: str = "ada", **changes: Any) -> None:
        version = self.versions[name]
        if changes:
            version = self.versions[name] = version + 1
        fields: dict[str, Any] = {"first_name": name.title(), "last_name": "Lovelace"}
        await self.world.say("admin", ProfileChanged(version=version, account=name, **{**fields, **changes}))
        await self.world.settle()

    async def work(self, rounds: int = 3) -> None:
        """Until nothing more is due now."""
        for _ in range(rounds):
            await self.worker.round()
            await self.worker.idle()
        await self.world.settle()

    async def later(self, seconds: float, rounds: int = 1) -> None:
        for _ in range(rounds):
            self.world.clock.advance(seconds)
            await self.work(2)

    def person(self, name: str = "ada") -> PersonChanged:
        """What admin knows last."""
        return max((each for each in self.told if each.account == name), key=lambda each: each.version)

    async def restart(self) -> None:
        """The process was killed and starts again on its data."""
        self.worker._stopped = True
        self.world.bus.forget("provisioning")
        self.wired = build(self.world.platform, directory=self.directory)
        await self.world.begin(self.wired.service)
        await self.world.settle()


async def make_provisioning(
    folder: Path, directory: Callable[[ManualClock], Any] = FakeDirectory
) -> Provisioning:
    """provisioning as it starts, in a tenant that is known."""
    world = make_system(folder)
    kept: dict[str, Any] = {}
    opened = world.platform.open_database

    def same_database(service: str, relay: Any) -> Any:
        if service not in kept:
            kept[service] = opened(service, relay)
        return kept[service]

    object.__setattr__(world.platform, "open_database", same_database)
    answers = directory(world.clock)
    made: list[Wired[Dependencies]] = []

    def wire(platform: Platform) -> Wired[Dependencies]:
        made.append(build(platform, directory=answers))
        return made[0]

    await world.start(wire)
    provisioning = Provisioning(world, answers, made[0])

    async def hear(received: VerifiedMessage[PersonChanged]) -> None:
        provisioning.told.append(received.message)

    async def hear_connection(received: VerifiedMessage[ConnectionChanged]) -> None:
        provisioning.connections.append(received.message)

    await world.bus.consume("admin", {PersonChanged: hear, ConnectionChanged: hear_connection})
    tenant = TenantConfigured(version=1, name="Contoso", applications=(), domains=())
    await world.say("admin", tenant)
    await world.settle()
    return provisioning


MINUTE = timedelta(minutes=1).total_seconds()
