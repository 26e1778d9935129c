"""Whatever goes wrong for a person who reads French is said in French: the code is read, not a list kept by hand."""

import json
from pathlib import Path

import pytest

from services.approval.routes import KeyPage
from shared.web import language
from tests.house.errors_said import ROOT, Said, reachable, said_in

SHARED = ("shared.web", "shared.store.mongo", "shared.store.shape")
"""Between every browser and every service."""
FOLDERS = {name: ROOT / "services" / name / "pages" for name in ("wsfed", "approval")}
STRINGS = ROOT / "shared" / "web" / "strings"
NOT_IN_A_REQUEST = {
    "services/wsfed/domain/keys.py": "an operator's own key file, `blok365 key`",
    "services/wsfed/handlers/rolling.py": "`blok365 key`",
    "shared/places.py": "start; later a fault is logged and the old file stays",
    "shared/store/sequencer.py": "shutdown",
    "shared/replication/store.py": "what the service does by itself, and `blok365 resync`",
    "{self._database.name}.{name} lacks {', '.join(sorted(missing))}": "start and /readyz",
    "{name} was {found['value']} when this system was set up, and is {value} now. "
    "Every phone's key is bound to it for life.": "start",
}
"""Files, or sentences, that no browser's request meets, and who meets them instead."""


def met(service: str) -> list[Said]:
    """The errors that a browser of that service's pages can meet."""
    files = reachable(f"services.{service}.routes", f"services.{service}.store", *SHARED)
    return [
        said
        for said in said_in(files)
        if said.where.partition(":")[0] not in NOT_IN_A_REQUEST and said.detail not in NOT_IN_A_REQUEST
    ]


def french(service: str) -> language.Catalogue:
    return language.load([STRINGS, FOLDERS[service]])["fr"]


def test_every_sentence_of_an_error_that_a_sign_in_page_can_show_is_there_in_french() -> None:
    words = french("wsfed")
    missing = {f"{s.where}: {text}" for s in met("wsfed") for text in s.sentences if not words.sentence(text)}
    assert missing == set()


def test_what_is_read_is_what_is_there() -> None:
    """The reader of the code finds what a person would: it cannot pass by finding nothing."""
    found = {(said.kind, said.detail) for said in met("wsfed")}
    assert ("BadInput", "The parameter {name} came twice.") in found
    assert ("Gone", "This sign-in took too long.") in found
    assert ("Forbidden", "Another site sent this.") in found
    assert ("Unavailable", "the database does not answer: {type(error).__name__}") in found
    assert len(found) > 50
    everything = {s.where.partition(":")[0] for s in said_in(reachable("services", "shared"))}
    everything |= {s.detail for s in said_in(reachable("services", "shared"))}
    assert NOT_IN_A_REQUEST.keys() <= everything


@pytest.mark.parametrize("folder", [STRINGS, *FOLDERS.values()], ids=str)
def test_no_translation_is_left_of_a_sentence_that_nobody_says(folder: Path) -> None:
    file = folder / "problems.fr.json"
    kept = json.loads(file.read_text("utf-8")) if file.is_file() else {}
    said = {text for s in [*met("wsfed"), *met("approval")] for text in s.sentences}
    assert kept.keys() <= said


def test_values_come_through() -> None:
    words = french("wsfed")
    assert words.sentence("The parameter wctx came twice.") == "Le paramètre wctx est présent deux fois."
    assert words.sentence("Nobody wrote this.") is None


GENERAL = {
    "assertion": "a browser that lies, or a key that broke",
    "bad_input": "our own page never sends that",
    "cross_site": "our own page never sends that",
    "csrf": "the phone's page has no forms that post",
    "endorsement": "a link that was changed on its way",
    "registration": "a browser that lies",
    "sign_count": "a copied key",
    "subscription": "a browser that lies",
    "too_large": "our own page never sends that",
}
"""Codes for which the phone's page has only its general words, and why that is enough."""
AS_OVER = {"superseded", "limited", "denied", "not_me", "not_found", "other_context"}
"""Codes that key.js shows as `over`."""
LOCKED = {"not_authenticated"}
"""Shown as the page that unlocks."""


def test_the_phones_page_has_words_of_its_own_for_every_code() -> None:
    """The API's sentences stay English: they are for programs. The page knows the codes."""
    outcomes = set(KeyPage().outcomes)
    codes = {said.code for said in met("approval")} - {"{challenge.state.value}"}
    assert codes - outcomes - GENERAL.keys() - AS_OVER - LOCKED == set()
    assert GENERAL.keys().isdisjoint(outcomes)


def test_the_phones_page_shows_those_codes_as_the_list_says() -> None:
    script = (ROOT / "services/approval/static/key.js").read_text("utf-8")
    line = next(line for line in script.splitlines() if line.startswith("const OVER = "))
    assert set(json.loads(line.removeprefix("const OVER = ").rstrip(";"))) == AS_OVER
