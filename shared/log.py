"""Structured logs (structlog). Never a secret, never a token, never a whole request."""

import logging
import sys
from typing import TextIO

import structlog


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
