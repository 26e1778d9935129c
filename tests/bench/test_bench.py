"""The benchmark measures what it says: its arithmetic, its client, its copies, its two ratios in miniature."""

import asyncio
import itertools
import json
import os
import subprocess
import sys
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any
from urllib.parse import parse_qsl

import bson
import pytest
from aiohttp import web
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import padding
from signxml.verifier import XMLVerifier

from deploy.bench import machine, report, tokens
from deploy.bench.copies import NotSeeded, spread, swapped
from deploy.bench.counting import Counts
from deploy.bench.http import Broken, Pool, octets
from deploy.bench.load_client import passive_path
from deploy.bench.measure import Latencies, Rate, in_turns, percentile
from deploy.bench.peer import HERE
from deploy.bench.signins import gap
from services.wsfed.domain.request import parse_sign_in
from shared.clouds import CLOUDS
from shared.ids import SeededIds

# --- arithmetic


def test_percentile_is_the_nearest_rank() -> None:
    samples = [float(n) for n in range(100, 0, -1)]
    assert [percentile(samples, share) for share in (0.01, 0.5, 0.99, 1.0)] == [1, 50, 99, 100]
    assert percentile([7.0], 0.99) == 7


def test_nothing_measured_is_not_zero() -> None:
    with pytest.raises(ValueError, match="samples"):
        Latencies.of([])


def test_latencies_are_in_milliseconds() -> None:
    assert Latencies.of([0.010] * 98 + [0.5, 0.7]).json() == {"p50": 10.0, "p99": 500.0, "samples": 100}


def test_sides_take_turns_and_a_twice_as_slow_side_has_half_the_rate() -> None:
    now = 0.0
    order: list[str] = []

    def side(name: str, cost: float) -> Callable[[], None]:
        def work() -> None:
            nonlocal now
            now += cost
            order.append(name)

        return work

    fast, slow = in_turns([side("fast", 1), side("slow", 2)], rounds=3, seconds=10, clock=lambda: now)
    assert (fast.median, slow.median) == (1.0, 0.5)
    assert (fast.samples, slow.samples) == (30, 15)
    turns = [name for name, _ in itertools.groupby(order[2:])]
    assert turns == ["fast", "slow"] * 3


def test_arrivals_come_at_the_rate_that_was_asked_for() -> None:
    ids = SeededIds("test")
    gaps = [gap(ids, 40) for _ in range(4000)]
    assert min(gaps) >= 0
    assert sum(gaps) / len(gaps) == pytest.approx(1 / 40, rel=0.05)
    assert percentile(gaps, 0.5) == pytest.approx(0.693 / 40, rel=0.1)  # exponential, not even


def test_counts_leave_out_what_goes_on_without_sign_ins() -> None:
    def counts(at: float, reads: int, writes: int, published: int) -> Counts:
        return Counts(at, reads, writes, {}, published, published)

    start, before, after = counts(0, 0, 0, 0), counts(10, 20, 10, 5), counts(20, 140, 60, 40)
    added = after.since(before, before.rates_since(start))
    assert added == {
        "store_reads": 100,
        "store_writes": 40,
        "messages_published": 30,
        "messages_delivered": 30,
    }


# --- the machine


def test_cpu_seconds_count_work_and_not_waiting() -> None:
    me = [os.getpid()]
    before = machine.cpu_seconds(me)
    while machine.cpu_seconds(me) - before < 0.05:  # ends only if working counts
        sum(range(10_000))
    with subprocess.Popen([sys.executable, "-c", "input()"], stdin=subprocess.PIPE) as child:
        assert child.pid in machine.with_descendants(me)
        child.kill()


def test_memory_and_description_are_of_this_machine() -> None:
    assert 5 < machine.rss_mb(os.getpid()) < 4096
    described = machine.describe()
    assert described["cores"] == os.cpu_count()
    assert described["python"] == sys.version.split()[0]


def test_fsync_probe_leaves_nothing_behind(tmp_path: Path) -> None:
    assert machine.fsync_ms(tmp_path / "data", times=3) > 0
    assert list((tmp_path / "data").iterdir()) == []


# --- tokens


