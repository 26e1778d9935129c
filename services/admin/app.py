"""The only wiring of admin."""

from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

from services.admin.config import AdminSettings
from services.admin.consumers import consumers
from services.admin.domain.contacts import contact_changed
from services.admin.handlers.alerts import alerts_for_ever
from services.admin.handlers.invitations import sweep
from services.admin.handlers.removals import finish_removals_forever
from services.admin.ports import Dependencies
from services.admin.store import (
    AccountRepository,
    AdminCommandRepository,
    AdministratorRepository,
    AlertRepository,
    AuthenticatorRepository,
    BrowserRepository,
    ChangeRepository,
    ChecklistRepository,
    ConsoleSessionRepository,
    DeviceRepository,
    DirectoryRepository,
    DirectorySettingsRepository,
    FirstUseRepository,
    FreezeRepository,
    InvitationRepository,
    KeyRequestRepository,
    LogoRepository,
    SigningCertificateRepository,
    SignInRepository,
    TeamRepository,
    TenantRepository,
    UsedChallengeRepository,
)
from shared.assembly import Assembly, Platform, Wired
from shared.crypto.key_file import load_keys
from shared.crypto.sealed_box import load_sealer

if TYPE_CHECKING:
    from aiohttp.web import Application


def build(
    platform: Platform, settings: AdminSettings | None = None, *, pages: bool = True
) -> Wired[Dependencies]:
    """The service, not yet running, with what its handlers work with.

    `pages`: whether it has the console. The command line does without, and starts faster.
    """
    assembly = platform.assemble("admin")
    database, signer, admin_settings = assembly.database, assembly.signer, settings or AdminSettings()
    tenants = TenantRepository(database, signer)
    sealer, language = load_sealer(platform.settings.keys, "notify"), admin_settings.mail_language
    accounts = AccountRepository(
        database, signer, partial(contact_changed, seal=sealer.seal, language=language)
    )
    invitations = InvitationRepository(database, signer)
    authenticators = AuthenticatorRepository(database, signer, accounts)
    logos = LogoRepository(database, signer)
    devices, freezes = DeviceRepository(database), FreezeRepository(database)
    browsers = BrowserRepository(database, platform.clock)
    directory = DirectoryRepository(database)
    certificates, first_uses = SigningCertificateRepository(database), FirstUseRepository(database)
    sign_ins, alerts = SignInRepository(database), AlertRepository(database, signer)
    shared = platform.settings
    csrf_file = shared.keys / "admin.csrf"
    deps = Dependencies(
        tenants=tenants,
        accounts=accounts,
        invitations=invitations,
        authenticators=authenticators,
        devices=devices,
        freezes=freezes,
        browsers=browsers,
        certificates=certificates,
        key_requests=KeyRequestRepository(database, signer),
        logos=logos,
        first_uses=first_uses,
        sign_ins=sign_ins,
        alerts=alerts,
        admin_commands=AdminCommandRepository(database, signer),
        directory_settings=DirectorySettingsRepository(database, signer),
        directory=directory,
        administrators=AdministratorRepository(database),
        teams=TeamRepository(database, signer),
        console_sessions=ConsoleSessionRepository(database),
        used_challenges=UsedChallengeRepository(database),
        changes=ChangeRepository(database),
        checklists=ChecklistRepository(database),
        clock=platform.clock,
        ids=platform.ids,
        settings=admin_settings,
        origin=shared.origin,
        phone_origin=shared.origins.phone,
        rp_id=shared.rp_id,
        expected_origins=frozenset(shared.approval_origins),
        notify_sealer=sealer,
        provisioning_sealer=load_sealer(platform.settings.keys, "provisioning"),
        console_origin=shared.origins.console,
        console_keys=load_keys(csrf_file),
    )
    web = _console(assembly, deps, csrf_file) if pages else None
    service = assembly.service(
        consumers(deps),
        state=[
            tenants.source,
            accounts.source,
            accounts.contacts,
            invitations.source,
            authenticators.source,
            logos.source,
        ],
        projections={
            "approval": [devices.projection, freezes.projection],
            "wsfed": [browsers, certificates.projection, first_uses.projection, *sign_ins.projections],
            "provisioning": [directory.connections, directory.people],
        },
        web=web,
        background=[
            partial(sweep, deps),
            partial(alerts_for_ever, deps),
            partial(finish_removals_forever, deps),
        ],
    )
    return Wired(service, deps)


def _console(assembly: Assembly, deps: Dependencies, csrf_file: Path) -> "Application":
    # Imported here: a command of the command line would wait for the web server and the templates.
    from services.admin.pages import ConsolePages
    from services.admin.routes import RouteContext, all_routes
    from shared.web.cookies import Csrf

    pages = ConsolePages(deps.clock)
    context = RouteContext(
        deps=deps,
        pages=pages,
        csrf=Csrf.from_file(csrf_file, deps.console_origin),
        client_networks=assembly.client_networks,
    )
    return assembly.web(pages.pages, all_routes(context))
