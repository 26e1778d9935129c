"""What admin's handlers need: `Dependencies`, and the stores in it, which `store.py` implements."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Protocol

from services.admin.config import AdminSettings
from services.admin.domain.accounts import Account, AccountId
from services.admin.domain.authenticators import Authenticator
from services.admin.domain.browsers import Browser
from services.admin.domain.devices import AdminCommand, Freeze, KnownDevice
from services.admin.domain.invitations import Invitation
from services.admin.domain.tenants import Tenant
from shared.clock import Clock
from shared.contracts.admin import AccountStatus
from shared.contracts.approval import DeviceChanged, FreezeChanged
from shared.contracts.envelope import Envelope, OutgoingMessage, VerifiedMessage
from shared.contracts.notify import InvitationMail, SendMail, mail_associated_data
from shared.contracts.wsfed import BrowserChanged
from shared.crypto.sealed_box import Sealer
from shared.errors import Conflict
from shared.ids import Ids


class Tenants(Protocol):
    """Tenants by slug. Each write stores the announcement of the tenant's new state with it."""

    async def add(self, tenant: Tenant) -> bool:
        """Keep a new one. False when its slug, a domain or an issuer is taken."""
        ...

    async def get(self, slug: str) -> Tenant | None: ...

    async def change(
        self, slug: str, step: Callable[[Tenant], Tenant], *, busy: Conflict | None = None
    ) -> Tenant | None:
        """The tenant after `step`, which raises its version by one. None: there is no such tenant.

        `step` is called again when somebody else wrote first. Raises what `step` raises; NotUnique when a domain or
        an issuer is another tenant's; `busy` (by default Unavailable) when others were first each time.
        """
        ...

    async def page(self, after: str, limit: int) -> Sequence[Tenant]:
        """Tenants whose slug comes after `after`, in that order. For the operator, who sees them all."""
        ...


class Accounts(Protocol):
    """Accounts of a tenant. Each write stores the announcement of the account's new state with it."""

    async def add(self, account: Account) -> bool:
        """Keep a new one. False when its user name is taken."""
        ...

    async def add_many(self, accounts: Sequence[Account]) -> None:
        """Keep those whose user name is free. No event announces them: the other services pull them."""
        ...

    async def get(self, tenant: str, account: AccountId) -> Account | None: ...

    async def by_upn(self, tenant: str, upn: str) -> Account | None:
        """The account that holds this user name; a removed one does not."""
        ...

    async def change(
        self,
        tenant: str,
        account: AccountId,
        step: Callable[[Account], Account | None],
        *,
        cause: Envelope | None = None,
        busy: Conflict | None = None,
    ) -> Account | None:
        """The account after `step`. None: `step` returned None, or there is no such account; nothing was written.

        `step` is called again when somebody else wrote first. Raises what `step` raises; `busy` (by default
        Unavailable) when others were first each time.
        """
        ...

    async def page(
        self, tenant: str, *, after: tuple[str, AccountId] | None, status: AccountStatus | None, limit: int
    ) -> Sequence[Account]:
        """Accounts in the order of (user name, id) that come after `after`."""
        ...


class Invitations(Protocol):
    """Invitations of a tenant's accounts. Each write stores the announcement of the invitation's new state with it."""

    async def add(self, invitation: Invitation, *messages: OutgoingMessage) -> bool:
        """Keep a new one, with those messages too. False when the account has an open one already."""
        ...

    async def get(self, tenant: str, invitation: str) -> Invitation | None: ...

    async def over(self, expired_before: datetime, limit: int) -> Sequence[Invitation]:
        """At most `limit` invitations of all tenants that are still `open` and ended before that moment."""
        ...

    async def used_without_key(self) -> bool:
        """Whether an invitation was used before invitations kept the key of the device that they vouched for."""
        ...

    async def open_of(self, tenant: str, account: AccountId) -> Invitation | None:
        """The account's invitation in state `open`, whether its time is over or not; None when it has none."""
        ...

    async def latest_of(self, tenant: str, account: AccountId) -> Invitation | None:
        """The account's open invitation; without one, the one that was made last. None when it never had one."""
        ...

    async def change(
        self,
        tenant: str,
        invitation: str,
        step: Callable[[Invitation], Invitation | None],
        *messages: OutgoingMessage,
        cause: Envelope | None = None,
    ) -> Invitation | None:
        """The invitation after `step`, written with those messages too.

        None: `step` returned None, or there is no such invitation; nothing was written. `step` is called again when
        somebody else wrote first. Raises what `step` raises; Unavailable when others were first each time.
        """
        ...


