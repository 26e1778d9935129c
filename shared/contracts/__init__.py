"""Every message that crosses the bus, by the service that owns it.

A message is a frozen model with a type of the form `owner.subject.verb.vN`. An event is in the past tense and
only its owner sends it; a command is imperative, its owner is the one service that obeys it, and it names who
may send it. `docs/messages.md` is generated from this package, and so are RabbitMQ's users and permissions.

Additive change keeps the version (readers ignore fields they do not know, new fields have defaults); anything
else is a new version beside the old one. `tests/contracts/golden/` holds one example for each version, for ever.
"""

import re
from collections.abc import Mapping
from datetime import timedelta
from functools import cache
from types import MappingProxyType
from typing import ClassVar, Literal

from pydantic import BaseModel, ConfigDict

SERVICES = ("wsfed", "approval", "admin", "notify")

_GRAMMAR = re.compile(r"^(?P<owner>[a-z]+)\.[a-z]+\.[a-z]+\.v[1-9][0-9]*$")


class Message(BaseModel):
    """Base of every message. Subclasses set the class variables; a wrong grammar fails at import."""

    model_config = ConfigDict(frozen=True, extra="ignore", use_attribute_docstrings=True)

    TYPE: ClassVar[str]
    KIND: ClassVar[Literal["event", "command"]]
    SENDERS: ClassVar[frozenset[str]]
    """Services that may send it. Checked by RabbitMQ's permissions and again by every consumer."""
    MAX_AGE: ClassVar[timedelta | None] = timedelta(days=7)
    """Older than this it is refused (replay of recorded traffic)."""
    STATE: ClassVar[bool] = False
    """It carries an aggregate's whole state with a version: projections keep the highest version only."""

    @classmethod
    def __pydantic_init_subclass__(cls, **kwargs: object) -> None:
        super().__pydantic_init_subclass__(**kwargs)
        if "TYPE" not in cls.__dict__:
            return
        match = _GRAMMAR.match(cls.TYPE)
        if match is None or match["owner"] not in SERVICES:
            raise TypeError(f"{cls.TYPE!r} is not owner.subject.verb.vN of a known service")
        if cls.KIND == "event":
            cls.SENDERS = frozenset({match["owner"]})
        if not cls.SENDERS <= set(SERVICES):
            raise TypeError(f"{cls.TYPE}: unknown sender among {sorted(cls.SENDERS)}")
        if cls.TYPE in _REGISTRY:
            raise TypeError(f"{cls.TYPE} is defined twice")
        _REGISTRY[cls.TYPE] = cls

    @classmethod
    def owner(cls) -> str:
        """The service whose contract this is: an event's sender, a command's only handler."""
        return cls.TYPE.partition(".")[0]


_REGISTRY: dict[str, type[Message]] = {}


class Event(Message):
    """Something that happened. Any number of handlers."""

    KIND: ClassVar[Literal["event", "command"]] = "event"


class Command(Message):
    """Something to be done. One handler: its owner."""

    KIND: ClassVar[Literal["event", "command"]] = "command"
    MAX_AGE: ClassVar[timedelta | None] = timedelta(minutes=10)


@cache
def contracts() -> Mapping[str, type[Message]]:
    """All known message types by name."""
    from shared.contracts import admin, approval, notify  # noqa: F401 - importing registers them

    return MappingProxyType(_REGISTRY)
