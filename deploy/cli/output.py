"""What commands print: tables for people at a terminal, tabs in a pipe, JSON when asked."""

import json
import sys
from collections.abc import Sequence
from typing import Any

import segno
import typer
from rich.console import Console
from rich.markup import escape
from rich.table import Table


def is_terminal() -> bool:
    """Whether a person is looking."""
    return sys.stdout.isatty()


def line(text: str) -> None:
    """Print one line as it is."""
    typer.echo(text)


def as_json(value: Any) -> None:
    """Print a JSON value, indented."""
    typer.echo(json.dumps(value, indent=2, ensure_ascii=False, default=str))


def table(headers: Sequence[str], rows: Sequence[Sequence[str]]) -> None:
    """Rows under headers; in a pipe tab-separated and without headers."""
    if not is_terminal():
        for row in rows:
            typer.echo("\t".join(row))
        return
    made = Table(*headers, box=None, header_style="bold", pad_edge=False)
    for row in rows:
        made.add_row(*(escape(cell) for cell in row))
    Console().print(made)


def fields(pairs: Sequence[tuple[str, str]]) -> None:
    """Print names and values, one pair on each line."""
    if is_terminal():
        table(("", ""), pairs)
    else:
        for name, value in pairs:
            typer.echo(f"{name}: {value}")


def qr(text: str) -> None:
    """A QR code, only on a terminal."""
    if is_terminal():
        segno.make(text, error="l").terminal(compact=True)
