"""`python -m deploy.standins.entra --port 8366 --settings file.json` (the file's form: `settings`)."""

import sys
from pathlib import Path

from deploy.standins.entra.app import build_app
from deploy.standins.entra.domains import ScriptedDomains
from deploy.standins.entra.settings import SettingsAddress, SettingsFile
from deploy.standins.program import arguments, serve
from shared.clock import SystemClock
from shared.ids import SystemIds


def main() -> int:
    """Serve on 127.0.0.1 until interrupted. Exit code 1 and one line when it cannot start."""
    parser = arguments("deploy.standins.entra", "Entra ID stand-in for tests", port=8366)
    parser.add_argument(
        "--settings", required=True, help="JSON: a file, or an http address that is asked each time"
    )
    parser.add_argument(
        "--scripted",
        type=Path,
        help="file in which it keeps what scripts federated; without it an http address of --settings is told of it",
    )
    options = parser.parse_args()
    given: str = options.settings
    told = options.scripted is None
    source = (
        SettingsAddress(given, takes_scripts=told)
        if given.startswith("http://")
        else SettingsFile(Path(given))
    )
    try:
        scripted = ScriptedDomains(options.scripted)
    except (OSError, ValueError) as error:
        print(f"{options.scripted}: {error}", file=sys.stderr)
        return 1
    app = build_app(
        source, clock=SystemClock(), ids=SystemIds(), public_url=options.public_url, scripted=scripted
    )
    return serve(app, options)


if __name__ == "__main__":
    sys.exit(main())
