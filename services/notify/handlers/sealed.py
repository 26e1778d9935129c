"""What was sealed for notify, opened and checked. It stays in memory only."""

from pydantic import ValidationError

from services.notify.ports import Dependencies
from shared.bus.port import Reject
from shared.contracts.notify import (
    MAIL,
    AlertsMail,
    AnyMail,
    CredentialMail,
    InvitationMail,
    PushSubscription,
    TeamInvitationMail,
)
from shared.crypto.sealed_box import CannotOpen


def open_mail(deps: Dependencies, sealed: str, associated_data: str) -> AnyMail:
    """A mail to be sent. Raises Reject, without what the mail says."""
    # `from None`: pydantic's exceptions quote the values that they refuse, and those would reach the log.
    try:
        mail = MAIL.validate_json(deps.opener.open(sealed, associated_data))
    except CannotOpen as error:
        raise Reject(str(error)) from None
    except ValidationError as error:
        raise Reject(f"not a mail: {error.error_count()} faults") from None
    if isinstance(mail, InvitationMail) and not mail.link.startswith(deps.link_prefix):
        raise Reject("the link leads elsewhere")
    if isinstance(mail, TeamInvitationMail) and not mail.link.startswith(deps.team_link_prefix):
        raise Reject("the link leads elsewhere")
    if isinstance(mail, AlertsMail | CredentialMail) and not mail.link.startswith(deps.console_link_prefix):
        raise Reject("the link leads elsewhere")
    return mail


def open_subscription(deps: Dependencies, sealed: str, associated_data: str) -> PushSubscription:
    """A push subscription. Raises Reject, without what it says. Not checked here: whose endpoint it is."""
    try:
        return PushSubscription.model_validate_json(deps.opener.open(sealed, associated_data))
    except CannotOpen as error:
        raise Reject(str(error)) from None
    except ValidationError as error:
        raise Reject(f"not a subscription: {error.error_count()} faults") from None
