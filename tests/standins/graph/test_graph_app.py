"""The stand-in over HTTP: sockets on 127.0.0.1, control, and the program itself."""

import asyncio
import json
import sys
from asyncio.subprocess import PIPE
from collections.abc import AsyncIterator
from dataclasses import dataclass
from io import BytesIO
from pathlib import Path
from typing import Any

import aiohttp
import pytest
from aiohttp.test_utils import TestClient, TestServer
from aiohttp.web import Application, Request
from yarl import URL

from deploy.local.backing.port import free_port
from deploy.standins.graph.app import MAX_BODY, GraphApp
from deploy.standins.graph.clock import ControlledClock
from deploy.standins.graph.standin import StandIn
from shared.clock import ManualClock
from shared.ids import SeededIds
from shared.testing.waiting import eventually
from tests.standins.graph.directory import CLIENT, NOW, SECRET, SET_UP, TENANT, person

pytestmark = pytest.mark.integration

FORM = {
    "grant_type": "client_credentials",
    "client_id": CLIENT,
    "client_secret": SECRET,
    "scope": "https://graph.microsoft.com/.default",
}


@dataclass
class Graph:
    client: TestClient[Request, Application]
    standin: StandIn
    clock: ManualClock

    async def control(self, path: str, body: object, status: int = 200) -> Any:
        answer = await self.client.post(f"/control/{path}", json=body)
        assert answer.status == status, await answer.text()
        return await answer.json()

    async def bearer(self) -> dict[str, str]:
        answer = await self.client.post("/contoso.example/oauth2/v2.0/token", data=FORM)
        return {"Authorization": f"Bearer {(await answer.json())['access_token']}"}


@pytest.fixture
async def graph() -> AsyncIterator[Graph]:
    clock = ManualClock(NOW)
    standin = StandIn(clock=clock, ids=SeededIds("app"))
    async with TestClient(TestServer(GraphApp(standin).app(), host="127.0.0.1")) as client:
        standin.origin = str(client.make_url("")).rstrip("/")
        graph = Graph(client, standin, clock)
        assert await graph.control("set-up", SET_UP) == {"tenants": [TENANT]}
        yield graph


async def test_a_person_from_token_to_record(graph: Graph) -> None:
    headers = await graph.bearer()
    made = await graph.client.post("/v1.0/users", json=person("o'hara"), headers=headers)
    assert (made.status, made.content_type) == (201, "application/json")
    assert made.headers["Date"] == "Fri, 27 Nov 2026 06:00:00 GMT"
    target = "/v1.0/users('o%27%27hara%40contoso.example')"
    read = await graph.client.get(URL(target, encoded=True), headers=headers)
    assert read.status == 200
    assert (
        await graph.client.delete(f"/v1.0/users/{(await made.json())['id']}", headers=headers)
    ).status == 204
    lines = [
        json.loads(each) for each in (await (await graph.client.get("/control/requests")).text()).splitlines()
    ]
    assert [each["status"] for each in lines] == [200, 201, 200, 204]
    assert lines[2]["url"] == f"{graph.standin.origin}{target}"
    users = await (await graph.client.get(f"/control/tenants/{TENANT}/users")).json()
    assert [each["onPremisesImmutableId"] for each in users["deleted"]] == ["id-o'hara"]
    assert (await (await graph.client.get("/control/state")).json())["requests"] == 4


async def test_the_connection_ends_without_an_answer(graph: Graph) -> None:
    headers = await graph.bearer()
    await graph.control(
        "faults", [{"kind": "drop_after_write", "method": "POST", "path": "/users", "times": 1}]
    )
    with pytest.raises(aiohttp.ClientConnectionError):
        await graph.client.post("/v1.0/users", json=person(), headers=headers)
    assert graph.standin.tenants[TENANT].size == 1
    assert (await graph.client.delete("/control/faults")).status == 204


async def test_a_slow_answer_waits_for_the_clock_of_the_stand_in(graph: Graph) -> None:
    headers = await graph.bearer()
    await graph.control("faults", {"kind": "slow", "path": "/users", "seconds": 30, "times": 1})
    asked = asyncio.create_task(graph.client.get("/v1.0/users", headers=headers))

    async def arrived() -> bool | None:
        return graph.standin.record.count == 2 or None

    await eventually(arrived, "the request")
    assert not asked.done()
    assert await graph.control("clock", {"advance": 30}) == {"now": "2026-11-27T06:00:30+00:00"}
    assert (await asked).status == 200


