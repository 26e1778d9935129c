"""`var/run`: whom a command wakes."""

import os
import signal
from collections.abc import Iterator
from pathlib import Path

import pytest

from deploy.local import run_folder


@pytest.fixture
def pokes() -> Iterator[list[int]]:
    """The signals that this process got."""
    got: list[int] = []
    before = signal.signal(run_folder.POKE, lambda number, _: got.append(number))
    yield got
    signal.signal(run_folder.POKE, before)


def test_only_a_process_that_has_announced_itself_is_poked(tmp_path: Path, pokes: list[int]) -> None:
    """A command that runs in the moment when `make run` starts ends neither it nor its own process group."""
    with run_folder.hold(tmp_path):
        starting = run_folder.find(tmp_path)
        assert starting is not None
        assert starting.pid == os.getpid()
        starting.poke()
        (tmp_path / "run" / "lock").write_text("")
        unwritten = run_folder.find(tmp_path)
        assert unwritten is not None
        assert unwritten.pid == 0
        unwritten.poke()
        assert pokes == []
        run_folder.announce(tmp_path, {"origin": "http://id.localhost:8365"})
        announced = run_folder.find(tmp_path)
        assert announced is not None
        announced.poke()
        assert pokes == [run_folder.POKE]
