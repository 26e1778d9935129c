"""What notify reacts to."""

from services.notify import handlers
from services.notify.handlers import Dispatcher
from services.notify.ports import Parts
from shared.bus.port import Handlers
from shared.contracts.envelope import VerifiedMessage
from shared.contracts.notify import SendMail, SendPush


def consumers(parts: Parts, mails: Dispatcher, pushes: Dispatcher) -> Handlers:
    """Message to handler. A command is done when it is kept; the attempt follows at once, without its sender."""

    async def send_mail(received: VerifiedMessage[SendMail]) -> None:
        mails.offer(await handlers.accept_mail(parts, received))

    async def send_push(received: VerifiedMessage[SendPush]) -> None:
        pushes.offer(await handlers.accept_push(parts, received))

    return {SendMail: send_mail, SendPush: send_push}
