"""Projections that know how old they are (docs/flows/projections.md).

`StateOwner` and `StateStream` for the service that owns state, `Follower` for the one that keeps a copy of it.
"""

from shared.projection.follower import Follower
from shared.projection.owner import Row, StateOwner
from shared.projection.stream import StateStream

__all__ = ["Follower", "Row", "StateOwner", "StateStream"]
