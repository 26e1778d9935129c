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
from shared.projection import StateOwner, StateStream
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
    stream = StateStream(platform.clock, platform.ids)
    relay = Relay(platform.bus, platform.clock, stream)
    database = platform.open_database(NAME, relay)
    signer = platform.signer(NAME, stream)
    follower = platform.follower(["approval"], database, signer)
    tenants = StoredTenants(database)
    accounts = StoredAccounts(database, platform.clock)
    invitations = StoredInvitations(database)
    admin = Admin(
        tenants=tenants,
        accounts=accounts,
        invitations=invitations,
        phones=StoredPhones(database),
        errands=StoredErrands(database),
        signer=signer,
        clock=platform.clock,
        ids=platform.ids,
        settings=settings or AdminSettings(),
        origin=platform.settings.origin,
        letterbox=load_sealer(platform.settings.keys, "notify"),
    )
    owner = StateOwner(
        stream,
        [tenants.state, accounts.state, invitations.state],
        database=database,
        signer=signer,
        bus=platform.bus,
        clock=platform.clock,
    )
    service = Service(
        name=NAME,
        database=database,
        relay=relay,
        handlers={**follower.tracked(consumers.table(admin)), **owner.consumers()},
        owner=owner,
        follower=follower,
    )
    return Wired(service, admin)


def build(platform: Platform, settings: AdminSettings | None = None) -> Service:
    """The service, wired, not yet running."""
    return wire(platform, settings).service
