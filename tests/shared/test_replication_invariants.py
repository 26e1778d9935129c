"""What always holds of replication, whatever happens in which order (docs/flows/replication.md, "What always holds").

Hypothesis makes up histories of writes, lost and doubled events, lost questions and pages, clocks that are set, and
writes that become visible late; the follower must end as the owner is.
"""

import asyncio
from collections import Counter
from collections.abc import Coroutine
from dataclasses import dataclass, field
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from structlog.testing import capture_logs

from shared.contracts.admin import AccountStatus
from shared.contracts.envelope import Origin, SignedMessage
from shared.replication.projection import LAPSED
from shared.store.port import Document
from tests.shared.replication_support import Replica, Stage, account

pytestmark = pytest.mark.long

NAMES = ("ada", "bob", "cleo")
STATUSES = tuple(AccountStatus)


@dataclass(frozen=True)
class Write:
    """A new version of an account. Its event is delivered, `lost`, or delivered later, perhaps twice."""

    name: str
    status: AccountStatus
    event: str


@dataclass(frozen=True)
class Late:
    """A write that has its position now, before a fence, and is visible to a majority after that pull's pages."""

    name: str
    status: AccountStatus


@dataclass(frozen=True)
class Pass:
    """Time goes by; questions or pages may get lost."""

    seconds: int
    loses: str


@dataclass(frozen=True)
class Deliver:
    """The events that were held back arrive, in whatever order, each `times` times."""

    reverse: bool
    times: int


@dataclass(frozen=True)
class Set:
    """Everybody's clock is set."""

    seconds: int


@dataclass(frozen=True)
class Resync:
    pass


names, statuses = st.sampled_from(NAMES), st.sampled_from(STATUSES)
writes = st.builds(Write, names, statuses, st.sampled_from(["here", "lost", "held"]))
STEPS = st.one_of(
    writes,
    writes,
    st.builds(Late, names, statuses),
    st.builds(Pass, st.integers(1, 40), st.sampled_from(["nothing", "nothing", "pull", "pulled"])),
    st.builds(Deliver, st.booleans(), st.integers(1, 2)),
    st.builds(Set, st.sampled_from([-300, 300])),
    st.builds(Resync),
)


@dataclass
class History:
    """Plays the steps."""

    stage: Stage
    held: list[SignedMessage] = field(default_factory=list)
    hidden: dict[str, Document] = field(default_factory=dict)
    versions: Counter[str] = field(default_factory=Counter)

    async def write(self, name: str, status: AccountStatus) -> SignedMessage:
        self.show()
        self.versions[name] += 1
        event = account(name, self.versions[name], status=status)
        (signed,) = await self.stage.admin.say(name, event, source=1)
        return signed

    def show(self) -> None:
        """What was hidden becomes visible, unless a later write of the same row is."""
        for name, document in self.hidden.items():
            self.stage.admin.data["things1"][name] = document
        self.hidden.clear()

    async def play(self, step: object) -> None:
        if isinstance(step, Write):
            signed = await self.write(step.name, step.status)
            if step.event == "here":
                await self.stage.take(signed)
            elif step.event == "held":
                self.held.append(signed)
        elif isinstance(step, Late):
            rows = self.stage.admin.data["things1"]
            before = dict(rows[step.name]) if step.name in rows else None
            await self.write(step.name, step.status)
            await self.stage.admin.database.fence()
            self.hidden[step.name] = rows.pop(step.name)
            if before is not None:
                rows[step.name] = before
            recent = False

            def appear(signed: SignedMessage) -> bool:
                """It is visible as soon as the next recent pull's page has been read."""
                nonlocal recent
                if signed.type == "admin.state.pull.v1":
                    recent = b'"since":""' not in signed.body
                elif signed.type == "admin.state.pulled.v1" and recent:
                    self.show()
                return False

            await self.stage.live(70, appear)
            assert not self.hidden
        elif isinstance(step, Pass):
            wanted = f"admin.state.{step.loses}.v1"
            await self.stage.live(step.seconds, lambda signed: signed.type == wanted)
        elif isinstance(step, Deliver):
            for signed in reversed(self.held) if step.reverse else self.held:
                for _ in range(step.times):
                    await self.stage.take(signed)
            self.held.clear()
        elif isinstance(step, Set):
            self.stage.clock.advance(step.seconds)
        elif isinstance(step, Resync):
            await self.stage.follower.want_all(["admin"])

    def owners(self) -> dict[str, tuple[int, str]]:
        rows = self.stage.admin.data["things1"]
        said = {name: document["says"][0][1] for name, document in rows.items()}
        return {name: (body["version"], body["status"]) for name, body in said.items()}

    def followers(self) -> dict[str, tuple[int, str]]:
        return {name: (row["version"], row["status"]) for name, row in self.stage.rows().items()}


