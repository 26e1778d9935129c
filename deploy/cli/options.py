"""What stands before every command, and the options that several commands share."""

from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Annotated

import typer

from deploy.local import run_folder
from deploy.local.run_folder import RunningNow

InTenant = Annotated[
    str, typer.Option("--tenant", "-t", envvar="BLOK365_TENANT", help="Slug of the tenant.", show_envvar=True)
]
Json = Annotated[bool, typer.Option("--json", help="Print JSON.")]
Yes = Annotated[bool, typer.Option("--yes", help="Do not ask.")]


@dataclass(frozen=True)
class Options:
    """What stands before the command. `var`: the folder of `make run`."""

    var: Path
    debug: bool = False

    @cached_property
    def running(self) -> RunningNow | None:
        """The system that `make run` keeps in the folder, if one runs."""
        return run_folder.find(self.var)


def group(help_text: str) -> typer.Typer:
    """A group of commands, without what takes long to import."""
    return typer.Typer(no_args_is_help=True, rich_markup_mode=None, add_completion=False, help=help_text)
