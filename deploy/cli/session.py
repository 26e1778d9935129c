"""One command's work: which system it is for, admin's handlers on it, and faults told in one line."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping, Sequence
from contextlib import asynccontextmanager
from functools import partial
from typing import Any, TypeVar
from urllib.parse import urlsplit

import typer
from pydantic import ValidationError
from pydantic_settings import SettingsError

import shared.platform
from deploy.cli.options import Options
from services.admin import app as admin_app
from services.admin.ports import Dependencies
from shared.assembly import Platform, Wired
from shared.bus.port import Handlers
from shared.clock import SystemClock
from shared.contracts.envelope import SignedMessage
from shared.crypto.keys import load_trusted_keys
from shared.errors import Blok365Error, Unavailable
from shared.log import configure
from shared.settings import Settings, invalid_settings

T = TypeVar("T")

STORE = ("mongo_url",)
"""What a command must be told that touches the databases and nothing else."""
SYSTEM = ("origin", *STORE)
"""What all others must be told: a wrong origin would be written into issuers and links."""


CONSOLE = ("console_origin", *SYSTEM)
"""What a command must be told that prints a link to the console."""


def settings_of(options: Options, needed: Sequence[str] = SYSTEM) -> Settings:
    """`BLOK365_*`; what they leave open, as the running system has it.

    Raises Unavailable when neither says what is needed.
    """
    known = options.running.settings if options.running else {}
    given = Settings().model_fields_set
    if unknown := [name for name in needed if name not in given and not known.get(name)]:
        variables = " and ".join(f"BLOK365_{name.upper()}" for name in unknown)
        raise Unavailable("cli.system.none", folder=options.var, variables=variables)
    return completed(options, known)


def completed(options: Options, known: Mapping[str, str]) -> Settings:
    """`BLOK365_*`, then `known`, then the defaults, with the keys in the folder of `make run`."""
    values: dict[str, Any] = {"keys": options.var / "keys", **known}
    given = Settings().model_fields_set
    return Settings(**{name: value for name, value in values.items() if name not in given})


class CommandBus:
    """The bus of one command. Over RabbitMQ it publishes itself; it connects when there is something to say.

    Without RabbitMQ, or when that does not answer, it confirms nothing: every message then stays in its outbox for
    the running process to send.
    """

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self._rabbit: Any = None
        self.left_behind = False
        """Whether messages wait in outboxes."""

    async def publish(self, messages: Sequence[SignedMessage]) -> frozenset[str]:
        """Publish what RabbitMQ takes; the ids of what it confirmed."""
        confirmed: frozenset[str] = frozenset()
        if self._settings.bus_url.startswith("amqp"):
            try:
                confirmed = await (await self._connected()).publish(messages)
            except Unavailable as error:
                typer.echo(
                    f"blok365: {error} The running services send the change when it is back.", err=True
                )
        self.left_behind = self.left_behind or len(confirmed) < len(messages)
        return confirmed

    async def _connected(self) -> Any:
        if self._rabbit is None:
            from shared.bus.connect import (
                connect,  # it takes a tenth of a second, and most commands say nothing
            )

            trusted = load_trusted_keys(self._settings.keys / "trusted.json")
            self._rabbit = await connect(self._settings.bus_url, trusted, SystemClock())
        return self._rabbit

    async def consume(self, service: str, handlers: Handlers) -> None:
        """Take nothing: the messages are for the running services."""

    async def signal(self, topic: str, key: str) -> None:
        """Wake nobody: no page waits for a command."""

    async def on_signal(self, topic: str, wake: Callable[[str], None]) -> None:
        """Listen to nothing."""

    async def stop(self) -> None:
        """Close the connection, if there is one."""
        if self._rabbit is not None:
            await self._rabbit.close()


def open_platform(settings: Settings, bus: CommandBus | None = None) -> Platform:
    """A platform on MongoDB for one command. Raises Unavailable when the keys are not there."""
    if not (settings.keys / "trusted.json").exists():
        raise Unavailable("cli.keys.none", folder=settings.keys)
    return shared.platform.open_platform(settings, bus=bus or CommandBus(settings))


@asynccontextmanager
async def opened(
    options: Options, build: Callable[[Platform], Wired[T]], *, needed: Sequence[str] = SYSTEM
) -> AsyncIterator[Wired[T]]:
    """A service wired on the system's database, not running. Raises Unavailable.

    What was changed is with the other services at the end: over RabbitMQ it was published; otherwise the running
    process has been told to send it.
    """
    settings = settings_of(options, needed)
    bus = CommandBus(settings)
    wired = build(open_platform(settings, bus))
    try:
        # Without its unique indexes the database would keep two accounts of one name.
        await wired.service.database.check()
        yield wired
        await wired.service.relay.flush()
    finally:
        await bus.stop()
        await wired.service.database.close()
    if bus.left_behind and options.running is not None:
        options.running.poke()


@asynccontextmanager
async def opened_admin(options: Options, *, needed: Sequence[str] = SYSTEM) -> AsyncIterator[Dependencies]:
    """What admin's handlers need, on the system's database. Raises Unavailable."""
    async with opened(options, partial(admin_app.build, pages=False), needed=needed) as wired:
        for step in wired.service.on_start:
            await step()
        yield wired.dependencies


def with_admin(
    options: Options, work: Callable[[Dependencies], Awaitable[T]], *, needed: Sequence[str] = SYSTEM
) -> T:
    """What `work` returns, given admin's handlers on the real database. Ends the program on a fault."""

    async def run() -> T:
        async with opened_admin(options, needed=needed) as admin:
            return await work(admin)

    return report_faults(options, lambda: asyncio.run(run()))


def report_faults(options: Options, work: Callable[[], T]) -> T:
    """What `work` returns; a fault becomes one line on standard error and exit code 1."""
    configure(json=False, quiet=True)
    try:
        return work()
    except Blok365Error as error:
        line = f"{str(error).rstrip('.')}. {error.remedy}"
        if isinstance(error, Unavailable) and error.remedy == Unavailable().remedy:
            line += (
                f" MongoDB is looked for at {_place(options)}; keys in {settings_of(options, STORE).keys}."
            )
    except (ValidationError, SettingsError) as error:
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
    return urlsplit(settings_of(options, STORE).mongo_url).netloc.rpartition("@")[2] or "?"
