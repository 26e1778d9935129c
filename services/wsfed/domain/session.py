"""SSO sessions: what one browser remembers of one account after a real authentication.

One cookie and one document for each account in a browser. The document outlives the session: it is also how a
browser is known for the account. A new authentication always makes a new secret, so a session cannot be fixed.
"""

import hashlib
from dataclasses import dataclass
from datetime import datetime, timedelta

from services.wsfed.domain.authentication import VerifiedAuthentication
from shared.services import ACCOUNT_COOKIE_PREFIX

KNOWN_FOR = timedelta(days=90)
LOOP_WINDOW = timedelta(seconds=60)
LOOP_TOKENS = 3
"""Tokens for one account and browser within the window; the next one would be a loop."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Session:
    """One account in one browser. `id` is SHA-256 of the cookie's secret: a stolen database opens nothing."""

    id: str
    authentication: VerifiedAuthentication
    device: str
    """The phone that proved it; once it is removed the session is over."""
    ends_at: datetime
    """Authentication plus the application's session length."""
    idle_ends_at: datetime
    enrolled_by: str | None = None
    """The device whose passkey was used in this browser for this account, carried on from session to session."""
    proved_by: str | None = None
    """The transaction whose proof opened it: the issuance record of that transaction holds the proof. None in sessions
    from before this was kept.
    """
    issued: tuple[datetime, ...] = ()
    """When the latest tokens were issued, oldest first."""

    @property
    def account(self) -> str:
        return self.authentication.account

    @property
    def tenant(self) -> str:
        return self.authentication.tenant

    def belongs_to(self, tenant: str, account: str) -> bool:
        """Whether it is that account's: the cookie alone does not say so."""
        return (self.tenant, self.account) == (tenant, account)

    def live(self, now: datetime) -> bool:
        """Whether it may answer for the person now."""
        return now < self.ends_at and now < self.idle_ends_at

    def within(self, now: datetime, *, length: timedelta, idle: timedelta) -> bool:
        """Whether the tenant's limits of now let it answer, too: they may be shorter than when it was opened."""
        begun = self.authentication.authenticated_at
        return now < begun + length and now < max((begun, *self.issued)) + idle

    def looping(self, now: datetime) -> bool:
        """Whether Entra has come back for too many tokens: it does not accept them, and asking again won't help."""
        return sum(now - issued < LOOP_WINDOW for issued in self.issued) >= LOOP_TOKENS


def session_id(secret: str) -> str:
    """How a session is kept: SHA-256 of its cookie's value, hex."""
    return hashlib.sha256(f"session\0{secret}".encode()).hexdigest()


def cookie_name(tenant: str, upn: str) -> str:
    """The cookie of that account: it tells a reader of the browser's cookies nothing but that there is one."""
    return ACCOUNT_COOKIE_PREFIX + hashlib.sha256(f"{tenant}\0{upn}".encode()).hexdigest()[:16]
