"""The only wiring of admin."""

from services.admin.config import AdminSettings
from services.admin.consumers import consumers
from services.admin.handlers import Admin
from services.admin.store import (
    StoredAccounts,
    StoredErrands,
    StoredInvitations,
    StoredPhones,
    StoredTenants,
)
from shared.assembly import Platform, Wired
from shared.crypto.sealed_box import load_sealer


def build(platform: Platform, settings: AdminSettings | None = None) -> Wired[Admin]:
    """The service, not yet running, with what its handlers work with."""
    assembly = platform.assemble("admin")
    database = assembly.database
    tenants = StoredTenants(database)
    accounts = StoredAccounts(database, platform.clock)
    invitations = StoredInvitations(database)
    admin = Admin(
        tenants=tenants,
        accounts=accounts,
        invitations=invitations,
        phones=StoredPhones(database),
        errands=StoredErrands(database),
        signer=assembly.signer,
        clock=platform.clock,
        ids=platform.ids,
        settings=settings or AdminSettings(),
        origin=platform.settings.origin,
        letterbox=load_sealer(platform.settings.keys, "notify"),
    )
    owned = [tenants.state, accounts.state, invitations.state]
    return Wired(assembly.service(consumers(admin), state=owned), admin)
