"""`python -m deploy.standins.graph --port 8368 --set-up file.json --requests requests.jsonl` (README beside this)."""

import json
import os
import sys
from pathlib import Path

from pydantic import ValidationError

from deploy.standins.graph import control
from deploy.standins.graph.app import GraphApp
from deploy.standins.graph.clock import ControlledClock
from deploy.standins.graph.errors import GraphError
from deploy.standins.graph.requests import Record
from deploy.standins.graph.standin import StandIn
from deploy.standins.program import arguments, serve
from shared.clock import SystemClock
from shared.ids import SeededIds, SystemIds


def main() -> int:
    """Serve on 127.0.0.1 until interrupted. Exit code 1 and one line when it cannot start."""
    parser = arguments(
        "deploy.standins.graph", "Stand-in of Microsoft's login and Graph, for tests", port=8368
    )
    parser.add_argument("--set-up", type=Path, help="tenants, JSON (the form: deploy.standins.graph.control)")
    parser.add_argument("--requests", type=Path, help="file that every request is added to, JSON lines")
    parser.add_argument(
        "--seed", help="draw ids, secrets and chance from this, so that a run can be repeated"
    )
    options = parser.parse_args()
    if options.port == 0 and options.public_url is None:
        parser.error(
            "with --port 0 nobody knows the address that links and audiences must name: use --public-url"
        )
    try:
        standin = StandIn(
            clock=ControlledClock(SystemClock()),
            ids=SeededIds(options.seed) if options.seed is not None else SystemIds(),
            origin=(options.public_url or f"http://127.0.0.1:{options.port}").rstrip("/"),
            record=Record(options.requests),
        )
        if options.set_up is not None:
            form = control.SetUp.model_validate(json.loads(options.set_up.read_bytes()))
            control.set_up(standin, form)
    except OSError as error:
        print(os.strerror(error.errno) if error.errno else error, file=sys.stderr)
        return 1
    except (ValidationError, ValueError, GraphError) as error:
        print(f"--set-up: {error}", file=sys.stderr)
        return 1
    return serve(GraphApp(standin).app(), options)


if __name__ == "__main__":
    sys.exit(main())
