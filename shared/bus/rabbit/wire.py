"""How a packet travels in AMQP 0-9-1.

The body is the packet's body, the property `type` its type. Headers: `blok365-id` and `blok365-signature` (base64url)
of the packet; from the consumer's own bookkeeping `blok365-attempt` (deliveries that count so far, from 1) and, on
dead letters, `blok365-reason` and `blok365-died-at`. Headers are not signed: the id and type are in the signed body
again and must agree, the others only the service itself can write (see permissions in topology.py).
"""

import contextlib
from itertools import count

from aio_pika import DeliveryMode, Message
from aio_pika.abc import AbstractMessage, HeadersType

from shared.contracts.envelope import Packet
from shared.ids import b64u, unb64u

ID, SIGNATURE, ATTEMPT = "blok365-id", "blok365-signature", "blok365-attempt"
REASON, DIED_AT = "blok365-reason", "blok365-died-at"

_transfers = count(1)


def message_of(packet: Packet, extra: HeadersType | None = None) -> Message:
    """The AMQP message of a packet, with further headers.

    `message_id` differs for each transfer: aiormq finds the publish that a returned message belongs to by it, and
    with the packet's own id two transfers of one packet at the same time would be taken for each other, so that
    an unroutable one counts as confirmed.
    """
    return Message(
        packet.body,
        headers={ID: packet.id, SIGNATURE: b64u(packet.signature), **(extra or {})},
        message_id=f"{packet.id}.{next(_transfers)}",
        type=packet.type,
        content_type="application/json",
        delivery_mode=DeliveryMode.PERSISTENT,
    )


def packet_of(message: AbstractMessage) -> Packet:
    """The packet of an AMQP message; what is missing or malformed is empty and will not verify."""
    signature = b""
    with contextlib.suppress(ValueError):
        signature = unb64u(str(message.headers.get(SIGNATURE, "")))
    return Packet(str(message.headers.get(ID, "")), message.type or "", message.body, signature)


def attempt_of(message: AbstractMessage) -> int:
    """Which delivery this is, from 1. Deliveries that ended in a crash are not counted here but by the broker."""
    attempt = message.headers.get(ATTEMPT)
    return attempt if isinstance(attempt, int) and attempt > 0 else 1
