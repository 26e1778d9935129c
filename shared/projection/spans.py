"""Sets of positive numbers that are mostly contiguous, as `(first, last)` pairs in order. Pure."""

from collections.abc import Iterable

Spans = tuple[tuple[int, int], ...]


def with_numbers(spans: Spans, numbers: Iterable[int]) -> Spans:
    """The set with these numbers in it."""
    return with_spans(spans, ((n, n) for n in numbers))


def with_spans(spans: Spans, more: Iterable[tuple[int, int]]) -> Spans:
    """The union."""
    made: list[tuple[int, int]] = []
    for first, last in sorted([*spans, *more]):
        if made and first <= made[-1][1] + 1:
            made[-1] = (made[-1][0], max(made[-1][1], last))
        else:
            made.append((first, last))
    return tuple(made)


def holds(spans: Spans, number: int) -> bool:
    """Whether the number is in the set."""
    return any(first <= number <= last for first, last in spans)


def through(spans: Spans) -> int:
    """Up to which number, from 1, none is missing; 0 when 1 is."""
    return spans[0][1] if spans and spans[0][0] == 1 else 0
