"""A request and its answer as the core sees them: no sockets, no framework."""

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any
from urllib.parse import unquote_to_bytes

Json = dict[str, Any]


@dataclass(frozen=True, slots=True)
class Request:
    """One HTTP request. `target` is path and query exactly as sent, escapes and all; header names in lower case."""

    method: str
    target: str
    headers: Mapping[str, str] = field(default_factory=dict)
    body: bytes = b""

    @property
    def path(self) -> str:
        return self.target.partition("?")[0]

    @property
    def query(self) -> str:
        return self.target.partition("?")[2]

    @property
    def content_type(self) -> str:
        """Media type in lower case without parameters; empty where there is none."""
        return self.headers.get("content-type", "").partition(";")[0].strip().lower()


class Fate(StrEnum):
    """What becomes of an answer on its way back."""

    SENT = "sent"
    DROPPED = "dropped"
    """The connection ends without an answer."""


@dataclass(frozen=True, slots=True)
class Answer:
    """One HTTP answer. `body` None: no body (204)."""

    status: int
    body: Json | None = None
    headers: Mapping[str, str] = field(default_factory=dict)
    fate: Fate = Fate.SENT
    delay: float = 0.0
    """Seconds of the stand-in's clock until it is sent."""


def decoded(text: str) -> str:
    """Percent-decoded once, as UTF-8. Raises ValueError."""
    return unquote_to_bytes(text).decode("utf-8", "strict")


def parsed_json(octets: bytes) -> object:
    """The JSON value. Raises ValueError; a name that is there twice is refused too."""
    return json.loads(octets.decode("utf-8", "strict"), object_pairs_hook=_once, parse_constant=_no_constant)


def _once(pairs: list[tuple[str, Any]]) -> Json:
    found = dict(pairs)
    if len(found) != len(pairs):
        raise ValueError("a name is there twice")
    return found


def _no_constant(name: str) -> object:
    raise ValueError(f"{name} is not JSON")
