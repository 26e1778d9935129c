"""The pictures in docs/: few, small, embedded with a text for those who do not see them, and of today's pages."""

import json
import re
import shutil
from pathlib import Path

import pytest
from PIL import Image

from tests.pictures import LARGEST, PICTURES, RECORD, ROOT, SHOWN, drawn_from, reduce, stale

EMBEDDED = re.compile(r"!\[([^\]]*)\]\(([^)]+\.png)\)")


def test_no_picture_is_stale() -> None:
    found = stale()
    assert not found, f"{', '.join(found)} in {SHOWN}: run `make pictures`, look at them, commit them"


def test_docs_pages_embed_each_picture_with_a_text_and_no_other() -> None:
    texts: dict[Path, list[str]] = {}
    for page in (ROOT / "docs").rglob("*.md"):
        for text, target in EMBEDDED.findall(page.read_text()):
            texts.setdefault((page.parent / target).resolve(), []).append(text)
    assert set(texts) == {ROOT / SHOWN / name for name in PICTURES}
    assert [text for each in texts.values() for text in each if len(text) < 20] == []


def test_they_are_the_only_pictures_and_small() -> None:
    there = {file.name: file.stat().st_size for file in (ROOT / SHOWN).iterdir() if file.name != RECORD.name}
    assert set(there) == set(PICTURES)
    assert {name: size for name, size in there.items() if size > LARGEST} == {}


PHONE = {"request.png", "enrolment.png"}
CONSOLE = {name for name in PICTURES if name.startswith("console-")}


@pytest.fixture
def tree(tmp_path: Path) -> Path:
    """A copy of what pictures are drawn from, with pictures that were just drawn from it."""
    for shown in PICTURES.values():
        for pattern in shown.inputs:
            for file in filter(Path.is_file, ROOT.glob(pattern)):
                copy = tmp_path / file.relative_to(ROOT)
                copy.parent.mkdir(parents=True, exist_ok=True)
                shutil.copyfile(file, copy)
    shutil.copytree(ROOT / SHOWN, tmp_path / SHOWN)
    record = {name: drawn_from(shown.inputs, tmp_path) for name, shown in PICTURES.items()}
    (tmp_path / RECORD).write_text(json.dumps(record))
    return tmp_path


@pytest.mark.parametrize(
    ("changed", "named"),
    [
        ("shared/web/phone/pages/en.json", PHONE),
        ("services/admin/pages/en.json", CONSOLE),
        ("services/wsfed/static/page.js", set(PICTURES) - PHONE - CONSOLE),
        ("shared/web/static/blok365.css", set(PICTURES)),
    ],
)
def test_a_changed_template_string_or_style_names_the_pictures_that_show_it(
    tree: Path, changed: str, named: set[str]
) -> None:
    assert stale(tree) == []
    with (tree / changed).open("a") as file:
        file.write("\n")
    assert set(stale(tree)) == named


def test_a_missing_picture_and_a_new_file_are_noticed(tree: Path) -> None:
    (tree / SHOWN / "push.png").unlink()
    assert stale(tree) == ["push.png"]
    (tree / "shared/web/phone/static/more.js").write_text("")
    assert set(stale(tree)) == {"push.png", "request.png", "enrolment.png"}


def test_an_input_that_is_gone_is_an_error_and_not_a_fresh_picture(tree: Path) -> None:
    (tree / "services/wsfed/pages/en.json").unlink()
    with pytest.raises(ValueError, match=r"en\.json"):
        stale(tree)


def test_pictures_are_reduced_to_a_palette(tmp_path: Path) -> None:
    pixels = bytes(value for y in range(64) for x in range(64) for value in (x * 4, y * 4, 0))
    Image.frombytes("RGB", (64, 64), pixels).save(tmp_path / "many.png")
    reduce(tmp_path / "many.png", tmp_path / "few.png")
    with Image.open(tmp_path / "few.png") as few:
        assert few.mode == "P"
        assert few.size == (64, 64)
