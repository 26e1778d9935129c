"""The query options that provisioning needs: $select, $filter, $top, $skiptoken, $count (OData 4.01 part 2).

What a caller may ask for is as narrow as in the directory: a property that no index answers is refused, and so is an
advanced query (`ne`, `not`, `endswith`, `eq null`, `$search`) without `ConsistencyLevel: eventual` and `$count=true`.
"""

import base64
import json
import re
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from deploy.standins.graph import schema
from deploy.standins.graph.errors import bad_request, malformed, not_here, unsupported_query
from deploy.standins.graph.exchange import Json, decoded

Test = Callable[[Mapping[str, Any]], bool]

DEFAULT_PAGE = 100
MAX_PAGE = 999
KNOWN_OPTIONS = {"$select", "$filter", "$top", "$skiptoken", "$count"}

_FILTERABLE = (
    "id displayName givenName surname mail mailNickname userPrincipalName onPremisesImmutableId accountEnabled "
    "usageLocation userType createdDateTime employeeId otherMails proxyAddresses assignedLicenses "
    "onPremisesSyncEnabled department jobTitle city country deletedDateTime"
)
FILTERABLE = frozenset(_FILTERABLE.split())
"""Properties that an index answers."""
MAX_DEPTH = 50
"""Parentheses and `not` within each other in a $filter."""
EXACT = frozenset({"onPremisesImmutableId", "id"})
"""Compared exactly; other texts are compared without regard to case."""


@dataclass(frozen=True, slots=True)
class Filter:
    """A $filter that was understood. `only`: it is just `property eq 'text'`, for which an index may answer."""

    test: Test
    only: tuple[str, str] | None = None


@dataclass(frozen=True, slots=True)
class Query:
    """The query options of a request."""

    select: tuple[str, ...] | None = None
    filter: Filter | None = None
    top: int | None = None
    after: Json | None = None
    """What $skiptoken carries."""
    count: bool = False
    raw: str = ""


def options(query: str) -> dict[str, str]:
    """Names and values of a query string, decoded; `+` is a space. Raises GraphError."""
    found: dict[str, str] = {}
    for part in query.split("&") if query else ():
        name, _, value = part.partition("=")
        try:
            name, value = decoded(name.replace("+", " ")), decoded(value.replace("+", " "))
        except ValueError as error:
            raise malformed("The query specified in the URI is not valid UTF-8.") from error
        name = name if name.startswith("$") or name == "" else f"${name}"  # Graph takes both spellings
        if name in found:
            raise malformed(
                f"Query option '{name}' was specified more than once, but it must be specified at most once."
            )
        if name:
            found[name] = value
    return found


def parse(
    query: str, type_name: str, *, advanced: bool, allowed: frozenset[str] = frozenset(KNOWN_OPTIONS)
) -> Query:
    """The query of a request for that type. `advanced`: it says `ConsistencyLevel: eventual`. Raises GraphError."""
    given = options(query)
    for name in given:
        if name not in allowed:
            raise not_here(f"the query option '{name}' here")
    count = _flag(given.get("$count"))
    may = advanced and count
    return Query(
        select=_select(given["$select"], type_name) if "$select" in given else None,
        filter=parse_filter(given["$filter"], type_name, advanced=may) if "$filter" in given else None,
        top=_top(given.get("$top")),
        after=unpacked(given["$skiptoken"]) if "$skiptoken" in given else None,
        count=count,
        raw=query,
    )


def _flag(text: str | None) -> bool:
    if text not in (None, "true", "false"):
        raise malformed(f"Invalid value '{text}' for $count query option found.")
    return text == "true"


def _top(text: str | None) -> int | None:
    if text is None:
        return None
    if not (text.isascii() and text.isdigit()) or not 0 < int(text) <= MAX_PAGE:
        raise bad_request(
            f"Invalid page size specified: '{text}'. Must be between 1 and {MAX_PAGE} inclusive."
        )
    return int(text)


