"""What admin does, one function for each use case. The command line and the console call the same ones."""

from services.admin.handlers.common import BATCH, MAX_PAGE, TRIES, Admin
from services.admin.handlers.invitations import InvitationLink, device_enrolled, invite
from services.admin.handlers.people import (
    AccountPage,
    NewAccount,
    create_account,
    create_accounts,
    list_accounts,
    remove,
    resume,
    show_account,
    suspend,
)
from services.admin.handlers.phones import list_phones, remove_phone, unfreeze
from services.admin.handlers.tenants import (
    add_application,
    add_domain,
    change_issuer,
    configure_tenant,
    create_tenant,
    list_tenants,
    show_tenant,
)

__all__ = [
    "BATCH",
    "MAX_PAGE",
    "TRIES",
    "AccountPage",
    "Admin",
    "InvitationLink",
    "NewAccount",
    "add_application",
    "add_domain",
    "change_issuer",
    "configure_tenant",
    "create_account",
    "create_accounts",
    "create_tenant",
    "device_enrolled",
    "invite",
    "list_accounts",
    "list_phones",
    "list_tenants",
    "remove",
    "remove_phone",
    "resume",
    "show_account",
    "show_tenant",
    "suspend",
    "unfreeze",
]
