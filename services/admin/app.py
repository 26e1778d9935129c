"""The only wiring of admin."""

from functools import partial

from services.admin.config import AdminSettings
from services.admin.consumers import consumers
from services.admin.handlers.invitations import sweep
from services.admin.ports import Dependencies
from services.admin.store import (
    AccountRepository,
    AdminCommandRepository,
    AuthenticatorRepository,
    BrowserRepository,
    DeviceRepository,
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
    authenticators = AuthenticatorRepository(database, signer)
    devices = DeviceRepository(database)
    browsers = BrowserRepository(database, platform.clock)
    shared = platform.settings
    deps = Dependencies(
        tenants=tenants,
        accounts=accounts,
        invitations=invitations,
        authenticators=authenticators,
        devices=devices,
        browsers=browsers,
        admin_commands=AdminCommandRepository(database, signer),
        clock=platform.clock,
        ids=platform.ids,
        settings=settings or AdminSettings(),
        origin=shared.origin,
        phone_origin=shared.origins.phone,
        rp_id=shared.rp_id,
        expected_origins=frozenset(shared.approval_origins),
        notify_sealer=load_sealer(shared.keys, "notify"),
    )
    service = assembly.service(
        consumers(deps),
        state=[tenants.source, accounts.source, invitations.source, authenticators.source],
        projections={"approval": [devices.projection], "wsfed": [browsers]},
        background=[partial(sweep, deps)],
    )
    return Wired(service, deps)
