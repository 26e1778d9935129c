"""The owner's side: heartbeats, last words, and its state in pages."""

import asyncio
from collections.abc import Sequence
from datetime import UTC, datetime
from typing import Any

import pytest

from shared.bus.port import Reject, Retry
from shared.clock import ManualClock
from shared.contracts.admin import AccountChanged, AccountStatus, AdminResyncState
from shared.contracts.envelope import MAX_PACKET, Packet, PacketSigner, Received, open_packet
from shared.crypto.keys import key_from_seed
from shared.ids import SeededIds
from shared.projection import Row, StateOwner, StateStream
from shared.projection.owner import FIRST_HEARTBEATS
from shared.store.memory import MemoryDatabase
from shared.store.outbox import Relay

START = datetime(2026, 3, 2, 8, 0, tzinfo=UTC)
ADMIN, WSFED = key_from_seed(b"a" * 32), key_from_seed(b"w" * 32)
TRUSTED = {"admin": (ADMIN.public_key(),), "wsfed": (WSFED.public_key(),)}


def account(name: str, display_name: str = "") -> AccountChanged:
    return AccountChanged(
        version=1,
        account=name,
        upn=f"{name}@contoso.example",
        display_name=display_name or name,
        immutable_id=name,
        status=AccountStatus.REMOVED,
    )


def rows(*names: str, text: str = "") -> list[Row]:
    return [Row(name, "contoso", [account(name, text)]) for name in names]


class Office:
    """admin's half of the bus: what it publishes is kept, nobody answers."""

    def __init__(self, *sources: list[Row], confirms: bool = True) -> None:
        self.clock = ManualClock(START)
        self.confirms = confirms
        self.sent: list[Packet] = []
        ids = SeededIds("office")
        self.stream = StateStream(self.clock, ids)
        self.signer = PacketSigner("admin", ADMIN, self.clock, ids, self.stream)
        self.asker = PacketSigner("wsfed", WSFED, self.clock, ids)
        self.relay = Relay(self, self.clock, self.stream)
        self.database = MemoryDatabase(clock=self.clock, listener=self.relay)
        self.owner = StateOwner(
            self.stream,
            [self._source(source) for source in sources],
            database=self.database,
            signer=self.signer,
            bus=self,
            clock=self.clock,
        )

    @staticmethod
    def _source(kept: list[Row]) -> Any:
        async def source(after: str, limit: int) -> Sequence[Row]:
            return [row for row in kept if row.key > after][:limit]

        return source

    async def publish(self, packets: Sequence[Packet]) -> frozenset[str]:
        self.sent += packets
        return frozenset(packet.id for packet in packets) if self.confirms else frozenset()

    def opened(self, packet: Packet) -> Received[Any]:
        return open_packet(packet, trusted=TRUSTED, now=self.clock.now())

    async def ask(self, after: str = "") -> Any:
        """The page that answers."""
        question = AdminResyncState(resync="r", after=after)
        await self.owner.answer(self.opened(self.asker.packet(question, tenant="-")))
        return self.opened(self.sent[-1]).message

    async def everything(self) -> tuple[list[str], int]:
        """Ids in the order they came, and in how many pages."""
        found: list[str] = []
        after, pages = "", 0
        while True:
            page = await self.ask(after)
            assert page.after == after
            found += [item.body["account"] for item in page.items]
            pages += 1
            if page.next is None:
                return found, pages
            after = page.next


async def test_an_empty_owner_answers_with_one_empty_last_page() -> None:
    page = await Office([], []).ask()
    assert (page.items, page.next, page.to, page.resync) == ((), None, "wsfed", "r")


