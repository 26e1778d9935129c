"""People's devices as administrators see them, and what they ask of the service that owns them. Pure."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Literal

from services.admin.domain.accounts import AccountId
from services.admin.domain.authenticators import Authenticator, Reason
from shared.contracts.admin import AuthenticatorStatus
from shared.contracts.approval import Notifications


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
    notifications: Notifications | None = None
    """Whether it gets notifications; None stands for `off`."""


@dataclass(frozen=True, slots=True)
class ListedDevice:
    """A person's device as administrators see it: admin's decision, and what approval says of it for the eye."""

    id: str
    name: str
    """What the person has named it, otherwise what it calls itself; empty when nobody says."""
    since: datetime
    """When it was enrolled, by approval's clock; when admin decided, where approval no longer has the device."""
    backed_up: bool
    status: AuthenticatorStatus | None
    """None: a device that was enrolled before admin decided, until `blok365 migrate`."""
    reason: str
    notifications: Notifications = "off"
    """Whether it gets notifications, as approval says."""

    @property
    def may_count(self) -> bool:
        """Whether there is something to remove."""
        return self.status in (None, AuthenticatorStatus.TRUSTED)


def listed(
    authenticators: Sequence[Authenticator], announced: Sequence[KnownDevice]
) -> Sequence[ListedDevice]:
    """Every device that admin has decided on or that approval has announced, oldest first."""
    decisions = {each.id: each for each in authenticators}
    known = {each.id: each for each in announced}
    made = [_listed(each, decisions.get(each), known.get(each)) for each in decisions.keys() | known.keys()]
    return sorted(made, key=lambda device: (device.since, device.id))


def _listed(device: str, decision: Authenticator | None, known: KnownDevice | None) -> ListedDevice:
    status, reason = (None, "") if decision is None else (decision.status, decision.reason)
    given = "" if decision is None else decision.name
    if known is None:
        assert decision is not None
        return ListedDevice(device, given, decision.decided_at, False, status, reason)
    if decision is None and not known.active:
        status, reason = AuthenticatorStatus.REVOKED, Reason.DEVICE_REMOVED.value
    name, notifications = given or known.name, known.notifications or "off"
    return ListedDevice(device, name, known.enrolled_at, known.backed_up, status, reason, notifications)


@dataclass(frozen=True, slots=True)
class Freeze:
    """What "This isn't me" froze: notifications that unknown browsers ask for, and those of the refused one."""

    name: str
    """The challenge that was reported last."""
    since: datetime


@dataclass(frozen=True, slots=True)
class AdminCommand:
    """What an administrator, or a person on their own page, asked another service to do."""

    id: str
    tenant: str
    account: AccountId
    """Empty where it is about no account."""
    what: Literal["unfreeze", "remove_browser", "check_connection", "retry_person", "warn_of_end"]
    """`warn_of_end` is asked by nobody: a mail that admin sends once."""
    asked_at: datetime
    freeze: str | None = None
    """The freeze that it names; None in commands from before they named one."""
    browser: str | None = None
    """The browser that the command names."""
    by_person: bool = False
