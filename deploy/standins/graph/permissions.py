"""Which application permissions open which request. Reads `permissions.json` (drawn by `facts`)."""

import json
from collections.abc import Mapping
from functools import cache
from pathlib import Path
from typing import Any


@cache
def _facts() -> Mapping[str, Any]:
    found: Mapping[str, Any] = json.loads((Path(__file__).parent / "permissions.json").read_text("utf-8"))
    return found


@cache
def allowed(method: str, template: str) -> frozenset[str]:
    """The permissions of which one is enough. `template` is the path with `{id}` for each parameter.

    Empty where the source says nothing: then nobody may.
    """
    entry = _facts()["application"].get(f"{method} {template.lower()}")
    return frozenset(entry["allowed"]) if entry is not None else frozenset()
