"""The only wiring of admin."""

from dataclasses import dataclass

from services.admin import consumers
from services.admin.config import AdminSettings
from services.admin.handlers import Admin
from services.admin.store import (
    StoredAccounts,
    StoredErrands,
    StoredInvitations,
    StoredPhones,
    StoredTenants,
)
from shared.crypto.sealed_box import load_sealer
from shared.replication import StatePublisher
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
    signer = platform.signer(NAME)
    subscriptions = platform.subscriptions(["approval"], database, signer)
    tenants = StoredTenants(database)
    accounts = StoredAccounts(database)
    invitations = StoredInvitations(database)
    phones = StoredPhones(database)
    admin = Admin(
        tenants=tenants,
        accounts=accounts,
        invitations=invitations,
        phones=phones,
        errands=StoredErrands(database),
        signer=signer,
        clock=platform.clock,
        ids=platform.ids,
        settings=settings or AdminSettings(),
        origin=platform.settings.origin,
        letterbox=load_sealer(platform.settings.keys, "notify"),
    )
    publisher = StatePublisher(
        [tenants.source, accounts.source, invitations.source],
        database=database,
        signer=signer,
        bus=platform.bus,
    )
    service = Service(
        name=NAME,
        database=database,
        relay=relay,
        handlers={
            **subscriptions.consumers(consumers.table(admin), {"approval": [phones.projection]}),
            **publisher.consumers(),
        },
        publisher=publisher,
        subscriptions=subscriptions,
    )
    return Wired(service, admin)


def build(platform: Platform, settings: AdminSettings | None = None) -> Service:
    """The service, wired, not yet running."""
    return wire(platform, settings).service