def test_each_side_of_the_token_ratio_does_its_whole_work() -> None:
    made = tokens.Tokens(SeededIds("tokens"))
    first, second = made.token(), made.token()
    assert first != second  # nothing is made once and used again
    assert "multipleauthn" in first
    public = made.private.public_key()
    public.verify(made.signature(), made.message, padding.PKCS1v15(), hashes.SHA256())
    with pytest.raises(InvalidSignature):
        public.verify(made.signature(), made.message + b"x", padding.PKCS1v15(), hashes.SHA256())
    begin, end = first.index("<ds:SignedInfo"), first.index("</ds:SignedInfo>")
    signed = end - begin + len('</ds:SignedInfo> xmlns:ds="http://www.w3.org/2000/09/xmldsig#"')
    assert abs(signed - len(made.message)) < 8
    XMLVerifier().verify(made.signxml(), x509_cert=made.certificate_pem, id_attribute="AssertionID")


def test_token_ratio_has_both_sides_and_says_how_many() -> None:
    result = tokens.report(Rate((90.0, 80.0, 100.0), 270), Rate((100.0,), 100), Rate((50.0,), 50))
    assert result["ratio"] == 0.9
    assert result["tokens"] == {"per_second": 90.0, "rounds": [90.0, 80.0, 100.0], "samples": 270}


# --- copies


def test_a_copy_differs_in_names_only_and_is_still_bson() -> None:
    original = {
        "_id": "contoso/AAAA",
        "devices": {"DDDD": {"key": b"\x01\x02\x03", "n": 1}},
        "x": [None, True],
    }
    copy = swapped(
        bson.encode(original), (b"AAAA", b"DDDD", b"\x01\x02\x03"), (b"BBBB", b"EEEE", b"\x07\x08\x09")
    )
    assert bson.decode(copy) == {
        "_id": "contoso/BBBB",
        "devices": {"EEEE": {"key": b"\x07\x08\x09", "n": 1}},
        "x": [None, True],
    }


def test_a_name_of_another_length_is_refused() -> None:
    with pytest.raises(NotSeeded):
        swapped(bson.encode({"_id": "AAAA"}), (b"AAAA",), (b"BBBBB",))


@pytest.mark.parametrize("total", [1, 2, 10, 1000, 1618, 100_000])
def test_every_account_signs_in_once_before_any_does_again(total: int) -> None:
    assert len({spread(turn, total) for turn in range(total)}) == total


# --- requests


def test_the_request_is_one_that_wsfed_takes() -> None:
    path = passive_path("contoso", "ada@contoso.example")
    assert 2000 < len(path) < 4000
    parsed = parse_sign_in(parse_qsl(path.partition("?")[2]), cloud=CLOUDS["worldwide"])
    assert parsed.username == "ada@contoso.example"


def test_the_peer_is_locked_without_registry_hosts() -> None:
    lock = (HERE / "package-lock.json").read_text()
    assert '"resolved"' not in lock
    assert '"node_modules/wsfed"' in lock
    assert '"integrity"' in lock


# --- the client


@asynccontextmanager
async def serving(app: web.Application) -> AsyncIterator[Pool]:
    runner = web.AppRunner(app)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    pool = Pool(int(runner.addresses[0][1]))
    try:
        yield pool
    finally:
        await pool.close()
        await runner.cleanup()


@pytest.mark.integration
async def test_client_reads_lengths_chunks_and_empty_answers_on_one_connection() -> None:
    seen: set[Any] = set()

    async def plain(request: web.Request) -> web.Response:
        seen.add(request.transport)
        response = web.Response(text=f"{request.method} {await request.text()}" * 5000)
        response.set_cookie("__Host-a", "1", path="/", secure=True)
        return response

    async def nothing(request: web.Request) -> web.Response:
        seen.add(request.transport)
        return web.Response(status=204)

    async def away(request: web.Request) -> web.Response:
        return web.Response(status=303, headers={"Location": "/there"})

    app = web.Application()
    app.add_routes([web.route("*", "/plain", plain), web.get("/nothing", nothing), web.get("/away", away)])
    headers = {"Host": "localhost"}
    async with serving(app) as pool:
        answer = await pool.request(octets("POST", "/plain", headers, b"abc", "text/plain"))
        assert (answer.status, answer.body) == (200, b"POST abc" * 5000)
        assert answer.cookies() == {"__Host-a": "1"}
        assert (await pool.request(octets("GET", "/nothing", headers))).status == 204
        assert (await pool.request(octets("GET", "/away", headers))).location() == "/there"
        assert pool.requests == 3
    assert len(seen) == 1


