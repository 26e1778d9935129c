"""SSO sessions: what one browser remembers of one account after a real authentication.

One cookie and one document for each account in a browser. The document outlives the session: it is also how a
browser is known for the account. A new authentication always makes a new secret, so a session cannot be fixed.
"""

import hashlib
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from typing import Self

from services.wsfed.domain.authentication import VerifiedAuthentication
from shared.services import ACCOUNT_COOKIE_PREFIX

KNOWN_FOR = timedelta(days=90)
LOOP_WINDOW = timedelta(seconds=20)
LOOP_SECONDS = 5
"""In so many different seconds of the window Entra may send the browser back for what a token has just answered."""
MAX_ANSWERS = 60
"""Tokens that a session remembers: twice the window, and some for requests that want different things."""


@dataclass(frozen=True, slots=True)
class Answer:
    """A token of the session: when, and what the request wanted (`SignInRequest.wants`)."""

    at: datetime
    wants: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Session:
    """One account in one browser. `id` is SHA-256 of the cookie's secret: a stolen database opens nothing."""

    id: str
    authentication: VerifiedAuthentication
    device: str
    """The phone that proved it; once it is removed the session is over."""
    browser: str = ""
    """The public id of the browser in which it is (`domain.browser`). Empty in sessions from before there were any."""
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
    """When the latest token was issued, in a tuple: earlier releases kept several."""
    answers: tuple[Answer, ...] = ()
    """The latest tokens since the person proved who they are, oldest first: one for each second and want."""

    @property
    def account(self) -> str:
        return self.authentication.account

    @property
    def tenant(self) -> str:
        return self.authentication.tenant

    def belongs_to(self, tenant: str, account: str) -> bool:
        """Whether it is that account's: the cookie alone does not say so."""
        return (self.tenant, self.account) == (tenant, account)

    def makes_known(self, now: datetime) -> bool:
        """Whether the browser is known by it still, live or not."""
        return now < self.authentication.authenticated_at + KNOWN_FOR

    def begun_under(self, session_epoch: int) -> bool:
        """Whether the account still has the session epoch under which the person signed in here. If it has another,
        the session is over and the browser is a stranger's, for good.
        """
        return self.authentication.session_epoch == session_epoch

    def live(self, now: datetime) -> bool:
        """Whether it may answer for the person now."""
        return now < self.ends_at and now < self.idle_ends_at

    def within(self, now: datetime, *, length: timedelta, idle: timedelta) -> bool:
        """Whether the tenant's limits of now let it answer, too: they may be shorter than when it was opened."""
        begun = self.authentication.authenticated_at
        return now < begun + length and now < max((begun, *self.issued)) + idle

    def answered(self, now: datetime, wants: str) -> Self:
        """The session with one token more."""
        second = int(now.timestamp())
        kept = tuple(a for a in self.answers if now - a.at < 2 * LOOP_WINDOW)
        if not any(a.wants == wants and int(a.at.timestamp()) == second for a in kept):
            kept = (*kept, Answer(now, wants))
        return replace(self, issued=(now,), answers=kept[-MAX_ANSWERS:])

    def looping(self, now: datetime, wants: str) -> bool:
        """Whether Entra does not accept our tokens: a request now would be one of a loop.

        A loop is Entra sending the browser back for what a token has just answered, over and over, with nothing done
        by a person in between: whoever proves again who they are has a new session. Seconds are counted, not requests,
        because a browser that restores six tabs asks six times at once.
        """
        window = int(LOOP_WINDOW.total_seconds())
        present = int(now.timestamp())
        tokens = {int(answer.at.timestamp()) for answer in self.answers if answer.wants == wants}
        came_back = [
            second
            for second in tokens | {present}
            if present - second < window and any(0 < second - token <= window for token in tokens)
        ]
        return len(came_back) >= LOOP_SECONDS


def session_id(secret: str) -> str:
    """How a session is kept: SHA-256 of its cookie's value, hex."""
    return hashlib.sha256(f"session\0{secret}".encode()).hexdigest()


def cookie_name(tenant: str, upn: str) -> str:
    """The cookie of that account: it tells a reader of the browser's cookies nothing but that there is one."""
    return ACCOUNT_COOKIE_PREFIX + hashlib.sha256(f"{tenant}\0{upn}".encode()).hexdigest()[:16]
