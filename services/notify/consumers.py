"""What notify listens to."""

from functools import partial

from services.notify.handlers.commands import accept_mail, accept_push
from services.notify.ports import Dependencies
from shared.bus.port import Handlers
from shared.contracts.notify import SendMail, SendPush


def consumers(deps: Dependencies) -> Handlers:
    """Message to handler: the index of what notify reacts to."""
    return {
        SendMail: partial(accept_mail, deps),
        SendPush: partial(accept_push, deps),
    }
