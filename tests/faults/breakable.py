"""Systems whose every process reaches mongod by a proxy of its own, and the writes where they may be stopped."""

from collections.abc import AsyncIterator, Callable
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path

from pymongo.uri_parser import parse_uri

from deploy.local.cluster import Replica
from shared.services import SERVICES
from tests.faults.proxy import Command, Moment, Proxy, Trap
from tests.faults.support import FaultSystem, fault_system


@dataclass(frozen=True)
class Write:
    """One write of one service: the match of a trap. `step`: its number in docs/flows."""

    service: str
    step: str
    collection: str
    operation: str
    also: Callable[[Command], bool] = field(default=lambda _: True)

    def __call__(self, command: Command) -> bool:
        wanted = (self.operation, self.collection)
        return (command.name, command.collection) == wanted and self.also(command)

    def __str__(self) -> str:
        return f"{self.service}-{self.step}"


def _sets(field_name: str, value: str) -> Callable[[Command], bool]:
    return lambda command: command.sets.get(field_name) == value


def _challenge(state: str) -> Callable[[Command], bool]:
    """A step of an account that puts a challenge into that state."""

    def matches(command: Command) -> bool:
        entries = [v for k, v in command.sets.items() if k.startswith("challenges.") and k.count(".") == 1]
        return any(entry.get("state") == state for entry in entries)

    return matches


WAITING = Write("wsfed", "3-waiting", "transactions", "findAndModify", _sets("state", "waiting"))
OPEN = Write("approval", "4-open", "accounts", "findAndModify", _challenge("open"))
ACCEPTED = Write("approval", "6-accepted", "accounts", "findAndModify", _challenge("accepted"))
PROVED = Write("wsfed", "8-proved", "transactions", "findAndModify", _sets("state", "proved"))
ISSUED = Write("wsfed", "10-issued", "transactions", "findAndModify", _sets("state", "issued"))
RECORD = Write("wsfed", "10-record", "issuances", "insert")
SIGN_IN = [
    WAITING,
    Write("wsfed", "3-outbox", "transactions", "update"),
    OPEN,
    Write("approval", "5-session", "sessions", "insert"),
    ACCEPTED,
    Write("approval", "6-outbox", "accounts", "update"),
    PROVED,
    ISSUED,
    RECORD,
    Write("wsfed", "10-session", "sessions", "insert"),
]
DEVICE = Write("approval", "5-device", "accounts", "findAndModify", lambda c: "credentials" in c.sets)
ENROLMENT = [
    Write("approval", "3-ceremony", "ceremonies", "insert"),
    DEVICE,
    Write("wsfed", "6-device", "devices", "findAndModify", lambda c: "public_key" in c.sets),
    Write("admin", "7-used", "invitations", "findAndModify", _sets("status", "used")),
    Write("admin", "7-decided", "authenticators", "insert"),
    Write("wsfed", "7-decision", "authenticators", "findAndModify", _sets("status", "trusted")),
    Write("admin", "8-active", "accounts", "findAndModify", _sets("status", "active")),
]


@dataclass
class Breakable:
    """A running system, and each replica's way to mongod."""

    fault_system: FaultSystem
    proxies: dict[tuple[str, int], Proxy]

    def arm(self, write: Write, moment: Moment, *, hold: bool = False, times: int = 1) -> Trap:
        """For every replica of the service: the first to come there is caught."""
        trap = Trap(write, moment, hold=hold, times=times)
        for (service, _), proxy in self.proxies.items():
            if service == write.service:
                proxy.traps.append(trap)
        return trap

    def disarm(self) -> None:
        for proxy in self.proxies.values():
            proxy.traps.clear()

    async def kill(self, trap: Trap) -> Replica:
        """Wait until one is held in the trap, and kill it there."""
        caught = await trap.reached()
        ((service, index),) = [at for at, proxy in self.proxies.items() if proxy is caught]
        replica = self.fault_system.replica(service, index)
        await replica.kill()
        trap.release()
        return replica

    async def kill_and_go_on(self, trap: Trap) -> None:
        """With another replica it goes on by itself; without one the supervisor starts it again."""
        killed = await self.kill(trap)
        if len(self.fault_system.cluster.replicas[killed.service]) == 1:
            await killed.start()


@asynccontextmanager
async def breakable(folder: Path, mongo_url: str, bus_url: str, replicas: int) -> AsyncIterator[Breakable]:
    """`replicas` of each service that has more than one in the cluster, one of the others.

    admin has one always: tests stop it to see what its absence does.
    """
    (_, port), *_ = parse_uri(mongo_url)["nodelist"]
    numbers = {
        row.name: replicas if row.replicas > 1 and row.name != "admin" else 1 for row in SERVICES.values()
    }
    async with AsyncExitStack() as stack:
        proxies = {
            (service, index): await stack.enter_async_context(Proxy(int(port or 27017)))
            for service, number in numbers.items()
            for index in range(number)
        }
        started = await stack.enter_async_context(
            fault_system(
                folder,
                mongo_url=mongo_url,
                bus_url=bus_url,
                replicas=numbers,
                of_replica=lambda service, index: {"BLOK365_MONGO_URL": proxies[service, index].url},
            )
        )
        yield Breakable(started, proxies)
