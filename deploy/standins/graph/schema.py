"""Does a request's body fit Microsoft's schema? Types, nullability, enumerations, unknown names.

Reads `schema.json` (drawn from Microsoft's CSDL, see `facts`). What the schema cannot say (lengths, characters, which
properties a caller may set) is said beside each resource.
"""

import json
import math
import re
from collections.abc import Callable, Mapping
from datetime import datetime
from functools import cache
from pathlib import Path
from typing import Any

from deploy.standins.graph.errors import GraphError, bad_request, not_json
from deploy.standins.graph.exchange import Json

_GUID = re.compile(r"[0-9a-fA-F]{8}(-[0-9a-fA-F]{4}){3}-[0-9a-fA-F]{12}", re.ASCII)
_MOMENT = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d(:\d\d(\.\d{1,7})?)?(Z|[+-]\d\d:\d\d)", re.ASCII)


@cache
def facts() -> Mapping[str, Any]:
    """`schema.json`, read once."""
    found: Mapping[str, Any] = json.loads((Path(__file__).parent / "schema.json").read_text("utf-8"))
    return found


@cache
def properties(name: str) -> Mapping[str, Mapping[str, Any]]:
    """The structural properties of a type and of its base types, in that order."""
    drawn = facts()["types"][name]
    inherited = properties(drawn["base"]) if drawn["base"] else {}
    return {**inherited, **drawn["properties"]}


def check_entity(name: str, body: object) -> Json:
    """The body as an object of that type. Raises GraphError 400 at the first thing that does not fit."""
    if not isinstance(body, dict):
        raise not_json()
    _check_object(name, body)
    return body


def check_action(name: str, body: object) -> Json:
    """The body as parameters of that action; one that is missing and may not be null is refused."""
    parameters: Mapping[str, Mapping[str, Any]] = facts()["actions"][name]["parameters"]
    if not isinstance(body, dict):
        raise not_json()
    missing = [key for key, each in parameters.items() if not each["nullable"] and key not in body]
    if missing:
        raise bad_request(
            f"One or more parameters of the operation '{name}' are missing from the request payload. "
            f"The missing parameters are: {', '.join(missing)}."
        )
    for key, value in body.items():
        if key not in parameters:
            raise bad_request(
                f"The parameter '{key}' in the request payload is not a valid parameter for the "
                f"operation '{name}'."
            )
        _check_value(parameters[key], value, key)
    return body


def _check_object(name: str, body: Mapping[str, Any]) -> None:
    known = properties(name)
    for key, value in body.items():
        if key == "@odata.type":
            if value not in (f"#microsoft.graph.{name}", f"microsoft.graph.{name}"):
                raise bad_request(f"A type named '{value}' could not be resolved by the model.")
            continue
        if (
            key not in known
        ):  # also of an open type: an extension that is not registered is refused the same way
            raise bad_request(
                f"The property '{key}' does not exist on type 'microsoft.graph.{name}'. Make sure to only use "
                "property names that are defined by the type or mark the type as open type."
            )
        _check_value(known[key], value, key)


def _check_value(declared: Mapping[str, Any], value: object, name: str) -> None:
    written: str = declared["type"]
    inner = written.removeprefix("Collection(").removesuffix(")")
    if value is None:
        if not declared["nullable"]:
            expected = f"'{written}[Nullable=False]'"
            raise bad_request(
                f"A null value was found for the property named '{name}', which has the expected type {expected}. "
                f"The expected type {expected} does not allow null values."
            )
        return
    if inner == written:
        _check_one(inner, value, name)
        return
    if not isinstance(value, list):
        raise bad_request(
            "When trying to read a null collection parameter value in JSON Light, a node of type 'PrimitiveValue' "
            f"with the value '{_shown(value)}' was read from the JSON reader; however, a null value or a "
            f"collection was expected for '{name}'."
        )
    for each in value:
        if each is None:
            raise bad_request(f"A null value was found in the collection '{name}' of '{inner}'.")
        _check_one(inner, each, name)


def _check_one(name: str, value: object, of: str) -> None:
    if name.startswith("graph."):
        plain = name.removeprefix("graph.")
        if plain in facts()["enums"]:
            _check_enum(plain, value)
        elif not isinstance(value, dict):
            raise bad_request(
                f"An unexpected value was found for the property '{of}': an object of type 'microsoft.graph.{plain}' "
                "was expected."
            )
        else:
            _check_object(plain, value)
    elif not is_primitive(name, value):
        raise _cannot_convert(value, name)


def _check_enum(name: str, value: object) -> None:
    """Case counts; where flags are allowed, a list of names with commas, none twice and `none` alone."""
    enum = facts()["enums"][name]
    given = value.split(",") if isinstance(value, str) and enum["flags"] else [value]
    named = [each.strip() if isinstance(each, str) else each for each in given]
    if not all(isinstance(each, str) and each in enum["members"] for each in named):
        raise bad_request(f"Requested value '{_shown(value)}' was not found.")
    if len(set(named)) != len(named) or ("none" in named and len(named) > 1):
        raise bad_request(f"Requested value '{_shown(value)}' was not found.")
    if "unknownFutureValue" in named:
        raise bad_request(f"Requested value '{_shown(value)}' was not found.")


def _cannot_convert(value: object, name: str) -> GraphError:
    if name == "Edm.String":
        return bad_request(
            "Cannot convert a primitive value to the expected type 'Edm.String'. "
            "See the inner exception for more details."
        )
    return bad_request(f"Cannot convert the literal '{_shown(value)}' to the expected type '{name}'.")


def _shown(value: object) -> str:
    return str(value)[:100]


def is_primitive(name: str, value: object) -> bool:
    """Is it a value of that primitive type (`Edm.String`)? An unknown type has none."""
    return name in _PRIMITIVES and _PRIMITIVES[name](value)


def is_guid(value: object) -> bool:
    """8-4-4-4-12 hexadecimal digits."""
    return isinstance(value, str) and _GUID.fullmatch(value) is not None


def _is_moment(value: object) -> bool:
    if not isinstance(value, str) or not _MOMENT.fullmatch(value):
        return False
    try:
        datetime.fromisoformat(value)
    except ValueError:
        return False
    return True


def _is_text(value: object) -> bool:
    """A string without half surrogates, which no UTF-8 can carry."""
    return isinstance(value, str) and not any("\ud800" <= each <= "\udfff" for each in value)


def _is_int(value: object, bits: int) -> bool:
    return (
        isinstance(value, int)
        and not isinstance(value, bool)
        and -(2 ** (bits - 1)) <= value < 2 ** (bits - 1)
    )


def _is_number(value: object) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool) and math.isfinite(value)


_PRIMITIVES: dict[str, Callable[[object], bool]] = {
    "Edm.String": _is_text,
    "Edm.Boolean": lambda value: isinstance(value, bool),
    "Edm.Guid": is_guid,
    "Edm.Int32": lambda value: _is_int(value, 32),
    "Edm.Int64": lambda value: _is_int(value, 64),
    "Edm.Double": _is_number,
    "Edm.DateTimeOffset": _is_moment,
    "Edm.TimeOfDay": lambda value: isinstance(value, str),
}