class Authenticators(Protocol):
    """Admin's decisions on devices' keys. Each write stores the announcement of the decision with it."""

    async def add(self, authenticator: Authenticator, *, cause: Envelope | None = None) -> bool:
        """Keep a decision. False when there is one on that id already, which stays as it is."""
        ...

    async def get(self, tenant: str, authenticator: str) -> Authenticator | None: ...

    async def of(self, tenant: str, account: AccountId) -> Sequence[Authenticator]:
        """All of that account, those that ended too."""
        ...

    async def change(
        self,
        tenant: str,
        authenticator: str,
        step: Callable[[Authenticator], Authenticator | None],
        *,
        cause: Envelope | None = None,
    ) -> Authenticator | None:
        """The authenticator after `step`. None: `step` returned None, or there is no such authenticator.

        `step` is called again when somebody else wrote first. Raises what `step` raises; Unavailable when others
        were first each time.
        """
        ...


class Devices(Protocol):
    """Devices as approval announces them: a projection, which accepts only higher versions."""

    async def knows(self, received: VerifiedMessage[DeviceChanged]) -> bool:
        """Whether exactly this announcement is kept already."""
        ...

    async def keep(self, received: VerifiedMessage[DeviceChanged]) -> None: ...

    async def of(self, tenant: str, account: AccountId) -> Sequence[KnownDevice]:
        """All devices of that account, removed ones too, oldest first."""
        ...


class Freezes(Protocol):
    """What "Not me" froze, as approval announces it: a projection, which accepts only higher versions."""

    async def of(self, tenant: str, account: AccountId) -> Freeze | None:
        """The freeze that is in force; None when there is none."""
        ...

    async def keep(self, received: VerifiedMessage[FreezeChanged]) -> None: ...


class Browsers(Protocol):
    """Browsers as wsfed announces them: a projection, which accepts only higher versions."""

    async def keep(self, received: VerifiedMessage[BrowserChanged]) -> None: ...

    async def of(self, tenant: str, account: AccountId) -> Sequence[Browser]:
        """All browsers of that account, removed and forgotten ones too, the one that was used last first."""
        ...


class AdminCommands(Protocol):
    """What administrators asked other services to do."""

    async def add(self, command: AdminCommand, message: OutgoingMessage) -> None:
        """Keep the record, and with it the message that carries the command, in one write."""
        ...


@dataclass(frozen=True)
class Dependencies:
    """Everything that admin's handlers work with."""

    tenants: Tenants
    accounts: Accounts
    invitations: Invitations
    authenticators: Authenticators
    devices: Devices
    freezes: Freezes
    browsers: Browsers
    admin_commands: AdminCommands
    clock: Clock
    ids: Ids
    settings: AdminSettings
    origin: str
    """Origin of the sign-in host, without a slash at the end."""
    phone_origin: str
    """Origin of the phone's page, in the same form."""
    rp_id: str
    expected_origins: frozenset[str]
    """Origins that a person's phone signs on."""
    notify_sealer: Sealer
    """Seals mails for notify, which alone can open them."""

    def mail_message(self, mail: InvitationMail, invitation: Invitation) -> OutgoingMessage:
        """`notify.mail.send.v1` with the mail sealed for notify. An invitation has at most one."""
        delivery = f"{invitation.id}.{mail.kind}"
        associated_data = mail_associated_data(invitation.tenant, delivery)
        command = SendMail(
            delivery=delivery,
            kind=mail.kind,
            expires_at=invitation.expires_at,
            sealed=self.notify_sealer.seal(mail.model_dump_json().encode(), associated_data),
        )
        return OutgoingMessage(command, invitation.tenant)
