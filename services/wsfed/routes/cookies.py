"""The cookies of a browser: one of its own, and one for each account that has signed in from it."""

from aiohttp import web

from services.wsfed.domain.session import cookie_name
from shared.services import ACCOUNT_COOKIE_PREFIX, BROWSER_COOKIE_NAME
from shared.web.cookies import HostCookie

BROWSER_COOKIE = HostCookie(BROWSER_COOKIE_NAME)


def account_cookie(tenant: str, upn: str) -> HostCookie:
    """The cookie of one account in this browser."""
    return HostCookie(cookie_name(tenant, upn))


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
