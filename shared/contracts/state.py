"""How an owner of state keeps its followers up to date: three messages that every such owner has.

The classes here have no type of their own; `admin.py` and `approval.py` derive theirs. What they are for is in
docs/flows/projections.md.
"""

from typing import Any

from pydantic import BaseModel, ConfigDict, Field

from shared.contracts import Command, Event, contracts

STREAM_ID = r"^[A-Za-z0-9_-]{1,64}$"
MAX_NUMBER = 2**53 - 1
"""The largest integer that canonical JSON (RFC 8785) carries exactly."""


class StreamAdvanced(Event):
    """Heartbeat of one process of the owner: every state event up to `number` was sent or is void."""

    stream: str = Field(pattern=STREAM_ID)
    number: int = Field(ge=0, le=MAX_NUMBER)
    voided: tuple[int, ...] = ()
    """Numbers that were given out and never used: their write did not happen."""
    closing: bool = False
    """The process ends in good order and `number` is its last."""


class ResyncState(Command):
    """The sender asks for one page of the owner's whole current state, and so on until the last."""

    resync: str = Field(pattern=STREAM_ID)
    after: str = Field(default="", max_length=256)
    """`next` of the page before; empty for the first."""


class StateItem(BaseModel):
    """One state event as the owner would send it now."""

    model_config = ConfigDict(frozen=True, use_attribute_docstrings=True)
    type: str
    tenant: str
    body: dict[str, Any]


class StatePaged(Event):
    """One page of the owner's state, for the service `to` only."""

    resync: str = Field(pattern=STREAM_ID)
    to: str
    after: str
    """What was asked for."""
    next: str | None
    """Where the next page begins; None: this is the last."""
    items: tuple[StateItem, ...]


def advanced_of(owner: str) -> type[StreamAdvanced]:
    """The owner's heartbeat. Raises KeyError when it has no followers."""
    contract = contracts()[f"{owner}.stream.advanced.v1"]
    assert issubclass(contract, StreamAdvanced)
    return contract


def resync_of(owner: str) -> type[ResyncState]:
    """The command that asks that owner. Raises KeyError when it has no followers."""
    contract = contracts()[f"{owner}.state.resync.v1"]
    assert issubclass(contract, ResyncState)
    return contract


def paged_of(owner: str) -> type[StatePaged]:
    """The owner's answer. Raises KeyError when it has no followers."""
    contract = contracts()[f"{owner}.state.paged.v1"]
    assert issubclass(contract, StatePaged)
    return contract
