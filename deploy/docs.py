"""Makes docs/messages.md and docs/settings.md from the code: `python -m deploy.docs`; `--check` only compares.

Meanings are the docstrings.
"""

import ast
import difflib
import importlib
import inspect
import sys
from collections.abc import Iterator, Mapping
from datetime import datetime, timedelta
from enum import Enum
from functools import cache
from itertools import pairwise
from pathlib import Path
from types import NoneType, UnionType
from typing import Any, Literal, Union, get_args, get_origin

from pydantic import BaseModel
from pydantic.fields import FieldInfo
from pydantic_settings import BaseSettings

from deploy import wiring
from shared.contracts import contracts
from shared.services import SERVICES

ROOT = Path(__file__).parent.parent
GENERATED = "<!-- Made by `python -m deploy.docs`. Change the code, then run it again. -->\n"


def main() -> int:
    """Write both, or with `--check` print what would change. Exit code 1 when a checked page is stale."""
    pages = {"docs/messages.md": messages(handled_by()), "docs/settings.md": settings()}
    if "--check" not in sys.argv[1:]:
        for name, text in pages.items():
            (ROOT / name).write_text(text)
        return 0
    stale = 0
    for name, text in pages.items():
        path = ROOT / name
        kept = path.read_text() if path.exists() else ""
        if kept != text:
            stale = 1
            sys.stdout.writelines(
                difflib.unified_diff(
                    kept.splitlines(keepends=True),
                    text.splitlines(keepends=True),
                    name,
                    f"{name} from the code",
                )
            )
    if stale:
        print("Stale: run `python -m deploy.docs`.")
    return stale


def handled_by() -> Mapping[str, list[str]]:
    """Message type: services that have a handler for it, in the order of the table (its contract's READERS)."""
    return {
        name: [service for service in SERVICES if service in contract.READERS]
        for name, contract in contracts().items()
    }


def messages(handlers: Mapping[str, list[str]]) -> str:
    """The text of docs/messages.md."""
    known = sorted(contracts().values(), key=lambda contract: contract.TYPE)
    lines = [
        "# Messages",
        GENERATED,
        "Every message that crosses the bus. An event is in the past tense and only its owner sends it; a command "
        "is imperative and only its owner obeys it. *State* means that it carries an aggregate's whole state with "
        "a version, and projections keep the highest. Contracts: `shared/contracts/`; the envelope and its "
        "signature: `shared/contracts/envelope.py`; an example of each: `tests/contracts/golden/`.\n",
        "| message | kind | sent by | handled by | refused when older than |",
        "|---|---|---|---|---|",
    ]
    for contract in known:
        kind = f"{contract.KIND}, state" if contract.STATE else contract.KIND
        by = ", ".join(handlers.get(contract.TYPE, ())) or "nobody yet"
        lines.append(
            f"| [`{contract.TYPE}`](#{_anchor(contract.TYPE)}) | {kind} | {', '.join(sorted(contract.SENDERS))} "
            f"| {by} | {_age(contract.MAX_AGE)} |"
        )
    lines.append("")
    nested: dict[str, type[BaseModel]] = {}
    for contract in known:
        lines += [f"## {contract.TYPE}", "", _prose(contract), "", *_fields(contract, nested), ""]
    done: set[str] = set()
    if nested:
        lines += ["# Parts of messages", ""]
    while todo := sorted(set(nested) - done):
        for name in todo:
            done.add(name)
            lines += [f"## {name}", "", _prose(nested[name]), "", *_fields(nested[name], nested), ""]
    return "\n".join(lines).rstrip() + "\n"


def settings() -> str:
    """The text of docs/settings.md."""
    lines = [
        "# Settings",
        GENERATED,
        'All come from the environment. Lists are JSON, e.g. `["10.0.0.0/8"]`. Secrets are never values here: '
        "they are files in the folder `BLOK365_KEYS`.\n",
    ]
    modules = ["shared.settings", *(f"services.{name}.config" for name in wiring.names("config"))]
    for module_name in modules:
        module = importlib.import_module(module_name)
        for _, found in inspect.getmembers(module, inspect.isclass):
            if issubclass(found, BaseSettings) and found.__module__ == module_name:
                owner = "All services" if module_name == "shared.settings" else module_name.split(".")[1]
                lines += [f"## {owner}", "", _prose(found), "", *_variables(found), ""]
    return "\n".join(lines).rstrip() + "\n"


