"""How a service pulls another one's state: two messages that every owner of state has.

The classes here have no type of their own; each owner's file derives its two. What they are for, step by step, is in
docs/flows/replication.md.
"""

from datetime import timedelta
from typing import Any, ClassVar

from pydantic import BaseModel, ConfigDict, Field, field_validator

from shared.contracts import Command, Event, contracts

CLOCK_TOLERANCE = timedelta(minutes=5)
"""The clocks of two services may differ by so much."""
REQUEST_ID = r"^[A-Za-z0-9_-]{1,64}$"
POSITION = r"^([0-9]{10}\.[0-9]{10})?$"
MAX_CURSOR = 512


class PullState(Command):
    """The sender asks for one page of the owner's state: all of it, or what changed after a position.

    The same question again gets the same page as far as it is still true; the owner keeps nothing about who asked.
    """

    MAX_AGE: ClassVar[timedelta | None] = timedelta(seconds=30) + CLOCK_TOLERANCE
    DROP_WHEN_OLD: ClassVar[bool] = True
    request: str = Field(pattern=REQUEST_ID)
    """Names this pull in all its pages, 128 bits of chance."""
    since: str = Field(default="", pattern=POSITION)
    """What changed after this position of the owner is wanted. Empty: all."""
    after: str = Field(default="", max_length=MAX_CURSOR)
    """`next` of the page before; empty for the first."""
    until: str = Field(default="", pattern=POSITION)
    """`until` of the first page; empty for the first."""


class StateItem(BaseModel):
    """One state event as the owner would send it now."""

    model_config = ConfigDict(frozen=True)
    type: str
    tenant: str
    body: dict[str, Any]


class StatePulled(Event):
    """One page of the owner's state, for the service `to` only."""

    MAX_AGE: ClassVar[timedelta | None] = timedelta(minutes=5) + CLOCK_TOLERANCE
    DROP_WHEN_OLD: ClassVar[bool] = True
    ADDRESSED: ClassVar[bool] = True
    request: str = Field(pattern=REQUEST_ID)
    to: str
    after: str = Field(max_length=MAX_CURSOR)
    """`after` of the question that this page answers."""
    items: tuple[StateItem, ...]
    next: str | None = Field(max_length=MAX_CURSOR)
    """Where the next page begins; null on the last page."""
    until: str = Field(pattern=POSITION, min_length=1)
    """The position up to which this pull is complete when its last page is there. The same on all its pages."""
    generation: int = Field(ge=0, le=2**32 - 1)
    """The generation of the owner's database (see `StateEvent`)."""

    @field_validator("until")
    @classmethod
    def _check_until(cls, until: str) -> str:
        """Followers ask from there the next time, and the owner refuses a position that no database can have."""
        if any(int(part) >= 2**32 for part in until.split(".")):
            raise ValueError(f"{until} is no position")
        return until


def pull_of(owner: str) -> type[PullState]:
    """The command that asks that owner. Raises KeyError when nobody follows it."""
    contract = contracts()[f"{owner}.state.pull.v1"]
    assert issubclass(contract, PullState)
    return contract


def pulled_of(owner: str) -> type[StatePulled]:
    """The owner's answer. Raises KeyError when nobody follows it."""
    contract = contracts()[f"{owner}.state.pulled.v1"]
    assert issubclass(contract, StatePulled)
    return contract