def _select(text: str, type_name: str) -> tuple[str, ...]:
    names = tuple(part.strip() for part in text.split(","))
    for name in names:
        if name not in schema.properties(type_name):
            raise malformed(
                f"Parsing OData Select and Expand failed: Could not find a property named '{name}' on type "
                f"'microsoft.graph.{type_name}'."
            )
    return names


def packed(after: Json) -> str:
    """An opaque token for $skiptoken and $deltatoken."""
    return base64.urlsafe_b64encode(json.dumps(after).encode()).rstrip(b"=").decode()


def unpacked(token: str) -> Json:
    """What `packed` packed. Raises GraphError."""
    try:
        found = json.loads(base64.b64decode(token + "=" * (-len(token) % 4), altchars=b"-_", validate=True))
    except ValueError as error:
        raise bad_request("Invalid page token.") from error
    if not isinstance(found, dict):
        raise bad_request("Invalid page token.")
    return found


_TOKEN = re.compile(
    r"\s*(?:(?P<text>'(?:[^']|'')*')|(?P<guid>[0-9a-fA-F]{8}(?:-[0-9a-fA-F]{4}){3}-[0-9a-fA-F]{12})"
    r"|(?P<word>[A-Za-z_][A-Za-z0-9_.]*(?:/[A-Za-z_][A-Za-z0-9_]*)*)"
    r"|(?P<value>[0-9][0-9A-Za-z:.+\-]*)|(?P<sign>[(),:]))"
)
_COMPARISONS = ("eq", "ne", "gt", "ge", "lt", "le")


def parse_filter(text: str, type_name: str, *, advanced: bool) -> Filter:
    """A $filter over one object. Raises GraphError."""
    return _FilterParser(text, type_name, advanced).parse()


