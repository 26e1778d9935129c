"""The owner's side: which page answers which question (docs/flows/replication.md, steps 2 to 5)."""

import asyncio
import json
from typing import Any

import pytest

from shared.bus.port import Reject
from shared.bus.rabbit.queue_consumer import PREFETCH
from shared.clock import ManualClock
from shared.contracts.admin import AccountChanged, TenantConfigured
from shared.contracts.approval import DeviceChanged
from shared.contracts.envelope import MAX_MESSAGE, SignedMessage
from shared.replication import Source, StatePublisher
from shared.replication.publisher import (
    MAX_PAGE_ITEMS,
    MAX_PAGE_OCTETS,
    MAX_PAGE_ROWS,
    position_of,
    text_of,
)
from shared.store.memory import MemoryDatabase
from tests.shared.replication_support import Owner, Post, account, row_of, tenant
from tests.world import START


@pytest.fixture
def admin() -> Owner:
    """Tenants, then accounts."""
    return Owner("admin", [[TenantConfigured], [AccountChanged]], ManualClock(START))


async def accounts(admin: Owner, count: int, **changes: Any) -> None:
    for n in range(count):
        await admin.say(f"a{n:04d}", account(f"a{n:04d}", **changes), source=1)


def said(*pages: object) -> list[str]:
    """Which accounts stand on the pages, in their order."""
    return [item.body["account"] for page in pages for item in page.items]  # type: ignore[attr-defined]


