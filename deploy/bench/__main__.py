"""`python -m deploy.bench`: all of it, in order; a table, and var/bench.json. `--quick` shows that it works."""

import argparse
import asyncio
import contextlib
import shutil
import statistics
import sys
import time
from collections.abc import Sequence
from contextlib import AsyncExitStack, ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import uvloop

from deploy.bench import console, machine, provisioning, reissue, report, tokens
from deploy.bench.bench_system import BenchSystem, bench_system
from deploy.bench.copies import NotSeeded
from deploy.bench.counting import counts
from deploy.bench.http import Broken
from deploy.bench.load_client import Unexpected
from deploy.bench.signins import Run, closed_loop, open_loop, to_saturation
from deploy.local.backing import (
    BackingService,
    BackingServiceFailed,
    BackingServiceMissing,
    Broker,
    mongod,
    rabbitmq,
)
from shared.clock import SystemClock, iso_millis
from shared.errors import Blok365Error
from shared.log import configure
from shared.services import SERVICES

SIGN_INS = ("signins", "approval", "growth", "reissue")
PARTS = ("tokens", "console", *SIGN_INS, "provisioning")
ON_REQUEST = ("throttled",)
"""Parts that are run only when they are named: this one waits for minutes, as Microsoft's limits ask for."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Plan:
    """How many accounts, rounds and seconds each part takes."""

    small: int
    large: int
    token_rounds: int
    warm: int
    counted: int
    step_seconds: float
    arrivals_seconds: float
    growth_rounds: int
    growth_signins: int
    reissue_rounds: int
    reissue_seconds: float
    people: int
    """That provisioning makes without limits."""
    throttled_people: int
    """And with Microsoft's."""
    limit: float
    """Seconds for all that needs services; a machine that is too slow for it is told so."""


FULL = Plan(
    small=1_000,
    large=100_000,
    token_rounds=11,
    warm=60,
    counted=100,
    step_seconds=6.0,
    arrivals_seconds=25.0,
    growth_rounds=4,
    growth_signins=150,
    reissue_rounds=5,
    reissue_seconds=3.0,
    people=3_000,
    throttled_people=10_000,
    limit=600.0,
)
QUICK = Plan(
    small=200,
    large=3_000,
    token_rounds=3,
    warm=10,
    counted=20,
    step_seconds=1.0,
    arrivals_seconds=3.0,
    growth_rounds=1,
    growth_signins=40,
    reissue_rounds=2,
    reissue_seconds=1.0,
    people=300,
    throttled_people=3_500,
    limit=240.0,
)

_began = time.monotonic()


def say(text: str) -> None:
    """A progress line, with the seconds since the start."""
    print(f"{time.monotonic() - _began:6.1f}  {text}", file=sys.stderr, flush=True)


