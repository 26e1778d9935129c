"""Every error that the code makes has its sentences, in every language in which somebody can meet it."""

import ast
import json
import re
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache
from importlib import import_module
from pathlib import Path
from string import Formatter

import pytest

from shared.errors import Blok365Error
from shared.errors.catalogue import entries
from shared.web.frame import Pages

ROOT = Path(__file__).parents[2]
CATALOGUES = {file.parents[1].name: file.parent for file in ROOT.glob("*/**/errors/en.json")}
"""The folder of each owner's catalogue."""
ENGLISH_ONLY = {
    "approval": "the phone's page reads codes and has words of its own for them",
    "cli": "met on the command line",
    "local": "met by whoever starts the system on one machine",
}
"""Owners whose sentences no page shows, and who meets them instead."""


@dataclass(frozen=True)
class Made:
    """One call that makes an error."""

    where: str
    id: str
    values: frozenset[str]
    code: str


@cache
def made() -> tuple[Made, ...]:
    return tuple(each for top in ("services", "shared", "deploy") for each in _made_in(ROOT / top))


def _made_in(folder: Path) -> Iterator[Made]:
    for path in sorted(folder.rglob("*.py")):
        place = path.relative_to(ROOT).as_posix()
        text = path.read_text("utf-8")
        if path.name == "__main__.py":
            continue
        module = import_module(place.removesuffix(".py").removesuffix("/__init__").replace("/", "."))
        for call in (node for node in ast.walk(ast.parse(text)) if isinstance(node, ast.Call)):
            kind = vars(module).get(ast.unparse(call.func))
            if not (isinstance(kind, type) and issubclass(kind, Blok365Error)) or not (
                call.args or call.keywords
            ):
                continue
            if kind.__init__ is Blok365Error.__init__:
                given = {str(keyword.arg): keyword.value for keyword in call.keywords}
                code = ast.unparse(given.pop("code")).strip("'\"") if "code" in given else kind.code
                yield Made(f"{place}:{call.lineno}", _id(call), frozenset(given), code)


def _id(call: ast.Call) -> str:
    """The id, if it can be read; else the code, which no catalogue has."""
    first = call.args[0] if len(call.args) == 1 else call
    return str(first.value) if isinstance(first, ast.Constant) else ast.unparse(first)


def classes(kind: type[Blok365Error] = Blok365Error) -> set[type[Blok365Error]]:
    made()  # imports them all
    return {kind}.union(*(classes(each) for each in kind.__subclasses__()))


@cache
def said(owner: str, language: str) -> dict[str, dict[str, str]]:
    file = CATALOGUES[owner] / f"{language}.json"
    return json.loads(file.read_text("utf-8")) if file.is_file() else {}


def values_in(entry: dict[str, str]) -> set[str]:
    return {name for text in entry.values() for _, name, _, _ in Formatter().parse(text) if name is not None}


def test_the_reader_of_the_code_finds_what_a_person_would() -> None:
    found = {(each.id, each.values, each.code) for each in made()}
    assert ("wsfed.parameter.repeated", frozenset({"name"}), "parameter_repeated") in found
    assert ("shared.store.away", frozenset({"fault"}), "unavailable") in found
    assert ("wsfed.signing_key.too_short", frozenset({"bits", "least"}), "signing_key_refused") in found
    assert len(found) > 110
    assert "wsfed.passkey.needed" in {each.id for each in classes()}


def test_every_error_has_its_sentence_in_the_catalogue_of_its_owner_or_in_the_shared_one() -> None:
    for each in made():
        owner = each.id.partition(".")[0]
        assert owner in (*each.where.split("/"), "shared"), each
        entry = said(owner, "en").get(each.id, {}) if owner in CATALOGUES else {}
        assert "detail" in entry, each
        assert each.values == values_in(entry), each


def test_every_class_has_a_title_and_a_remedy_and_its_own_sentence_if_it_names_one() -> None:
    for each in classes():
        assert {"title", "remedy"} <= entries()[each.kind].keys(), each
        assert not each.id or "detail" in entries()[each.id], each


@pytest.mark.parametrize("owner", CATALOGUES)
def test_no_sentence_is_left_that_nobody_says(owner: str) -> None:
    used = {each.id for each in made()} | {name for each in classes() for name in (each.id, each.kind)}
    assert said(owner, "en").keys() - used == set()


@pytest.mark.parametrize("owner", CATALOGUES)
def test_whatever_a_page_can_show_is_there_in_french(owner: str) -> None:
    english, french = said(owner, "en"), said(owner, "fr")
    assert french.keys() == (set() if owner in ENGLISH_ONLY else english.keys())
    for error_id, entry in french.items():
        assert entry.keys() == english[error_id].keys(), error_id
        assert values_in(entry) <= values_in(english[error_id]), error_id
        assert all(entry.values()), error_id


@pytest.mark.parametrize("owner", CATALOGUES)
def test_a_catalogue_is_loaded_with_its_package(owner: str) -> None:
    import_module(".".join(CATALOGUES[owner].parent.relative_to(ROOT).parts))
    for language in ("en", "fr"):
        assert said(owner, language).items() <= entries(language).items()


GENERAL = {
    "assertion": "a browser that lies, or a key that broke",
    "bad_input": "our own page never sends that",
    "cross_site": "our own page never sends that",
    "csrf": "the phone's page has no forms that post",
    "endorsement": "a link that was changed on its way",
    "registration": "a browser that lies",
    "sign_count": "a copied key",
    "statement": "a browser that lies",
    "subscription": "a browser that lies",
    "too_large": "our own page never sends that",
    "too_many": "a network that floods us; the general words say to try again",
}
"""Codes for which the phone's page has only its general words, and why that is enough."""
PHONE = ROOT / "shared/web/phone"
AS_OVER = {"superseded", "limited", "denied", "not_me", "not_found", "other_context"}
"""Codes that the phone's page shows as `over`."""
LOCKED = {"not_authenticated"}
"""Shown as the page that unlocks."""


def test_the_phones_page_has_words_of_its_own_for_every_code() -> None:
    """The API's sentences stay English: they are for programs. The page knows the codes."""
    words = json.loads((PHONE / "pages/en.json").read_text("utf-8"))
    outcomes = {key.split(".")[2] for key in words if key.startswith("key.said.")}
    places_met = ("services/approval", "shared/web", "shared/store/mongo")
    met = {each.code for each in made() if each.where.startswith(places_met)} - {"challenge.state.value"}
    assert len(met) > 15
    assert met - outcomes - GENERAL.keys() - AS_OVER - LOCKED == set()
    assert GENERAL.keys().isdisjoint(outcomes)


def test_the_phones_page_shows_those_codes_as_the_list_says() -> None:
    script = (PHONE / "static/ask.js").read_text("utf-8")
    line = next(line for line in script.splitlines() if line.startswith("const OVER = "))
    assert set(json.loads(line.removeprefix("const OVER = ").rstrip(";"))) == AS_OVER


def test_the_phones_page_has_all_its_words_in_it() -> None:
    """The script finds them by code; one that the template leaves out would be shown as the general words."""
    words = json.loads((PHONE / "pages/en.json").read_text("utf-8"))
    said = {key.split(".")[2] for key in words if key.startswith("key.said.")}
    single = {key.split(".")[2] for key in words if key.startswith("key.word.")}
    page = Pages("phone", PHONE).text("phone.html", lang="en", nonce="")
    assert set(re.findall(r'data-code="(\w+)"', page)) == said
    assert set(re.findall(r'data-word="(\w+)"', page)) == single