# --- limits ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("recent", [False, True])
@pytest.mark.parametrize("count", [0, 1, 249, 250, 251, 500, 501])
async def test_a_page_has_at_most_250_items_and_none_is_missing_or_doubled(
    admin: Owner, count: int, recent: bool
) -> None:
    since = text_of((await admin.database.fence()).position) if recent else ""
    await accounts(admin, count)
    pages = await admin.pages(since=since)
    assert said(*pages) == [f"a{n:04d}" for n in range(count)]
    assert [len(page.items) for page in pages[:-1]] == [MAX_PAGE_ITEMS] * (len(pages) - 1)
    assert len(pages) == max(1, -(-count // MAX_PAGE_ITEMS))


async def test_a_page_has_at_most_160000_octets_and_its_message_fits(admin: Owner) -> None:
    await accounts(admin, 90, display_name="é" * 2_500)
    pages = await admin.pages()
    assert said(*pages) == [f"a{n:04d}" for n in range(90)]
    for page in pages:
        items = [item.model_dump(mode="json") for item in page.items]
        assert len(json.dumps(items, ensure_ascii=False).encode()) <= MAX_PAGE_OCTETS + 2 * len(items)
    assert len(pages) == 3
    await admin.publisher.answer(admin.ask())
    (signed,) = admin.post.taken()
    assert len(signed.body) < MAX_MESSAGE


async def test_a_row_that_is_larger_than_a_page_goes_alone(admin: Owner) -> None:
    await admin.say("a", account("a"), source=1)
    await admin.say("b", account("b", display_name="x" * (MAX_PAGE_OCTETS + 1)), source=1)
    await admin.say("c", account("c"), source=1)
    assert [said(page) for page in await admin.pages()] == [["a"], ["b"], ["c"]]


async def test_the_events_of_one_row_stay_on_one_page(admin: Owner) -> None:
    for name in "ab":
        await admin.say(name, *(account(f"{name}{n:03d}") for n in range(200)), source=1)
    assert [len(page.items) for page in await admin.pages()] == [200, 200]


@pytest.mark.long
async def test_rows_that_say_nothing_do_not_hold_up_a_page_for_ever(admin: Owner) -> None:
    """A hundred thousand accounts without a phone have no event for those who follow phones: the answer must come
    within its handler's time all the same, and lead on.
    """
    await admin.things[1].insert_many(
        [{"_id": f"a{n:05d}", "tenant": "contoso", "says": []} for n in range(2 * MAX_PAGE_ROWS + 10)]
    )
    await admin.say("z", account("z"), source=1)
    pages = await admin.pages()
    assert said(*pages) == ["z"]
    assert len(pages) == 3
    assert len({page.next for page in pages}) == 3
    assert {page.until for page in pages} == {pages[0].until}


async def test_sources_come_in_their_order_and_share_a_page(admin: Owner) -> None:
    await admin.say("a", account("a"), source=1)
    await admin.say("contoso", tenant())
    (page,) = await admin.pages()
    assert [item.type for item in page.items] == [TenantConfigured.TYPE, AccountChanged.TYPE]
    (page,) = await admin.pages(since="0000000000.0000000001")
    assert [item.type for item in page.items] == [TenantConfigured.TYPE, AccountChanged.TYPE]


# --- what changes meanwhile --------------------------------------------------------------------------------------


async def test_what_changes_while_a_recent_pull_is_paged_is_left_to_the_next_one(admin: Owner) -> None:
    await accounts(admin, 300)
    since = "0000000000.0000000001"
    first = await admin.page(since=since)
    # One that was on the first page, one that would be on the second, and a new one.
    for name in ("a0000", "a0299", "new"):
        await admin.say(name, account(name, 2), source=1)
    second = await admin.page(since=since, after=first.next, until=first.until)
    assert second.next is None
    assert said(first, second) == [f"a{n:04d}" for n in range(299)]
    after = await admin.pages(since=first.until)
    assert said(*after) == ["a0000", "a0299", "new"]
    assert position_of(after[0].until) > position_of(first.until)


async def test_what_changes_while_a_full_pull_is_paged_comes_with_it_or_after_it(admin: Owner) -> None:
    await accounts(admin, 300)
    first = await admin.page()
    for name in ("a0000", "a0299"):
        await admin.say(name, account(name, 2), source=1)
    second = await admin.page(after=first.next, until=first.until)
    assert said(first, second) == [f"a{n:04d}" for n in range(300)]
    assert second.items[-1].body["version"] == 2
    assert said(*await admin.pages(since=first.until)) == ["a0000", "a0299"]


async def test_the_same_question_gets_the_same_page(admin: Owner) -> None:
    await accounts(admin, 300)
    first = await admin.page(since="0000000000.0000000001")
    assert first.next is not None
    twice = [
        await admin.page(since="0000000000.0000000001", after=first.next, until=first.until) for _ in range(2)
    ]
    assert twice[0] == twice[1]


async def test_rows_from_before_positions_stand_in_full_pulls_only(admin: Owner) -> None:
    await admin.things[1].insert(
        {"_id": "old", "tenant": "contoso", "says": [[AccountChanged.TYPE, account("old").model_dump()]]}
    )
    assert said(*await admin.pages()) == ["old"]
    assert said(*await admin.pages(since="0000000000.0000000001")) == []


# --- who is told what --------------------------------------------------------------------------------------------


async def test_nobody_is_told_types_that_it_is_no_reader_of(monkeypatch: pytest.MonkeyPatch) -> None:
    """A service that was taken over and asks gets nothing that its contracts do not give it anyway."""
    admin = Owner("admin", [[TenantConfigured, AccountChanged]], ManualClock(START))
    await admin.say("a", tenant(), account("a"))
    monkeypatch.setattr(AccountChanged, "READERS", frozenset({"wsfed"}))
    (page,) = await admin.pages("approval")
    assert [item.type for item in page.items] == [TenantConfigured.TYPE]
    (page,) = await admin.pages("wsfed")
    assert [item.type for item in page.items] == [TenantConfigured.TYPE, AccountChanged.TYPE]
    monkeypatch.setattr(TenantConfigured, "READERS", frozenset({"wsfed"}))
    (page,) = await admin.pages("approval", since="0000000000.0000000001")
    assert page.items == ()
    assert page.to == "approval"


def test_a_source_of_another_owners_events_is_refused_at_the_start() -> None:
    clock = ManualClock(START)
    with pytest.raises(ValueError, match=r"approval\.device\.changed\.v1 is not state of admin"):
        Owner("admin", [[TenantConfigured], [DeviceChanged]], clock)


@pytest.mark.parametrize(
    "fields",
    [
        {"after": "nonsense"},
        {"after": "0/b"},
        {"after": "0//b"},  # without `until`
        {"after": "2//", "until": "0000000009.0000000001"},
        {"after": "-1//", "until": "0000000009.0000000001"},
        {"after": "x//b", "until": "0000000009.0000000001"},
        {"after": "0/1.x/b", "until": "0000000009.0000000001"},
        {"after": "0/-1.-1/b", "until": "0000000009.0000000001", "since": "0000000001.0000000001"},
        {"after": "0/99999999999.1/b", "until": "0000000009.0000000001", "since": "0000000001.0000000001"},
        {"after": "0//b", "until": "0000000009.0000000001", "since": "0000000001.0000000001"},
        {"after": "0/0000000002.0000000001/b", "until": "0000000009.0000000001"},
        {"since": "9999999999.0000000001"},
        {"since": "0000000001.9999999999"},
        {"until": "9999999999.9999999999"},
    ],
    ids=str,
)
async def test_a_question_that_no_page_of_ours_leads_to_is_refused(
    admin: Owner, fields: dict[str, str]
) -> None:
    with pytest.raises(Reject):
        await admin.publisher.answer(admin.ask(**fields))
    assert admin.post.sent == []


# --- one at a time -----------------------------------------------------------------------------------------------


class SlowPost(Post):
    """Sending takes until the test says so."""

    def __init__(self) -> None:
        super().__init__()
        self.go_on = asyncio.Event()
        self.sending: list[str] = []

    async def publish(self, messages: object) -> frozenset[str]:
        assert isinstance(messages, list)
        self.sending += [signed.to for signed in messages]
        await self.go_on.wait()
        return await super().publish(messages)


async def test_one_question_at_a_time_for_each_asker() -> None:
    """Whoever asks a thousand times at once waits for its own questions, and keeps nobody else waiting."""
    clock, post = ManualClock(START), SlowPost()
    admin = Owner("admin", [[TenantConfigured], [AccountChanged]], clock)
    publisher = StatePublisher(
        [Source(admin.things[1], [AccountChanged], row_of)],
        database=admin.database,
        signer=admin.signer,
        bus=post,
    )
    tasks = [asyncio.create_task(publisher.answer(admin.ask("wsfed"))) for _ in range(20)]
    tasks.append(asyncio.create_task(publisher.answer(admin.ask("approval"))))
    for _ in range(20):
        await asyncio.sleep(0)
    assert sorted(post.sending) == ["approval", "wsfed"]
    post.go_on.set()
    await asyncio.gather(*tasks)
    assert len(post.sent) == 21


async def test_a_flood_of_questions_leaves_the_owner_s_consumer_room_for_others() -> None:
    """A process handles so many messages at once. If one asker's waiting questions were all of them, nobody else's
    would be read, and after 300 seconds nobody would sign in.
    """
    clock, post = ManualClock(START), SlowPost()
    admin = Owner("admin", [[TenantConfigured], [AccountChanged]], clock)
    admin.publisher._bus = post
    tasks = [asyncio.create_task(admin.publisher.answer(admin.ask("approval"))) for _ in range(1000)]
    for _ in range(20):
        await asyncio.sleep(0)
    assert sum(not task.done() for task in tasks) <= PREFETCH / 3
    post.go_on.set()
    await asyncio.gather(*tasks)
    before = len(post.sent)
    await admin.publisher.answer(admin.ask("approval"))
    assert len(post.sent) == before + 1  # what was dropped keeps no place


async def test_a_refused_question_ends_its_asker_s_turn(admin: Owner) -> None:
    with pytest.raises(Reject):
        await admin.publisher.answer(admin.ask(after="nonsense"))
    assert (await admin.page()).next is None


# --- generation --------------------------------------------------------------------------------------------------


async def test_the_generation_is_in_pages_items_and_events_as_soon_as_it_is_raised(admin: Owner) -> None:
    await admin.say("a", account("a"), source=1)
    assert (await admin.page()).generation == 0
    await admin.database.raise_generation(5)
    page = await admin.page()
    assert page.generation == 5
    assert page.items[0].body["generation"] == 5
    (signed,) = await admin.say("b", account("b"), source=1)
    assert body(signed)["generation"] == 5
    await admin.database.raise_generation(6)
    following = await admin.page(after="1//a", until=page.until)
    assert following.generation == 6  # also in the middle of a pull
    assert [item.body["generation"] for item in following.items] == [6]


def body(signed: SignedMessage) -> dict[str, object]:
    found: dict[str, object] = json.loads(signed.body)["body"]
    return found


async def test_a_process_that_starts_reads_the_generation_before_it_says_anything() -> None:
    clock = ManualClock(START)
    database = MemoryDatabase(clock=clock)
    await database.raise_generation(3)
    admin = Owner("admin", [[AccountChanged]], clock, database)
    await admin.publisher.load_generation()
    (signed,) = await admin.say("a", account("a"))
    assert body(signed)["generation"] == 3


def test_positions_as_text_come_back_and_sort_as_they_are() -> None:
    positions = [(0, 0), (0, 1), (1, 0), (2**32 - 1, 0), (2**32 - 1, 2**32 - 1)]
    assert [position_of(text_of(each)) for each in positions] == positions
    assert sorted(map(text_of, positions)) == [text_of(each) for each in positions]
    for text in ("", "5", "5.", ".5", "a.b", "-1.0", "4294967296.0", "0.4294967296"):
        with pytest.raises(ValueError):
            position_of(text)
