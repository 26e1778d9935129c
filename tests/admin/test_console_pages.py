"""The console's pages as text: both languages say the same, no word is left over, styles use tokens that exist."""

import json
import re
from pathlib import Path
from string import Formatter

from services.admin.domain.authenticators import Reason
from services.admin.domain.roles import RULES, Act, Role
from services.admin.pages import PACKAGE
from services.admin.pages.views import SECTIONS
from shared.contracts.admin import AccountStatus, AuthenticatorStatus
from shared.web.static import StaticFiles

ROOT = Path(__file__).parents[2]
WORDS = {lang: json.loads((PACKAGE / "pages" / f"{lang}.json").read_text("utf-8")) for lang in ("en", "fr")}
ROUTES = "".join(file.read_text("utf-8") for file in PACKAGE.rglob("routes/*.py"))
FILES = StaticFiles("admin", [PACKAGE / "static"])
USED = "".join(
    file.read_text("utf-8")
    for file in (
        *(PACKAGE / "pages").rglob("*.html"),
        *PACKAGE.rglob("routes/*.py"),
        *PACKAGE.rglob("pages/*.py"),
    )
)


def test_both_languages_have_the_same_keys_with_the_same_values() -> None:
    assert WORDS["en"].keys() == WORDS["fr"].keys()
    for key, text in WORDS["en"].items():
        names = [
            {name for _, name, _, _ in Formatter().parse(each) if name} for each in (text, WORDS["fr"][key])
        ]
        assert names[0] == names[1], key
        assert text, key
        assert WORDS["fr"][key], key


def test_what_pages_name_by_a_value_has_words() -> None:
    wanted = {
        *(f"role.{each}" for each in Role),
        *(f"role.{each}.hint" for each in Role),
        *(f"status.{each.value}" for each in AccountStatus),
        *(f"phone.{each.value}" for each in AuthenticatorStatus),
        *(f"reason.{each}" for each in Reason),
        *(f"nav.{each.key}" for each in SECTIONS),
        *(f"act.{act}" for act in Act if not act.endswith(".see")),
        *(f"said.{key}" for key in re.findall(r'[(, ]said="(\w+)"', ROUTES)),
    }
    assert wanted <= WORDS["en"].keys()
    assert {each.act for each in SECTIONS} <= RULES.keys()


def test_no_words_are_left_that_no_page_says() -> None:
    built = tuple(re.findall(r"""["']([a-z_.]+\.)["'] ~""", USED))
    assert [key for key in WORDS["en"] if key not in USED and not key.startswith(built)] == []


def scripts_of(template: str) -> set[str]:
    """The files of script that the template's pages load, those that they import too."""
    text = (PACKAGE / "pages" / template).read_text("utf-8")
    named = set(re.findall(r'script\("([\w-]+\.js)"', text))
    for above in re.findall(r'\{% extends "([\w-]+\.html)"', text):
        named |= scripts_of(above) if (PACKAGE / "pages" / above).exists() else set()
    found: set[str] = set()
    while named:
        name = named.pop()
        found.add(name)
        source = FILES.files[name].decode()
        named |= set(re.findall(r'from\s*"\./([\w-]+\.js)"', source)) - found
    return found


def test_no_page_has_more_than_100_kb_of_script() -> None:
    templates = sorted(file.name for file in (PACKAGE / "pages").glob("*.html"))
    sizes = {template: sum(len(FILES.files[name]) for name in scripts_of(template)) for template in templates}
    assert {"lists.js", "htmx.js", "console.js"} <= scripts_of("people.html")
    assert sizes["people.html"] > 30_000, "run `make setup`: it makes htmx.js"
    assert max(sizes.values()) <= 100_000, sizes


def test_styles_use_only_tokens_that_exist() -> None:
    """A rule with a token that is gone is no rule: the page would lose its margins without anybody being told."""
    common = (ROOT / "shared/web/static/blok365.css").read_text("utf-8")
    for file in [*(ROOT / "services").rglob("*.css"), *(ROOT / "shared/web").rglob("*.css")]:
        if "node_modules" in file.parts:
            continue
        text = file.read_text("utf-8")
        known = set(re.findall(r"(--[\w-]+):", common + text))
        used = set(re.findall(r"var\((--[\w-]+)\)", text))
        assert used <= known, (file, used - known)
