"""How a signed message travels in AMQP 0-9-1.

The body is the message's body, the property `type` its type. Headers: `blok365-id` and `blok365-signature` (base64url)
of the message; from the consumer's own bookkeeping `blok365-attempt` (deliveries that count so far, from 1) and, on
dead letters, `blok365-reason` and `blok365-died-at`. Headers are not signed: the id and type are in the signed body
again and must agree, the others only the service itself can write (see permissions in topology.py).
"""

import contextlib
from itertools import count

from aio_pika import DeliveryMode, Message
from aio_pika.abc import AbstractMessage, HeadersType

from shared.contracts.envelope import SignedMessage
from shared.ids import b64u, unb64u

ID, SIGNATURE, ATTEMPT = "blok365-id", "blok365-signature", "blok365-attempt"
REASON, DIED_AT = "blok365-reason", "blok365-died-at"

_transfers = count(1)


def to_amqp(signed: SignedMessage, extra: HeadersType | None = None) -> Message:
    """The AMQP message of a signed one, with further headers.

    `message_id` differs for each transfer: aiormq finds the publish that a returned message belongs to by it, and
    with the message's own id two transfers of one message at the same time would be taken for each other, so that
    an unroutable one counts as confirmed.
    """
    return Message(
        signed.body,
        headers={ID: signed.id, SIGNATURE: b64u(signed.signature), **(extra or {})},
        message_id=f"{signed.id}.{next(_transfers)}",
        type=signed.type,
        content_type="application/json",
        delivery_mode=DeliveryMode.PERSISTENT,
    )


def from_amqp(message: AbstractMessage) -> SignedMessage:
    """The signed message of an AMQP one; what is missing or malformed is empty and will not verify."""
    signature = b""
    with contextlib.suppress(ValueError):
        signature = unb64u(str(message.headers.get(SIGNATURE, "")))
    return SignedMessage(str(message.headers.get(ID, "")), message.type or "", message.body, signature)


def attempt_of(message: AbstractMessage) -> int:
    """Which delivery this is, from 1. Deliveries that ended in a crash are not counted here but by the broker."""
    attempt = message.headers.get(ATTEMPT)
    return attempt if isinstance(attempt, int) and attempt > 0 else 1
