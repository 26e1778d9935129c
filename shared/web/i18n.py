"""Words of pages in English and French: one catalogue file per language, and the choice between them.

What errors say is elsewhere, in `shared/errors/catalogue.py`: logs, programs and the command line read it too.
"""

import json
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:  # the settings read the names of hosts and pages, and so this file, without a web server
    from aiohttp import web

LANGUAGES = ("en", "fr")
DEFAULT = "en"

# [MS-LCID]: the low ten bits name the language, the rest the country.
_LCID_PRIMARY = {
    0x09: "en",
    0x0C: "fr",
}


class Catalogue:
    """The words of one language: flat keys, `{name}` where a value goes.

    Values are put in as plain text; escaping is the template's work.
    """

    def __init__(self, language: str, words: Mapping[str, str]) -> None:
        self.language = language
        self._words = dict(words)

    def __call__(self, key: str, **values: object) -> str:
        """The words for that key. Raises KeyError when the key or a value is missing."""
        words = self._words[key]
        return words.format_map(values) if values else words

    def has(self, key: str) -> bool:
        """Whether there are words for that key."""
        return key in self._words


def load(folders: Iterable[Path]) -> dict[str, Catalogue]:
    """One catalogue per language, from `{language}.json` in each folder; a later folder adds to an earlier.

    Raises ValueError when languages differ in their keys, or a folder tries to change an earlier one's words.
    """
    words: dict[str, dict[str, str]] = {language: {} for language in LANGUAGES}
    for folder in folders:
        for language in LANGUAGES:
            _add(folder / f"{language}.json", words[language])
    for language in LANGUAGES:
        if missing := words[DEFAULT].keys() ^ words[language].keys():
            raise ValueError(f"{language}.json and {DEFAULT}.json differ in {sorted(missing)}")
    return {language: Catalogue(language, words[language]) for language in LANGUAGES}


def _add(file: Path, words: dict[str, str]) -> None:
    added: dict[str, str] = json.loads(file.read_text("utf-8")) if file.is_file() else {}
    if both := words.keys() & added.keys():
        raise ValueError(f"{file.name}: said twice: {sorted(both)}")
    words.update(added)


def from_tag(tag: str) -> str | None:
    """The language we have for `fr-FR`, `fr` or Microsoft's number for it (`1036`); None when we have none."""
    tag = tag.strip()
    if tag.isascii() and tag.isdigit() and len(tag) <= 5:
        return _LCID_PRIMARY.get(int(tag) & 0x3FF)
    primary = tag.replace("_", "-").partition("-")[0].lower()
    return primary if primary in LANGUAGES else None


def from_accept_language(header: str) -> str | None:
    """The language the browser likes best among ours (RFC 9110 section 12.5.4); None when it names none."""
    best: tuple[float, str] | None = None
    for item in header[:1000].split(","):
        tag, _, parameters = item.partition(";")
        language = from_tag(tag)
        try:
            weight = float(parameters.strip().removeprefix("q=")) if parameters else 1.0
        except ValueError:
            continue
        if language and weight > 0 and (best is None or weight > best[0]):
            best = (weight, language)
    return best[1] if best else None


def choose(request: "web.BaseRequest") -> str:
    """The language of an answer: `mkt`, then `lc` (both from Microsoft), then Accept-Language, then English."""
    for name in ("mkt", "lc"):
        if language := from_tag(request.rel_url.query.get(name, "")):
            return language
    return from_accept_language(request.headers.get("Accept-Language", "")) or DEFAULT
