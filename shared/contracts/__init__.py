"""Every message that crosses the bus, by the service that owns it.

A message is a frozen model with a type of the form `owner.subject.verb.vN`. An event is in the past tense and
only its owner sends it; a command is imperative, its owner is the one service that obeys it, and it names who
may send it. An event names who reads it. `docs/messages.md` is generated from this package, and so are RabbitMQ's
bindings, users and permissions.

Additive change keeps the version (readers ignore fields they do not know, new fields have defaults); anything
else is a new version beside the old one. `tests/contracts/golden/` holds one example for each version, for ever.
"""

import re
from collections.abc import Mapping
from datetime import timedelta
from functools import cache
from importlib import import_module
from importlib.util import find_spec
from types import MappingProxyType
from typing import ClassVar, Literal

from pydantic import BaseModel, ConfigDict, Field

from shared.services import SERVICES, Services

_GRAMMAR = re.compile(r"^(?P<owner>[a-z]+)\.[a-z]+\.[a-z]+\.v[1-9][0-9]*$")


class Message(BaseModel):
    """Base of every message. Subclasses set the class variables; a wrong grammar fails at import."""

    model_config = ConfigDict(frozen=True, extra="ignore")

    TYPE: ClassVar[str]
    KIND: ClassVar[Literal["event", "command"]]
    SENDERS: ClassVar[frozenset[str]]
    """Services that may send it. Checked by RabbitMQ's permissions and again by every consumer."""
    READERS: ClassVar[frozenset[str]]
    """Services that consume it: every event says which, a command's is its owner. RabbitMQ's bindings and
    permissions come from this, and what it means that no queue took an event."""
    MAX_AGE: ClassVar[timedelta | None] = timedelta(days=7)
    """Older than this it is refused (replay of recorded traffic)."""
    DROP_WHEN_OLD: ClassVar[bool] = False
    """Older than MAX_AGE it is acknowledged and forgotten: whoever sent it asks again, so no dead letter is kept."""
    ADDRESSED: ClassVar[bool] = False
    """Whether the field `to` names the one reader that gets the message; the bus delivers it to nobody else."""
    STATE: ClassVar[bool] = False
    """Whether it carries an aggregate's whole state with a version; projections keep the highest version only."""
    TABLE: ClassVar[Services] = SERVICES
    """The services that it may name. A test's own message has the test's own table, and is known to nobody until
    the test registers it.
    """

    @classmethod
    def __pydantic_init_subclass__(cls, **kwargs: object) -> None:
        super().__pydantic_init_subclass__(**kwargs)
        if "TYPE" not in cls.__dict__:
            return
        match = _GRAMMAR.match(cls.TYPE)
        if match is None or match["owner"] not in cls.TABLE:
            raise TypeError(f"{cls.TYPE!r} is not owner.subject.verb.vN of a known service")
        if cls.KIND == "event":
            cls.SENDERS = frozenset({match["owner"]})
        else:
            cls.READERS = frozenset({match["owner"]})
        for role in ("SENDERS", "READERS"):
            services = getattr(cls, role, None)
            if services is None:
                raise TypeError(f"{cls.TYPE} has no {role}")
            if not services <= set(cls.TABLE):
                raise TypeError(f"{cls.TYPE}: unknown service among {role} {sorted(services)}")
        if cls.TYPE in _REGISTRY:
            raise TypeError(f"{cls.TYPE} is defined twice")
        if cls.TABLE is SERVICES:
            _REGISTRY[cls.TYPE] = cls

    @classmethod
    def owner(cls) -> str:
        """The service whose contract this is: an event's sender, a command's only handler."""
        return cls.TYPE.partition(".")[0]


_REGISTRY: dict[str, type[Message]] = {}


class Event(Message):
    """Something that happened. Any number of handlers."""

    KIND: ClassVar[Literal["event", "command"]] = "event"


class StateEvent(Event):
    """An aggregate's whole state, after every change. Projections keep the one with the highest `order`."""

    STATE: ClassVar[bool] = True
    version: int = Field(ge=1, le=2**31 - 1)
    """Counts the changes of this aggregate."""
    generation: int = Field(default=0, ge=0, le=2**32 - 1)
    """Raised when the owner's database was put back to a backup: a higher generation wins over any version."""

    @property
    def order(self) -> int:
        """Orders the states of one aggregate: generation first, then version."""
        return self.generation * 2**31 + self.version


def version_of(order: int) -> int:
    """The version in a state event's `order`."""
    return order % 2**31


class Command(Message):
    """Something to be done. One handler: its owner."""

    KIND: ClassVar[Literal["event", "command"]] = "command"
    MAX_AGE: ClassVar[timedelta | None] = timedelta(minutes=10)


@cache
def contracts() -> Mapping[str, type[Message]]:
    """All known message types by name, from the modules of this package."""
    for service in SERVICES:
        if find_spec(f"{__name__}.{service}"):
            import_module(f"{__name__}.{service}")
    return MappingProxyType(_REGISTRY)
