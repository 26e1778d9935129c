"""What a sign-in asks of MongoDB and RabbitMQ, counted by themselves."""

import re
import time
from dataclasses import dataclass
from typing import Any

from pymongo import MongoClient

from deploy.local.backing import BackingServiceFailed, Broker

READS = ("find", "aggregate", "count", "getMore")
WRITES = ("insert", "update", "findAndModify", "delete")


@dataclass(frozen=True, slots=True)
class Counts:
    """Totals since the servers started."""

    at: float
    reads: int
    writes: int
    commands: dict[str, int]
    published: int | None
    delivered: int | None

    def since(self, before: "Counts", idle_per_second: "dict[str, float] | None" = None) -> dict[str, float]:
        """What was added, without what goes on without any sign-in (heartbeats, sweepers)."""
        seconds = self.at - before.at
        added = {
            "store_reads": float(self.reads - before.reads),
            "store_writes": float(self.writes - before.writes),
        }
        if None not in (self.published, before.published, self.delivered, before.delivered):
            added["messages_published"] = float((self.published or 0) - (before.published or 0))
            added["messages_delivered"] = float((self.delivered or 0) - (before.delivered or 0))
        idle = idle_per_second or {}
        return {name: value - idle.get(name, 0.0) * seconds for name, value in added.items()}

    def rates_since(self, before: "Counts") -> dict[str, float]:
        """The counts since `before`, divided by the seconds between."""
        return {name: value / (self.at - before.at) for name, value in self.since(before).items()}


def counts(client: "MongoClient[dict[str, Any]]", broker: Broker) -> Counts:
    """The counts now. Blocks for a second, because the broker is asked by a program of its own."""
    commands = {
        name: int(each["total"])
        for name, each in client.admin.command("serverStatus")["metrics"]["commands"].items()
        if name in (*READS, *WRITES)
    }
    published, delivered = _broker(broker)
    return Counts(
        time.monotonic(),
        sum(commands.get(name, 0) for name in READS),
        sum(commands.get(name, 0) for name in WRITES),
        commands,
        published,
        delivered,
    )


def _broker(broker: Broker) -> tuple[int | None, int | None]:
    """Messages received from publishers (signals too) and delivered, all protocols; None where it cannot be asked."""
    try:
        text = broker.ctl("eval", "rabbit_global_counters:overview().")
    except BackingServiceFailed:
        return None, None

    def total(name: str) -> int:
        return sum(map(int, re.findall(rf"\b{name} => (\d+)", text)))

    return total("messages_received_total"), total("messages_delivered_total")
