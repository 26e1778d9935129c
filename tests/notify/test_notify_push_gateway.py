"""The push gateway against the strict stand-in, over real sockets."""

import socket
from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime

import aiohttp
import pytest
from aiohttp import web
from aiohttp.abc import AbstractResolver, ResolveResult
from cryptography.hazmat.primitives.asymmetric import ec

from deploy.standins.push.app import PushService
from services.notify.config import NotifySettings
from services.notify.domain.delivery import Failed, Gone, Later, Sent
from services.notify.gateways import push as gateway
from services.notify.gateways.push import NotPublic, PublicResolver, WebPush, read_answer
from shared.clock import ManualClock
from shared.contracts.notify import PushSubscription
from shared.crypto.vapid import public_point
from shared.ids import SystemIds, b64u
from tests.notify.support import subscription
from tests.world import START

VAPID = ec.generate_private_key(ec.SECP256R1())
TWO_MINUTES = timedelta(minutes=2)


@pytest.fixture
async def service() -> AsyncIterator[PushService]:
    made = PushService(ManualClock(START), SystemIds())
    runner = web.AppRunner(made.app(), shutdown_timeout=1)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    made.origin = "http://{}:{}".format(*runner.addresses[0])
    yield made
    await runner.cleanup()


@pytest.fixture
async def pusher(service: PushService) -> AsyncIterator[WebPush]:
    made = pusher_for(service)
    yield made
    await made.close()


def pusher_for(service: PushService) -> WebPush:
    return WebPush(
        VAPID,
        contact="mailto:ops@contoso.example",
        hosts=NotifySettings().push_hosts,
        local=(service.origin.removeprefix("http://"),),
        clock=ManualClock(START),
        ids=SystemIds(),
    )


def subscribed(service: PushService) -> tuple[str, PushSubscription]:
    """A browser's subscription: its name at the service, and what the phone would send us."""
    made = service.subscribe(b64u(public_point(VAPID.public_key())))
    read = PushSubscription(endpoint=made["endpoint"], **made["keys"])
    return read.endpoint.rpartition("/")[2], read


@pytest.mark.integration
async def test_a_message_passes_every_check_and_can_be_read(service: PushService, pusher: WebPush) -> None:
    name, to = subscribed(service)
    assert await pusher.send(to, b"a request is waiting", TWO_MINUTES) == Sent()
    (got,) = service.messages[name]
    assert (got.plaintext, got.ttl, got.urgency, got.topic) == (
        b"a request is waiting",
        120,
        "high",
        "request",
    )
    assert got.subject == "mailto:ops@contoso.example"
    assert service.refused == []


@pytest.mark.integration
async def test_a_subscription_made_with_another_key_is_not_forgotten_for_our_mistake(
    service: PushService, pusher: WebPush
) -> None:
    """A lost VAPID key is to be restored: forgetting every phone because of it would be worse."""
    made = service.subscribe(b64u(public_point(ec.generate_private_key(ec.SECP256R1()).public_key())))
    to = PushSubscription(endpoint=made["endpoint"], **made["keys"])
    assert await pusher.send(to, b"x", TWO_MINUTES) == Failed("HTTP 403")


@pytest.mark.integration
@pytest.mark.parametrize(
    ("how", "outcome"),
    [
        ("gone", Gone("HTTP 410")),
        ("not_found", Gone("HTTP 404")),
        ("too_many", Later("HTTP 429", timedelta(seconds=7))),
        ("fault", Later("HTTP 503", timedelta(seconds=7))),
        ("cut", Later("ServerDisconnectedError")),
    ],
)
async def test_what_a_push_service_can_say(
    service: PushService, pusher: WebPush, how: str, outcome: object
) -> None:
    name, to = subscribed(service)
    service.misbehave(name, how, retry_after="7")  # type: ignore[arg-type]
    assert await pusher.send(to, b"x", TWO_MINUTES) == outcome


@pytest.mark.integration
async def test_a_redirect_is_not_followed(service: PushService, pusher: WebPush) -> None:
    name, to = subscribed(service)
    service.misbehave(name, "redirect")
    assert await pusher.send(to, b"x", TWO_MINUTES) == Failed("HTTP 307")
    assert service.redirected == 0