def run(story: Coroutine[Any, Any, None]) -> None:
    with capture_logs(), asyncio.Runner() as runner:
        runner.run(story)


async def begin(replicas: int = 1) -> History:
    stage = Stage(replicas)
    await stage.first()
    return History(stage)


@given(st.lists(STEPS, max_size=15), st.integers(1, 2))
@settings(max_examples=50)
def test_after_two_recent_pulls_the_follower_equals_the_owner(steps: list[object], replicas: int) -> None:
    """(a), (b), (c): nothing stays lost, nothing newer is undone by a page or an event that is late."""

    async def story() -> None:
        history = await begin(replicas)
        for step in steps:
            await history.play(step)
            known = history.followers()
            for name, (version, _) in known.items():
                assert version <= history.versions[name]
        await history.stage.live(60)  # a question that was lost is asked again after at most so long
        await history.stage.live(20)  # two recent pulls
        assert history.followers() == history.owners()
        assert history.stage.follower.fresh("admin")
        assert history.stage.rejected == []

    run(story())


@given(st.lists(writes, max_size=30), st.integers(0, 3))
@settings(max_examples=50)
def test_a_version_that_is_here_never_gets_lower(steps: list[Write], full: int) -> None:
    """(c): whatever a page or an event brings late, twice or in another order."""

    async def story() -> None:
        history = await begin()
        known: Counter[str] = Counter()
        for n, step in enumerate(steps):
            await history.play(step)
            if full and n % 4 == full:
                await history.play(Resync())
                await history.play(Deliver(reverse=True, times=2))
            await history.play(Pass(3, "nothing"))
            for name, (version, _) in history.followers().items():
                assert version >= known[name]
                known[name] = version

    run(story())


@given(st.lists(st.tuples(names, st.integers(0, 25)), max_size=10))
@settings(max_examples=25)
def test_each_change_is_sent_at_most_twice(changes: list[tuple[str, int]]) -> None:
    """(d): without faults. The last change of a row stands for those before it."""

    async def story() -> None:
        history = await begin()
        await history.stage.live(40)
        history.stage.handled.clear()
        for name, seconds in changes:
            await history.write(name, AccountStatus.ACTIVE)
            await history.stage.live(seconds)
        await history.stage.live(60)
        brought = Counter((each.message.account, each.message.version) for each in history.stage.handled)
        assert all(count <= 2 for count in brought.values()), brought
        for name, version in history.versions.items():
            assert brought[name, version] >= 1
        assert {each.origin for each in history.stage.handled} <= {Origin.RECENT_PULL}

    run(story())


@given(st.lists(st.tuples(st.integers(1, 400), st.sampled_from(["nothing", "pull", "pulled"])), max_size=5))
@settings(max_examples=25)
def test_nothing_is_fresh_whose_last_complete_pull_began_too_long_ago(quiet: list[tuple[int, str]]) -> None:
    """(e): judged by what the owner was really asked and answered, not by what the follower has recorded."""

    async def story() -> None:
        stage = Stage()
        await stage.first()
        answered = stage.clock.now()
        for seconds, lost in quiet:
            wanted = f"admin.state.{lost}.v1"

            def lose(signed: SignedMessage, wanted: str = wanted) -> bool:
                nonlocal answered
                if signed.type == wanted:
                    return True
                if signed.type == "admin.state.pulled.v1":
                    answered = stage.clock.now()
                return False

            await stage.live(seconds, lose)
            if stage.follower.fresh("admin"):
                assert (stage.clock.now() - answered).total_seconds() <= 300
        await stage.live(64)  # the longest that a question waits, and two looks
        assert stage.follower.fresh("admin")

    run(story())


@given(st.lists(st.sampled_from(NAMES), min_size=1, max_size=10), st.sets(names))
@settings(max_examples=50)
def test_a_full_pull_leaves_exactly_what_the_owner_has(written: list[str], gone: set[str]) -> None:
    """Rows that are gone there lapse here; nothing else does."""

    async def story() -> None:
        history = await begin()
        for name in written:
            await history.play(Write(name, AccountStatus.ACTIVE, "here"))
        for name in gone & set(written):
            del history.stage.admin.data["things1"][name]
        await history.play(Resync())
        await history.stage.live(20)
        assert history.followers() == history.owners()
        lapsed = {i for i, d in history.stage.data["accounts"].items() if d.get(LAPSED)}
        assert lapsed == gone & set(written)

    run(story())


async def test_two_replicas_and_a_third_that_starts_later_end_alike() -> None:
    history = await begin(2)
    await history.play(Write("ada", AccountStatus.ACTIVE, "lost"))
    await history.stage.live(20)
    history.stage.replicas.append(Replica(history.stage, 9))
    await history.play(Write("ada", AccountStatus.SUSPENDED, "lost"))
    await history.stage.live(20)
    assert history.followers() == history.owners()
    assert all(replica.subscriptions.fresh("admin") for replica in history.stage.replicas)
