"""A browser in which a person is known, as administrators see and remove it.

What makes the browser known is its session (`session`), which only the browser's cookie finds. This is the list of
them for people: it holds no secret, and nothing that is made from one. Pure.
"""

from dataclasses import dataclass, replace
from datetime import datetime, timedelta

from services.wsfed.domain.authentication import Method
from services.wsfed.domain.session import KNOWN_FOR, Session
from shared.contracts.admin import EPOCHS_IN_A_GENERATION
from shared.contracts.envelope import Envelope, OutgoingMessage
from shared.contracts.wsfed import BrowserChanged

TOMBSTONE_KEPT = timedelta(days=8)
"""How long a browser that is known no longer stays in the database: longer than any late message about it counts."""


def day(moment: datetime) -> datetime:
    """Its midnight in UTC: administrators learn days, not when somebody works."""
    return moment.replace(hour=0, minute=0, second=0, microsecond=0)


@dataclass(frozen=True, slots=True, kw_only=True)
class KnownBrowser:
    """One account in one browser. `id` is public; the times are days."""

    id: str
    tenant: str
    account: str
    session_epoch: int
    """The account's when the browser became known (`CarriesSessionEpoch.epoch`). Under another one the browser is a
    stranger's.
    """
    agent: str
    method: Method
    """By what it is known: a passkey, once one has vouched for it."""
    device: str
    """The device that made it known."""
    first_seen: datetime
    known_since: datetime
    """Since when it is known by this method and device."""
    last_seen: datetime
    removed_at: datetime | None = None
    version: int = 1
    known_version: int = 1
    """The version in which it became known by this method and device."""

    @property
    def known_until(self) -> datetime:
        """Until when it stays known at most, unless it is used again: `last_seen` is the beginning of its day."""
        return self.last_seen + timedelta(days=1) + KNOWN_FOR

    def announced(self, cause: Envelope | None = None) -> OutgoingMessage:
        """`wsfed.browser.changed.v1`. `cause`: the envelope of the message that led to it."""
        return OutgoingMessage(self.event(), self.tenant, cause)

    def event(self) -> BrowserChanged:
        """The state event with everything about the browser."""
        return BrowserChanged(
            version=self.version,
            browser=self.id,
            account=self.account,
            session_epoch=self.session_epoch % EPOCHS_IN_A_GENERATION,
            agent=self.agent,
            method=self.method.value,
            device=self.device,
            first_seen=self.first_seen,
            known_since=self.known_since,
            last_seen=self.last_seen,
            known_until=self.known_until,
            removed=self.removed_at is not None,
        )

    def known_by(self, session: Session, now: datetime) -> "KnownBrowser | None":
        """The browser after somebody signed in there by another device, or first by a passkey. None when removed."""
        if self.removed_at is not None:
            return None
        return replace(
            self,
            method=method_of(session),
            device=session.device,
            known_since=day(now),
            last_seen=max(self.last_seen, day(now)),
            version=self.version + 1,
            known_version=self.version + 1,
        )

    def seen(self, now: datetime) -> "KnownBrowser | None":
        """The browser after a token of that day; None when that says nothing new, or it is removed."""
        if self.removed_at is not None or day(now) <= self.last_seen:
            return None
        return replace(self, last_seen=day(now), version=self.version + 1)

    def remove(self, seen_version: int, now: datetime) -> "KnownBrowser | None":
        """The browser, removed; None when it is already, or became known otherwise since `seen_version`."""
        if self.removed_at is not None or seen_version < self.known_version:
            return None
        return replace(self, removed_at=now, version=self.version + 1)


def method_of(session: Session) -> Method:
    """By what a session makes its browser known."""
    return Method.PASSKEY if session.enrolled_by is not None else session.authentication.method


def first_known(session: Session, agent: str, now: datetime) -> KnownBrowser:
    """The browser of a session that is the first of its account there."""
    today = day(now)
    return KnownBrowser(
        id=session.browser,
        tenant=session.tenant,
        account=session.account,
        session_epoch=session.authentication.session_epoch,
        agent=agent,
        method=method_of(session),
        device=session.device,
        first_seen=today,
        known_since=today,
        last_seen=today,
    )
