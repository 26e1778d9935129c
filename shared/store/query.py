"""The part of MongoDB's language that our stores use, as pure functions over documents.

Whatever is not here is refused with NotImplementedError or ValueError, also where MongoDB would accept it, so
that a store cannot come to depend on something only one of the two does. What is accepted means the same in
both: `tests/conformance/test_store_differential.py` compares them on random documents.
"""

from collections.abc import Callable, Mapping
from datetime import datetime
from typing import Any

from bson import decode, encode
from bson.codec_options import CodecOptions

from shared.store.port import Change, Document, Filter

MISSING = object()
"""What a path reaches where a document has no such field."""

CODEC: CodecOptions[Document] = CodecOptions(tz_aware=True)


def kept(document: Mapping[str, Any]) -> Document:
    """The document as BSON keeps it: times in UTC cut to milliseconds, tuples as lists. Raises what bson raises.

    It is also a deep copy.
    """
    return decode(encode(document, codec_options=CODEC), CODEC)


# --- filters ------------------------------------------------------------------------------------------------


def matches(document: Any, where: Filter) -> bool:
    """Whether a document satisfies a filter."""
    for field, condition in where.items():
        if field == "$or":
            held = any(matches(document, branch) for branch in condition)
        elif field.startswith("$"):
            raise NotImplementedError(field)
        else:
            held = _field_matches(values(document, field.split(".")), condition)
        if not held:
            return False
    return True


def values(value: Any, path: list[str]) -> list[Any]:
    """Everything that a dotted path reaches; through an array, what it reaches in each of its documents."""
    if not path:
        return [value]
    if path[0].isdigit():
        raise NotImplementedError(f"{path[0]}: positions in arrays")
    if isinstance(value, list):
        if any(isinstance(element, list) for element in value):
            raise NotImplementedError("arrays in arrays")
        return [v for element in value if isinstance(element, dict) for v in values(element, path)]
    if isinstance(value, dict) and path[0] in value:
        return values(value[path[0]], path[1:])
    return [MISSING]


def has_operators(condition: Any) -> bool:
    """Whether it is `{"$lt": ...}` and the like rather than a value to be equal to."""
    return isinstance(condition, Mapping) and any(k.startswith("$") for k in condition)


_ORDER: Mapping[str, Callable[[Any, Any], bool]] = {
    "$lt": lambda a, b: a < b,
    "$lte": lambda a, b: a <= b,
    "$gt": lambda a, b: a > b,
    "$gte": lambda a, b: a >= b,
}


def _field_matches(reached: list[Any], condition: Any) -> bool:
    if not has_operators(condition):
        return _equals(reached, condition)
    return all(_holds(reached, operator, operand) for operator, operand in condition.items())


def _holds(reached: list[Any], operator: str, operand: Any) -> bool:
    match operator:
        case "$exists":
            if not isinstance(operand, bool):
                raise NotImplementedError("$exists other than true or false")
            return any(v is not MISSING for v in reached) == operand
        case "$ne":
            return not _equals(reached, operand)
        case "$in":
            return any(_equals(reached, option) for option in operand)
        case "$all":
            return bool(operand) and all(_equals(reached, each) for each in operand)
        case "$nin":
            return not any(_equals(reached, option) for option in operand)
        case "$lt" | "$lte" | "$gt" | "$gte":
            _orderable(operand)
            return any(
                _comparable(v, operand) and _ORDER[operator](v, operand)
                for value in reached
                for v in (value if isinstance(value, list) else [value])
            )
        case _:
            raise NotImplementedError(operator)


def _equals(reached: list[Any], wanted: Any) -> bool:
    if isinstance(wanted, Mapping) and any(k.startswith("$") for k in wanted):
        raise NotImplementedError("operators inside a value")
    for value in reached:
        if value is MISSING:
            if wanted is None:
                return True
        elif same(value, wanted) or (isinstance(value, list) and any(same(v, wanted) for v in value)):
            return True
    return False


def same(a: Any, b: Any) -> bool:
    """Equality as BSON has it: 1 is 1.0 but not true, and the order of a document's fields counts."""
    if isinstance(a, bool) or isinstance(b, bool):
        return a is b
    if isinstance(a, Mapping) and isinstance(b, Mapping):
        return list(a) == list(b) and all(same(a[k], b[k]) for k in a)
    if isinstance(a, (list, tuple)) and isinstance(b, (list, tuple)):
        return len(a) == len(b) and all(same(x, y) for x, y in zip(a, b, strict=True))
    return bool(a == b)


def _orderable(operand: Any) -> None:
    if isinstance(operand, bool) or not isinstance(operand, (str, bytes, datetime, int, float)):
        raise NotImplementedError(f"order by {type(operand).__name__}")


