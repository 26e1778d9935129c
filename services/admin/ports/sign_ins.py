"""How sign-ins ended, and who is told of it."""

from collections.abc import Sequence
from datetime import date, datetime
from typing import Protocol

from services.admin.domain.accounts import AccountId
from services.admin.domain.alerts import Alert, AlertMails
from services.admin.domain.sign_ins import DayCounts
from shared.contracts.envelope import OutgoingMessage, VerifiedMessage
from shared.contracts.wsfed import (
    SignInAttempt,
    SignInsCounted,
    SignInsListed,
)


class SignIns(Protocol):
    """How sign-ins ended, as wsfed announces it: projections, which accept only higher versions."""

    async def keep_day(self, received: VerifiedMessage[SignInsCounted]) -> None: ...

    async def keep_account(self, received: VerifiedMessage[SignInsListed]) -> None: ...

    async def knows_account(self, received: VerifiedMessage[SignInsListed]) -> bool:
        """Whether this or something newer is kept already."""
        ...

    async def days(self, tenant: str, first: date) -> Sequence[DayCounts]:
        """The tenant's counts from that day on, the oldest first; days on which nothing ended are missing."""
        ...

    async def of(self, tenant: str, account: AccountId) -> Sequence[SignInAttempt]:
        """The account's last attempts, the latest first."""
        ...


class Alerts(Protocol):
    """What owners and administrators of tenants are told by mail."""

    async def add(self, alert: Alert) -> bool:
        """Keep a new one. False when it is there already."""
        ...

    async def recent(self, tenant: str, since: datetime, limit: int) -> Sequence[Alert]:
        """At most `limit` since that moment, mailed or not, the latest first."""
        ...

    async def next_tenant(self, after: str) -> str | None:
        """The next tenant by its slug that has alerts which were not mailed."""
        ...

    async def unmailed(self, tenant: str, limit: int) -> Sequence[Alert]:
        """At most `limit` of them, the oldest first."""
        ...

    async def mark_mailed(self, alerts: Sequence[str]) -> None:
        """These went out, by their ids. Repeats change nothing."""
        ...

    async def mails(self, tenant: str) -> AlertMails: ...

    async def send(self, before: AlertMails, after: AlertMails, messages: Sequence[OutgoingMessage]) -> bool:
        """Write it with these mails if the stored one is still `before`. False: another replica was first."""
        ...
