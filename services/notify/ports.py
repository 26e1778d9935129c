"""What notify's handlers need: `Dependencies`, and the narrow protocols in it."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from email.message import EmailMessage
from typing import Protocol

from services.notify.domain.delivery import Channel, Delivery, Outcome
from services.notify.domain.notices import Addressee, Notice, Told
from services.notify.domain.webpush import REQUEST
from shared.clock import Clock
from shared.contracts.admin import ContactChanged, TenantConfigured
from shared.contracts.envelope import MessageSigner, SignedMessage, VerifiedMessage
from shared.contracts.notify import AnyMail, Contact, PushSubscription
from shared.crypto.sealed_box import Sealer
from shared.ids import Ids


class Deliveries(Protocol):
    """Deliveries on both channels. Each is one document, and each step of its life is one write."""

    async def add(self, delivery: Delivery) -> bool:
        """Keep a new one. False when one of that id is kept already."""
        ...

    async def due(
        self, channel: Channel, now: datetime, *, busy: Sequence[str], limit: int
    ) -> Sequence[Delivery]:
        """Waiting ones whose `next_at` has come, the earliest first, without those to `busy` destinations."""
        ...

    async def replace(self, before: Delivery, after: Delivery, outbox: Sequence[SignedMessage] = ()) -> bool:
        """One conditional write. False: another process has changed it since `before`; nothing was written."""
        ...


class Contacts(Protocol):
    """Where people are written to, as admin says. Addresses are stored sealed."""

    async def of(self, tenant: str, account: str, now: datetime) -> Sequence[Addressee]:
        """The person at the address of now, then at each that was replaced lately; empty when none is known."""
        ...

    async def keep(self, received: VerifiedMessage[ContactChanged], contact: Contact | None) -> None:
        """Keep it, unless a newer version is there. None: the account was removed."""
        ...


class Tenants(Protocol):
    """The projection of tenants' names, which admin owns."""

    async def name(self, tenant: str) -> str | None: ...

    async def keep(self, received: VerifiedMessage[TenantConfigured]) -> None:
        """Keep the tenant's name, unless a newer version is there."""
        ...


class Notices(Protocol):
    """What people were told of their phones. It is kept for good, so that nobody is told the same again."""

    async def is_told(self, notice: Notice) -> bool:
        """Whether the same was told before, whoever said it."""
        ...

    async def told(self, notice: Notice) -> Told | None:
        """Who said the same first, and when; None when nobody did."""
        ...

    async def name_of(self, notice: Notice) -> str:
        """What the device called itself when its person was told that it was added; empty when that is not known."""
        ...

    async def take_place(self, notice: Notice) -> bool:
        """Take one of the `ALONE_A_DAY` places of that service and account for a day. False: none is free.

        Each is one conditional update, so that many messages at once take no more. A notice that has one keeps it.
        """
        ...

    async def add(self, notice: Notice) -> None: ...


class DeliveryQueue(Protocol):
    """Makes the attempts of one channel, mail or push, in the background."""

    def offer(self, delivery: Delivery) -> None:
        """Attempt a delivery that is kept now, when that is possible; it is found again otherwise."""
        ...


class Opener(Protocol):
    """Opens what was sealed for notify."""

    def open(self, sealed: str, associated_data: str) -> bytes:
        """The secret. Raises shared.crypto.sealed_box.CannotOpen."""
        ...


class Composer(Protocol):
    """Writes the texts of mails."""

    def compose(self, mail: AnyMail, delivery: str, now: datetime) -> EmailMessage:
        """The mail as text and HTML. `delivery` makes its Message-ID, the same at every attempt."""
        ...


class Mailer(Protocol):
    """Hands mails to a mail server or a folder."""

    async def send(self, message: EmailMessage) -> Outcome:
        """One attempt, shorter than the lease. Whatever the server does is an outcome, never an exception."""
        ...


class Pusher(Protocol):
    """Sends to push services."""

    async def send(
        self, to: PushSubscription, payload: bytes, lifetime: timedelta, topic: str = REQUEST
    ) -> Outcome:
        """One attempt, shorter than the lease. Whatever the service does is an outcome, never an exception."""
        ...

    def destination(self, to: PushSubscription) -> str | None:
        """The host that it would connect to; None when the endpoint is not one that it ever connects to."""
        ...


@dataclass(frozen=True, slots=True)
class Dependencies:
    """Everything that notify's handlers work with."""

    deliveries: Deliveries
    contacts: Contacts
    tenants: Tenants
    notices: Notices
    mails: DeliveryQueue
    pushes: DeliveryQueue
    opener: Opener
    sealer: Sealer
    """Seals what notify keeps for itself until it is sent, in the form in which commands bring it."""
    composer: Composer
    mailer: Mailer
    pusher: Pusher
    signer: MessageSigner
    clock: Clock
    ids: Ids
    link_prefix: str
    """What every link in a mail begins with, so that a taken-over admin cannot lead people elsewhere by our mails."""
    team_link_prefix: str
    """The same for the links with which administrators join."""
    console_link_prefix: str
    """The same for links to a tenant's pages in the console."""
