"""Writing a file so that a reader meets the old one or the new one, and never half of either."""

from pathlib import Path


def replace_file(path: Path, contents: bytes | str, *, mode: int = 0o600) -> None:
    """Write beside `path` under `<name>.new`, then rename. Nobody but the owner can read it before the rename.

    `mode`: permissions of the file. Text becomes UTF-8. The folder must be there; two writers of one path at the same
    time are not told apart. Raises OSError.
    """
    partial = path.with_name(path.name + ".new")
    partial.unlink(missing_ok=True)
    partial.touch(mode=0o600)
    partial.write_bytes(contents.encode() if isinstance(contents, str) else contents)
    partial.chmod(mode)
    partial.replace(path)
