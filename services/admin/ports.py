"""What admin's handlers need: `Dependencies`, and the stores in it, which `store.py` implements."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Protocol

from services.admin.config import AdminSettings
from services.admin.domain.accounts import Account, AccountId
from services.admin.domain.devices import AdminCommand, KnownDevice
from services.admin.domain.invitations import Invitation
from services.admin.domain.tenants import Tenant
from shared.clock import Clock
from shared.contracts.admin import AccountStatus
from shared.contracts.approval import DeviceChanged
from shared.contracts.envelope import Envelope, MessageSigner, SignedMessage, VerifiedMessage
from shared.contracts.notify import DeviceAddedMail, InvitationMail, SendMail, mail_associated_data
from shared.crypto.sealed_box import Sealer
from shared.ids import Ids


class Tenants(Protocol):
    """Tenants by slug."""

    async def add(self, tenant: Tenant, signed: SignedMessage) -> bool:
        """Keep a new one. False when its slug, a domain or an issuer is taken."""
        ...

    async def get(self, slug: str) -> Tenant | None: ...

    async def replace(self, tenant: Tenant, signed: SignedMessage) -> bool:
        """Write the successor of version `tenant.version - 1`.

        False when that is no longer the version, or when a domain or issuer is another tenant's.
        """
        ...

    async def page(self, after: str, limit: int) -> Sequence[Tenant]:
        """Tenants whose slug comes after `after`, in that order. For the operator, who sees them all."""
        ...


class Accounts(Protocol):
    """Accounts of a tenant."""

    async def add(self, account: Account, signed: SignedMessage) -> bool:
        """Keep a new one. False when its user name is taken."""
        ...

    async def add_many(self, accounts: Sequence[Account]) -> None:
        """Keep those whose user name is free. No event announces them: the other services pull them."""
        ...

    async def get(self, tenant: str, account: str) -> Account | None: ...

    async def by_upn(self, tenant: str, upn: str) -> Account | None:
        """The account that holds this user name; a removed one does not."""
        ...

    async def replace(self, account: Account, signed: SignedMessage) -> bool:
        """Write the successor of version `account.version - 1`; False when that is no longer the version."""
        ...

    async def page(
        self, tenant: str, *, after: tuple[str, AccountId] | None, status: AccountStatus | None, limit: int
    ) -> Sequence[Account]:
        """Accounts in the order of (user name, id) that come after `after`."""
        ...


class Invitations(Protocol):
    """Invitations of a tenant's accounts."""

    async def add(self, invitation: Invitation, *messages: SignedMessage) -> bool:
        """Keep a new one. False when the account has an open one already."""
        ...

    async def get(self, tenant: str, invitation: str) -> Invitation | None: ...

    async def open_of(self, tenant: str, account: str) -> Invitation | None:
        """The account's open invitation, expired or not."""
        ...

    async def replace(self, invitation: Invitation, *messages: SignedMessage) -> bool:
        """Write the successor of version `invitation.version - 1`; False when that is no longer the version."""
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


class AdminCommands(Protocol):
    """What administrators asked other services to do."""

    async def add(self, command: AdminCommand, signed: SignedMessage) -> None:
        """Keep the record and the command itself in one write."""
        ...


@dataclass(frozen=True)
class Dependencies:
    """What the handlers work with."""

    tenants: Tenants
    accounts: Accounts
    invitations: Invitations
    devices: Devices
    admin_commands: AdminCommands
    signer: MessageSigner
    clock: Clock
    ids: Ids
    settings: AdminSettings
    origin: str
    """Of the sign-in host, without a slash at the end."""
    notify_sealer: Sealer
    """Seals for notify, which alone can open it."""

    def tenant_message(self, tenant: Tenant) -> SignedMessage:
        """`admin.tenant.configured.v1`"""
        return self.signer.sign(tenant.event(), tenant=tenant.slug)

    def account_message(self, account: Account, cause: Envelope | None = None) -> SignedMessage:
        """`admin.account.changed.v1`"""
        return self.signer.sign(account.event(), tenant=account.tenant, cause=cause)

    def invitation_message(self, invitation: Invitation, cause: Envelope | None = None) -> SignedMessage:
        """`admin.invitation.changed.v1`"""
        return self.signer.sign(invitation.event(), tenant=invitation.tenant, cause=cause)

    def mail_message(
        self,
        mail: InvitationMail | DeviceAddedMail,
        invitation: Invitation,
        expires_at: datetime,
        cause: Envelope | None = None,
    ) -> SignedMessage:
        """`notify.mail.send.v1` with the mail sealed for notify. An invitation has at most one mail of each kind."""
        delivery = f"{invitation.id}.{mail.kind}"
        associated_data = mail_associated_data(invitation.tenant, delivery)
        command = SendMail(
            delivery=delivery,
            kind=mail.kind,
            expires_at=expires_at,
            sealed=self.notify_sealer.seal(mail.model_dump_json().encode(), associated_data),
        )
        return self.signer.sign(command, tenant=invitation.tenant, cause=cause)
