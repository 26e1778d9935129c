"""`python -m deploy.standins.entra --port 8366 --settings file.json` (the file's form: `settings`)."""

import argparse
import os
import sys
from pathlib import Path

from aiohttp import web

from deploy.standins.entra.app import build_app
from deploy.standins.entra.settings import SettingsFile
from shared.clock import SystemClock
from shared.ids import SystemIds


def main() -> int:
    """Serve on 127.0.0.1 until interrupted. Exit code 1 and one line when the port cannot be listened on."""
    parser = argparse.ArgumentParser(prog="deploy.standins.entra", description="Entra ID stand-in for tests")
    parser.add_argument("--port", type=int, default=8366)
    parser.add_argument("--settings", type=Path, required=True, help="JSON, read again when it changes")
    parser.add_argument("--public-url", help="where browsers reach it, when not http://127.0.0.1:PORT")
    options = parser.parse_args()
    app = build_app(
        SettingsFile(options.settings), clock=SystemClock(), ids=SystemIds(), public_url=options.public_url
    )
    try:
        web.run_app(app, host="127.0.0.1", port=options.port, print=_first_line)
    except OSError as error:
        print(os.strerror(error.errno) if error.errno else error, file=sys.stderr)
        return 1
    return 0


def _first_line(text: str) -> None:
    """Of aiohttp's two lines the one that says where it listens: whoever started us waits for it."""
    print(text.partition("\n")[0], flush=True)


if __name__ == "__main__":
    sys.exit(main())
