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


@pytest.mark.parametrize("file", CATALOGUES, ids=lambda file: str(file.relative_to(ROOT)))
@pytest.mark.parametrize("language", ["en", "fr"])
def test_no_text_of_a_catalogue_stands_there_twice(file: Path, language: str) -> None:
    """JSON takes the last one and says nothing (RFC 8259 section 4); the first one would be mended in vain."""
    twice: list[str] = []

    def once(pairs: list[tuple[str, object]]) -> dict[str, object]:
        names = [name for name, _ in pairs]
        twice.extend(name for name in set(names) if names.count(name) > 1)
        return dict(pairs)

    json.loads(file.with_name(f"{language}.json").read_text("utf-8"), object_pairs_hook=once)
    assert twice == []


@pytest.mark.parametrize("text", ["Compte :", "Vraiment?", "« Pas moi »", "d’autres"])
def test_the_reader_finds_what_a_person_would(text: str) -> None:
    assert BREAKS.search(text)
