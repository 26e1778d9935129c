"""Replication of state between services: events bring news at once, pulls make sure that nothing is missing.

`StatePublisher` for the service that owns state, `Subscriptions` for the one that keeps a copy of it in
`Projection`s. The protocol, step by step, is in docs/flows/replication.md.
"""

from shared.replication.projection import Lapsing, Projection
from shared.replication.publisher import Row, Source, StatePublisher
from shared.replication.subscription import Subscriptions

__all__ = ["Lapsing", "Projection", "Row", "Source", "StatePublisher", "Subscriptions"]
