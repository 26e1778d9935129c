"""Opens the bus that a URL names."""

from shared.bus.rabbit import RabbitBus
from shared.clock import Clock
from shared.crypto.keys import TrustedKeys
from shared.errors import BadInput


async def connect(url: str, trusted: TrustedKeys, clock: Clock) -> RabbitBus:
    """RabbitMQ for `amqp://` and `amqps://`. Raises BadInput for others, Unavailable when nobody answers."""
    if not url.startswith(("amqp://", "amqps://")):
        raise BadInput("shared.bus.no_url")
    return await RabbitBus.connect(url, trusted=trusted, clock=clock)
