"""Set-up on a machine where something is missing: one line with a way out that this person can take."""

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from deploy.local.backing import BackingServiceMissing, containers, mongo, mongod
from deploy.setup import system

ROOT = Path(__file__).parents[2]


@pytest.fixture
def clone(tmp_path: Path) -> Path:
    """As much of the tree as set-up needs, in a folder with a space in its name."""
    folder = tmp_path / "a clone"
    for name in ("deploy/__init__.py", "deploy/setup", "deploy/assets", "requirements", "blok365"):
        target = folder / name
        target.parent.mkdir(parents=True, exist_ok=True)
        (shutil.copytree if (ROOT / name).is_dir() else shutil.copy)(ROOT / name, target)
    return folder


@pytest.mark.integration
@pytest.mark.long
def test_without_a_network_set_up_says_so_in_one_line(clone: Path) -> None:
    environment = {name: value for name, value in os.environ.items() if not name.startswith("PIP_")}
    environment |= {
        "PIP_CONFIG_FILE": os.devnull,
        "PIP_RETRIES": "1",
        "PIP_INDEX_URL": "http://127.0.0.1:1/simple",
    }
    done = subprocess.run(
        [sys.executable, "-m", "deploy.setup", "run"],
        cwd=clone,
        env=environment,
        capture_output=True,
        text=True,
    )
    assert done.returncode == 1, done
    assert done.stderr == ""
    last = done.stdout.splitlines()[-1]
    assert last.startswith("setup: the Python packages cannot be fetched: no package index answers.")
    assert "PIP_INDEX_URL" in last
    assert "Could not find a version" in (clone / "var" / "pip.log").read_text()


@pytest.mark.integration
def test_the_command_line_before_set_up_names_the_set_up(clone: Path, tmp_path: Path) -> None:
    done = subprocess.run([clone / "blok365", "tenant", "list"], cwd=tmp_path, capture_output=True, text=True)
    assert (done.returncode, done.stdout, done.stderr) == (1, "", "blok365: run `make setup` first.\n")


@pytest.mark.integration
def test_the_command_line_works_from_any_folder(clone: Path, tmp_path: Path) -> None:
    (clone / ".venv" / "bin").mkdir(parents=True)
    for name in ("shared", "services", "deploy"):
        shutil.rmtree(clone / name, ignore_errors=True)
        (clone / name).symlink_to(ROOT / name)
    (clone / ".venv" / "bin" / "python").write_text(f'#!/bin/sh\nexec "{sys.executable}" "$@"\n')
    (clone / ".venv" / "bin" / "python").chmod(0o755)
    done = subprocess.run([clone / "blok365", "--help"], cwd=tmp_path, capture_output=True, text=True)
    assert done.returncode == 0, done
    assert done.stdout.startswith("Usage: blok365 ")


def test_who_is_not_root_is_told_what_root_may_do(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os, "geteuid", lambda: 1000)
    monkeypatch.setattr(shutil, "which", lambda name: f"/usr/bin/{name}")
    line = system.provide(["libcurl4"], tmp_path / "apt.log")
    assert "as root run: apt-get update && apt-get install" in line
    monkeypatch.setattr(shutil, "which", lambda name: None)
    assert "what Debian calls libcurl4" in system.provide(["libcurl4"], tmp_path / "apt.log")


@pytest.mark.integration
@pytest.mark.parametrize("root", [False, True], ids=["a user", "root with apt"])
def test_a_mongod_without_its_library_is_explained(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, root: bool
) -> None:
    fake = tmp_path / "mongod"
    complaint = "error while loading shared libraries: libcurl.so.4: cannot open shared object file"
    fake.write_text(f'#!/bin/sh\necho "{fake}: {complaint}" >&2\nexit 127\n')
    fake.chmod(0o755)
    monkeypatch.delenv("BLOK365_MONGO_URL", raising=False)
    monkeypatch.setattr(mongo, "_candidates", lambda: [fake])
    monkeypatch.setattr(containers, "available", lambda image: False)
    monkeypatch.setattr(os, "geteuid", lambda: 0 if root else 1000)
    with pytest.raises(BackingServiceMissing, match=r"libcurl\.so\.4") as caught:
        mongod(tmp_path / "mongo")
    assert ("run `make setup`" in str(caught.value)) is root
    assert ("have an administrator install libcurl4" in str(caught.value)) is not root
    assert "BLOK365_MONGO_URL" in str(caught.value)
