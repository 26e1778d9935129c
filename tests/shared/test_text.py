"""shared.text."""

import pytest

from shared.text import clean_line, has_invisible


@pytest.mark.parametrize(
    "text", ["a\nb", "a\x00", "\x1b[2J", "\u202eadA", "a\u200bb", "\ufeffa", "a\u2028b", "\ud800"]
)
def test_invisible_characters_are_found(text: str) -> None:
    assert has_invisible(text)


@pytest.mark.parametrize("text", ["", "Ada Lovelace", "Zoë", "نام\u200cها", "👩\u200d💻", "李"])
def test_letters_spaces_and_joiners_are_not(text: str) -> None:
    assert not has_invisible(text)


@pytest.mark.parametrize(
    ("text", "line"),
    [
        ("  Ada's \t phone\r\n", "Ada's phone"),
        ("\u202eevil\x00", "evil"),
        ("a\u2028b\u200bc\u00a0d", "a b c d"),
        ("\u200d\ud800\ue000", ""),
        ("x" * 5000, "x" * 60),
        ("x" * 59 + " y", "x" * 59),
        (" " * 240 + "x", ""),
    ],
)
def test_line_is_visible_and_short(text: str, line: str) -> None:
    assert clean_line(text, 60) == line
