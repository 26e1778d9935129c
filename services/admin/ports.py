"""What admin's handlers need kept. `store.py` implements it."""

from collections.abc import Sequence
from typing import Protocol

from services.admin.domain import Account, AccountId, Errand, Invitation, Phone, Tenant
from shared.contracts.admin import AccountStatus
from shared.contracts.approval import DeviceChanged
from shared.contracts.envelope import SignedMessage, VerifiedMessage


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
        """Keep those whose user name is free. No event speaks of them: the other services pull them."""
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
        """In the order of (user name, id), from behind `after`."""
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


class Phones(Protocol):
    """Phones as approval tells of them: a projection, only higher versions."""

    async def knows(self, received: VerifiedMessage[DeviceChanged]) -> bool:
        """Whether exactly what approval says of a phone is kept already."""
        ...

    async def keep(self, received: VerifiedMessage[DeviceChanged]) -> None: ...

    async def of(self, tenant: str, account: AccountId) -> Sequence[Phone]:
        """All of that account, removed ones too, oldest first."""
        ...


class Errands(Protocol):
    """What administrators asked other services to do: the record and the command in one write."""

    async def add(self, errand: Errand, signed: SignedMessage) -> None: ...