class _FilterParser:
    """Recursive descent over the part of OData's grammar that the directory answers."""

    def __init__(self, text: str, type_name: str, advanced: bool) -> None:
        self._tokens = list(_tokens(text))
        self._at = 0
        self._type = type_name
        self._advanced = advanced
        self._text = text
        self._variable: str | None = None
        self._depth = 0

    def parse(self) -> Filter:
        test = self._or()
        if self._at != len(self._tokens):
            raise self._wrong()
        return Filter(test, self._only())

    def _only(self) -> tuple[str, str] | None:
        match self._tokens:
            case [("word", name), ("word", "eq"), ("text", value)]:
                return name, _unquoted(value)
        return None

    def _or(self) -> Test:
        tests = [self._and()]
        while self._take("word", "or"):
            tests.append(self._and())
        return tests[0] if len(tests) == 1 else lambda item: any(each(item) for each in tests)

    def _and(self) -> Test:
        tests = [self._unary()]
        while self._take("word", "and"):
            tests.append(self._unary())
        return tests[0] if len(tests) == 1 else lambda item: all(each(item) for each in tests)

    def _unary(self) -> Test:
        self._depth += 1
        if self._depth > MAX_DEPTH:
            raise self._wrong()
        test = self._negated()
        self._depth -= 1
        return test

    def _negated(self) -> Test:
        if self._take("word", "not"):
            self._needs_advanced()
            inner = self._unary()
            return lambda item: not inner(item)
        if self._take("sign", "("):
            test = self._or()
            self._expect("sign", ")")
            return test
        return self._predicate()

    def _predicate(self) -> Test:
        word = self._next("word")
        if word.lower() in ("startswith", "endswith"):
            return self._function(word.lower())
        if word.endswith("/any"):
            return self._any(word.removesuffix("/any"))
        read = self._reader(word)
        exact = word in EXACT
        operator = self._next("word")
        if operator == "in":
            return self._in(read, exact)
        if operator not in _COMPARISONS:
            raise self._wrong()
        wanted = self._literal()
        if operator == "ne" or wanted is None:
            self._needs_advanced()
        return lambda item: _compare(operator, read(item), wanted, exact)

    def _function(self, name: str) -> Test:
        if name == "endswith":
            self._needs_advanced()
        self._expect("sign", "(")
        word = self._next("word")
        read, exact = self._reader(word), word in EXACT
        self._expect("sign", ",")
        wanted = self._literal()
        self._expect("sign", ")")
        if not isinstance(wanted, str):
            raise self._wrong()

        def test(item: Mapping[str, Any]) -> bool:
            value = read(item)
            if not isinstance(value, str):
                return False
            left, right = (value, wanted) if exact else (value.lower(), wanted.lower())
            return left.startswith(right) if name == "startswith" else left.endswith(right)

        return test

    def _any(self, name: str) -> Test:
        self._property(name)
        self._expect("sign", "(")
        outer, self._variable = self._variable, self._next("word")
        self._expect("sign", ":")
        inner = self._or()
        self._variable = outer
        self._expect("sign", ")")
        return lambda item: any(inner({"": each}) for each in item.get(name) or ())

    def _in(self, read: Callable[[Mapping[str, Any]], object], exact: bool) -> Test:
        self._expect("sign", "(")
        wanted = [self._literal()]
        while self._take("sign", ","):
            wanted.append(self._literal())
        self._expect("sign", ")")
        if len(wanted) > 15:
            raise bad_request(
                "Too many child clauses specified in search filter expression containing 'OR' operators: "
                f"{len(wanted)}. Max allowed: 15."
            )
        return lambda item: any(_compare("eq", read(item), each, exact) for each in wanted)

    def _reader(self, word: str) -> Callable[[Mapping[str, Any]], object]:
        variable = self._variable
        if variable is not None:
            if word == variable:
                return lambda item: item[""]
            if word.startswith(f"{variable}/"):
                inner = word.partition("/")[2]
                return lambda item: item[""].get(inner) if isinstance(item[""], dict) else None
            raise self._wrong()
        self._property(word)
        return lambda item: item.get(word)

    def _property(self, name: str) -> None:
        if name not in schema.properties(self._type):
            raise malformed(
                f"Invalid filter clause: Could not find a property named '{name}' on type "
                f"'microsoft.graph.{self._type}'."
            )
        if name not in FILTERABLE:
            raise unsupported_query(
                f"Unsupported or invalid query filter clause specified for property '{name}' of "
                "resource 'User'."
            )

    def _literal(self) -> object:
        kind, text = self._any_token()
        if kind == "text":
            return _unquoted(text)
        if kind == "word" and text in ("true", "false", "null"):
            return {"true": True, "false": False, "null": None}[text]
        if kind in ("value", "guid"):
            return text
        raise self._wrong()

    def _needs_advanced(self) -> None:
        if not self._advanced:
            raise unsupported_query()

    def _any_token(self) -> tuple[str, str]:
        if self._at >= len(self._tokens):
            raise self._wrong()
        self._at += 1
        return self._tokens[self._at - 1]

    def _next(self, kind: str) -> str:
        found, text = self._any_token()
        if found != kind:
            raise self._wrong()
        return text

    def _take(self, kind: str, text: str) -> bool:
        if self._at < len(self._tokens) and self._tokens[self._at] == (kind, text):
            self._at += 1
            return True
        return False

    def _expect(self, kind: str, text: str) -> None:
        if not self._take(kind, text):
            raise self._wrong()

    def _wrong(self) -> Exception:
        return malformed(f"Invalid filter clause: Syntax error in '{self._text[:200]}'.")


def _tokens(text: str) -> Iterator[tuple[str, str]]:
    at = 0
    while at < len(text.rstrip()):
        match = _TOKEN.match(text, at)
        if match is None or match.lastgroup is None:
            raise malformed(f"Invalid filter clause: Syntax error at position {at} in '{text[:200]}'.")
        yield match.lastgroup, match.group(match.lastgroup)
        at = match.end()


def _unquoted(text: str) -> str:
    return text[1:-1].replace("''", "'")


def _compare(operator: str, value: object, wanted: object, exact: bool) -> bool:
    if isinstance(value, str) and isinstance(wanted, str) and not exact:
        value, wanted = value.lower(), wanted.lower()
    if operator == "eq":
        return value == wanted
    if operator == "ne":
        return value != wanted
    if not isinstance(value, str) or not isinstance(wanted, str):
        return False
    return {"gt": value > wanted, "ge": value >= wanted, "lt": value < wanted, "le": value <= wanted}[
        operator
    ]