@pytest.mark.parametrize(
    ("path", "body"),
    [
        ("set-up", {"surprise": 1}),
        ("set-up", {"tenants": [{"id": "x"}]}),
        ("set-up", {"tenants": [{"domains": [{"id": "contoso.example"}]}]}),
        ("set-up", {"tenants": [{"id": TENANT, "users": [{"displayName": "nobody"}]}]}),
        (
            "set-up",
            {"tenants": [{"id": TENANT, "users": [{"userPrincipalName": "a@contoso.example", "x": 1}]}]},
        ),
        ("set-up", {"tenants": [{"applications": [{"clientId": CLIENT, "certificates": ["x"]}]}]}),
        ("faults", {"kind": "surprise"}),
        ("faults", {"kind": "slow", "probability": 2}),
        ("clock", {"advance": "x"}),
        ("clock", {}),
    ],
)
async def test_control_names_what_it_cannot_take(graph: Graph, path: str, body: object) -> None:
    assert (await graph.control(path, body, status=400))["error"]


async def test_control_is_for_this_machine_and_no_page(graph: Graph) -> None:
    foreign = await graph.client.get("/control/state", headers={"Host": "evil.example"})
    assert foreign.status == 421
    form = await graph.client.post(
        "/control/clock", data=b'{"advance": 1}', headers={"Content-Type": "text/plain"}
    )
    assert form.status == 415
    assert (await graph.client.get("/control/nothing")).status == 404
    assert graph.standin.record.count == 0


async def test_a_body_beyond_the_limit_is_413_and_recorded(graph: Graph) -> None:
    answer = await graph.client.post("/v1.0/users", data=BytesIO(bytes(MAX_BODY + 1)))
    assert answer.status == 413
    (entry,) = graph.standin.record.entries()
    assert (entry["status"], entry["body"]) == (413, None)


async def test_the_clock_of_the_program_goes_forward_only() -> None:
    machine = ManualClock(NOW)
    clock = ControlledClock(machine)
    clock.advance(90)
    machine.advance(10)
    assert (clock.now() - NOW).total_seconds() == clock.monotonic() == 100
    waiting = asyncio.create_task(clock.sleep(3600))
    await asyncio.sleep(0)
    clock.advance(3600)
    await waiting
    with pytest.raises(ValueError, match="forward"):
        clock.advance(-1)


async def test_the_program_starts_from_a_file_and_ends_with_its_owner(tmp_path: Path) -> None:
    set_up, record = tmp_path / "set-up.json", tmp_path / "graph" / "requests.jsonl"
    set_up.write_text(json.dumps(SET_UP))
    port = free_port()
    options = ("--port", str(port), "--set-up", str(set_up), "--requests", str(record), "--until-stdin-ends")
    program = await asyncio.create_subprocess_exec(
        sys.executable, "-m", "deploy.standins.graph", *options, stdin=PIPE, stdout=PIPE
    )
    assert program.stdout is not None
    assert program.stdin is not None
    address = f"http://127.0.0.1:{port}"
    assert address.encode() in await program.stdout.readline()
    async with (
        aiohttp.ClientSession() as client,
        client.post(f"{address}/{TENANT}/oauth2/v2.0/token", data=FORM) as answer,
    ):
        assert answer.status == 200
    program.stdin.close()
    assert await program.wait() == 0
    (line,) = record.read_text().splitlines()
    assert json.loads(line)["body"]["client_secret"] == "hidden"


@pytest.mark.parametrize(("language", "words"), [("en-GB", "Disabled"), ("fr-FR", "Désactivé")])
async def test_a_page_shows_people_who_is_in_the_directories_and_is_no_request(
    graph: Graph, language: str, words: str
) -> None:
    users = [
        {"userPrincipalName": "ada@contoso.example", "displayName": "<b>Ada</b>", "accountEnabled": False}
    ]
    await graph.control("set-up", {"tenants": [{"id": TENANT, "users": users}]})
    answer = await graph.client.get("/", headers={"Accept-Language": language})
    text = await answer.text()
    assert answer.headers["Content-Security-Policy"].startswith("default-src 'none'")
    assert "&lt;b&gt;Ada&lt;/b&gt;" in text
    assert words in text
    assert "<b>" not in text
    assert (await graph.client.get("/style.css")).content_type == "text/css"
    assert list(graph.standin.record.entries()) == []
