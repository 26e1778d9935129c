"""`make run`: the whole system in one process, with its own mongod and the demo tenant."""

import argparse
import asyncio
import os
import signal
import sys
from pathlib import Path

import uvloop

from deploy.local import tenant
from deploy.local.parts import PartFailed, PartMissing, mongod
from deploy.local.platform import make_keys
from deploy.local.settings import local_settings, notify_settings
from deploy.local.stage import Stage, one_process
from services.admin import handlers as admin
from shared.contracts.admin import AccountStatus
from shared.errors import Blok365Error
from shared.ids import SystemIds
from shared.log import configure

ENTRA_PORT_OFFSET = 1
PYTHON = os.path.relpath(sys.executable)


async def run(var: Path, port: int, mongo_url: str) -> None:
    """Until a signal comes."""
    settings = local_settings(var, port, mongo_url)
    entra_port = port + ENTRA_PORT_OFFSET
    make_keys(settings, SystemIds())
    stop = asyncio.Event()
    for number in (signal.SIGINT, signal.SIGTERM):
        asyncio.get_running_loop().add_signal_handler(number, stop.set)
    async with one_process(settings, port=port, entra_port=entra_port) as stage:
        await tenant.seed(stage)
        federation = var / "run" / "entra.json"
        await tenant.tell_entra(stage, federation)
        entra = await asyncio.create_subprocess_exec(
            *(sys.executable, "-m", "deploy.standins.entra"),
            *("--port", str(entra_port), "--settings", str(federation)),
            stdout=asyncio.subprocess.DEVNULL,
        )
        try:
            await _tell(stage, entra_port)
            await stop.wait()
            print("\nStopping.", flush=True)
        finally:
            if entra.returncode is None:
                entra.terminate()
            await entra.wait()


async def _tell(stage: Stage, entra_port: int) -> None:
    """What to open and do."""
    phone = f"{PYTHON} -m deploy.standins.phone"
    ada = await admin.show_account(stage.admin, tenant.TENANT, tenant.PERSON)
    lines = [
        "",
        "Blok365 is running: tenant contoso, domain contoso.example, person ada@contoso.example.",
        "",
    ]
    if ada.status is AccountStatus.INVITED:
        link = await admin.invite(stage.admin, tenant.TENANT, tenant.PERSON)
        lines += ["  1. Give Ada a phone (a software phone; the link is her invitation):", ""]
        lines += [f"       {phone} enrol '{link.url}'", ""]
        lines += [f"     She would get it by mail: {notify_settings(stage.settings).mail_folder}/*.eml", ""]
    else:
        lines += ["  1. Ada has a phone.", ""]
    lines += [
        f"  2. Open http://localhost:{entra_port}/ (a stand-in for Microsoft 365), sign in as {tenant.PERSON},",
        "     and press the button that sends a request to the phone.",
        "",
        "  3. Type the code that the page shows into the phone:",
        "",
        f"       {phone} approve",
        "",
        "  Ctrl-C stops. The next start goes on with the same data.",
        "",
    ]
    print("\n".join(lines), flush=True)


def main() -> int:
    """Parse, find MongoDB, run. One clear line when a part is missing or the port is taken."""
    parser = argparse.ArgumentParser(prog="make run", description=__doc__)
    parser.add_argument("--bus", choices=["memory"], default="memory")
    parser.add_argument("--port", type=int, default=int(os.environ.get("BLOK365_PORT", "8365")))
    parser.add_argument("--var", type=Path, default=Path("var"))
    options = parser.parse_args()
    configure(json=False)
    try:
        with mongod(options.var / "mongo") as mongo:
            uvloop.run(run(options.var, options.port, mongo.url))
    except (PartMissing, PartFailed, Blok365Error) as error:
        print(f"{error} {getattr(error, 'remedy', '')}".strip(), file=sys.stderr)
        return 1
    except OSError as error:
        print(f"Port {options.port} or the next one is in use ({error.strerror}): BLOK365_PORT=... make run",
              file=sys.stderr)  # fmt: skip
        return 1
    return 0


sys.exit(main())
