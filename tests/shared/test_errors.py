"""What errors say: values, languages, and what stands in when a catalogue lacks something."""

import json
from pathlib import Path

import pytest
from structlog.testing import capture_logs

from shared.errors import BadInput, NotFound, Unavailable, add_catalogue, catalogue

ENGLISH = {
    "test.thing": {"detail": "The {name} has {count} faults.", "remedy": "Ask {name}."},
    "test.english_only": {"detail": "Nobody translated this.", "remedy": "Nor {that}."},
}
FRENCH = {"test.thing": {"detail": "{count} défauts : {name}.", "remedy": "Demandez-le."}}


@pytest.fixture(autouse=True)
def words(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(catalogue, "_entries", {k: dict(v) for k, v in catalogue._entries.items()})
    (tmp_path / "en.json").write_text(json.dumps(ENGLISH))
    (tmp_path / "fr.json").write_text(json.dumps(FRENCH))
    add_catalogue(tmp_path)


def test_values_come_through_in_each_language() -> None:
    error = NotFound("test.thing", name="door", count=2)
    assert (str(error), error.remedy) == ("The door has 2 faults.", "Ask door.")
    assert error.detail_in("fr") == catalogue.Sentence("2 défauts : door.", "fr")
    assert error.remedy_in("fr").text == "Demandez-le."


def test_a_value_is_text_and_no_template() -> None:
    assert (
        NotFound("test.thing", name="{count}{0}{name.x}", count=2).detail
        == "The {count}{0}{name.x} has 2 faults."
    )


def test_title_and_usual_remedy_are_those_of_the_class() -> None:
    error = Unavailable()
    assert (error.title, error.detail) == ("We can't do that right now", "")
    assert str(error) == error.title
    assert error.remedy_in("fr").text == "Réessayez dans une minute."


def test_the_code_is_the_classs_own_unless_another_is_given() -> None:
    assert NotFound("test.thing", name="", count=0).code == "not_found"
    assert NotFound("test.thing", name="", count=0, code="other").code == "other"
    assert NotFound.code == "not_found"


def test_without_a_translation_it_is_english_and_says_so_and_is_logged() -> None:
    with capture_logs() as logs:
        said = BadInput("test.english_only", that="this").remedy_in("fr")
    assert said == catalogue.Sentence("Nor this.", "en")
    assert [(log["event"], log["id"], log["language"]) for log in logs] == [
        ("errors.untranslated", "test.english_only", "fr")
    ]


def test_an_unknown_id_stands_for_itself_and_is_logged() -> None:
    with capture_logs() as logs:
        error = BadInput("test.nobody_wrote_this", name="x")
        assert str(error) == "test.nobody_wrote_this (name=x)"
        assert error.remedy_in("fr").text.startswith("Revenez en arrière")
    assert {log["event"] for log in logs} == {"errors.unknown_id"}


def test_a_missing_value_leaves_its_name_and_is_logged() -> None:
    with capture_logs() as logs:
        assert NotFound("test.thing", name="door").detail == "The {name} has {count} faults."
    assert [log["event"] for log in logs] == ["errors.not_filled"]


@pytest.mark.parametrize(
    "words", ["{name.x}", "{name[x]}", "{name[0][x]}", "{name!z}", "{name:x}", "{", "{}"]
)
def test_a_sentence_that_cannot_be_filled_hides_no_error(words: str) -> None:
    """A translator's slip must not turn "not found" into a fault of the program."""
    catalogue._entries["en"]["test.slip"] = {"detail": words}
    with capture_logs() as logs:
        assert NotFound("test.slip", name="door").detail == words
    assert [log["event"] for log in logs] == ["errors.not_filled"]
