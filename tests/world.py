"""The services in one process without a socket: memory bus, memory databases, a clock that is moved by hand."""

import asyncio
import atexit
import shutil
import tempfile
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from deploy.local.platform import make_keys
from shared.assembly import Platform, Service, Wired
from shared.bus.memory import MemoryBus
from shared.clock import ManualClock
from shared.contracts import Message
from shared.contracts.envelope import MessageSigner, SignedMessage
from shared.contracts.state import pulled_of
from shared.crypto.keys import TrustedKeys, load_service_key, load_trusted_keys
from shared.ids import SeededIds
from shared.replication.subscription import LOOK_EVERY
from shared.services import SERVICES, Services
from shared.settings import Settings
from shared.store.outbox import Relay
from shared.store.port import Database
from shared.testing.counting import CountingDatabase

OWNERS = tuple(row.name for row in SERVICES.values() if row.owns_state)
NEVER = 10**9
"""Seconds: about thirty years."""
START = datetime(2026, 3, 2, 8, 0, tzinfo=UTC)


class LossyBus(MemoryBus):
    """Confirms what `loses` says it shall lose, and delivers it to nobody."""

    def __init__(self, trusted: TrustedKeys, clock: ManualClock) -> None:
        super().__init__(trusted, clock)
        self.loses: Callable[[SignedMessage], bool] = lambda signed: False
        self.sent: list[SignedMessage] = []
        self.silent: frozenset[str] = frozenset()
        """Owners that hear no questions."""

    async def publish(self, messages: Sequence[SignedMessage]) -> frozenset[str]:
        self.sent += messages
        unheard = {f"{owner}.state.pull.v1" for owner in self.silent}
        lost = frozenset(signed.id for signed in messages if signed.type in unheard or self.loses(signed))
        return lost | await super().publish([signed for signed in messages if signed.id not in lost])

    def forget(self, service: str) -> None:
        """Its process is gone."""
        self._replicas.pop(service)


@dataclass
class InMemorySystem:
    """What the services run on, and handles for a test to look behind them."""

    clock: ManualClock
    ids: SeededIds
    bus: "LossyBus"
    platform: Platform
    databases: dict[str, CountingDatabase] = field(default_factory=dict)
    services: dict[str, Service] = field(default_factory=dict)
    kept: dict[str, dict[str, dict[str, Any]]] = field(default_factory=dict)
    """Data for the next database that is opened by that service."""

    async def start(self, *builds: Callable[[Platform], Wired[Any]]) -> None:
        """Wire services and let them consume. Background loops are not started: a test takes their steps itself."""
        for build in builds:
            await self.begin(build(self.platform).service)
        await self.current()

    async def begin(self, service: Service) -> None:
        """Let a service that is wired consume."""
        self.services[service.name] = service
        for step in service.on_start:
            await step()
        await self.bus.consume(service.name, service.handlers)

    async def restart(
        self, build: Callable[[Platform], Wired[Any]], service: str, *, empty: bool = False
    ) -> Service:
        """Kill a service and start it again on its data, or on an empty database."""
        self.bus.forget(service)
        if not empty:
            self.kept[service] = self.databases[service].data
        built = build(self.platform).service
        await self.begin(built)
        return built

    async def current(self) -> None:
        """Let every follower pull all that its owners have. For owners that are not here, the world answers."""
        for _ in OWNERS:
            await self.look()
            await self._answer_for_the_absent()
        await self.settle()

    async def look(self) -> None:
        """What every follower does every two seconds, and all that follows from it."""
        for service in list(self.services.values()):
            if service.subscriptions is not None:
                await service.subscriptions.look()
        await self.settle()

    async def live(self, seconds: float, *, silent: frozenset[str] = frozenset()) -> None:
        """Let time pass as it does for running services. Questions to `silent` owners get lost."""
        self.bus.silent = silent
        while seconds > 0:
            step = min(seconds, LOOK_EVERY)
            self.clock.advance(step)
            seconds -= step
            await self.look()
        self.bus.silent = frozenset()

    async def _answer_for_the_absent(self) -> None:
        for name, service in self.services.items():
            for record in self.documents(name, "subscriptions") if service.subscriptions else ():
                owner, pull = record["_id"], record["recent"] or record["full"]
                if pull is not None and owner not in self.services:
                    nothing = pulled_of(owner)(
                        request=pull["request"],
                        to=name,
                        after=pull["after"],
                        next=None,
                        until="0000000000.0000000001",
                        generation=0,
                        items=(),
                    )
                    await self.say(owner, nothing, tenant="-")
        await self.settle()

    async def settle(self) -> None:
        """Until every message that can be delivered now is."""
        before = -1
        while before != (count := sum(len(d.operations) for d in self.databases.values())):
            before = count
            for service in self.services.values():
                await _settle(service.relay, self.bus)

    def signer(self, service: str) -> MessageSigner:
        """Signs as that service: for taken-over services."""
        key = load_service_key(self.platform.settings.keys / f"{service}.key")
        return MessageSigner(service, key, self.clock, self.ids)

    async def say(self, service: str, message: Message, tenant: str = "contoso") -> None:
        """A message of that service, past its outbox."""
        await self.bus.publish([self.signer(service).sign(message, tenant=tenant)])

    def documents(self, service: str, collection: str) -> list[dict[str, Any]]:
        """All documents of a collection."""
        found = self.databases[service].collection(collection)
        return list(found._documents.values())  # type: ignore[attr-defined]


