"""Samples, and the percentiles and rates that are computed from them."""

import math
import statistics
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass


def percentile(samples: Sequence[float], share: float) -> float:
    """The nearest-rank percentile: the smallest sample that at least `share` of all do not exceed.

    `share` in (0, 1]. Raises ValueError without samples: nothing measured is not zero.
    """
    if not samples or not 0 < share <= 1:
        raise ValueError("a percentile needs samples and a share in (0, 1]")
    return sorted(samples)[math.ceil(share * len(samples)) - 1]


@dataclass(frozen=True, slots=True)
class Latencies:
    """Seconds in, milliseconds out."""

    p50: float
    p99: float
    samples: int

    @classmethod
    def of(cls, seconds: Sequence[float]) -> "Latencies":
        """The percentiles of these samples. Raises ValueError when there are none."""
        return cls(percentile(seconds, 0.5) * 1000, percentile(seconds, 0.99) * 1000, len(seconds))

    def json(self) -> dict[str, float]:
        """The figures as they go into bench.json."""
        return {"p50": round(self.p50, 2), "p99": round(self.p99, 2), "samples": self.samples}


@dataclass(frozen=True, slots=True)
class Rate:
    """One side of a ratio: the rate of each round, one over the other's rounds in time."""

    rounds: tuple[float, ...]
    samples: int
    """Units of work in all rounds."""

    @property
    def median(self) -> float:
        return statistics.median(self.rounds)

    def json(self) -> dict[str, object]:
        """The figures as they go into bench.json."""
        return {
            "per_second": round(self.median, 2),
            "rounds": [round(each, 2) for each in self.rounds],
            "samples": self.samples,
        }


def in_turns(
    sides: Sequence[Callable[[], object]],
    *,
    rounds: int,
    seconds: float,
    clock: Callable[[], float] = time.perf_counter,
) -> list[Rate]:
    """Call each side again and again for `seconds`, then the next (A B A B ...), `rounds` times.

    What disturbs the machine for a while disturbs both sides. One untimed call of each comes first.
    """
    for side in sides:
        side()
    rates: list[list[float]] = [[] for _ in sides]
    counts = [0] * len(sides)
    for _ in range(rounds):
        for index, side in enumerate(sides):
            done = 0
            began = clock()
            while (took := clock() - began) < seconds:
                side()
                done += 1
            rates[index].append(done / took)
            counts[index] += done
    return [Rate(tuple(each), count) for each, count in zip(rates, counts, strict=True)]
