"""`make run`: the whole system in one process, with its own mongod and the demo tenant."""
# ruff: noqa: E402 - the first statement must stand before the imports, which take a second

import signal

# Until the program listens for it, Ctrl-C ends it without a traceback.
signal.signal(signal.SIGINT, signal.SIG_DFL)

import argparse
import os
import sys
from functools import partial
from pathlib import Path

from deploy.local import tenant
from deploy.local.backing import mongod
from deploy.local.entra import entra_standin
from deploy.local.platform import make_keys, origin_file
from deploy.local.running_system import RunningSystem, one_process
from deploy.local.settings import (
    ENTRA_PORT_OFFSET,
    check_ports,
    local_settings,
    notify_settings,
    port_of,
)
from services.admin import handlers as admin
from shared.contracts.admin import AccountStatus
from shared.files import replace_file
from shared.ids import SystemIds
from shared.log import configure
from shared.program import explained, run_program, stopping

PYTHON = os.path.relpath(sys.executable)


async def run(var: Path, port: int, mongo_url: str) -> None:
    """Run the whole system until cancelled."""
    settings = local_settings(var, port, mongo_url)
    entra_port = port + ENTRA_PORT_OFFSET
    make_keys(settings, SystemIds())
    async with stopping() as stack:
        running_system = await stack.enter_async_context(
            one_process(settings, port=port, entra_port=entra_port)
        )
        await tenant.seed(running_system)
        federation = var / "run" / "entra.json"
        await tenant.tell_entra(running_system, federation)
        replace_file(origin_file(var), settings.origin)
        await stack.enter_async_context(entra_standin(entra_port, federation))
        stack.callback(print, "\nStopping.", flush=True)
        await _tell(running_system, entra_port)
        await tenant.keep_entra_told(running_system, federation)


async def _tell(running_system: RunningSystem, entra_port: int) -> None:
    """Print what to open and do."""
    phone = f"{PYTHON} -m deploy.standins.phone"
    moved = f"--origin {running_system.settings.origins.phone} "
    ada = await admin.show_account(running_system.admin, tenant.TENANT, tenant.PERSON)
    lines = [
        "",
        "Blok365 is running: tenant contoso, domain contoso.example, person ada@contoso.example.",
        "",
    ]
    if ada.status is AccountStatus.INVITED:
        link = await admin.invite(running_system.admin, tenant.TENANT, tenant.PERSON)
        lines += ["  1. Give Ada a phone (a software phone; the link is her invitation):", ""]
        lines += [f"       {phone} enrol '{link.url}'", ""]
        moved = ""
        lines += [
            f"     She would get it by mail: {notify_settings(running_system.settings).mail_folder}/*.eml",
            "",
        ]
    else:
        lines += ["  1. Ada has a phone.", ""]
    lines += [
        f"  2. Open http://localhost:{entra_port}/ (a stand-in for Microsoft 365), sign in as {tenant.PERSON},",
        "     and press the button that sends a request to the phone.",
        "",
        "  3. Type the code that the page shows into the phone:",
        "",
        f"       {phone} {moved}approve",
        "",
        "  Ctrl-C stops. The next start goes on with the same data.",
        "",
    ]
    print("\n".join(lines), flush=True)


def main() -> int:
    """Parse, find MongoDB, run. One clear line when something is missing, wrong, or in use."""
    parser = argparse.ArgumentParser(prog="make run", description=__doc__)
    parser.add_argument("--bus", choices=["memory"], default="memory")
    parser.add_argument("--port", default=os.environ.get("BLOK365_PORT") or "8365")
    parser.add_argument("--var", type=Path, default=Path("var"))
    options = parser.parse_args()
    configure(json=False)
    try:
        port = port_of(options.port)
        check_ports(port)
        with mongod(options.var / "mongo") as mongo:
            return run_program(partial(run, options.var, port, mongo.url), _failed)
    except Exception as error:
        _failed(*explained(error))
        return 1


def _failed(reason: str, remedy: str) -> None:
    print(f"{reason} {remedy}", file=sys.stderr, flush=True)


if __name__ == "__main__":
    sys.exit(main())
