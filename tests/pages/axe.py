"""axe-core, the accessibility checker that runs inside a page."""

import shutil
import subprocess
from pathlib import Path

HERE = Path(__file__).parent
INSTALLED = HERE.parents[1] / "var/pages"
RUN = "axe.run().then(r => r.violations.map(v => [v.id, v.nodes.map(n => n.html)]))"
"""For `page.evaluate` after the script: what is wrong, as rule and elements; empty when nothing is."""


def axe_script() -> str:
    """The checker, installed by its lock into var/pages. Without npm the test fails and says so."""
    INSTALLED.mkdir(parents=True, exist_ok=True)
    script = INSTALLED / "node_modules/axe-core/axe.min.js"
    lock = (HERE / "package-lock.json").read_text()
    if not script.is_file() or (INSTALLED / "package-lock.json").read_text() != lock:
        assert shutil.which("npm"), "install npm (Debian: apt install npm), or put a Node with it on the PATH"
        for name in ("package.json", "package-lock.json", ".npmrc"):
            shutil.copy(HERE / name, INSTALLED / name)
        npm = ["npm", "ci", "--ignore-scripts", "--no-audit", "--no-fund"]
        subprocess.run(npm, cwd=INSTALLED, check=True)
    return script.read_text("utf-8")
