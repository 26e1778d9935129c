"""What owners and administrators of a tenant are told by mail, and how often (docs/flows/sign-in-figures.md). Pure."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from typing import Literal

from services.admin.domain.accounts import AccountId
from services.admin.domain.authenticators import Authenticator
from services.admin.domain.roles import Role
from shared.contracts.wsfed import SignInAttempt

AlertKind = Literal["device_refused", "not_me"]
EVERY = timedelta(hours=1)
"""A tenant's administrators get at most one mail in that time; what comes meanwhile is in the next one."""
MAX_IN_A_MAIL = 200
"""Alerts that one mail counts. More wait for the next."""
NAMED = 10
"""Alerts that a mail names one by one."""
YOUNGER_THAN = timedelta(days=7)
"""What is older when it is first heard of alarms nobody any more: after a restore everything is heard anew."""
KEPT = timedelta(days=90)
TOLD = frozenset({Role.OWNER, Role.ADMINISTRATOR})
"""Who gets the mails."""
MAX_DETAIL = 100


@dataclass(frozen=True, slots=True, kw_only=True)
class Alert:
    """One thing to be told, once. The same event heard again has the same id."""

    id: str
    tenant: str
    kind: AlertKind
    at: datetime
    account: AccountId
    detail: str = ""
    """The phone's name, or the browser that had asked. Not proved."""
    reason: str = ""
    """Why a phone was refused, a code (`authenticators.Reason`)."""
    mailed: bool = False


def alert_of_refusal(refused: Authenticator, device: str) -> Alert:
    """That admin has refused an authenticator. `device`: what it calls itself."""
    return Alert(
        id=f"{refused.tenant}/refused/{refused.id}",
        tenant=refused.tenant,
        kind="device_refused",
        at=refused.decided_at,
        account=refused.account,
        detail=device[:MAX_DETAIL],
        reason=refused.reason,
    )


def alerts_of_attempts(
    tenant: str, account: AccountId, attempts: Sequence[SignInAttempt], now: datetime
) -> tuple[Alert, ...]:
    """One for each time that the person has said "This isn't me" lately. None for a time that is far in the future,
    which would stand above all others for good.
    """
    return tuple(
        Alert(
            id=f"{tenant}/not_me/{account}/{int(attempt.at.timestamp() * 1000)}",
            tenant=tenant,
            kind="not_me",
            at=attempt.at,
            account=account,
            detail=attempt.agent[:MAX_DETAIL],
        )
        for attempt in attempts
        if attempt.outcome == "not_me" and abs(now - attempt.at) < YOUNGER_THAN
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class AlertMails:
    """The mails to one tenant's administrators.

    `about`: the alerts of the last one, those that may not be marked as mailed yet. Whoever sends the next one marks
    them first, so that a process which is killed between the two writes sends nothing twice.
    """

    tenant: str
    sent_at: datetime | None = None
    about: tuple[str, ...] = ()
    revision: int = 0

    def may_send(self, now: datetime) -> bool:
        """Whether the last one is long enough ago. One in the future, by a clock that was set back, is."""
        return self.sent_at is None or abs(now - self.sent_at) >= EVERY

    def sent(self, alerts: Sequence[Alert], now: datetime) -> "AlertMails":
        """After one about these."""
        return replace(self, sent_at=now, about=tuple(each.id for each in alerts), revision=self.revision + 1)
