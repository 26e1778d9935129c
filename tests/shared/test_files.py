"""shared.files."""

from pathlib import Path

import pytest

from shared.files import replace_file


def mode_of(path: Path) -> int:
    return path.stat().st_mode & 0o777


def test_replaces_the_file_and_leaves_nothing_beside_it(tmp_path: Path) -> None:
    path = tmp_path / "a.json"
    replace_file(path, "é", mode=0o644)
    assert mode_of(path) == 0o644
    replace_file(path, b"two")
    assert path.read_bytes() == b"two"
    assert mode_of(path) == 0o600
    assert list(tmp_path.iterdir()) == [path]


def test_an_interrupted_attempt_is_begun_anew_and_is_never_readable_by_others(tmp_path: Path) -> None:
    left = tmp_path / "a.json.new"
    left.write_bytes(b"half")
    left.chmod(0o666)
    replace_file(tmp_path / "a.json", b"whole")
    assert mode_of(tmp_path / "a.json") == 0o600


def test_the_old_file_stays_when_the_new_one_cannot_be_written(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "a"
    replace_file(path, b"old")

    def full(*_: object) -> int:
        raise OSError("no space left on device")

    monkeypatch.setattr(Path, "write_bytes", full)
    with pytest.raises(OSError, match="no space"):
        replace_file(path, b"new")
    assert path.read_bytes() == b"old"
