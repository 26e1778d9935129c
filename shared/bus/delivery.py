"""What happens to one delivered message: the same for every bus.

message --verify_message--> VerifiedMessage --handler--> ACK
  | Refused                 | Retry, fault, time-out -> RETRY (a fault: until the attempts are spent)
  v                         | Unavailable, Retry(soon) -> RETRY, and the attempt does not count
DEAD                        | Reject
                            v
                          DEAD

A message that may be dropped when it is old (`DROP_WHEN_OLD`) and is, is acknowledged without being handled.
"""

import asyncio
from dataclasses import dataclass
from enum import Enum

import structlog

from shared.bus.port import Handlers, Reject, Retry
from shared.clock import Clock
from shared.contracts import contracts
from shared.contracts.envelope import Refused, SignedMessage, TooOld, verify_message
from shared.crypto.keys import TrustedKeys
from shared.errors import Unavailable

log = structlog.get_logger(__name__)

HANDLER_TIMEOUT = 30.0
MAX_FAULTS = 5
"""Deliveries that may end in an unexpected exception before the message is a dead letter."""


class Verdict(Enum):
    """What the bus must do with the message."""

    ACK = "ack"
    RETRY = "retry"
    DEAD = "dead"


@dataclass(frozen=True, slots=True)
class Outcome:
    """A verdict and, unless it is ACK, why: for the dead letter and the log."""

    verdict: Verdict
    reason: str = ""
    counts: bool = True
    """For RETRY: whether this delivery counts as an attempt. One that does not count comes again after the shortest
    delay, so that a service whose own database was away, or that a person waits for, takes up its work within a second.
    Only the message's age or its handler ends that.
    """

    def next_attempt(self, attempt: int) -> int:
        """The number of the delivery after that one."""
        return attempt + self.counts

    def waits_as(self, attempt: int) -> int:
        """The number of the attempt by which the delay before the next delivery is chosen."""
        return attempt if self.counts else 1


class Dispatcher:
    """Verifies messages and hands them to one service's handlers."""

    def __init__(self, service: str, handlers: Handlers, trusted: TrustedKeys, clock: Clock) -> None:
        self.service = service
        self._table = {contract.TYPE: handler for contract, handler in handlers.items()}
        for contract in handlers:
            if contract.KIND == "command" and contract.owner() != service:
                raise ValueError(
                    f"{service} may not consume {contract.TYPE}: it is {contract.owner()}'s command"
                )
        self._trusted = trusted
        self._clock = clock

    @property
    def types(self) -> frozenset[str]:
        """Message types that this service consumes."""
        return frozenset(self._table)

    async def dispatch(self, signed: SignedMessage, attempt: int) -> Outcome:
        """Verify one delivery and hand it to its handler. `attempt` counts from 1.

        Whatever goes wrong becomes an Outcome; only cancellation is raised.
        """
        try:
            received = verify_message(signed, trusted=self._trusted, now=self._clock.now())
        except TooOld as error:
            if contracts()[signed.type].DROP_WHEN_OLD:
                log.info("message.dropped", service=self.service, type=signed.type, reason=str(error))
                return Outcome(Verdict.ACK)
            log.warning("message.refused", service=self.service, type=signed.type, reason=str(error))
            return Outcome(Verdict.DEAD, f"refused: {error}")
        except Refused as error:
            log.warning("message.refused", service=self.service, type=signed.type[:80], reason=str(error))
            return Outcome(Verdict.DEAD, f"refused: {error}")
        except Exception as error:
            log.exception("message.unreadable", service=self.service, type=signed.type[:80])
            return Outcome(Verdict.DEAD, f"unreadable: {type(error).__name__}: {error}")
        handler = self._table.get(received.envelope.type)
        if handler is None:
            return Outcome(Verdict.DEAD, f"{self.service} has no handler for {received.envelope.type}")
        try:
            async with asyncio.timeout(HANDLER_TIMEOUT):
                await handler(received)
        except Reject as error:
            log.warning("message.rejected", service=self.service, type=signed.type, reason=str(error))
            return Outcome(Verdict.DEAD, f"rejected: {error}")
        except (Retry, Unavailable, TimeoutError) as error:
            log.info(
                "message.retry", service=self.service, type=signed.type, attempt=attempt, reason=str(error)
            )
            counts = not (isinstance(error, Unavailable) or (isinstance(error, Retry) and error.soon))
            return Outcome(Verdict.RETRY, f"{type(error).__name__}: {error}", counts)
        except Exception as error:
            log.exception("message.fault", service=self.service, type=signed.type, attempt=attempt)
            verdict = Verdict.RETRY if attempt < MAX_FAULTS else Verdict.DEAD
            return Outcome(verdict, f"{type(error).__name__}: {error}")
        return Outcome(Verdict.ACK)