@pytest.mark.parametrize("count", [1, 99, 100, 101, 249, 250, 251, 500, 777])
async def test_every_row_comes_once_and_in_order(count: int) -> None:
    names = [f"{n:05d}" for n in range(count)]
    office = Office(rows(*names[: count // 2]), [], rows(*names[count // 2 :]))
    found, pages = await office.everything()
    assert found == names
    assert pages == -(-count // 250)


async def test_pages_of_large_items_stay_within_a_packet() -> None:
    names = [f"{n:03d}" for n in range(40)]
    office = Office(rows(*names, text="ü€𝄞\n" * 4000))
    found, pages = await office.everything()
    assert found == names
    assert pages > 10
    assert max(len(packet.body) for packet in office.sent) < 200_000 < MAX_PACKET


async def test_a_row_with_several_events_is_never_divided() -> None:
    kept = [Row(f"{n:03d}", "contoso", [account(f"{n}-{m}") for m in range(7)]) for n in range(100)]
    office = Office(kept)
    found, pages = await office.everything()
    assert len(found) == 700
    assert pages == 3
    assert all(len(self_page(office, packet)) % 7 == 0 for packet in office.sent)


def self_page(office: Office, packet: Packet) -> tuple[Any, ...]:
    items: tuple[Any, ...] = office.opened(packet).message.items
    return items


async def test_rows_that_are_added_meanwhile_do_not_disturb() -> None:
    kept = rows(*(f"{n:05d}" for n in range(0, 1000, 2)))
    office = Office(kept)
    first = await office.ask()
    kept[:] = sorted([*kept, *rows("00001", "00999", "zzz")], key=lambda row: row.key)
    second = await office.ask(first.next)
    found = [item.body["account"] for page in (first, second) for item in page.items]
    assert len(found) == len(set(found))
    assert found == sorted(found)


@pytest.mark.parametrize("after", ["x", "0", "2/a", "-1/a", "²/a", "/a", "99999999999/a"])
async def test_a_place_that_does_not_exist_is_refused(after: str) -> None:
    with pytest.raises(Reject):
        await Office([], rows("a")).ask(after)


async def test_a_page_that_is_not_confirmed_is_tried_again() -> None:
    office = Office(rows("a"), confirms=False)
    with pytest.raises(Retry):
        await office.ask()


async def test_heartbeats_say_how_far_the_stream_is() -> None:
    office = Office()
    first, second = (office.signer.packet(account(name), tenant="contoso") for name in "ab")
    office.stream.written([first])
    office.stream.dropped([second])
    assert await office.owner.beat()
    said = office.opened(office.sent[-1]).message
    assert (said.stream, said.number, said.voided, said.closing) == (office.stream.id, 2, (2,), False)
    assert office.opened(first).envelope.number == 1
    assert office.opened(first).envelope.stream == office.stream.id


async def test_heartbeats_and_unnumbered_events_take_no_number() -> None:
    office = Office()
    await office.owner.beat()
    packet = office.signer.packet(account("a"), tenant="contoso", numbered=False)
    assert office.opened(packet).envelope.number is None
    assert office.stream.advance().number == 0


async def test_a_write_is_decided_by_the_store_itself() -> None:
    office = Office()
    things = office.database.collection("things", outbox=True)
    for name in "ab":
        await things.insert({"_id": "same"}, outbox=[office.signer.packet(account(name), tenant="contoso")])
    assert office.stream.advance() == type(office.stream.advance())(2, (2,))


async def test_last_words_wait_in_an_outbox_when_the_bus_is_gone() -> None:
    office = Office(confirms=False)
    await office.owner.beat()
    office.signer.packet(account("a"), tenant="contoso")
    await office.owner.close()
    await office.relay.published()
    (document,) = office.database.data["streams"].values()
    (entry,) = document["outbox"]
    said = office.opened(Packet(entry["id"], entry["type"], entry["body"], entry["sig"])).message
    assert (said.number, said.closing) == (1, True)


async def test_a_program_that_said_nothing_has_no_last_words() -> None:
    office = Office()
    await office.owner.close()
    assert office.database.data["streams"] == {}


async def test_a_process_that_starts_speaks_often_at_first() -> None:
    office = Office()
    task = asyncio.create_task(office.owner.run())
    for _ in range(8):
        for _ in range(5):
            await asyncio.sleep(0)
        office.clock.advance(0.25)
    assert len(office.sent) == FIRST_HEARTBEATS
    for _ in range(3):
        for _ in range(5):
            await asyncio.sleep(0)
        office.clock.advance(10)
    assert len(office.sent) == FIRST_HEARTBEATS + 3
    task.cancel()
