"""Messages as handlers get them, for tests of what stands behind the bus."""

from typing import TypeVar

from shared.clock import iso_millis
from shared.contracts import Message
from shared.contracts.envelope import Envelope, Origin, VerifiedMessage
from tests.world import START

M = TypeVar("M", bound=Message)


def received(message: M, *, tenant: str = "contoso", origin: Origin = Origin.SENT) -> VerifiedMessage[M]:
    """The message as if its sender's message had been verified, or as an item of a pull."""
    envelope = Envelope.model_validate(
        {
            "v": 1,
            "id": "message-1",
            "type": message.TYPE,
            "tenant": tenant,
            "occurred_at": iso_millis(START),
            "correlation_id": "message-1",
            "causation_id": None,
            "sender": message.owner(),
            "body": message.model_dump(mode="json"),
        }
    )
    return VerifiedMessage(message, envelope, origin)
