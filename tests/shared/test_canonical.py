"""shared/canonical.py held against the library for RFC 8785."""

from typing import Any

import pytest
import rfc8785
from hypothesis import given, settings
from hypothesis import strategies as st

from shared.canonical import MAX_WHOLE, canonical

NAMES = st.text(st.characters(max_codepoint=127), max_size=12)
TEXT = st.text(st.characters(exclude_categories=["Cs"]), max_size=40)
SCALARS = st.none() | st.booleans() | st.integers(-MAX_WHOLE, MAX_WHOLE) | TEXT
VALUES: st.SearchStrategy[Any] = st.recursive(
    SCALARS,
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(NAMES, inner, max_size=4),
    max_leaves=20,
)


@given(st.dictionaries(NAMES, VALUES, max_size=6))
@settings(max_examples=150, deadline=None)
@pytest.mark.long
def test_writes_the_octets_of_rfc_8785(value: dict[str, Any]) -> None:
    assert canonical(value) == rfc8785.dumps(value)


def test_escapes_as_rfc_8785_does() -> None:
    value = {"x": "".join(map(chr, range(0x300))) + '\u2028\u20ac\U0001f600\x7f"\\/'}
    assert canonical(value) == rfc8785.dumps(value)


@pytest.mark.parametrize(
    "value",
    [
        0.5,
        float("nan"),
        float("inf"),
        2**53,
        -(2**53),
        b"octets",
        {1: 2},
        {"é": 1},
        "\ud800",
        [0.1],
        {"a": [{"b": 1.0}]},
    ],
)
def test_refuses_what_would_be_written_differently(value: Any) -> None:
    with pytest.raises(ValueError):
        canonical({"x": value})