@pytest.mark.integration
async def test_client_tells_of_a_marker_before_the_stream_ends() -> None:
    go_on = asyncio.Event()

    async def stream(request: web.Request) -> web.StreamResponse:
        response = web.StreamResponse()
        await response.prepare(request)
        await response.write(b"data: wait")
        await response.write(b'ing\n\ndata: {"state":"pro')
        await response.write(b'ved"}\n\n')
        await go_on.wait()
        return response

    app = web.Application()
    app.add_routes([web.get("/events", stream)])
    async with serving(app) as pool, asyncio.timeout(5):
        exchange = await pool.begin(octets("GET", "/events", {"Host": "x"}), marker=b'"state":"proved"')
        await exchange.seen
        assert not exchange.answer.done()
        go_on.set()
        assert (await exchange.answer).body.endswith(b"\n\n")


@pytest.mark.integration
async def test_a_stream_that_ends_without_its_marker_is_a_failure() -> None:
    async def short(request: web.Request) -> web.StreamResponse:
        response = web.StreamResponse()
        await response.prepare(request)
        await response.write(b"data: other\n\n")
        return response

    app = web.Application()
    app.add_routes([web.get("/events", short)])
    async with serving(app) as pool, asyncio.timeout(5):
        exchange = await pool.begin(octets("GET", "/events", {"Host": "x"}), marker=b"proved")
        with pytest.raises(Broken):
            await exchange.seen


# --- the report


RESULT: dict[str, Any] = {
    "machine": {"cpu": "some", "cores": 2, "python": "3.11", "kernel": "Linux", "load_1min_before": 0.1},
    "fsync_ms": 0.5,
    "token_sign_vs_rsa": {
        "ratio": 0.95,
        "tokens": {"per_second": 950.0},
        "raw_rsa_2048": {"per_second": 1000.0},
        "signxml_reference": {"per_second": 600.0},
    },
    "approval_to_token_ms": {"p50": 12.0, "p99": 61.0, "samples": 600, "arrivals_per_second": 20.0},
}


def test_table_says_which_aims_were_missed_and_leaves_out_what_was_not_run() -> None:
    lines = report.table(RESULT).splitlines()
    assert any(line.startswith("token_sign_vs_rsa") and " met " in line for line in lines)
    assert any(line.startswith("approval_to_token_ms") and " missed " in line for line in lines)
    assert not any(line.startswith("cost_growth") for line in lines)


def test_table_says_how_many_people_were_made_and_what_each_cost() -> None:
    made = {
        "people": 3000,
        "seconds": 60.0,
        "per_second": 50.0,
        "cpu_ms": 7.5,
        "cpu_ms_all": 15.0,
        "rss_mb": {"idle": 80.0, "after_load": 95.0},
        "requests": 900,
        "refused": 0,
        "early": 0,
    }
    lines = report.table({**RESULT, "provisioning": made}).splitlines()
    (rate, cpu) = [line for line in lines if line.startswith("provisioning")]
    assert " met " in rate
    assert " missed " in cpu
    assert "3,000 people in 60 s" in rate


def test_json_is_written_whole(tmp_path: Path) -> None:
    path = tmp_path / "var" / "bench.json"
    report.write(RESULT, path)
    assert json.loads(path.read_text()) == RESULT
    assert [p.name for p in path.parent.iterdir()] == ["bench.json"]


# --- all of it, in miniature


@pytest.mark.integration
@pytest.mark.soak
@pytest.mark.timeout(300)
def test_quick_bench_measures_every_part_and_leaves_nothing_running(tmp_path: Path) -> None:
    parts = [f"--only={part}" for part in ("signins", "approval", "provisioning")]
    command = [sys.executable, "-m", "deploy.bench", "--quick", *parts]
    done = subprocess.run(
        [*command, "--var", str(tmp_path)], capture_output=True, text=True, timeout=280, check=False
    )
    assert done.returncode == 0, done.stderr
    result = json.loads((tmp_path / "bench.json").read_text())
    assert result["signins_per_core_second"] > 1
    assert result["signins_per_core_second_all"] < result["signins_per_core_second"]
    assert result["per_signin"]["http_requests"] == 7
    assert 2.5 < result["per_signin"]["messages_published"] < 4
    assert result["approval_to_token_ms"]["samples"] >= 30
    made = result["provisioning"]
    assert (made["people"], made["refused"], made["early"]) == (300, 0, 0)
    assert made["cpu_ms"] < made["cpu_ms_all"]
    marked = [p for p in Path("/proc").glob("[0-9]*/environ") if _mentions(p, str(tmp_path))]
    assert marked == []


def _mentions(path: Path, text: str) -> bool:
    try:
        return text.encode() in path.read_bytes() or text.encode() in path.with_name("cmdline").read_bytes()
    except OSError:
        return False
