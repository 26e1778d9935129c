"""Services, keys and messages for the bus's conformance suite, and both buses behind one face."""

import asyncio
import hashlib
import json
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field, replace
from datetime import timedelta
from typing import Any, Protocol

import rfc8785

from shared.bus.memory import MemoryBus
from shared.bus.port import Bus, Handlers
from shared.bus.rabbit import RabbitBus, list_dead
from shared.bus.topology import Topology
from shared.clock import Clock, SystemClock
from shared.contracts import contracts
from shared.contracts.admin import TenantConfigured
from shared.contracts.approval import ChallengeAccepted, ChallengeEnded, OpenChallenge, Proof
from shared.contracts.envelope import DOMAIN_SEPARATOR, Packet, PacketSigner, Received
from shared.crypto.keys import TrustedKeys, key_from_seed
from shared.ids import SeededIds
from shared.services import SERVICES
from tests.conformance.support import DEADLINE

CLOCK = SystemClock()
IDS = SeededIds("bus conformance")
KEYS = {service: key_from_seed(hashlib.sha256(service.encode()).digest()) for service in SERVICES}
TRUSTED: TrustedKeys = {service: (key.public_key(),) for service, key in KEYS.items()}
SIGNERS = {service: PacketSigner(service, key, CLOCK, IDS) for service, key in KEYS.items()}

# Quick retries. Nobody consumes ChallengeAccepted; admin consumes no event.
QUICK = Topology(
    readers={
        TenantConfigured.TYPE: frozenset({"wsfed", "approval"}),
        ChallengeEnded.TYPE: frozenset({"wsfed"}),
    },
    delays=(0.05, 0.1, 0.2),
)


def tenant(version: int = 1, name: str = "Contoso") -> Packet:
    """admin's event, for wsfed and approval."""
    message = TenantConfigured(version=version, name=name, applications=(), domains=())
    return SIGNERS["admin"].packet(message, tenant="contoso")


def ended(challenge: str) -> Packet:
    """approval's event, for wsfed."""
    message = ChallengeEnded(challenge=challenge, transaction="t", account="a", outcome="denied")
    return SIGNERS["approval"].packet(message, tenant="contoso")


def accepted() -> Packet:
    """approval's event that nobody consumes in QUICK."""
    proof = Proof(context="{}", authenticator_data="", client_data_json="", signature="")
    message = ChallengeAccepted(challenge="c", transaction="t", account="a", device="d", proof=proof)
    return SIGNERS["approval"].packet(message, tenant="contoso")


def open_challenge() -> Packet:
    """wsfed's command to approval."""
    message = OpenChallenge(
        challenge="c",
        transaction="t",
        account="a",
        method="push",
        context="{}",
        expected_digest="d",
        browser="b",
        browser_known=False,
        lifetime=60,
    )
    return SIGNERS["wsfed"].packet(message, tenant="contoso")


def forged(packet: Packet, *, signer: str, **changes: Any) -> Packet:
    """The packet with other fields in its envelope, signed with `signer`'s key."""
    body = rfc8785.dumps({**json.loads(packet.body), **changes})
    return replace(packet, body=body, signature=KEYS[signer].sign(DOMAIN_SEPARATOR + body))


Behaviour = Callable[[Received[Any]], Awaitable[None]]


async def _nothing(_: Received[Any]) -> None:
    return None


@dataclass
class Inbox:
    """The handlers of one replica: they note what begins and what is done."""

    behaviour: Behaviour = _nothing
    begun: list[Received[Any]] = field(default_factory=list)
    done: list[Received[Any]] = field(default_factory=list)
    _changed: asyncio.Event = field(default_factory=asyncio.Event)

    def handlers(self, service: str, topology: Topology = QUICK) -> Handlers:
        """A table with everything that the service consumes."""
        return {contracts()[t]: self.handle for t in topology.types_of(service)}

    async def handle(self, received: Received[Any]) -> None:
        self.begun.append(received)
        self._changed.set()
        await self.behaviour(received)
        self.done.append(received)
        self._changed.set()

    async def until(self, condition: Callable[[], bool], within: float = DEADLINE) -> None:
        """Wait until it holds; asked whenever a handler begins or ends."""
        async with asyncio.timeout(within):
            while not condition():
                self._changed.clear()
                await self._changed.wait()

    async def until_done(self, count: int, within: float = DEADLINE) -> None:
        """Wait until that many deliveries were handled."""
        await self.until(lambda: len(self.done) >= count, within)

    @property
    def ids(self) -> list[str]:
        return [received.envelope.id for received in self.done]


