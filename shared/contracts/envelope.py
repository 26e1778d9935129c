"""The envelope: who says what, when, because of which message; signed by the sending service.

On the wire a message is a `SignedMessage`: the canonical JSON (RFC 8785) of the envelope, and beside it an Ed25519
signature over exactly those octets. A consumer verifies the octets it received and then parses them, so no
second canonical form can disagree with the first.
"""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from enum import Enum
from typing import Any, Generic, TypeVar

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey
from pydantic import BaseModel, ConfigDict, Field, ValidationError

from shared.canonical import canonical
from shared.clock import Clock, iso_millis
from shared.contracts import Message, StateEvent, contracts
from shared.ids import Ids, new_id

DOMAIN_SEPARATOR = b"blok365-message-v1\x00"
MAX_MESSAGE = 256 * 1024
FUTURE_TOLERANCE = timedelta(minutes=10)
"""A sender's clock may be ahead by this much; more is a clock to be mended or a forgery."""


class Refused(Exception):
    """The message is not what it claims to be. It is never retried. The text is for the operator."""


class TooOld(Refused):
    """The message is genuine, and older than its contract allows."""


@dataclass(frozen=True, slots=True)
class SignedMessage:
    """A signed message as it travels and as it waits in an outbox."""

    id: str
    type: str
    body: bytes
    """Canonical JSON of the envelope."""
    signature: bytes
    """Ed25519 over DOMAIN_SEPARATOR + body, 64 octets."""
    to: str = ""
    """The one reader of an addressed message, for the bus on the sender's side; empty for all others."""


class Envelope(BaseModel):
    """What surrounds a message. `body` is the message as JSON."""

    model_config = ConfigDict(frozen=True, extra="forbid")
    v: int
    id: str
    type: str
    tenant: str
    """Slug of the tenant, or `-` for messages about no tenant."""
    occurred_at: datetime
    correlation_id: str
    causation_id: str | None
    sender: str
    stream: Any = Field(default=None, exclude=True)
    """Read and ignored for one release: the release before counted its state events, and sends it and `number`."""
    number: Any = Field(default=None, exclude=True)
    body: dict[str, Any]


M_co = TypeVar("M_co", bound=Message, covariant=True)


class Origin(Enum):
    """How a message came: by itself, or as an item of a pull of its owner's state."""

    SENT = "sent"
    RECENT_PULL = "recent pull"
    FULL_PULL = "full pull"


@dataclass(frozen=True, slots=True)
class VerifiedMessage(Generic[M_co]):
    """A message whose signature, sender, type and age were verified. Handlers take nothing else.

    Not verified: that what the message says is true. An item of a pull has the envelope of its page.
    """

    message: M_co
    envelope: Envelope
    origin: Origin = Origin.SENT

    @property
    def tenant(self) -> str:
        return self.envelope.tenant


@dataclass(frozen=True, slots=True)
class OutgoingMessage:
    """A message that a step sends, not signed yet: pure code says it, and the store signs it in the step's write.

    At most one of `cause`, the envelope of the message that is answered, and `correlation_id`, which it continues.
    """

    message: Message
    tenant: str
    cause: Envelope | None = None
    correlation_id: str | None = None


