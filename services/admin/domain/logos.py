"""An organisation's logo, as its pages show it (docs/flows/logo.md). Pure.

No picture is decoded here: the browser of whoever chose one sends its pixels, scaled down to fit.
"""

import base64
import hashlib
from dataclasses import dataclass, replace

from shared.contracts.admin import LogoChanged
from shared.contracts.envelope import OutgoingMessage
from shared.errors import BadInput
from shared.ids import b64u, unb64u
from shared.picture import CHANNELS, MAX_HEIGHT, MAX_WIDTH, encode_png, inflate

NAME_LENGTH = 22
"""Characters of a logo's name: 132 bits."""


@dataclass(frozen=True, slots=True)
class Logo:
    """A tenant's logo; without octets: none any more."""

    tenant: str
    version: int = 0
    png: bytes = b""
    previous: bytes = b""
    """The one that was named when this one was chosen. Pages show it until this one is named, which may be never."""

    @property
    def name(self) -> str:
        """What the tenant's configuration calls it; empty for none."""
        return _name(self.png)

    def named(self, name: str) -> bytes:
        """The picture of that name; no octets where it is not kept."""
        return next((each for each in (self.png, self.previous) if each and _name(each) == name), b"")

    def replaced(self, png: bytes, named: str = "") -> "Logo":
        """The next one, or with no octets none. `named`: what the tenant's configuration calls its logo meanwhile."""
        previous = self.named(named)
        return replace(self, png=png, previous=b"" if previous == png else previous, version=self.version + 1)

    def event(self) -> LogoChanged:
        return LogoChanged(
            version=self.version,
            name=self.name,
            png=base64.b64encode(self.png).decode("ascii"),
            previous_name=_name(self.previous),
            previous_png=base64.b64encode(self.previous).decode("ascii"),
        )

    def announced(self) -> OutgoingMessage:
        """The state event as a message for the outbox."""
        return OutgoingMessage(self.event(), self.tenant)


def _name(png: bytes) -> str:
    return b64u(hashlib.sha256(png).digest())[:NAME_LENGTH] if png else ""


def logo_of_pixels(width: str, height: str, pixels: str) -> bytes:
    """The PNG of what a form brought: measures in digits, and RGBA octets as a zlib stream in base64url.

    Raises BadInput: what is no such picture, or is too large.
    """
    try:
        measures = _measure(width, MAX_WIDTH), _measure(height, MAX_HEIGHT)
        return encode_png(inflate(unb64u(pixels), measures[0] * measures[1] * CHANNELS), *measures)
    except ValueError as error:
        raise BadInput("admin.logo.malformed") from error


def _measure(text: str, most: int) -> int:
    if not (text.isascii() and text.isdigit() and len(text) < 5 and 1 <= int(text) <= most):
        raise ValueError("a measure out of range")
    return int(text)
