"""The table from message to handler: everything that wsfed reacts to."""

from functools import partial

from services.wsfed import projections
from services.wsfed.handlers import browsers, key_rollover, phone_responses
from services.wsfed.ports import Dependencies
from shared.bus.port import Handlers
from shared.contracts.admin import (
    AccountChanged,
    AuthenticatorChanged,
    InvitationChanged,
    LogoChanged,
    TenantConfigured,
)
from shared.contracts.approval import (
    ChallengeAccepted,
    ChallengeClaimed,
    ChallengeEnded,
    ChallengeUnnotified,
    DeviceChanged,
)
from shared.contracts.wsfed import AdvanceKeys, RemoveBrowser


def consumers(deps: Dependencies) -> Handlers:
    """The table, with the dependencies bound to each handler."""
    return {
        TenantConfigured: partial(projections.tenant_configured, deps),
        LogoChanged: partial(projections.logo_changed, deps),
        AccountChanged: partial(projections.account_changed, deps),
        InvitationChanged: partial(projections.invitation_changed, deps),
        AuthenticatorChanged: partial(projections.authenticator_changed, deps),
        DeviceChanged: partial(projections.device_changed, deps),
        RemoveBrowser: partial(browsers.remove_browser, deps),
        AdvanceKeys: partial(key_rollover.advance_keys, deps),
        ChallengeUnnotified: partial(phone_responses.challenge_unnotified, deps),
        ChallengeClaimed: partial(phone_responses.challenge_claimed, deps),
        ChallengeAccepted: partial(phone_responses.challenge_accepted, deps),
        ChallengeEnded: partial(phone_responses.challenge_ended, deps),
    }
