"""`python -m deploy.standins.entra --port 8366 --settings file.json` (the file's form: `settings`)."""

import argparse
import asyncio
import os
import sys
from pathlib import Path

from aiohttp import web

from deploy.standins.entra.app import build_app
from deploy.standins.entra.domains import ScriptedDomains
from deploy.standins.entra.settings import SettingsAddress, SettingsFile
from shared.clock import SystemClock
from shared.ids import SystemIds


def main() -> int:
    """Serve on 127.0.0.1 until interrupted. Exit code 1 and one line when the port cannot be listened on."""
    parser = argparse.ArgumentParser(prog="deploy.standins.entra", description="Entra ID stand-in for tests")
    parser.add_argument("--port", type=int, default=8366)
    parser.add_argument(
        "--settings", required=True, help="JSON: a file, or an http address that is asked each time"
    )
    parser.add_argument("--public-url", help="where browsers reach it, when not http://127.0.0.1:PORT")
    parser.add_argument("--scripted", type=Path, help="file in which it keeps what scripts federated")
    parser.add_argument(
        "--until-stdin-ends",
        action="store_true",
        help="end when whoever holds the other end of stdin is gone",
    )
    options = parser.parse_args()
    given: str = options.settings
    source = SettingsAddress(given) if given.startswith("http://") else SettingsFile(Path(given))
    try:
        scripted = ScriptedDomains(options.scripted)
    except (OSError, ValueError) as error:
        print(f"{options.scripted}: {error}", file=sys.stderr)
        return 1
    app = build_app(
        source, clock=SystemClock(), ids=SystemIds(), public_url=options.public_url, scripted=scripted
    )
    if options.until_stdin_ends:
        app.on_startup.append(_end_with_stdin)
    try:
        web.run_app(app, host="127.0.0.1", port=options.port, print=_first_line)
    except OSError as error:
        print(os.strerror(error.errno) if error.errno else error, file=sys.stderr)
        return 1
    return 0


async def _end_with_stdin(_: web.Application) -> None:
    """Nobody writes to it: it becomes readable when it ends."""
    asyncio.get_running_loop().add_reader(sys.stdin, _end)


def _end() -> None:
    raise web.GracefulExit


def _first_line(text: str) -> None:
    """Of aiohttp's two lines the one that says where it listens: whoever started us waits for it."""
    print(text.partition("\n")[0], flush=True)


if __name__ == "__main__":
    sys.exit(main())
