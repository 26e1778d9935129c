"""The gateway over real sockets, before the strict stand-in of login and Graph."""

import asyncio
import base64
import datetime
import socket
from collections.abc import AsyncIterator
from dataclasses import dataclass, replace
from datetime import UTC, timedelta
from typing import Any

import pytest
from aiohttp import web
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import rsa

from deploy.standins.graph import control
from deploy.standins.graph.app import GraphApp
from deploy.standins.graph.check import problems
from deploy.standins.graph.standin import StandIn
from services.provisioning.config import check_base
from services.provisioning.domain import requests
from services.provisioning.domain.answers import SignInFailed
from services.provisioning.domain.wanted import Facts, Presence, Wanted
from services.provisioning.gateways.graph import Graph, retry_after
from services.provisioning.ports import Target
from shared.clock import ManualClock
from shared.contracts.provisioning import ConnectionSecrets
from shared.directory import FaultKey
from shared.ids import SeededIds, SystemIds
from tests.provisioning.support import SECRETS
from tests.standins.graph.directory import SET_UP, TENANT
from tests.world import START


@dataclass
class Outside:
    """The stand-in on a port, and the gateway before it."""

    standin: StandIn
    graph: Graph
    target: Target
    clock: ManualClock

    def go_wrong(self, kind: str, **rule: object) -> None:
        control.add_fault(self.standin, control.FaultForm.model_validate({"kind": kind, **rule}))

    def sent(self) -> list[str]:
        return [
            f"{entry['method']} {entry['url'].partition('?')[0]}" for entry in self.standin.record.entries()
        ]

    def paths(self) -> list[str]:
        return [each.replace(self.standin.origin, "") for each in self.sent()]


@pytest.fixture
async def outside() -> AsyncIterator[Outside]:
    clock = ManualClock(START)
    standin = StandIn(clock=clock, ids=SeededIds("graph"))
    runner = web.AppRunner(GraphApp(standin).app(), shutdown_timeout=1)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    standin.origin = "http://{}:{}".format(*runner.addresses[0])
    control.set_up(standin, control.SetUp.model_validate(SET_UP))
    graph = Graph(clock, SystemIds())
    target = Target("contoso", 1, standin.origin, standin.origin, "https://graph.microsoft.com", SECRETS)
    yield Outside(standin, graph, target, clock)
    assert list(problems(standin.record.entries())) == []  # every request fits Microsoft's schema
    await graph.close()
    await runner.cleanup()


def new(name: str) -> requests.GraphRequest:
    facts = Facts(f"{name}@contoso.example", name.title(), name, "Lovelace", "", enabled=True)
    return requests.create(Wanted(Presence.PRESENT, f"id-{name}", facts, 0), "Correct-Horse-7-aA1~")


@pytest.mark.integration
async def test_one_request_goes_alone_and_with_one_token(outside: Outside) -> None:
    for name in ("ada", "bob"):
        answer = await outside.graph.call(outside.target, new(name))
        assert (answer.status, bool(answer.body["id"]), bool(answer.request_id)) == (201, True, True)
    token, *rest = outside.paths()
    assert token == "POST /contoso.onmicrosoft.com/oauth2/v2.0/token"
    assert rest == ["POST /v1.0/users"] * 2


@pytest.mark.integration
async def test_requests_that_come_together_travel_together(outside: Outside) -> None:
    calls = [outside.graph.call(outside.target, new(f"p{number}")) for number in range(45)]
    answers = await asyncio.gather(*calls)
    assert [answer.status for answer in answers] == [201] * 45
    assert len({answer.body["userPrincipalName"] for answer in answers}) == 45
    assert [answer.body["userPrincipalName"] for answer in answers[:2]] == [
        "p0@contoso.example",
        "p1@contoso.example",
    ]
    assert all(answer.request_id for answer in answers)
    assert outside.graph.sent == {"batch": 3}
    assert sum("token" in each for each in outside.paths()) == 1


