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

ROOT = Path(__file__).parents[2]
WORDS = {lang: json.loads((PACKAGE / "pages" / f"{lang}.json").read_text("utf-8")) for lang in ("en", "fr")}
ROUTES = "".join(file.read_text("utf-8") for file in PACKAGE.rglob("routes/*.py"))
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
