"""Files with one random 256-bit key. While it is replaced others count beside it: `<name>.next`, which another replica
uses already, and `<name>.old`, which was used before (docs/flows/key-roll-over.md).
"""

from collections.abc import Sequence
from pathlib import Path

from shared.files import replace_file
from shared.ids import Ids

SIZE = 32
"""Octets of a key."""


def make_key(path: Path, ids: Ids) -> None:
    """Write a new key file, mode 0600, unless there is one."""
    if not path.exists():
        path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
        replace_file(path, ids.random_bytes(SIZE))


def load_keys(path: Path) -> Sequence[bytes]:
    """The key that is used now, then those that are accepted beside it. Raises OSError, ValueError."""
    beside = [path.with_name(f"{path.name}.{suffix}") for suffix in ("next", "old")]
    keys = []
    for each in (path, *(other for other in beside if other.exists())):
        key = each.read_bytes()
        if len(key) != SIZE:
            raise ValueError(f"{each.name}: a key has {SIZE} octets")
        keys.append(key)
    return keys
