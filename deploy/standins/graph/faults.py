"""Misbehaviour on request: which request goes wrong, and how. Chance comes from a seed: a run can be repeated."""

from dataclasses import dataclass, field
from enum import StrEnum
from fnmatch import fnmatchcase

from shared.ids import Ids


class Kind(StrEnum):
    """How a request goes wrong."""

    TOO_MANY = "too_many"
    """429 with Retry-After (`retry_after`, seconds), before anything is done."""
    UNAVAILABLE = "unavailable"
    """503, with Retry-After where `retry_after` says so, before anything is done."""
    GATEWAY_TIMEOUT = "gateway_timeout"
    """504 before anything is done."""
    EXPIRED_TOKEN = "expired_token"  # noqa: S105 - a name
    """401 as if the token had just expired."""
    INVALID_ONCE = "invalid_once"
    """400 "One or more property values specified are invalid", which a retry cures."""
    DROP_BEFORE_WRITE = "drop_before_write"
    """The connection ends before anything is done."""
    DROP_AFTER_WRITE = "drop_after_write"
    """Everything is done; then the connection ends without an answer."""
    ERROR_AFTER_WRITE = "error_after_write"
    """Everything is done; the answer is 500."""
    SLOW = "slow"
    """The answer comes `seconds` later."""
    NOT_FOUND_AFTER_CREATE = "not_found_after_create"
    """A user created by this request is unknown to that `share` of reads for `seconds`."""
    LOSE_SLASHES = "lose_slashes"
    """URIs of a federation configuration are kept with `/` where `//` was sent."""


DONE_FIRST = frozenset(
    {Kind.DROP_AFTER_WRITE, Kind.ERROR_AFTER_WRITE, Kind.SLOW, Kind.NOT_FOUND_AFTER_CREATE, Kind.LOSE_SLASHES}
)
"""Kinds under which the request is carried out."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Rule:
    """Requests that match go wrong in this way."""

    kind: Kind
    method: str = "*"
    path: str = "*"
    """A pattern of fnmatch for the path below /v1.0, decoded, without query; `/token` is the token endpoint."""
    times: int | None = None
    """How many requests; None: without end."""
    skip: int = 0
    """How many matching requests go well first."""
    probability: float = 1.0
    retry_after: int | None = None
    """Seconds."""
    seconds: float = 0.0
    share: float = 1.0


@dataclass(slots=True)
class Active:
    """A rule, and how often it matched and hit."""

    rule: Rule
    matched: int = 0
    hit: int = 0


@dataclass(slots=True)
class Faults:
    """The rules in the order in which they came."""

    ids: Ids
    active: list[Active] = field(default_factory=list)

    def add(self, rule: Rule) -> None:
        self.active.append(Active(rule))

    def clear(self) -> None:
        self.active.clear()

    def chosen(self, method: str, path: str) -> tuple[Rule, ...]:
        """The rules that hit this request: at most one of each kind, the first."""
        found: list[Rule] = []
        for each in self.active:
            rule = each.rule
            if rule.method not in ("*", method) or not fnmatchcase(path, rule.path):
                continue
            each.matched += 1
            if each.matched <= rule.skip or (rule.times is not None and each.hit >= rule.times):
                continue
            if not self.happens(rule.probability) or any(other.kind is rule.kind for other in found):
                continue
            each.hit += 1
            found.append(rule)
        return tuple(found)

    def happens(self, probability: float) -> bool:
        """Chance, from the seed."""
        if probability >= 1:
            return True
        return probability > 0 and int.from_bytes(self.ids.random_bytes(6), "big") / 2**48 < probability
