"""wsfed's collections. Nobody else reads them.

| collection | one document is | outbox |
|---|---|---|
| sessions | one account in one browser: SSO session, and that the browser is known | no |
| browsers | one account in one browser, for administrators: its public id, since when and by what it is known | yes |
| transactions | a sign-in transaction, from Entra's request to the token | yes |
| tenants, logos, accounts, invitations, devices | projections of admin's and approval's events | no |
| claims | what approval says of a device whose invitation is not here yet; nobody trusts it | no |
| signing_keys | a tenant's token-signing key, its private half sealed | yes |
| first_use | a domain of a tenant: when it was first asked for, and when it first signed somebody in | yes |
| sign_in_days | a tenant's counts of one day: how sign-ins ended | yes |
| sign_ins | an account's last attempts to sign in | yes |
| issuances | an issuance record; its id is `stream/number` | no |
"""

from services.wsfed.store.browsers import BrowserRepository
from services.wsfed.store.directory import DirectoryRepository
from services.wsfed.store.first_use import FirstUseRepository
from services.wsfed.store.issuances import IssuanceRepository
from services.wsfed.store.keys import SigningKeyRepository
from services.wsfed.store.logos import LogoRepository
from services.wsfed.store.sessions import SessionRepository
from services.wsfed.store.sign_in_figures import SignInFigureRepository
from services.wsfed.store.transactions import TransactionRepository

__all__ = [
    "BrowserRepository",
    "DirectoryRepository",
    "FirstUseRepository",
    "IssuanceRepository",
    "LogoRepository",
    "SessionRepository",
    "SignInFigureRepository",
    "SigningKeyRepository",
    "TransactionRepository",
]
