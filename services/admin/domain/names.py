"""What may be written in slugs, names and host names. Pure."""

import re
import unicodedata

import idna

from shared.errors import BadInput
from shared.text import has_invisible

SLUG = re.compile(r"[a-z0-9-]{1,40}")
MAX_NAME = 64


def check_slug(slug: str) -> str:
    """A tenant's slug as it stands in URLs. Raises BadInput."""
    if not SLUG.fullmatch(slug):
        raise BadInput("admin.slug.malformed", slug=shown(slug))
    return slug


def check_name(text: str, what: str, *, longest: int = MAX_NAME) -> str:
    """A name, trimmed and in NFC. Raises BadInput when empty, too long, or with control characters."""
    name = unicodedata.normalize("NFC", text).strip()
    if not name or len(name) > longest:
        raise BadInput("admin.name.length", what=what, length=len(name), longest=longest)
    if has_invisible(name):
        raise BadInput("admin.name.invisible", what=what)
    return name


def check_host(text: str) -> str:
    """A DNS domain as A-labels in lower case (IDNA 2008, UTS 46 mapping). Raises BadInput."""
    try:
        name = idna.encode(text.strip(), uts46=True, std3_rules=True).decode().lower()
    except (idna.IDNAError, UnicodeError) as error:
        raise BadInput("admin.domain.malformed", domain=shown(text)) from error
    labels = name.split(".")
    if len(labels) < 2 or not labels[-1] or labels[-1].isdigit():
        raise BadInput("admin.domain.malformed", domain=shown(text))
    return name


def shown(text: str) -> str:
    """Somebody's input, to be quoted in an error: short, and without characters that would steer a terminal."""
    return ascii(text[:80]) if not text[:80].isprintable() else repr(text[:80])
