"""The cookies of a browser: one of its own, one for each account that has signed in from it, one that says which of its
tabs asked a phone last, and one that says which outcome its own page has told.
"""

from aiohttp import web

from services.wsfed.domain.own_page import VISIT
from services.wsfed.domain.session import cookie_name
from services.wsfed.domain.tabs import LastRequest
from services.wsfed.domain.transaction import CHALLENGE_LIFETIME, Transaction
from shared.services import (
    ACCOUNT_COOKIE_PREFIX,
    BROWSER_COOKIE_NAME,
    LAST_REQUEST_COOKIE_NAME,
    OUTCOME_TOLD_COOKIE_NAME,
)
from shared.web.cookies import HostCookie

BROWSER_COOKIE = HostCookie(BROWSER_COOKIE_NAME)
_LAST_REQUEST_COOKIE = HostCookie(LAST_REQUEST_COOKIE_NAME)
_OUTCOME_TOLD_COOKIE = HostCookie(OUTCOME_TOLD_COOKIE_NAME)


def account_cookie(tenant: str, upn: str) -> HostCookie:
    """The cookie of one account in this browser."""
    return HostCookie(cookie_name(tenant, upn))


def last_request(request: web.Request) -> LastRequest | None:
    """What this browser asked a phone last, in whichever tab."""
    return LastRequest.read(_LAST_REQUEST_COOKIE.read(request))


def note_last_request(response: web.StreamResponse, transaction: Transaction) -> None:
    """Remember that this transaction has just asked, for as long as a request lives. After that its tab knows by itself
    that it is over.
    """
    last = LastRequest.of(transaction)
    if last is not None:
        _LAST_REQUEST_COOKIE.set(response, last.value, max_age=int(CHALLENGE_LIFETIME.total_seconds()))


def outcome_was_told(request: web.Request, transaction: Transaction, acts: int) -> bool:
    """Whether this browser was told what became of the latest of that many acts of the visit. It decides nothing."""
    return _OUTCOME_TOLD_COOKIE.read(request) == f"{transaction.id}-{acts}"


def note_outcome_told(response: web.StreamResponse, transaction: Transaction, acts: int) -> None:
    """Remember that, for as long as a visit lasts."""
    _OUTCOME_TOLD_COOKIE.set(response, f"{transaction.id}-{acts}", max_age=int(VISIT.total_seconds()))


def session_secrets(request: web.Request) -> list[str]:
    """The session secrets of every account in this browser.

    How many there can be is limited by browsers (180 cookies for a host) and by the length of a header line.
    """
    prefix = HostCookie(ACCOUNT_COOKIE_PREFIX).name
    ours = [
        ACCOUNT_COOKIE_PREFIX + name.removeprefix(prefix)
        for name in request.cookies
        if name.startswith(prefix)
    ]
    secrets = (HostCookie(name).read(request) for name in ours)
    return [secret for secret in secrets if secret is not None]
