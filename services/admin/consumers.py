"""The table from message to handler: everything that admin reacts to."""

from functools import partial

from services.admin.handlers import (
    remove_authenticator,
    remove_own_browser,
    rename_authenticator,
    renew_invitation,
    sign_out_person,
)
from services.admin.ports import Dependencies
from services.admin.projections import (
    browser_changed,
    connection_changed,
    device_enrolled,
    domain_used,
    freeze_changed,
    keys_changed,
    person_changed,
    sign_ins_counted,
    sign_ins_listed,
)
from shared.bus.port import Handlers
from shared.contracts.admin import (
    RemoveAuthenticator,
    RemoveOwnBrowser,
    RenameAuthenticator,
    RenewInvitation,
    SignOutPerson,
)
from shared.contracts.approval import DeviceChanged, FreezeChanged
from shared.contracts.provisioning import ConnectionChanged, PersonChanged
from shared.contracts.wsfed import BrowserChanged, DomainUsed, KeysChanged, SignInsCounted, SignInsListed


def consumers(deps: Dependencies) -> Handlers:
    """The table, with the dependencies bound to each handler."""
    return {
        DeviceChanged: partial(device_enrolled, deps),
        FreezeChanged: partial(freeze_changed, deps),
        BrowserChanged: partial(browser_changed, deps),
        ConnectionChanged: partial(connection_changed, deps),
        PersonChanged: partial(person_changed, deps),
        KeysChanged: partial(keys_changed, deps),
        DomainUsed: partial(domain_used, deps),
        SignInsCounted: partial(sign_ins_counted, deps),
        SignInsListed: partial(sign_ins_listed, deps),
        RemoveAuthenticator: partial(remove_authenticator, deps),
        RenewInvitation: partial(renew_invitation, deps),
        RenameAuthenticator: partial(rename_authenticator, deps),
        RemoveOwnBrowser: partial(remove_own_browser, deps),
        SignOutPerson: partial(sign_out_person, deps),
    }
