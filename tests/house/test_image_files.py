"""What .dockerignore lets into the image is enough for every program that runs there."""

import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from shared.services import SERVICES

pytestmark = pytest.mark.long

ROOT = Path(__file__).resolve().parents[2]
PROGRAMS = (
    "deploy.assets.make",
    "deploy.cli.commands",
    "deploy.pages.builder",
    "deploy.setup.secrets",
    *(f"services.{name}.app" for name in SERVICES),
)


@pytest.fixture(scope="module")
def image(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with the files of the build context, as the lines that begin with an exclamation mark name them."""
    folder = tmp_path_factory.mktemp("image")
    for line in (ROOT / ".dockerignore").read_text().splitlines():
        for source in ROOT.glob(line[1:]) if line.startswith("!") else ():
            target = folder / source.relative_to(ROOT)
            target.parent.mkdir(parents=True, exist_ok=True)
            if source.is_dir():
                shutil.copytree(source, target, dirs_exist_ok=True)
            else:
                shutil.copy(source, target)
    return folder


@pytest.mark.parametrize("program", PROGRAMS)
def test_a_program_of_the_image_finds_all_its_modules(image: Path, program: str) -> None:
    command = [sys.executable, "-c", f"import {program}"]
    done = subprocess.run(command, cwd=image, env={"PYTHONPATH": str(image)}, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
