"""How French is set: a sign of two parts never begins a line, and a quotation mark never stands alone."""

import json
import re
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
CATALOGUES = sorted(
    file for top in ("services", "shared", "deploy") for file in (ROOT / top).rglob("fr.json")
)
BREAKS = re.compile(r" [?!:;»](?!\w)|« |\w[?!;](?!\w)|’")
"""A space where the line can break, or none at all; and the curly apostrophe that the other sentences do not use."""


def texts(found: object) -> Iterator[str]:
    """Every text in a catalogue, however deep."""
    if isinstance(found, str):
        yield found
    elif isinstance(found, dict):
        for each in found.values():
            yield from texts(each)


def test_there_are_catalogues_to_read() -> None:
    assert len(CATALOGUES) >= 6


@pytest.mark.parametrize("file", CATALOGUES, ids=lambda file: str(file.relative_to(ROOT)))
def test_signs_of_two_parts_stay_with_their_word(file: Path) -> None:
    assert [text for text in texts(json.loads(file.read_text("utf-8"))) if BREAKS.search(text)] == []


@pytest.mark.parametrize("text", ["Compte :", "Vraiment?", "« Pas moi »", "d’autres"])
def test_the_reader_finds_what_a_person_would(text: str) -> None:
    assert BREAKS.search(text)
