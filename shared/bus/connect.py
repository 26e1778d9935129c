"""The bus that a URL names."""

from shared.bus.rabbit import RabbitBus
from shared.clock import Clock
from shared.crypto.keys import TrustedKeys
from shared.errors import BadInput


async def connect(url: str, trusted: TrustedKeys, clock: Clock) -> RabbitBus:
    """RabbitMQ for `amqp://` and `amqps://`. Raises BadInput for others, Unavailable when nobody answers."""
    if not url.startswith(("amqp://", "amqps://")):
        raise BadInput(
            "BLOK365_BUS_URL must name a RabbitMQ server when each service is a process of its own.",
            remedy="Set it to amqp://user:password@host/vhost, or use `make run` for all in one process.",
        )
    return await RabbitBus.connect(url, trusted=trusted, clock=clock)
