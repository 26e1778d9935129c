"""`python -m deploy.standins.entra --port 8366 --settings file.json` (the file's form: `settings`)."""

import argparse
from pathlib import Path

from aiohttp import web

from deploy.standins.entra.app import build_app
from deploy.standins.entra.settings import SettingsFile
from shared.clock import SystemClock
from shared.ids import SystemIds


def main() -> None:
    """Serve on 127.0.0.1 until interrupted."""
    parser = argparse.ArgumentParser(prog="deploy.standins.entra", description="Entra ID stand-in for tests")
    parser.add_argument("--port", type=int, default=8366)
    parser.add_argument("--settings", type=Path, required=True, help="JSON, read again when it changes")
    parser.add_argument("--public-url", help="where browsers reach it, when not http://127.0.0.1:PORT")
    options = parser.parse_args()
    app = build_app(
        SettingsFile(options.settings), clock=SystemClock(), ids=SystemIds(), public_url=options.public_url
    )
    web.run_app(app, host="127.0.0.1", port=options.port)


if __name__ == "__main__":
    main()
