"""The owner's numbers: what was given out, what became void, how far a stream is."""

from datetime import UTC, datetime

import pytest

from shared.clock import ManualClock
from shared.contracts.envelope import Packet
from shared.ids import SeededIds
from shared.projection.spans import holds, through, with_numbers, with_spans
from shared.projection.stream import MAX_VOIDED, Advance, StateStream

START = datetime(2026, 3, 2, 8, 0, tzinfo=UTC)


class Numbered:
    def __init__(self) -> None:
        self.clock = ManualClock(START)
        self.stream = StateStream(self.clock, SeededIds("stream"))

    def sign(self, *names: str) -> list[Packet]:
        for name in names:
            self.stream.take(name)
        return [Packet(name, "t", b"", b"") for name in names]


def test_numbers_count_from_one_and_a_stream_begins_at_zero() -> None:
    made = Numbered()
    assert made.stream.advance() == Advance(0, ())
    assert [made.stream.take(name) for name in "abc"] == [1, 2, 3]


def test_two_processes_have_different_streams() -> None:
    ids = SeededIds("stream")
    assert StateStream(ManualClock(START), ids).id != StateStream(ManualClock(START), ids).id


def test_a_number_is_claimed_only_when_all_before_it_are_decided() -> None:
    made = Numbered()
    first, second, third = made.sign("a", "b", "c")
    made.stream.written([second, third])
    assert made.stream.advance().number == 0
    made.stream.written([first])
    assert made.stream.advance() == Advance(3, ())


def test_a_write_that_did_not_happen_makes_its_number_void() -> None:
    made = Numbered()
    first, second, third = made.sign("a", "b", "c")
    made.stream.written([first, third])
    made.stream.dropped([second])
    assert made.stream.advance() == Advance(3, (2,))


def test_a_void_number_is_not_said_before_it_is_claimed() -> None:
    made = Numbered()
    _, second = made.sign("a", "b")
    made.stream.dropped([second])
    assert made.stream.advance() == Advance(0, ())


def test_a_write_of_unknown_result_counts_as_done_after_a_minute() -> None:
    made = Numbered()
    made.sign("lost")
    (known,) = made.sign("known")
    made.stream.written([known])
    made.clock.advance(59.9)
    assert made.stream.advance().number == 0
    made.clock.advance(0.1)
    assert made.stream.advance() == Advance(2, ())


def test_packets_of_other_processes_and_unnumbered_ones_change_nothing() -> None:
    made = Numbered()
    made.stream.written([Packet("else", "t", b"", b"")])
    made.stream.dropped([Packet("else", "t", b"", b"")])
    assert made.stream.advance() == Advance(0, ())


def test_void_numbers_are_forgotten_after_an_hour_and_limited_in_number() -> None:
    made = Numbered()
    made.stream.dropped(made.sign(*(f"p{n}" for n in range(MAX_VOIDED + 10))))
    advance = made.stream.advance()
    assert len(advance.voided) == MAX_VOIDED
    assert min(advance.voided) == 11
    made.clock.advance(3600)
    assert made.stream.advance() == Advance(MAX_VOIDED + 10, ())


def test_last_words_claim_everything_that_is_not_void() -> None:
    made = Numbered()
    _, second, _ = made.sign("a", "b", "c")
    made.stream.dropped([second])
    assert made.stream.end() == Advance(3, (2,))


@pytest.mark.parametrize(
    ("numbers", "spans"),
    [
        ([], ()),
        ([1], ((1, 1),)),
        ([3, 1, 2, 2], ((1, 3),)),
        ([5, 1, 2, 9, 4], ((1, 2), (4, 5), (9, 9))),
    ],
)
def test_numbers_become_spans_in_any_order(numbers: list[int], spans: tuple[tuple[int, int], ...]) -> None:
    made: tuple[tuple[int, int], ...] = ()
    for number in numbers:
        made = with_numbers(made, [number])
    assert made == with_numbers((), numbers) == spans


def test_spans_that_touch_or_overlap_join() -> None:
    assert with_spans(((1, 3), (7, 9)), [(4, 6)]) == ((1, 9),)
    assert with_spans(((1, 3),), [(2, 8)]) == ((1, 8),)
    assert with_spans(((5, 6),), [(1, 10)]) == ((1, 10),)


def test_what_is_complete_ends_before_the_first_hole() -> None:
    assert through(()) == 0
    assert through(((2, 5),)) == 0
    assert through(((1, 4), (6, 9))) == 4
    assert holds(((1, 4), (6, 9)), 6)
    assert not holds(((1, 4), (6, 9)), 5)
