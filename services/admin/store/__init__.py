"""admin's collections: `directory`, who exists; `console`, who administers them; `projections`, what approval and wsfed
say of them; `provisioning`, what becomes of them in Entra; `signing_keys`, what was asked of wsfed about its keys;
`sign_ins`, how sign-ins ended and who is told of it;
`logos`, what organisations look like.
"""

from services.admin.store.console import (
    AdministratorRepository,
    ChangeRepository,
    ChecklistRepository,
    ConsoleSessionRepository,
    TeamRepository,
    UsedChallengeRepository,
)
from services.admin.store.directory import (
    AccountRepository,
    AdminCommandRepository,
    AuthenticatorRepository,
    InvitationRepository,
    TenantRepository,
)
from services.admin.store.logos import LogoRepository
from services.admin.store.projections import (
    BrowserRepository,
    DeviceRepository,
    FirstUseRepository,
    FreezeRepository,
    SigningCertificateRepository,
)
from services.admin.store.provisioning import DirectoryRepository, DirectorySettingsRepository
from services.admin.store.sign_ins import AlertRepository, SignInRepository
from services.admin.store.signing_keys import KeyRequestRepository

__all__ = [
    "AccountRepository",
    "AdminCommandRepository",
    "AdministratorRepository",
    "AlertRepository",
    "AuthenticatorRepository",
    "BrowserRepository",
    "ChangeRepository",
    "ChecklistRepository",
    "ConsoleSessionRepository",
    "DeviceRepository",
    "DirectoryRepository",
    "DirectorySettingsRepository",
    "FirstUseRepository",
    "FreezeRepository",
    "InvitationRepository",
    "KeyRequestRepository",
    "LogoRepository",
    "SignInRepository",
    "SigningCertificateRepository",
    "TeamRepository",
    "TenantRepository",
    "UsedChallengeRepository",
]
