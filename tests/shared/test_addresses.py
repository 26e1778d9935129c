"""shared.addresses."""

import pytest

from shared.addresses import parse_address


@pytest.mark.parametrize(
    ("text", "read"),
    [
        ("192.0.2.1", "192.0.2.1"),
        ("2001:DB8::1", "2001:db8::1"),
        ("::ffff:192.0.2.1", "192.0.2.1"),
        ("::FFFF:c000:0201", "192.0.2.1"),
        ("::192.0.2.1", "::c000:201"),  # the deprecated compatible form is another address
    ],
)
def test_reads_an_address(text: str, read: str) -> None:
    assert str(parse_address(text)) == read


@pytest.mark.parametrize(
    "text", ["", "unknown", "192.0.2", "192.0.2.1:443", "010.0.0.1", "[::1]", " ::1", "1"]
)
def test_none_for_what_is_no_address(text: str) -> None:
    assert parse_address(text) is None
