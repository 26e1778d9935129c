"""Renders and collects the tree. The same sources give the same octets."""

from collections.abc import Iterable, Mapping
from functools import cache
from pathlib import Path

import services
import shared.web
from shared.services import SERVICES
from shared.web.frame import Pages
from shared.web.i18n import LANGUAGES
from shared.web.site import LATEST, PROXY, Tree
from shared.web.static import StaticFiles

OURS = Path(shared.web.__file__).parent
PHONE = OURS / "phone"
FRONT = OURS / "front"
PLANNED = ("kiosk",)
"""Hosts that have a page which says what is to come."""


def build(packages: Mapping[str, Path]) -> Tree:
    """The tree with the static files of the services in those folders, and all pages of ours.

    Raises ValueError for a file of an unknown type, and jinja2's errors for a broken template.
    """
    phone, front = Pages("phone", PHONE), Pages("front", FRONT)
    owners = [StaticFiles(name, [package / "static"]) for name, package in packages.items()]
    tree = _static([*owners, phone.static, front.static, StaticFiles(PROXY)])
    for lang in LANGUAGES:
        tree[f"pages/phone.{lang}.html"] = phone.text("phone.html", lang=lang).encode()
        tree[f"pages/front.{lang}.html"] = _front_page(front, lang, walk=False)
        for name in PLANNED:
            tree[f"pages/{name}.{lang}.html"] = front.text("planned.html", view=name, lang=lang).encode()
    tree["pages/sw.js"] = (PHONE / "sw.js").read_bytes()
    return tree


@cache
def built() -> Tree:
    """The tree of the services of the table, built once in a process."""
    folder = Path(services.__file__).parent
    return build({name: folder / name for name in SERVICES})


def front_pages_with_walk() -> Tree:
    """The front page in each language for `make run`: the first sign-in stands there before the script has asked how
    far it is, so that nothing moves when the answer comes.
    """
    front = Pages("front", FRONT)
    return {f"pages/front.{lang}.html": _front_page(front, lang, walk=True) for lang in LANGUAGES}


def _front_page(front: Pages, lang: str, *, walk: bool) -> bytes:
    return front.text("front.html", view={"walk": walk}, lang=lang).encode()


def _static(owners: Iterable[StaticFiles]) -> dict[str, bytes]:
    return {
        f"static/{each.owner}/{place}/{name}": data
        for each in owners
        for place in (each.hash, LATEST)
        for name, data in each.files.items()
    }


def write(tree: Tree, folder: Path) -> None:
    """Write the tree, readable by everybody."""
    for name, data in tree.items():
        file = folder / name
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_bytes(data)
