"""The table from message to handler: everything that notify reacts to."""

from functools import partial

from services.notify import projections
from services.notify.handlers.commands import accept_mail, accept_push
from services.notify.handlers.notices import authenticator_accepted, authenticator_changed, device_changed
from services.notify.ports import Dependencies
from shared.bus.port import Handlers
from shared.contracts.admin import AuthenticatorChanged, ContactChanged, TenantConfigured
from shared.contracts.approval import DeviceChanged
from shared.contracts.notify import SendMail, SendPush
from shared.contracts.wsfed import AuthenticatorAccepted


def consumers(deps: Dependencies) -> Handlers:
    """The table, with the dependencies bound to each handler."""
    return {
        TenantConfigured: partial(projections.tenant_configured, deps),
        ContactChanged: partial(projections.contact_changed, deps),
        AuthenticatorAccepted: partial(authenticator_accepted, deps),
        AuthenticatorChanged: partial(authenticator_changed, deps),
        DeviceChanged: partial(device_changed, deps),
        SendMail: partial(accept_mail, deps),
        SendPush: partial(accept_push, deps),
    }
