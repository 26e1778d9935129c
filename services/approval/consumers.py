"""The table from message to handler: everything that approval reacts to."""

from functools import partial

from services.approval import projections
from services.approval.handlers import administration, challenges, notifications
from services.approval.ports import Dependencies
from shared.bus.port import Handlers
from shared.contracts.admin import AccountChanged, AuthenticatorChanged, InvitationChanged, TenantConfigured
from shared.contracts.approval import OpenChallenge, UnfreezePush
from shared.contracts.notify import PushFailed, SubscriptionGone


def consumers(deps: Dependencies) -> Handlers:
    """The table, with the dependencies bound to each handler."""
    return {
        TenantConfigured: partial(projections.tenant_configured, deps),
        AccountChanged: partial(projections.account_changed, deps),
        InvitationChanged: partial(projections.invitation_changed, deps),
        AuthenticatorChanged: partial(projections.authenticator_changed, deps),
        OpenChallenge: partial(challenges.open_challenge, deps),
        UnfreezePush: partial(administration.unfreeze, deps),
        PushFailed: partial(notifications.push_failed, deps),
        SubscriptionGone: partial(notifications.subscription_gone, deps),
    }
