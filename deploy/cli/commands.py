"""The tree of the `blok365` command line's commands."""

import os
from pathlib import Path
from typing import Annotated

import typer

from deploy.cli import accounts, operate, signing, tenants
from deploy.cli.session import Options

app = typer.Typer(
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    help=(
        "Blok365 from the command line.\n\n"
        "Works beside a running system: it writes to admin's database, and the running admin process sends "
        "the news to the other services within seconds. It needs MongoDB and admin's key, and no bus. "
        "Settings are BLOK365_* as for the services (docs/settings.md)."
    ),
)
app.add_typer(tenants.tenants, name="tenant")
app.add_typer(tenants.applications, name="app")
app.add_typer(tenants.domains, name="domain")
app.add_typer(accounts.accounts, name="account")
app.add_typer(signing.signing, name="signing")
app.command("migrate")(operate.migrate)
app.command("resync")(operate.resync)
app.command("restore")(operate.restore)
app.command("dead")(operate.dead)
app.command("keys")(operate.keys)
app.command("seed")(operate.seed)


@app.callback()
def options(
    context: typer.Context,
    var: Annotated[Path, typer.Option(help="Folder of `make run`: its keys and its MongoDB.")] = Path("var"),
    debug: Annotated[bool, typer.Option("--debug", help="Show where an unexpected fault came from.")] = False,
) -> None:
    """The options that every command takes."""
    context.obj = Options(var=Path(os.fspath(var)), debug=debug)
