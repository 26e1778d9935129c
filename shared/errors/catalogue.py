"""What errors say, by id, in each language: `errors/{language}.json` in the folder of each owner.

An owner is a service, `shared`, or a part of `deploy`; its ids begin with its name. An entry has those of `title`,
`detail` and `remedy` that it needs, with `{name}` where a value goes. Values are put in as plain text; a page's
template escapes them. A fault in a catalogue never hides the error: what is missing is logged, and the English
sentence or the id stands in for it.
"""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from shared.log import get_logger

log = get_logger(__name__)  # by way of shared.log, because every process comes here first

ENGLISH = "en"
"""The language of logs, problem+json and the command line, and of every sentence that has no translation."""

Part = Literal["title", "detail", "remedy"]
Entry = Mapping[str, str]

_entries: dict[str, dict[str, Entry]] = {}
"""The entries of all catalogues, by language and then by id."""


@dataclass(frozen=True, slots=True)
class Sentence:
    """Words, and the language that they are in: English where a translation is missing."""

    text: str
    language: str


def add_catalogue(folder: Path) -> None:
    """Take in an owner's sentences. Its package calls this when it is imported, so before it can raise anything.

    Raises OSError or ValueError for a file that cannot be read.
    """
    for file in sorted(folder.glob("*.json")):
        _entries.setdefault(file.stem, {}).update(json.loads(file.read_text("utf-8")))


def entries(language: str = ENGLISH) -> Mapping[str, Entry]:
    """All entries of that language, of every catalogue that was added."""
    return _entries.get(language, {})


def sentence(error_id: str, part: Part, values: Mapping[str, object], language: str) -> Sentence | None:
    """That part of what the error says; None where the English entry has no such part."""
    english = entries().get(error_id)
    if english is None:
        log.error("errors.unknown_id", id=error_id)
        return Sentence(_plain(error_id, values), ENGLISH) if part == "detail" else None
    if part not in english:
        return None
    ours = entries(language).get(error_id, {}).get(part)
    if ours is None:
        log.error("errors.untranslated", id=error_id, part=part, language=language)
        return Sentence(_filled(error_id, english[part], values), ENGLISH)
    return Sentence(_filled(error_id, ours, values), language)


def _filled(error_id: str, template: str, values: Mapping[str, object]) -> str:
    try:
        return template.format_map({name: str(value) for name, value in values.items()})
    except (LookupError, ValueError, AttributeError, TypeError):
        log.exception("errors.not_filled", id=error_id)
        return template


def _plain(error_id: str, values: Mapping[str, object]) -> str:
    said = ", ".join(f"{name}={value}" for name, value in values.items())
    return f"{error_id} ({said})" if said else error_id
