"""The platform of a process: system clock and chance, keys from files, MongoDB, and the bus that its URL names."""

from shared.assembly import Platform
from shared.bus.memory import MemoryBus
from shared.bus.port import Bus
from shared.bus.topology import TOPOLOGY
from shared.clock import Clock, SystemClock
from shared.crypto.keys import load_trusted_keys
from shared.ids import Ids, SystemIds
from shared.settings import Settings
from shared.store.mongo import MongoDatabase
from shared.store.outbox import Relay
from shared.store.port import Database


def open_platform(
    settings: Settings, *, bus: Bus | None = None, clock: Clock | None = None, ids: Ids | None = None
) -> Platform:
    """A platform on `settings`; without a bus, a memory bus of its own."""
    clock = clock or SystemClock()
    trusted = load_trusted_keys(settings.keys / "trusted.json")

    def open_database(service: str, relay: Relay) -> Database:
        name = f"{settings.database_prefix}_{service}"
        return MongoDatabase(settings.mongo_url, name, clock=clock, listener=relay)

    return Platform(
        clock=clock,
        ids=ids or SystemIds(),
        bus=bus or MemoryBus(trusted, clock, TOPOLOGY),
        trusted=trusted,
        open_database=open_database,
        settings=settings,
    )
