"""The only wiring of admin."""

from dataclasses import dataclass

from services.admin import consumers
from services.admin.config import AdminSettings
from services.admin.handlers import Admin
from services.admin.store import StoredAccounts, StoredInvitations, StoredTenants
from shared.run import Platform, Service
from shared.store.outbox import Relay

NAME = "admin"


@dataclass(frozen=True)
class Wired:
    """The service, and what its handlers take: for the command line, which calls them itself."""

    service: Service
    admin: Admin


def wire(platform: Platform, settings: AdminSettings | None = None) -> Wired:
    """Everything that admin is made of."""
    relay = Relay(platform.bus, platform.clock)
    database = platform.open_database(NAME, relay)
    admin = Admin(
        tenants=StoredTenants(database),
        accounts=StoredAccounts(database, platform.clock),
        invitations=StoredInvitations(database),
        signer=platform.signer(NAME),
        clock=platform.clock,
        ids=platform.ids,
        settings=settings or AdminSettings(),
        origin=platform.settings.origin,
    )
    service = Service(name=NAME, database=database, relay=relay, handlers=consumers.table(admin))
    return Wired(service, admin)


def build(platform: Platform, settings: AdminSettings | None = None) -> Service:
    """The service, wired, not yet running."""
    return wire(platform, settings).service
