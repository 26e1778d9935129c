"""What commands print: tables in columns, with tabs in a pipe, and JSON when asked."""

import json
import sys
from collections.abc import Sequence
from typing import Any

import typer


def is_terminal() -> bool:
    """Whether a person is looking."""
    return sys.stdout.isatty()


def line(text: str) -> None:
    """Print one line as it is."""
    typer.echo(text)


def note(text: str) -> None:
    """Say something about the rows above, where it does not mix with them in a pipe."""
    typer.echo(text, err=not is_terminal())


def as_json(value: Any) -> None:
    """Print a JSON value, indented."""
    typer.echo(json.dumps(value, indent=2, ensure_ascii=False, default=str))


def table(headers: Sequence[str], rows: Sequence[Sequence[str]], *, empty: str) -> None:
    """Rows under headers, in columns at a terminal and with tabs in a pipe; `empty` says when there are none."""
    if not rows:
        typer.echo(empty, err=True)
        return
    if not is_terminal():
        for row in (headers, *rows):
            typer.echo("\t".join(row))
        return
    widths = [max(map(len, column)) for column in zip(headers, *rows, strict=True)]
    typer.echo(typer.style(_columns([name.upper() for name in headers], widths), bold=True))
    for row in rows:
        typer.echo(_columns(row, widths))


def fields(pairs: Sequence[tuple[str, str]]) -> None:
    """Print names and values, one pair on each line."""
    width = max(len(name) for name, _ in pairs) if is_terminal() else 0
    for name, value in pairs:
        typer.echo(f"{name + ':':{width + 1}} {value}")


def qr(text: str) -> None:
    """A QR code, only on a terminal."""
    if is_terminal():
        import segno  # only the few commands that show a link need it

        segno.make(text, error="l").terminal(compact=True)


def _columns(row: Sequence[str], widths: Sequence[int]) -> str:
    return "  ".join(f"{cell:{width}}" for cell, width in zip(row, widths, strict=True)).rstrip()
