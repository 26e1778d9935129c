"""What wsfed reacts to: its index of messages."""

from functools import partial

from services.wsfed import handlers
from services.wsfed.handlers import WsFed
from shared.bus.port import Handlers
from shared.contracts.admin import AccountChanged, InvitationChanged, TenantConfigured
from shared.contracts.approval import ChallengeAccepted, ChallengeClaimed, ChallengeEnded, DeviceChanged


def consumers(wsfed: WsFed) -> Handlers:
    """Message to handler."""
    return {
        TenantConfigured: partial(handlers.tenant_configured, wsfed),
        AccountChanged: partial(handlers.account_changed, wsfed),
        InvitationChanged: partial(handlers.invitation_changed, wsfed),
        DeviceChanged: partial(handlers.device_changed, wsfed),
        ChallengeClaimed: partial(handlers.phone_claimed, wsfed),
        ChallengeAccepted: partial(handlers.phone_accepted, wsfed),
        ChallengeEnded: partial(handlers.phone_ended, wsfed),
    }