async def _settle(relay: Relay, bus: MemoryBus) -> None:
    """Let running publishes get as far as they can now, and remove from outboxes what was sent."""
    await asyncio.sleep(0)
    await bus.drain()
    await asyncio.sleep(0)
    await relay.pull()


_KEYS: dict[str, tuple[Path, int]] = {}


def _make_keys_once(settings: Settings, ids: SeededIds, seed: str, table: Services) -> None:
    """Key files as `make_keys` makes them from that seed: made once in a process, and read by each of its worlds."""
    seed = f"{seed}/{'/'.join(table)}"
    if seed not in _KEYS:
        folder = Path(tempfile.mkdtemp(prefix="b365-keys-"))
        atexit.register(shutil.rmtree, folder)
        make_keys(settings.model_copy(update={"keys": folder}), ids, table)
        _KEYS[seed] = folder, ids._counter
    folder, ids._counter = _KEYS[seed]
    settings.keys.symlink_to(folder)


def own_keys(settings: Settings) -> Path:
    """Key files of this system alone, for a test that changes them; others share theirs. Returns the folder."""
    shared = settings.keys.resolve()
    settings.keys.unlink()
    return Path(shutil.copytree(shared, settings.keys))


def make_system(
    folder: Path, seed: str = "world", *, projection_max_age: int = NEVER, table: Services = SERVICES
) -> InMemorySystem:
    """A fresh world with keys of its own. Unless told otherwise, what services know of each other never gets old:
    no test has to send heartbeats because it moved the clock.
    """
    ids, clock = SeededIds(seed), ManualClock(START)
    settings = Settings(keys=folder / "keys", bus_url="memory:", projection_max_age=projection_max_age)
    _make_keys_once(settings, ids, seed, table)
    trusted = load_trusted_keys(settings.keys / "trusted.json")
    assert set(trusted) == set(table)
    bus = LossyBus(trusted, clock)
    databases: dict[str, CountingDatabase] = {}
    kept: dict[str, dict[str, dict[str, Any]]] = {}

    def open_database(service: str, relay: Relay) -> Database:
        databases[service] = CountingDatabase(clock=clock, listener=relay, data=kept.pop(service, None))
        return databases[service]

    platform = Platform(
        clock=clock,
        ids=ids,
        bus=bus,
        trusted=trusted,
        open_database=open_database,
        settings=settings,
        table=table,
    )
    return InMemorySystem(clock, ids, bus, platform, databases, kept=kept)
