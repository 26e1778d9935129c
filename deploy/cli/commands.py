"""The tree of the `blok365` command line's commands. A command's module is imported when the command is called."""

import importlib
from collections.abc import Sequence
from pathlib import Path
from typing import Annotated, Any, NamedTuple

import typer
import typer.main
from typer.core import TyperGroup

from deploy.cli.options import Options

ROOT = Path(__file__).parents[2]


class Entry(NamedTuple):
    """A command or group: the module of `deploy.cli` and the name in it, and its line in the list of commands."""

    module: str
    name: str
    help: str


COMMANDS = {
    "tenant": Entry("tenants", "tenants", "Organisations."),
    "app": Entry("tenants", "applications", "Applications that people sign in to."),
    "domain": Entry("domains", "domains", "Domains that Entra federates to us, and what to tell Entra."),
    "admin": Entry("administrators", "administrators", "Administrators of a tenant in the console."),
    "account": Entry("accounts", "accounts", "People of a tenant, their invitations and phones."),
    "provisioning": Entry(
        "provisioning",
        "provisioning",
        "The connection to Entra, and people's users there.",
    ),
    "signing": Entry("signing", "signing", "A tenant's token-signing key, and what Entra must be told."),
    "migrate": Entry("operate", "operations", "Build the indexes that are missing."),
    "resync": Entry("operate", "operations", "Let services ask for their whole state again."),
    "restore": Entry("operate", "operations", "Tell that a database was put back to a backup."),
    "dead": Entry("operate", "operations", "Messages that a service could not handle, and why."),
    "keys": Entry("operate", "operations", "Make the services' key files that are missing."),
    "seed": Entry("operate", "operations", "Make many accounts for a demo or a measurement."),
}


class LateGroup(TyperGroup):
    """A group that imports the command that is called, and no other: each import takes its time."""

    def resolve_command(self, ctx: Any, args: list[str]) -> Any:
        name, command, rest = super().resolve_command(ctx, args)
        return name, command and load(str(name)), rest

    def invoke(self, ctx: Any) -> Any:
        try:
            return super().invoke(ctx)
        except typer.BadParameter as error:
            # Typer passes on what pydantic says, with a name of pydantic's own in front.
            error.message = error.message.removeprefix("Value error, ")
            raise


def load(name: str) -> Any:
    """The command or group of that name as a click object. Raises KeyError."""
    entry = COMMANDS[name]
    found = typer.main.get_command(getattr(importlib.import_module(f"deploy.cli.{entry.module}"), entry.name))
    return found.commands[name] if isinstance(found, TyperGroup) and name in found.commands else found


app = typer.Typer(
    cls=LateGroup,
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,
    add_completion=False,
    help=(
        "Blok365 from the command line.\n\n"
        "It works beside a running system: the one that `make run` keeps in the folder --var, or the one that "
        "BLOK365_* names as for the services (docs/settings.md). What it changes is in force at once."
    ),
)
for name, entry in COMMANDS.items():
    app.command(name, help=entry.help)(lambda: None)


@app.callback()
def options(
    context: typer.Context,
    var: Annotated[
        Path, typer.Option(help="Folder of `make run`.", show_default="var beside the program")
    ] = ROOT / "var",
    debug: Annotated[bool, typer.Option("--debug", help="Show where an unexpected fault came from.")] = False,
) -> None:
    """The options that every command takes."""
    context.obj = Options(var=var, debug=debug)


def main(arguments: Sequence[str] | None = None) -> None:
    """The program `blok365`."""
    app(arguments, prog_name="blok365")
