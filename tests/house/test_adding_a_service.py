"""docs/adding-a-service.md, carried out: the toy beside this file gets its row and messages, and everything follows."""

import asyncio
import json
import re
import sys
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from pathlib import Path
from urllib.parse import urlsplit

import pytest
from aiohttp import web

import shared.contracts
from deploy import wiring
from deploy.caddy.caddyfile import caddyfile
from deploy.local.router import Router
from deploy.local.system import running
from deploy.pages import build
from deploy.rabbitmq.definitions import definitions
from deploy.setup import secrets
from services.notify.config import NotifySettings
from shared.bus.memory import MemoryBus
from shared.bus.topology import EXCHANGE, TOPOLOGY
from shared.contracts import contracts
from shared.contracts.envelope import VerifiedMessage
from shared.crypto.keys import load_trusted_keys
from shared.ids import SeededIds
from shared.services import SERVICES, Host
from shared.web.paths import Own, destination
from shared.web.server import Runner, combine
from tests.house.test_caddyfile import leads_to, shown
from tests.house.toy import app
from tests.house.toy.config import ToySettings
from tests.house.toy.messages import CoinTossed, TossCoin
from tests.house.toy.row import ROW, WITH_TOY
from tests.world import InMemorySystem, make_system

DOCS = Path(__file__).parents[2] / "docs"
KIOSK = "kiosk.localhost:8365"
TREE = build({"toy": Path(__file__).parent / "toy"})


