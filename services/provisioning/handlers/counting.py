"""Counts a tenant's people, for the progress that is shown (docs/flows/provisioning.md, "How far it is")."""

from services.provisioning.domain.connection import Connection, progressed
from services.provisioning.domain.progress import History, progress, remembered
from services.provisioning.ports import Dependencies


async def count_people(deps: Dependencies, connection: Connection, history: History) -> History:
    """Count, and tell it when it is news; the history with this count. Raises Unavailable."""
    counts, now = await deps.people.counts(connection.tenant), deps.clock.now()
    seen = remembered(history, counts, now)
    said = progress(seen, counts, now)
    await deps.connections.change(connection.tenant, lambda before: progressed(before, said))
    return seen