def _variables(model: type[BaseSettings]) -> Iterator[str]:
    prefix, meanings = model.model_config.get("env_prefix", ""), _meanings(model)
    yield "| variable | value | default | meaning |"
    yield "|---|---|---|---|"
    for name, field in model.model_fields.items():
        default = "required" if field.is_required() else _code(field.get_default(call_default_factory=True))
        kind = _kind(field.annotation, field, {})
        yield f"| `{prefix}{name.upper()}` | {kind} | {default} | {_cell(meanings.get(name, ''))} |"


def _fields(model: type[BaseModel], nested: dict[str, type[BaseModel]]) -> Iterator[str]:
    meanings = _meanings(model)
    yield "| field | value | meaning |"
    yield "|---|---|---|"
    for name, field in model.model_fields.items():
        kind = _kind(field.annotation, field, nested)
        if not field.is_required():
            kind += f"; default {_code(field.get_default(call_default_factory=True))}"
        yield f"| `{name}` | {kind} | {_cell(meanings.get(name, ''))} |"


NAMES = {
    str: "string",
    int: "integer",
    bool: "true or false",
    datetime: "time",
    Path: "path",
    NoneType: "null",
}


def _kind(annotation: Any, field: FieldInfo, nested: dict[str, type[BaseModel]]) -> str:
    limits = [
        f"{word} {getattr(limit, name)}"
        for limit in field.metadata
        for name, word in (
            ("ge", "at least"),
            ("le", "at most"),
            ("max_length", "at most"),
            ("pattern", "like"),
        )
        if getattr(limit, name, None) is not None
    ]
    return ", ".join([_name(annotation, nested), *(limit.replace("|", "\\|") for limit in limits)])


def _name(annotation: Any, nested: dict[str, type[BaseModel]]) -> str:
    origin, arguments = get_origin(annotation), get_args(annotation)
    if origin is Literal:
        return " or ".join(f"`{argument}`" for argument in arguments)
    if origin in (Union, UnionType):
        return " or ".join(_name(argument, nested) for argument in arguments)
    if origin in (tuple, list):
        return f"list of {_name(arguments[0], nested)}"
    if isinstance(annotation, type) and issubclass(annotation, Enum):
        return " or ".join(f"`{member.value}`" for member in annotation)
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        nested[annotation.__name__] = annotation
        return f"[{annotation.__name__}](#{annotation.__name__.lower()})"
    return NAMES.get(annotation) or f"`{annotation}`".replace("|", "\\|")


def _code(value: Any) -> str:
    if isinstance(value, BaseModel):
        return "all defaults"
    if isinstance(value, tuple):
        return "<br>".join(f"`{item}`" for item in value) or "empty"
    if isinstance(value, bool):
        return f"`{str(value).lower()}`"
    return "null" if value is None else f"`{value}`" if value != "" else "empty"


@cache
def _tree(module: str) -> ast.Module:
    return ast.parse(inspect.getsource(importlib.import_module(module)))


def _meanings(model: type[BaseModel]) -> dict[str, str]:
    """The string under each field, by the field's name; a subclass's own goes before its base's.

    Read here and not by pydantic's `use_attribute_docstrings`, with which every process would read the sources of all
    its models at each start: a tenth of a second of a command.
    """
    found: dict[str, str] = {}
    for each in reversed(model.__mro__):
        if issubclass(each, BaseModel) and not each.__module__.startswith("pydantic"):
            found |= _under_fields(each)
    return found


def _under_fields(cls: type[BaseModel]) -> Iterator[tuple[str, str]]:
    nodes = (node for node in _tree(cls.__module__).body if isinstance(node, ast.ClassDef))
    body = next(node for node in nodes if node.name == cls.__name__).body
    for field, under in pairwise(body):
        if (
            isinstance(field, ast.AnnAssign)
            and isinstance(field.target, ast.Name)
            and isinstance(under, ast.Expr)
            and isinstance(under.value, ast.Constant)
            and isinstance(under.value.value, str)
        ):
            yield field.target.id, under.value.value


def _cell(text: str) -> str:
    """On one line of a table."""
    return " ".join(text.split()).replace("|", "\\|")


def _prose(cls: type) -> str:
    return inspect.cleandoc(cls.__doc__ or "")


def _anchor(heading: str) -> str:
    return heading.replace(".", "")


def _age(limit: timedelta | None) -> str:
    if limit is None:
        return "never"
    days, rest = divmod(int(limit.total_seconds()), 86_400)
    return f"{days} days" if days and not rest else f"{int(limit.total_seconds()) // 60} min"


if __name__ == "__main__":
    sys.exit(main())
