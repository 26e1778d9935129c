"""The only wiring of admin."""

from services.admin.config import AdminSettings
from services.admin.consumers import consumers
from services.admin.ports import Dependencies
from services.admin.store import (
    AccountRepository,
    AdminCommandRepository,
    DeviceRepository,
    FreezeRepository,
    InvitationRepository,
    TenantRepository,
)
from shared.assembly import Platform, Wired
from shared.crypto.sealed_box import load_sealer


def build(platform: Platform, settings: AdminSettings | None = None) -> Wired[Dependencies]:
    """The service, not yet running, with what its handlers work with."""
    assembly = platform.assemble("admin")
    database, signer = assembly.database, assembly.signer
    tenants = TenantRepository(database, signer)
    accounts = AccountRepository(database, signer)
    invitations = InvitationRepository(database, signer)
    devices, freezes = DeviceRepository(database), FreezeRepository(database)
    deps = Dependencies(
        tenants=tenants,
        accounts=accounts,
        invitations=invitations,
        devices=devices,
        freezes=freezes,
        admin_commands=AdminCommandRepository(database, signer),
        clock=platform.clock,
        ids=platform.ids,
        settings=settings or AdminSettings(),
        origin=platform.settings.origin,
        phone_origin=platform.settings.origins.phone,
        notify_sealer=load_sealer(platform.settings.keys, "notify"),
    )
    service = assembly.service(
        consumers(deps),
        state=[tenants.source, accounts.source, invitations.source],
        projections={"approval": [devices.projection, freezes.projection]},
    )
    return Wired(service, deps)
