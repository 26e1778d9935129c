"""Every sentence of the error family that a browser's request can reach in a service, found by reading the code."""

import ast
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache
from pathlib import Path

from shared import errors

ROOT = Path(__file__).parents[2]
FAMILY = {k for k, v in vars(errors).items() if isinstance(v, type) and issubclass(v, errors.Blok365Error)}
FAMILY |= {"MethodNotAllowed"}
"""Names of the family; the last one is shared/web's own."""


@dataclass(frozen=True)
class Said:
    """One place where an error is made. Sentences are templates: `{expression}` where the code puts a value."""

    where: str
    kind: str
    detail: str
    remedy: str
    code: str

    @property
    def sentences(self) -> tuple[str, ...]:
        return tuple(text for text in (self.detail, self.remedy) if text)


def reachable(*starts: str) -> set[Path]:
    """The files of `services` and `shared` that those modules import, they themselves included.

    Starts name packages or modules, as `services.wsfed.routes`; of a package, all that is in it.
    """
    found: set[Path] = set()
    waiting = [path for start in starts for path in _files(start, whole=True)]
    while waiting:
        path = waiting.pop()
        if path in found:
            continue
        found.add(path)
        for module in _imported(_tree(path)):
            waiting += _files(module, whole=False)
    return found


@cache
def _tree(path: Path) -> ast.Module:
    return ast.parse(path.read_text("utf-8"))


def _files(module: str, *, whole: bool) -> list[Path]:
    path = ROOT.joinpath(*module.split("."))
    if path.with_suffix(".py").is_file():
        return [path.with_suffix(".py")]
    if not path.is_dir():
        return []
    return sorted(path.rglob("*.py")) if whole else [path / "__init__.py"]


@cache
def _imported(tree: ast.AST) -> tuple[str, ...]:
    return tuple(_names_imported(tree))


def _names_imported(tree: ast.AST) -> Iterator[str]:
    for node in ast.walk(tree):
        if (
            isinstance(node, ast.ImportFrom)
            and node.module
            and node.module.startswith(("services", "shared"))
        ):
            yield node.module
            yield from (f"{node.module}.{name.name}" for name in node.names)


def said_in(paths: set[Path]) -> list[Said]:
    """All errors of the family that those files make. Raises ValueError for a sentence that cannot be read off."""
    return [said for path in sorted(paths) for said in _said(path)]


@cache
def _said(path: Path) -> tuple[Said, ...]:
    return tuple(_found(path))


def _found(path: Path) -> Iterator[Said]:
    for node in ast.walk(_tree(path)):
        if not isinstance(node, ast.Call) or _name(node.func) not in FAMILY:
            continue
        where = f"{path.relative_to(ROOT)}:{node.lineno}"
        given = {keyword.arg: keyword.value for keyword in node.keywords}
        kind = _name(node.func)
        yield Said(
            where,
            kind,
            _template(node.args[0], where) if node.args else "",
            _template(given["remedy"], where) if "remedy" in given else "",
            _template(given["code"], where)
            if "code" in given
            else getattr(errors, kind, errors.NotFound).code,
        )


def _name(node: ast.expr) -> str:
    return node.attr if isinstance(node, ast.Attribute) else node.id if isinstance(node, ast.Name) else ""


def _template(node: ast.expr, where: str) -> str:
    if isinstance(node, ast.Constant) and isinstance(node.value, str):
        return node.value
    if isinstance(node, ast.JoinedStr):
        return "".join(
            str(part.value) if isinstance(part, ast.Constant) else "{" + ast.unparse(part.value) + "}"  # type: ignore[attr-defined]
            for part in node.values
        )
    return "{" + ast.unparse(node) + "}"