@dataclass(frozen=True)
class Bench:
    """What every part of the benchmark needs."""

    plan: Plan
    parts: frozenset[str]
    var: Path
    mongo: BackingService
    broker: Broker

    @property
    def others(self) -> list[int]:
        """Process ids of RabbitMQ and MongoDB, where they are ours."""
        return [pid for pid in (getattr(p, "pid", 0) for p in (self.mongo, self.broker)) if pid]

    async def run(self, result: dict[str, Any]) -> None:
        """All parts that need services; `result` is filled as they end."""
        plan = self.plan
        async with asyncio.timeout(plan.limit), AsyncExitStack() as stack:
            say("services: starting")
            large = await stack.enter_async_context(
                bench_system(self.mongo, self.broker, self.var / "bench", accounts=plan.small)
            )
            idle = memory(large)
            await closed_loop(large, self.others, count=plan.warm, at_once=4)
            say(f"accounts: {plan.large:,}")
            await large.seed(plan.large)
            if "signins" in self.parts or "approval" in self.parts:
                await self.saturation(large, result)
            if "approval" in self.parts:
                await self.approval(large, result)
            if "growth" in self.parts:
                say(f"services: a second set, with {plan.small:,} accounts")
                async with bench_system(
                    self.mongo, self.broker, self.var / "bench", accounts=plan.small
                ) as small:
                    await self.growth(small, large, result)
            if "reissue" in self.parts:
                say("re-issue: against npm wsfed")
                result["sso_reissue_vs_node_wsfed"] = await reissue.run(
                    large,
                    self.others,
                    self.var,
                    rounds=plan.reissue_rounds,
                    seconds=plan.reissue_seconds,
                )
            after = memory(large)
            result["rss_mb"] = {
                name: {"idle": round(idle[name], 1), "after_load": round(after[name], 1)} for name in idle
            }

    async def provisioning(self, result: dict[str, Any]) -> None:
        """People a second before a directory that takes 50 ms for an answer, without limits and with Microsoft's."""
        for part, people in (
            ("provisioning", self.plan.people),
            ("throttled", self.plan.throttled_people),
        ):
            if part not in self.parts:
                continue
            made = await provisioning.run(
                self.mongo,
                self.broker,
                self.others,
                self.var / "bench",
                people=people,
                latency=0.05,
                throttled=part == "throttled",
                say=say,
            )
            name = "provisioning" if part == "provisioning" else "provisioning_throttled"
            result[name] = made.json()

    async def saturation(self, on: BenchSystem, result: dict[str, Any]) -> None:
        """signins_per_core_second, and what one sign-in asks of the store and the broker."""
        say("sign-ins: counting what one asks for")
        result["per_signin"] = await self.counted(on)
        say("sign-ins: to saturation")
        best, steps = await to_saturation(on, self.others, seconds=self.plan.step_seconds, say=say)
        result["signins_per_core_second"] = best.json()["per_core_second"]
        # without the process ids of broker and database (given from outside) there is nothing to add up
        result["signins_per_core_second_all"] = (
            best.json()["per_core_second_all"] if len(self.others) == 2 else None
        )
        result["saturation"] = {"best": best.json(), "steps": [step.json() for step in steps]}

    async def counted(self, on: BenchSystem) -> dict[str, float]:
        """Store operations, messages, HTTP requests of one sign-in."""
        client, n = on.copies.client, self.plan.counted
        start = await asyncio.to_thread(counts, client, self.broker)
        await asyncio.sleep(3)
        before = await asyncio.to_thread(counts, client, self.broker)
        run = await closed_loop(on, self.others, count=n, at_once=2)
        after = await asyncio.to_thread(counts, client, self.broker)
        added = after.since(before, before.rates_since(start))
        # the phone's looks at its list after the first were waiting, not work
        requests = {"http_requests": (run.requests - (run.looks - n)) / n}
        return {
            name: round(value, 2) for name, value in ({k: v / n for k, v in added.items()} | requests).items()
        }

    async def approval(self, on: BenchSystem, result: dict[str, Any]) -> None:
        """Measure `approval_to_token_ms`."""
        rate = result["saturation"]["best"]["per_second"] / 2
        count = max(30, min(600, int(rate * self.plan.arrivals_seconds)))
        say(f"approval to token: {count} sign-ins at {rate:.1f} a second")
        found = await open_loop(on, per_second=rate, count=count)
        result["approval_to_token_ms"] = found.json()

    async def growth(self, small: BenchSystem, large: BenchSystem, result: dict[str, Any]) -> None:
        """cost_growth: the two sets in turns, each sign-in of an account that has not signed in before."""
        plan = self.plan
        await closed_loop(small, self.others, count=plan.warm, at_once=4)
        runs: dict[int, list[Run]] = {plan.small: [], plan.large: []}
        for number in range(plan.growth_rounds):
            say(f"cost growth: round {number + 1} of {plan.growth_rounds}")
            for accounts, on in ((plan.small, small), (plan.large, large)):
                runs[accounts].append(
                    await closed_loop(on, self.others, count=plan.growth_signins, at_once=4)
                )
        left, right = runs[plan.small], runs[plan.large]
        result["cost_growth"] = {
            "ratio": round(_cpu(right) / _cpu(left), 3),
            "ratio_all": round(_cpu_all(right) / _cpu_all(left), 3),
            "aim": 1.1,
            "small": _side(plan.small, left),
            "large": _side(plan.large, right),
        }


