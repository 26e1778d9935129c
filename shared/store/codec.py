"""Dataclasses as documents and back, by their annotations: one codec for all stores (ADR 0009).

    str, int, float, bool, None, bytes, datetime   as they are; BSON has them
    Enum                                           its value
    timedelta                                      whole seconds
    dataclass, mapping                             document
    tuple                                          array
    pydantic model                                 document, as the model dumps itself

A document is checked as it is read: a value of another type than the annotation's, or a missing field without a
default, raises ValueError. Fields that the class does not know are left out, because a newer release may have written
them, and so are the store's own (`v`, `outbox`). The version of a document is `schema_version.py`'s affair.

Field names in documents are those of the classes. A class whose field is renamed needs a new version of its documents.
"""

import types
from collections.abc import Callable, Mapping
from dataclasses import fields, is_dataclass
from datetime import datetime, timedelta
from typing import Any, TypeVar, Union, get_args, get_origin, get_type_hints

import msgspec
from pydantic import BaseModel

from shared.store.port import Document

T = TypeVar("T")
_Path = tuple[str, ...]

_AS_THEY_ARE = (datetime, bytes, timedelta)
"""What msgspec would turn into text. Durations become numbers afterwards: BSON has no type for them."""


def to_document(value: Any, *, key: str = "") -> Document:
    """The document of a dataclass. `key` names the field that is kept as `_id`."""
    document: Document = msgspec.to_builtins(value, builtin_types=_AS_THEY_ARE, enc_hook=_dumped)
    for path in _durations(type(value)):
        _replace(document, path, _seconds)
    if key:
        document["_id"] = document.pop(key)
    return document


def from_document(kind: type[T], document: Mapping[str, Any], *, key: str = "") -> T:
    """The dataclass of a document, which stays as it is. `key`: see `to_document`. Raises ValueError."""
    made = dict(document)
    if key:
        made[key] = made["_id"]
    for path in _durations(kind):
        _copy(made, path)
        _replace(made, path, _duration)
    try:
        return msgspec.convert(made, kind, builtin_types=_AS_THEY_ARE, dec_hook=_validated)
    except msgspec.ValidationError as error:
        raise ValueError(f"no {kind.__name__}: {error}") from error


def _dumped(value: Any) -> Any:
    if isinstance(value, BaseModel):
        return value.model_dump()
    raise TypeError(f"{type(value).__name__} has no form in a document")


def _validated(kind: type, value: Any) -> Any:
    if issubclass(kind, BaseModel):
        return kind.model_validate(value)
    raise TypeError(f"{kind.__name__} has no form in a document")


def _seconds(duration: timedelta) -> int:
    return int(duration.total_seconds())


def _duration(seconds: int) -> timedelta:
    return timedelta(seconds=seconds)


_durations_of: dict[type, tuple[_Path, ...]] = {}


def _durations(kind: type) -> tuple[_Path, ...]:
    """Where in a document of that class durations may stand; few classes have one. Looked for once in each."""
    known = _durations_of.get(kind)
    if known is None:
        known = _durations_of[kind] = tuple(_find_durations(kind))
    return known


def _find_durations(kind: type) -> list[_Path]:
    found: list[_Path] = []
    for field, hint in ((each.name, get_type_hints(kind)[each.name]) for each in fields(kind)):
        options = get_args(hint) if get_origin(hint) in (Union, types.UnionType) else (hint,)
        for option in options:
            if option is timedelta:
                found.append((field,))
            elif isinstance(option, type) and is_dataclass(option):
                found += [(field, *path) for path in _durations(option)]
            elif any(timedelta in get_args(hint) for hint in (option, *get_args(option))):
                raise TypeError(f"{kind.__name__}.{field}: durations in arrays and mappings")
    return found


def _copy(document: Document, path: _Path) -> None:
    """Make the documents on the way our own: the caller's stays as it is."""
    for name in path[:-1]:
        inner = document.get(name)
        if not isinstance(inner, dict):
            return
        document[name] = dict(inner)
        document = document[name]


def _replace(document: Document, path: _Path, change: Callable[[Any], Any]) -> None:
    """Replace the value at that path by `change` of it, if there is one."""
    for name in path[:-1]:
        inner = document.get(name)
        if not isinstance(inner, dict):
            return
        document = inner
    if document.get(path[-1]) is not None:
        document[path[-1]] = change(document[path[-1]])
