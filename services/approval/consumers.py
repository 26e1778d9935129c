"""What approval reacts to."""

from functools import partial

from services.approval.handlers import administering, challenges, notifications, projections
from services.approval.ports import Parts
from shared.bus.port import Handlers
from shared.contracts.admin import AccountChanged, InvitationChanged, TenantConfigured
from shared.contracts.approval import OpenChallenge, RemoveDevice, UnfreezePush
from shared.contracts.notify import SubscriptionGone


def consumers(parts: Parts) -> Handlers:
    """Message to handler."""
    return {
        TenantConfigured: partial(projections.tenant_configured, parts),
        AccountChanged: partial(projections.account_changed, parts),
        InvitationChanged: partial(projections.invitation_changed, parts),
        OpenChallenge: partial(challenges.open_challenge, parts),
        RemoveDevice: partial(administering.remove_device, parts),
        UnfreezePush: partial(administering.unfreeze, parts),
        SubscriptionGone: partial(notifications.subscription_gone, parts),
    }
