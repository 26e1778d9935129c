"""Exchanges, queues, bindings and permissions of the bus in RabbitMQ, as data.

    publisher --type--> [blok365] --bindings by type--> (wsfed) --> handlers
                                                          | again          | retry.1s, .10s, .60s
                                                          |                v
                                   [wsfed] <--after the delay-- (wsfed.retry.1s) ...
                                      | dead
                                      v
                                (wsfed.dead) --list, replay--> people

Each service declares its own part when it connects, and `deploy/rabbitmq/definitions.py` makes the whole, with
users and permissions, before any service runs. Both read this file. A service may touch nothing but its own
queue, exchange, retry and dead-letter queues, and of the shared exchange only the types it may send or consumes.
It may configure what is its own: whoever reads a queue can empty it anyway.

Queues are quorum queues: replicated, and with at-least-once dead-lettering; that needs `reject-publish`, the
default overflow loses messages.
"""

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from shared.bus.port import RETRY_DELAYS
from shared.contracts import contracts

EXCHANGE = "blok365"
"""Topic exchange of all messages; the routing key is the message's type, and `type.reader` of an addressed one."""
SIGNALS = "blok365.hints"
"""Direct exchange of signals; the routing key is the topic. Its name in the broker is older than the word."""
AGAIN, DEAD = "again", "dead"
"""Routing keys in a service's own exchange: once more to the queue, to the dead letters."""
DELIVERY_LIMIT = 20
"""Deliveries without any answer (a message that kills its consumer) before the broker makes it a dead letter."""
NO_LIMIT = 2**31 - 1
"""For dead letters: looking at one counts as a delivery, and RabbitMQ 4 drops after 20 unless told otherwise."""
MAX_LENGTH = 1_000_000
"""Messages in a queue; beyond that the broker refuses and they wait in their senders' outboxes."""


@dataclass(frozen=True, slots=True)
class Queue:
    """A durable quorum queue. `arguments` beyond the type."""

    name: str
    arguments: Mapping[str, str | int]


@dataclass(frozen=True, slots=True)
class Binding:
    """Messages of `exchange` with `key` go to `queue`."""

    exchange: str
    key: str
    queue: str


@dataclass(frozen=True, slots=True)
class Permission:
    """Regular expressions as RabbitMQ means them; `send` and `consume` are over routing keys in EXCHANGE."""

    configure: str
    write: str
    read: str
    send: str
    consume: str


def routing_key(message_type: str, reader: str) -> str:
    """The routing key of a message for that reader: an addressed one has a key for each of its readers."""
    contract = contracts().get(message_type)
    return f"{message_type}.{reader}" if contract is not None and contract.ADDRESSED else message_type


def dead_queue(service: str) -> str:
    """Name of a service's dead-letter queue."""
    return f"{service}.{DEAD}"


@dataclass(frozen=True)
class Topology:
    """Queues, exchanges and bindings, made from the contracts.

    `readers`: services by type of event, for tests; otherwise the contracts' READERS say. A command goes to its
    owner. `delays`: seconds before further deliveries.
    """

    readers: Mapping[str, frozenset[str]] | None = None
    delays: tuple[float, ...] = RETRY_DELAYS

    def delay(self, attempt: int) -> float:
        """Seconds to wait after that attempt. Attempts count from 1."""
        return self.delays[min(attempt, len(self.delays)) - 1]

    def retry_key(self, attempt: int) -> str:
        """Routing key of the delay after that attempt (from 1)."""
        return f"retry.{self.delay(attempt):g}s"

    def readers_of(self, message_type: str) -> frozenset[str]:
        """The services that consume a known type."""
        contract = contracts()[message_type]
        if self.readers is None or contract.KIND == "command":
            return contract.READERS
        return self.readers.get(message_type, frozenset())

    def types_of(self, service: str) -> frozenset[str]:
        """Everything that a service consumes: events that it reads, and the commands it owns."""
        return frozenset(name for name in contracts() if service in self.readers_of(name))

    def is_lost_unrouted(self, message_type: str) -> bool:
        """Whether a message that reached no queue is missing somewhere.

        An event that nobody consumes is not; of a type that is not known here nothing is known.
        """
        return message_type not in contracts() or bool(self.readers_of(message_type))

    def check(self, service: str, types: Iterable[str]) -> None:
        """Raises ValueError when a service is about to consume what it is no reader of."""
        if unknown := set(types) - self.types_of(service):
            raise ValueError(f"{service} consumes {', '.join(sorted(unknown))} and is not among the READERS")

    def queues(self, service: str) -> list[Queue]:
        """A service's queues; those that others dead-letter into come first."""
        safe: dict[str, str | int] = {
            "x-queue-type": "quorum",
            "x-overflow": "reject-publish",
            "x-dead-letter-strategy": "at-least-once",
            "x-dead-letter-exchange": service,
        }
        return [
            Queue(dead_queue(service), {"x-queue-type": "quorum", "x-delivery-limit": NO_LIMIT}),
            *(
                Queue(
                    f"{service}.retry.{delay:g}s",
                    {**safe, "x-dead-letter-routing-key": AGAIN, "x-message-ttl": int(delay * 1000)},
                )
                for delay in self.delays
            ),
            Queue(
                service,
                {
                    **safe,
                    "x-dead-letter-routing-key": DEAD,
                    "x-delivery-limit": DELIVERY_LIMIT,
                    "x-max-length": MAX_LENGTH,
                },
            ),
        ]

    def bindings(self, service: str, types: Iterable[str]) -> list[Binding]:
        """A service's bindings: its own exchange first, so that nothing arrives that could not be retried."""
        own = {DEAD: dead_queue(service), AGAIN: service}
        own |= {f"retry.{delay:g}s": f"{service}.retry.{delay:g}s" for delay in self.delays}
        return [
            *(Binding(service, key, queue) for key, queue in own.items()),
            *(Binding(EXCHANGE, routing_key(name, service), service) for name in sorted(types)),
        ]

    def permission(self, service: str) -> Permission:
        """What a service's user may do. Its signal queue has a name that the broker makes and is exclusive."""
        own = rf"{service}(\.dead|\.retry\.[0-9.]+s)?|amq\.gen-.*"
        shared = rf"{re.escape(EXCHANGE)}(\.hints)?"
        sends = {
            routing_key(name, reader)
            for name, contract in contracts().items()
            if service in contract.SENDERS
            for reader in contract.READERS or ("",)
        }
        return Permission(
            configure=f"^({own})$",
            write=f"^({shared}|{own})$",
            read=f"^({shared}|{own})$",
            send=_any_of(sorted(sends)),
            consume=_any_of(sorted(routing_key(name, service) for name in self.types_of(service))),
        )


def _any_of(keys: list[str]) -> str:
    """A regular expression for exactly these; for none of them one that matches nothing that is a type."""
    return f"^({'|'.join(re.escape(key) for key in keys)})$"


TOPOLOGY = Topology()
