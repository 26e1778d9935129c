"""admin's collections: `directory`, who exists; `console`, who administers them;
`provisioning`, what becomes of them in Entra.
"""

from services.admin.store.console import (
    AdministratorRepository,
    ChangeRepository,
    ConsoleSessionRepository,
    TeamRepository,
    UsedChallengeRepository,
)
from services.admin.store.directory import (
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
from services.admin.store.provisioning import DirectoryRepository, DirectorySettingsRepository

__all__ = [
    "AccountRepository",
    "AdminCommandRepository",
    "AdministratorRepository",
    "AuthenticatorRepository",
    "BrowserRepository",
    "ChangeRepository",
    "ConsoleSessionRepository",
    "DeviceRepository",
    "DirectoryRepository",
    "DirectorySettingsRepository",
    "FirstUseRepository",
    "FreezeRepository",
    "InvitationRepository",
    "SigningCertificateRepository",
    "TeamRepository",
    "TenantRepository",
    "UsedChallengeRepository",
]
