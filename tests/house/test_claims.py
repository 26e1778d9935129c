"""What the threat model and the table of conformance claim is shown by a test that exists, or said to be not shown.

Not checked: whether the test shows what the row says. Whoever changes a row reads the test.
"""

import re
from collections.abc import Iterator, Mapping, Sequence
from functools import cache
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
PAGES = ("docs/threat-model.md", "docs/conformance-800-63b.md")
COLUMN = "shown by"
NOT_SHOWN = "not shown"
FUNCTION = re.compile(r"^\s*(?:async )?def (\w+)", re.MULTILINE)
INLINE = re.compile(r"`([^`]+)`")


@cache
def files_of_tests() -> Mapping[Path, str]:
    return {file: file.read_text() for file in (ROOT / "tests").rglob("test_*.py")}


@cache
def functions() -> frozenset[str]:
    return frozenset(name for text in files_of_tests().values() for name in FUNCTION.findall(text))


def rows(text: str) -> Iterator[tuple[str, str]]:
    """First and last cell of each row of each table whose last column says what shows it."""
    inside = False
    for line in text.splitlines():
        cells = [cell.strip() for cell in line.strip().strip("|").split("|")]
        if not line.startswith("|"):
            inside = False
        elif cells[-1] == COLUMN:
            inside = True
        elif inside and set(line) - set("|- "):
            yield cells[0], cells[-1]


def faults(shown_by: str) -> Sequence[str]:
    """What is wrong with a row's last cell."""
    names = INLINE.findall(shown_by)
    named = [name for name in names if _is_test(name)]
    wrong = [f"there is no {name}" for name in named if not _exists(name, names)]
    if not named and not shown_by.startswith(NOT_SHOWN):
        wrong.append(f"names no test and does not begin with {NOT_SHOWN!r}")
    return wrong


def _is_test(name: str) -> bool:
    """A file of tests, a test, or a part of one that the row names beside its file; no folder and no other code."""
    return bool(re.fullmatch(r"(?:tests/[\w/]+/)?test_\w+\.py|\w+(?:\[[^\]]*\])?", name))


def _exists(name: str, beside: Sequence[str]) -> bool:
    if name.endswith(".py"):
        return any(str(file).endswith(f"/{name}") for file in files_of_tests())
    bare = name.partition("[")[0]
    if bare in functions():
        return True
    files = [
        text
        for file, text in files_of_tests().items()
        if any(str(file).endswith(f"/{each}") for each in beside)
    ]
    return any(re.search(rf"\b{bare}\b", text) for text in files)


@pytest.mark.parametrize("page", PAGES)
def test_each_claim_names_a_test_that_exists_or_says_that_it_is_not_shown(page: str) -> None:
    found = {first[:60]: faults(last) for first, last in rows((ROOT / page).read_text())}
    assert len(found) > 20
    assert {row: wrong for row, wrong in found.items() if wrong} == {}


@pytest.mark.parametrize(
    "shown_by",
    [
        "",
        "documented",
        "`tests/wsfed`",
        "`shared/store/sealing.py`",
        "`tests/flows/test_never_written.py`",
        "`test_never_written`",
        "`test_never_written[ahead]`",
        "`never_written` in `tests/flows/test_relay.py`",
        "`tests/flows/test_relay.py`, `test_never_written`",
        "a test, not shown",
    ],
)
def test_a_claim_without_a_test_is_noticed(shown_by: str) -> None:
    table = f"| a | {COLUMN} |\n|---|---|\n| claim | {shown_by} |\n"
    assert [bool(faults(last)) for _, last in rows(table)] == [True]


@pytest.mark.parametrize(
    "shown_by",
    [
        "not shown: no such authenticator exists",
        "`tests/flows/test_relay.py` asserts that it goes through",
        "`test_each_claim_names_a_test_that_exists_or_says_that_it_is_not_shown`",
    ],
)
def test_a_claim_with_a_test_is_not(shown_by: str) -> None:
    assert faults(shown_by) == []
