"""Records of what administrators did: who, what, from where, what was before and after. Pure."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Literal

from services.admin.domain.roles import Act

Outcome = Literal["begun", "done", "refused"]
"""`begun`: written before the act; it stays so when the process ended before it could say more."""


@dataclass(frozen=True, slots=True)
class Change:
    """One act of an administrator."""

    id: str
    tenant: str
    at: datetime
    act: Act
    administrator: str
    name: str
    """The administrator's name at that time."""
    role: str
    address: str
    session: str
    subject_id: str
    """What it was done to: an account's id, an administrator's, ..."""
    subject: str
    """The name of that at the time."""
    outcome: Outcome = "begun"
    before: Mapping[str, str] = field(default_factory=dict)
    after: Mapping[str, str] = field(default_factory=dict)
