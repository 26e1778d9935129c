"""sso_reissue_vs_node_wsfed: warm re-issues over HTTP, each server on one core, turn by turn with the peer.

Both answer the same request with the same headers and a signed token for login.microsoftonline.com. Ours reads tenant,
session, account and phone, notes the use of the session and makes its issuance record durable before it signs; the
peer keeps nothing and always answers for one user. The load generator, MongoDB and all else have the other core (on a
machine with one core only: the same). Each of our requests comes from the next of many browsers with a session, so that
nobody gets near three tokens a minute.
"""

import asyncio
import os
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

from deploy.bench.bench_system import BenchSystem
from deploy.bench.http import Pool, octets
from deploy.bench.load_client import Unexpected, browser_headers, passive_path
from deploy.bench.machine import cpu_seconds, pin
from deploy.bench.measure import Rate
from deploy.bench.peer import peer
from deploy.bench.tokens import Tokens
from services.wsfed.domain.session import LOOP_SECONDS
from shared.services import Host

AT_ONCE = 16


@dataclass
class Side:
    """One server under load: `request(n)` is the n-th request."""

    pool: Pool
    pid: int
    request: Callable[[int], bytes]
    most: int
    """How many requests are sent at most."""
    sent: int = 0
    rates: list[float] = field(default_factory=list)
    cpu: float = 0.0
    counted: int = 0
    octets: int = 0
    """Length of the last answer's body in octets."""

    async def round(self, seconds: float) -> None:
        """Ask for `seconds` without a pause. Raises Unexpected unless each answer is a token."""
        until = time.perf_counter() + seconds
        before, cpu, began = self.sent, cpu_seconds([self.pid]), time.perf_counter()

        async def one_after_another() -> None:
            while time.perf_counter() < until:
                if self.sent >= self.most:
                    raise Unexpected(f"{self.most} requests were not enough: more sessions are needed")
                number, self.sent = self.sent, self.sent + 1
                answer = await self.pool.request(self.request(number))
                self.octets = len(answer.body)
                if answer.status != 200 or b"wresult" not in answer.body:
                    raise Unexpected(f"request {number}: {answer.status} {answer.body[:300]!r}")

        await asyncio.gather(*(one_after_another() for _ in range(AT_ONCE)))
        took = time.perf_counter() - began
        self.cpu += cpu_seconds([self.pid]) - cpu
        self.counted += self.sent - before
        self.rates.append((self.sent - before) / took)

    def json(self) -> dict[str, object]:
        """The figures as they go into bench.json."""
        return {
            **Rate(tuple(self.rates), self.counted).json(),
            "per_cpu_second": round(self.counted / max(self.cpu, 0.01), 1),
            "page_octets": self.octets,
        }


async def run(
    on: BenchSystem, others: list[int], var: Path, *, rounds: int, seconds: float
) -> dict[str, object]:
    """Both sides. `others`: processes that must leave the measured core alone (broker, MongoDB)."""
    # 1,500 a second is more than one core can sign; a browser may take LOOP_SECONDS - 1 of them at the very most
    browsers_needed = int(1500 * seconds * (rounds + 1)) // (LOOP_SECONDS - 1)
    await on.seed(max(len(on.copies.people), browsers_needed))
    browsers = await asyncio.to_thread(on.copies.browsers, browsers_needed)
    host = on.site.origins.authority(Host.SIGNIN)
    requests = [
        octets("GET", passive_path(on.site.tenant, upn), browser_headers(host, cookies))
        for upn, cookies in browsers
    ]
    cores = sorted(os.sched_getaffinity(0))
    measured, rest = {cores[-1]}, {cores[0]}
    ours_pid = on.pids("wsfed")[0]
    rest_pids = [os.getpid(), *others, *(pid for pid in on.pids() if pid != ours_pid)]
    async with peer(var / "peer", Tokens().key) as (peer_pid, peer_port):
        ours = Side(
            on.site.wsfed,
            ours_pid,
            lambda n: requests[n % len(requests)],
            len(requests) * (LOOP_SECONDS - 1),
        )
        theirs = Side(Pool(peer_port), peer_pid, lambda n: requests[n % len(requests)], 10**9)
        pin(rest_pids, rest)
        pin([ours_pid, peer_pid], measured)
        try:
            for side in (ours, theirs):
                await side.round(seconds)  # warm: not counted
                side.rates, side.cpu, side.counted = [], 0.0, 0
            for _ in range(rounds):
                await ours.round(seconds)
                await theirs.round(seconds)
        finally:
            pin([*rest_pids, ours_pid], cores)
            await theirs.pool.close()
    left, right = Rate(tuple(ours.rates), ours.counted), Rate(tuple(theirs.rates), theirs.counted)
    return {
        "ratio": round(left.median / right.median, 3),
        "aim": 1.5,
        "browsers": len(browsers),
        "blok365": ours.json(),
        "node_wsfed": theirs.json(),
    }
