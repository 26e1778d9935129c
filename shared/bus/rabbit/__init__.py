"""The bus on RabbitMQ (aio-pika; never its patterns, they pickle).

    link.py          one connection that is made again whenever it is lost
    wire.py          packet <-> AMQP message
    outgoing.py      publish with confirms
    subscription.py  one service's queue and handlers
    bus.py           RabbitBus, which puts them together
    dead.py          look at dead letters and send them again

What exists in the broker, and why, is in `shared/bus/topology.py`.
"""

from shared.bus.rabbit.bus import RabbitBus
from shared.bus.rabbit.dead import DeadLetter, list_dead, replay

__all__ = ["DeadLetter", "RabbitBus", "list_dead", "replay"]