@pytest.mark.integration
async def test_every_kind_of_request_is_understood_alone_and_in_a_batch(outside: Outside) -> None:
    made = await outside.graph.call(outside.target, new("ada"))
    user = str(made.body["id"])
    facts = Facts("countess@contoso.example", "Countess", "Ada", "King", "FR", enabled=False)
    old = Facts("ada@contoso.example", "Ada", "ada", "Lovelace", "", enabled=True)
    each = [
        (200, requests.user_by_id(user)),
        (200, requests.users_by_immutable_id("id-o'hara+/=&#")),
        (200, requests.users_by_name("o'hara#x@contoso.example")),
        (200, requests.users_by_name("$ada@contoso.example")),
        (200, requests.deleted_by_immutable_id("id-ada")),
        (200, requests.subscribed_skus()),
        (200, requests.domains()),
        (403, requests.directory_roles(user)),
        (404, requests.change_of_nobody("00000000-0000-4000-8000-b10365b10365")),
        (204, requests.update(user, facts, old)),
        (204, requests.rename(user, facts.upn)),
        (204, requests.enable(user, False)),
        (200, requests.revoke_sessions(user)),
        (204, requests.delete(user)),
        (200, requests.restore(user)),
    ]
    for status, request in each:
        assert (await outside.graph.call(outside.target, request)).status == status, request
    reads = [(status, request) for status, request in each if request.method == "GET"]
    answers = await asyncio.gather(*(outside.graph.call(outside.target, request) for _, request in reads))
    assert [answer.status for answer in answers] == [status for status, _ in reads]


@pytest.mark.integration
async def test_a_token_that_ends_in_a_batch_is_replaced_for_the_next(outside: Outside) -> None:
    await outside.graph.call(outside.target, requests.domains())
    outside.go_wrong("expired_token", path="/users", times=2)
    answers = await asyncio.gather(*(outside.graph.call(outside.target, new(f"p{n}")) for n in range(3)))
    assert sorted(answer.status or 0 for answer in answers) == [201, 401, 401]
    assert (await outside.graph.call(outside.target, new("again"))).status == 201
    assert sum("token" in each for each in outside.paths()) == 2


@pytest.mark.integration
async def test_a_token_is_replaced_before_it_ends(outside: Outside) -> None:
    await outside.graph.call(outside.target, requests.domains())
    outside.clock.advance(54 * 60)
    await outside.graph.call(outside.target, requests.domains())
    assert sum("token" in each for each in outside.paths()) == 1
    outside.clock.advance(61)
    await asyncio.gather(*(outside.graph.call(outside.target, requests.domains()) for _ in range(30)))
    assert sum("token" in each for each in outside.paths()) == 2


@pytest.mark.integration
async def test_a_connection_that_ends_is_no_answer_to_anybody_in_it(outside: Outside) -> None:
    await outside.graph.call(outside.target, requests.domains())
    outside.go_wrong("drop_after_write", method="POST", path="/users", times=1)
    answers = await asyncio.gather(*(outside.graph.call(outside.target, new(f"p{n}")) for n in range(3)))
    assert [answer.status for answer in answers] == [None] * 3
    assert len(list(outside.standin.tenants[TENANT].users())) == 3


@pytest.mark.integration
async def test_items_are_throttled_one_by_one(outside: Outside) -> None:
    outside.go_wrong("too_many", path="/users", times=1, retry_after=7)
    answers = await asyncio.gather(*(outside.graph.call(outside.target, new(f"p{n}")) for n in range(3)))
    assert sorted(answer.status or 0 for answer in answers) == [201, 201, 429]
    (slow,) = (answer for answer in answers if answer.status == 429)
    assert slow.retry_after == timedelta(seconds=7)


@pytest.mark.integration
@pytest.mark.parametrize(
    ("changed", "fault", "code"),
    [
        ({"client_secret": "wrong"}, FaultKey.WRONG_SECRET, "AADSTS7000215"),
        ({"client_id": "33333333-3333-4333-8333-333333333333"}, FaultKey.UNKNOWN_CLIENT, "AADSTS700016"),
        ({"tenant_domain": "nobody.example"}, FaultKey.UNKNOWN_TENANT, "AADSTS90002"),
    ],
)
async def test_what_entra_says_when_it_gives_no_token(
    outside: Outside, changed: dict[str, Any], fault: FaultKey, code: str
) -> None:
    target = replace(outside.target, secrets=SECRETS.model_copy(update=changed))
    with pytest.raises(SignInFailed) as refused:
        await asyncio.gather(*(outside.graph.call(target, requests.domains()) for _ in range(3)))
    assert (refused.value.key, refused.value.code) == (fault, code)
    assert refused.value.words.startswith(code)
    assert refused.value.trace_id