@pytest.fixture(autouse=True)
def _registered(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """What the recipe's new files do by lying where they belong, for the time of one test."""
    for message in (TossCoin, CoinTossed):
        monkeypatch.setitem(shared.contracts._REGISTRY, message.TYPE, message)
    monkeypatch.setitem(sys.modules, "services.toy.app", app)
    yield
    monkeypatch.undo()
    assert not {name for name in (*SERVICES, *contracts()) if name.startswith("toy")}


@pytest.fixture
def world(tmp_path: Path) -> InMemorySystem:
    return make_system(tmp_path, table=WITH_TOY)


async def get(socket: Path | int, target: str, host: str = KIOSK) -> tuple[int, str]:
    """Status and body of one request over a UNIX socket or to a port."""
    opening = (
        asyncio.open_connection("127.0.0.1", socket)
        if isinstance(socket, int)
        else asyncio.open_unix_connection(str(socket))
    )
    reader, writer = await opening
    writer.write(f"GET {target} HTTP/1.1\r\nHost: {host}\r\nConnection: close\r\n\r\n".encode())
    head, _, body = (await reader.read()).partition(b"\r\n\r\n")
    writer.close()
    return int(head.split()[1]), body.decode()


@asynccontextmanager
async def routed(world: InMemorySystem) -> AsyncIterator[Path]:
    """The socket of a one-process router before the services of that world."""
    settings = world.platform.settings
    apps = {name: service.web for name, service in world.services.items() if service.web is not None}
    runner = Runner(
        combine(apps, settings.origins, tree=TREE, clock=world.clock, ids=world.ids, table=WITH_TOY)
    )
    await runner.setup()
    socket = Path(world.platform.settings.keys.parent / "http")
    await web.UnixSite(runner, str(socket)).start()
    yield socket
    await runner.cleanup()


async def test_its_message_is_handled_its_event_is_heard_and_its_page_shows_it(world: InMemorySystem) -> None:
    heard: list[VerifiedMessage[CoinTossed]] = []

    async def hear(received: VerifiedMessage[CoinTossed]) -> None:
        heard.append(received)

    (wired,) = wiring.build(world.platform, ["toy"], {"toy": ToySettings(always_heads=True)})
    await world.begin(wired.service)
    await world.bus.consume("wsfed", {CoinTossed: hear})
    for _ in range(2):  # at least once, so perhaps twice
        await world.say("admin", TossCoin(coin="penny"))
    await world.settle()
    assert [(each.envelope.sender, each.message.side) for each in heard] == [("toy", "heads")]
    assert [(d["_id"], d["side"]) for d in world.documents("toy", "coins")] == [("contoso/penny", "heads")]
    async with routed(world) as socket:
        status, page = await get(socket, "/")
        assert (status, "contoso/penny: heads" in page) == (200, True)
        style = re.search(r'href="(/static/toy/[^"]+\.css)"', page)
        assert style is not None
        assert (await get(socket, style[1]))[0] == 200
        assert (await get(socket, "/", host=urlsplit(world.platform.settings.origin).netloc))[0] == 404


async def test_nobody_else_may_send_its_messages(world: InMemorySystem) -> None:
    with pytest.raises(ValueError, match="may not send"):
        await world.say("wsfed", TossCoin(coin="penny"))
    with pytest.raises(ValueError, match="may not send"):
        await world.say("admin", CoinTossed(coin="penny", side="heads"))


@pytest.mark.integration
async def test_it_runs_in_one_process_with_the_others(world: InMemorySystem, tmp_path: Path) -> None:
    settings = {"notify": NotifySettings(mail_folder=tmp_path / "mail")}
    async with running(world.platform, port=0, settings=settings) as system:
        assert list(system.services) == [*SERVICES, "toy"]
        assert (await get(system.port, "/"))[0] == 200
        _, body = await get(system.port, "/readyz")
        assert json.loads(body)["checks"]["toy.started"] is True


@pytest.mark.integration
async def test_the_clusters_router_passes_its_requests_on(world: InMemorySystem) -> None:
    (wired,) = wiring.build(world.platform, ["toy"])
    assert wired.service.web is not None
    settings = world.platform.settings
    runner = web.AppRunner(wired.service.web)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    port = int(runner.addresses[0][1])
    router = Router(settings.origins, {"toy": [port]}, WITH_TOY)
    await router.start(0)
    at = router.port
    assert (await get(at, "/"))[0] == 200
    assert (await get(at, "/signin/x", host=urlsplit(settings.origin).netloc))[0] == 503  # nobody is there
    await router.stop()
    await runner.cleanup()


def test_its_row_decides_which_paths_are_its_own() -> None:
    assert destination(Host.KIOSK, "/coins", WITH_TOY) == "toy"
    assert destination(Host.KIOSK, "/", WITH_TOY) == "toy"
    assert destination(Host.KIOSK, "/") == Own.PAGE
    assert destination(Host.SIGNIN, "/coins", WITH_TOY) == Own.NOTHING
    assert destination(Host.KIOSK, "/coins") == Own.NOTHING


def test_caddy_leads_to_it_and_shows_its_cookie_to_nobody_else() -> None:
    text = caddyfile(WITH_TOY)
    assert "{$BLOK365_UPSTREAM_TOY:toy-1:8000 toy-2:8000}" in text
    assert leads_to(text, Host.KIOSK, "/coins") == "toy"
    assert leads_to(text, Host.KIOSK, "/") == "toy"
    assert leads_to(text, Host.SIGNIN, "/coins") == Own.NOTHING
    assert "__Host-blok365-toy" in shown(text, "toy", "__Host-blok365-toy=1")
    assert "__Host-blok365-toy" not in shown(text, "wsfed", "__Host-blok365-toy=1")


def test_readers_and_senders_decide_bindings_and_permissions() -> None:
    assert TOPOLOGY.types_of("toy") == {TossCoin.TYPE}
    assert CoinTossed.TYPE in TOPOLOGY.types_of("wsfed")
    allowed = TOPOLOGY.permission("toy")
    assert re.fullmatch(allowed.send, CoinTossed.TYPE)
    assert re.fullmatch(allowed.consume, TossCoin.TYPE)
    assert not re.search(allowed.consume, CoinTossed.TYPE)
    assert re.search(TOPOLOGY.permission("admin").send, TossCoin.TYPE)
    assert not re.search(TOPOLOGY.permission("approval").send, TossCoin.TYPE)
    assert TOPOLOGY.is_lost_unrouted(CoinTossed.TYPE)


def test_rabbitmq_gets_its_user_queue_and_bindings() -> None:
    made = definitions(dict.fromkeys(WITH_TOY, "password"), SeededIds("toy"))
    assert "toy" in {user["name"] for user in made["users"]}
    assert "toy" in {queue["name"] for queue in made["queues"]}
    bound = {(b["destination"], b["routing_key"]) for b in made["bindings"] if b["source"] == EXCHANGE}
    assert {("toy", TossCoin.TYPE), ("wsfed", CoinTossed.TYPE)} <= bound


async def test_it_cannot_consume_what_it_is_no_reader_of(world: InMemorySystem) -> None:
    async def handle(_: object) -> None:
        raise AssertionError("never called")

    bus = MemoryBus(world.platform.trusted, world.clock, TOPOLOGY)
    with pytest.raises(ValueError, match="READERS"):
        await bus.consume("toy", {CoinTossed: handle})


def test_it_gets_keys_and_passwords_of_its_own(tmp_path: Path) -> None:
    for name in (*WITH_TOY, "rabbitmq", "mongo"):
        (tmp_path / name).mkdir()
    secrets.make(tmp_path, SeededIds("toy"), WITH_TOY)
    assert {path.name for path in (tmp_path / "toy").iterdir()} >= {"toy.key", "blok365_mongo_url"}
    assert "toy" in load_trusted_keys(tmp_path / "wsfed" / "trusted.json")
    assert "blok365_toy" in json.loads((tmp_path / "mongo" / "users.json").read_text())


def test_the_recipe_names_every_file_that_the_toy_has() -> None:
    recipe = (DOCS / "adding-a-service.md").read_text()
    for file in (Path(__file__).parent / "toy").iterdir():
        if file.suffix == ".py" and file.stem not in ("row", "messages"):  # edits of files that exist already
            assert f"`{file.name}`" in recipe, file.name
    assert ROW.name not in SERVICES
