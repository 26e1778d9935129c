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
    accounts = StoredAccounts(database)
    invitations = StoredInvitations(database)
    phones = StoredPhones(database)
    admin = Admin(
        tenants=tenants,
        accounts=accounts,
        invitations=invitations,
        phones=phones,
        errands=StoredErrands(database),
        signer=assembly.signer,
        clock=platform.clock,
        ids=platform.ids,
        settings=settings or AdminSettings(),
        origin=platform.settings.origin,
        letterbox=load_sealer(platform.settings.keys, "notify"),
    )
    service = assembly.service(
        consumers(admin),
        state=[tenants.source, accounts.source, invitations.source],
        projections={"approval": [phones.projection]},
    )
    return Wired(service, admin)