@pytest.mark.integration
async def test_an_expired_secret_is_said_so(outside: Outside) -> None:
    application = {
        **SET_UP["tenants"][0]["applications"][0],
        "secrets": [{"value": SECRETS.client_secret, "expires": "2026-01-01T00:00:00Z"}],
    }
    form = {"tenants": [{"id": TENANT, "applications": [application]}]}
    control.set_up(outside.standin, control.SetUp.model_validate(form))
    with pytest.raises(SignInFailed) as refused:
        await outside.graph.call(outside.target, requests.domains())
    assert refused.value.key is FaultKey.EXPIRED_SECRET


def certificate(clock: ManualClock) -> tuple[x509.Certificate, rsa.RSAPrivateKey]:
    key = rsa.generate_private_key(public_exponent=65537, key_size=2048)
    name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "blok365")])
    now: datetime.datetime = clock.now().astimezone(UTC)
    made = x509.CertificateBuilder(name, name, key.public_key(), 7, now, now + timedelta(days=365))
    return made.sign(key, hashes.SHA256()), key


@pytest.mark.integration
async def test_a_certificate_signs_in_too(outside: Outside) -> None:
    made, key = certificate(outside.clock)
    der = base64.b64encode(made.public_bytes(serialization.Encoding.DER)).decode()
    application = {**SET_UP["tenants"][0]["applications"][0], "secrets": [], "certificates": [der]}
    form = {"tenants": [{"id": TENANT, "applications": [application]}]}
    control.set_up(outside.standin, control.SetUp.model_validate(form))
    private = key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )
    secrets = ConnectionSecrets(
        client_id=SECRETS.client_id,
        tenant_domain=SECRETS.tenant_domain,
        certificate=made.public_bytes(serialization.Encoding.PEM).decode(),
        private_key=private.decode(),
    )
    target = replace(outside.target, secrets=secrets)
    assert (await outside.graph.call(target, requests.domains())).status == 200
    with pytest.raises(SignInFailed) as refused:
        await outside.graph.call(
            replace(target, revision=2, secrets=secrets.model_copy(update={"certificate": "x"})),
            requests.domains(),
        )
    assert refused.value.key is FaultKey.WRONG_CERTIFICATE


@pytest.mark.integration
async def test_nobody_there_is_no_answer(outside: Outside) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))  # bound and not listening: connections are refused
        away = f"http://127.0.0.1:{taken.getsockname()[1]}"
        with pytest.raises(SignInFailed) as refused:
            await outside.graph.call(replace(outside.target, authority=away), requests.domains())
        assert refused.value.is_transient
        answer = await outside.graph.call(replace(outside.target, graph=away), requests.domains())
        assert answer.status is None


@pytest.mark.parametrize(
    "url",
    [
        "http://graph.microsoft.com",
        "https://user:password@graph.microsoft.com",
        "https://graph.microsoft.com?x=1",
        "https://graph.microsoft.com#x",
        "ftp://graph.microsoft.com",
        "//graph.microsoft.com",
        "http://localhost.evil.example",
        "http://169.254.169.254",
    ],
)
def test_a_base_url_that_tokens_must_not_go_to(url: str) -> None:
    with pytest.raises(ValueError):
        check_base(url)


@pytest.mark.parametrize(
    "url", ["https://graph.microsoft.us/", "http://127.0.0.1:8368", "http://localhost:1", "http://[::1]:2"]
)
def test_a_base_url_that_they_may_go_to(url: str) -> None:
    assert check_base(url) == url.rstrip("/")


@pytest.mark.parametrize(
    ("text", "after"),
    [
        (None, None),
        ("30", timedelta(seconds=30)),
        ("0", timedelta(0)),
        ("-5", None),
        ("999999999999999999", timedelta(hours=1)),
        ("Mon, 02 Mar 2026 08:01:30 GMT", timedelta(seconds=90)),
        ("Mon, 02 Mar 2026 07:00:00 GMT", timedelta(0)),
        ("soon", None),
        ("", None),
    ],
)
def test_retry_after_in_every_form(text: str | None, after: timedelta | None) -> None:
    assert retry_after(text, START) == after
