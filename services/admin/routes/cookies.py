"""The console's cookies (`shared.services` has their names, so that the proxy shows them to no other service)."""

from shared.services import CONSOLE_COOKIE_NAME, CONSOLE_SAID_COOKIE_NAME
from shared.web.cookies import HostCookie

SESSION_COOKIE = HostCookie(CONSOLE_COOKIE_NAME)
SAID_COOKIE = HostCookie(CONSOLE_SAID_COOKIE_NAME)
"""The key of a sentence about what was done, which the next page shows once. It decides nothing."""
