"""What admin does, one function for each use case. The command line, the benchmark and tests call the same ones.

Enrolment (docs/flows/enrolment.md)
    1, 2    invite                   invitations.py
    7, 8    device_enrolled          ../projections.py
            expire_invitations       invitations.py
            withdraw_all             invitations.py; after a backup was put back
A link that no longer works (the same page, below)
    3       renew_invitation         invitations.py
Lost phone (the same page, below)
    1       list_devices             devices.py; device_enrolled keeps the list
    2       remove_device            devices.py; by the person: remove_authenticator
            show_freeze, unfreeze    devices.py
Notification (docs/flows/notification.md)
    8       invite                   invitations.py
The person's own page (docs/flows/own-page.md)
    6       rename_authenticator, remove_own_browser, sign_out_person
                                     own_page.py; remove_authenticator in devices.py
Federation (docs/flows/federation.md)
    1       keys_changed             ../projections.py
    2       readiness                federation.py
    3       federation               federation.py; the scripts: ../domain/federation_scripts.py
    6       domain_used              ../projections.py
            first_use                federation.py
Administration
            tenants.py               tenants, applications, domains, issuers
            accounts.py              create, list, rename, suspend, resume
Change details (docs/flows/change-details.md)
    1, 2    change_details           accounts.py
    4       invite                   invitations.py
Removal and undo (docs/flows/removal.md)
    1, 2    remove                   removals.py
    5       restore                  removals.py
    7       finish_removals          removals.py
Sign out everywhere (docs/flows/sign-out-everywhere.md)
    1       sign_out_everywhere      accounts.py; suspend and remove do the same
    5       browser_changed          ../projections.py
    6       list_browsers            browsers.py
            remove_browser           browsers.py
A further phone (docs/flows/further-phone.md)
    7       device_enrolled          ../projections.py
Sign-in figures (docs/flows/sign-in-figures.md)
    5       sign_ins_counted, sign_ins_listed
                                     ../projections.py
    6       overview                 console_overview.py
    7       send_alerts              alerts.py
Into the console (docs/flows/console-sign-in.md)
    1       invite_by_operator, invite_administrator
                                     console_team.py
    2, 4, 5 show_team_invitation, accept_invitation, join_team
                                     console_access.py
    6 to 9  sign_in, visit, step_up  console_access.py
    10      change_role, remove_administrator
                                     console_team.py
    11      recorded                 recording.py
            what administrators then do: console_people.py, console_applications.py, console_federation.py
Tenant configuration (docs/flows/tenant-configuration.md)
    1 to 4  show_configuration, show_item, mark_item, take_back_mark
                                     console_configuration.py; the rules: ../domain/configuration.py
Provisioning (docs/flows/provisioning.md)
    1       set_connection           directory.py
    2       check_connection, checked
    9       retry_person; what is shown: show_connection, directory_person, failed_people
            the same in the console: console_provisioning.py
"""

from services.admin.handlers.accounts import (
    AccountPage,
    Details,
    DetailsChanged,
    NewAccount,
    change_details,
    create_account,
    create_accounts,
    list_accounts,
    rename,
    resume,
    show_account,
    sign_out_everywhere,
    suspend,
)
from services.admin.handlers.browsers import list_browsers, remove_browser
from services.admin.handlers.devices import (
    list_devices,
    remove_authenticator,
    remove_device,
    show_freeze,
    unfreeze,
)
from services.admin.handlers.directory import (
    DirectoryView,
    check_connection,
    checked,
    directory_person,
    failed_people,
    retry_person,
    set_connection,
    set_licences,
    show_connection,
)
from services.admin.handlers.federation import Readiness, federation, first_use, readiness
from services.admin.handlers.invitations import (
    InvitationLink,
    expire_invitations,
    invite,
    renew_invitation,
    withdraw_all,
)
from services.admin.handlers.own_page import remove_own_browser, rename_authenticator, sign_out_person
from services.admin.handlers.removals import finish_removals, remove, restore
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
    "Details",
    "DetailsChanged",
    "DirectoryView",
    "InvitationLink",
    "NewAccount",
    "Readiness",
    "add_application",
    "add_domain",
    "change_details",
    "change_issuer",
    "check_connection",
    "checked",
    "configure_tenant",
    "create_account",
    "create_accounts",
    "create_tenant",
    "directory_person",
    "expire_invitations",
    "failed_people",
    "federation",
    "finish_removals",
    "first_use",
    "invite",
    "list_accounts",
    "list_browsers",
    "list_devices",
    "list_tenants",
    "readiness",
    "remove",
    "remove_authenticator",
    "remove_browser",
    "remove_device",
    "remove_own_browser",
    "rename",
    "rename_authenticator",
    "renew_invitation",
    "restore",
    "resume",
    "retry_person",
    "set_connection",
    "set_licences",
    "show_account",
    "show_connection",
    "show_freeze",
    "show_tenant",
    "sign_out_everywhere",
    "sign_out_person",
    "suspend",
    "unfreeze",
    "withdraw_all",
]
