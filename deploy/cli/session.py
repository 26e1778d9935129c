"""One command's work: a platform without a bus, admin's handlers, and faults told in one line."""
# ruff: noqa: ARG002 - NoBus takes what a bus takes and uses none of it

import asyncio
import os
import sys
from collections.abc import Awaitable, Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar
from urllib.parse import urlsplit

import structlog
import typer
from pydantic import ValidationError

import shared.platform
from deploy.local.platform import origin_file
from services.admin.app import build
from services.admin.ports import Dependencies
from shared.assembly import Platform
from shared.bus.port import Handlers
from shared.contracts.envelope import SignedMessage
from shared.errors import Blok365Error, Unavailable
from shared.settings import Settings, invalid_settings

T = TypeVar("T")


class NoBus:
    """Confirms nothing, so every message stays in its outbox for the running admin process to send."""

    async def publish(self, messages: Sequence[SignedMessage]) -> frozenset[str]:
        return frozenset()

    async def consume(self, service: str, handlers: Handlers) -> None:
        return None

    async def signal(self, topic: str, key: str) -> None:
        return None

    async def on_signal(self, topic: str, wake: Callable[[str], None]) -> None:
        return None

    async def stop(self) -> None:
        return None


@dataclass(frozen=True)
class Options:
    """What stands before the command."""

    var: Path
    debug: bool

    def settings(self) -> Settings:
        """`BLOK365_*`; without them, what `make run` uses in its folder `var`."""
        given: dict[str, Any] = {}
        if "BLOK365_KEYS" not in os.environ:
            given["keys"] = self.var / "keys"
        if "BLOK365_MONGO_URL" not in os.environ:
            with suppress(OSError, ValueError):
                port = int((self.var / "mongo" / "port").read_text())
                given["mongo_url"] = f"mongodb://127.0.0.1:{port}/?replicaSet=rs0&directConnection=true"
        if "BLOK365_ORIGIN" not in os.environ:
            if port_set := os.environ.get("BLOK365_PORT"):
                given["origin"] = f"http://id.localhost:{port_set}"
            elif (origin := origin_file(self.var)).exists():
                given["origin"] = origin.read_text()
        return Settings(**given)


def open_platform(settings: Settings) -> Platform:
    """A platform on MongoDB without a bus. Raises Unavailable when the keys are not there."""
    if not (settings.keys / "trusted.json").exists():
        raise Unavailable("cli.keys.none", folder=settings.keys)
    return shared.platform.open_platform(settings, bus=NoBus())


def with_admin(options: Options, work: Callable[[Dependencies], Awaitable[T]]) -> T:
    """What `work` returns, given admin's handlers on the real database. Ends the program on a fault."""

    async def run() -> T:
        wired = build(open_platform(options.settings()))
        try:
            # Without its unique indexes the database would keep two accounts of one name.
            await wired.service.database.check()
            for step in wired.service.on_start:
                await step()
            return await work(wired.dependencies)
        finally:
            await wired.service.database.close()

    return report_faults(options, lambda: asyncio.run(run()))


def report_faults(options: Options, work: Callable[[], T]) -> T:
    """What `work` returns; a fault becomes one line on standard error and exit code 1."""
    structlog.configure(logger_factory=lambda *_: structlog.PrintLogger(sys.stderr))
    try:
        return work()
    except Blok365Error as error:
        line = f"{str(error).rstrip('.')}. {error.remedy}"
        if isinstance(error, Unavailable) and error.remedy == Unavailable().remedy:
            started = "" if "BLOK365_MONGO_URL" in os.environ else ", where `make run` starts it"
            line += (
                f" MongoDB is looked for at {_place(options)}{started}; keys in {options.settings().keys}."
            )
    except ValidationError as error:
        line = invalid_settings(error)
    except OSError as error:
        line = f"{error.filename or 'file'}: {error.strerror or error}"
    except Exception as error:
        if options.debug:
            raise
        line = f"{type(error).__name__}: {error} (--debug shows where)"
    typer.echo(f"blok365: {' '.join(line.split())}", err=True)
    raise typer.Exit(1)


def _place(options: Options) -> str:
    """Host and port of MongoDB, never its user and password."""
    return urlsplit(options.settings().mongo_url).netloc.rpartition("@")[2] or "?"
