"""The documents and the tree agree: what a page names is there, and a newcomer finds each flow from README.md.

Names are read from inline code: files, functions, tests, messages, settings, and the commands of `make`, `blok365` and
`python -m`. Not checked: whether the sentence around a name is true.
"""

import ast
import builtins
import re
from collections.abc import Callable, Iterator, Mapping
from functools import cache
from pathlib import Path

import pytest
import typer.main

from deploy.cli.commands import app, load
from shared.contracts import contracts
from shared.services import SERVICES
from tests.pages.icons import ICONS

ROOT = Path(__file__).parents[2]
PAGES = sorted([ROOT / "README.md", *(ROOT / "docs").rglob("*.md"), *(ROOT / "services").glob("*/README.md")])
CODE = ("services", "shared", "deploy", "tests")
FROM_ELSEWHERE = {"docker-compose.override.yml", "webpush_async"}
"""Names that a page says and this tree does not have: docker-compose's and another package's."""
LONGEST_LINE = 400
LARGEST_PICTURE = 40_000
MOST_PICTURES = 14

LINK = re.compile(r"(?<!!)\[[^\]]*\]\(([^)\s]+)\)")
PICTURE = re.compile(r"!\[[^\]]*\]\(([^)\s]+)\)")
INLINE = re.compile(r"`([^`]+)`")
FILE = re.compile(r"[\w.-]+(?:/[\w.-]+)*\.(?:py|md|js|mjs|html|css|json|yml|toml|txt|in|sh)")
FOLDER = re.compile(r"(?:services|shared|deploy|tests|docs|requirements)(?:/[\w-]+)*/")
IDENTIFIER = re.compile(r"\w+(?:\.\w+)?")
SETTING = re.compile(r"BLOK365_[A-Z_]+")
MESSAGE = re.compile(r"[a-z]+\.[a-z]+\.[a-z]+\.v\d+")
NAME_IN_FILE = re.compile(r"`([\w.]+)`(?:,? (?:and|in|of))+ `([\w/]+\.py)`")
FILE_WITH_NAMES = re.compile(r"`([\w/]+\.py)`: ((?:`[\w.]+`(?:, | and )?)+)")


def text_of(page: Path) -> str:
    """The page without its fenced blocks."""
    return re.sub(r"^```.*?^```$", "", page.read_text(), flags=re.MULTILINE | re.DOTALL)


def codes(page: Path) -> Iterator[str]:
    for found in INLINE.finditer(text_of(page)):
        yield found[1].strip()


def named(page: Path) -> str:
    return str(page.relative_to(ROOT))


@cache
def sources() -> Mapping[Path, str]:
    """Every file of code with its text, and the few files at the top that name things too."""
    kinds = {".py", ".js", ".html", ".json", ".yml", ".sh", ".txt", ""}
    files = [file for folder in CODE for file in (ROOT / folder).rglob("*") if file.suffix in kinds]
    files += [ROOT / name for name in ("Makefile", "pyproject.toml", "docker-compose.yml")]
    files += (ROOT / "requirements").iterdir()
    here = Path(__file__)
    return {file: file.read_text(errors="ignore") for file in files if file.is_file() and file != here}


@cache
def words() -> frozenset[str]:
    return frozenset(word for text in sources().values() for word in re.findall(r"\w+", text))


def exists(page: Path, name: str) -> bool:
    """Whether there is such a file from the top, from the page's folder, or at the end of any path.

    A service's `domain.py` may be the folder `domain/`. What programs write, such as `trusted.json`, they name.
    """
    if (ROOT / name).exists() or (page.parent / name).exists() or name in FROM_ELSEWHERE:
        return True
    paths = [f"/{file.relative_to(ROOT)}" for file in sources()]
    if any(path.endswith(f"/{name}") or f"/{name.removesuffix('.py')}/" in path for path in paths):
        return True
    return not name.endswith((".py", ".md")) and any(Path(name).name in text for text in sources().values())


def find(page: Path, name: str) -> str:
    """The text of that file, from the top or from the page's folder; empty when there is none."""
    return next((path.read_text() for start in (ROOT, page.parent) if (path := start / name).is_file()), "")


