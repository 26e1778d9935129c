"""The table from message to handler: everything that notify reacts to."""

from functools import partial

from services.notify.handlers.commands import accept_mail, accept_push
from services.notify.ports import Dependencies
from shared.bus.port import Handlers
from shared.contracts.notify import SendMail, SendPush


def consumers(deps: Dependencies) -> Handlers:
    """The table, with the dependencies bound to each handler."""
    return {
        SendMail: partial(accept_mail, deps),
        SendPush: partial(accept_push, deps),
    }
