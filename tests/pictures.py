"""Pictures of our pages: `make pictures` draws every state into var/pictures/, and the few that docs/ shows anew.

A picture in docs/pictures/ is replaced only when something that it shows has changed since it was drawn, which
docs/pictures/drawn_from.json records: the SHA-256 of its inputs. Comparing inputs instead of pixels gives the same
answer on machines with other fonts.
"""

import asyncio
import hashlib
import json
import logging
import shutil
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import structlog
from PIL import Image

import tests.admin.pictures
import tests.approval.pictures
import tests.pages.pictures

ROOT = Path(__file__).parents[1]
SHOWN = Path("docs/pictures")
RECORD = SHOWN / "drawn_from.json"
LARGEST = 40_000
"""Octets of a picture in docs/."""


@dataclass(frozen=True)
class Shown:
    """A picture that a page of docs/ embeds: which one of var/pictures/ it is, and the templates,
    strings, style and scripts that decide its look.
    """

    drawn: str
    inputs: tuple[str, ...]


_FRAME = ("shared/web/templates/*", "shared/web/strings/en.json", "shared/web/static/*", "deploy/assets/*")
_SIGN_IN = (*_FRAME, "services/wsfed/pages/*.html", "services/wsfed/pages/en.json", "services/wsfed/static/*")
_PHONE = (
    *_FRAME,
    "shared/web/phone/pages/*.html",
    "shared/web/phone/pages/en.json",
    "shared/web/phone/static/*",
)
_CONSOLE = (*_FRAME, "services/admin/pages/*.html", "services/admin/pages/en.json", "services/admin/static/*")

PICTURES: Mapping[str, Shown] = {
    "push.png": Shown("signin/push-waiting-desktop-light.png", _SIGN_IN),
    "qr-code.png": Shown("signin/qr-waiting-desktop-dark.png", _SIGN_IN),
    "passkey.png": Shown("signin/passkey-asking-desktop-light.png", _SIGN_IN),
    "approved.png": Shown("signin/proved-phone-light.png", _SIGN_IN),
    "phone-added.png": Shown("signin/added-desktop-light.png", _SIGN_IN),
    "error.png": Shown("signin/problem-phone-dark.png", _SIGN_IN),
    "signed-out.png": Shown("signin/signed-out-phone-light.png", _SIGN_IN),
    "request.png": Shown("key/request-unknown-phone-dark.png", _PHONE),
    "enrolment.png": Shown("key/invited-phone-light.png", _PHONE),
    "console-join.png": Shown("console/join-desktop-light.png", _CONSOLE),
    "console-overview.png": Shown("console/overview-phone-light.png", _CONSOLE),
    "console-person-new.png": Shown("console/person-new-desktop-light.png", _CONSOLE),
    "console-person.png": Shown("console/person-desktop-light.png", _CONSOLE),
    "console-script.png": Shown("console/script-ask-desktop-light.png", _CONSOLE),
}


def drawn_from(inputs: tuple[str, ...], root: Path = ROOT) -> str:
    """SHA-256 over names and contents of the files that those patterns find, lower-case hexadecimal.

    Raises ValueError when a pattern finds nothing, since a file that was renamed would otherwise go unnoticed.
    """
    digest = hashlib.sha256()
    for pattern in inputs:
        files = sorted(file for file in root.glob(pattern) if file.is_file())
        if not files:
            raise ValueError(f"no file is called {pattern}")
        for file in files:
            content = hashlib.sha256(file.read_bytes()).hexdigest()
            digest.update(f"{file.relative_to(root).as_posix()} {content}\n".encode())
    return digest.hexdigest()


def stale(root: Path = ROOT) -> list[str]:
    """The names of those pictures in docs/pictures/ that are missing or were drawn from other files than today's."""
    record = root / RECORD
    known = json.loads(record.read_text()) if record.exists() else {}
    return [
        name
        for name, shown in PICTURES.items()
        if not (root / SHOWN / name).exists() or known.get(name) != drawn_from(shown.inputs, root)
    ]


def reduce(picture: Path, to: Path) -> None:
    """Write the picture with at most 256 colours: a third of Chromium's file, and to the eye the same."""
    with Image.open(picture) as image:
        image.convert("RGB").quantize(256, dither=Image.Dither.NONE).save(to, optimize=True)


def main() -> int:
    structlog.configure(wrapper_class=structlog.make_filtering_bound_logger(logging.WARNING))
    out = ROOT / "var/pictures"
    shutil.rmtree(out, ignore_errors=True)
    for name in ("signin", "key", "console"):
        (out / name).mkdir(parents=True, exist_ok=True)
    tests.pages.pictures.draw(out / "signin")
    asyncio.run(tests.approval.pictures.draw(out / "key"))
    asyncio.run(tests.admin.pictures.draw(out / "console"))
    print(f"{len(list(out.glob('*/*.png')))} pictures in {out.relative_to(ROOT)}/")
    (ROOT / SHOWN).mkdir(exist_ok=True)
    for name in stale():
        reduce(out / PICTURES[name].drawn, ROOT / SHOWN / name)
        print(f"{SHOWN / name} is new: look at it, and commit it")
    record = {name: drawn_from(shown.inputs) for name, shown in sorted(PICTURES.items())}
    (ROOT / RECORD).write_text(json.dumps(record, indent=2) + "\n")
    return 0


if __name__ == "__main__":
    sys.exit(main())