class MessageSigner:
    """Makes messages in the name of one service.

    `generation` is that of the service's own database; it goes into every state event. It is read at the start and
    again whenever a page of state is made.
    """

    def __init__(self, service: str, key: Ed25519PrivateKey, clock: Clock, ids: Ids) -> None:
        self.service = service
        self.generation = 0
        self._key = key
        self._clock = clock
        self._ids = ids

    def sign(
        self,
        message: Message,
        *,
        tenant: str,
        cause: Envelope | None = None,
        correlation_id: str | None = None,
    ) -> SignedMessage:
        """The signed message for `message`. Raises ValueError when this service may not send that type."""
        if self.service not in message.SENDERS:
            raise ValueError(f"{self.service} may not send {message.TYPE}")
        message = self.dated(message)
        message_id = new_id(self._ids)
        envelope: dict[str, Any] = {
            "v": 1,
            "id": message_id,
            "type": message.TYPE,
            "tenant": tenant,
            "occurred_at": iso_millis(self._clock.now()),
            "correlation_id": correlation_id or (cause.correlation_id if cause else message_id),
            "causation_id": cause.id if cause else None,
            "sender": self.service,
            "body": message.model_dump(mode="json"),
        }
        body = canonical(envelope)
        to = str(getattr(message, "to", "")) if message.ADDRESSED else ""
        return SignedMessage(message_id, message.TYPE, body, self._key.sign(DOMAIN_SEPARATOR + body), to)

    def sign_outgoing(self, outgoing: OutgoingMessage) -> SignedMessage:
        """Sign a message that pure code has put into a change."""
        return self.sign(
            outgoing.message,
            tenant=outgoing.tenant,
            cause=outgoing.cause,
            correlation_id=outgoing.correlation_id,
        )

    def dated(self, message: Message) -> Message:
        """A state event with the generation of this service's database; any other message as it is."""
        if isinstance(message, StateEvent) and message.generation != self.generation:
            return message.model_copy(update={"generation": self.generation})
        return message


def verify_message(
    signed: SignedMessage, *, trusted: Mapping[str, tuple[Ed25519PublicKey, ...]], now: datetime
) -> VerifiedMessage[Any]:
    """Verify a message and return its message.

    `trusted` maps a service to its public keys (more than one while they are rolled over).
    Raises Refused: too large, not an envelope, unknown type, sender not allowed to send it, wrong signature,
    doubled key, too old (TooOld), from the future, body not of the contract, generation from the future.
    """
    if len(signed.body) > MAX_MESSAGE:
        raise Refused(f"{len(signed.body)} octets are over {MAX_MESSAGE}")
    try:
        envelope = Envelope.model_validate_json(signed.body)
    except ValidationError as error:
        raise Refused(f"not an envelope: {error.error_count()} faults") from error
    contract = contracts().get(envelope.type)
    if contract is None:
        raise Refused(f"unknown type {envelope.type[:80]!r}")
    if envelope.sender not in contract.SENDERS:
        raise Refused(f"{envelope.sender[:80]!r} may not send {envelope.type}")
    if not any(_verifies(key, signed) for key in trusted.get(envelope.sender, ())):
        raise Refused(f"signature is not {envelope.sender}'s")
    if _has_doubled_key(signed.body):
        raise Refused("doubled key: another reader could see another message in it")
    if envelope.id != signed.id or envelope.type != signed.type:
        raise Refused("outside and inside of the message differ")
    if envelope.occurred_at.tzinfo is None:
        raise Refused("occurred_at has no time zone")
    age = now - envelope.occurred_at.astimezone(UTC)
    if contract.MAX_AGE is not None and age > contract.MAX_AGE:
        raise TooOld(f"{age} old, {envelope.type} is good for {contract.MAX_AGE}")
    if age < -FUTURE_TOLERANCE:
        raise Refused(f"from the future by {-age}")
    try:
        message = contract.model_validate(envelope.body)
    except ValidationError as error:
        raise Refused(f"not a {envelope.type}: {error.error_count()} faults") from error
    # `blok365 restore` makes a generation of the time. A higher one, said by whoever had the owner's key, could
    # never be outdone by its restored database.
    if getattr(message, "generation", 0) > (now + FUTURE_TOLERANCE).timestamp():
        raise Refused("generation from the future")
    return VerifiedMessage(message, envelope)


def _has_doubled_key(body: bytes) -> bool:
    doubled = False

    def pairs(members: list[tuple[str, Any]]) -> dict[str, Any]:
        nonlocal doubled
        made = dict(members)
        doubled = doubled or len(made) != len(members)
        return made

    json.loads(body, object_pairs_hook=pairs)
    return doubled


def _verifies(key: Ed25519PublicKey, signed: SignedMessage) -> bool:
    try:
        key.verify(signed.signature, DOMAIN_SEPARATOR + signed.body)
    except InvalidSignature:
        return False
    return True
