"""Limits for strangers: requests from one network, and open streams."""

from collections.abc import Sequence
from contextlib import ExitStack

import pytest
from aiohttp import web
from aiohttp.test_utils import make_mocked_request
from hypothesis import given
from hypothesis import strategies as st
from structlog.testing import capture_logs

from shared.addresses import ClientNetworks, networks
from shared.clock import ManualClock
from shared.errors import TooMany, Unavailable
from shared.web import limits
from shared.web.limits import RequestLimit, StreamLimit
from tests.world import START


class Door:
    """A limit, and requests from anywhere."""

    def __init__(
        self, per_minute: int = 60, *, own: Sequence[str] = (), proxies: Sequence[str] = ("10.0.0.2/32",)
    ) -> None:
        self.clock = ManualClock(START)
        known = ClientNetworks(proxies=networks(proxies), own=networks(own))
        self.limit = RequestLimit(known, self.clock, per_minute=per_minute)

    def ask(self, client: str, times: int = 1) -> int:
        """Through the proxy; how many of them were taken."""
        request = make_mocked_request("GET", "/", headers={"X-Forwarded-For": client})
        request = request.clone(remote="10.0.0.2")
        return sum(self._taken(request) for _ in range(times))

    def _taken(self, request: web.Request) -> bool:
        try:
            self.limit.count(request)
        except TooMany:
            return False
        return True


def test_a_network_gets_a_minutes_share_at_once_and_then_as_much_in_each_minute() -> None:
    door = Door(per_minute=60)
    assert door.ask("198.51.100.1", 100) == 60
    door.clock.advance(1)
    assert door.ask("198.51.100.1", 100) == 1
    door.clock.advance(30)
    assert door.ask("198.51.100.1", 100) == 30
    door.clock.advance(3600)
    assert door.ask("198.51.100.1", 100) == 60
    assert door.limit.refused == 100 * 4 - 60 - 1 - 30 - 60


@given(st.lists(st.tuples(st.integers(0, 5), st.integers(0, 40)), max_size=30))
@pytest.mark.long
def test_never_more_than_one_share_and_what_time_has_added(turns: list[tuple[int, int]]) -> None:
    door, taken, passed = Door(per_minute=30), 0, 0
    for seconds, requests in turns:
        door.clock.advance(seconds)
        passed += seconds
        taken += door.ask("198.51.100.1", requests)
        assert taken <= 30 + passed * 0.5


@pytest.mark.parametrize(
    ("one", "other", "same"),
    [
        ("198.51.100.1", "198.51.100.254", True),
        ("198.51.100.1", "198.51.101.1", False),
        ("2001:db8:1:2::1", "2001:db8:1:ffff::9", True),
        ("2001:db8:1::1", "2001:db8:2::1", False),
        ("198.51.100.1", "::ffff:198.51.100.2", True),
    ],
)
def test_a_network_is_24_bits_or_48(one: str, other: str, same: bool) -> None:
    door = Door(per_minute=10)
    assert door.ask(one, 20) == 10
    assert door.ask(other, 20) == (0 if same else 10)


@pytest.mark.parametrize("client", ["203.0.113.9", "unknown", "198.51.100.1:99", "10.9.9.9", "127.0.0.1"])
def test_own_networks_and_unknown_addresses_have_no_limit(client: str) -> None:
    assert Door(per_minute=1, own=["203.0.113.0/24"]).ask(client, 500) == 500


def test_no_limit_at_all() -> None:
    assert Door(per_minute=0).ask("198.51.100.1", 5_000) == 5_000


def test_wait_that_is_told_is_long_enough() -> None:
    door = Door(per_minute=7)
    door.ask("198.51.100.1", 7)
    request = make_mocked_request("GET", "/").clone(remote="198.51.100.1")
    with pytest.raises(TooMany) as refused:
        door.limit.count(request)
    door.clock.advance(int(refused.value.retry_after))
    assert door.ask("198.51.100.1") == 1


@pytest.mark.long
def test_memory_is_bounded_and_who_asked_last_stays(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(limits, "MAX_NETWORKS", 50)
    door = Door(per_minute=1)
    for number in range(500):
        door.ask("198.51.100.1")
        door.ask(f"203.{number // 256}.{number % 256}.1")
    assert len(door.limit._allowances) == 50
    assert door.ask("198.51.100.1") == 0


def test_a_flood_is_one_log_line_a_minute_and_holds_no_whole_address() -> None:
    door = Door(per_minute=1)
    with capture_logs() as lines:
        for _ in range(119):
            door.ask("198.51.100.77", 10)
            door.clock.advance(1)
    assert [line["event"] for line in lines] == ["requests.limited"] * 2
    assert {line["network"] for line in lines} == {"198.51.100.0/24"}


def test_streams_of_one_key_and_of_all() -> None:
    limit = StreamLimit(each=2, total=3)
    with ExitStack() as held:
        held.enter_context(limit.hold("a"))
        held.enter_context(limit.hold("a"))
        with pytest.raises(Unavailable), limit.hold("a"):
            pass
        held.enter_context(limit.hold("b"))
        with pytest.raises(Unavailable), limit.hold("c"):
            pass
    for _ in range(10):
        with limit.hold("a"), limit.hold("c"):
            pass
    assert not limit._open