def anchors(page: Path) -> set[str]:
    """GitHub's names of the page's headings."""
    headings = re.findall(r"^#+ (.+)$", text_of(page), flags=re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-") for heading in headings}


def links(page: Path) -> Iterator[tuple[Path, str]]:
    """File and anchor of each link that stays in the tree."""
    for pattern in (LINK, PICTURE):
        for target in pattern.findall(text_of(page)):
            if "://" not in target:
                path, _, anchor = target.partition("#")
                yield (page.parent / path).resolve() if path else page, anchor


@pytest.fixture(params=PAGES, ids=named)
def page(request: pytest.FixtureRequest) -> Path:
    chosen: Path = request.param
    return chosen


def test_links_lead_somewhere(page: Path) -> None:
    broken = [
        f"{path}#{anchor}"
        for path, anchor in links(page)
        if not path.exists() or (anchor and path.suffix == ".md" and anchor not in anchors(path))
    ]
    assert not broken


def test_files_that_are_named_exist(page: Path) -> None:
    missing = [
        code
        for code in codes(page)
        if (FILE.fullmatch(code) and not exists(page, code))
        or (FOLDER.fullmatch(code) and not (ROOT / code).is_dir())
    ]
    assert not missing


def test_names_of_code_occur_in_the_code(page: Path) -> None:
    """`name` anywhere; `module.name` in a module of that name, where there is one."""
    unknown = []
    for code in codes(page):
        bare = code.partition("[")[0].removesuffix("()")
        if (
            "_" not in bare
            or not IDENTIFIER.fullmatch(bare)
            or FILE.fullmatch(bare)
            or SETTING.fullmatch(bare)
        ):
            continue
        first, _, last = bare.rpartition(".")
        modules = [text for file, text in sources().items() if first and file.stem == first]
        known = any(re.search(rf"\b{last}\b", text) for text in modules) if modules else last in words()
        if not known and last not in FROM_ELSEWHERE:
            unknown.append(code)
    assert not unknown


def test_functions_stand_in_the_file_that_the_page_says(page: Path) -> None:
    """`name` in `file.py`, `file.py`: `name`, and tables of steps with the columns function and in."""
    wrong = [
        f"{name} in {files}"
        for names, files in said(page)
        for name in names
        if not in_one_of(page, name, files)
    ]
    assert not wrong


def said(page: Path) -> Iterator[tuple[list[str], list[str]]]:
    text, table = text_of(page), False
    for line in text.splitlines():
        table = line.endswith("| function | in |") or (table and line.startswith("|"))
        if table:
            _, names, files = (INLINE.findall(cell) for cell in line.strip("|").split("|"))
            yield names, files
    plain = text.replace("\n", " ")
    yield from (([name], [file]) for name, file in NAME_IN_FILE.findall(plain))
    yield from ((INLINE.findall(names), [file]) for file, names in FILE_WITH_NAMES.findall(plain))


def in_one_of(page: Path, name: str, files: list[str]) -> bool:
    return any(re.search(rf"\b{name.rpartition('.')[2]}\b", find(page, file)) for file in files)


def test_each_step_of_a_flow_has_its_function() -> None:
    for flow in (ROOT / "docs" / "flows").glob("*.md"):
        assert any(len(names) and len(files) for names, files in said(flow)), flow.name


def test_settings_that_are_named_exist(page: Path) -> None:
    known = (ROOT / "docs" / "settings.md").read_text()
    named = {code for code in codes(page) if SETTING.fullmatch(code) and not code.endswith("_")}
    assert {name for name in named if name not in known and name not in words()} == set()


def test_messages_that_are_named_have_a_contract(page: Path) -> None:
    assert [code for code in codes(page) if MESSAGE.fullmatch(code) and code not in contracts()] == []


@pytest.mark.parametrize("service", SERVICES)
def test_a_services_readme_names_each_message_that_it_sends_or_handles(service: str) -> None:
    page = ROOT / "services" / service / "README.md"
    parties = {name: contract.SENDERS | contract.READERS for name, contract in contracts().items()}
    assert {code for code in codes(page) if MESSAGE.fullmatch(code)} == {
        name for name, services in parties.items() if service in services
    }


def problem(command: str) -> str | None:
    """What is wrong with a `make`, `blok365` or `python -m` command, if it is one."""
    if command.startswith("python -m "):
        module = command.split()[2].replace(".", "/")
        there = (ROOT / f"{module}.py").exists() or (ROOT / module / "__main__.py").exists()
        return None if there else f"no module: {command}"
    if command.startswith("make "):
        target = command.split()[1]
        there = f"\n{target}:" in (ROOT / "Makefile").read_text()
        return None if there else f"no target: {command}"
    if command.startswith("blok365 "):
        program = at = typer.main.get_command(app)
        for word in command.split()[1:]:
            if word.startswith("-"):
                if not any(word in option.opts + option.secondary_opts for option in at.params):
                    return f"no option {word}: {command}"
            elif hasattr(at, "commands"):
                if word not in at.commands:
                    return f"no command {word}: {command}"
                at = load(word) if at is program else at.commands[word]
    return None


def test_commands_exist(page: Path) -> None:
    fenced = re.findall(r"^```\n(.*?)^```$", page.read_text(), flags=re.MULTILINE | re.DOTALL)
    typed = [re.split(r" {2,}|#", line)[0].strip() for block in fenced for line in block.splitlines()]
    typed = [re.sub(r"^docker-compose (?:exec|run --rm) \S+ ", "", line) for line in typed]
    assert [wrong for command in (*codes(page), *typed) if (wrong := problem(command))] == []


@pytest.mark.parametrize(
    "command",
    ["make nothing", "blok365 people list", "blok365 tenant add --colour", "python -m deploy.nothing"],
)
def test_a_command_that_does_not_exist_is_noticed(command: str) -> None:
    assert problem(command)


def test_no_line_is_an_essay(page: Path) -> None:
    lines = enumerate(page.read_text().splitlines(), 1)
    assert [number for number, line in lines if len(line) > LONGEST_LINE] == []


def test_code_names_pages_that_exist() -> None:
    missing = {
        (str(file.relative_to(ROOT)), path)
        for file, text in sources().items()
        if file.suffix == ".py"
        for path in re.findall(r"\bdocs/[\w/.-]+\.md\b", text)
        if not (ROOT / path).exists()
    }
    assert not missing


RAISES = re.compile(r"\bRaises ((?:[\w.]+(?:\s\([^)]*\))?(?:,\s(?:or\s)?|\sor\s|\sand\s)?)+)")


@pytest.mark.long
def test_exceptions_that_docstrings_say_are_raised_exist() -> None:
    nodes = [
        node for file, text in sources().items() if file.suffix == ".py" for node in ast.walk(ast.parse(text))
    ]
    known = set(dir(builtins)) | {node.name for node in nodes if isinstance(node, ast.ClassDef)}
    known |= {alias.name for node in nodes if isinstance(node, ast.ImportFrom) for alias in node.names}
    said = {names for text in sources().values() for names in RAISES.findall(text)}
    named = {
        name for names in said for name in re.findall(r"\b[A-Z][a-z]\w+", re.sub(r"\([^)]*\)", "", names))
    }
    assert len(named) > 10
    assert named - known == set()


def test_nothing_refers_to_papers_that_are_not_in_the_tree() -> None:
    paper = re.compile(
        r"\b(?:the|our|own) (?:gui" r"de|rev" r"iew)(?:'s)?\b|\bguide \d|\(guide\b", flags=re.IGNORECASE
    )
    texts = dict(sources()) | {page: page.read_text() for page in PAGES}
    assert [str(file.relative_to(ROOT)) for file, text in texts.items() if paper.search(text)] == []


def test_pictures_are_few_and_small() -> None:
    folders = (*CODE, "docs")
    pictures = [file for folder in folders for file in (ROOT / folder).rglob("*.png")]
    assert len([file for file in pictures if file.name not in ICONS]) <= MOST_PICTURES
    assert [str(file) for file in pictures if file.stat().st_size > LARGEST_PICTURE] == []


def test_every_flow_is_within_three_links_of_the_readme() -> None:
    reached = {ROOT / "README.md"}
    for _ in range(3):
        pages = [page for page in reached if page.suffix == ".md"]
        reached |= {target for page in pages for target, _ in links(page) if target.is_file()}
    assert set((ROOT / "docs" / "flows").glob("*.md")) - reached == set()


@pytest.mark.parametrize(
    ("check", "text"),
    [
        (test_links_lead_somewhere, "[a page](nowhere.md)"),
        (test_links_lead_somewhere, "[a heading](#nowhere)"),
        (test_files_that_are_named_exist, "`services/wsfed/handlers/nowhere.py`"),
        (test_files_that_are_named_exist, "`test_nowhere.py`"),
        (test_files_that_are_named_exist, "`services/nowhere/`"),
        (test_names_of_code_occur_in_the_code, "`test_nothing_of_that_name`"),
        (test_names_of_code_occur_in_the_code, "`signing_in.verify_approval`"),
        (test_functions_stand_in_the_file_that_the_page_says, "`begin` in `services/wsfed/domain/proof.py`"),
        (test_functions_stand_in_the_file_that_the_page_says, "`services/wsfed/domain/proof.py`: `begin`"),
        (
            test_functions_stand_in_the_file_that_the_page_says,
            "| step | function | in |\n|---|---|---|\n| 1 | `begin` | `services/wsfed/domain/proof.py` |",
        ),
        (test_settings_that_are_named_exist, "`BLOK365_NOTHING_OF_THAT_NAME`"),
        (test_messages_that_are_named_have_a_contract, "`admin.nothing.happened.v1`"),
        (test_commands_exist, "`make nothing`"),
        (test_commands_exist, "```\nblok365 people list contoso\n```"),
        (test_no_line_is_an_essay, "x" * 401),
    ],
)
def test_a_page_that_says_what_is_not_there_is_noticed(
    check: Callable[[Path], None], text: str, tmp_path: Path
) -> None:
    made = tmp_path / "page.md"
    made.write_text(text)
    with pytest.raises(AssertionError):
        check(made)
