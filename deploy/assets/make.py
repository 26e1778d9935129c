"""The icons, the font, the QR reader and htmx of our pages, from the packages that `package-lock.json` names.

Node 20 or newer and an npm registry are needed for that; which registry is npm's own setting.
"""

import hashlib
import os
import re
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path
from subprocess import CalledProcessError
from xml.etree import ElementTree

from deploy.setup.node import Node, node

HERE = Path(__file__).parent
ROOT = HERE.parents[1]
MADE = ROOT / "shared" / "web" / "assets"
"""Where `shared.web.static` looks for them."""
STAMP = ROOT / "var" / "assets.sha256"
NPM_FILES = ("package.json", "package-lock.json", ".npmrc")

ICONS = (
    "bell",
    "bell-off",
    "bell-ring",
    "camera-off",
    "circle-alert",
    "circle-check",
    "circle-x",
    "download",
    "globe",
    "history",
    "hourglass",
    "house",
    "inbox",
    "layout-grid",
    "list-checks",
    "lock",
    "lock-keyhole-open",
    "mail",
    "menu",
    "monitor",
    "octagon-alert",
    "qr-code",
    "refresh-cw",
    "scan-qr-code",
    "shield-alert",
    "shield-check",
    "smartphone",
    "timer-off",
    "triangle-alert",
    "user-key",
    "users",
    "wifi-off",
)
"""Names in Lucide (https://lucide.dev/icons). A page shows one by `<use href="icons.svg#NAME">`."""
FONTS = {
    "inter-latin.woff2": "inter-latin-wght-normal.woff2",
    "inter-latin-ext.woff2": "inter-latin-ext-wght-normal.woff2",
}
"""Our name, and the name in `@fontsource-variable/inter`: upright, every weight, by the range of its characters."""
MODULES = {
    "qr.js": 'export { decodeQR } from "qr/decode.js"; export { default as encodeQR } from "qr";\n',
    "htmx.js": 'export { default } from "htmx.org";\n',
}
"""Our scripts' name for a module, and what it offers: of the QR reader no more than the scanner needs, and the phone
that shows a code to a further one; of htmx what the console's lists are made with.
"""
LICENCES = {
    "Lucide (lucide-static)": "lucide-static/LICENSE",
    "Inter (@fontsource-variable/inter)": "@fontsource-variable/inter/LICENSE",
    "qr": "qr/LICENSE-MIT",
    "htmx (htmx.org)": "htmx.org/LICENSE",
}
"""What each licence asks to be kept with every copy. esbuild leaves nothing of itself in what it makes."""

SVG = "http://www.w3.org/2000/svg"
_OF_THE_PAGE = (
    "class",
    "width",
    "height",
    "fill",
    "stroke",
    "stroke-width",
    "stroke-linecap",
    "stroke-linejoin",
)
"""Attributes of an icon's root that our style sheet decides."""


def sprite(folder: Path, names: tuple[str, ...] = ICONS) -> bytes:
    """One file with a symbol for each of these icons. Raises FileNotFoundError for a name that Lucide does not have."""
    ElementTree.register_namespace("", SVG)
    root = ElementTree.Element(f"{{{SVG}}}svg")
    for name in names:
        symbol = ElementTree.parse(folder / f"{name}.svg").getroot()  # noqa: S314 - a file that the lock's hash names
        symbol.tag = f"{{{SVG}}}symbol"
        for attribute in _OF_THE_PAGE:
            symbol.attrib.pop(attribute, None)
        symbol.set("id", name)
        root.append(symbol)
    return re.sub(rb">\s+<", b"><", ElementTree.tostring(root))


def licences(modules: Path) -> bytes:
    """The licences of what the other files are made of."""
    return "\n\n".join(
        f"{name}\n{'=' * len(name)}\n\n{(modules / path).read_text().strip()}\n"
        for name, path in LICENCES.items()
    ).encode()


def make(modules: Path, found: Node, into: Path) -> None:
    """Make every file from the packages in `modules`. Raises CalledProcessError, OSError."""
    into.mkdir(parents=True)
    (into / "icons.svg").write_bytes(sprite(modules / "lucide-static" / "icons"))
    for name, original in FONTS.items():
        shutil.copyfile(modules / "@fontsource-variable" / "inter" / "files" / original, into / name)
    options = ["--bundle", "--minify", "--format=esm", "--target=es2022", "--legal-comments=none"]
    esbuild = [found.node, str(modules / "esbuild" / "bin" / "esbuild"), *options]
    for name, offers in MODULES.items():
        command = [*esbuild, f"--outfile={into / name}"]
        subprocess.run(command, cwd=modules.parent, input=offers.encode(), capture_output=True, check=True)
    (into / "licences.txt").write_bytes(licences(modules))


def install(found: Node, folder: Path) -> Path:
    """Put exactly what the lock names into `folder`; its `node_modules`. Raises CalledProcessError."""
    for name in NPM_FILES:
        shutil.copyfile(HERE / name, folder / name)
    # No package's own program runs. A registry that does not answer is given up after one more try.
    npm = [*found.npm, "ci", "--ignore-scripts", "--no-audit", "--no-fund", "--fetch-retries=1"]
    path = f"{found.folder}{os.pathsep}{os.environ.get('PATH', '')}"
    subprocess.run(npm, cwd=folder, env={**os.environ, "PATH": path}, capture_output=True, check=True)
    return folder / "node_modules"


def digest() -> str:
    """Of all that decides what is made."""
    files = (*(HERE / name for name in NPM_FILES), Path(__file__))
    return hashlib.sha256(b"\0".join(file.read_bytes() for file in files)).hexdigest()


def is_made() -> bool:
    """Whether the files are there, made from today's lock and by today's program."""
    return (MADE / "icons.svg").exists() and STAMP.exists() and STAMP.read_text() == digest()


def main() -> int:
    """Make them where they are not there, whole or not at all. Exit code 1, with one line that says why, when that does
    not work: the pages then have no icons, the system's own font, no scanner, and lists that load page by page.
    """
    if is_made():
        return 0
    print("setup: icons, font, QR reader and htmx of the pages, from npm", flush=True)
    try:
        found = node()
        with tempfile.TemporaryDirectory(dir=MADE.parent, prefix=".assets-") as name:
            together = Path(name)
            make(install(found, together), found, together / "made")
            shutil.rmtree(MADE, ignore_errors=True)
            (together / "made").rename(MADE)
    except FileNotFoundError as error:
        print(f"setup: {error}; until then the pages do without them", file=sys.stderr)
        return 1
    except CalledProcessError as error:
        lines = (error.stderr or b"").decode(errors="replace").strip().splitlines()
        why = next((line for line in lines if "error" in line.lower()), "it gave no reason")
        print(
            f"setup: npm failed: {why}; the pages do without them, and the next set-up tries again",
            file=sys.stderr,
        )
        return 1
    STAMP.parent.mkdir(exist_ok=True)
    STAMP.write_text(digest())
    return 0
