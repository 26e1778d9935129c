"""Cookies that only this host can set and only it gets, and the two checks that stop forged posts."""

import base64
import hashlib
import hmac
import re
from collections.abc import Sequence
from pathlib import Path
from typing import Self

from aiohttp import web

from shared.crypto.key_file import load_keys
from shared.errors import Forbidden

_VALUE = re.compile(r"[A-Za-z0-9_.~-]{1,1024}")


class HostCookie:
    """A `__Host-` cookie: Secure, Path=/, no Domain, HttpOnly, SameSite=Lax.

    The prefix makes browsers refuse the cookie from a sibling host or over plain http, so a session cannot be
    fixed from there. `value` must be URL-safe text (ids, base64url); anything else raises ValueError.
    """

    def __init__(self, name: str) -> None:
        self.name = f"__Host-{name}"

    def read(self, request: web.BaseRequest) -> str | None:
        """The cookie's value; None when it is missing or not of the shape we set."""
        value = request.cookies.get(self.name)
        return value if value and _VALUE.fullmatch(value) else None

    def set(self, response: web.StreamResponse, value: str, *, max_age: int | None = None) -> None:
        """Set it for `max_age` seconds, or until the browser closes."""
        if not _VALUE.fullmatch(value):
            raise ValueError("a cookie's value must be URL-safe text")
        response.set_cookie(
            self.name, value, max_age=max_age, path="/", secure=True, httponly=True, samesite="Lax"
        )

    def clear(self, response: web.StreamResponse) -> None:
        """Remove it from the browser."""
        response.del_cookie(self.name, path="/", secure=True, httponly=True, samesite="Lax")


class Csrf:
    """Tokens for forms, bound to a cookie's value and to what the form is for.

    A token made for one browser or one transaction is worth nothing in another. `key` is 32 octets that no
    browser sees; `old` are keys whose tokens are taken, too, so that pages which are open while the key is replaced go
    on, whichever replica drew them; `origin` is our own public origin.
    """

    FIELD = "csrf"

    def __init__(self, key: bytes, origin: str, *, old: Sequence[bytes] = ()) -> None:
        if any(len(each) < 32 for each in (key, *old)):
            raise ValueError("a CSRF key has at least 32 octets")
        self._keys = (key, *old)
        self._origin = origin

    @classmethod
    def from_file(cls, path: Path, origin: str) -> Self:
        """CSRF protection with the key of that file; those of `<path>.next` and `<path>.old` are taken beside it."""
        key, *old = load_keys(path)
        return cls(key, origin, old=old)

    def token(self, cookie: str, purpose: str) -> str:
        """The token for forms of that purpose in the browser that holds that cookie value; 43 characters."""
        return _csrf_token(self._keys[0], cookie, purpose)

    def check(self, request: web.BaseRequest, given: str | None, cookie: str | None, purpose: str) -> None:
        """Raise Forbidden unless the post comes from our own page in the browser that holds the cookie."""
        check_same_origin(request, self._origin)
        expected = (_csrf_token(key, cookie or "", purpose).encode() for key in self._keys)
        is_ours = any(hmac.compare_digest((given or "").encode(), each) for each in expected)
        if not cookie or not is_ours:
            raise Forbidden("shared.web.csrf", code="csrf")


def _csrf_token(key: bytes, cookie: str, purpose: str) -> str:
    message = f"csrf\0{len(cookie)}\0{cookie}\0{purpose}".encode()
    digest = hmac.digest(key, message, hashlib.sha256)
    return base64.urlsafe_b64encode(digest).rstrip(b"=").decode()


def check_same_origin(request: web.BaseRequest, origin: str) -> None:
    """Raise Forbidden when the browser says that another site sent this.

    Sec-Fetch-Site decides where it is sent. Browsers without it are judged by Origin; `null` is what a form
    on a page with `Referrer-Policy: no-referrer` sends, so it says nothing. This check alone does not stop a
    client that is no browser; the token does.
    """
    site = request.headers.get("Sec-Fetch-Site")
    sender = request.headers.get("Origin", "null")
    foreign = site not in ("same-origin", "none") if site is not None else sender not in ("null", origin)
    if foreign or (sender not in ("null", origin)):
        raise Forbidden("shared.web.cross_site", code="cross_site")
