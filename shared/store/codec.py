"""Dataclasses as documents and back, without copying what cannot change.

`dataclasses.asdict` copies every value deeply; a sign-in spent a twentieth of its time in that.
"""

from collections.abc import Mapping
from dataclasses import fields, is_dataclass
from datetime import datetime, timedelta
from enum import Enum
from typing import Any, TypeVar

from shared.store.port import Document

T = TypeVar("T")

_AS_THEY_ARE = frozenset({str, int, bool, float, bytes, datetime, type(None)})


_names_of: dict[type, tuple[str, ...]] = {}


def _names(kind: type) -> tuple[str, ...]:
    """Its fields; asked for once of each class."""
    names = _names_of.get(kind)
    if names is None:
        names = _names_of[kind] = tuple(field.name for field in fields(kind))
    return names


def to_document(value: Any) -> Document:
    """A dataclass's fields as MongoDB keeps them.

    Enumerations by their value, tuples as lists, durations in whole seconds, dataclasses as documents; mappings
    and lists are taken as they are.
    """
    return {name: _encoded(getattr(value, name)) for name in _names(type(value))}


def _encoded(item: Any) -> Any:
    if type(item) in _AS_THEY_ARE:
        return item
    if isinstance(item, Enum):
        return item.value
    if isinstance(item, tuple):
        return [_encoded(each) for each in item]
    if isinstance(item, timedelta):
        return int(item.total_seconds())
    if is_dataclass(item):
        return to_document(item)
    return item


def from_document(kind: type[T], document: Mapping[str, Any]) -> T:
    """The dataclass of a document's fields as they are; unknown ones are left out (a newer release wrote them)."""
    return kind(**{name: document[name] for name in _names(kind) if name in document})
