"""The bus on RabbitMQ (aio-pika; never its patterns, they pickle).

    connection.py      one connection that is made again whenever it is lost
    codec.py           signed message <-> AMQP message
    publisher.py       publish with confirms
    queue_consumer.py  one service's queue and handlers
    signals.py         wake every replica
    bus.py             RabbitBus, which puts them together
    dead_letters.py    look at dead letters and send them again

What exists in the broker, and why, is in `shared/bus/topology.py`.
"""

from shared.bus.rabbit.bus import RabbitBus
from shared.bus.rabbit.dead_letters import DeadLetter, list_dead, replay

__all__ = ["DeadLetter", "RabbitBus", "list_dead", "replay"]
