"""Structured logs (structlog). Never a secret, never a token, never a whole request."""

import logging
import sys
from typing import TextIO

# structlog takes in rich where that is installed, as it is for the command line's typer. That is a tenth of a command's
# time, and memory in every process, for tracebacks in frames, which nobody draws here: `format_exc_info` has made text
# of each before. So rich cannot be imported while structlog is (The Python Language Reference, 5.3.1).
_rich = sys.modules.get("rich")
sys.modules["rich"] = None  # type: ignore[assignment]
import structlog  # noqa: E402

if _rich is None:
    del sys.modules["rich"]
else:
    sys.modules["rich"] = _rich

get_logger = structlog.get_logger


def configure(*, json: bool, quiet: bool = False, file: TextIO | None = None) -> None:
    """Once per process. JSON lines, or text for people, on standard error or in a file.

    `quiet` leaves warnings and worse.
    """
    out = file or sys.stderr
    renderer: structlog.types.Processor = (
        structlog.processors.JSONRenderer()
        if json
        else structlog.dev.ConsoleRenderer(colors=out.isatty())  # none in a file
    )
    structlog.configure(
        processors=[
            structlog.contextvars.merge_contextvars,
            structlog.processors.add_log_level,
            structlog.processors.TimeStamper(fmt="iso", utc=True),
            structlog.processors.format_exc_info,
            renderer,
        ],
        wrapper_class=structlog.make_filtering_bound_logger(logging.WARNING if quiet else logging.INFO),
        logger_factory=structlog.PrintLoggerFactory(out),
        cache_logger_on_first_use=True,
    )
