"""What admin does, one function for each use case. The command line, the benchmark and tests call the same ones.

Enrolment (docs/flows/enrolment.md)
    1, 2    invite                   invitations.py
    8       device_enrolled          ../projections.py
Lost phone (the same page, below)
    1       list_devices             devices.py; device_enrolled keeps the list
            remove_device            devices.py
            unfreeze                 devices.py
Notification (docs/flows/notification.md)
    8       invite                   invitations.py
Administration
            tenants.py               tenants, applications, domains, issuers
            accounts.py              create, list, suspend, resume, remove
"""

from services.admin.handlers.accounts import (
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
from services.admin.handlers.devices import list_devices, remove_device, unfreeze
from services.admin.handlers.invitations import InvitationLink, invite
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
    "AccountPage",
    "InvitationLink",
    "NewAccount",
    "add_application",
    "add_domain",
    "change_issuer",
    "configure_tenant",
    "create_account",
    "create_accounts",
    "create_tenant",
    "invite",
    "list_accounts",
    "list_devices",
    "list_tenants",
    "remove",
    "remove_device",
    "resume",
    "show_account",
    "show_tenant",
    "suspend",
    "unfreeze",
]
