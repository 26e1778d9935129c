"""What our pages take from npm: it is made, whole, and no more of it than the pages use."""

import gzip
import json
import re
from xml.etree import ElementTree

import pytest
from bs4 import BeautifulSoup

from deploy.assets.make import FONTS, HERE, ICONS, LICENCES, SVG, is_made, sprite
from deploy.pages import built, front_pages_with_walk
from services.wsfed.pages import SignInPages
from shared.web.i18n import LANGUAGES
from shared.web.static import ASSETS, SHARED, WITHOUT_ASSETS
from tests.house.test_documents import ROOT
from tests.pages.samples import VIEWS

PAGES = SignInPages()

SHOWN = re.compile(r"icons\.svg#([a-z0-9-]+)")


@pytest.fixture(autouse=True)
def _made() -> None:
    assert is_made(), "run `make setup`: it makes the pages' icons, font, QR reader and htmx"


def ids() -> list[str]:
    root = ElementTree.fromstring((ASSETS / "icons.svg").read_bytes())
    assert {each.tag for each in root} == {f"{{{SVG}}}symbol"}
    return [each.attrib["id"] for each in root]


def test_sprite_has_the_icons_of_the_list_and_their_lines() -> None:
    assert ids() == sorted(ICONS)
    for symbol in ElementTree.fromstring((ASSETS / "icons.svg").read_bytes()):
        assert symbol.attrib.keys() == {"id", "viewBox"}
        assert len(symbol)


def test_an_icon_that_lucide_does_not_have_is_an_error(tmp_path: object) -> None:
    with pytest.raises(FileNotFoundError):
        sprite(ASSETS, ("no-such-icon",))


def test_every_icon_that_a_page_shows_is_there() -> None:
    signin = [PAGES.pages.text("signin.html", view=view, lang="en", nonce="n") for view in VIEWS.values()]
    static = [data.decode() for file, data in built().items() if file.endswith(".html")]
    shown = {name for text in (*signin, *static) for name in SHOWN.findall(text)}
    assert shown
    assert shown <= set(ICONS)


@pytest.mark.parametrize("name", ICONS)
def test_every_icon_of_the_list_is_used(name: str) -> None:
    texts = [
        file.read_text()
        for folder in ("services", "shared")
        for pattern in ("*.html", "pages/*.py")
        for file in (ROOT / folder).rglob(pattern)
    ]
    assert any(f'"{name}"' in text for text in texts)


def test_fonts_are_preloaded_or_named_by_the_style_sheet() -> None:
    style = (SHARED / "blok365.css").read_text()
    for name in FONTS:
        assert (ASSETS / name).read_bytes().startswith(b"wOF2")
        assert f'url("{name}")' in style
    assert style.count("font-display: optional") == len(FONTS)


def test_licences_go_with_the_files() -> None:
    text = (ASSETS / "licences.txt").read_text()
    for name in LICENCES:
        assert name in text
    assert text.count("Copyright") >= len(LICENCES)


def test_stand_ins_for_missing_files_are_never_in_the_way_of_them() -> None:
    for name in WITHOUT_ASSETS:
        served = {data for file, data in built().items() if file.endswith(f"/{name}")}
        assert served == {(ASSETS / name).read_bytes()}


def test_lock_names_no_registry_and_every_package_by_its_hash() -> None:
    lock = json.loads((HERE / "package-lock.json").read_text())
    wanted = json.loads((HERE / "package.json").read_text())["devDependencies"]
    for path, package in lock["packages"].items():
        if path:
            assert "resolved" not in package
            assert package["integrity"].startswith("sha512-")
    assert {name: lock["packages"][f"node_modules/{name}"]["version"] for name in wanted} == wanted


def test_weight_of_the_phones_page() -> None:
    """Compressed: the page, and every file that it names but its font and what is only fetched to scan."""
    tree = built()
    page = tree["pages/phone.en.html"].decode()
    named = set(re.findall(r'(?:src|href)="/(static/phone/[^"#]+)', page))
    assert {"phone.js", "scanner.js", "phone.css", "icons.svg"} <= {name.rpartition("/")[2] for name in named}
    assert not any(name.endswith("/qr.js") for name in named)
    texts = [page.encode(), *(tree[name] for name in sorted(named) if not name.endswith((".woff2", ".png")))]
    assert sum(len(gzip.compress(text)) for text in texts) <= 60_000


@pytest.mark.parametrize("lang", LANGUAGES)
def test_only_make_run_shows_the_first_sign_in_from_the_beginning(lang: str) -> None:
    name = f"pages/front.{lang}.html"
    for tree, shown in ((built(), False), (front_pages_with_walk(), True)):
        section = BeautifulSoup(tree[name], "lxml").find(id="walk")
        assert section is not None
        assert section.has_attr("hidden") is not shown
