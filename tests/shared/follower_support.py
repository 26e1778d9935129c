"""wsfed's followers of admin and approval on a memory bus, and owners that say what a test wants."""

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any

from shared.bus.memory import MemoryBus
from shared.bus.port import Handlers
from shared.clock import ManualClock
from shared.contracts import Message
from shared.contracts.admin import (
    AccountChanged,
    AccountStatus,
    AdminResyncState,
    AdminStatePaged,
    AdminStreamAdvanced,
)
from shared.contracts.envelope import Packet, PacketSigner, Received
from shared.contracts.state import StateItem
from shared.crypto.keys import key_from_seed
from shared.ids import SeededIds
from shared.projection import Follower, StateStream
from shared.store.memory import MemoryDatabase
from shared.store.outbox import Relay

START = datetime(2026, 3, 2, 8, 0, tzinfo=UTC)
KEYS = {name: key_from_seed(bytes([n]) * 32) for n, name in enumerate(("admin", "approval", "wsfed"), 1)}


def account(name: str, version: int = 1) -> AccountChanged:
    return AccountChanged(
        version=version,
        account=name,
        upn=f"{name}@contoso.example",
        display_name=name,
        immutable_id=name,
        status=AccountStatus.ACTIVE,
    )


def item(message: Message, tenant: str = "contoso") -> StateItem:
    return StateItem(type=message.TYPE, tenant=tenant, body=message.model_dump(mode="json"))


@dataclass
class Replica:
    """A process of wsfed."""

    follower: Follower
    relay: Relay
    database: MemoryDatabase


@dataclass
class Stage:
    """admin played by the test; one or more replicas of wsfed on one database."""

    clock: ManualClock = field(default_factory=lambda: ManualClock(START))
    ids: SeededIds = field(default_factory=lambda: SeededIds("stage"))
    seen: list[tuple[str, str, int]] = field(default_factory=list)
    fails: dict[str, Exception] = field(default_factory=dict)
    asked: list[tuple[AdminResyncState, str]] = field(default_factory=list)
    replicas: list[Replica] = field(default_factory=list)
    data: dict[str, dict[str, Any]] = field(default_factory=dict)

    def __post_init__(self) -> None:
        trusted = {name: (key.public_key(),) for name, key in KEYS.items()}
        self.bus = MemoryBus(trusted, self.clock)

    async def replica(self, owners: Sequence[str] = ("admin",), *, consumes: bool = True) -> Replica:
        relay = Relay(self.bus, self.clock)
        database = MemoryDatabase(clock=self.clock, listener=relay, data=self.data)
        follower = Follower(
            owners,
            database=database,
            signer=PacketSigner("wsfed", KEYS["wsfed"], self.clock, self.ids),
            clock=self.clock,
            ids=self.ids,
            max_age=timedelta(seconds=300),
        )
        table: Handlers = follower.tracked({AccountChanged: self._keep})
        if consumes:
            await self.bus.consume("wsfed", table)
            self.replicas.append(Replica(follower, relay, database))
        return Replica(follower, relay, database)

    async def _keep(self, received: Received[AccountChanged]) -> None:
        await asyncio.sleep(0)
        message = received.message
        if fault := self.fails.get(message.account):
            raise fault
        self.seen.append((received.tenant, message.account, message.version))

    async def listen(self) -> None:
        """admin takes questions, and leaves the answering to the test."""

        async def note(received: Received[AdminResyncState]) -> None:
            self.asked.append((received.message, received.envelope.sender))

        await self.bus.consume("admin", {AdminResyncState: note})

    def process(self) -> "Process":
        return Process(self, StateStream(self.clock, self.ids))

    async def publish(self, *packets: Packet) -> None:
        for packet in packets:
            task = asyncio.create_task(self.bus.publish([packet]))
            for _ in range(3):
                await asyncio.sleep(0)
            await self.bus.drain()
            task.cancel()
        await self.settle()

    async def settle(self) -> None:
        for replica in self.replicas:
            await replica.relay.settle(self.bus.drain)
        await self.bus.drain()

    async def page(
        self, *items: StateItem, after: str = "", further: str | None = None, **other: Any
    ) -> None:
        """The answer to the last question."""
        fields = {
            "resync": self.asked[-1][0].resync,
            "to": "wsfed",
            "after": after,
            "next": further,
            "items": items,
        }
        await self.publish(self.process().sign(AdminStatePaged(**{**fields, **other}), tenant="-"))

    async def look(self) -> None:
        for replica in self.replicas:
            await replica.follower.look()
        await self.settle()

    async def live(self, seconds: float, *speakers: "Process") -> None:
        while seconds > 0:
            self.clock.advance(min(seconds, 10))
            seconds -= 10
            for speaker in speakers:
                await speaker.beat()
            await self.look()

    def record(self, process: "Process") -> dict[str, Any]:
        document: dict[str, Any] = self.data["follows"][f"admin/{process.stream.id}"]
        return document

    def follower(self) -> Follower:
        return self.replicas[0].follower


@dataclass
class Process:
    """A process of admin."""

    stage: Stage
    stream: StateStream

    def sign(self, message: Message, tenant: str = "contoso") -> Packet:
        signer = PacketSigner("admin", KEYS["admin"], self.stage.clock, self.stage.ids, self.stream)
        return signer.packet(message, tenant=tenant)

    def write(self, *names: str) -> list[Packet]:
        """Events, durable and not yet sent."""
        packets = [self.sign(account(name)) for name in names]
        self.stream.written(packets)
        return packets

    def heartbeat(self, *, closing: bool = False) -> Packet:
        advance = self.stream.end() if closing else self.stream.advance()
        said = AdminStreamAdvanced(
            stream=self.stream.id, number=advance.number, voided=advance.voided, closing=closing
        )
        return self.sign(said, tenant="-")

    async def beat(self) -> None:
        await self.stage.publish(self.heartbeat())
