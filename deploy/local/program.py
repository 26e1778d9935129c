"""The arguments of `python -m deploy run` and `python -m deploy status`, and who may start a system."""

import argparse
import os
import sys
from pathlib import Path

from deploy.local import run_folder
from shared.errors import Blok365Error, Conflict


def main() -> int:
    """One clear line when something is missing, wrong, or in use, and exit code 1."""
    parser = argparse.ArgumentParser(
        prog="python -m deploy", description="Run the whole system on this machine."
    )
    commands = parser.add_subparsers(dest="command", required=True)
    run = commands.add_parser("run", help="the whole system in one process, with its own MongoDB")
    run.add_argument("--bus", choices=["memory", "rabbit"], default=None, help="default: memory")
    run.add_argument("--port", default=os.environ.get("BLOK365_PORT") or "8365")
    run.add_argument("--empty", action="store_true", help="without the example organisation of 300 people")
    run.add_argument("--verbose", action="store_true", help="log to the terminal, not to var/run/log.json")
    status = commands.add_parser("status", help="what runs, and what to do there")
    for command in (run, status):
        command.add_argument("--var", type=Path, default=Path("var"))
    options = parser.parse_args()
    try:
        # What follows takes a second to import. Whoever starts a second system shall not wait for it.
        if options.command == "status":
            found = run_folder.find(options.var)
            if found is None:
                raise Conflict("local.run.not_running", var=options.var)
            if not found.settings:
                raise Conflict("local.run.starting", var=options.var)
            from deploy.local.status import show

            return show(options.var, found)
        with run_folder.hold(options.var):
            from deploy.local.run import serve

            return serve(
                options.var,
                options.port,
                bus=options.bus,
                verbose=options.verbose,
                with_example=not options.empty,
            )
    except run_folder.AlreadyRunning as error:
        other = error.other
        where = f"at {other.front} " if other.settings else ""
        fault: Blok365Error = Conflict("local.run.already", where=where, pid=other.pid)
    except Blok365Error as error:
        fault = error
    except OSError as error:
        print(f"{error.filename}: {error.strerror}.", file=sys.stderr)
        return 1
    print(f"{fault.detail} {fault.remedy}", file=sys.stderr)
    return 1
