"""Files with one random 256-bit key, of which two count while it is replaced: `<name>` and `<name>.old`."""

from collections.abc import Sequence
from pathlib import Path

from shared.ids import Ids

SIZE = 32
"""Octets of a key."""


def make_key(path: Path, ids: Ids) -> None:
    """Write a new key file, mode 0600, unless there is one."""
    if not path.exists():
        path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
        path.touch(mode=0o600)
        path.write_bytes(ids.random_bytes(SIZE))


def load_keys(path: Path) -> Sequence[bytes]:
    """The key that is used now, then the one before it while that is still accepted. Raises OSError, ValueError."""
    old = path.with_name(f"{path.name}.old")
    keys = [each.read_bytes() for each in (path, old) if each == path or each.exists()]
    if any(len(key) != SIZE for key in keys):
        raise ValueError(f"{path.name}: a key has {SIZE} octets")
    return keys
