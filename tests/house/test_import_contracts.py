"""The import contracts of pyproject.toml catch what they are there for: each on a small tree of the same shape."""

import shutil
import subprocess
import sys
from pathlib import Path

import pytest

pytestmark = pytest.mark.long

ROOT = Path(__file__).resolve().parents[2]
MODULES = (
    *("shared.clock", "shared.ids", "shared.errors", "shared.store.mongo", "shared.contracts.wsfed"),
    *(
        "shared.testing.waiting",
        "deploy.standins.entra.tokens",
        "deploy.standins.graph.users",
        "deploy.local.backing",
    ),
    *(
        f"services.{service}.{module}"
        for service in ("wsfed", "approval")
        for module in ("__main__", "app", "routes", "store", "handlers", "ports", "domain", "config")
    ),
    "services.wsfed.projections",
)


def _write(tree: Path, module: str, line: str) -> None:
    file = tree.joinpath(*module.split(".")).with_suffix(".py")
    file.parent.mkdir(parents=True, exist_ok=True)
    for folder in [file.parent, *file.parent.parents]:
        if folder == tree:
            break
        (folder / "__init__.py").touch()
    file.write_text(line + "\n")


@pytest.fixture
def tree(tmp_path: Path) -> Path:
    shutil.copy(ROOT / "pyproject.toml", tmp_path)
    for module in MODULES:
        _write(tmp_path, module, "")
    _write(tmp_path, "shared.store.mongo", "import motor.motor_asyncio")
    _write(tmp_path, "services.wsfed.store", "import shared.store.mongo")
    _write(tmp_path, "services.wsfed.app", "import services.wsfed.routes, services.wsfed.store")
    _write(tmp_path, "deploy.standins.entra.tokens", "import shared.clock, shared.ids")
    _write(tmp_path, "deploy.standins.graph.users", "import shared.clock, shared.ids")
    _write(tmp_path, "deploy.local.backing", "import shared.testing.waiting")
    return tmp_path


def _lint(tree: Path) -> subprocess.CompletedProcess[str]:
    command = [
        sys.executable,
        "-c",
        "from importlinter.cli import lint_imports_command as c; c()",
        "--no-cache",
    ]
    return subprocess.run(command, cwd=tree, capture_output=True, text=True, env={"PYTHONPATH": str(tree)})


def test_accepts_the_shape_of_the_house(tree: Path) -> None:
    done = _lint(tree)
    assert done.returncode == 0, done.stdout + done.stderr


@pytest.mark.parametrize(
    ("module", "line", "broken"),
    [
        ("services.wsfed.handlers", "import services.approval.config", "Services are independent"),
        ("shared.errors", "import services.wsfed.config", "Shared code knows no service"),
        ("services.wsfed.app", "import deploy.local.backing", "Services do not reach into deployment"),
        ("services.wsfed.config", "import services.wsfed.domain", "Layers within a service"),
        ("services.wsfed.routes", "import services.wsfed.store", "Layers within a service"),
        ("services.wsfed.handlers", "import services.wsfed.projections", "Layers within a service"),
        ("services.wsfed.projections", "import services.wsfed.handlers", "Layers within a service"),
        ("services.wsfed.ports", "import services.wsfed.projections", "Layers within a service"),
        ("services.wsfed.helpers", "", "Layers within a service"),
        ("services.wsfed.handlers", "import aiohttp", "Domain, handlers, projections"),
        ("services.wsfed.ports", "import shared.store.mongo", "Domain, handlers, projections"),
        ("shared.contracts.wsfed", "import aio_pika", "Domain, handlers, projections"),
        ("services.wsfed.routes", "import motor.motor_asyncio", "motor only in shared.store"),
        ("services.wsfed.handlers", "import shared.testing.waiting", "What only tests"),
        ("shared.ids", "import shared.testing.waiting", "What only tests"),
        ("deploy.standins.entra.tokens", "import shared.errors", "Microsoft's stand-ins"),
        ("deploy.standins.entra.tokens", "import services.wsfed.domain", "Microsoft's stand-ins"),
        ("deploy.standins.graph.users", "import shared.errors", "Microsoft's stand-ins"),
    ],
)
def test_breaks_on_a_planted_import(tree: Path, module: str, line: str, broken: str) -> None:
    _write(tree, module, line)
    done = _lint(tree)
    assert done.returncode != 0
    hit = [text for text in done.stdout.splitlines() if broken in text and "BROKEN" in text]
    # A long name is wrapped by the report: the word may stand on the next line.
    assert hit or (broken in done.stdout and "BROKEN" in done.stdout.partition(broken)[2].splitlines()[1])
