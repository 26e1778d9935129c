"""How far a tenant's people are, and that a credential ends soon: what provisioning tells of both, and how often."""

from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from itertools import pairwise

import pytest

from deploy.cli.provisioning import progress_line
from services.provisioning.domain.connection import Connection, warned
from services.provisioning.domain.progress import Counts, History, progress, remembered
from shared.contracts.provisioning import ConnectionChanged, Progress
from tests.provisioning.support import Provisioning, refusal

NOW = datetime(2026, 3, 2, 8, tzinfo=UTC)
DAY = 86_400


def seconds_left(*counts: tuple[float, int, int]) -> int | None:
    """The estimate after these counts: seconds since the first, waiting, ended."""
    history: History = ()
    said = None
    for after, waiting, ended in counts:
        at = NOW + timedelta(seconds=after)
        each = Counts(waiting, ended, 0)
        history = remembered(history, each, at)
        said = progress(history, each, at)
    assert said is not None
    return said.seconds_left


def test_the_estimate_is_what_waits_at_the_pace_of_the_last_minutes() -> None:
    assert seconds_left((0, 10_000, 0), (30, 9_400, 600)) == 470  # 20 a second
    slower_later = seconds_left((0, 2_000, 0), (30, 1_000, 1_000), (600, 990, 1_010), (630, 980, 1_020))
    assert slower_later == 2_940  # what is longer ago than five minutes counts no more


@pytest.mark.parametrize(
    "counts",
    [
        [(0, 10, 0)],
        [(0, 10, 0), (10, 5, 5)],
        [(0, 10, 5), (60, 10, 5)],
        [(0, 0, 10), (60, 0, 10)],
        [(0, 5, 100), (60, 100, 5)],
    ],
    ids=["seen once", "too soon", "nothing ends", "nothing waits", "what was done is due again"],
)
def test_no_estimate_where_nothing_is_known(counts: Sequence[tuple[float, int, int]]) -> None:
    assert seconds_left(*counts) is None


def test_what_was_idle_does_not_count_as_slow() -> None:
    assert seconds_left((0, 10, 0), (30, 0, 10), (240, 100, 10), (270, 70, 40)) == 70


@pytest.mark.parametrize(
    ("waiting", "failed", "left", "line"),
    [
        (6_800, 0, 720, "3,200 of 10,000 people done, about 12 minutes left."),
        (0, 6_800, None, "3,200 of 10,000 people done, 6,800 failed."),
        (6_799, 1, 20, "3,200 of 10,000 people done, 1 failed, about 1 minute left."),
    ],
)
def test_progress_in_words(waiting: int, failed: int, left: int | None, line: str) -> None:
    said = Progress(waiting=waiting, done=3_200, failed=failed, at=NOW, seconds_left=left)
    assert progress_line(said) == line


def told(provisioning: Provisioning) -> list[ConnectionChanged]:
    return [each for each in provisioning.connections if each.progress is not None]


def numbers(said: ConnectionChanged) -> tuple[int, int, int]:
    assert said.progress is not None
    return said.progress.waiting, said.progress.done, said.progress.failed


async def test_progress_is_told_every_ten_seconds_at_most(connected: Provisioning) -> None:
    await connected.later(10)
    before = len(connected.connections)
    for number in range(30):
        await connected.account(f"p{number}")
        connected.world.clock.advance(1)
        await connected.work(1)
    await connected.later(10, rounds=2)
    assert numbers(told(connected)[-1]) == (0, 30, 0)
    times = [each.progress.at for each in told(connected) if each.progress is not None]
    assert all(later - sooner >= timedelta(seconds=10) for sooner, later in pairwise(times))
    assert len(connected.connections) - before <= 6


async def test_nothing_is_told_while_nothing_happens(connected: Provisioning) -> None:
    await connected.account("ada")
    await connected.work()
    await connected.later(10, rounds=2)
    known = len(connected.connections)
    await connected.later(60, rounds=20)
    assert len(connected.connections) == known