def _cpu(runs: Sequence[Run]) -> float:
    return statistics.median(run.cpu / run.count for run in runs)


def _cpu_all(runs: Sequence[Run]) -> float:
    return statistics.median(run.cpu_all / run.count for run in runs)


def _side(accounts: int, runs: Sequence[Run]) -> dict[str, object]:
    return {
        "accounts": accounts,
        "cpu_ms": round(_cpu(runs) * 1000, 2),
        "cpu_ms_all": round(_cpu_all(runs) * 1000, 2),
        "rounds_cpu_ms": [round(run.cpu / run.count * 1000, 2) for run in runs],
        "samples": sum(run.count for run in runs),
    }


def memory(on: BenchSystem) -> dict[str, float]:
    """Resident MiB of each service's process."""
    return {name: machine.rss_mb(on.pids(name)[0]) for name in SERVICES}


def bench(plan: Plan, parts: frozenset[str], var: Path, result: dict[str, Any]) -> None:
    """Everything that `parts` names; `result` is filled as the parts end, so that a fault costs only its own part."""
    result |= {
        "at": iso_millis(SystemClock().now()),
        "machine": machine.describe(),
        "accounts": {"small": plan.small, "large": plan.large},
    }
    folder = var / "bench"
    shutil.rmtree(folder, ignore_errors=True)
    result["fsync_ms"] = round(machine.fsync_ms(folder), 3)
    if "tokens" in parts:
        say("tokens: against bare RSA signatures")
        result["token_sign_vs_rsa"] = tokens.run(rounds=plan.token_rounds)
    if parts - {"tokens"}:
        with ExitStack() as stack:
            say("MongoDB: starting")
            mongo = stack.enter_context(mongod(folder / "mongo"))
            if "console" in parts:
                say(f"console: {plan.large:,} accounts")
                result["console_ms"] = uvloop.run(console.run(mongo.url, folder, count=plan.large))
            if parts - {"tokens", "console"}:
                say("RabbitMQ: starting")
                made = Bench(plan, parts, var, mongo, stack.enter_context(rabbitmq(folder / "rabbit")))
                if parts & set(SIGN_INS):
                    uvloop.run(made.run(result))
                if parts & {"provisioning", "throttled"}:
                    uvloop.run(made.provisioning(result))
        for data in ("mongo", "rabbit"):
            shutil.rmtree(folder / data, ignore_errors=True)
        say(f"done; the services' logs are in {folder}")


def main() -> int:
    """Exit code 1 and one clear line when it could not be measured. A missed aim is a result, not a failure."""
    parser = argparse.ArgumentParser(prog="make bench", description=__doc__)
    parser.add_argument("--quick", action="store_true", help="about two minutes, to see that it works")
    parser.add_argument(
        "--only", action="append", choices=(*PARTS, *ON_REQUEST), help="this part; may be given again"
    )
    parser.add_argument("--var", type=Path, default=Path("var"))
    options = parser.parse_args()
    configure(json=False, quiet=True)
    result: dict[str, Any] = {"quick": options.quick}
    failure = ""
    try:
        bench(
            QUICK if options.quick else FULL, frozenset(options.only or PARTS), options.var.resolve(), result
        )
    except* (
        BackingServiceMissing,
        BackingServiceFailed,
        NotSeeded,
        Unexpected,
        Broken,
        TimeoutError,
        Blok365Error,
    ) as group:
        failure = repr(_first(group))
    if "fsync_ms" in result:
        report.write(result | ({"failure": failure} if failure else {}), options.var / "bench.json")
        print(report.table(result))
    if failure:
        print(f"The benchmark could not be made, or not to its end: {failure}", file=sys.stderr)
    return 1 if failure else 0


def _first(error: BaseException) -> BaseException:
    while isinstance(error, BaseExceptionGroup):
        error = error.exceptions[0]
    return error


if __name__ == "__main__":
    with contextlib.suppress(KeyboardInterrupt):
        sys.exit(main())
    sys.exit(130)