class World(Protocol):
    """One broker (or none) and the processes on it."""

    topology: Topology
    """Of the next bus to be opened."""

    async def open(self, clock: Clock = CLOCK) -> Bus:
        """The bus of a process."""
        ...

    async def kill(self, bus: Bus) -> None:
        """End the process without a word to anybody."""
        ...

    async def dead(self, service: str) -> list[tuple[str, str]]:
        """Packet id and reason of each dead letter."""
        ...

    async def close(self) -> None: ...


class MemoryWorld:
    """All processes are one; when it is killed, so is everything in it."""

    def __init__(self) -> None:
        self.topology = QUICK
        self._bus: MemoryBus | None = None
        self._dead: list[Any] = []

    async def open(self, clock: Clock = CLOCK) -> Bus:
        if self._bus is None:
            self._bus = MemoryBus(TRUSTED, clock, self.topology)
            self._bus.dead_letters = self._dead
        return self._bus

    async def kill(self, bus: Bus) -> None:
        assert isinstance(bus, MemoryBus)
        deliveries = list(bus._deliveries)
        for task in deliveries:
            task.cancel()
        await asyncio.gather(*deliveries, return_exceptions=True)
        self._bus = None

    async def dead(self, service: str) -> list[tuple[str, str]]:
        return [(letter.packet.id, letter.reason) for letter in self._dead if letter.service == service]

    async def close(self) -> None:
        if self._bus is not None:
            await self._bus.stop()


class RabbitWorld:
    """Each bus has connections of its own to one virtual host."""

    def __init__(self, url: str, topology: Topology = QUICK) -> None:
        self.url = url
        self.topology = topology
        self._open: list[RabbitBus] = []

    async def open(self, clock: Clock = CLOCK) -> RabbitBus:
        bus = await RabbitBus.connect(self.url, trusted=TRUSTED, clock=clock, topology=self.topology)
        self._open.append(bus)
        return bus

    async def kill(self, bus: Bus) -> None:
        assert isinstance(bus, RabbitBus)
        self._open.remove(bus)
        await asyncio.gather(bus._outgoing.link.close(), bus._hints.link.close(), self.kill_consumers(bus))

    async def kill_consumers(self, bus: RabbitBus) -> None:
        """Cut the connections that consume, without a word to the broker about what is in work."""
        dying, bus._subscriptions = bus._subscriptions, []
        await asyncio.gather(*(each.link.close() for each in dying))
        for subscription in dying:
            for task in list(subscription._working):
                task.cancel()

    async def dead(self, service: str) -> list[tuple[str, str]]:
        return [
            (letter.packet.id, letter.reason) for letter in await list_dead(self.url, service, limit=10_000)
        ]

    async def close(self) -> None:
        await asyncio.gather(*(bus.close() for bus in self._open))


@dataclass
class Outbox:
    """Sends a packet again until the bus confirms it, as a relay's sweep does."""

    bus: Bus
    confirmed: set[str] = field(default_factory=set)

    async def send(self, *packets: Packet, within: float = DEADLINE) -> None:
        async with asyncio.timeout(within):
            waiting = list(packets)
            while waiting:
                self.confirmed |= await self.bus.publish(waiting)
                waiting = [packet for packet in waiting if packet.id not in self.confirmed]
                if waiting:
                    await CLOCK.sleep(0.02)


LONG_AGO = timedelta(days=8)