@pytest.mark.integration
async def test_a_silent_service_is_given_up(
    service: PushService, pusher: WebPush, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(gateway, "TIMEOUT", aiohttp.ClientTimeout(total=0.2))
    name, to = subscribed(service)
    service.misbehave(name, "silent")
    assert await pusher.send(to, b"x", TWO_MINUTES) == Later("TimeoutError")


@pytest.mark.integration
async def test_nobody_there_is_tried_again_later(service: PushService) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))  # bound and not listening: connections are refused
        service.origin = f"http://127.0.0.1:{taken.getsockname()[1]}"
        pusher = pusher_for(service)
        _, to = subscribed(service)
        assert await pusher.send(to, b"x", TWO_MINUTES) == Later("ClientConnectorError")
        await pusher.close()


class Names(AbstractResolver):
    """Says for every name what the test says."""

    def __init__(self, *addresses: str) -> None:
        self._addresses = addresses
        self.asked: list[str] = []

    async def resolve(
        self, host: str, port: int = 0, family: socket.AddressFamily = socket.AF_INET
    ) -> list[ResolveResult]:
        self.asked.append(host)
        return [
            ResolveResult(hostname=host, host=a, port=port, family=family, proto=0, flags=0)
            for a in self._addresses
        ]

    async def close(self) -> None:
        return None


@pytest.mark.parametrize("addresses", [("127.0.0.1",), ("169.254.169.254",), ("142.250.74.10", "10.0.0.1")])
async def test_a_known_name_at_a_private_address_is_refused(addresses: tuple[str, ...]) -> None:
    """DNS rebinding: the name is on the list, the address is ours."""
    with pytest.raises(NotPublic):
        await PublicResolver(Names(*addresses), ()).resolve("fcm.googleapis.com", 443)


async def test_a_known_name_at_a_public_address_is_looked_up_once() -> None:
    names = Names("142.250.74.10")
    found = await PublicResolver(names, ()).resolve("fcm.googleapis.com", 443)
    assert [each["host"] for each in found] == ["142.250.74.10"]
    assert names.asked == ["fcm.googleapis.com"]


@pytest.mark.integration
async def test_no_connection_is_made_to_a_private_address(service: PushService) -> None:
    pusher = WebPush(
        VAPID,
        contact="mailto:ops@contoso.example",
        hosts=("push.example",),
        local=(),
        clock=ManualClock(START),
        ids=SystemIds(),
        resolver=Names("127.0.0.1"),
    )
    to = subscription("https://push.example/x")
    assert await pusher.send(to, b"x", TWO_MINUTES) == Later("ClientConnectorDNSError")
    await pusher.close()


async def test_an_endpoint_off_the_list_is_refused_before_any_look_up() -> None:
    names = Names("142.250.74.10")
    pusher = WebPush(
        VAPID,
        contact="mailto:ops@contoso.example",
        hosts=NotifySettings().push_hosts,
        local=(),
        clock=ManualClock(START),
        ids=SystemIds(),
        resolver=names,
    )
    to = subscription("https://evil.example/x")
    assert pusher.destination(to) is None
    assert await pusher.send(to, b"x", TWO_MINUTES) == Gone("not a push service that we speak to")
    assert names.asked == []


NOW = datetime(2026, 3, 2, 8, 0, tzinfo=UTC)


@pytest.mark.parametrize(
    ("text", "after"),
    [
        (None, None),
        ("30", timedelta(seconds=30)),
        ("0", timedelta(0)),
        ("-5", None),
        ("999999999999999999999", timedelta(hours=1)),
        (format_datetime(NOW + timedelta(seconds=90), usegmt=True), timedelta(seconds=90)),
        (format_datetime(NOW - timedelta(days=1), usegmt=True), timedelta(0)),
        ("Fri, 31 Dec 9999 23:59:59 GMT", timedelta(hours=1)),
        ("tomorrow", None),
        ("٣٠", None),
        ("", None),
    ],
)
def test_retry_after_in_every_form(text: str | None, after: timedelta | None) -> None:
    assert read_answer(429, text, NOW) == Later("HTTP 429", after)


@pytest.mark.parametrize("status", [300, 301, 302, 303, 307, 308, 400, 401, 403, 405, 413, 415])
def test_other_answers_are_final(status: int) -> None:
    assert read_answer(status, None, NOW) == Failed(f"HTTP {status}")


@pytest.mark.parametrize("status", [200, 201, 202, 204])
def test_success_is_success(status: int) -> None:
    assert read_answer(status, None, NOW) == Sent()
