"""Canonical JSON (RFC 8785) for what we sign: objects with ASCII names, text, whole numbers, true, false, null.

For such values Python's own json module writes exactly the octets of RFC 8785, three times as quick as the library
that the test compares it with (ADR 8). What it would write differently (fractions, names beyond ASCII, whole numbers
beyond 2^53, lone surrogates) is refused.
"""

import json
from collections.abc import Mapping
from typing import Any

MAX_WHOLE = 2**53 - 1

_write = json.JSONEncoder(ensure_ascii=False, separators=(",", ":"), sort_keys=True, allow_nan=False).encode


def canonical(value: Mapping[str, Any]) -> bytes:
    """The octets. Raises ValueError for a value that has no place in our messages."""
    _check(value)
    try:
        return _write(value).encode()
    except UnicodeEncodeError as error:
        raise ValueError("text with a lone surrogate") from error


def _check(value: Any) -> None:
    if value is None or isinstance(value, str | bool):
        return
    if isinstance(value, int):
        if abs(value) > MAX_WHOLE:
            raise ValueError("a whole number beyond 2^53")
    elif isinstance(value, Mapping):
        for name, inner in value.items():
            if not isinstance(name, str) or not name.isascii():
                raise ValueError("a name beyond ASCII")
            _check(inner)
    elif isinstance(value, list | tuple):
        for inner in value:
            _check(inner)
    else:
        raise ValueError(f"{type(value).__name__} has no canonical form here")
