"""What approval and wsfed say of them."""

from collections.abc import Sequence
from typing import Protocol

from services.admin.domain.accounts import AccountId
from services.admin.domain.browsers import Browser
from services.admin.domain.devices import Freeze, KnownDevice
from services.admin.domain.federation import Certificates, FirstUse
from shared.contracts.approval import DeviceChanged, FreezeChanged
from shared.contracts.envelope import VerifiedMessage
from shared.contracts.wsfed import (
    BrowserChanged,
    DomainUsed,
    KeysChanged,
)


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


class SigningCertificates(Protocol):
    """Tenants' token-signing certificates as wsfed announces them: a projection, which accepts only higher versions."""

    async def keep(self, received: VerifiedMessage[KeysChanged]) -> None: ...

    async def of(self, tenant: str) -> Certificates | None:
        """The tenant's; None while wsfed has not said them."""
        ...


class FirstUses(Protocol):
    """When domains were first used, as wsfed announces it: a projection, which accepts only higher versions."""

    async def keep(self, received: VerifiedMessage[DomainUsed]) -> None: ...

    async def of(self, tenant: str, domain: str) -> FirstUse | None:
        """Of the tenant's domain; None while it was never used."""
        ...
