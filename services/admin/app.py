"""The only wiring of admin."""

from functools import partial

from services.admin.config import AdminSettings
from services.admin.consumers import consumers
from services.admin.domain.contacts import contact_changed
from services.admin.handlers.invitations import sweep
from services.admin.ports import Dependencies
from services.admin.store import (
    AccountRepository,
    AdminCommandRepository,
    AuthenticatorRepository,
    BrowserRepository,
    DeviceRepository,
    FirstUseRepository,
    FreezeRepository,
    InvitationRepository,
    SigningCertificateRepository,
    TenantRepository,
)
from shared.assembly import Platform, Wired
from shared.crypto.sealed_box import load_sealer


def build(platform: Platform, settings: AdminSettings | None = None) -> Wired[Dependencies]:
    """The service, not yet running, with what its handlers work with."""
    assembly = platform.assemble("admin")
    database, signer, admin_settings = assembly.database, assembly.signer, settings or AdminSettings()
    tenants = TenantRepository(database, signer)
    sealer, language = load_sealer(platform.settings.keys, "notify"), admin_settings.mail_language
    accounts = AccountRepository(
        database, signer, partial(contact_changed, seal=sealer.seal, language=language)
    )
    invitations = InvitationRepository(database, signer)
    authenticators = AuthenticatorRepository(database, signer)
    devices, freezes = DeviceRepository(database), FreezeRepository(database)
    browsers = BrowserRepository(database, platform.clock)
    certificates, first_uses = SigningCertificateRepository(database), FirstUseRepository(database)
    shared = platform.settings
    deps = Dependencies(
        tenants=tenants,
        accounts=accounts,
        invitations=invitations,
        authenticators=authenticators,
        devices=devices,
        freezes=freezes,
        browsers=browsers,
        certificates=certificates,
        first_uses=first_uses,
        admin_commands=AdminCommandRepository(database, signer),
        clock=platform.clock,
        ids=platform.ids,
        settings=admin_settings,
        origin=shared.origin,
        phone_origin=shared.origins.phone,
        rp_id=shared.rp_id,
        expected_origins=frozenset(shared.approval_origins),
        notify_sealer=sealer,
    )
    service = assembly.service(
        consumers(deps),
        state=[
            tenants.source,
            accounts.source,
            accounts.contacts,
            invitations.source,
            authenticators.source,
        ],
        projections={
            "approval": [devices.projection, freezes.projection],
            "wsfed": [browsers, certificates.projection, first_uses.projection],
        },
        background=[partial(sweep, deps)],
    )
    return Wired(service, deps)
