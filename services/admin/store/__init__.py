"""admin's collections: `directory`, who exists; `console`, who administers them."""

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
    FreezeRepository,
    InvitationRepository,
    SigningCertificateRepository,
    TenantRepository,
)

__all__ = [
    "AccountRepository",
    "AdminCommandRepository",
    "AdministratorRepository",
    "AuthenticatorRepository",
    "BrowserRepository",
    "ChangeRepository",
    "ConsoleSessionRepository",
    "DeviceRepository",
    "FreezeRepository",
    "InvitationRepository",
    "SigningCertificateRepository",
    "TeamRepository",
    "TenantRepository",
    "UsedChallengeRepository",
]
