"""What the stand-ins that are programs of their own have in common: they listen on this machine only, and end with
whoever started them.
"""

import argparse
import asyncio
import os
import sys
from contextlib import suppress

from aiohttp import web


def arguments(name: str, description: str, *, port: int) -> argparse.ArgumentParser:
    """The command line of `python -m {name}`, with the options that all have: `serve` takes them."""
    parser = argparse.ArgumentParser(prog=name, description=description)
    parser.add_argument("--port", type=int, default=port)
    parser.add_argument("--public-url", help="where clients reach it, when not http://127.0.0.1:PORT")
    parser.add_argument(
        "--until-stdin-ends",
        action="store_true",
        help="end when whoever holds the other end of stdin is gone",
    )
    return parser


def serve(app: web.Application, options: argparse.Namespace) -> int:
    """Serve on 127.0.0.1 until interrupted. The exit code: 1, and one line, when the port cannot be listened on."""
    if options.until_stdin_ends:
        app.on_startup.append(_end_with_stdin)
    try:
        with suppress(web.GracefulExit):  # a second one, while it cleans up after the first
            web.run_app(app, host="127.0.0.1", port=options.port, print=_first_line)
    except OSError as error:
        print(os.strerror(error.errno) if error.errno else error, file=sys.stderr)
        return 1
    return 0


async def _end_with_stdin(_: web.Application) -> None:
    """Nobody writes to it: it becomes readable when it ends."""
    asyncio.get_running_loop().add_reader(sys.stdin, _end)


def _end() -> None:
    # It stays readable, and would end the cleaning up too.
    asyncio.get_running_loop().remove_reader(sys.stdin)
    raise web.GracefulExit


def _first_line(text: str) -> None:
    """Of aiohttp's two lines the one that says where it listens: whoever started us waits for it."""
    print(text.partition("\n")[0], flush=True)
