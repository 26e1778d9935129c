"""What tests/pages needs from npm, installed by its lock into var/pages."""

import shutil
import subprocess
from pathlib import Path

HERE = Path(__file__).parent
INSTALLED = HERE.parents[1] / "var/pages"


def node_modules() -> Path:
    """The folder of the packages. Without npm the test fails and says so."""
    INSTALLED.mkdir(parents=True, exist_ok=True)
    modules, installed = INSTALLED / "node_modules", INSTALLED / "package-lock.json"
    lock = (HERE / "package-lock.json").read_text()
    if not modules.is_dir() or not installed.is_file() or installed.read_text() != lock:
        assert shutil.which("npm"), "install npm (Debian: apt install npm), or put a Node with it on the PATH"
        for name in ("package.json", "package-lock.json", ".npmrc"):
            shutil.copy(HERE / name, INSTALLED / name)
        npm = ["npm", "ci", "--ignore-scripts", "--no-audit", "--no-fund"]
        subprocess.run(npm, cwd=INSTALLED, check=True)
    return modules
