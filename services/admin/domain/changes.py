"""Records of what administrators and the operator did: who, what, from where, what was before and after. Pure."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Literal

from services.admin.domain.roles import Act

Outcome = Literal["begun", "done", "refused"]
"""`begun`: written before the act; it stays so when the process ended before it could say more."""


@dataclass(frozen=True, slots=True)
class Change:
    """One act of an administrator, or of the operator."""

    id: str
    tenant: str
    at: datetime
    act: Act
    administrator: str
    """Their id; empty: the operator, on the command line."""
    name: str
    """The administrator's name at that time; empty for the operator."""
    role: str
    address: str
    """From where; empty for the operator."""
    session: str
    """Id of the console session; empty where there was none yet, and for the operator."""
    subject_id: str
    """What it was done to: an account's id, an administrator's, ..."""
    subject: str
    """The name of that at the time."""
    outcome: Outcome = "begun"
    before: Mapping[str, str] = field(default_factory=dict)
    after: Mapping[str, str] = field(default_factory=dict)
