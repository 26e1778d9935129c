"""Whole sign-ins under load.

Closed loop: so many people at once, each beginning the next sign-in when the last one ended; it finds how much the
system does. Open loop: sign-ins arrive on a schedule, whatever became of those before; it finds how long they take.
"""

import asyncio
import math
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from deploy.bench.bench_system import BenchSystem
from deploy.bench.load_client import PATIENCE, Owner, SignIn
from deploy.bench.machine import cpu_seconds
from deploy.bench.measure import Latencies
from shared.ids import Ids, SeededIds

SETTLE = 0.3
"""Seconds after the last answer: outboxes are emptied every 200 ms, and that is part of the cost."""
LEAD = 1.0
"""Seconds before its approval is due that a sign-in of the open loop begins."""


@dataclass(frozen=True, slots=True)
class Run:
    """A number of whole sign-ins: what they cost and how long they took."""

    at_once: int
    latencies: Sequence[float]
    seconds: float
    cpu: float
    """CPU seconds of our services' processes."""
    cpu_all: float
    """CPU seconds including RabbitMQ and MongoDB."""
    requests: int
    looks: int

    @property
    def count(self) -> int:
        return len(self.latencies)

    @property
    def per_second(self) -> float:
        return self.count / self.seconds

    @property
    def p99(self) -> float:
        """The 99th percentile of the whole sign-in, in seconds."""
        return Latencies.of(self.latencies).p99 / 1000

    def json(self) -> dict[str, object]:
        """The figures as they go into bench.json."""
        return {
            "at_once": self.at_once,
            "samples": self.count,
            "per_second": round(self.per_second, 2),
            "whole_ms": Latencies.of(self.latencies).json(),
            "cpu_ms": round(self.cpu / self.count * 1000, 2),
            "cpu_ms_all": round(self.cpu_all / self.count * 1000, 2),
            "per_core_second": round(self.count / self.cpu, 2),
            "per_core_second_all": round(self.count / self.cpu_all, 2),
            "http_requests": round(self.requests / self.count, 2),
        }


async def closed_loop(on: BenchSystem, others: Sequence[int], *, count: int, at_once: int) -> Run:
    """`count` sign-ins, `at_once` at a time. Raises what a sign-in raises: none may fail."""
    owners = iter(await on.owners(count))
    latencies: list[float] = []
    looks = 0
    requests = on.site.requests
    ours, all_pids = on.pids(), [*on.pids(), *others]
    cpu, cpu_all, began = cpu_seconds(ours), cpu_seconds(all_pids), time.perf_counter()

    async def one_after_another() -> None:
        nonlocal looks
        for owner in owners:
            sign_in = SignIn(on.site, owner)
            latencies.append(await sign_in.whole())
            looks += sign_in.looks

    async with asyncio.TaskGroup() as group:
        for _ in range(at_once):
            group.create_task(one_after_another())
    seconds = time.perf_counter() - began
    await asyncio.sleep(SETTLE)
    return Run(
        at_once,
        latencies,
        seconds,
        cpu_seconds(ours) - cpu,
        cpu_seconds(all_pids) - cpu_all,
        on.site.requests - requests,
        looks,
    )


async def to_saturation(
    on: BenchSystem, others: Sequence[int], *, seconds: float, say: Callable[[str], None], limit: float = 1.0
) -> tuple[Run, list[Run]]:
    """Twice as many people at each step, until more of them bring no more or `limit` (p99, seconds) is passed.

    The step with the most sign-ins a second within the limit, and all steps. When even the first step is not within
    the limit, it is the one: its p99 then says so.
    """
    steps: list[Run] = []
    at_once, expected = 2, 20.0
    while True:
        step = await closed_loop(on, others, count=max(20, int(expected * seconds)), at_once=at_once)
        steps.append(step)
        say(f"{at_once:3} at once: {step.per_second:6.1f} a second, p99 {step.p99 * 1000:5.0f} ms")
        gained = len(steps) < 2 or step.per_second > 1.05 * steps[-2].per_second
        if step.p99 >= limit or not gained or at_once >= 128:
            break
        at_once, expected = at_once * 2, step.per_second * 1.3
    good = [step for step in steps if step.p99 < limit] or steps[:1]
    return max(good, key=lambda step: step.per_second), steps


@dataclass(frozen=True, slots=True)
class Arrivals:
    """An open loop's result. `late`: sign-ins whose phone was not ready when its approval was due."""

    latencies: Latencies
    late: int
    lag: Latencies
    """How late the load generator itself was."""
    per_second: float

    def json(self) -> dict[str, object]:
        """The figures as they go into bench.json."""
        return {
            **self.latencies.json(),
            "aim_p99": 50,
            "arrivals_per_second": round(self.per_second, 2),
            "not_ready_when_due": self.late,
            "generator_lag_ms": self.lag.json(),
        }


async def open_loop(on: BenchSystem, *, per_second: float, count: int) -> Arrivals:
    """Approvals due at random moments (a Poisson process of that rate). From due to the token page's last octet.

    A sign-in begins `LEAD` before; if its phone is not ready in time, the waiting counts.
    """
    owners = await on.owners(count)
    begin = time.perf_counter() + LEAD + 0.2
    due = begin
    latencies: list[float] = []
    lags: list[float] = []
    late = 0

    async def one(owner: Owner, due: float) -> None:
        nonlocal late
        await _until(due - LEAD)
        async with asyncio.timeout(PATIENCE):
            sign_in = SignIn(on.site, owner)
            await sign_in.reach_phone()
            if time.perf_counter() > due:
                late += 1
            else:
                await _until(due)
                lags.append(time.perf_counter() - due)
            await sign_in.approve()
            latencies.append(time.perf_counter() - due)

    ids = SeededIds("arrivals")
    async with asyncio.TaskGroup() as group:
        for owner in owners:
            group.create_task(one(owner, due))
            due += gap(ids, per_second)
    return Arrivals(Latencies.of(latencies), late, Latencies.of(lags or [0.0]), per_second)


def gap(ids: Ids, per_second: float) -> float:
    """Seconds to the next arrival of a Poisson process."""
    share = int.from_bytes(ids.random_bytes(8), "big") / 2**64
    return -math.log(1.0 - share) / per_second


async def _until(moment: float) -> None:
    await asyncio.sleep(max(0.0, moment - time.perf_counter()))
