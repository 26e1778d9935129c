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
from shared.contracts.envelope import DOMAIN_SEPARATOR, MessageSigner, SignedMessage, VerifiedMessage
from shared.crypto.keys import TrustedKeys, key_from_seed
from shared.ids import SeededIds
from shared.services import SERVICES
from tests.conformance.support import DEADLINE

CLOCK = SystemClock()
IDS = SeededIds("bus conformance")
KEYS = {service: key_from_seed(hashlib.sha256(service.encode()).digest()) for service in SERVICES}
TRUSTED: TrustedKeys = {service: (key.public_key(),) for service, key in KEYS.items()}
SIGNERS = {service: MessageSigner(service, key, CLOCK, IDS) for service, key in KEYS.items()}

# Quick retries. Nobody consumes ChallengeAccepted; admin consumes no event.
QUICK = Topology(
    readers={
        TenantConfigured.TYPE: frozenset({"wsfed", "approval"}),
        ChallengeEnded.TYPE: frozenset({"wsfed"}),
    },
    delays=(0.05, 0.1, 0.2),
)


def tenant(version: int = 1, name: str = "Contoso") -> SignedMessage:
    """admin's event, for wsfed and approval."""
    message = TenantConfigured(version=version, name=name, applications=(), domains=())
    return SIGNERS["admin"].sign(message, tenant="contoso")


def ended(challenge: str) -> SignedMessage:
    """approval's event, for wsfed."""
    message = ChallengeEnded(challenge=challenge, transaction="t", account="a", outcome="denied")
    return SIGNERS["approval"].sign(message, tenant="contoso")


def accepted() -> SignedMessage:
    """approval's event that nobody consumes in QUICK."""
    proof = Proof(context="{}", authenticator_data="", client_data_json="", signature="")
    message = ChallengeAccepted(challenge="c", transaction="t", account="a", device="d", proof=proof)
    return SIGNERS["approval"].sign(message, tenant="contoso")


def open_challenge() -> SignedMessage:
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
    return SIGNERS["wsfed"].sign(message, tenant="contoso")


def forged(signed: SignedMessage, *, signer: str, **changes: Any) -> SignedMessage:
    """The message with other fields in its envelope, signed with `signer`'s key."""
    body = rfc8785.dumps({**json.loads(signed.body), **changes})
    return replace(signed, body=body, signature=KEYS[signer].sign(DOMAIN_SEPARATOR + body))


Behaviour = Callable[[VerifiedMessage[Any]], Awaitable[None]]


async def _nothing(_: VerifiedMessage[Any]) -> None:
    return None


@dataclass
class Inbox:
    """The handlers of one replica: they note what begins and what is done."""

    behaviour: Behaviour = _nothing
    begun: list[VerifiedMessage[Any]] = field(default_factory=list)
    done: list[VerifiedMessage[Any]] = field(default_factory=list)
    _changed: asyncio.Event = field(default_factory=asyncio.Event)

    def handlers(self, service: str, topology: Topology = QUICK) -> Handlers:
        """A table with everything that the service consumes."""
        return {contracts()[t]: self.handle for t in topology.types_of(service)}

    async def handle(self, received: VerifiedMessage[Any]) -> None:
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
        """SignedMessage id and reason of each dead letter."""
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
        return [(letter.message.id, letter.reason) for letter in self._dead if letter.service == service]

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
        await asyncio.gather(
            bus._publisher.connection.close(), bus._signals.connection.close(), self.kill_consumers(bus)
        )

    async def kill_consumers(self, bus: RabbitBus) -> None:
        """Cut the connections that consume, without a word to the broker about what is in work."""
        dying, bus._consumers = bus._consumers, []
        await asyncio.gather(*(each.connection.close() for each in dying))
        for consumer in dying:
            for task in list(consumer._working):
                task.cancel()

    async def dead(self, service: str) -> list[tuple[str, str]]:
        return [
            (letter.message.id, letter.reason) for letter in await list_dead(self.url, service, limit=10_000)
        ]

    async def close(self) -> None:
        await asyncio.gather(*(bus.close() for bus in self._open))


@dataclass
class Outbox:
    """Sends a message again until the bus confirms it, as a relay's sweep does."""

    bus: Bus
    confirmed: set[str] = field(default_factory=set)

    async def send(self, *messages: SignedMessage, within: float = DEADLINE) -> None:
        async with asyncio.timeout(within):
            waiting = list(messages)
            while waiting:
                self.confirmed |= await self.bus.publish(waiting)
                waiting = [signed for signed in waiting if signed.id not in self.confirmed]
                if waiting:
                    await CLOCK.sleep(0.02)


LONG_AGO = timedelta(days=8)
