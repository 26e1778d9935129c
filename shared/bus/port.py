"""The bus as services see it, whichever implementation runs.

A handler is an async function that takes a `VerifiedMessage`. It returns when its work is durable; it raises
`Retry` when the same message may succeed later, `Reject` when it never will; `Unavailable` from its own database
is a retry that is not counted. Only the bus acknowledges. An
exception that is neither is never success: it is retried, then kept as a dead letter with its reason.
"""

from collections.abc import Awaitable, Callable, Mapping, Sequence
from typing import Any, Protocol

from shared.contracts import Message
from shared.contracts.envelope import SignedMessage, VerifiedMessage

Handler = Callable[[VerifiedMessage[Any]], Awaitable[None]]
Handlers = Mapping[type[Message], Handler]
"""A service's consumers table: the index of what it reacts to."""

RETRY_DELAYS = (1, 10, 60)
"""Seconds before the second, third and every further delivery. After `Unavailable` it is the first each time."""


class Retry(Exception):
    """Deliver it again later: something it needs is not there yet.

    `soon`: again after the shortest delay each time, because a person waits for it. Whoever says so ends it by itself,
    by a time after which it raises Reject.
    """

    def __init__(self, reason: str, *, soon: bool = False) -> None:
        super().__init__(reason)
        self.soon = soon


class Reject(Exception):
    """The message will never succeed. It is kept as a dead letter with this reason."""


class Publisher(Protocol):
    """The sending half of a bus, which is all that the outbox relay needs."""

    async def publish(self, messages: Sequence[SignedMessage]) -> frozenset[str]:
        """Send messages at least once each. Returns the ids of those that every queue has taken on.

        Never raises for one message's sake: what is not in the answer stays in its outbox. An event that no
        service consumes counts as taken on; a command, or an event whose consumer has no queue yet, does not.
        """
        ...


class Bus(Publisher, Protocol):
    """A bus: publishes and delivers messages, and carries signals."""

    async def consume(self, service: str, handlers: Handlers) -> None:
        """Start to deliver to `service`. Replicas of one service share its queue."""
        ...

    async def signal(self, topic: str, key: str) -> None:
        """Tell every replica that `key` changed. May be lost, carries no truth: receivers read again."""
        ...

    async def on_signal(self, topic: str, wake: Callable[[str], None]) -> None:
        """Call `wake(key)` for each signal on `topic`, from this process's own transient queue."""
        ...

    async def stop(self) -> None:
        """Take no more deliveries and let running handlers finish (10 s at most). `publish` goes on working
        where it can, so that relays may be flushed; the process's end closes the rest.
        """
        ...
