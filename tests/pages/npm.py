"""What tests need from npm, installed by the lock beside them into a folder below var/."""

import shutil
import subprocess
from pathlib import Path

HERE = Path(__file__).parent
VAR = HERE.parents[1] / "var"


def node_modules(folder: Path = HERE) -> Path:
    """The folder of the packages that `package.json` in that folder names. Without npm the test fails and says so."""
    to = VAR / folder.name
    to.mkdir(parents=True, exist_ok=True)
    modules, installed = to / "node_modules", to / "package-lock.json"
    lock = (folder / "package-lock.json").read_text()
    if not modules.is_dir() or not installed.is_file() or installed.read_text() != lock:
        assert shutil.which("npm"), "install npm (Debian: apt install npm), or put a Node with it on the PATH"
        for name in ("package.json", "package-lock.json", ".npmrc"):
            shutil.copy(folder / name, to / name)
        npm = ["npm", "ci", "--ignore-scripts", "--no-audit", "--no-fund"]
        subprocess.run(npm, cwd=to, check=True)
    return modules
