"""What the handlers need, each as narrow as it can be."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from email.message import EmailMessage
from typing import Protocol

from services.notify.domain.delivery import Channel, Delivery, Outcome
from shared.clock import Clock
from shared.contracts.envelope import MessageSigner, SignedMessage
from shared.contracts.notify import DeviceAddedLetter, InvitationLetter, PushSubscription
from shared.ids import Ids


class Deliveries(Protocol):
    """One document for each."""

    async def add(self, delivery: Delivery) -> bool:
        """Keep a new one. False when there is one of that id already."""
        ...

    async def due(
        self, channel: Channel, now: datetime, *, busy: Sequence[str], limit: int
    ) -> Sequence[Delivery]:
        """Waiting ones whose time has come, the longest waiting first, without those to `busy` destinations."""
        ...

    async def replace(self, before: Delivery, after: Delivery, outbox: Sequence[SignedMessage] = ()) -> bool:
        """One conditional write. False: somebody else took it since `before`, nothing happened."""
        ...


class Opener(Protocol):
    """Opens what was sealed for notify."""

    def open(self, sealed: str, place: str) -> bytes:
        """Raises shared.crypto.sealed_box.CannotOpen."""
        ...


class Letters(Protocol):
    """Makes mails of letters."""

    def compose(
        self, letter: InvitationLetter | DeviceAddedLetter, delivery: str, now: datetime
    ) -> EmailMessage:
        """The mail, text and HTML. `delivery` makes its Message-ID, the same at every attempt."""
        ...

    def push_text(self, language: str) -> bytes:
        """What a push says: neutral words only."""
        ...


class Mailer(Protocol):
    """Takes mails away."""

    async def send(self, mail: EmailMessage) -> Outcome:
        """One attempt, shorter than the lease. Never raises for the mail's or the server's sake."""
        ...


class Pusher(Protocol):
    """Speaks to push services."""

    async def send(self, to: PushSubscription, payload: bytes, lifetime: timedelta) -> Outcome:
        """One attempt, shorter than the lease. Never raises for the subscription's or the service's sake."""
        ...

    def destination(self, to: PushSubscription) -> str | None:
        """The host that it would speak to; None when it never would."""
        ...


@dataclass(frozen=True, slots=True)
class Parts:
    """What every handler works with."""

    deliveries: Deliveries
    opener: Opener
    letters: Letters
    mailer: Mailer
    pusher: Pusher
    signer: MessageSigner
    clock: Clock
    ids: Ids
    link_prefix: str
    """Every link that we ever mail begins so: a taken-over admin cannot use us to send people elsewhere."""
