"""Writing a file so that a reader meets the old one or the new one, and never half of either."""

import os
from pathlib import Path


def replace_file(path: Path, contents: bytes | str, *, mode: int = 0o600) -> None:
    """Write beside `path` under `<name>.new`, then rename. Nobody but the owner can read it before the rename.

    On return it is on the disk: a machine that loses power afterwards comes back with it.

    `mode`: permissions of the file. Text becomes UTF-8. The folder must be there; two writers of one path at the same
    time are not told apart. Raises OSError.
    """
    partial = path.with_name(path.name + ".new")
    partial.unlink(missing_ok=True)
    partial.touch(mode=0o600)
    partial.write_bytes(contents.encode() if isinstance(contents, str) else contents)
    partial.chmod(mode)
    _sync(partial)
    partial.replace(path)
    _sync(path.parent)


def _sync(path: Path) -> None:
    """Have the file, or the names in the folder, written to the disk (fsync(2))."""
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