async def test_who_has_failed_and_who_waits_is_told(connected: Provisioning) -> None:
    connected.directory.trick("POST /users", refusal(400, "Property userPrincipalName is invalid."))
    connected.directory.trick("POST /users", refusal(503, "Away."), refusal(503, "Away."))
    await connected.account("ada")
    await connected.work()
    await connected.account("bob")
    await connected.work()
    await connected.account("eve")
    await connected.later(10, rounds=1)
    assert connected.person("ada").state == "failed"
    last = told(connected)[-1]
    assert sum(numbers(last)) == 3
    assert numbers(last)[2] == 1
    assert last.progress is not None
    assert last.progress.people == 3


async def test_an_estimate_is_told_while_many_wait(connected: Provisioning) -> None:
    connected.deps.queue._paces.clear()  # type: ignore[attr-defined]
    for number in range(200):
        await connected.account(f"p{number}")
    for _ in range(4):
        connected.world.clock.advance(10)
        await connected.worker.round()
        await connected.worker.idle()
    await connected.world.settle()
    estimates = [each.progress.seconds_left for each in told(connected) if each.progress is not None]
    assert any(estimate is not None and estimate > 0 for estimate in estimates)


async def test_a_count_that_the_database_could_not_make_is_made_later(
    connected: Provisioning, monkeypatch: pytest.MonkeyPatch
) -> None:
    from shared.errors import Unavailable

    counts, times = connected.deps.people.counts, [0]

    async def away_once(tenant: str) -> object:
        times[0] += 1
        if times[0] == 1:
            raise Unavailable("shared.store.away")
        return await counts(tenant)

    monkeypatch.setattr(connected.deps.people, "counts", away_once)
    await connected.account("ada")
    await connected.later(10, rounds=1)
    await connected.later(10, rounds=2)
    assert times[0] >= 2
    assert numbers(told(connected)[-1]) == (0, 1, 0)


# --- the end of the credential ---------------------------------------------------------------------------------------


def ending(in_seconds: float, said: int | None = None) -> Connection:
    return Connection("contoso", credential_ends=NOW + timedelta(seconds=in_seconds), ends_within=said)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("left", "said", "within"),
    [
        (31 * DAY, None, "no news"),
        (30 * DAY, None, 30),
        (30 * DAY, 30, "no news"),
        (8 * DAY, 30, "no news"),
        (7 * DAY, 30, 7),
        (7 * DAY, None, 7),
        (DAY, 7, 1),
        (1, 1, "no news"),
        (0, 1, 0),
        (-DAY, 0, "no news"),
        (90 * DAY, 1, None),
    ],
)
def test_the_end_of_a_credential_is_said_once_for_each_span(
    left: float, said: int | None, within: int | str | None
) -> None:
    after = warned(ending(left, said), NOW)
    assert (after.ends_within if after is not None else "no news") == within


async def test_a_secrets_end_that_the_administrator_named_is_told_at_30_7_and_1_days(
    connected: Provisioning,
) -> None:
    ends = connected.world.clock.now() + timedelta(days=40)
    await connected.connect(secret_ends_at=ends)
    await connected.work()
    assert (connected.connections[-1].credential_ends, connected.connections[-1].ends_within) == (ends, None)
    known = len(connected.connections)
    for _ in range(82):
        await connected.later(DAY / 2)
    news = [each.ends_within for each in connected.connections[known:]]
    assert news == [30, 7, 1, 0]


async def test_a_new_secret_ends_the_warning(connected: Provisioning) -> None:
    await connected.connect(secret_ends_at=connected.world.clock.now() + timedelta(days=2))
    await connected.work()
    nearly = connected.connections[-1]
    assert nearly.ends_within == 7
    await connected.connect()
    await connected.work()
    anew = connected.connections[-1]
    assert (anew.credential_ends, anew.ends_within) == (None, None)


async def test_the_end_of_the_secret_in_force_can_be_named_later_and_stays(connected: Provisioning) -> None:
    ends = connected.world.clock.now() + timedelta(days=90)
    await connected.connect(secrets=False, secret_ends_at=ends)
    assert connected.connections[-1].credential_ends == ends
    await connected.connect(secrets=False, when_removed="keep")
    assert connected.connections[-1].credential_ends == ends
