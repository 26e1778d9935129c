"""The security headers of every response: nonce CSP, no third-party origin, no framing, no store."""

from collections.abc import Iterable, MutableMapping
from dataclasses import dataclass, field
from typing import Literal, Protocol

from aiohttp import web

Coop = Literal["same-origin", "unsafe-none"]

_FEATURES_DENIED = (
    "accelerometer", "autoplay", "browsing-topics", "camera", "display-capture", "geolocation",
    "gyroscope", "hid", "identity-credentials-get", "idle-detection", "magnetometer", "microphone", "midi",
    "payment", "serial", "usb", "xr-spatial-tracking",
)  # fmt: skip


@dataclass(frozen=True, kw_only=True)
class Csp:
    """A page's content security policy. Each field may only narrow or name what that page really needs.

    `form_action` is `'self'`; None sets no limit, on the page that posts a token to Microsoft. `trusted_types` names
    the policies that may make markup from text; naming one also forbids every other way (DOM XSS).
    `script` may add `'wasm-unsafe-eval'`; never `'unsafe-inline'`, which is refused.
    """

    form_action: tuple[str, ...] | None = ("'self'",)
    script: tuple[str, ...] = ()
    image: tuple[str, ...] = ("'self'",)
    trusted_types: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        for source in (*(self.form_action or ()), *self.script, *self.image, *self.trusted_types):
            if "unsafe-inline" in source or any(c in source for c in " ;,\r\n\t"):
                raise ValueError(f"not allowed in a content security policy: {source!r}")

    def header(self, nonce: str) -> str:
        """The header's value for a response whose scripts carry that nonce."""
        parts = [
            "default-src 'none'",
            " ".join(("script-src", f"'nonce-{nonce}'", *self.script)),
            "style-src 'self'",
            " ".join(("img-src", *self.image)),
            "font-src 'self'",
            "connect-src 'self'",
            "manifest-src 'self'",
            "worker-src 'self'",
            "frame-ancestors 'none'",
            "base-uri 'none'",
        ]
        if self.form_action is not None:
            parts.append(" ".join(("form-action", *self.form_action)))
        if self.trusted_types:
            parts += [" ".join(("trusted-types", *self.trusted_types)), "require-trusted-types-for 'script'"]
        return "; ".join(parts)


@dataclass(frozen=True)
class StaticCsp:
    """The policy of a page that is a file: it names paths, because a file has no nonce."""

    text: str

    def header(self, nonce: str) -> str:  # noqa: ARG002 - the other kind of policy needs it
        """The header's value."""
        return self.text


class Policy(Protocol):
    """A content security policy of either kind."""

    def header(self, nonce: str) -> str: ...


CSP: web.ResponseKey[Policy] = web.ResponseKey("csp")
"""Set on a response to give it a policy of its own."""

DEFAULT_CSP = Csp()


@dataclass(frozen=True, kw_only=True)
class HeaderPolicy:
    """What differs between the web sides of services.

    `coop`: `unsafe-none` for pages that are shown inside somebody else's sign-in popup. With `same-origin` the
    browser cuts the popup from the application that opened it, and the application sees the person close it.
    `features`: names of the Permissions-Policy that this service's own pages may use (the kiosk: `camera`).
    """

    https: bool
    coop: Coop = "same-origin"
    features: tuple[str, ...] = field(default=())

    def apply(self, headers: MutableMapping[str, str], csp: str) -> None:
        """Set every security header; an existing Cache-Control stays, anything else is overwritten."""
        headers["Content-Security-Policy"] = csp
        headers["Server"] = "Blok365"  # instead of aiohttp's and Python's versions
        headers["X-Content-Type-Options"] = "nosniff"
        headers["X-Frame-Options"] = "DENY"
        headers["Referrer-Policy"] = "no-referrer"  # a transaction's address stays here
        headers["Cross-Origin-Opener-Policy"] = self.coop
        headers["Cross-Origin-Resource-Policy"] = "same-origin"
        headers["Permissions-Policy"] = permissions_policy(self.features)
        if self.https:
            headers["Strict-Transport-Security"] = "max-age=31536000"
        headers.setdefault("Cache-Control", "no-store")


HEADER_POLICY = web.ResponseKey("header_policy", HeaderPolicy)
"""Set on a response to give it other headers than its application's."""


def permissions_policy(allowed: Iterable[str]) -> str:
    """Every sensitive feature denied, except the named ones for our own origin."""
    allowed = frozenset(allowed)
    return ", ".join(f"{name}=({'self' if name in allowed else ''})" for name in _FEATURES_DENIED)