def _comparable(a: Any, b: Any) -> bool:
    """MongoDB orders values only within one kind (other than in sorting)."""
    for kind in (str, bytes, datetime):
        if isinstance(a, kind) or isinstance(b, kind):
            return isinstance(a, kind) and isinstance(b, kind)
    return isinstance(a, (int, float)) and not isinstance(a, bool)


def sort_key(document: Document, field: str) -> tuple[bool, Any]:
    """For `sorted`: missing and null first, then values, which must be of one kind."""
    reached = values(document, field.split("."))
    if len(reached) != 1 or isinstance(reached[0], (list, dict, bool)):
        raise NotImplementedError(f"sort by {field}: more than one value, or of this type")
    value = reached[0]
    present = value is not MISSING and value is not None
    return present, value if present else None


# --- changes ------------------------------------------------------------------------------------------------


def apply(document: Document, change: Change, *, inserting: bool = False) -> Document:
    """The document after an update document; the given one stays as it is. Raises ValueError, as said above."""
    made = kept(document)
    for operator, field, operand in operations(change):
        if operator == "$setOnInsert" and not inserting:
            continue
        found = _parent(made, field, operator)
        if found is not None:
            _CHANGES[operator](found, field.rpartition(".")[2], operand)
    return kept(made)


def operations(change: Change) -> list[tuple[str, str, Any]]:
    """Operator, field and operand of each part of an update document. Raises as `apply` does.

    To be called even when nothing matches: MongoDB refuses a wrong change then too.
    """
    found = [
        (operator, field, operand) for operator, fields in change.items() for field, operand in fields.items()
    ]
    _no_conflict([field for _, field, _ in found])
    for operator, field, operand in found:
        if operator not in _CHANGES:
            raise NotImplementedError(operator)
        if field == "_id":
            raise NotImplementedError("a change of _id")
        if operator == "$inc":
            _number(operand)
    return found


def _no_conflict(fields: list[str]) -> None:
    """MongoDB refuses to change a path and something on or below it in one step."""
    for i, a in enumerate(fields):
        for b in fields[i + 1 :]:
            if f"{a}.".startswith(f"{b}.") or f"{b}.".startswith(f"{a}."):
                raise ValueError(f"{a} and {b} conflict")


def _parent(document: Document, field: str, operator: str) -> dict[str, Any] | None:
    """The sub-document that holds the field; None where it is missing and the operator does not make it."""
    at: Any = document
    for name in field.split(".")[:-1]:
        if name not in at:
            if operator == "$unset":
                return None
            at[name] = {}
        at = at[name]
        if not isinstance(at, dict):
            if operator == "$unset":
                return None
            raise ValueError(f"{field}: {name} is no document")
    assert isinstance(at, dict)
    return at


def _array(at: dict[str, Any], key: str) -> list[Any]:
    found = at.get(key, [])
    if not isinstance(found, list):
        raise ValueError(f"{key} is no array")
    return found


def _set(at: dict[str, Any], key: str, operand: Any) -> None:
    at[key] = operand


def _push(at: dict[str, Any], key: str, operand: Any) -> None:
    many = isinstance(operand, dict) and "$each" in operand
    if many and set(operand) - {"$each", "$slice"}:
        raise NotImplementedError("$push with more than $each and $slice")
    result = [*_array(at, key), *(operand["$each"] if many else [operand])]
    if many and "$slice" in operand:
        if operand["$slice"] >= 0:
            raise NotImplementedError("$slice from the front")
        result = result[operand["$slice"] :]
    at[key] = result


def _number(value: Any) -> None:
    if isinstance(value, bool) or not isinstance(value, (int, float)):
        raise ValueError(f"{value!r} is no number")


def _inc(at: dict[str, Any], key: str, operand: Any) -> None:
    _number(at.get(key, 0))
    at[key] = at.get(key, 0) + operand


def _max(at: dict[str, Any], key: str, operand: Any) -> None:
    _extreme(at, key, operand, max)


def _min(at: dict[str, Any], key: str, operand: Any) -> None:
    _extreme(at, key, operand, min)


def _extreme(at: dict[str, Any], key: str, operand: Any, choose: Callable[[Any, Any], Any]) -> None:
    _orderable(operand)
    if key in at:
        if not _comparable(at[key], operand):
            raise NotImplementedError(f"${choose.__name__} over different kinds")
        operand = choose(at[key], operand)
    at[key] = operand


def _unset(at: dict[str, Any], key: str, _operand: Any) -> None:
    at.pop(key, None)


_CHANGES: Mapping[str, Callable[[dict[str, Any], str, Any], None]] = {
    "$set": _set,
    "$setOnInsert": _set,
    "$unset": _unset,
    "$inc": _inc,
    "$max": _max,
    "$min": _min,
    "$push": _push,
}
