"""From where a browser was led here. Browsers say it, and a page cannot have them say what is not true."""

from collections.abc import Iterable
from urllib.parse import urlsplit

from aiohttp import web


def is_from_entra(request: web.Request, *, reply_urls: Iterable[str], own_origin: str) -> bool:
    """Whether a page of Entra's, or one of our own, led the person here. Entra's are those that tokens go to.

    Any page can lead a browser here, and can keep it from naming that page; none can have it name another one. So a
    request without `Referer` (Fetch standard, section 2.2.5) comes from nobody. Our own pages send none; for them
    `Sec-Fetch-Site` (Fetch Metadata, section 2.3) speaks. Where a frame or a script asks, nobody looks at our page.
    """
    headers = request.headers
    mode, target = headers.get("Sec-Fetch-Mode", "navigate"), headers.get("Sec-Fetch-Dest", "document")
    if (mode, target) != ("navigate", "document"):
        return False
    if headers.get("Sec-Fetch-Site") == "same-origin":
        return True
    return _origin(headers.get("Referer", "")) in {own_origin, *map(_origin, reply_urls)} - {None}


def _origin(url: str) -> str | None:
    """Scheme, host and port of an absolute URL in lower case; None for what is none."""
    try:
        parts = urlsplit(url)
    except ValueError:
        return None
    return f"{parts.scheme}://{parts.netloc}".lower() if parts.scheme and parts.netloc else None
