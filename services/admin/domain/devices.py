"""People's devices as admin knows them, and what administrators ask of the service that owns them. Pure."""

from dataclasses import dataclass
from datetime import datetime
from typing import Literal

from services.admin.domain.accounts import AccountId


@dataclass(frozen=True, slots=True)
class KnownDevice:
    """A person's device with the state that approval last announced. A removed device stays."""

    id: str
    tenant: str
    account: AccountId
    name: str
    enrolled_at: datetime
    backed_up: bool
    active: bool
    version: int


@dataclass(frozen=True, slots=True)
class AdminCommand:
    """What an administrator asked another service to do."""

    id: str
    tenant: str
    account: AccountId
    what: Literal["remove_device", "remove_all_devices", "unfreeze"]
    asked_at: datetime
    device: str | None = None
    """The device that the command names; None for all devices of the account, and for `unfreeze`."""
    freeze: str | None = None
    """The freeze that `unfreeze` names."""
